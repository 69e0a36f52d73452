# SPDX-License-Identifier: Apache-2.0
"""SELECT, GET RESPONSE, and reading and writing of files and records (card facts 1.1, 1.7).

With CLA 04 a command carries a MAC under the maintenance key (36), and a read is answered with one; a file
may want that, and enciphering, by its type and its SM byte (facts 3.1, 3.2).
"""

from __future__ import annotations

from typing import Final

from citycard.core.apdu import SHORT_MAX, SW, Command, Response
from citycard.core.card.access import answered, readable, written_data
from citycard.core.card.atomic import Change
from citycard.core.card.files import (
    MF_SLOT,
    RECORD_KINDS,
    Directory,
    File,
    Kind,
    Life,
    append_record,
    record_identified,
    record_place,
    well_formed,
)
from citycard.core.card.state import VOID, Answer, Chip, Entry, Table, Traits
from citycard.core.tlv import tlv

SFI_GIVEN: Final = 0x80  # P1 of READ and UPDATE BINARY: 100xxxxx
BY_NUMBER, BY_IDENTIFIER, PREVIOUS = 4, 0, 3  # low bits of P2 of the record commands
GET_RESPONSE: Final = 0xC0
SECURED_MAX: Final = 239  # bytes that fit an answer under secure messaging: the card's buffer (facts 1)
ISSUER_DATA_SIZE: Final = 30  # of a longer EF15 the FCI carries the first 30 bytes (facts 4.1)
NO_VERSION: Final = (0x00, 0xFF)


# SELECT


def select_fid(chip: Chip, command: Command) -> Answer:
    """SELECT by file identifier: a file of the current directory, or a directory near it.

    Near are, in this order, its children, itself and its siblings, its parent, the MF.
    """
    fid = int.from_bytes(command.data, "big")
    current = chip.session.directory
    file = current.files.get(fid & 0x1F)
    if file is not None and file.fid == fid and chip.session.applet is None:
        chip.session.file = file
        return b""
    near = (current.slot, current.parent, MF_SLOT)
    for parent in near:
        for directory in chip.directories:
            if directory.fid == fid and (directory.parent == parent or directory.slot == parent):
                return enter(chip, directory)
    return SW.FILE_NOT_FOUND


def select_name(chip: Chip, command: Command) -> Answer:
    """SELECT by name, whole or its beginning; P2 = 02 asks for the next directory that fits."""
    name = command.data
    if not name:
        return _enter_applet(chip, command, name)
    if len(name) > 16:
        return SW.WRONG_LENGTH
    after = chip.session.directory.slot if command.p2 == 0x02 else -1
    for directory in chip.directories:
        if directory.slot > after and directory.name.startswith(name):
            return enter(chip, directory)
    return _enter_applet(chip, command, name)


def _enter_applet(chip: Chip, command: Command, name: bytes) -> Answer:
    for aid, applet in chip.applets.items():
        if aid.startswith(name) and aid in chip.areas and command.p2 == 0:
            _forget(chip, chip.root)
            chip.session.applet = applet
            return applet.select(chip, command)
    return SW.FILE_NOT_FOUND if name else SW.WRONG_LENGTH


def enter(chip: Chip, directory: Directory) -> Answer:
    """Make a directory current and answer its FCI; how a blocked one answers is a trait (facts 1.4)."""
    told = chip.traits & Traits.BLOCK_TOLD
    if directory.life == Life.DEAD:
        return SW.PERMANENTLY_BLOCKED if told else SW.NOT_SUPPORTED
    _forget(chip, directory)
    if directory.slot == MF_SLOT:
        chip.session.mf_state = 0
    if directory.life == Life.BLOCKED:
        return Response(fci(chip, directory), SW.FILE_INVALID) if told else SW.NOT_SUPPORTED
    return fci(chip, directory)


def _forget(chip: Chip, directory: Directory) -> None:
    """Stand in a directory with nothing proven in it: what was granted elsewhere does not follow."""
    session = chip.session
    session.directory, session.file, session.state = directory, None, 0
    session.free = unguarded(directory)
    session.applet = session.applet_state = session.pending = None


def unguarded(directory: Directory) -> bool:
    """Whether everything in a directory is free, having no key file (facts 3.1)."""
    return directory is not VOID and directory.key_file is None


def fci(chip: Chip, directory: Directory) -> bytes:
    """`6F{84 name, A5{9F08 version, 9F0C issuer data | 88 SFI of the DIR file}}` (facts 1.1, 4.2)."""
    inner = b"" if directory.version in NO_VERSION else tlv(0x9F08, bytes((directory.version,)))
    sfi = directory.app_file & 0x1F
    file = directory.files.get(sfi)
    if directory.app_file & 0x80:
        if file is not None and file.kind == Kind.TRANSPARENT:
            inner += tlv(0x9F0C, chip.memory.read(file.body, min(file.length, ISSUER_DATA_SIZE)))
    elif sfi and directory.app_file != 0xFF:
        inner += tlv(0x88, bytes((sfi,)))
    return tlv(0x6F, tlv(0x84, directory.name) + tlv(0xA5, inner))


def get_response(chip: Chip, command: Command) -> Answer:
    """What waits for it (T=0): so many bytes as asked; 61xx while more wait, 6Cxx when there are fewer."""
    waiting = chip.session.response
    if not waiting:
        return SW.CONDITIONS_OF_USE
    wanted = min(command.le or SHORT_MAX, SHORT_MAX)
    if wanted == SHORT_MAX:
        wanted = min(len(waiting), SHORT_MAX)
    if wanted > len(waiting):
        return 0x6C00 | len(waiting)
    part, rest = waiting[:wanted], waiting[wanted:]
    chip.session.response = rest
    return Response(part, 0x6100 | (len(rest) & 0xFF)) if rest else part


