# SPDX-License-Identifier: Apache-2.0
"""SELECT, and reading and writing of files and records (card facts 1.1).

Writing in plain needs the file's write right. Writing with CLA 04 carries a MAC under the maintenance key
(36) and needs the file's protected right instead.
"""

from __future__ import annotations

from typing import Final

from citycard.core.apdu import SHORT_MAX, SW, Command, Response
from citycard.core.card.access import NEVER, allowed, verify_message
from citycard.core.card.atomic import Change
from citycard.core.card.files import (
    MF_FID,
    RECORD_KINDS,
    Directory,
    File,
    Kind,
    Life,
    append_record,
    record_address,
    record_identified,
    records_present,
)
from citycard.core.card.state import Answer, Chip, Entry, Table
from citycard.core.tlv import tlv

SECURED: Final = 0x04  # CLA of a command that carries a MAC
SFI_GIVEN: Final = 0x80  # P1 of READ and UPDATE BINARY: 100xxxxx
BY_NUMBER, BY_IDENTIFIER, PREVIOUS = 4, 0, 3  # low bits of P2 of the record commands
TAG_SIZE: Final = 2  # leading bytes of a variable record that rewriting must keep


# SELECT


def select_fid(chip: Chip, command: Command) -> Answer:
    """SELECT by file identifier: a file of the current directory, an application, or the MF."""
    fid = int.from_bytes(command.data, "big")
    file = chip.session.directory.files.get(fid & 0x1F)
    if file is not None and file.fid == fid:
        chip.session.file = file
        return b""
    for directory in chip.directories:
        if directory.fid == fid:
            return _enter(chip, directory)
    return SW.FILE_NOT_FOUND


def select_name(chip: Chip, command: Command) -> Answer:
    """SELECT by name, whole or its beginning; P2 = 02 asks for the next application that fits."""
    name = command.data
    if not 1 <= len(name) <= 16:
        return SW.WRONG_LENGTH
    fitting = [d for d in chip.directories if d.name.startswith(name)]
    if command.p2 == 0x02:
        fitting = [d for d in fitting if d.index > chip.session.directory.index]
    return _enter(chip, fitting[0]) if fitting else SW.FILE_NOT_FOUND


def _enter(chip: Chip, directory: Directory) -> Answer:
    """Make a directory current; 6283 with the FCI when blocked for now, 9303 when for ever (T-Union)."""
    life = directory.life(chip.memory)
    if life == Life.DEAD:
        return SW.PERMANENTLY_BLOCKED
    session = chip.session
    session.directory, session.file, session.state = directory, None, 0
    if directory.fid == MF_FID:
        session.mf_state = 0
    fci = _fci(chip, directory)
    return Response(fci, SW.FILE_INVALID) if life == Life.BLOCKED else fci


def _fci(chip: Chip, directory: Directory) -> bytes:
    """`6F{84 name, A5{9F08 version, 9F0C issuer data}}`, the issuer data read from its file (facts 4.2)."""
    inner = tlv(0x9F08, bytes((directory.version,))) if directory.version else b""
    file = directory.files.get(directory.fci_fid & 0x1F)
    if file is not None:
        inner += tlv(0x9F0C, chip.memory.read(file.body, file.length))
    return tlv(0x6F, tlv(0x84, directory.name) + tlv(0xA5, inner))


# Transparent files


def read_binary(chip: Chip, command: Command) -> Answer:
    """READ BINARY; Le 00 reads to the end, a longer Le answers 6Cxx with what there is."""
    found = _binary_at(chip, command)
    if isinstance(found, SW):
        return found
    file, offset = found
    if not allowed(file.read, chip.session):
        return SW.SECURITY_STATUS
    size = file.length - offset
    if size <= 0:
        return SW.WRONG_OFFSET
    wanted = command.le
    if wanted is None or wanted == SHORT_MAX:
        wanted = min(size, SHORT_MAX)
    elif wanted > SHORT_MAX:
        wanted = min(size, wanted)
    if wanted > size:
        return 0x6C00 | size
    return chip.memory.read(file.body + offset, wanted)


def update_binary(chip: Chip, command: Command) -> Answer:
    """UPDATE BINARY, in plain or with a MAC."""
    found = _binary_at(chip, command)
    if isinstance(found, SW):
        return found
    file, offset = found
    data = writable_data(chip, command, file)
    if isinstance(data, SW):
        return data
    if not data:
        return SW.WRONG_LENGTH
    if offset >= file.length:
        return SW.WRONG_OFFSET
    if offset + len(data) > file.length:
        return SW.NO_SPACE
    change = Change(chip.memory)
    change.write(file.body + offset, data)
    chip.journal.commit(change)
    return b""


def _binary_at(chip: Chip, command: Command) -> tuple[File, int] | SW:
    """The transparent file a command means, which becomes current, and the offset in it."""
    if command.p1 & SFI_GIVEN:
        if command.p1 & 0x60:
            return SW.WRONG_P1P2
        file, offset = chip.session.directory.files.get(command.p1 & 0x1F), command.p2
        if file is None:
            return SW.FILE_NOT_FOUND
    else:
        file, offset = chip.session.file, command.p1 << 8 | command.p2
        if file is None:
            return SW.NO_CURRENT_FILE
    if file.kind != Kind.TRANSPARENT:
        return SW.WRONG_FILE_TYPE
    chip.session.file = file
    return file, offset


