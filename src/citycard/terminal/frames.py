# SPDX-License-Identifier: Apache-2.0
"""Frames of the journal: each entry is a mark, a type, a length, a CRC and its bytes, one after another.

A file that ends in the middle of a frame was torn while that frame was written: the tail is no entry. Bytes
that are no frame but are followed by a whole one are damage, and damage is never cut away.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple
from zlib import crc32

MARK: Final = 0xA5
HEAD: Final = struct.Struct(">BBHI")  # mark, type, length of the payload, CRC-32 of type, length, payload
PAYLOAD_MAX: Final = 0xFFFF


class Entry(IntEnum):
    """What a frame holds; the numbers are on disk and never change."""

    STATE = 1  # counters, at the start of a file
    INTENT = 2  # a transaction is about to be sent to the card
    RECORD = 3  # it happened: the record
    VOID = 4  # it did not happen
    BATCH = 5  # records up to here belong to this batch
    ACKNOWLEDGED = 6  # the office has this batch
    DUTY = 7  # the host must still be told of a load
    DONE = 8  # the host was told
    NUMBERS = 9  # the PSAM's transaction numbers below this are spent or reserved; its wrong MAC2s


class Frame(NamedTuple):
    """One entry: its type, its payload, where it starts in the file."""

    entry: int
    payload: bytes
    at: int


def frame(entry: Entry, payload: bytes) -> bytes:
    """The bytes of one entry."""
    assert len(payload) <= PAYLOAD_MAX
    head = struct.pack(">BH", entry, len(payload))
    return HEAD.pack(MARK, entry, len(payload), crc32(payload, crc32(head))) + payload


def frames(raw: bytes, at: int) -> Iterator[Frame]:
    """The entries from an offset on, up to the first bytes that are none."""
    while (found := frame_at(raw, at)) is not None:
        yield found
        at += HEAD.size + len(found.payload)


def frame_at(raw: bytes, at: int) -> Frame | None:
    """The entry that starts at an offset, if a whole and sound one does."""
    if at + HEAD.size > len(raw):
        return None
    mark, entry, length, crc = HEAD.unpack_from(raw, at)
    start = at + HEAD.size
    if mark != MARK or start + length > len(raw):
        return None
    payload = raw[start : start + length]
    if crc32(payload, crc32(raw[at + 1 : at + 4])) != crc:
        return None
    return Frame(entry, payload, at)


def sound_after(raw: bytes, at: int) -> int | None:
    """Where the first sound entry after an offset starts: what stands before it is damage, no torn tail."""
    at = raw.find(MARK, at)
    while at >= 0:
        if frame_at(raw, at) is not None:
            return at
        at = raw.find(MARK, at + 1)
    return None
