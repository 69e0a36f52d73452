# SPDX-License-Identifier: Apache-2.0
"""CREATE FILE, ERASE DF, WRITE KEY: how a card is made from nothing (card facts 3.1, 3.2).

CREATE FILE 80E0 with the file identifier in P1 P2. FMCOS leaves some bytes at FF; this card gives them a
meaning, and FF in them is FMCOS:

    MF       38 size2 create1 erase1 dirSfi1 algorithm1 version1 transportCode(5..8) [name]
    DF       38 size2 create1 erase1 appFile1 algorithm1 version1 name(5..16)
    EF       type size2 read1 write1 protected1 sm1
    key file 3F size2 sfi1 add1 FF FF
    purse    2F 0208 use1 00 loadLogSfi1 logSfi1 [cap4]

`algorithm` is the suite of the directory's administrative keys (FF or 00: 3DES, 01: SM4), `version` is shown
in the FCI, `protected` the right to write under a MAC (FF: the write right), `loadLogSfi` a log of its own
for loads, `cap` the highest balance. A transport code with a name behind it has 8 bytes. The DF that was
created is current, as the vendor's script wants it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.card.access import allowed, deciphered, message_key, verify_message
from citycard.core.card.apps.filing import unguarded
from citycard.core.card.atomic import Change, cells_up
from citycard.core.card.body import BODY, NO_CAP, new_body
from citycard.core.card.files import (
    KIND_MASK,
    LEVELS_MAX,
    MF_FID,
    MF_SLOT,
    NAME_MAX,
    PLAIN_WHEN_FF,
    Directory,
    File,
    Kind,
)
from citycard.core.card.image import (
    IMAGE_HEAD,
    TRANSPORT_CODE,
    add_node,
    below,
    extent,
    free_place,
    free_slot,
    remove_nodes,
)
from citycard.core.card.keyfile import (
    COUNTED,
    HEAD_SIZE,
    PIN_SIZE,
    PIN_SIZES,
    TYPE_MASK,
    TYPES,
    VERSIONED,
    Key,
    KeyType,
    administrative_suite,
    index_keys,
    key_record,
)
from citycard.core.card.state import VOID, Answer, Chip, Entry, Table, Traits
from citycard.core.crypto import KEY_SIZE, SUITES, Suite, same

MF_NAME: Final = b"1PAY.SYS.DDF01"
DF_HEAD, EF_SIZE, CAPPED_SIZE = 8, 7, 11
CODE_SIZES: Final = range(5, 9)
NAME_SIZES: Final = range(5, NAME_MAX + 1)
PURSE_SIZE_FIELD: Final = b"\x02\x08"
PURSE_SFIS: Final = frozenset({1, 2, 3})  # ED, EP, EP of the second ticket
UNUSED: Final = 0xFF
ADD: Final = 0x01  # P1 of WRITE KEY: a key that is not there yet; otherwise the type of the key to replace
RECORD_HEAD: Final = 5
DES_KEY_SIZES: Final = (8, KEY_SIZE)


# CREATE FILE


def create_file(chip: Chip, command: Command) -> Answer:
    """CREATE FILE: a directory, an elementary file, the key file or a purse, all or nothing.

    In this order: 6A80 malformed, 6982 no right to create here, 6A86 there already, 6985 not here, 6A84 no
    space.
    """
    fid, data = command.p1 << 8 | command.p2, command.data
    current = chip.session.directory
    if len(data) < EF_SIZE:
        return SW.WRONG_LENGTH
    if fid == MF_FID:
        return _create_mf(chip, data)
    if current is VOID:
        return SW.CONDITIONS_OF_USE
    made = _directory(current, fid, data) if data[0] == Kind.DIRECTORY else _file(chip, current, fid, data)
    if isinstance(made, SW):
        return made
    if not allowed(current.create, chip.session):
        return SW.SECURITY_STATUS
    fault = _unfit(chip, current, made)
    return fault if fault is not None else _add(chip, made, _first_content(made, data))


def _create_mf(chip: Chip, data: bytes) -> Answer:
    """CREATE FILE of the MF, which needs the transport code; without a name it gets the usual one."""
    code, name = data[DF_HEAD : DF_HEAD + 8], data[DF_HEAD + 8 :] or MF_NAME
    if data[0] != Kind.DIRECTORY or len(code) not in CODE_SIZES or len(name) not in NAME_SIZES:
        return SW.WRONG_DATA
    if chip.directories:
        return SW.WRONG_P1P2
    stored = bytes(chip.memory.unpack(IMAGE_HEAD, 0)[6])
    if not same(code.ljust(len(TRANSPORT_CODE), b"\xff"), stored):
        return SW.SECURITY_STATUS
    made = _directory(VOID, MF_FID, data[:DF_HEAD] + name)
    return made if isinstance(made, SW) else _add(chip, made, b"")


def _directory(parent: Directory, fid: int, data: bytes) -> Directory | SW:
    """The directory that CREATE FILE's data describe, without its place yet."""
    name = data[DF_HEAD:]
    if len(name) not in NAME_SIZES:
        return SW.WRONG_DATA
    size, create, erase, app_file = data[1] << 8 | data[2], *data[3:6]
    algorithm, version = (0 if byte == UNUSED else byte for byte in data[6:DF_HEAD])
    if algorithm not in SUITES:
        return SW.WRONG_DATA
    slot = max(parent.slot, MF_SLOT)
    return Directory(0, slot, fid, algorithm, size, 0, create, erase, version, app_file, name)


