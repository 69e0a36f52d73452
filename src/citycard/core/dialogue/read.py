# SPDX-License-Identifier: Apache-2.0
"""Reading a T-Union card: who it is, what it may do, what it remembers; no exchange more than needed.

SELECT answers the public file EF15 in its FCI (tag 9F0C), so a card is known after one exchange and may be
refused without a second. File and command bytes: card facts 1.1, 1.3, 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from citycard.core import tunion
from citycard.core.apdu import SW, Command
from citycard.core.dialogue.exchange import CARD, Answer, Dialogue, DialogueError, Refused, ask, sized
from citycard.core.layout import LayoutError
from citycard.core.refusal import Refusal
from citycard.core.tlv import TlvError, find

TAG_FCI, TAG_PROPRIETARY, TAG_PUBLIC = 0x6F, 0xA5, 0x9F0C
SELECT: Final = Command(0x00, 0xA4, 0x04, 0x00, tunion.AID_PURSE, le=256).encode()
READ_PUBLIC: Final = Command(0x00, 0xB0, 0x80 | tunion.SFI_PUBLIC, 0, le=tunion.PUBLIC.size).encode()
READ_KIND: Final = Command(0x00, 0xB0, 0x80 | tunion.SFI_KIND, 0, le=tunion.CARD_KIND.size).encode()
READ_BALANCE: Final = Command(0x80, 0x5C, 0x03, 0x02, le=4).encode()  # without overdraft (T-Union)
READ_BALANCE_CLASSIC: Final = Command(0x80, 0x5C, 0x00, 0x02, le=4).encode()
BALANCE_MASK: Final = 0x7FFF_FFFF  # some cards set the top bit (facts 1.3)
METRO_NUMBER: Final = tunion.TAG_METRO & 0xFF

BLOCKED: Final = frozenset({SW.FILE_INVALID, 0x6284, SW.PERMANENTLY_BLOCKED, SW.NOT_SUPPORTED})
ABSENT: Final = frozenset({SW.RECORD_NOT_FOUND, SW.FILE_NOT_FOUND, SW.NO_CURRENT_FILE, SW.WRONG_P1P2})


@dataclass(frozen=True, slots=True)
class CardView:
    """What was read of a card; what was not asked for is empty or None.

    `public` are the fields of `tunion.PUBLIC`, `kind` those of `tunion.CARD_KIND`; `metro` is record 2701
    of EF1A and `newest` the newest record of EF1E, as bytes; the balance is without overdraft.
    """

    public: dict[str, Any]
    kind: dict[str, Any] = field(default_factory=dict)
    metro: bytes | None = None
    newest: bytes | None = None
    balance_fen: int | None = None

    @property
    def issuer(self) -> bytes:
        """The issuer's code, 8 bytes."""
        return self.public["issuer"]  # type: ignore[no-any-return]

    @property
    def pan(self) -> str:
        """The card's number, 20 digits."""
        return self.public["pan"]  # type: ignore[no-any-return]

    @property
    def card_class(self) -> int:
        """Class of the holder, 0 when not read."""
        return int(self.kind.get("card_class", 0))


def blocked_or(refusal: Refusal, response: Answer, name: str) -> Refused:
    """The refusal behind a card's status word: a blocked card is told as blocked."""
    told = Refusal.CARD_BLOCKED if response.sw in BLOCKED else refusal
    return Refused(told, CARD, name, response.sw)


def identify() -> Dialogue[CardView | Refused]:
    """SELECT the purse and tell whose card it is: one exchange, two when the FCI does not hold EF15.

    Refused: CARD_BLOCKED (6283 6284 9303 6A81), UNKNOWN_CARD (any other status word).
    """
    response = yield from ask(CARD, "SELECT", SELECT)
    if not response.ok:
        return blocked_or(Refusal.UNKNOWN_CARD, response, "SELECT")
    try:
        public = find(response.data, TAG_FCI, TAG_PROPRIETARY, TAG_PUBLIC)
    except TlvError:
        raise DialogueError(CARD, "SELECT", response.encode(), "file control information") from None
    if public is None or len(public) < tunion.PUBLIC.size:
        response = yield from ask(CARD, "READ BINARY 15", READ_PUBLIC)
        if not response.ok:
            return blocked_or(Refusal.UNKNOWN_CARD, response, "READ BINARY 15")
        public = sized(response, tunion.PUBLIC.size, CARD, "READ BINARY 15")
    return CardView(decoded_public(public))


