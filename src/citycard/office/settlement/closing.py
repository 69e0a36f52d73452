# SPDX-License-Identifier: Apache-2.0
"""Closes a month: makes the fees charged day by day up to what the month's volume came to (`core.volume`).

A closing is posted once it is due: when the month's last day has been settled. It changes nothing that
stands: it adds positions of its own, booked on the newest closed date and paid with it, and the sum of them
is zero. What a pair's fee falls by goes to who pays it (the acquirer; for top-ups the issuer) and comes from
those who had a part of it. Closing again does nothing, unless taps came late: then a further closing makes
up for those, by the terms the month was first closed with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Sum

from citycard.core import fees
from citycard.core.tables import Row
from citycard.core.volume import Parts, Tier, TrueUp, Volume, parse_tiers, true_up
from citycard.office import audit, clock, ledger
from citycard.office.ledger import chart
from citycard.office.participants.models import Contract
from citycard.office.settlement import limits, problems
from citycard.office.settlement.answer import LOADS
from citycard.office.settlement.models import (
    FeeAdjustment,
    MonthClosing,
    PositionRow,
    RevenueRow,
    SettlementRun,
    VolumeRow,
)
from citycard.office.settlement.posting import chain_of

CAUSE: Final = "volume_fee"
PAIR: Final = ("contract", "service", "acquirer", "issuer", "scheme")
SUMS: Final = ("taps", "amount_fen", "issuer_fen", "acquirer_fen", "scheme_fen")
DATES_TOLD: Final = 3  # in an error's sentence
Pair = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A pair's month under a contract with volume tiers: what it did, and what that makes of its fee."""

    contract: str
    service: int
    acquirer: str
    issuer: str
    scheme: str
    terms: Mapping[str, Any]
    month: Volume
    before: Parts  # changed by earlier closings
    taps_before: int  # that those took into account
    made: TrueUp

    @property
    def payer(self) -> str:
        """Out of whose side the fee is paid."""
        return self.issuer if self.service == LOADS else self.acquirer

    @property
    def rebate_fen(self) -> int:
        """What the payer gets back; negative when the month's fee is above what was charged."""
        return -self.made.difference.total_fen


@dataclass(frozen=True, slots=True)
class Closed:
    """A closing, or what one would be (`closing` is None): its pairs, and the revenue lines they make."""

    first: date
    closing: MonthClosing | None
    lines: list[Line]
    repeated: bool = False

    @property
    def revenue(self) -> list[Row]:
        """Rows of `core.tables.REVENUE`; they add up to zero."""
        return _revenue(self.lines)


def last_of(first: date) -> date:
    """The last day of the month that begins on this day."""
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def explain(first: date) -> Closed:
    """What closing the month would post now, and how it comes about; writes nothing. See `close_month`."""
    with transaction.atomic():
        return Closed(first, None, _lines(first, _newest_run(first)))


def close_month(first: date, by: str) -> Closed:
    """Post what the month's volume changes in its fees, once; again changes nothing but for late taps.

    MONTH_NOT_OVER, VOLUMES_UNTOLD, VOLUME_CONTRACT_GONE, VOLUME_TIER*: then nothing has changed.
    """
    with transaction.atomic():
        run = _newest_run(first)  # locked: two closings at once come one after the other
        lines = _lines(first, run)
        last = MonthClosing.objects.filter(month=first).order_by("number").last()
        if last is not None:
            lines = [line for line in lines if line.made.difference != Parts()]
            if not lines:
                return Closed(first, last, [], repeated=True)
        closing = MonthClosing.objects.create(
            run=run, month=first, number=last.number + 1 if last else 1, closed_at=clock.now(), by=by
        )
        _post(closing, lines)
        audit.record(
            by, "close_month", str(closing), pairs=len(lines),
            rebates_fen=sum(line.rebate_fen for line in lines),
        )  # fmt: skip
    return Closed(first, closing, lines)


def _newest_run(first: date) -> SettlementRun:
    """The newest closed date; the month's last day must have been settled by then."""
    last = last_of(first)
    run = SettlementRun.objects.select_for_update().order_by("-settle_on").first()
    over = SettlementRun.objects.filter(settle_on__gte=last).exclude(settled_at=None).exists()
    if run is None or not over:
        raise problems.MONTH_NOT_OVER(month=f"{first:%Y-%m}", last=last)
    return run


def _lines(first: date, run: SettlementRun) -> list[Line]:
    """Every pair under a contract with volume tiers, by contract, service and parties."""
    months = _months(first, run)
    earlier = FeeAdjustment.objects.filter(closing__month=first).order_by("closing__number")
    before, terms, taps = _earlier(earlier)
    terms |= _terms(first, {pair[0] for pair in months} - set(terms))
    found = []
    for pair, month in sorted(months.items()):
        told = terms[pair[0]]
        if not told["volume_tiers"]:
            continue
        own = before.get(pair, Parts())
        whole, acquirer, issuer = told["parts"]
        tiers = parse_tiers(told["volume_tiers"])
        made = true_up(tiers, told["volume_by"], (whole, acquirer, issuer), month, own)
        found.append(
            Line(**dict(zip(PAIR, pair, strict=True)), terms=told, month=month, before=own,
                 taps_before=taps.get(pair, 0), made=made)
        )  # fmt: skip
    if found:
        _told_whole(first, {line.contract for line in found})
    return found


def _months(first: date, run: SettlementRun) -> dict[Pair, Volume]:
    """What each pair did on the month's business dates, whenever it was cleared up to this run."""
    month = {"business_date__gte": first, "business_date__lte": last_of(first)}
    rows = VolumeRow.objects.filter(run__lte=run, **month)
    sums = rows.order_by().values(*PAIR).annotate(**{f"sum_{name}": Sum(name) for name in SUMS})
    found = {}
    for row in sums:
        taps, turnover, *parts = (row[f"sum_{name}"] for name in SUMS)
        found[tuple(row[name] for name in PAIR)] = Volume(taps, turnover, Parts(*parts))
    return found


