# SPDX-License-Identifier: Apache-2.0
"""Load (圈存): the card asks, the host (who holds the load key) allows, the card credits and gives a TAC.

INIT LOAD on the card (gives MAC1), the host checks it and gives date, time and MAC2, CREDIT on the card.
`remember` is called right before CREDIT. Bytes: card facts 1.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from citycard.core.apdu import SW
from citycard.core.dialogue.exchange import CARD, HOST, Dialogue, DialogueError, Exchange, Refused, ask, sized
from citycard.core.dialogue.purchase import NOT_DEBITED, Unproven
from citycard.core.dialogue.read import blocked_or
from citycard.core.refusal import Refusal

INIT_LOAD: Final = bytes.fromhex("805000020B")
INIT_SIZE: Final = 16
CREDIT: Final = bytes.fromhex("805200000B")
OFFER_SIZE: Final = 11  # date 4, time 3, MAC2 4


@dataclass(frozen=True, slots=True)
class LoadOpened:
    """The card's answer to INIT LOAD; `counter` is the online ATC before its increment, `raw` all of it."""

    balance_fen: int
    counter: int
    key_version: int
    algorithm: int
    rand: bytes
    mac1: bytes
    raw: bytes

    @classmethod
    def of(cls, raw: bytes) -> LoadOpened:
        """From the card's 16 bytes."""
        balance, counter = int.from_bytes(raw[0:4], "big"), raw[4] << 8 | raw[5]
        return cls(balance, counter, raw[6], raw[7], raw[8:12], raw[12:16], raw)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The card was credited: its TAC, and the host's moment (7 BCD bytes) which the TAC covers."""

    opened: LoadOpened
    tac: bytes
    moment: bytes


def open_load(amount_fen: int, terminal: bytes, key_index: int = 1) -> Dialogue[LoadOpened | Refused]:
    """INIT LOAD. Refused: PURSE_CAP when the amount is too large for the card, CARD_BLOCKED, CARD_FAULT."""
    data = bytes((key_index,)) + amount_fen.to_bytes(4, "big") + terminal
    response = yield from ask(CARD, "INIT LOAD", INIT_LOAD + data + b"\x10")
    if not response.ok:
        cap = response.sw in (SW.WRONG_DATA, SW.NO_SPACE)
        return blocked_or(Refusal.PURSE_CAP if cap else Refusal.CARD_FAULT, response, "INIT LOAD")
    raw = sized(response, INIT_SIZE, CARD, "INIT LOAD")
    return LoadOpened.of(raw)


def close_load(opened: LoadOpened, offer: bytes) -> Dialogue[Loaded | Refused | Unproven]:
    """CREDIT with the host's offer (date 4, time 3, MAC2 4 bytes).

    `Refused` means that nothing was credited, `Unproven` that it may have been.
    """
    response = yield from ask(CARD, "CREDIT", CREDIT + offer + b"\x04")
    if response.sw in NOT_DEBITED:
        told = Refusal.OFFICE_REFUSED if response.sw == SW.MAC_ERROR else Refusal.CARD_FAULT
        return blocked_or(told, response, "CREDIT")
    if not response.ok:
        return Unproven(Refused(Refusal.CARD_FAULT, CARD, "CREDIT", response.sw))
    return Loaded(opened, sized(response, 4, CARD, "CREDIT"), offer[:7])


def load(
    amount_fen: int,
    terminal: bytes,
    remember: Callable[[LoadOpened, bytes], None] = lambda opened, offer: None,
) -> Dialogue[Loaded | Refused | Unproven]:
    """The whole load; the party `host` is sent the card's 16 bytes and answers its 11, or none to refuse."""
    opened = yield from open_load(amount_fen, terminal)
    if isinstance(opened, Refused):
        return opened
    offer = yield Exchange(HOST, opened.raw)
    if not offer:
        return Refused(Refusal.OFFICE_REFUSED, HOST, "LOAD")
    if len(offer) != OFFER_SIZE:
        raise DialogueError(HOST, "LOAD", offer, f"an offer of {OFFER_SIZE} bytes")
    remember(opened, offer)
    return (yield from close_load(opened, offer))
