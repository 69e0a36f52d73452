# SPDX-License-Identifier: Apache-2.0
"""Purchase (消费) and composite purchase (复合消费): card and PSAM agree on a debit, the card remembers more.

INIT on the card, 8070 in the PSAM (gives MAC1), for a composite purchase the records that go with it
(80DC), DEBIT on the card (gives MAC2 and TAC), 8072 in the PSAM (checks MAC2). Metro entry, metro exit and
bus differ only in the amount and in what is staged. `remember` is called right before DEBIT: what it stores
is all that is left if the answer never comes. Bytes: card facts 1.3, 6.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from citycard.core.apdu import SW, Command
from citycard.core.calendar import bcd_datetime
from citycard.core.dialogue.exchange import CARD, SAM, Dialogue, Refused, ask, sized
from citycard.core.dialogue.read import blocked_or
from citycard.core.purse import Txn
from citycard.core.refusal import Refusal
from citycard.core.tunion import SFI_TRANSIT

INIT_PURCHASE: Final = bytes.fromhex("805001020B")
INIT_COMPOSITE: Final = bytes.fromhex("805003020B")
INIT_SIZE: Final = 15
DEBIT: Final = bytes.fromhex("805401000F")
DEBIT_SIZE: Final = 8
SAM_INIT: Final = bytes.fromhex("8070000024")  # two factors: 14 + 10 hex
SAM_CREDIT: Final = bytes.fromhex("8072000004")
LE: Final = {4: b"\x04", 8: b"\x08", 15: b"\x0f", 16: b"\x10"}

# After these the card cannot have debited; after any other word, or none, it may have.
NOT_DEBITED: Final = frozenset(
    {
        SW.MAC_ERROR, SW.INSUFFICIENT_BALANCE, SW.COUNTER_AT_MAX, SW.CONDITIONS_OF_USE, SW.WRONG_STATE,
        SW.SECURITY_STATUS, SW.NOT_SUPPORTED, SW.FILE_INVALID, SW.PERMANENTLY_BLOCKED, SW.WRONG_P1P2,
        SW.WRONG_INS, SW.WRONG_CLA, SW.WRONG_LENGTH, SW.WRONG_DATA, SW.CAPP_LOCKED, SW.GREY_LOCKED,
    }
)  # fmt: skip


class Staged(Protocol):
    """A record to write with the debit; `number` 0 adds to a cyclic file."""

    @property
    def sfi(self) -> int: ...
    @property
    def number(self) -> int: ...
    @property
    def data(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be debited, from whom, where, when; `terminal` is 6 bytes, `issuer` 8, `pan` 20 digits."""

    amount_fen: int
    terminal: bytes
    at: datetime
    issuer: bytes
    pan: str
    composite: bool = True
    key_index: int = 1

    @property
    def txn(self) -> Txn:
        """The transaction type byte."""
        return Txn.COMPOSITE if self.composite else Txn.EP_PURCHASE


