# SPDX-License-Identifier: Apache-2.0
"""Watches how much is open with each participant, and raises an alarm beyond what its terms allow.

Open is what stands on its position and what was ordered from or to it and the bank has not moved yet. A debt
is covered by the guarantee deposit first; the limit is for the rest.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date

from django.db.models import F

from citycard.office.intake import alarms
from citycard.office.ledger.models import LedgerAccount
from citycard.office.participants.models import SettlementTerms
from citycard.office.settlement.models import Payment


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is open with a participant; `open_fen` is positive when the scheme owes."""

    participant: str
    open_fen: int
    deposit_fen: int
    deposit_required_fen: int
    limit_fen: int | None
    holds: bool

    @property
    def uncovered_fen(self) -> int:
        """How much counts against the limit."""
        return self.open_fen if self.open_fen >= 0 else max(0, -self.open_fen - self.deposit_fen)

    @property
    def over_fen(self) -> int:
        """How far beyond the limit; 0 within it."""
        return 0 if self.limit_fen is None else max(0, self.uncovered_fen - self.limit_fen)

    @property
    def deposit_short_fen(self) -> int:
        """What is missing of the deposit."""
        return max(0, self.deposit_required_fen - self.deposit_fen)


def exposures() -> list[Exposure]:
    """Of all participants that have terms, by id."""
    balances = _balances("position")
    balances.update(_ordered())
    deposits = _balances("guarantee")
    return [
        Exposure(
            terms.participant_id,
            balances[terms.participant_id],
            deposits[terms.participant_id],
            terms.deposit_fen,
            terms.limit_fen,
            terms.hold_over_limit,
        )
        for terms in SettlementTerms.objects.order_by("participant")
    ]


def watch(settle_on: date) -> list[Exposure]:
    """Raise alarms for limits passed on this date, and once a month for deposits that are short."""
    found = exposures()
    for one in found:
        if one.over_fen:
            alarms.raise_alarm(
                alarms.POSITION_LIMIT, one.participant, settle_on.isoformat(),
                open_fen=one.open_fen, limit_fen=one.limit_fen, over_fen=one.over_fen,
            )  # fmt: skip
        if one.deposit_short_fen:
            alarms.raise_alarm(
                alarms.DEPOSIT_SHORT, one.participant, f"{settle_on:%Y-%m}",
                deposit_fen=one.deposit_fen, required_fen=one.deposit_required_fen,
            )  # fmt: skip
    return found


def held(settle_on: date) -> set[str]:
    """Participants whose payments wait for an officer, because their terms say so."""
    return {one.participant for one in watch(settle_on) if one.holds and one.over_fen}


def _balances(kind: str) -> Counter[str]:
    rows = LedgerAccount.objects.filter(kind=kind)
    return Counter({row.id.partition(":")[2]: row.balance_fen for row in rows})


def _ordered() -> Counter[str]:
    """Payments on their way, those to a participant positive."""
    found: Counter[str] = Counter()
    for payment in Payment.objects.exclude(paid_fen=F("amount_fen")):
        found[payment.participant] += -payment.open_fen if payment.collects else payment.open_fen
    return found
