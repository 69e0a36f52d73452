# SPDX-License-Identifier: Apache-2.0
"""Asks whether the books agree with themselves, and each card's account with what the card last showed.

What a card last showed is the balance after its newest accepted record, or what it left personalisation
with. Its account may rightly differ: loads confirmed since stand in the account only; purchases that clearing
holds back (suspended, too late ...) and loads whose proof is still to come stand on the card only. These are
taps under way and are added up; what is left unexplained is a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from citycard.core.record import Kind
from citycard.core.refusal import Reason
from citycard.office import ledger
from citycard.office.cards.models import Card, Status
from citycard.office.intake.models import Load
from citycard.office.ledger.models import LedgerAccount
from citycard.office.settlement.answer import ACCEPTED
from citycard.office.settlement.models import Movement, Tap

OUT_OF_USE: Final = frozenset({Status.REPLACED, Status.REFUNDED, Status.DESTROYED})  # paid out by a verb
PROVE_NOTHING: Final = frozenset(
    reason.code
    for reason in (
        Reason.MALFORMED,
        Reason.TEST_RECORD,
        Reason.CONTENT_CONFLICT,
        Reason.DUPLICATE,
        Reason.UNKNOWN_TERMINAL,
        Reason.UNKNOWN_ISSUER,
        Reason.UNKNOWN_CARD,
        Reason.TAC_MISMATCH,
        Reason.COUNTER_REUSED,
    )
)
READ_AT_ONCE: Final = 5000


@dataclass(frozen=True, slots=True)
class CardDifference:
    """A card whose account is not what it last showed; `explained_fen` of the difference is under way."""

    pan: str
    account_fen: int
    seen_fen: int
    explained_fen: int

    @property
    def unexplained_fen(self) -> int:
        """What nobody can account for."""
        return self.account_fen - self.seen_fen - self.explained_fen


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The state of the books. `sound` sums it up."""

    ledger_balanced: bool
    positions_sum_fen: int
    clearing_open: dict[str, int]  # clearing accounts that are not at zero
    suspense_fen: int
    cards: int
    under_way: list[CardDifference]
    unexplained: list[CardDifference]

    @property
    def cards_match(self) -> bool:
        """Every card's account is what the card last showed, but for taps under way."""
        return not self.unexplained

    @property
    def sound(self) -> bool:
        """Nothing for a person to look into."""
        return (
            self.ledger_balanced
            and self.positions_sum_fen == 0
            and not self.clearing_open
            and self.suspense_fen == 0
            and self.cards_match
        )


def reconcile() -> Reconciliation:
    """Check everything; reads only."""
    positions = LedgerAccount.objects.filter(kind="position")
    clearings = LedgerAccount.objects.filter(kind="clearing")
    differing = list(_differences())
    return Reconciliation(
        ledger_balanced=ledger.trial_balance().balanced,
        positions_sum_fen=sum(account.balance_fen for account in positions),
        clearing_open={one.id: one.balance_fen for one in clearings if one.balance_fen},
        suspense_fen=-sum(account.balance_fen for account in LedgerAccount.objects.filter(kind="suspense")),
        cards=Card.objects.exclude(status__in=OUT_OF_USE).count(),
        under_way=[one for one in differing if not one.unexplained_fen],
        unexplained=[one for one in differing if one.unexplained_fen],
    )


@dataclass(slots=True)
class _Seen:
    """What a card last showed, by which kind of record and when (None: at personalisation)."""

    balance_fen: int
    at: datetime | None = None
    kind: int = 0
    counter: int = -1  # of its newest accepted purchase
    under_way_fen: int = 0  # what its account has and the card did not show, less the reverse

    def showed_purchase(self, counter: int, at: datetime) -> bool:
        """Whether a purchase had already been taken off what the card last showed."""
        after_load = self.kind == Kind.LOAD and self.at is not None and at <= self.at
        return counter <= self.counter or after_load

    def showed_load(self, at: datetime) -> bool:
        """Whether a load had already been put onto what the card last showed."""
        return self.at is not None and at <= self.at


def _differences() -> Iterator[CardDifference]:
    accounts = {
        name.partition(":")[2]: credits - debits
        for name, credits, debits in LedgerAccount.objects.filter(kind="card").values_list(
            "id", "credits_posted", "debits_posted"
        )
    }
    seen = _last_seen()
    _add_held_back(seen)
    unproven = _add_loads(seen)
    for pan, card in seen.items():
        account_fen = accounts.get(pan, 0)
        difference_fen = account_fen - card.balance_fen
        if pan in unproven and difference_fen == card.under_way_fen - unproven[pan]:
            card.under_way_fen -= unproven[pan]  # the card has it: its proof is still to come
        if difference_fen or card.under_way_fen:
            yield CardDifference(pan, account_fen, card.balance_fen, card.under_way_fen)


def _last_seen() -> dict[str, _Seen]:
    cards = Card.objects.exclude(status__in=OUT_OF_USE).order_by().values_list("pan", "personalised_fen")
    seen = {pan: _Seen(fen) for pan, fen in cards.iterator(READ_AT_ONCE)}
    columns = ("pan", "kind", "last_counter", "last_balance_fen", "last_at")
    for row in Movement.objects.order_by("last_at", "kind").values_list(*columns).iterator(READ_AT_ONCE):
        pan, kind, counter, balance_fen, at = row
        card = seen.get(pan)
        if card is not None:
            card.balance_fen, card.at, card.kind = balance_fen, at, kind
            card.counter = max(card.counter, counter) if kind == Kind.PURCHASE else card.counter
    return seen


def _add_loads(seen: dict[str, _Seen]) -> dict[str, int]:
    """Loads posted whose card has not been heard of since; returns the pending ones that it may hold."""
    unproven: dict[str, int] = {}
    columns = ("card_id", "amount_fen", "at", "status")
    loads = Load.objects.exclude(status=Load.Status.VOIDED).order_by()
    for pan, amount_fen, at, status in loads.values_list(*columns).iterator(READ_AT_ONCE):
        card = seen.get(pan)
        if card is None:
            continue
        if status == Load.Status.PENDING:
            unproven[pan] = unproven.get(pan, 0) + (amount_fen if card.showed_load(at) else 0)
        elif not card.showed_load(at):
            card.under_way_fen += amount_fen
    return unproven


def _add_held_back(seen: dict[str, _Seen]) -> None:
    """Purchases taken off what the card last showed that clearing has accepted in no run so far."""
    held = Tap.objects.exclude(verdict=ACCEPTED).exclude(reason__in=PROVE_NOTHING).filter(kind=Kind.PURCHASE)
    columns = ("tap", "pan", "amount_fen", "counter", "tapped_at")
    waiting = {
        row[0]: row[1:] for row in held.order_by("run_id").values_list(*columns).iterator(READ_AT_ONCE)
    }
    for tap in _accepted(waiting):
        del waiting[tap]
    for pan, amount_fen, counter, at in waiting.values():
        card = seen.get(pan)
        if card is not None and card.showed_purchase(counter, at):
            card.under_way_fen += amount_fen


def _accepted(taps: Iterable[str]) -> Iterator[str]:
    """Those of these records that were accepted in some run."""
    names = list(taps)
    for at in range(0, len(names), 900):
        chunk = names[at : at + 900]
        yield from set(Tap.objects.filter(tap__in=chunk, verdict=ACCEPTED).values_list("tap", flat=True))