def _file(chip: Chip, parent: Directory, fid: int, data: bytes) -> File | SW:
    """The elementary file that CREATE FILE's data describe, without its place yet."""
    kind, size = data[0] & KIND_MASK, data[1] << 8 | data[2]
    plain_type = data[0] == kind
    if len(data) != EF_SIZE and not (kind == Kind.PURSE and len(data) == CAPPED_SIZE):
        return SW.WRONG_LENGTH
    count, length = 1, size
    read, write, protected, sm = data[3:EF_SIZE]
    log_sfi, wide = 0, False
    if kind == Kind.KEYS and plain_type:
        read, write, protected, sm = 0xEF, data[4], PLAIN_WHEN_FF, UNUSED
    elif kind == Kind.PURSE and plain_type:
        if data[1:3] != PURSE_SIZE_FIELD or fid & 0x1F not in PURSE_SFIS:
            return SW.WRONG_DATA
        length, write, protected, log_sfi = BODY.size, 0xEF, PLAIN_WHEN_FF, data[6]
        sm = data[5]
    elif kind in (Kind.FIXED, Kind.CYCLIC):
        count, length = divmod(size, 256)
        if count < 2 or not length:
            return SW.WRONG_DATA
    elif kind == Kind.VARIABLE:
        wide = bool(chip.traits & Traits.WIDE_RECORDS)
    elif kind != Kind.TRANSPARENT:
        return SW.WRONG_DATA
    if not length:
        return SW.WRONG_DATA
    return File(
        0, kind, parent.slot, fid, data[0], count, length, 0, read, write, protected, sm, log_sfi, wide
    )  # fmt: skip


def _unfit(chip: Chip, current: Directory, made: Directory | File) -> SW | None:
    """Why this file cannot be created here although it is well formed."""
    siblings = [found for found in below(chip.tree, current) if found.parent == current.slot]
    if any(found.fid == made.fid or _same_sfi(found, made) for found in siblings):
        return SW.WRONG_P1P2
    if isinstance(made, Directory):
        if any(directory.name == made.name for directory in chip.directories) or made.name in chip.areas:
            return SW.WRONG_P1P2
        return SW.CONDITIONS_OF_USE if current.level >= LEVELS_MAX else None
    if made.kind == Kind.KEYS and any(isinstance(found, File) for found in siblings):
        return SW.CONDITIONS_OF_USE  # the key file comes first
    return None


def _same_sfi(one: Directory | File, other: Directory | File) -> bool:
    """Whether two files of one directory share a short identifier, so that one would hide the other."""
    files = isinstance(one, File) and isinstance(other, File) and Kind.KEYS not in (one.kind, other.kind)
    return files and one.fid & 0x1F == other.fid & 0x1F


def _first_content(made: Directory | File, data: bytes) -> bytes:
    """What a new file holds: blank, but for a purse's cap."""
    if isinstance(made, Directory) or made.kind != Kind.PURSE:
        return b""
    cap_fen = int.from_bytes(data[EF_SIZE:], "big") if len(data) == CAPPED_SIZE else NO_CAP
    return BODY.pack(*new_body(min(cap_fen, NO_CAP)))


def _add(chip: Chip, made: Directory | File, content: bytes) -> Answer:
    slot, place = free_slot(chip.memory, chip.tree), free_place(chip.memory, chip.tree, extent(made))
    if slot is None or place is None:
        return SW.NO_SPACE
    placed = _placed(made, slot, place)
    add_node(chip.memory, chip.journal, placed, content)
    session = chip.session
    state, mf_state, free = session.state, session.mf_state, session.free
    if isinstance(made, Directory):
        chip.read_structure(slot)
        session.state, session.free = 0, True
        session.mf_state = 0 if slot == MF_SLOT else mf_state
    else:
        chip.read_structure(session.directory.slot)
        session.state, session.free = state, free  # a new key file guards from the next SELECT on
    return b""


def _placed(made: Directory | File, slot: int, place: int) -> Directory | File:
    if isinstance(made, Directory):
        parent = slot if slot == MF_SLOT else made.parent
        made.slot, made.parent, made.body = slot, parent, place
        return made
    return replace(made, slot=slot, body=place)


def erase_df(chip: Chip, command: Command) -> Answer:
    """ERASE DF: everything below the current directory goes, all or nothing; itself and its rights stay."""
    directory = chip.session.directory
    if command.data:
        return SW.WRONG_LENGTH
    if not allowed(directory.erase, chip.session):
        return SW.SECURITY_STATUS
    doomed = below(chip.tree, directory)
    if doomed:
        remove_nodes(chip.memory, chip.journal, doomed)
        chip.read_structure(directory.slot)
    chip.session.free = unguarded(chip.session.directory)
    return b""


