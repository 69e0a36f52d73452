# SPDX-License-Identifier: Apache-2.0
"""Who may do what: access bytes against the security state, tries of a key, secure messaging.

Sources: card facts 1.7 (secure messaging) and 3.1 (access bytes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.card.atomic import Change
from citycard.core.card.files import PLAIN_WHEN_FF, File
from citycard.core.card.keyfile import TWIN, TYPE_MASK, Key, KeyType, set_tries
from citycard.core.card.state import Chip, Session, Traits
from citycard.core.crypto import MAC_SIZE, SM4_SUITE, pad80_if_ragged, same

ALWAYS: Final = 0xF0
NEVER: Final = 0xEF
CONTROLLED: Final = 0xF4  # after EXTERNAL AUTHENTICATE with the control key
CONTROL_STATE: Final = 0x4  # the state that authentication leads to
SECURED: Final = 0x04  # bit of CLA: the command carries a MAC
NAMES_SUITE: Final = frozenset({0x1E, 0x18, 0x16, 0xE2})  # INS whose P1 names the suite on dual cards
READ_UNDER_MAC: Final = 0x80  # bit of a file's SM byte that is clear when reading needs a MAC


def allowed(rights: int, session: Session) -> bool:
    """Access byte XY: the directory's state lies in Y..X; 0Y: the MF's state is at least Y (facts 3.1).

    While nobody guards a directory, everything in it is free.
    """
    if session.free:
        return True
    highest, lowest = rights >> 4, rights & 0x0F
    if highest == 0 and lowest:
        return session.mf_state >= lowest
    return lowest <= session.state <= highest


# Proofs of administrative keys


def tried(chip: Chip, key: Key, proof: Callable[[], bool]) -> int:
    """Check a proof of an administrative key; -1 when it holds, else how many tries are left.

    The try is counted before the check and given back after it, so that tearing the card away in between
    wins nothing.
    """
    left = (key.fourth & 0x0F) - 1
    assert left >= 0
    _count(chip, key, left)
    if not proof():
        return left
    _count(chip, key, key.fourth >> 4)
    return -1


def _count(chip: Chip, key: Key, left: int) -> None:
    """Write the error counter, in the cells and in the parsed key."""
    change = Change(chip.memory)
    set_tries(change, key, left)
    chip.journal.commit(change)
    name = key.type & TYPE_MASK, key.id
    for directory in chip.directories:
        known = directory.keys.get(name)
        if known is not None and known.address == key.address:
            directory.keys[name] = replace(key, fourth=key.fourth & 0xF0 | left)


# Secure messaging


def message_key(chip: Chip, type_: int, id_: int = 0) -> Key | SW:
    """The administrative key that protects messages here: 6A88 when absent, 6983 when blocked."""
    key = chip.session.directory.keys.get((type_, id_))
    if key is None:
        return SW.KEY_NOT_FOUND
    return SW.KEY_BLOCKED if key.blocked else key


def verify_message(
    chip: Chip, command: Command, type_: int = KeyType.MAINTENANCE, id_: int = 0
) -> bytes | SW:
    """The data of a command without its secure-messaging MAC, or why it is refused (facts 1.7).

    In this order: 6987 no MAC, 6984 no challenge just before, 6A88 no key, 6983 key blocked, 6988 wrong MAC.
    """
    if len(command.data) < MAC_SIZE:
        return SW.SM_MISSING
    if chip.session.challenge is None:
        return SW.NO_REFERENCE_DATA
    key = message_key(chip, type_, id_)
    return key if isinstance(key, SW) else verified(chip, command, key)


def verified(chip: Chip, command: Command, key: Key) -> bytes | SW:
    """The data of a command whose MAC this usable key made over the challenge before; 6988 else."""
    challenge = chip.session.challenge
    assert challenge is not None
    data, mac = command.data[:-MAC_SIZE], command.data[-MAC_SIZE:]
    message = command.header + bytes((len(command.data) & 0xFF,)) + data
    proof = key.suite.message_mac
    if tried(chip, key, lambda: same(proof(key.value, message, challenge), mac)) >= 0:
        return SW.SM_INCORRECT
    return data


def deciphered(key: Key, cipher: bytes) -> bytes | None:
    """The data in `length, data, padding`, deciphered; None when it is not of that form."""
    block = key.suite.block
    if not cipher or len(cipher) % block:
        return None
    plain = key.suite.decrypt(key.value, cipher)
    data = plain[1 : 1 + plain[0]]
    return data if pad80_if_ragged(plain[:1] + data, block) == plain else None


def enciphered(key: Key, data: bytes) -> bytes:
    """`length, data, padding`, enciphered; the length has one byte."""
    return key.suite.encrypt(key.value, pad80_if_ragged(bytes((len(data),)) + data, key.suite.block))


def current_algorithm(chip: Chip) -> int:
    """The suite a dual-algorithm card works with now: chosen until power-off, or kept (facts 1.4)."""
    chosen = chip.session.algorithm
    return chip.session.directory.chosen if chosen is None else chosen


def maintenance_id(chip: Chip, command: Command, number: int = 0) -> int:
    """Which of the maintenance keys protects a message; on a dual-algorithm card, the twin for SM4.

    The blocks, UNBLOCK and APPEND name the suite in P1 there (facts 1.4), the others follow the
    suite that the card works with (our reading).
    """
    if not chip.traits & Traits.DUAL_ALGORITHM:
        return number
    named = command.p1 if command.ins in NAMES_SUITE else current_algorithm(chip)
    return number | TWIN if named == SM4_SUITE.id else number


def key_number(coded: int) -> int:
    """Key number 0 to 3 from two bits of a file's SM byte, where 11 means 0 (facts 3.2)."""
    return 3 - (coded & 0x03)


