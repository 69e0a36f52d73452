# SPDX-License-Identifier: Apache-2.0
"""Months: what they came to for each participant, and from which dates and volumes every figure is made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from django.db.models import Max, Min
from django.utils.translation import gettext as _

from citycard.core.figure import AMOUNT, FEE, Figure
from citycard.core.money import yuan
from citycard.core.volume import BY_TAPS, parse_tier
from citycard.office.console import labels
from citycard.office.console.access import Text
from citycard.office.console.queries.figures import query_of
from citycard.office.console.queries.names import participants
from citycard.office.settlement.closing import PAIR, last_of
from citycard.office.settlement.models import (
    FeeAdjustment,
    MonthClosing,
    PositionRow,
    RevenueRow,
    SettlementRun,
    VolumeRow,
)
from citycard.office.settlement.monthly import Month, month_of

MONTHS_MAX: Final = 120  # listed: ten years
LINE: Final = ("service", "counterparty", "cause")


@dataclass(frozen=True, slots=True)
class Side:
    """A participant's month."""

    id: str
    name: str
    receivable_fen: int
    payable_fen: int

    @property
    def net_fen(self) -> int:
        """Receivable less payable."""
        return self.receivable_fen - self.payable_fen


@dataclass(frozen=True, slots=True)
class DayRow:
    """What a date put to a figure of a month, or the closing booked on it; `query` leads to its taps."""

    on: date
    closing: MonthClosing | None
    taps: int
    amount_fen: int
    query: str


def first_of(value: str) -> date | None:
    """The first day of a month as addresses write it."""
    try:
        return date.fromisoformat(f"{value}-01")
    except ValueError:
        return None


def months() -> list[dict[str, Any]]:
    """Months with closed dates, newest first, and how often each was closed."""
    span = SettlementRun.objects.aggregate(first=Min("settle_on"), last=Max("settle_on"))
    closings = Counter(MonthClosing.objects.order_by().values_list("month", flat=True))
    found: list[dict[str, Any]] = []
    if span["last"] is None:
        return found
    at = span["last"].replace(day=1)
    while at >= span["first"].replace(day=1) and len(found) < MONTHS_MAX:
        if dates := SettlementRun.objects.filter(settle_on__gte=at, settle_on__lte=last_of(at)).count():
            found.append({"value": f"{at:%Y-%m}", "dates": dates, "closings": closings[at]})
        at = date(at.year - (at.month == 1), (at.month - 2) % 12 + 1, 1)
    return found


def sides(found: Month) -> list[Side]:
    """Participants of a month, the largest claim first."""
    known = participants()
    lines = [
        Side(who, known.get(who, who), sum(day[1] for day in days), sum(day[2] for day in days))
        for who, days in found.days.items()
    ]
    return sorted(lines, key=lambda line: -line.net_fen)


def lines(found: Month, participant: str) -> list[dict[str, Any]]:
    """A participant's lines of the month, each with the query of the dates it is made of."""
    known = participants()
    own = [row for row in found.revenue if row["participant"] == participant]
    return [
        row
        | {
            "service_name": labels.service(row["service"]),
            "cause_name": labels.CAUSES.get(row["cause"], row["cause"]),
            "other": known.get(row["counterparty"], row["counterparty"]),
            "query": query_of(Figure(participant=participant, **{name: row[name] for name in LINE})),
        }
        for row in sorted(own, key=lambda row: (row["service"], row["cause"], row["counterparty"]))
    ]


def days(first: date, figure: Figure) -> list[DayRow]:
    """The dates a figure of a month is made of: of a line where it names one, else of the position."""
    wanted: dict[str, Any] = {"participant": figure.participant}
    if figure.cause is None:
        return [
            DayRow(row.run_id, row.closing, 0, _side(row, figure.side), query_of(figure))
            for row in _of_month(PositionRow.objects.filter(**wanted), first)
        ]
    wanted |= {name: getattr(figure, name) for name in LINE}
    return [
        DayRow(row.run_id, row.closing, row.taps, row.amount_fen, query_of(figure))
        for row in _of_month(RevenueRow.objects.filter(**wanted), first)
    ]


def _of_month(rows: Any, first: date) -> Any:
    own = rows.filter(run__gte=first, run__lte=last_of(first), closing=None) | rows.filter(
        closing__month=first
    )
    return own.select_related("closing").order_by("run_id", "closing__number")


def _side(row: PositionRow, side: str) -> int:
    return int(getattr(row, f"{side}_fen" if side else "net_fen"))


def adjustments(rows: list[FeeAdjustment], of: str = "") -> list[dict[str, Any]]:
    """How fees were made up to the month's volume, in words; `of`: with whose own part."""
    known = participants()
    return [
        {
            "row": row,
            "service": labels.service(row.service),
            "acquirer": known.get(row.acquirer, row.acquirer),
            "issuer": known.get(row.issuer, row.issuer),
            "tier": tier_words(row.tier, row.terms["volume_by"])
            if row.tier
            else _("the contract's own rate"),
            "own_fen": row.moved[of] if of else None,
        }
        for row in rows
    ]


def moves(adjustment: FeeAdjustment) -> list[dict[str, Any]]:
    """Who gets and gives what by an adjustment; it adds up to zero."""
    known = participants()
    return [
        {"id": who, "name": known.get(who, who), "fen": fen} for who, fen in sorted(adjustment.moved.items())
    ]


def volumes(adjustment: FeeAdjustment) -> list[dict[str, Any]]:
    """From which dates the turnover and the fee of an adjustment come, each with the way to its taps.

    Only those cleared by the time it was booked: what came later is the next closing's.
    """
    first = adjustment.closing.month
    closing = adjustment.closing
    pair = {name: getattr(adjustment, name) for name in PAIR}
    rows = VolumeRow.objects.filter(
        **pair,
        run__lte=closing.run_id,
        run__posted_at__lte=closing.closed_at,
        business_date__gte=first,
        business_date__lte=last_of(first),
    )
    found = []
    for row in rows.order_by("business_date", "run_id"):
        of_taps: dict[str, Any] = {
            "service": row.service, "acquirer": row.acquirer, "issuer": row.issuer,
            "business_date": row.business_date,
        }  # fmt: skip
        found.append(
            {
                "row": row,
                "fee_fen": row.issuer_fen + row.acquirer_fen + row.scheme_fen,
                "amount_query": query_of(Figure(what=AMOUNT, **of_taps)),
                "fee_query": query_of(Figure(what=FEE, **of_taps)),
            }
        )
    return found


def tier_words(text: str, by: str) -> Text:
    """A tier in words: from which volume on, at which rate."""
    tier = parse_tier(text)
    start = f"{tier.start:,}" if by == BY_TAPS else yuan(tier.start)
    words = {"start": start, "rate": f"{tier.charge_bp / 100:.2f} %", "fixed": yuan(tier.fixed_fen)}
    unit = _("from %(start)s taps: %(rate)s") if by == BY_TAPS else _("from %(start)s yuan: %(rate)s")
    each = _(", plus %(fixed)s each") if tier.fixed_fen else ""
    return unit % words + each % words


__all__ = ["adjustments", "days", "first_of", "lines", "month_of", "months", "moves", "sides", "volumes"]