# Transparent files


def read_binary(chip: Chip, command: Command) -> Answer:
    """READ BINARY; Le 00 reads to the end, a longer Le answers 6Cxx with what there is."""
    found = _binary_at(chip, command)
    if isinstance(found, SW):
        return found
    file, offset = found
    key = readable(chip, command, file)
    if isinstance(key, SW):
        return key
    size = file.length - offset
    if size <= 0:
        return SW.WRONG_OFFSET
    wanted = command.le
    if wanted is None or wanted == SHORT_MAX:
        wanted = min(size, SHORT_MAX if key is None else SECURED_MAX)
    elif wanted > SHORT_MAX:
        wanted = min(size, wanted if key is None else SECURED_MAX)
    if wanted > size:
        return 0x6C00 | size
    return answered(chip, file, key, chip.memory.read(file.body + offset, wanted))


def update_binary(chip: Chip, command: Command) -> Answer:
    """UPDATE BINARY, in plain or under secure messaging."""
    found = _binary_at(chip, command)
    if isinstance(found, SW):
        return found
    file, offset = found
    data = written_data(chip, command, file)
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


# Records


def record_named(chip: Chip, p1: int, p2: int, appending: bool = False) -> tuple[File, int] | SW:
    """The file and record number that P1 and P2 mean; number 0 appends.

    P2 is SFI * 8 + 4 with the record number in P1, SFI * 8 + 0 with the identifier of a variable record in
    P1, or, for writing, SFI * 8 + 0 or + 3 with P1 = 00 to append to a cyclic file. SFI 0 is the current
    file.
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
    if record_place(chip.memory, file, number) is None:
        return SW.RECORD_NOT_FOUND
    return file, number


def read_record(chip: Chip, command: Command) -> Answer:
    """READ RECORD by number, or by identifier in a file of variable records."""
    found = record_named(chip, command.p1, command.p2)
    if isinstance(found, SW):
        return found
    file, number = found
    key = readable(chip, command, file)
    if isinstance(key, SW):
        return key
    place = record_place(chip.memory, file, number)
    assert place is not None
    chip.session.file = file
    address, size = place
    if command.le is not None and command.le < SHORT_MAX and command.le != size:
        return 0x6C00 | size
    return answered(chip, file, key, chip.memory.read(address, size))


def update_record(chip: Chip, command: Command) -> Answer:
    """UPDATE RECORD, in plain or under secure messaging; `P1 = 00` appends to a cyclic file."""
    found = record_named(chip, command.p1, command.p2, appending=True)
    return found if isinstance(found, SW) else _write_record(chip, command, *found)


def append(chip: Chip, command: Command) -> Answer:
    """APPEND RECORD: over the oldest of a cyclic file, behind the last of the others while there is room."""
    suites = 2 if chip.traits & Traits.DUAL_ALGORITHM else 1  # P1 names the MAC's (facts 1.4)
    if command.p1 >= suites or command.p2 & 0x07:
        return SW.WRONG_P1P2
    file = chip.session.directory.files.get(command.p2 >> 3) if command.p2 else chip.session.file
    if file is None:
        return SW.FILE_NOT_FOUND if command.p2 else SW.NO_CURRENT_FILE
    if file.kind not in RECORD_KINDS:
        return SW.WRONG_FILE_TYPE
    return _write_record(chip, command, file, 0)


def _write_record(chip: Chip, command: Command, file: File, number: int) -> Answer:
    data = written_data(chip, command, file)
    if isinstance(data, SW):
        return data
    misfit = record_misfit(chip, file, number, data)
    if misfit is not None:
        return misfit
    chip.session.file = file
    change = Change(chip.memory)
    if not put_record(change, file, number, data):
        return SW.NO_SPACE
    chip.journal.commit(change)
    return b""


def record_misfit(chip: Chip, file: File, number: int, data: bytes) -> SW | None:
    """Why these bytes cannot become that record: 6700 another length, 6A80 another tag or no record."""
    if file.kind != Kind.VARIABLE:
        return None if len(data) == file.length else SW.WRONG_LENGTH
    if number == 0:
        return None if well_formed(file, data) else SW.WRONG_DATA
    place = record_place(chip.memory, file, number)
    assert place is not None
    address, size = place
    if len(data) != size:
        return SW.WRONG_LENGTH
    head = 4 if file.wide else 2  # tag and length: rewriting keeps them
    return None if data[:head] == chip.memory.read(address, head) else SW.WRONG_DATA


def put_record(change: Change, file: File, number: int, data: bytes) -> bool:
    """Gather the write of a record that fits; number 0 appends; False when there is no room."""
    if number == 0:
        return append_record(change, file, data)
    place = record_place(change.memory, file, number)
    assert place is not None
    change.write(place[0], data)
    return True


_UPDATE_BINARY, _UPDATE_RECORD, _APPEND_RECORD = Entry(update_binary), Entry(update_record), Entry(append)
_BY_NAME = Entry(select_name, blocked=True, bare=True)

COMMANDS: Final[Table] = {
    0x00A4: {
        0x0000: Entry(select_fid, lc=2, blocked=True, bare=True),
        0x0400: _BY_NAME,
        0x0402: _BY_NAME,
    },
    0x00C0: {0x0000: Entry(get_response, lc=0, continues=True, blocked=True)},
    0x00B0: Entry(read_binary, lc=0, blocked=True),
    0x04B0: Entry(read_binary, blocked=True),
    0x00B2: Entry(read_record, lc=0, blocked=True),
    0x04B2: Entry(read_record, blocked=True),
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
