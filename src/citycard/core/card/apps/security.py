# SPDX-License-Identifier: Apache-2.0
"""Challenge, authentication both ways, and PINs (card facts 1.1, 1.4, 3.2)."""

from __future__ import annotations

from typing import Final

from citycard.core.apdu import SHORT_MAX, SW, Command
from citycard.core.card.access import allowed, current_algorithm, deciphered, tried, verified
from citycard.core.card.atomic import Change
from citycard.core.card.keyfile import (
    COUNTER_OFFSET,
    HEAD_SIZE,
    PIN_SIZE,
    PIN_SIZES,
    TWIN,
    Key,
    KeyType,
    index_keys,
)
from citycard.core.card.state import Answer, Chip, Entry, Table, Traits
from citycard.core.crypto import MAC_SIZE, SM4_SUITE, same
from citycard.core.purse import pin_mac

CHALLENGE_SIZES: Final = {None: 4, 4: 4, 8: 8, SHORT_MAX: 8}
PIN_PAD: Final = 0xFF  # between the old and the new PIN, and behind a short one
ENCRYPT, DECRYPT, MAC = 0, 1, 2  # P1 of INTERNAL AUTHENTICATE
CIPHER_KEYS: Final = {ENCRYPT: KeyType.ENCRYPT, DECRYPT: KeyType.DECRYPT, MAC: KeyType.MAC}


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
    length, 6982 its use right, 6984 no challenge just before, 6983 key blocked, 63Cx wrong with x tries left.
    """
    session = chip.session
    if command.p1:
        return SW.WRONG_P1P2
    key = _numbered(chip, KeyType.CONTROL, command.p2)
    if key is None:
        return SW.KEY_NOT_FOUND
    if len(command.data) != key.suite.block:
        return SW.WRONG_LENGTH
    if not allowed(key.use, session):
        return SW.SECURITY_STATUS
    if session.challenge is None:
        return SW.NO_REFERENCE_DATA
    if key.blocked:
        return SW.KEY_BLOCKED
    block = session.challenge.ljust(key.suite.block, b"\x00")
    left = tried(chip, key, lambda: same(key.suite.encrypt(key.value, block), command.data))
    if left >= 0:
        return 0x63C0 | left
    _reach(chip, key)
    return b""


def _numbered(chip: Chip, type_: int, id_: int) -> Key | None:
    """An administrative key by its id; its SM4 twin while a dual-algorithm card works with SM4."""
    keys = chip.session.directory.keys
    if chip.traits & Traits.DUAL_ALGORITHM and current_algorithm(chip) == SM4_SUITE.id:
        return keys.get((type_, id_ | TWIN))
    return keys.get((type_, id_))


def _reach(chip: Chip, key: Key) -> None:
    """Take on the state that follows a key or a PIN: the low digit of its parameter."""
    session = chip.session
    session.state = key.third & 0x0F
    if session.directory is chip.root:
        session.mf_state = session.state


def internal_authenticate(chip: Chip, command: Command) -> Answer:
    """The card proves a key: P1 00 enciphers whole blocks, 01 deciphers them, 02 gives a MAC over the data.

    With cipher keys 30, 31, 32 by P1; the TAC key is not among them, or anybody could make TACs.
    """
    type_ = CIPHER_KEYS.get(command.p1)
    if type_ is None:
        return SW.WRONG_P1P2
    key = chip.session.directory.keys.get((type_, command.p2))
    if key is None:
        return SW.KEY_NOT_FOUND
    if not allowed(key.use, chip.session):
        return SW.SECURITY_STATUS
    if not command.data or (type_ != KeyType.MAC and len(command.data) % key.suite.block):
        return SW.WRONG_LENGTH
    if type_ == KeyType.ENCRYPT:
        return key.suite.encrypt(key.value, command.data)
    if type_ == KeyType.DECRYPT:
        return key.suite.decrypt(key.value, command.data)
    return key.suite.message_mac(key.value, command.data, bytes(8))


# PINs


def verify_pin(chip: Chip, command: Command) -> Answer:
    """VERIFY PIN P2: take on its following state. 6A88 no such PIN, 6982, 6983 blocked, 63Cx wrong."""
    if command.p1:
        return SW.WRONG_P1P2
    if len(command.data) not in PIN_SIZES:
        return SW.WRONG_LENGTH
    pin = chip.session.directory.keys.get((KeyType.PIN, command.p2))
    if pin is None:
        return SW.KEY_NOT_FOUND
    if not allowed(pin.use, chip.session):
        return SW.SECURITY_STATUS
    refused = _wrong_pin(chip, pin, command.data)
    if refused is not None:
        return refused
    _reach(chip, pin)
    return b""


def _wrong_pin(chip: Chip, pin: Key, shown: bytes) -> int | None:
    if pin.blocked:
        return SW.KEY_BLOCKED
    left = tried(chip, pin, lambda: same(shown.ljust(PIN_SIZE, b"\xff"), pin.value))
    return 0x63C0 | left if left >= 0 else None


def replace_pin(chip: Chip, command: Command) -> Answer:
    """80 5E: P1 00 RELOAD PIN, 01 CHANGE PIN."""
    if command.p1 > 1:
        return SW.WRONG_P1P2
    return change_pin(chip, command) if command.p1 else reload_pin(chip, command)


def change_pin(chip: Chip, command: Command) -> Answer:
    """CHANGE PIN: old PIN, FF, new PIN; whoever knows the old one may."""
    old, found, new = command.data.partition(bytes((PIN_PAD,)))
    if not found or len(old) not in PIN_SIZES or len(new) not in PIN_SIZES:
        return SW.WRONG_LENGTH
    pin = chip.session.directory.keys.get((KeyType.PIN, command.p2))
    if pin is None:
        return SW.KEY_NOT_FOUND
    refused = _wrong_pin(chip, pin, old)
    if refused is not None:
        return refused
    _set_pin(chip, pin, new)
    return b""


def reload_pin(chip: Chip, command: Command) -> Answer:
    """RELOAD PIN: a new PIN and a MAC over it alone under key 38, which needs no challenge (facts 1.4).

    6A88 no such PIN or key, 6983 key blocked, 9302 wrong MAC. A blocked PIN is usable again.
    """
    new, mac = command.data[:-MAC_SIZE], command.data[-MAC_SIZE:]
    if len(new) not in PIN_SIZES:
        return SW.WRONG_LENGTH
    pin = chip.session.directory.keys.get((KeyType.PIN, command.p2))
    key = _numbered(chip, KeyType.PIN_RELOAD, 0)
    if pin is None or key is None:
        return SW.KEY_NOT_FOUND
    if key.blocked:
        return SW.KEY_BLOCKED
    if tried(chip, key, lambda: same(pin_mac(key.suite, key.value, new), mac)) >= 0:
        return SW.MAC_ERROR
    _set_pin(chip, pin, new)
    return b""


def unblock_pin(chip: Chip, command: Command) -> Answer:
    """PIN UNBLOCK: PIN P1 anew, enciphered and with a MAC over the challenge, under key 37.

    6985 when it is not blocked, 6987 no MAC, 6984, 6A88, 6983, 6988 as for every secure message, 6A80 not
    deciphered. Some say key 36 does it (facts 1.4): a trait.
    """
    if command.p2:
        return SW.WRONG_P1P2
    pin = chip.session.directory.keys.get((KeyType.PIN, command.p1))
    if pin is None:
        return SW.KEY_NOT_FOUND
    if not pin.blocked:
        return SW.CONDITIONS_OF_USE
    if len(command.data) <= MAC_SIZE:
        return SW.SM_MISSING
    if chip.session.challenge is None:
        return SW.NO_REFERENCE_DATA
    by_line = chip.traits & Traits.PIN_UNBLOCK_BY_LINE
    key = _numbered(chip, KeyType.MAINTENANCE if by_line else KeyType.PIN_UNBLOCK, 0)
    if key is None:
        return SW.KEY_NOT_FOUND
    if key.blocked:
        return SW.KEY_BLOCKED
    cipher = verified(chip, command, key)
    if isinstance(cipher, SW):
        return cipher
    new = deciphered(key, cipher)
    if new is None or len(new) not in PIN_SIZES:
        return SW.WRONG_DATA
    _set_pin(chip, pin, new)
    return b""


def _set_pin(chip: Chip, pin: Key, new: bytes) -> None:
    """Write a PIN with all its tries, in one change."""
    change = Change(chip.memory)
    change.write(pin.address + COUNTER_OFFSET, bytes((pin.fourth & 0xF0 | pin.fourth >> 4,)))
    change.write(pin.address + HEAD_SIZE, new.ljust(PIN_SIZE, b"\xff"))
    chip.journal.commit(change)
    index_keys(chip.memory, chip.session.directory)


COMMANDS: Final[Table] = {
    0x0084: {0x0000: Entry(get_challenge, lc=0, blocked=True, bare=True)},
    0x0082: Entry(external_authenticate),
    0x0088: Entry(internal_authenticate),
    0x0020: Entry(verify_pin),
    0x805E: Entry(replace_pin),
    0x8424: Entry(unblock_pin),
}
