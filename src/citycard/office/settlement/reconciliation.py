# SPDX-License-Identifier: Apache-2.0
"""Asks whether the books agree with themselves, and each card's account with what the card last showed.

What a card last showed is the balance after its newest accepted record, or what it left personalisation
with. Its account may rightly differ: loads confirmed since stand in the account only; purchases that clearing
holds back (suspended, too late ...) stand on the card only. Both are taps under way and are added up; what is
left unexplained is a finding.
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
    """What a card last showed, and when (None: at personalisation)."""

    balance_fen: int
    at: datetime | None


def _differences() -> Iterator[CardDifference]:
    accounts = {
        name.partition(":")[2]: credits - debits
        for name, credits, debits in LedgerAccount.objects.filter(kind="card").values_list(
            "id", "credits_posted", "debits_posted"
        )
    }
    seen = _last_seen()
    explained: dict[str, int] = {}
    _add_late_loads(explained, seen)
    _add_held_back(explained, seen)
    for pan, card in seen.items():
        account_fen = accounts.get(pan, 0)
        if account_fen != card.balance_fen:
            yield CardDifference(pan, account_fen, card.balance_fen, explained.get(pan, 0))


def _last_seen() -> dict[str, _Seen]:
    cards = Card.objects.exclude(status__in=OUT_OF_USE).order_by()
    seen = {
        pan: _Seen(fen, None)
        for pan, fen in cards.values_list("pan", "personalised_fen").iterator(READ_AT_ONCE)
    }
    newest = Movement.objects.order_by("last_at").values_list("pan", "last_balance_fen", "last_at")
    for pan, balance_fen, at in newest.iterator(READ_AT_ONCE):
        if pan in seen:
            seen[pan] = _Seen(balance_fen, at)
    return seen


def _add_late_loads(explained: dict[str, int], seen: dict[str, _Seen]) -> None:
    """Loads posted at once whose card has not been heard of since."""
    posted = Load.objects.filter(status=Load.Status.POSTED).values_list("card_id", "amount_fen", "at")
    for pan, amount_fen, at in posted.iterator(READ_AT_ONCE):
        card = seen.get(pan)
        if card is not None and (card.at is None or at > card.at):
            explained[pan] = explained.get(pan, 0) + amount_fen


def _add_held_back(explained: dict[str, int], seen: dict[str, _Seen]) -> None:
    """Purchases the card made before it was last heard of, and clearing has not accepted by its last word."""
    held = Tap.objects.exclude(verdict=ACCEPTED).exclude(reason__in=PROVE_NOTHING)
    candidates = (
        held.filter(kind=Kind.PURCHASE).order_by("run").values_list("tap", "pan", "amount_fen", "tapped_at")
    )
    last_word = {tap: (pan, fen, at) for tap, pan, fen, at in candidates.iterator(READ_AT_ONCE)}
    for tap in _accepted(last_word):
        del last_word[tap]
    for pan, amount_fen, at in last_word.values():
        card = seen.get(pan)
        if card is not None and card.at is not None and at <= card.at:
            explained[pan] = explained.get(pan, 0) + amount_fen


def _accepted(taps: Iterable[str]) -> Iterator[str]:
    """Those of these records that were accepted in some run."""
    names = list(taps)
    for at in range(0, len(names), 900):
        chunk = names[at : at + 900]
        yield from set(Tap.objects.filter(tap__in=chunk, verdict=ACCEPTED).values_list("tap", flat=True))
