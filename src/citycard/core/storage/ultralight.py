# SPDX-License-Identifier: Apache-2.0
"""An Ultralight-class ticket chip: sixteen pages, one-time bits, lock bits, three one-way counters.

A page is a cell of its own, so a torn write ruins one page and no other. One-time page and lock bits can only
gain bits. A counter of 24 bits only grows; it is kept twice, the newer copy wins, so a torn increment leaves
the value before or after. Counters and the chip's own commands are reached through the reader's transparent
exchange (FF C2 00 01, tag 95): 30 READ, 3A FAST_READ, A2 WRITE, 39 READ_CNT, A5 INCR_CNT, 3E
CHECK_TEARING_EVENT, 60 GET_VERSION. Source: NXP MF0ICU1 and MF0ULx1 data sheets.
"""

from __future__ import annotations

import struct
from typing import ClassVar, Final
from zlib import crc32

from citycard.core.apdu import SW, Command
from citycard.core.card.atomic import CELL, Fuse, Memory
from citycard.core.storage.part3 import (
    IMAGE_HEAD,
    TRANSPARENT,
    Answer,
    Kind,
    StorageCard,
    exactly,
    image_head,
    transparent,
)

PAGE: Final = 4
PAGES: Final = 16
READ_PAGES: Final = 4  # a read gives four pages and goes on at page 0 after the last one
LOCK_PAGE, OTP_PAGE, FIRST_USER_PAGE = 2, 3, 4
COUNTERS: Final = 3
COUNTER_MAX: Final = 0xFFFFFF
COUNTER: Final = struct.Struct(">II")  # value, CRC-32 of it and the counter's number
COUNTERS_AT: Final = IMAGE_HEAD.size + PAGES * CELL
NO_TEARING: Final = b"\xbd"
VERSION: Final = bytes.fromhex("0004030101000B03")
ACK: Final = b"\x0a"


