# SPDX-License-Identifier: Apache-2.0
"""Personalisation (个人化): from a blank card under the transport key to a card of an issuer.

The purse application is opened with the transport key, its files are written, its keys loaded one by one
(enciphered and MACed by the vault, which alone knows them), then the MF's control key is replaced and last
of all the application's own: from then on the transport key opens nothing. A run that was cut off may be
repeated: keys that are there are written again with the same value. Bytes: card facts 1.1, 3.2, 2.7 F, H.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.dialogue.exchange import CARD, Answer, Dialogue, DialogueError, Refused, ask, sized
from citycard.core.dialogue.read import SELECT, blocked_or
from citycard.core.refusal import Refusal

SELECT_MF: Final = bytes.fromhex("00A40000023F0000")
CHALLENGE4: Final = bytes.fromhex("0084000004")
CHALLENGE8: Final = bytes.fromhex("0084000008")
ADD: Final = 0x01
PROTECTED: Final = 0xC0  # top bits of a type byte: later updates enciphered and with a MAC
FREE_USE: Final = 0xF0
TRIES: Final = 0x33  # three of three
CONTROL_STATE: Final = 0x04
TRANSPORT, CONTROL = "transport", "control"


@dataclass(frozen=True, slots=True)
class KeySlot:
    """A key to load: the vault's name of it, its type and id on the card, its version and algorithm id."""

    name: str
    type: int
    id: int
    version: int = 1
    algorithm: int = 0

    @property
    def head(self) -> bytes:
        """Type, use, change and two parameters, as WRITE KEY carries them before the key."""
        if self.type in (0x34, 0x3E, 0x3F):
            parameters = (self.version, self.algorithm)
        else:
            parameters = (CONTROL_STATE if self.type == 0x39 else 0xFF, TRIES)
        return bytes((self.type | PROTECTED, FREE_USE, FREE_USE, *parameters))


Wrap = Callable[[KeySlot, bytes, bytes], tuple[bytes, bytes]]  # (slot, CLA INS P1 P2, challenge): cipher, MAC
Authenticate = Callable[[str, bytes], bytes]  # (transport or control, challenge): the enciphered challenge


def key_slots(version: int = 1, algorithm: int = 0) -> tuple[KeySlot, ...]:
    """The keys of a T-Union purse but for the control key, in the order they are loaded."""
    return (
        KeySlot("tac", 0x34, 0, version, algorithm),
        KeySlot("maintenance", 0x36, 0, version, algorithm),
        KeySlot("purchase", 0x3E, 1, version, algorithm),
        KeySlot("load", 0x3F, 1, version, algorithm),
    )


def personalise(
    files: Mapping[int, bytes],
    wrap: Wrap,
    authenticate: Authenticate,
    slots: Sequence[KeySlot] = key_slots(),
) -> Dialogue[Refused | None]:
    """Write the files (by SFI), load the keys, replace the control keys of MF and application.

    None when the card is personalised. Refused: UNKNOWN_CARD (no purse), CARD_BLOCKED, CARD_FAULT (not
    under this transport key, or it refused a step: `Refused.command` names which).
    """
    control = KeySlot(CONTROL, 0x39, 0, slots[0].version, slots[0].algorithm)
    refused = yield from _open(authenticate)
    if refused:
        return refused
    for sfi, content in sorted(files.items()):
        command = Command(0x00, 0xD6, 0x80 | sfi, 0, content).encode()
        refused = yield from _step(f"UPDATE BINARY {sfi:02X}", command)
        if refused:
            return refused
    for slot in slots:
        refused = yield from _load_key(slot, wrap)
        if refused:
            return refused
    refused = yield from _mf_control(control, wrap, authenticate)
    if refused:
        return refused
    refused = yield from _open(authenticate)
    if refused:
        return refused
    return (yield from _write_key(control, control.type, wrap))


def _open(authenticate: Authenticate) -> Dialogue[Refused | None]:
    """Select the application and authenticate with the transport key."""
    response = yield from ask(CARD, "SELECT", SELECT)
    if not response.ok:
        return blocked_or(Refusal.UNKNOWN_CARD, response, "SELECT")
    response = yield from _authenticate(TRANSPORT, authenticate)
    return None if response.ok else blocked_or(Refusal.CARD_FAULT, response, "EXTERNAL AUTHENTICATE")


def _authenticate(key: str, authenticate: Authenticate) -> Dialogue[Answer]:
    challenge = yield from _challenge(CHALLENGE8, 8)
    proof = Command(0x00, 0x82, 0x00, 0x00, authenticate(key, challenge)).encode()
    return (yield from ask(CARD, "EXTERNAL AUTHENTICATE", proof))


def _mf_control(control: KeySlot, wrap: Wrap, authenticate: Authenticate) -> Dialogue[Refused | None]:
    """Replace the MF's control key; when the transport key no longer fits, it may be replaced already."""
    refused = yield from _step("SELECT MF", SELECT_MF)
    if refused:
        return refused
    refused = yield from _write_key(control, control.type, wrap)
    if refused is None or refused.sw != SW.SM_INCORRECT:
        return refused
    response = yield from _authenticate(CONTROL, authenticate)
    return None if response.ok else refused


def _load_key(slot: KeySlot, wrap: Wrap) -> Dialogue[Refused | None]:
    """Add a key, or write it again when an earlier run has added it (6A86)."""
    refused = yield from _write_key(slot, ADD, wrap)
    if refused and refused.sw == SW.WRONG_P1P2:
        refused = yield from _write_key(slot, slot.type, wrap)
    return refused


def _write_key(slot: KeySlot, p1: int, wrap: Wrap) -> Dialogue[Refused | None]:
    challenge = yield from _challenge(CHALLENGE4, 4)
    header = bytes((0x84, 0xD4, p1, slot.id))
    cipher, mac = wrap(slot, header, challenge)
    body = cipher + mac
    return (yield from _step(f"WRITE KEY {slot.name}", header + bytes((len(body),)) + body))


def _challenge(command: bytes, size: int) -> Dialogue[bytes]:
    response = yield from ask(CARD, "GET CHALLENGE", command)
    if not response.ok:
        raise DialogueError(CARD, "GET CHALLENGE", response.encode(), f"{size} random bytes")
    return sized(response, size, CARD, "GET CHALLENGE")


def _step(name: str, command: bytes) -> Dialogue[Refused | None]:
    response = yield from ask(CARD, name, command)
    return None if response.ok else blocked_or(Refusal.CARD_FAULT, response, name)
