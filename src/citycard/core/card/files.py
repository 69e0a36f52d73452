# SPDX-License-Identifier: Apache-2.0
"""Files of the card: their entries in the image's table, and where their records lie in the cells.

A card holds directories (the MF first), elementary files and applets' areas; each has one 40-byte entry in
the table and a body on cells of its own. Only the structure is kept parsed; contents are always read from
the cells. File type codes and access bytes follow FMCOS (card facts 3.1).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from citycard.core.card.atomic import CELL, Change, Memory, cells_up

if TYPE_CHECKING:
    from citycard.core.card.keyfile import Key

ENTRY: Final = struct.Struct(">BBHBBBxHHIBBBBBBBB16s")  # see `File` and `Directory`
ENTRY_SIZE: Final = ENTRY.size
NAME_MAX: Final = 16
MF_SLOT: Final = 0
MF_FID: Final = 0x3F00
LEVELS_MAX: Final = 3  # MF, DF, DF in it
RING: Final = struct.Struct(">HH4x")  # of a cyclic file: slot that is written next, records present
COUNT: Final = struct.Struct(">H6x")  # of a fixed file: records present; of a variable one: bytes used
TALLY_SIZE: Final = CELL  # what precedes the records of any record file
assert RING.size == COUNT.size == TALLY_SIZE
assert ENTRY_SIZE % CELL == 0


class Kind(IntEnum):
    """File types (FMCOS), without the two bits that ask for secure messaging; and areas of applets."""

    DIRECTORY = 0x38
    TRANSPARENT = 0x28
    FIXED = 0x2A
    VARIABLE = 0x2C
    CYCLIC = 0x2E
    PURSE = 0x2F
    KEYS = 0x3F
    AREA = 0x20  # ours: the persistent bytes of an applet


class Life(IntEnum):
    """States of an application or, in the MF, of the card; the first byte of its directory's body."""

    ACTIVE = 0
    BLOCKED = 1  # until APPLICATION UNBLOCK
    DEAD = 2  # blocked for ever


KIND_MASK: Final = 0x3F
UNDER_MAC: Final = 0x80  # bits of a type byte: written only under a MAC,
ENCIPHERED: Final = 0x40  # and only enciphered (facts 3.1)
RECORD_KINDS: Final = frozenset({Kind.FIXED, Kind.VARIABLE, Kind.CYCLIC})
PLAIN_WHEN_FF: Final = 0xFF  # of `protected`: the write right holds with a MAC as without


@dataclass(frozen=True, slots=True)
class File:
    """One elementary file, as its entry in the table says."""

    slot: int  # of its entry
    kind: int
    parent: int  # slot of its directory
    fid: int
    type: int  # the type byte: kind and the bits UNDER_MAC and ENCIPHERED
    count: int  # records of a fixed or cyclic file, else 1
    length: int  # bytes of one record, or of the whole file
    body: int  # address
    read: int  # access byte for reading; of a purse, for using it; of a key file, unused
    write: int  # access byte for writing in plain; of a key file, for adding keys in plain
    protected: int  # access byte for writing under a MAC; FF: the same as in plain
    sm: int  # bit 8 clear: read under a MAC only; bits 4-3, 2-1: number of the read, write MAC key; of a
    # purse: the SFI of its load log, or FF
    log_sfi: int  # of a purse: the file that logs its transactions
    wide: bool  # of a variable file: tag and length of a record have two bytes each, not one

    @property
    def sfi(self) -> int:
        """Short file identifier: the low five bits of the file identifier."""
        return self.fid & 0x1F

    @property
    def size(self) -> int:
        """Bytes the body takes in the image."""
        if self.kind in (Kind.FIXED, Kind.CYCLIC):
            return TALLY_SIZE + self.count * cells_up(self.length)
        return (TALLY_SIZE if self.kind == Kind.VARIABLE else 0) + cells_up(self.length)

    def place(self, index: int) -> int:
        """Address of a record of a fixed or cyclic file, by its place counted from 0."""
        return self.body + TALLY_SIZE + index * cells_up(self.length)

    def entry(self) -> bytes:
        """The file's bytes in the table."""
        return ENTRY.pack(
            self.kind, self.parent, self.fid, self.type, 0, 0, self.count, self.length, self.body,
            self.read, self.write, self.protected, self.sm, self.log_sfi, self.wide, 0, 0, b"",
        )  # fmt: skip