def decoded_public(raw: bytes) -> dict[str, Any]:
    """Fields of EF15; `DialogueError` when they hold no card number or no dates."""
    try:
        public = tunion.PUBLIC.decode(raw[: tunion.PUBLIC.size])
    except LayoutError:
        raise DialogueError(CARD, "SELECT", raw, "the public file of a T-Union card") from None
    if not public["pan"].isdigit():
        raise DialogueError(CARD, "SELECT", raw, "a public file with a card number of digits")
    return public


def read_kind() -> Dialogue[dict[str, Any] | Refused]:
    """EF17: country, city, interoperability, card class. `DialogueError` when it is not 11 bytes."""
    response = yield from ask(CARD, "READ BINARY 17", READ_KIND)
    if not response.ok:
        return blocked_or(Refusal.CARD_FAULT, response, "READ BINARY 17")
    raw = sized(response, tunion.CARD_KIND.size, CARD, "READ BINARY 17")
    try:
        return tunion.CARD_KIND.decode(raw)
    except LayoutError:
        raise DialogueError(CARD, "READ BINARY 17", raw, "the management file of a T-Union card") from None


def read_record(sfi: int, number: int) -> Dialogue[bytes | Refused | None]:
    """One record, None when the card has no such record or file."""
    name = f"READ RECORD {sfi:02X}/{number}"
    response = yield from ask(CARD, name, bytes((0x00, 0xB2, number, sfi << 3 | 4, 0x00)))
    if response.ok:
        return response.data
    return None if response.sw in ABSENT else blocked_or(Refusal.CARD_FAULT, response, name)


def read_balance() -> Dialogue[int | Refused]:
    """The balance in fen without overdraft; asks the classic way when the card does not know T-Union's."""
    response = yield from ask(CARD, "GET BALANCE", READ_BALANCE)
    if not response.ok:
        response = yield from ask(CARD, "GET BALANCE", READ_BALANCE_CLASSIC)
    if not response.ok:
        return blocked_or(Refusal.CARD_FAULT, response, "GET BALANCE")
    return int.from_bytes(sized(response, 4, CARD, "GET BALANCE"), "big") & BALANCE_MASK


def read_memory(view: CardView, journey: bool = True) -> Dialogue[CardView | Refused]:
    """Add what a service needs of a composite card: EF17, the newest of EF1E, record 2701 of EF1A.

    With `journey` False record 2701 is read only when the newest event is an entry, whose ride before is
    kept there.
    """
    kind = yield from read_kind()
    if isinstance(kind, Refused):
        return kind
    newest = yield from read_record(tunion.SFI_TRANSIT, 1)
    if isinstance(newest, Refused):
        return newest
    if not journey and not (newest and newest[0] == tunion.ENTRY):
        return CardView(view.public, kind, None, newest)
    metro = yield from read_record(tunion.SFI_INDUSTRY, METRO_NUMBER)
    if isinstance(metro, Refused):
        return metro
    return CardView(view.public, kind, metro, newest)


def read_card() -> Dialogue[CardView | Refused]:
    """All a service desk shows: identity, kind, what services left on the card, and the balance."""
    view = yield from identify()
    if isinstance(view, Refused):
        return view
    view = yield from read_memory(view)
    if isinstance(view, Refused):
        return view
    balance = yield from read_balance()
    if isinstance(balance, Refused):
        return balance
    return CardView(view.public, view.kind, view.metro, view.newest, balance)


def read_log(sfi: int = tunion.SFI_LOG) -> Dialogue[list[dict[str, Any]] | Refused]:
    """A transaction log, newest first; records that are empty or alien are left out."""
    rows: list[dict[str, Any]] = []
    for number in range(1, tunion.LOG_RECORDS + 1):
        raw = yield from read_record(sfi, number)
        if isinstance(raw, Refused):
            return raw
        if raw is None:
            break
        try:
            row = tunion.LOG.decode(raw)
        except LayoutError:
            continue
        if row["at"] is not None:
            rows.append(row)
    return rows
