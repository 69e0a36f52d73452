# SPDX-License-Identifier: Apache-2.0
"""What a month came to for each participant: revenue, dates, what the bank moved, fees made up by volume.

The adjustments of a month's closing belong to that month, whenever they were booked.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

from django.db.models import Q, Sum

from citycard.core.tables import Row
from citycard.office.participants.models import Participant
from citycard.office.settlement.closing import PAIR, last_of
from citycard.office.settlement.models import FeeAdjustment, Payment, PositionRow, RevenueRow

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
    adjustments: list[FeeAdjustment]  # by volume, closing by closing

    def adjusted(self, participant: str) -> list[FeeAdjustment]:
        """The adjustments this participant has a part in."""
        return [one for one in self.adjustments if participant in (one.acquirer, one.issuer, one.scheme)]


def month_of(first: date) -> Month:
    """The closed business dates of the month that begins on this day."""
    last = last_of(first)
    within = Q(run__gte=first, run__lte=last, closing=None) | Q(closing__month=first)
    rows = (
        RevenueRow.objects.filter(within)
        .order_by()
        .values(*KEY)
        .annotate(taps=Sum("taps"), amount_fen=Sum("amount_fen"))
    )
    days: dict[str, list[tuple[date, int, int, int]]] = defaultdict(list)
    moved = _moved(first, last)
    for row in PositionRow.objects.filter(within).order_by("run_id", "closing__number", "participant"):
        fen = moved.get((row.participant_id, row.run_id), 0) if row.closing_id is None else 0
        days[row.participant_id].append((row.run_id, row.receivable_fen, row.payable_fen, fen))
    names = {one.id: (one.name_en, one.name_zh) for one in Participant.objects.all()}
    adjustments = FeeAdjustment.objects.filter(closing__month=first).select_related("closing")
    ordered = adjustments.order_by("closing__number", *PAIR)
    return Month(first, last, list(rows), dict(days), names, list(ordered))


def _moved(first: date, last: date) -> dict[tuple[str, date], int]:
    """What the bank moved for a participant, by the date its payment was made on; signed like its net."""
    payments = Payment.objects.filter(run__gte=first, run__lte=last)
    return {
        (one.participant, one.run_id): -one.paid_fen if one.collects else one.paid_fen for one in payments
    }
