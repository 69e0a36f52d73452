# SPDX-License-Identifier: Apache-2.0
"""What a month came to for each participant: its revenue summed up, its dates, and what the bank moved."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Sum

from citycard.core.tables import Row
from citycard.office.participants.models import Participant
from citycard.office.settlement.models import Payment, PositionRow, RevenueRow

KEY = ("participant", "service", "counterparty", "cause")


@dataclass(frozen=True, slots=True)
class Month:
    """Rows of `core.tables.REVENUE` summed over a month, and per participant its dates.

    A date is (business date, receivable, payable, moved), moved being what the bank moved of the payment that
    took the date's position: all of it on the last date where one payment took several.
    """

    first: date
    last: date
    revenue: list[Row]
    days: dict[str, list[tuple[date, int, int, int]]]
    names: dict[str, tuple[str, str]]


def month_of(first: date) -> Month:
    """The closed business dates of the month that begins on this day."""
    last = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    within = {"run__gte": first, "run__lte": last}
    rows = (
        RevenueRow.objects.filter(**within)
        .order_by()
        .values(*KEY)
        .annotate(taps=Sum("taps"), amount_fen=Sum("amount_fen"))
    )
    days: dict[str, list[tuple[date, int, int, int]]] = defaultdict(list)
    moved = _moved(first, last)
    for row in PositionRow.objects.filter(**within).order_by("run_id", "participant"):
        fen = moved.get((row.participant_id, row.run_id), 0)
        days[row.participant_id].append((row.run_id, row.receivable_fen, row.payable_fen, fen))
    names = {one.id: (one.name_en, one.name_zh) for one in Participant.objects.all()}
    return Month(first, last, list(rows), dict(days), names)


def _moved(first: date, last: date) -> dict[tuple[str, date], int]:
    """What the bank moved for a participant, by the date its payment was made on; signed like its net."""
    payments = Payment.objects.filter(run__gte=first, run__lte=last)
    return {
        (one.participant, one.run_id): -one.paid_fen if one.collects else one.paid_fen for one in payments
    }
