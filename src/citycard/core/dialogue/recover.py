# SPDX-License-Identifier: Apache-2.0
"""After a tear: did the card commit the transaction whose answer never came?

GET TRANSACTION PROVE is asked with the serial INIT told plus one and answers the MAC and the TAC of that
transaction, or 9406 (facts 1.3, 10.13). The card keeps that proof of its last transaction only; if another
came in between, its log EF18 still tells what happened, without a TAC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from citycard.core.apdu import SW
from citycard.core.dialogue.exchange import CARD, Dialogue, Refused, ask, sized
from citycard.core.dialogue.purchase import check_mac2
from citycard.core.dialogue.read import blocked_or, read_log
from citycard.core.purse import ATC_MAX
from citycard.core.refusal import Refusal

PROVE: Final = bytes.fromhex("805A00")


class Fate(Enum):
    """What became of a torn transaction."""

    PROVEN = "proven"  # committed, and here is its TAC
    LOGGED = "logged"  # committed, but the card no longer has its TAC
    VOID = "void"  # not committed
    DOUBTED = "doubted"  # the card claims it, the PSAM does not believe its MAC2


@dataclass(frozen=True, slots=True)
class Torn:
    """A transaction without an answer: type byte, the counter INIT told, terminal (6 bytes), moment, fen."""

    txn: int
    counter: int
    terminal: bytes
    at: datetime
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Found:
    """What the card told of a torn transaction; MAC and TAC are zeros unless it is proven."""

    fate: Fate
    mac: bytes = bytes(4)
    tac: bytes = bytes(4)


def prove(txn: int, counter: int) -> Dialogue[Found | Refused]:
    """GET TRANSACTION PROVE: PROVEN or VOID (9406); CARD_FAULT when the card says neither."""
    serial = (counter + 1 & ATC_MAX).to_bytes(2, "big")
    response = yield from ask(CARD, "GET TRANSACTION PROVE", PROVE + bytes((txn, 2)) + serial + b"\x08")
    if response.sw == SW.MAC_NOT_AVAILABLE:
        return Found(Fate.VOID)
    if not response.ok:
        return blocked_or(Refusal.CARD_FAULT, response, "GET TRANSACTION PROVE")
    raw = sized(response, 8, CARD, "GET TRANSACTION PROVE")
    return Found(Fate.PROVEN, raw[:4], raw[4:])


def recover(torn: Torn, sam_remembers: bool) -> Dialogue[Found | Refused]:
    """What became of a torn transaction on the selected card.

    `sam_remembers` tells whether the PSAM still holds this purchase's session: then it checks MAC2 as it
    would have; if not (another card came, or the power went), the TAC alone is the proof, checked by the
    issuer at clearing. Refused: CARD_FAULT, CARD_BLOCKED, SAM_FAULT; then nothing is known.
    """
    found = yield from prove(torn.txn, torn.counter)
    if isinstance(found, Refused):
        return found
    if found.fate is Fate.PROVEN and sam_remembers:
        refused = yield from check_mac2(found.mac)
        if refused is None:
            return found
        return Found(Fate.DOUBTED, found.mac, found.tac) if refused.refusal is Refusal.NOT_PROVEN else refused
    if found.fate is Fate.PROVEN:
        return found
    rows = yield from read_log()
    if isinstance(rows, Refused):
        return rows
    wanted = (torn.txn, torn.terminal, torn.at, torn.amount_fen)
    logged = any((row["txn"], row["terminal"], row["at"], row["amount_fen"]) == wanted for row in rows)
    return Found(Fate.LOGGED) if logged else found
