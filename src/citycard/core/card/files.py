# SPDX-License-Identifier: Apache-2.0
"""Files of the card: what the image declares about them, and where their bytes lie in the cells.

The image describes itself: a head, the journal, a table with one 32-byte entry per directory or file, then
the bodies, each starting on a cell of its own. Only the structure is kept parsed; contents are always read
from the cells. File type codes and access bytes follow FMCOS (card facts 3.1).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final
from zlib import crc32

from citycard.core.card.atomic import JOURNAL_AT, JOURNAL_SIZE, Change, Memory, cells_up
from citycard.core.problem import declare

CARD_IMAGE: Final = declare(
    "CARD_IMAGE",
    "This is no usable card image: {why}. Take another copy of it or make a new card.",
    "卡片映像无法使用：{why}。请换用其他副本，或重新制卡。",
)
MAGIC: Final = b"CCRD"
IMAGE_VERSION: Final = 1
IMAGE_HEAD: Final = struct.Struct(">4sBxHII7sx")  # magic, version, entries, CRC-32 of the table, size, UID
TABLE_AT: Final = JOURNAL_AT + JOURNAL_SIZE
DIRECTORY: Final = struct.Struct(">HBBBBHB16s3xI")  # fid kind index algorithm version fci name_size name body
ELEMENTARY: Final = struct.Struct(">HBBHHBBBBBBI14x")  # see `File`, in its order
ENTRY_SIZE: Final = 32
ENTRIES_MAX: Final = 64  # far above any profile; a damaged head may say anything
RING: Final = struct.Struct(">HH4x")  # of a cyclic file: slot that is written next, records present
RING_SIZE: Final = RING.size
MF_FID: Final = 0x3F00
assert DIRECTORY.size == ELEMENTARY.size == ENTRY_SIZE


class Kind(IntEnum):
    """File types (FMCOS)."""

    DIRECTORY = 0x38
    TRANSPARENT = 0x28
    FIXED = 0x2A
    VARIABLE = 0x2C
    CYCLIC = 0x2E
    PURSE = 0x2F
    KEYS = 0x3F


class Life(IntEnum):
    """States of an application; the first byte of its directory's body."""

    ACTIVE = 0
    BLOCKED = 1  # until APPLICATION UNBLOCK
    DEAD = 2  # blocked for ever


RECORD_KINDS: Final = frozenset({Kind.FIXED, Kind.VARIABLE, Kind.CYCLIC})
STAGEABLE: Final = 0x01  # option: UPDATE CAPP DATA CACHE may write it


@dataclass(frozen=True, slots=True)
class File:
    """One elementary file: its entry in the table, in the table's order."""

    fid: int
    kind: int
    directory: int  # index of its directory
    count: int  # records, or keys; 1 for a transparent file
    length: int  # bytes of one record, or of the file
    read: int  # access byte for reading
    write: int  # access byte for writing in plain
    protected: int  # access byte for writing under a secure-messaging MAC
    options: int
    identifier: int  # VARIABLE: which byte of a record identifies it
    log_sfi: int  # PURSE: the file that logs its transactions
    body: int  # address

    @property
    def sfi(self) -> int:
        """Short file identifier: the low five bits of the file identifier."""
        return self.fid & 0x1F

    @property
    def size(self) -> int:
        """Bytes the body takes in the image."""
        ring = RING_SIZE if self.kind == Kind.CYCLIC else 0
        return ring + self.count * cells_up(self.length)

    def slot(self, index: int) -> int:
        """Address of the record in a slot, counted from 0."""
        ring = RING_SIZE if self.kind == Kind.CYCLIC else 0
        return self.body + ring + index * cells_up(self.length)


@dataclass(slots=True)
class Directory:
    """A directory or application: its entry, its files by SFI, and an index of its loaded keys."""

    fid: int
    index: int
    algorithm: int  # suite of its administrative keys (36, 39)
    version: int  # application version shown in the FCI; 0: none
    fci_fid: int  # file shown in the FCI as issuer data; 0: none
    name: bytes
    body: int
    files: dict[int, File] = field(default_factory=dict)
    key_file: File | None = None
    purse: File | None = None
    keys: dict[tuple[int, int], int] = field(default_factory=dict)  # (type, id) -> address

    def life(self, memory: Memory) -> int:
        """Whether the application is active, blocked or dead."""
        return memory.read(self.body, 1)[0]


