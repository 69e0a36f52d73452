# SPDX-License-Identifier: Apache-2.0
"""Images of version 1, with their fixed file table, become images of today.

Version 1 had 32-byte entries side by side, variable records in slots, key slots of 24 bytes whose type had
lost its top bits, and one purse. What a reader sees stays as it was; a change that was interrupted in the
old image is finished first. Keys become such as are replaced under protection only, which is the only way
version 1 knew.
"""

from __future__ import annotations

import struct
from typing import Final
from zlib import crc32

from citycard.core.card.apps.purse import BODY
from citycard.core.card.atomic import CELL, Journal, Memory, cells_up
from citycard.core.card.files import COUNT, RING, Directory, File, Kind
from citycard.core.card.image import CARD_IMAGE, TABLE_AT, Builder, version_of
from citycard.core.card.keyfile import TYPE_MASK, key_record
from citycard.core.card.state import Traits

OLD_HEAD: Final = struct.Struct(">4sBxHII7sx")  # magic, version, entries, CRC-32 of the table, size, UID
OLD_DIRECTORY: Final = struct.Struct(
    ">HBBBBHB16s3xI"
)  # fid kind index algorithm version fci name_size name body
OLD_FILE: Final = struct.Struct(
    ">HBBHHBBBBBBI14x"
)  # fid kind directory count length read write protected ...
OLD_ENTRY: Final = 32
OLD_KEY: Final = 24
OLD_PURSE: Final = struct.Struct(">IHHIIBxH4s4s4x")
PROTECTED: Final = 0xC0
SPARE: Final = 8  # free slots that an upgraded card gets in its table
OLD_TRAITS: Final = Traits.BALANCES | Traits.BLOCK_TOLD | Traits.WIDE_RECORDS | Traits.EP_CREDIT


def upgraded(image: bytes) -> bytes:
    """An image of today from one of version 1; any other comes back as it is."""
    if version_of(image) != 1:
        return image
    memory = Memory(image)
    _, _, entries, checksum, size, uid = memory.unpack(OLD_HEAD, 0)
    table = memory.read(TABLE_AT, entries * OLD_ENTRY)
    if size != len(memory) or crc32(table) != checksum:
        raise CARD_IMAGE(why="its size or its file table does not match its head")
    Journal(memory).recover()
    new = Builder(entries + SPARE)
    try:
        _convert(memory, table, new)
    except (AssertionError, ValueError, IndexError, KeyError, struct.error):
        raise CARD_IMAGE(why="its file table contradicts itself") from None
    return new.image(0, OLD_TRAITS, uid)


def _convert(memory: Memory, table: bytes, new: Builder) -> None:
    slots: dict[int, int] = {}  # of directories, by their old index
    for slot in range(len(table) // OLD_ENTRY):
        if table[slot * OLD_ENTRY + 2] == Kind.DIRECTORY:
            fid, _, index, algorithm, version, fci, size, name, body = OLD_DIRECTORY.unpack_from(
                table, slot * OLD_ENTRY
            )
            slots[index] = slot
            app_file = 0x80 | fci & 0x1F if fci else 0
            made = Directory(
                slot, slots[0], fid, algorithm, 0, new.at, 0xEF, 0xEF, version, app_file, name[:size]
            )
            new.add(made, memory.read(body, CELL))
        else:
            row = OLD_FILE.unpack_from(table, slot * OLD_ENTRY)
            _convert_file(memory, row, slot, slots[row[2]], new)


def _convert_file(memory: Memory, row: tuple[int, ...], slot: int, parent: int, new: Builder) -> None:
    fid, kind, _, count, length, read, write, protected, _, _, log_sfi, body = row
    stride = cells_up(length)
    total, number, content = length, 1, memory.read(body, length)
    if kind == Kind.CYCLIC:
        total, number = length, count
        content = memory.read(body, RING.size + count * stride)
    elif kind == Kind.FIXED:
        number = count
        content = COUNT.pack(count) + memory.read(body, count * stride)
    elif kind == Kind.VARIABLE:
        records = b"".join(memory.read(body + i * stride, length) for i in range(count))
        total, content = len(records), COUNT.pack(len(records)) + records
    elif kind == Kind.KEYS:
        total, content = count * OLD_KEY, _keys(memory.read(body, count * OLD_KEY))
    elif kind == Kind.PURSE:
        read, total, content = 0xF0, BODY.size, _purse(memory.read(body, OLD_PURSE.size))
    file = File(
        slot, kind, parent, fid, kind, number, total, new.at, read, write, protected, 0xFF, log_sfi,
        kind == Kind.VARIABLE,
    )  # fmt: skip
    new.add(file, content)


def _keys(raw: bytes) -> bytes:
    records = b""
    for at in range(0, len(raw), OLD_KEY):
        type_, id_, *head = raw[at : at + 6]
        size = raw[at + 6]
        if type_:
            value = raw[at + 8 : at + 8 + size]
            records += key_record(id_, bytes((type_ & TYPE_MASK | PROTECTED, *head)), value)
    return records


def _purse(raw: bytes) -> bytes:
    balance_fen, online, offline, cap, overdraft, txn, serial, mac, tac = OLD_PURSE.unpack(raw)
    return BODY.pack(balance_fen, online, offline, cap, overdraft, txn, serial, mac, tac)
