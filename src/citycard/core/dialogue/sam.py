# SPDX-License-Identifier: Apache-2.0
"""What a terminal asks its PSAM besides purchases: who it is, the MAC of a batch, blocking a card.

Bytes: card facts 6.2, 1.4. The batch key is diversified by the terminal's number; the maintenance key by
card and issuer, and the PSAM lends it for APPLICATION BLOCK only.
"""

from __future__ import annotations

from typing import Final

from citycard.core.apdu import Command
from citycard.core.crypto import pad80
from citycard.core.dialogue.exchange import CARD, SAM, Dialogue, Refused, ask, sized
from citycard.core.dialogue.read import blocked_or
from citycard.core.record import BATCH_MAC_SIZE
from citycard.core.refusal import Refusal

SELECT_APPLICATION: Final = bytes.fromhex("00A40000028011")
READ_TERMINAL: Final = bytes.fromhex("00B0960006")
BATCH_USAGE: Final = 0x24  # one level, MAC key
BLOCK_USAGE: Final = 0x45  # two levels, maintenance key
MAC_ONLY, MAC_WITH_IV = 0x01, 0x05
CHALLENGE4: Final = bytes.fromhex("0084000004")
BLOCK: Final = bytes.fromhex("841E000004")  # for the time being, until APPLICATION UNBLOCK


def sam_terminal() -> Dialogue[bytes | Refused]:
    """Select the PSAM's application and read the terminal number it stands for, 6 bytes."""
    for name, command in (("SELECT", SELECT_APPLICATION), ("READ BINARY 16", READ_TERMINAL)):
        response = yield from ask(SAM, name, command)
        if not response.ok:
            return Refused(Refusal.SAM_FAULT, SAM, name, response.sw)
    return sized(response, 6, SAM, "READ BINARY 16")


def batch_mac(terminal: bytes, header: bytes, key_version: int = 1) -> Dialogue[bytes | Refused]:
    """The 8-byte MAC of a batch header (`core.record.build_header`). Refused: SAM_FAULT."""
    refused = yield from _deliver(BATCH_USAGE, key_version, bytes(2) + terminal)
    if refused:
        return refused
    return (yield from _mac(MAC_ONLY, pad80(header), BATCH_MAC_SIZE))


def block_card(issuer: bytes, pan: str, key_version: int = 1) -> Dialogue[Refused | None]:
    """Block the selected card's purse application, which only the issuer can undo."""
    refused = yield from _deliver(BLOCK_USAGE, key_version, bytes.fromhex(pan)[2:] + issuer)
    if refused:
        return refused
    response = yield from ask(CARD, "GET CHALLENGE", CHALLENGE4)
    if not response.ok:
        return blocked_or(Refusal.CARD_FAULT, response, "GET CHALLENGE")
    challenge = sized(response, 4, CARD, "GET CHALLENGE") + bytes(4)
    mac = yield from _mac(MAC_WITH_IV, challenge + pad80(BLOCK), 4)
    if isinstance(mac, Refused):
        return mac
    response = yield from ask(CARD, "APPLICATION BLOCK", BLOCK + mac)
    return None if response.ok else blocked_or(Refusal.CARD_FAULT, response, "APPLICATION BLOCK")


def _deliver(usage: int, version: int, factors: bytes) -> Dialogue[Refused | None]:
    response = yield from ask(SAM, "DELIVERY KEY", Command(0x80, 0x1A, usage, version, factors).encode())
    return None if response.ok else Refused(Refusal.SAM_FAULT, SAM, "DELIVERY KEY", response.sw)


def _mac(how: int, text: bytes, size: int) -> Dialogue[bytes | Refused]:
    response = yield from ask(SAM, "CIPHER", Command(0x80, 0xFA, how, 0x00, text, size).encode())
    if not response.ok:
        return Refused(Refusal.SAM_FAULT, SAM, "CIPHER", response.sw)
    return sized(response, size, SAM, "CIPHER")