# WRITE KEY


def write_key(chip: Chip, command: Command) -> Answer:
    """WRITE KEY in plain: P1 = 01 adds a key, otherwise it is the type to replace; P2 is the key's id.

    Adding needs the key file's right; replacing the key's own, and 6987 when its type wants protection.
    """
    return _write(chip, command, command.data, 0)


def write_key_secured(chip: Chip, command: Command) -> Answer:
    """WRITE KEY with a MAC under the directory's control key 39 id 00, plain or enciphered as well.

    The MAC is right enough to add and to replace any key: no state is asked (vectors F, H). Enciphered, the
    plaintext is the record's length and the record (type, use, change, two parameters, key), padded when
    ragged; so its length tells the two forms apart.
    """
    control = message_key(chip, KeyType.CONTROL)
    if isinstance(control, SW):
        return control
    data = verify_message(chip, command, KeyType.CONTROL)
    if isinstance(data, SW):
        return data
    if len(data) % control.suite.block:
        if len(data) not in PLAIN_RECORDS:
            return SW.WRONG_LENGTH
        return _write(chip, command, data, MAC_ONLY)
    if not data:
        return SW.WRONG_LENGTH
    record = deciphered(control, data)
    return SW.WRONG_DATA if record is None else _write(chip, command, record, ENCIPHERED)


MAC_ONLY, ENCIPHERED = 1, 2  # how well a WRITE KEY is protected; 0: not at all
PLAIN_RECORDS: Final = frozenset({13, 21} | {RECORD_HEAD + size for size in PIN_SIZES})


def wanted_protection(type_: int) -> int:
    """How a key must be replaced, by the two top bits of its type byte (facts 3.2).

    Both: enciphered with a MAC, as all sources say. One alone: with a MAC; sources differ on which bit
    means what.
    """
    return {0x00: 0, 0xC0: ENCIPHERED}.get(type_ & 0xC0, MAC_ONLY)


def _write(chip: Chip, command: Command, record: bytes, protection: int) -> Answer:
    directory = chip.session.directory
    if directory.key_file is None:
        return SW.CONDITIONS_OF_USE
    head, value = record[:RECORD_HEAD], record[RECORD_HEAD:]
    if not _fits(directory, command.p2, head, value):
        return SW.WRONG_DATA
    type_ = head[0] & TYPE_MASK
    if type_ == KeyType.PIN:
        value = value.ljust(PIN_SIZE, b"\xff")
    old = directory.keys.get((type_, command.p2))
    if command.p1 == ADD:
        if not protection and not allowed(directory.key_file.write, chip.session):
            return SW.SECURITY_STATUS
        return SW.WRONG_P1P2 if old is not None else _store(chip, directory, command.p2, head, value)
    if command.p1 & TYPE_MASK != type_:
        return SW.WRONG_DATA
    if old is None:
        return SW.KEY_NOT_FOUND
    if not protection and not allowed(old.change, chip.session):
        return SW.SECURITY_STATUS
    if protection < wanted_protection(old.type) and not chip.session.free:
        return SW.SM_MISSING
    return _store(chip, directory, command.p2, head, value, old)


def _store(
    chip: Chip, directory: Directory, id_: int, head: bytes, value: bytes, old: Key | None = None
) -> Answer:
    assert directory.key_file is not None
    if old is None:
        taken = index_keys(chip.memory, directory)
        if taken + HEAD_SIZE + cells_up(len(value)) > directory.key_file.size:
            return SW.NO_SPACE
        address = directory.key_file.body + taken
    elif len(old.value) != len(value):
        return SW.WRONG_LENGTH
    else:
        address = old.address
    change = Change(chip.memory)
    change.write(address, key_record(id_, head, value))
    chip.journal.commit(change)
    index_keys(chip.memory, directory)
    return b""


def _fits(directory: Directory, id_: int, head: bytes, value: bytes) -> bool:
    """Whether the head names a key type and a cipher we have, with tries to lose, and the length suits it."""
    if len(head) < RECORD_HEAD or head[0] & TYPE_MASK not in TYPES:
        return False
    type_ = head[0] & TYPE_MASK
    if type_ in VERSIONED:
        suites = directory.suites
        return head[4] in suites and len(value) in _key_sizes(suites[head[4]])
    assert type_ in COUNTED
    sizes = PIN_SIZES if type_ == KeyType.PIN else _key_sizes(administrative_suite(directory, id_))
    return head[4] >> 4 >= head[4] & 0x0F > 0 and len(value) in sizes


def _key_sizes(suite: Suite) -> tuple[int, ...]:
    return DES_KEY_SIZES if suite.block == 8 else (KEY_SIZE,)


COMMANDS: Final[Table] = {
    0x80E0: Entry(create_file, bare=True),
    0x800E: {0x0000: Entry(erase_df)},
    0x80D4: Entry(write_key),
    0x84D4: Entry(write_key_secured),
}
