# SPDX-License-Identifier: Apache-2.0
"""Cuts bytes into named spans, left to right, by declared layouts and by TLV; never fails on odd bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.core.layout import Layout
from citycard.core.trace.values import NOTHING, Span, Words, plain
from citycard.core.trace.words import meaning_of, text, title_of

PART_OF: Final = Words("part of the field", "字段的一部分")
TAGS: Final[dict[int, Words]] = {
    0x4F: Words("application name", "应用标识"),
    0x50: Words("label", "应用标签"),
    0x61: Words("application template", "应用模板"),
    0x6F: Words("FCI template", "FCI 模板"),
    0x70: Words("record template", "记录模板"),
    0x84: Words("DF name", "DF 名称"),
    0x87: Words("priority", "优先级"),
    0x88: Words("SFI of the directory", "目录文件 SFI"),
    0xA5: Words("FCI, proprietary", "FCI 专有数据"),
    0x5F2D: Words("language", "首选语言"),
    0x9F08: Words("application version", "应用版本号"),
    0x9F0C: Words("issuer's data (EF15)", "发卡机构自定义数据（EF15）"),
    0xBF0C: Words("issuer's own", "发卡机构自定义"),
}
CONSTRUCTED: Final = 0x20
DEPTH_MAX: Final = 4  # FCI nests three deep; more is no FCI
VALUE_NAMES: Final = {0x4F: "aid", 0x84: "aid", 0x50: "label", 0x88: "sfi", 0x9F08: "version"}

ValueCutter = Callable[["Cut", int, int], bool]  # (cut, tag, size): whether it cut the value itself


class Cut:
    """A cursor over bytes: each call cuts the next span; what is not there is cut as short as it is."""

    def __init__(self, raw: bytes, at: int = 0, stop: int | None = None) -> None:
        self.raw = raw
        self.at = at
        self.stop = len(raw) if stop is None else stop
        self.spans: list[Span] = []

    @property
    def left(self) -> int:
        """Bytes not cut yet."""
        return self.stop - self.at

    def take(
        self,
        name: str,
        size: int,
        kind: str = "raw",
        *,
        title: Words | None = None,
        meaning: Words | None = None,
        secret: bool = False,
    ) -> bytes:
        """The next `size` bytes as a field; its value."""
        size = min(size, self.left)
        if size <= 0:
            return b""
        value = self.raw[self.at : self.at + size]
        known, tone = title_of(name)
        told = NOTHING if secret else meaning_of(name, kind, value) if meaning is None else meaning
        self.spans.append(Span(self.at, size, name, title or known, told, tone, secret))
        self.at += size
        return value

    def layout(self, layout: Layout, skip: int = 0) -> None:
        """Fields of a declared layout from its byte `skip` on, as far as the bytes go."""
        for field in layout.fields:
            start = layout.offsets[field.name]
            if start + field.size <= skip:
                continue
            size = field.size - max(0, skip - start)
            whole = size == field.size and self.left >= size
            self.take(field.name, size, field.kind, meaning=None if whole else PART_OF)

    def rest(self, name: str = "data", *, secret: bool = False) -> None:
        """All that is left as one field."""
        self.take(name, self.left, secret=secret)

    def text(self, name: str) -> None:
        """All that is left, told as text where it is text."""
        self.take(name, self.left, meaning=text(self.raw[self.at : self.stop]))

    def tlv(self, value: ValueCutter = lambda cut, tag, size: False, depth: int = 0) -> None:
        """BER-TLV objects side by side and inside one another; `value` may cut a value in its own way."""
        while self.left > 0:
            head = _head(self.raw, self.at, self.stop)
            if head is None:
                self.rest()
                return
            tag, tag_size, length_size, size = head
            title = TAGS.get(tag) or plain(f"{tag:X}")
            self.take("tlv_tag", tag_size, title=title, meaning=plain(f"{tag:X}"))
            self.take("tlv_length", length_size, meaning=plain(str(size)))
            stop, self.stop = self.stop, self.at + size
            nested = self.raw[self.at - tag_size - length_size] & CONSTRUCTED and depth < DEPTH_MAX
            if not value(self, tag, size):
                if nested:
                    self.tlv(value, depth + 1)
                else:
                    name = VALUE_NAMES.get(tag, "data")
                    readable = name == "label" or (name == "aid" and _readable(self.raw[self.at : self.stop]))
                    shown = text(self.raw[self.at : self.stop]) if readable else None
                    self.take(name, size, title=title if tag in TAGS else None, meaning=shown)
            self.stop = stop


def _head(raw: bytes, at: int, stop: int) -> tuple[int, int, int, int] | None:
    """Tag, its size, the size of the length, the length; None where there is no whole object."""
    begin = at
    tag = raw[at]
    at += 1
    if tag & 0x1F == 0x1F:
        if at >= stop:
            return None
        tag, at = tag << 8 | raw[at], at + 1
    if at >= stop:
        return None
    tag_size, size, length_size = at - begin, raw[at], 1
    if size & 0x80:
        width = size & 0x7F
        if width not in (1, 2) or at + width >= stop:
            return None
        size, length_size = int.from_bytes(raw[at + 1 : at + 1 + width], "big"), 1 + width
    return (tag, tag_size, length_size, size) if at + length_size + size <= stop else None


def _readable(raw: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in raw)
