# SPDX-License-Identifier: Apache-2.0
"""A small area of cells that holds one value, replaced whole or not at all when power is cut.

Two slots take turns. A value is written into the slot that is not in force, its head (turn, length,
CRC-32) last, in one cell: a cut before that cell is complete leaves the other slot in force. Physics as in
`core.card.atomic`.
"""

from __future__ import annotations

import struct
from typing import Final
from zlib import crc32

from citycard.core.card.atomic import CELL, Memory
from citycard.core.problem import declare

HEAD: Final = struct.Struct(">HHI")  # turn, length, CRC-32 of both and the value
TURNS: Final = 0x10000
BLANK: Final = b"\x00" * HEAD.size

CARD_STORE_DAMAGED = declare(
    "CARD_STORE_DAMAGED",
    "The card image's {what} is damaged: neither of its two copies is whole. Make the card anew.",
    "卡片映像的{what}已损坏，两份副本均不完整，请重新制卡。",
)


class Store:
    """One value in the cells from `at`, `size` bytes of them; `limit` is how long a value may be."""

    def __init__(
        self, memory: Memory, at: int = 0, size: int | None = None, what: str = "security domain"
    ) -> None:
        self._memory = memory
        self._at = at
        self._slot = ((len(memory) - at if size is None else size) // 2) & -CELL
        self._what = what
        self.limit = min(self._slot - HEAD.size, 0xFFFF)

    @property
    def memory(self) -> Memory:
        """The cells."""
        return self._memory

    def load(self) -> bytes:
        """The value in force; CARD_STORE_DAMAGED when no slot holds one."""
        found = self._newest()
        if found is None:
            raise CARD_STORE_DAMAGED(what=self._what)
        return found[2]

    def save(self, value: bytes) -> None:
        """Put a value in force; `PowerLost` leaves the value before or this one."""
        assert len(value) <= self.limit, "the caller keeps to the limit"
        found = self._newest()
        slot, turn = (1 - found[0], (found[1] + 1) % TURNS) if found else (0, 1)
        start = self._at + slot * self._slot
        self._memory.write(start + HEAD.size, value + bytes(-len(value) % CELL))
        self._memory.write(start, HEAD.pack(turn, len(value), _checksum(turn, value)))

    def _newest(self) -> tuple[int, int, bytes] | None:
        """Slot, turn and value in force."""
        valid = [found for found in (self._read(0), self._read(1)) if found]
        if len(valid) == 2 and (valid[1][1] - valid[0][1]) % TURNS == 1:
            return valid[1]
        return valid[0] if valid else None

    def _read(self, slot: int) -> tuple[int, int, bytes] | None:
        start = self._at + slot * self._slot
        turn, length, checksum = self._memory.unpack(HEAD, start)
        if length > self.limit or self._memory.read(start, HEAD.size) == BLANK:
            return None
        value = self._memory.read(start + HEAD.size, length)
        return (slot, turn, value) if _checksum(turn, value) == checksum else None


def _checksum(turn: int, value: bytes) -> int:
    return crc32(value, crc32(struct.pack(">HH", turn, len(value))))
