# SPDX-License-Identifier: Apache-2.0
"""Nonvolatile cells that can lose power at every write, and the journal that makes a change all or nothing.

Physics: memory is written one cell (8 bytes) at a time. A card that leaves the field during a write leaves
in that one cell its old content, its new content, or garbage; cells written before keep the new content.

Answer: a redo journal. A change is first written whole into the journal area, then armed by one short head
(length and checksum), then carried out in place, then disarmed. A cut before the head is complete: nothing
happened. A cut after: `recover` carries the change out again, as often as it takes. The journal holds whole
cells, because a torn write also ruins the neighbours of the byte that was meant.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

CELL: Final = 8
JOURNAL_AT: Final = 64
JOURNAL_SIZE: Final = 1536  # four staged records of 255 bytes, the log, the purse, and their addresses
HEAD: Final = struct.Struct(">II")  # length of the body in bytes (0: disarmed), CRC-32 of length and body
SPAN: Final = struct.Struct(">II")  # address, length; then the cells
DISARMED: Final = bytes(HEAD.size)
BODY_AT: Final = JOURNAL_AT + HEAD.size
BODY_MAX: Final = JOURNAL_SIZE - HEAD.size

Fuse = Callable[[int, bytes, bytes], bytes | None]
"""Asked before each cell write with (address, old, new): None lets it pass, bytes blow the fuse and stay."""


class PowerLost(Exception):
    """The card has no power: it answers nothing until `power_on`."""


def cells_up(size: int) -> int:
    """The size in bytes rounded up to whole cells."""
    return (size + CELL - 1) & -CELL


class Memory:
    """The card's cells. `write` is the only way to change them, and the place where power can be cut."""

    __slots__ = ("_cells", "fuse", "parsed")

    def __init__(self, image: bytes, fuse: Fuse | None = None) -> None:
        self._cells = bytearray(image)
        self.fuse = fuse
        self.parsed: dict[int, tuple[int, list[tuple[int, int, int]]]] = {}  # see files.variable_records

    def __len__(self) -> int:
        return len(self._cells)

    def read(self, address: int, size: int) -> bytes:
        """Bytes as they stand in the cells."""
        return bytes(self._cells[address : address + size])

    def unpack(self, shape: struct.Struct, address: int) -> tuple[Any, ...]:
        """The values of a struct at an address."""
        return shape.unpack_from(self._cells, address)

    def write(self, address: int, data: bytes) -> None:
        """Write whole cells, in ascending order; raises `PowerLost` where the fuse blows."""
        end = address + len(data)
        assert address % CELL == 0
        assert end % CELL == 0
        assert end <= len(self._cells)
        if self.fuse is None:
            self._cells[address:end] = data
            return
        for at in range(address, end, CELL):
            new = data[at - address : at - address + CELL]
            left = self.fuse(at, bytes(self._cells[at : at + CELL]), new)
            self._cells[at : at + CELL] = new if left is None else left[:CELL].ljust(CELL, b"\x00")
            if left is not None:
                raise PowerLost(f"power cut while writing the cell at {at}")


class Change:
    """Writes gathered in working memory, to be committed together; reads see what was gathered."""

    __slots__ = ("memory", "writes")

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.writes: list[tuple[int, bytes]] = []

    def read(self, address: int, size: int) -> bytes:
        """What stands at an address, or the newest gathered write of exactly this place."""
        for at, data in reversed(self.writes):
            if at == address and len(data) == size:
                return data
        return self.memory.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Gather one write."""
        self.writes.append((address, data))

    def spans(self) -> list[tuple[int, bytes]]:
        """The gathered writes as disjoint runs of whole cells, later writes over earlier ones."""
        runs: list[tuple[int, bytearray]] = []
        for address, data in sorted(self.writes, key=lambda write: write[0]):
            start, end = address & -CELL, cells_up(address + len(data))
            if runs and start < runs[-1][0] + len(runs[-1][1]):
                base, run = runs[-1]
                run += self.memory.read(base + len(run), max(0, end - base - len(run)))
            else:
                base, run = start, bytearray(self.memory.read(start, end - start))
                runs.append((base, run))
            run[address - base : address - base + len(data)] = data
        return [(base, bytes(run)) for base, run in runs]


class Journal:
    """The redo journal of one memory, at a fixed place in it."""

    __slots__ = ("_memory",)

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def commit(self, change: Change) -> None:
        """Carry out all of a change or, when power is cut, all or nothing of it."""
        spans = change.spans()
        body = b"".join([SPAN.pack(at, len(data)) + data for at, data in spans])
        assert len(body) <= BODY_MAX, "a command gathered more than the journal holds"
        write = self._memory.write
        write(BODY_AT, body)
        write(JOURNAL_AT, HEAD.pack(len(body), _checksum(body)))
        for at, data in spans:
            write(at, data)
        write(JOURNAL_AT, DISARMED)

    def recover(self) -> bool:
        """Finish the change that a power cut interrupted; whether there was one. Safe to be cut itself."""
        length, checksum = self._memory.unpack(HEAD, JOURNAL_AT)
        if length == 0 and checksum == 0:
            return False
        body = self._memory.read(BODY_AT, length) if 0 < length <= BODY_MAX else b""
        spans = self._spans(body) if body and _checksum(body) == checksum else []
        for address, data in spans:
            self._memory.write(address, data)
        self._memory.write(JOURNAL_AT, DISARMED)
        return bool(spans)

    def _spans(self, body: bytes) -> list[tuple[int, bytes]]:
        """The writes in a body; none when one of them is not on whole cells within the memory."""
        spans: list[tuple[int, bytes]] = []
        at = 0
        while at + SPAN.size <= len(body):
            address, size = SPAN.unpack_from(body, at)
            at += SPAN.size
            if address % CELL or size % CELL or at + size > len(body) or address + size > len(self._memory):
                return []
            spans.append((address, body[at : at + size]))
            at += size
        return spans


def _checksum(body: bytes) -> int:
    return crc32(body, crc32(len(body).to_bytes(4, "big")))