def _earlier(
    rows: Iterable[FeeAdjustment],
) -> tuple[dict[Pair, Parts], dict[str, dict[str, Any]], dict[Pair, int]]:
    """What earlier closings of the month changed, by pair; by which terms; and over how many taps."""
    before: dict[Pair, Parts] = {}
    terms: dict[str, dict[str, Any]] = {}
    taps: dict[Pair, int] = {}
    for row in rows:
        pair = tuple(getattr(row, name) for name in PAIR)
        change = Parts(row.issuer_fen, row.acquirer_fen, row.scheme_fen)
        before[pair] = before.get(pair, Parts()) + change
        terms[row.contract] = row.terms
        if row.difference_fen:
            taps[pair] = row.taps
    return before, terms, taps


def _terms(first: date, names: set[str]) -> dict[str, dict[str, Any]]:
    """The contracts' terms as they stand now."""
    known = Contract.objects.in_bulk(names)
    if gone := sorted(names - set(known)):
        raise problems.VOLUME_CONTRACT_GONE(contract=gone[0], month=f"{first:%Y-%m}")
    return {
        name: {
            "volume_by": one.volume_by,
            "volume_tiers": one.volume_tiers or "",
            "parts": list(fees.parts(one.terms)),
        }
        for name, one in known.items()
    }


def _told_whole(first: date, names: set[str]) -> None:
    """Refuse a month in which dates under these contracts were cleared without telling volumes."""
    begin = min(Contract.objects.filter(pk__in=names).values_list("valid_from", flat=True), default=first)
    untold = SettlementRun.objects.filter(
        settle_on__gte=max(first, begin), settle_on__lte=last_of(first), volumes_told=False, accepted__gt=0
    )
    dates = [str(run) for run in untold.order_by("settle_on")[:DATES_TOLD]]
    if dates:
        raise problems.VOLUMES_UNTOLD(month=f"{first:%Y-%m}", dates=", ".join(dates))


def _revenue(lines: Iterable[Line]) -> list[Row]:
    """What each participant gets and gives: who takes the taps beside the issuer, others beside who does."""
    fen: Counter[tuple[str, int, str]] = Counter()
    taps: Counter[tuple[str, int, str]] = Counter()
    for line in lines:
        change = line.made.difference
        own: Counter[tuple[str, int, str]] = Counter()
        for who, amount in (
            (line.payer, -change.total_fen),
            (line.issuer, change.issuer_fen),
            (line.acquirer, change.acquirer_fen),
            (line.scheme, change.scheme_fen),
        ):
            with_issuer = who == line.acquirer and who != line.issuer
            own[who, line.service, line.issuer if with_issuer else line.acquirer] += amount
        for key, amount in own.items():
            fen[key] += amount
            taps[key] += line.month.taps - line.taps_before if amount else 0
    return [
        {"participant": who, "service": service, "counterparty": other, "cause": CAUSE,
         "taps": taps[who, service, other], "amount_fen": amount}
        for (who, service, other), amount in sorted(fen.items())
        if amount
    ]  # fmt: skip


def _post(closing: MonthClosing, lines: list[Line]) -> None:
    revenue = _revenue(lines)
    RevenueRow.objects.bulk_create(
        RevenueRow(run=closing.run, closing=closing, participant_id=row["participant"],
                   **{name: row[name] for name in ("service", "counterparty", "cause", "taps", "amount_fen")})
        for row in revenue
    )  # fmt: skip
    positions = _positions(revenue)
    PositionRow.objects.bulk_create(
        PositionRow(run=closing.run, closing=closing, participant_id=row["participant"],
                    **{name: row[name] for name in ("receivable_fen", "payable_fen", "net_fen")})
        for row in positions
    )  # fmt: skip
    assert sum(row["net_fen"] for row in positions) == 0, f"closing {closing} does not add up to zero"
    FeeAdjustment.objects.bulk_create(_row(closing, line) for line in lines)
    against = chart.closing(closing.month, closing.number)
    ledger.open_accounts([against, *(chart.position(row["participant"]) for row in positions)])
    name = f"month:{closing.month:%Y-%m}:{closing.number}"
    ledger.post_or_fail(chain_of(name, against, positions, closing.run.settle_on, CAUSE))
    limits.watch(closing.run.settle_on)


def _positions(revenue: list[Row]) -> list[Row]:
    receivable: Counter[str] = Counter()
    payable: Counter[str] = Counter()
    for row in revenue:
        side = receivable if row["amount_fen"] > 0 else payable
        side[row["participant"]] += abs(row["amount_fen"])
    return [
        {"participant": who, "receivable_fen": receivable[who], "payable_fen": payable[who],
         "net_fen": receivable[who] - payable[who]}
        for who in sorted(set(receivable) | set(payable))
    ]  # fmt: skip


def _row(closing: MonthClosing, line: Line) -> FeeAdjustment:
    change, tier = line.made.difference, line.made.tier
    return FeeAdjustment(
        closing=closing,
        **{name: getattr(line, name) for name in PAIR},
        terms=dict(line.terms),
        taps=line.month.taps,
        amount_fen=line.month.turnover_fen,
        tier=str(tier) if isinstance(tier, Tier) else "",
        charged_fen=line.month.charged.total_fen,
        due_fen=line.made.due.total_fen,
        before_fen=line.before.total_fen,
        difference_fen=change.total_fen,
        issuer_fen=change.issuer_fen,
        acquirer_fen=change.acquirer_fen,
        scheme_fen=change.scheme_fen,
    )
