# SPDX-License-Identifier: Apache-2.0
"""BER-TLV as cards use it (ISO/IEC 8825-1 by way of 7816-4): tags of one or two bytes, lengths to 65535."""

from __future__ import annotations

from collections.abc import Iterator


class TlvError(ValueError):
    """The bytes are no TLV: the peer's fault."""


def tlv(tag: int, value: bytes) -> bytes:
    """One data object."""
    raw_tag = tag.to_bytes(2 if tag > 0xFF else 1, "big")
    size = len(value)
    if size < 0x80:
        length = bytes((size,))
    elif size < 0x100:
        length = bytes((0x81, size))
    elif size < 0x10000:
        length = b"\x82" + size.to_bytes(2, "big")
    else:
        raise TlvError(f"a value of {size} bytes is too long for a card")
    return raw_tag + length + value


def parse(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (tag, value) of the objects side by side in `raw`; raises `TlvError` on a cut object."""
    at = 0
    while at < len(raw):
        tag = raw[at]
        at += 1
        if tag & 0x1F == 0x1F:
            if at >= len(raw):
                raise TlvError("tag cut short")
            tag = tag << 8 | raw[at]
            at += 1
        if at >= len(raw):
            raise TlvError(f"tag {tag:X} has no length")
        size = raw[at]
        at += 1
        if size & 0x80:
            width = size & 0x7F
            if width not in (1, 2) or at + width > len(raw):
                raise TlvError(f"tag {tag:X} has a malformed length")
            size = int.from_bytes(raw[at : at + width], "big")
            at += width
        if at + size > len(raw):
            raise TlvError(f"tag {tag:X} says {size} bytes, {len(raw) - at} follow")
        yield tag, raw[at : at + size]
        at += size


def find(raw: bytes, *path: int) -> bytes | None:
    """The value at a path of tags, such as `find(fci, 0x6F, 0xA5, 0x9F0C)`, or None."""
    for tag in path:
        for found, value in parse(raw):
            if found == tag:
                raw = value
                break
        else:
            return None
    return raw
