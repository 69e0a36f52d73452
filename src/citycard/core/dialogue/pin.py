# SPDX-License-Identifier: Apache-2.0
"""PINs from the reader's side: verify, change, unblock, reload. Bytes: card facts 1.1, 1.4.

A PIN is bytes as the card stores them, mostly packed BCD: `packed("123456")`. `secure.tries_left` tells what
a refusal left. No PIN stands in a refusal or an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.core.apdu import Command
from citycard.core.dialogue.exchange import CARD, Dialogue, Refused, ask
from citycard.core.dialogue.read import blocked_or
from citycard.core.dialogue.secure import Seal, sealed
from citycard.core.refusal import Refusal

DIGITS_MAX: Final = 12


def packed(digits: str) -> bytes:
    """Digits two to a byte, an odd one padded with F; `ValueError` unless 4 to 12 digits."""
    if not (4 <= len(digits) <= DIGITS_MAX and digits.isascii() and digits.isdigit()):
        raise ValueError(f"a PIN has 4 to {DIGITS_MAX} digits")
    return bytes.fromhex(digits + "F" * (len(digits) % 2))


def verify_pin(pin: bytes, pin_id: int = 0) -> Dialogue[Refused | None]:
    """VERIFY: None when it is right. Refused: CARD_FAULT, with the tries left in its status word."""
    return (yield from _step("VERIFY", Command(0x00, 0x20, 0x00, pin_id, pin)))


def change_pin(old: bytes, new: bytes, pin_id: int = 0) -> Dialogue[Refused | None]:
    """CHANGE PIN by who knows the old one."""
    return (yield from _step("CHANGE PIN", Command(0x80, 0x5E, 0x01, pin_id, old + b"\xff" + new)))


def reload_pin(new: bytes, mac: Callable[[bytes], bytes], pin_id: int = 0) -> Dialogue[Refused | None]:
    """RELOAD PIN by the issuer; `mac` covers the PIN alone (`core.purse.pin_mac`)."""
    return (yield from _step("RELOAD PIN", Command(0x80, 0x5E, 0x00, pin_id, new + mac(new))))


def unblock_pin(new: bytes, seal: Seal, pin_id: int = 0) -> Dialogue[Refused | None]:
    """PIN UNBLOCK by the issuer: a blocked PIN anew, enciphered and with a MAC."""
    response = yield from sealed("PIN UNBLOCK", bytes((0x84, 0x24, pin_id, 0x00)), new, seal)
    return None if response.ok else blocked_or(Refusal.CARD_FAULT, response, "PIN UNBLOCK")


def _step(name: str, command: Command) -> Dialogue[Refused | None]:
    response = yield from ask(CARD, name, command.encode())
    return None if response.ok else blocked_or(Refusal.CARD_FAULT, response, name)
