# SPDX-License-Identifier: Apache-2.0
"""The MOHURD card (住建部, CJ/T 166) from the reader's side: read it, and pay with it.

A purchase is the T-Union one (`purchase`) with this card's diversification factors: `mohurd_order` makes it
out of what was read. Bytes: card facts 4.1, 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from citycard.core import mohurd
from citycard.core.apdu import Command
from citycard.core.dialogue.exchange import CARD, Dialogue, DialogueError, Refused, ask, sized
from citycard.core.dialogue.purchase import Order
from citycard.core.dialogue.read import blocked_or, read_balance
from citycard.core.layout import LayoutError
from citycard.core.refusal import Refusal

SELECT: Final = Command(0x00, 0xA4, 0x04, 0x00, mohurd.AID_PURSE, le=256).encode()
SELECT_MF: Final = bytes.fromhex("00A40000023F00")
READ_CARD: Final = Command(0x00, 0xB0, 0x80 | mohurd.SFI_CARD, 0, le=mohurd.CARD.size).encode()
READ_PUBLIC: Final = Command(0x00, 0xB0, 0x80 | mohurd.SFI_PUBLIC, 0, le=mohurd.PUBLIC.size).encode()


@dataclass(frozen=True, slots=True)
class MohurdView:
    """What was read: fields of EF15 and, when asked for, of the MF's EF05; the balance without overdraft."""

    public: dict[str, Any]
    raw_public: bytes
    card: dict[str, Any] | None = None
    balance_fen: int | None = None

    @property
    def serial(self) -> bytes:
        """The card's serial, 8 bytes."""
        return self.public["serial"]  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Composite:
    """A record of EF17 to write with the debit: its identifier, and its bytes from identifier to checksum."""

    identifier: int
    data: bytes

    @property
    def sfi(self) -> int:
        """The file of composite records."""
        return mohurd.SFI_COMPOSITE

    @property
    def number(self) -> int:
        """Its number: the factory makes the records in the order of their identifiers."""
        return (*mohurd.COMPOSITE_IDS, mohurd.COMPOSITE_SHORT_ID).index(self.identifier) + 1


def read_mohurd(with_card: bool = False) -> Dialogue[MohurdView | Refused]:
    """SELECT, EF15 and the balance, and on request EF05 of the MF before them.

    Refused: UNKNOWN_CARD, CARD_BLOCKED, CARD_FAULT. `DialogueError` when a file holds no valid fields.
    """
    card: dict[str, Any] | None = None
    if with_card:
        found = yield from _read_card()
        if isinstance(found, Refused):
            return found
        card = found
    response = yield from ask(CARD, "SELECT", SELECT)
    if not response.ok:
        return blocked_or(Refusal.UNKNOWN_CARD, response, "SELECT")
    response = yield from ask(CARD, "READ BINARY 15", READ_PUBLIC)
    if not response.ok:
        return blocked_or(Refusal.UNKNOWN_CARD, response, "READ BINARY 15")
    raw = sized(response, mohurd.PUBLIC.size, CARD, "READ BINARY 15")
    try:
        public = mohurd.PUBLIC.decode(raw)
    except LayoutError:
        raise DialogueError(CARD, "READ BINARY 15", raw, "the public file of a MOHURD card") from None
    balance = yield from read_balance()
    return balance if isinstance(balance, Refused) else MohurdView(public, raw, card, balance)


def _read_card() -> Dialogue[dict[str, Any] | Refused]:
    for name, command in (("SELECT MF", SELECT_MF), ("READ BINARY 05", READ_CARD)):
        response = yield from ask(CARD, name, command)
        if not response.ok:
            return blocked_or(Refusal.UNKNOWN_CARD, response, name)
    raw = sized(response, mohurd.CARD.size, CARD, "READ BINARY 05")
    try:
        return mohurd.CARD.decode(raw)
    except LayoutError:
        raise DialogueError(CARD, "READ BINARY 05", raw, "the card file of a MOHURD card") from None


def mohurd_order(
    view: MohurdView, amount_fen: int, terminal: bytes, at: datetime, composite: bool = True
) -> Order:
    """A purchase order for this card: city and FF0000000000 take the issuer's place, the serial the PAN's."""
    city, serial = mohurd.factors(view.raw_public)
    return Order(amount_fen, terminal, at, city, "0000" + serial.hex(), composite)