class UltralightCard(StorageCard):
    """The ticket and its reader."""

    KINDS: ClassVar = (Kind.ULTRALIGHT,)

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        self.commands |= {0xB0: self._read_binary, 0xD6: self._update_binary, TRANSPARENT: self._transparent}

    @classmethod
    def blank(cls, uid: bytes) -> UltralightCard:
        """As it leaves the factory; the UID has seven bytes."""
        if len(uid) != 7:
            raise ValueError(f"an Ultralight has a UID of 7 bytes, not {len(uid)}")
        first, second = 0x88 ^ uid[0] ^ uid[1] ^ uid[2], uid[3] ^ uid[4] ^ uid[5] ^ uid[6]
        raw = uid[:3] + bytes((first,)) + uid[3:] + bytes((second, 0x48, 0x00, 0x00))
        raw = raw.ljust(PAGES * PAGE, b"\x00")
        pages = b"".join(raw[at : at + PAGE].ljust(CELL, b"\x00") for at in range(0, len(raw), PAGE))
        counters = b"".join(_counter_cell(number, 0) + bytes(CELL) for number in range(COUNTERS))
        return cls(Memory(image_head(Kind.ULTRALIGHT, uid) + pages + counters))

    @classmethod
    def from_image(cls, image: bytes, fuse: Fuse | None = None) -> UltralightCard:
        """A ticket with these cells; STORAGE_IMAGE when they are not a ticket's."""
        return cls(Memory(image, fuse))

    def image_size(self) -> int:
        """See `StorageCard`."""
        return COUNTERS_AT + COUNTERS * 2 * CELL

    # The chip

    def page(self, number: int) -> bytes:
        """One page."""
        return self.memory.read(IMAGE_HEAD.size + number * CELL, PAGE)

    def read(self, page: int) -> bytes | None:
        """Four pages from one on, after the last the first again. None: no such page."""
        if page >= PAGES:
            return None
        return b"".join(self.page((page + step) % PAGES) for step in range(READ_PAGES))

    def write(self, page: int, data: bytes) -> bool:
        """Write a page; lock and one-time bits only come, never go. False: locked, or no such page.

        Page 2 has the lock bits in its last two bytes: bits 3 to 15 lock pages 3 to 15, bits 0 to 2 lock the
        lock bits of pages 3, 4 to 9 and 10 to 15.
        """
        if not LOCK_PAGE <= page < PAGES or len(data) != PAGE or self._locked(page):
            return False
        if page == LOCK_PAGE:
            data = self.page(page)[:2] + self._locks_with(data[2:]).to_bytes(2, "little")
        elif page == OTP_PAGE:
            data = bytes(old | new for old, new in zip(self.page(page), data, strict=True))
        self.memory.write(IMAGE_HEAD.size + page * CELL, data.ljust(CELL, b"\x00"))
        return True

    @property
    def _locks(self) -> int:
        return int.from_bytes(self.page(LOCK_PAGE)[2:], "little")

    def _locked(self, page: int) -> bool:
        return page >= OTP_PAGE and bool(self._locks >> page & 1)

    def _locks_with(self, wanted: bytes) -> int:
        """Lock bits after a write: none goes away, and those that are locked themselves do not come."""
        locks, bits = self._locks, int.from_bytes(wanted, "little")
        frozen = 0
        for bit, pages in enumerate((range(3, 4), range(4, 10), range(10, 16))):
            if locks >> bit & 1:
                frozen |= sum(1 << page for page in pages)
        return locks | (bits & ~frozen)

    def counter(self, number: int) -> int:
        """A counter's value."""
        return max(value for _, value in self._copies(number))

    def _copies(self, number: int) -> list[tuple[int, int]]:
        """The whole copies of a counter: address and value."""
        found = []
        for copy in range(2):
            at = COUNTERS_AT + (number * 2 + copy) * CELL
            cell = self.memory.read(at, CELL)
            value = COUNTER.unpack(cell)[0]
            if cell == _counter_cell(number, value):
                found.append((at, value))
        return found

    def increment(self, number: int, step: int) -> bool:
        """Add to a counter; False when it would pass its end. By nothing: nothing is written."""
        copies = self._copies(number)
        newest = max(copies, key=lambda copy: copy[1])
        value = newest[1] + step
        if value > COUNTER_MAX:
            return False
        if step:
            at = COUNTERS_AT + number * 2 * CELL
            other = at + CELL if newest[0] == at else at
            self.memory.write(other, _counter_cell(number, value))
        return True

    def native(self, raw: bytes) -> bytes | None:
        """A command of the chip itself; None is its NAK."""
        match list(raw):
            case [0x30, page]:
                return self.read(page)
            case [0x3A, first, last] if first <= last < PAGES:
                return b"".join(self.page(number) for number in range(first, last + 1))
            case [0xA2, page, *data] if len(data) == PAGE:
                return ACK if self.write(page, bytes(data)) else None
            case [0x39, number] if number < COUNTERS:
                return self.counter(number).to_bytes(3, "little")
            case [0xA5, number, low, middle, high, _] if number < COUNTERS:
                return ACK if self.increment(number, low | middle << 8 | high << 16) else None
            case [0x3E, number] if number < COUNTERS:
                return NO_TEARING
            case [0x60]:
                return VERSION
            case _:
                return None

    # The reader

    def _read_binary(self, command: Command) -> Answer:
        """FF B0: up to four pages."""
        found = self.read(command.p2) if not command.p1 else None
        if found is None:
            return SW.FILE_NOT_FOUND
        le = command.le
        return found[:le] if le is not None and le < len(found) else exactly(found, le)

    def _update_binary(self, command: Command) -> Answer:
        """FF D6: one page; readers send sixteen bytes too, of which the chip takes the first four."""
        if command.p1 or command.p2 >= PAGES:
            return SW.FILE_NOT_FOUND
        if len(command.data) not in (PAGE, PAGE * READ_PAGES):
            return SW.WRONG_LENGTH
        return SW.OK if self.write(command.p2, command.data[:PAGE]) else SW.SECURITY_STATUS

    def _transparent(self, command: Command) -> Answer:
        return transparent(command, self.native)


def _counter_cell(number: int, value: int) -> bytes:
    return COUNTER.pack(value, crc32(bytes((number,)) + value.to_bytes(4, "big")))