def writable_data(chip: Chip, command: Command, file: File) -> bytes | SW:
    """What a command may write to a file: its data, freed of the MAC, or why it may not."""
    if command.cla == SECURED:
        if file.protected == NEVER or not allowed(file.protected, chip.session):
            return SW.SECURITY_STATUS
        return verify_message(chip, command)
    return command.data if allowed(file.write, chip.session) else SW.SECURITY_STATUS


# Records


def record_named(chip: Chip, p1: int, p2: int, appending: bool = False) -> tuple[File, int] | SW:
    """The file and record number that P1 and P2 mean; number 0 appends to a cyclic file.

    P2 is SFI * 8 + 4 with the record number in P1, SFI * 8 + 0 with the identifier of a variable record in
    P1, or, for writing, SFI * 8 + 0 or + 3 with P1 = 00 to append to a cyclic file. SFI 0 is the current
    file. Identifier of a T-Union industry record: the second byte of its tag, so 2701 is 01.
    """
    file = chip.session.directory.files.get(p2 >> 3) if p2 >> 3 else chip.session.file
    if file is None:
        return SW.FILE_NOT_FOUND if p2 >> 3 else SW.NO_CURRENT_FILE
    if file.kind not in RECORD_KINDS:
        return SW.WRONG_FILE_TYPE
    how = p2 & 0x07
    if how == BY_NUMBER:
        number = p1
    elif how == BY_IDENTIFIER and file.kind == Kind.VARIABLE:
        number = record_identified(chip.memory, file, p1)
    elif appending and p1 == 0 and how in (BY_IDENTIFIER, PREVIOUS) and file.kind == Kind.CYCLIC:
        return file, 0
    else:
        return SW.WRONG_P1P2
    if not 1 <= number <= records_present(chip.memory, file):
        return SW.RECORD_NOT_FOUND
    return file, number


def read_record(chip: Chip, command: Command) -> Answer:
    """READ RECORD by number, or by identifier in a file of variable records."""
    found = record_named(chip, command.p1, command.p2)
    if isinstance(found, SW):
        return found
    file, number = found
    if not allowed(file.read, chip.session):
        return SW.SECURITY_STATUS
    chip.session.file = file
    if command.le is not None and command.le < SHORT_MAX and command.le != file.length:
        return 0x6C00 | file.length
    return chip.memory.read(record_address(chip.memory, file, number), file.length)


def update_record(chip: Chip, command: Command) -> Answer:
    """UPDATE RECORD, in plain or with a MAC; `P1 = 00` appends to a cyclic file."""
    found = record_named(chip, command.p1, command.p2, appending=True)
    return found if isinstance(found, SW) else _write_record(chip, command, *found)


def append(chip: Chip, command: Command) -> Answer:
    """APPEND RECORD to a cyclic file; the others are full from the start (6A84)."""
    if command.p1 or command.p2 & 0x07:
        return SW.WRONG_P1P2
    file = chip.session.directory.files.get(command.p2 >> 3) if command.p2 else chip.session.file
    if file is None:
        return SW.FILE_NOT_FOUND if command.p2 else SW.NO_CURRENT_FILE
    if file.kind != Kind.CYCLIC:
        return SW.NO_SPACE if file.kind in RECORD_KINDS else SW.WRONG_FILE_TYPE
    return _write_record(chip, command, file, 0)


def _write_record(chip: Chip, command: Command, file: File, number: int) -> Answer:
    data = writable_data(chip, command, file)
    if isinstance(data, SW):
        return data
    misfit = record_misfit(chip, file, number, data)
    if misfit is not None:
        return misfit
    chip.session.file = file
    change = Change(chip.memory)
    put_record(change, file, number, data)
    chip.journal.commit(change)
    return b""


def record_misfit(chip: Chip, file: File, number: int, data: bytes) -> SW | None:
    """Why these bytes cannot become that record: 6700 another length, 6A80 another tag."""
    if len(data) != file.length:
        return SW.WRONG_LENGTH
    if file.kind == Kind.VARIABLE:
        stored = chip.memory.read(record_address(chip.memory, file, number), TAG_SIZE)
        if data[:TAG_SIZE] != stored:
            return SW.WRONG_DATA
    return None


def put_record(change: Change, file: File, number: int, data: bytes) -> None:
    """Gather the write of a record that fits; number 0 appends."""
    if number == 0:
        append_record(change, file, data)
    else:
        change.write(record_address(change.memory, file, number), data)


_READ_BINARY = Entry(read_binary, lc=0, blocked=True)
_READ_RECORD = Entry(read_record, lc=0, blocked=True)
_UPDATE_BINARY, _UPDATE_RECORD, _APPEND_RECORD = Entry(update_binary), Entry(update_record), Entry(append)
_BY_NAME = Entry(select_name, blocked=True)

COMMANDS: Final[Table] = {
    0x00A4: {0x0000: Entry(select_fid, lc=2, blocked=True), 0x0400: _BY_NAME, 0x0402: _BY_NAME},
    0x00B0: _READ_BINARY,
    0x00B2: _READ_RECORD,
    0x00D6: _UPDATE_BINARY,
    0x04D6: _UPDATE_BINARY,
    0x00D0: _UPDATE_BINARY,
    0x04D0: _UPDATE_BINARY,
    0x00DC: _UPDATE_RECORD,
    0x04DC: _UPDATE_RECORD,
    0x00D2: _UPDATE_RECORD,
    0x04D2: _UPDATE_RECORD,
    0x00E2: _APPEND_RECORD,
    0x04E2: _APPEND_RECORD,
}
