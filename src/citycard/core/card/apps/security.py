# SPDX-License-Identifier: Apache-2.0
"""Challenge, external authentication, key loading, blocking and unblocking (card facts 1.1, 1.4, 3.2)."""

from __future__ import annotations

from typing import Final

from citycard.core.apdu import SHORT_MAX, SW, Command
from citycard.core.card.access import message_key, tried, verify_message
from citycard.core.card.atomic import CELL, Change
from citycard.core.card.files import Life
from citycard.core.card.keyfile import (
    TYPE_MASK,
    TYPES,
    VERSIONED,
    KeyType,
    free_slot,
    index_keys,
    load_key,
    slot_bytes,
)
from citycard.core.card.state import Answer, Chip, Entry, Table
from citycard.core.crypto import KEY_SIZE, SUITES, Suite, pad80_if_ragged, same

CHALLENGE_SIZES: Final = {None: 4, 4: 4, 8: 8, SHORT_MAX: 8}
ADD: Final = 0x01  # P1 of WRITE KEY: a key that is not there yet; otherwise the type of the key to replace
HEAD_SIZE: Final = 5
DES_KEY_SIZES: Final = (8, KEY_SIZE)


def get_challenge(chip: Chip, command: Command) -> Answer:
    """4 or 8 random bytes, good for the next command only."""
    size = CHALLENGE_SIZES.get(command.le)
    if size is None:
        return SW.WRONG_LENGTH
    chip.session.issued = chip.random(size)
    return chip.session.issued


def external_authenticate(chip: Chip, command: Command) -> Answer:
    """The terminal enciphered the challenge under control key P2: take on the key's following state.

    One cipher block of data: the challenge padded with 00. In this order: 6A88 no such key, 6700 another
    length, 6984 no challenge just before, 6983 key blocked, 63Cx wrong with x tries left.
    """
    session = chip.session
    if command.p1:
        return SW.WRONG_P1P2
    key = load_key(chip.memory, session.directory, KeyType.CONTROL, command.p2)
    if key is None:
        return SW.KEY_NOT_FOUND
    if len(command.data) != key.suite.block:
        return SW.WRONG_LENGTH
    if session.challenge is None:
        return SW.NO_REFERENCE_DATA
    if key.blocked:
        return SW.KEY_BLOCKED
    block = session.challenge.ljust(key.suite.block, b"\x00")
    left = tried(chip, key, lambda: same(key.suite.encrypt(key.value, block), command.data))
    if left >= 0:
        return 0x63C0 | left
    session.state = key.third & 0x0F
    if session.directory.index == 0:
        session.mf_state = session.state
    return b""


def write_key(chip: Chip, command: Command) -> Answer:
    """WRITE KEY, enciphered and with a MAC, both under the directory's control key 39 id 00 (vectors F, H).

    P1 = 01 adds a key, otherwise it is the type to replace; P2 is the key's id. The plaintext is its length,
    five head bytes (type, use, change, two parameters) and the key, padded when ragged.
    """
    control = message_key(chip, KeyType.CONTROL)
    if isinstance(control, SW):
        return control
    cipher = verify_message(chip, command, KeyType.CONTROL)
    if isinstance(cipher, SW):
        return cipher
    suite = control.suite
    if not cipher or len(cipher) % suite.block:
        return SW.WRONG_LENGTH
    plain = suite.decrypt(control.value, cipher)
    record = plain[1 : 1 + plain[0]]
    if pad80_if_ragged(plain[:1] + record, suite.block) != plain:
        return SW.WRONG_DATA
    head, value = record[:HEAD_SIZE], record[HEAD_SIZE:]
    if not _fits(head, value, suite):
        return SW.WRONG_DATA
    return _store_key(chip, command, head, value)


def _fits(head: bytes, value: bytes, suite: Suite) -> bool:
    """Whether the head names a key type and a cipher we have, with tries to lose, and the length suits it."""
    if len(head) < HEAD_SIZE or head[0] & TYPE_MASK not in TYPES:
        return False
    if head[0] & TYPE_MASK in VERSIONED:
        return head[4] in SUITES and len(value) in _key_sizes(SUITES[head[4]])
    return head[4] >> 4 >= head[4] & 0x0F > 0 and len(value) in _key_sizes(suite)


def _key_sizes(suite: Suite) -> tuple[int, ...]:
    return DES_KEY_SIZES if suite.block == 8 else (KEY_SIZE,)


def _store_key(chip: Chip, command: Command, head: bytes, value: bytes) -> Answer:
    directory = chip.session.directory
    type_ = head[0] & TYPE_MASK
    address = directory.keys.get((type_, command.p2))
    if command.p1 == ADD:
        if address is not None:
            return SW.WRONG_P1P2  # as for a file that is there already
        address = free_slot(chip.memory, directory.key_file) if directory.key_file else None
        if address is None:
            return SW.NO_SPACE
    elif command.p1 & TYPE_MASK != type_:
        return SW.WRONG_DATA
    elif address is None:
        return SW.KEY_NOT_FOUND
    change = Change(chip.memory)
    change.write(address, slot_bytes(command.p2, head, value))
    chip.journal.commit(change)
    index_keys(chip.memory, directory)
    return b""


def application_block(chip: Chip, command: Command) -> Answer:
    """APPLICATION BLOCK, P2 = 00 until unblocked, 01 for ever; a MAC under the maintenance key proves it."""
    proven = verify_message(chip, command)
    if isinstance(proven, SW):
        return proven
    _live(chip, Life.DEAD if command.p2 else Life.BLOCKED)
    return b""


def application_unblock(chip: Chip, command: Command) -> Answer:
    """APPLICATION UNBLOCK; when the tries of the maintenance key run out here, blocked for ever: 9303."""
    if chip.session.directory.life(chip.memory) != Life.BLOCKED:
        return SW.CONDITIONS_OF_USE
    proven = verify_message(chip, command)
    if not isinstance(proven, SW):
        _live(chip, Life.ACTIVE)
        return b""
    if proven == SW.SM_INCORRECT and message_key(chip, KeyType.MAINTENANCE) == SW.KEY_BLOCKED:
        _live(chip, Life.DEAD)
        return SW.PERMANENTLY_BLOCKED
    return proven


def _live(chip: Chip, life: Life) -> None:
    change = Change(chip.memory)
    change.write(chip.session.directory.body, bytes((life,)).ljust(CELL, b"\x00"))
    chip.journal.commit(change)


_BLOCK = Entry(application_block, lc=4, blocked=True)

COMMANDS: Final[Table] = {
    0x0084: {0x0000: Entry(get_challenge, lc=0, blocked=True)},
    0x0082: Entry(external_authenticate),
    0x84D4: Entry(write_key),
    0x841E: {0x0000: _BLOCK, 0x0001: _BLOCK},
    0x8418: {0x0000: Entry(application_unblock, lc=4, blocked=True)},
}
