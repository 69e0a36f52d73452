# SPDX-License-Identifier: Apache-2.0
"""Who may do what: access bytes against the security state, tries of a key, secure-messaging MACs.

Sources: card facts 1.7 (secure messaging) and 3.1 (access bytes).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.card.atomic import Change
from citycard.core.card.keyfile import Key, KeyType, load_key, set_tries
from citycard.core.card.state import Chip, Session
from citycard.core.crypto import MAC_SIZE, same

ALWAYS: Final = 0xF0
NEVER: Final = 0xEF
CONTROLLED: Final = 0xF4  # after EXTERNAL AUTHENTICATE with the control key
CONTROL_STATE: Final = 0x4  # the state that authentication leads to


def allowed(rights: int, session: Session) -> bool:
    """Access byte XY: the directory's state lies in Y..X; 0Y: the MF's state is at least Y (facts 3.1)."""
    highest, lowest = rights >> 4, rights & 0x0F
    if highest == 0 and lowest:
        return session.mf_state >= lowest
    return lowest <= session.state <= highest


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
    change = Change(chip.memory)
    set_tries(change, key, left)
    chip.journal.commit(change)


def message_key(chip: Chip, type_: int) -> Key | SW:
    """The administrative key that protects messages here: 6A88 when absent, 6983 when blocked."""
    key = load_key(chip.memory, chip.session.directory, type_, 0)
    if key is None:
        return SW.KEY_NOT_FOUND
    return SW.KEY_BLOCKED if key.blocked else key


def verify_message(chip: Chip, command: Command, type_: int = KeyType.MAINTENANCE) -> bytes | SW:
    """The data of a command without its secure-messaging MAC, or why it is refused (facts 1.7).

    In this order: 6987 no MAC, 6984 no challenge just before, 6A88 no key, 6983 key blocked, 6988 wrong MAC.
    """
    data, mac = command.data[:-MAC_SIZE], command.data[-MAC_SIZE:]
    challenge = chip.session.challenge
    if len(mac) < MAC_SIZE:
        return SW.SM_MISSING
    if challenge is None:
        return SW.NO_REFERENCE_DATA
    key = message_key(chip, type_)
    if isinstance(key, SW):
        return key
    message = command.header + bytes((len(command.data) & 0xFF,)) + data
    proof = key.suite.message_mac
    if tried(chip, key, lambda: same(proof(key.value, message, challenge), mac)) >= 0:
        return SW.SM_INCORRECT
    return data