def entry_of(file: File) -> bytes:
    """The file's 32 bytes in the table."""
    return ELEMENTARY.pack(
        file.fid, file.kind, file.directory, file.count, file.length, file.read, file.write, file.protected,
        file.options, file.identifier, file.log_sfi, file.body,
    )  # fmt: skip


def directory_entry(directory: Directory) -> bytes:
    """The directory's 32 bytes in the table."""
    name = directory.name
    return DIRECTORY.pack(
        directory.fid, Kind.DIRECTORY, directory.index, directory.algorithm, directory.version,
        directory.fci_fid, len(name), name, directory.body,
    )  # fmt: skip


def image_head(table: bytes, size: int, uid: bytes) -> bytes:
    """The first bytes of an image."""
    return IMAGE_HEAD.pack(MAGIC, IMAGE_VERSION, len(table) // ENTRY_SIZE, crc32(table), size, uid)


def check_image(memory: Memory) -> bytes:
    """The file table of an image, which never changes; problem CARD_IMAGE when damaged or no image."""
    if len(memory) < TABLE_AT:
        raise CARD_IMAGE(why=f"{len(memory)} bytes")
    magic, version, entries, checksum, size, _ = memory.unpack(IMAGE_HEAD, 0)
    if magic != MAGIC or version != IMAGE_VERSION:
        raise CARD_IMAGE(why=f"it starts with {magic.hex()}, version {version}")
    table = memory.read(TABLE_AT, entries * ENTRY_SIZE)
    if size != len(memory) or entries > ENTRIES_MAX or crc32(table) != checksum:
        raise CARD_IMAGE(why="its size or its file table does not match its head")
    return table


def parse(table: bytes) -> list[Directory]:
    """The directories of an image from its file table, the MF first."""
    directories: list[Directory] = []
    for at in range(0, len(table), ENTRY_SIZE):
        if table[at + 2] == Kind.DIRECTORY:
            directories.append(_directory(table, at))
        else:
            _adopt(directories, File(*ELEMENTARY.unpack_from(table, at)))
    return directories


def _directory(table: bytes, at: int) -> Directory:
    fid, _, index, algorithm, version, fci_fid, name_size, name, body = DIRECTORY.unpack_from(table, at)
    return Directory(fid, index, algorithm, version, fci_fid, name[:name_size], body)


def _adopt(directories: list[Directory], file: File) -> None:
    directory = directories[file.directory]
    if file.kind == Kind.KEYS:
        directory.key_file = file
        return
    directory.files[file.sfi] = file
    if file.kind == Kind.PURSE:
        directory.purse = file


def records_present(memory: Memory, file: File) -> int:
    """How many records can be read: all of them, or in a cyclic file those written so far."""
    return int(memory.unpack(RING, file.body)[1]) if file.kind == Kind.CYCLIC else file.count


def record_address(memory: Memory, file: File, number: int) -> int:
    """Address of a record by number from 1; in a cyclic file record 1 is the newest."""
    if file.kind == Kind.CYCLIC:
        return file.slot((int(memory.unpack(RING, file.body)[0]) - number) % file.count)
    return file.slot(number - 1)


def record_identified(memory: Memory, file: File, identifier: int) -> int:
    """Number of the record with this identifier, 0 when there is none."""
    for index in range(file.count):
        if memory.read(file.slot(index) + file.identifier, 1)[0] == identifier:
            return index + 1
    return 0


def append_record(change: Change, file: File, data: bytes) -> None:
    """Gather the writes that make `data` the newest record of a cyclic file, over the oldest."""
    at, present = RING.unpack(change.read(file.body, RING_SIZE))
    change.write(file.slot(at), data)
    change.write(file.body, RING.pack((at + 1) % file.count, min(present + 1, file.count)))