@dataclass(frozen=True, slots=True)
class Opened:
    """The card's answer to INIT; `counter` is the offline ATC before its increment."""

    balance_fen: int
    counter: int
    overdraft_fen: int
    key_version: int
    algorithm: int
    rand: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of a debit: the PSAM's transaction number, the card's MAC2 and its TAC."""

    opened: Opened
    terminal_txn: int
    mac2: bytes
    tac: bytes


@dataclass(frozen=True, slots=True)
class Unproven:
    """DEBIT was sent and its outcome is not known: the card must be asked again."""

    why: Refused


def open_purchase(order: Order) -> Dialogue[Opened | Refused]:
    """INIT PURCHASE or INIT CAPP PURCHASE: the card opens a session and tells its balance and counter.

    Refused: INSUFFICIENT_BALANCE, CARD_BLOCKED, CARD_FAULT.
    """
    head = INIT_COMPOSITE if order.composite else INIT_PURCHASE
    data = bytes((order.key_index,)) + order.amount_fen.to_bytes(4, "big") + order.terminal
    response = yield from ask(CARD, "INIT PURCHASE", head + data + LE[INIT_SIZE])
    if response.sw == SW.INSUFFICIENT_BALANCE:
        return Refused(Refusal.INSUFFICIENT_BALANCE, CARD, "INIT PURCHASE", response.sw)
    if not response.ok:
        return blocked_or(Refusal.CARD_FAULT, response, "INIT PURCHASE")
    raw = sized(response, INIT_SIZE, CARD, "INIT PURCHASE")
    balance = int.from_bytes(raw[0:4], "big")
    return Opened(balance, raw[4] << 8 | raw[5], int.from_bytes(raw[6:9], "big"), raw[9], raw[10], raw[11:15])


def close_purchase(
    order: Order, opened: Opened, staged: Iterable[Staged], remember: Callable[[int], None]
) -> Dialogue[Receipt | Refused | Unproven]:
    """From the open session to the proven debit; `remember(terminal_txn)` is called right before DEBIT.

    `Refused` means that nothing was debited, `Unproven` that it may have been. Refused: SAM_FAULT,
    CARD_FAULT, CARD_BLOCKED, INSUFFICIENT_BALANCE.
    """
    moment = bcd_datetime(order.at)
    answer = yield from _mac1(order, opened, moment)
    if isinstance(answer, Refused):
        return answer
    for record in staged:
        response = yield from ask(CARD, "UPDATE CAPP CACHE", cache_command(record))
        if not response.ok:
            return blocked_or(Refusal.CARD_FAULT, response, "UPDATE CAPP CACHE")
    terminal_txn = answer[:4]
    number = int.from_bytes(terminal_txn, "big")
    remember(number)
    response = yield from ask(CARD, "DEBIT", DEBIT + terminal_txn + moment + answer[4:] + LE[DEBIT_SIZE])
    if response.sw in NOT_DEBITED:
        return _debit_refused(response.sw)
    if not response.ok:
        return Unproven(Refused(Refusal.CARD_FAULT, CARD, "DEBIT", response.sw))
    raw = sized(response, DEBIT_SIZE, CARD, "DEBIT")
    tac, mac2 = raw[:4], raw[4:]
    refused = yield from check_mac2(mac2)
    return Unproven(refused) if refused else Receipt(opened, number, mac2, tac)


def check_mac2(mac2: bytes) -> Dialogue[Refused | None]:
    """Let the PSAM check the card's MAC2. NOT_PROVEN when it is wrong, SAM_FAULT when it cannot tell."""
    response = yield from ask(SAM, "CREDIT SAM", SAM_CREDIT + mac2)
    if response.ok:
        return None
    wrong = response.sw == SW.MAC_ERROR or response.sw & 0xFFF0 == 0x63C0
    return Refused(Refusal.NOT_PROVEN if wrong else Refusal.SAM_FAULT, SAM, "CREDIT SAM", response.sw)


def purchase(
    order: Order,
    staged: Callable[[Opened], Iterable[Staged]] = lambda opened: (),
    remember: Callable[[int], None] = lambda terminal_txn: None,
) -> Dialogue[Receipt | Refused | Unproven]:
    """The whole purchase at a fixed amount; `staged` gives the records once the card's balance is known."""
    opened = yield from open_purchase(order)
    if isinstance(opened, Refused):
        return opened
    return (yield from close_purchase(order, opened, staged(opened), remember))


def cache_command(record: Staged) -> bytes:
    """UPDATE CAPP DATA CACHE of a record by number, or of a new record of a cyclic file (facts 1.3)."""
    cyclic = record.sfi == SFI_TRANSIT or record.number == 0
    p1, p2 = (0, record.sfi << 3) if cyclic else (record.number, record.sfi << 3 | 4)
    return Command(0x80, 0xDC, p1, p2, record.data).encode()


def _mac1(order: Order, opened: Opened, moment: bytes) -> Dialogue[bytes | Refused]:
    """The PSAM's transaction number (4) and MAC1 (4)."""
    data = (
        opened.rand
        + opened.counter.to_bytes(2, "big")
        + order.amount_fen.to_bytes(4, "big")
        + bytes((order.txn,))
        + moment
        + bytes((opened.key_version, opened.algorithm))
        + bytes.fromhex(order.pan)[2:]
        + order.issuer
    )
    response = yield from ask(SAM, "INIT SAM", SAM_INIT + data + LE[8])
    if not response.ok:
        return Refused(Refusal.SAM_FAULT, SAM, "INIT SAM", response.sw)
    return sized(response, 8, SAM, "INIT SAM")


def _debit_refused(sw: int) -> Refused:
    told = {
        SW.INSUFFICIENT_BALANCE: Refusal.INSUFFICIENT_BALANCE,
        SW.MAC_ERROR: Refusal.SAM_FAULT,  # the card does not take the PSAM's MAC1
        SW.NOT_SUPPORTED: Refusal.CARD_BLOCKED,
        SW.FILE_INVALID: Refusal.CARD_BLOCKED,
        SW.PERMANENTLY_BLOCKED: Refusal.CARD_BLOCKED,
    }
    return Refused(told.get(SW(sw), Refusal.CARD_FAULT), CARD, "DEBIT", sw)