def written_data(chip: Chip, command: Command, file: File) -> bytes | SW:
    """What a command may write to a file, freed of its secure messaging, or why it may not.

    In this order: 6982 no right, 6987 the file wants a MAC, then as `verify_message`, 6A80 not deciphered.
    """
    session = chip.session
    if not command.cla & SECURED:
        if not allowed(file.write, session):
            return SW.SECURITY_STATUS
        if file.type & 0xC0 and not session.free:
            return SW.SM_MISSING
        return command.data
    if not allowed(file.write if file.protected == PLAIN_WHEN_FF else file.protected, session):
        return SW.SECURITY_STATUS
    number = maintenance_id(chip, command, key_number(file.sm))
    if file.type & 0xC0 == 0x40:  # enciphered without a MAC: the key alone is the proof
        return _cipher_only(chip, command, number)
    data = verify_message(chip, command, KeyType.MAINTENANCE, number)
    if isinstance(data, SW) or not file.type & 0x40:
        return data
    plain = deciphered(session.directory.keys[KeyType.MAINTENANCE, number], data)
    return SW.WRONG_DATA if plain is None else plain


def _cipher_only(chip: Chip, command: Command, number: int) -> bytes | SW:
    key = message_key(chip, KeyType.MAINTENANCE, number)
    if isinstance(key, SW):
        return key
    found: list[bytes] = []

    def proof() -> bool:
        plain = deciphered(key, command.data)
        if plain is not None:
            found.append(plain)
        return plain is not None

    return SW.SM_INCORRECT if tried(chip, key, proof) >= 0 else found[0]


def readable(chip: Chip, command: Command, file: File) -> Key | SW | None:
    """The key under which an answer goes out, None for a plain answer, or why the file may not be read.

    A command with CLA 04 carries a MAC and nothing else; the answer then gets one too (facts 1.7).
    """
    if not allowed(file.read, chip.session):
        return SW.SECURITY_STATUS
    if not command.cla & SECURED:
        if command.data:
            return SW.WRONG_LENGTH
        if file.sm & READ_UNDER_MAC or chip.session.free:
            return None
        return SW.SM_MISSING
    number = maintenance_id(chip, command, key_number(file.sm >> 2))
    data = verify_message(chip, command, KeyType.MAINTENANCE, number)
    if isinstance(data, SW):
        return data
    return SW.WRONG_LENGTH if data else chip.session.directory.keys[KeyType.MAINTENANCE, number]


def answered(chip: Chip, file: File, key: Key | None, data: bytes) -> bytes:
    """The answer to a read: plain, or under a MAC (and enciphered when the file is) with the command's IV."""
    if key is None:
        return data
    assert chip.session.challenge is not None
    if file.type & 0x40:
        data = enciphered(key, data)
    return data + key.suite.message_mac(key.value, data, chip.session.challenge)
