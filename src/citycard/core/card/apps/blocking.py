# SPDX-License-Identifier: Apache-2.0
"""Blocking and unblocking of an application, blocking of the card, choice of the algorithm (facts 1.4)."""

from __future__ import annotations

from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.card.access import current_algorithm, maintenance_id, message_key, verified, verify_message
from citycard.core.card.atomic import Change
from citycard.core.card.files import MF_SLOT, Directory, Life
from citycard.core.card.keyfile import TWIN, KeyType
from citycard.core.card.state import Answer, Chip, Entry, Table, Traits
from citycard.core.crypto import MAC_SIZE, SM4_SUITE, TRIPLE_DES

ALGORITHM_CODES: Final = {0x00: TRIPLE_DES.id, 0x03: SM4_SUITE.id}  # P2 of 80CD, and what it answers
FOR_NOW, KEPT, DISABLE = 1, 2, 3  # P1 of 80CD
DISABLED_CODES: Final = {0x01: TRIPLE_DES.id, 0x03: SM4_SUITE.id}


def application_block(chip: Chip, command: Command) -> Answer:
    """APPLICATION BLOCK, P2 = 00 until unblocked, 01 for ever; a MAC under the maintenance key proves it.

    The MF is no application: 6985.
    """
    if chip.session.directory.slot == MF_SLOT:
        return SW.CONDITIONS_OF_USE
    proven = verify_message(chip, command, id_=maintenance_id(chip, command))
    if isinstance(proven, SW):
        return proven
    live(chip, chip.session.directory, Life.DEAD if command.p2 else Life.BLOCKED)
    return b""


def application_unblock(chip: Chip, command: Command) -> Answer:
    """APPLICATION UNBLOCK; when the tries of the maintenance key run out here, blocked for ever: 9303."""
    if chip.session.directory.life != Life.BLOCKED:
        return SW.CONDITIONS_OF_USE
    id_ = maintenance_id(chip, command)
    proven = verify_message(chip, command, id_=id_)
    if not isinstance(proven, SW):
        live(chip, chip.session.directory, Life.ACTIVE)
        return b""
    if proven == SW.SM_INCORRECT and message_key(chip, KeyType.MAINTENANCE, id_) == SW.KEY_BLOCKED:
        live(chip, chip.session.directory, Life.DEAD)
        return SW.PERMANENTLY_BLOCKED
    return proven


def card_block(chip: Chip, command: Command) -> Answer:
    """CARD BLOCK: from now on every command answers 6A81, for ever; proven by the MF's maintenance key."""
    if chip.session.challenge is None:
        return SW.NO_REFERENCE_DATA
    key = chip.root.keys.get((KeyType.MAINTENANCE, maintenance_id(chip, command)))
    if key is None:
        return SW.KEY_NOT_FOUND
    if key.blocked:
        return SW.KEY_BLOCKED
    proven = verified(chip, command, key)
    if isinstance(proven, SW):
        return proven
    live(chip, chip.root, Life.DEAD)
    return b""


def live(chip: Chip, directory: Directory, life: Life) -> None:
    """Write a directory's life, in the cells and in what is parsed of them."""
    directory.life = life
    _write_body(chip, directory)


def _write_body(chip: Chip, directory: Directory) -> None:
    change = Change(chip.memory)
    change.write(directory.body, bytes((directory.life, directory.chosen, directory.disabled)))
    chip.journal.commit(change)


# Dual-algorithm cards. The command is known from one source by its bytes alone; this is our reading of it.


def algorithm(chip: Chip, command: Command) -> Answer:
    """80CD: P1 00 asks; 01 chooses until the power goes, 02 for good; P2 00 is 3DES, 03 SM4.

    6985 when the chosen one is disabled.
    """
    if command.p1 == 0:
        codes = {id_: code for code, id_ in ALGORITHM_CODES.items()}
        return bytes((codes[current_algorithm(chip)],))
    directory, chosen = chip.session.directory, ALGORITHM_CODES[command.p2]
    if directory.disabled & 1 << chosen:
        return SW.CONDITIONS_OF_USE
    chip.session.algorithm = chosen
    if command.p1 == KEPT:
        directory.chosen = chosen
        _write_body(chip, directory)
    return b""


def disable_algorithm(chip: Chip, command: Command) -> Answer:
    """80CD 03: P2 01 disables 3DES, 03 SM4, for ever; a MAC under the other's maintenance key proves it."""
    directory, doomed = chip.session.directory, DISABLED_CODES[command.p2]
    other = SM4_SUITE.id if doomed == TRIPLE_DES.id else TRIPLE_DES.id
    if directory.disabled & 1 << other:
        return SW.CONDITIONS_OF_USE
    proven = verify_message(chip, command, id_=TWIN if other == SM4_SUITE.id else 0)
    if isinstance(proven, SW):
        return proven
    directory.disabled |= 1 << doomed
    directory.chosen = chip.session.algorithm = other
    _write_body(chip, directory)
    return b""


_BLOCK = Entry(application_block, lc=MAC_SIZE, blocked=True)
_UNBLOCK = Entry(application_unblock, lc=MAC_SIZE, blocked=True)
_CARD_BLOCK = Entry(card_block, lc=MAC_SIZE, blocked=True)
_CHOOSE, _DISABLE = Entry(algorithm, lc=0), Entry(disable_algorithm, lc=MAC_SIZE)
_ALGORITHM: Final = {
    0x0000: Entry(algorithm, lc=0, le=1),
    **{p1 << 8 | p2: _CHOOSE for p1 in (FOR_NOW, KEPT) for p2 in ALGORITHM_CODES},
    **{DISABLE << 8 | p2: _DISABLE for p2 in DISABLED_CODES},
}

COMMANDS: Final[Table] = {
    0x841E: {0x0000: _BLOCK, 0x0001: _BLOCK, 0x0100: _BLOCK, 0x0101: _BLOCK},
    0x8418: {0x0000: _UNBLOCK, 0x0100: _UNBLOCK},
    0x8416: {0x0000: _CARD_BLOCK, 0x0100: _CARD_BLOCK},
    0x80CD: _ALGORITHM,
}
REQUIRES: Final[dict[int, dict[int, Traits]]] = {
    0x841E: dict.fromkeys((0x0100, 0x0101), Traits.DUAL_ALGORITHM),
    0x8418: {0x0100: Traits.DUAL_ALGORITHM},
    0x8416: {0x0100: Traits.DUAL_ALGORITHM},
    0x80CD: dict.fromkeys(_ALGORITHM, Traits.DUAL_ALGORITHM),
}