@dataclass(slots=True)
class Directory:
    """A directory or application: its entry, its files by SFI, and its loaded keys."""

    slot: int
    parent: int
    fid: int
    algorithm: int  # suite of its administrative keys (36 to 3A)
    declared: int  # the size it was created with; room is not kept apart (facts 3.3: a DF of 036F bytes
    # holds a file of 05DC)
    body: int
    create: int  # access byte for creating files in it
    erase: int  # and for erasing them
    version: int  # application version shown in the FCI; FF or 00: none
    app_file: int  # with bit 8: SFI of the file shown in the FCI; without: SFI of the DIR file; 0: neither
    name: bytes
    life: Life = Life.ACTIVE
    chosen: int = 0  # dual-algorithm card: the suite it works with
    disabled: int = 0  # and a bit for each that is disabled for ever
    level: int = 1
    files: dict[int, File] = field(default_factory=dict)
    key_file: File | None = None
    purses: dict[int, File] = field(default_factory=dict)  # by SFI: 1 ED, 2 EP, 3 EP of a second ticket
    keys: dict[tuple[int, int], Key] = field(default_factory=dict)  # by (type, id)

    @property
    def purse(self) -> File | None:
        """The electronic purse (EP)."""
        return self.purses.get(2)

    def entry(self) -> bytes:
        """The directory's bytes in the table."""
        return ENTRY.pack(
            Kind.DIRECTORY, self.parent, self.fid, Kind.DIRECTORY, len(self.name), self.algorithm, 1,
            self.declared, self.body, self.create, self.erase, 0xFF, 0xFF, 0, 0, self.version, self.app_file,
            self.name,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Area:
    """The persistent bytes of an applet, found by its AID; read them from the memory, write by a `Change`."""

    slot: int
    name: bytes
    length: int
    body: int

    @property
    def size(self) -> int:
        """Bytes it takes in the image."""
        return cells_up(self.length)

    def read(self, memory: Memory, at: int = 0, size: int | None = None) -> bytes:
        """Bytes of the area, all of them by default."""
        size = self.length - at if size is None else size
        assert 0 <= at <= at + size <= self.length
        return memory.read(self.body + at, size)

    def write(self, change: Change, at: int, data: bytes) -> None:
        """Gather a write into the area."""
        assert 0 <= at <= at + len(data) <= self.length
        change.write(self.body + at, data)

    def entry(self) -> bytes:
        """The area's bytes in the table."""
        return ENTRY.pack(
            Kind.AREA, MF_SLOT, 0, Kind.AREA, len(self.name), 0, 1, self.length, self.body,
            0xEF, 0xEF, 0xEF, 0xFF, 0, 0, 0, 0, self.name,
        )  # fmt: skip


Node = Directory | File | Area


def node(table: bytes, slot: int) -> Node | None:
    """What the entry in a slot of the table declares, None when the slot is free."""
    (
        kind, parent, fid, type_, name_size, algorithm, count, length, body,
        read, write, protected, sm, log_sfi, options, version, app_file, name,
    ) = ENTRY.unpack_from(table, slot * ENTRY_SIZE)  # fmt: skip
    if kind == 0:
        return None
    if kind == Kind.DIRECTORY:
        return Directory(
            slot, parent, fid, algorithm, length, body, read, write, version, app_file, name[:name_size]
        )
    if kind == Kind.AREA:
        return Area(slot, name[:name_size], length, body)
    return File(
        slot, kind, parent, fid, type_, count, length, body, read, write, protected, sm, log_sfi,
        bool(options & 1),
    )  # fmt: skip


def adopt(directory: Directory, file: File) -> None:
    """Add a parsed file to its directory."""
    if file.kind == Kind.KEYS:
        directory.key_file = file
        return
    directory.files.setdefault(file.sfi, file)
    if file.kind == Kind.PURSE:
        directory.purses[file.sfi] = file


# Records


def records_present(memory: Memory, file: File) -> int:
    """How many records can be read: those written so far."""
    if file.kind == Kind.CYCLIC:
        return int(memory.unpack(RING, file.body)[1])
    if file.kind == Kind.FIXED:
        return int(memory.unpack(COUNT, file.body)[0])
    return sum(1 for _ in variable_records(memory, file))


def record_place(memory: Memory, file: File, number: int) -> tuple[int, int] | None:
    """Address and size of a record by number from 1, None when it is not there.

    In a cyclic file record 1 is the newest.
    """
    if number < 1:
        return None
    if file.kind == Kind.CYCLIC:
        following, present = memory.unpack(RING, file.body)
        return (file.place((following - number) % file.count), file.length) if number <= present else None
    if file.kind == Kind.FIXED:
        present = memory.unpack(COUNT, file.body)[0]
        return (file.place(number - 1), file.length) if number <= present else None
    for index, (address, size, _) in enumerate(variable_records(memory, file), 1):
        if index == number:
            return address, size
    return None


def record_identified(memory: Memory, file: File, identifier: int) -> int:
    """Number of the record of a variable file with this identifier, 0 when there is none."""
    for index, (_, _, found) in enumerate(variable_records(memory, file), 1):
        if found == identifier:
            return index
    return 0


def variable_records(memory: Memory, file: File) -> list[tuple[int, int, int]]:
    """Address, size and identifier of each record of a variable file.

    A record is tag, length, value: one byte of tag and length on FMCOS cards, where the tag identifies it;
    two of each on T-Union cards, where the tag's second byte does (2701 is 01; facts 3.1, 4.2).
    """
    used = memory.unpack(COUNT, file.body)[0]
    raw = memory.read(file.body + TALLY_SIZE, used)
    found: list[tuple[int, int, int]] = []
    at = 0
    while at < used:
        size, identifier = _extent(raw[at : at + 4], file.wide)
        found.append((file.body + TALLY_SIZE + at, size, identifier))
        at += size
    return found


def _extent(head: bytes, wide: bool) -> tuple[int, int]:
    """Size and identifier of a variable record from its first bytes."""
    if wide:
        return 4 + int.from_bytes(head[2:4], "big"), head[1]
    return 2 + head[1], head[0]


def well_formed(file: File, data: bytes) -> bool:
    """Whether these bytes are one record of a variable file: its length field says how many they are."""
    head = 4 if file.wide else 2
    return len(data) >= head and _extent(data[:4], file.wide)[0] == len(data)


def append_record(change: Change, file: File, data: bytes) -> bool:
    """Gather the writes that add a record; False when a fixed or variable file has no room for it.

    In a cyclic file the new record takes the place of the oldest.
    """
    if file.kind == Kind.CYCLIC:
        at, present = RING.unpack(change.read(file.body, TALLY_SIZE))
        change.write(file.place(at), data)
        change.write(file.body, RING.pack((at + 1) % file.count, min(present + 1, file.count)))
        return True
    tally = COUNT.unpack(change.read(file.body, TALLY_SIZE))[0]
    if file.kind == Kind.FIXED:
        if tally >= file.count:
            return False
        change.write(file.place(tally), data)
        change.write(file.body, COUNT.pack(tally + 1))
        return True
    if tally + len(data) > file.length:
        return False
    change.write(file.body + TALLY_SIZE + tally, data)
    change.write(file.body, COUNT.pack(tally + len(data)))
    return True
