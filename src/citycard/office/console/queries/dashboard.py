# SPDX-License-Identifier: Apache-2.0
"""The overview: the last business date, what came in since, cards, terminals and alarms."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Sum
from django.http import HttpRequest

from citycard.office import clock
from citycard.office.cards import hotlist
from citycard.office.cards.models import HotlistEntry
from citycard.office.console import labels
from citycard.office.console.access import actor, may
from citycard.office.console.queries import cards, settlement, terminals
from citycard.office.console.queries.names import names
from citycard.office.holders.models import Holder
from citycard.office.intake.business import business_date
from citycard.office.intake.models import Load, RawBatch
from citycard.office.settlement.models import SettlementRun
from citycard.office.staff.models import Approval, ApprovalState

RUNS_SHOWN = 14  # two weeks
ALARMS_SHOWN = 6


def overview(request: HttpRequest) -> dict[str, Any]:
    """What this reader's overview shows; parts that are not theirs are absent."""
    found: dict[str, Any] = {"business_date": business_date(clock.now())}
    if may(request, "cards"):
        found |= _cards(request)
    if may(request, "runs"):
        found |= _settlement() | _intake()
    if may(request, "terminals"):
        found |= _terminals()
    return found


def _cards(request: HttpRequest) -> dict[str, Any]:
    states = cards.by_status(actor(request))
    return {
        "card_states": states,
        "cards_total": sum(count for _, _, count in states),
        "card_chart": {
            "labels": [str(text) for _, text, _ in states],
            "unit": "count",
            "kind": "doughnut",
            "series": [{"label": "", "values": [count for _, _, count in states]}],
        },
        "holders_total": Holder.objects.count(),
        "hotlist_size": HotlistEntry.objects.filter(delisted_version=None).count(),
        "hotlist_version": hotlist.version(),
        "approvals_waiting": Approval.objects.filter(state=ApprovalState.WAITING).count(),
    }


def _settlement() -> dict[str, Any]:
    runs = list(SettlementRun.objects.order_by("-settle_on")[:RUNS_SHOWN])
    if not runs:
        return {"run": None, "runs": []}
    last = runs[0]
    lines = settlement.reasons(last)
    held = settlement.positions(last)
    return {
        "run": last,
        "runs": runs,
        "reasons": [line for line in lines if line.verdict != "accepted"],
        "reason_chart": settlement.reason_chart(lines),
        "positions": held,
        "position_totals": settlement.totals(held),
        "history_chart": settlement.history_chart(runs),
    }


def _intake() -> dict[str, Any]:
    """Batches that the last run did not see yet, and loads whose end is unknown."""
    newest = SettlementRun.objects.order_by("-posted_at").values_list("posted_at", flat=True).first()
    batches = RawBatch.objects.filter(received_at__gt=newest) if newest else RawBatch.objects.all()
    sums = batches.aggregate(batches=Count("digest"), records=Sum("count"), fen=Sum("total_fen"))
    pending = Load.objects.filter(status=Load.Status.PENDING).aggregate(n=Count("id"), fen=Sum("amount_fen"))
    return {
        "since": {key: value or 0 for key, value in sums.items()},
        "pending_loads": {key: value or 0 for key, value in pending.items()},
    }


def _terminals() -> dict[str, Any]:
    rows = terminals.health(names())
    alarms = terminals.alarms(closed=False)
    return {
        "terminals_total": len(rows),
        "terminals_faulty": [row for row in rows if row.faults],
        "alarms_total": alarms.count(),
        "alarms": [
            {"row": one, "text": labels.ALARMS.get(one.code, one.code)} for one in alarms[:ALARMS_SHOWN]
        ],
    }
