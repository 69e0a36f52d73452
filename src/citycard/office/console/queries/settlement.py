# SPDX-License-Identifier: Apache-2.0
"""Settlement: runs, and one run from its verdicts to who pays whom."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Count, QuerySet, Sum
from django.utils.translation import gettext as _

from citycard.core.figure import PAYABLE, RECEIVABLE, Figure
from citycard.core.record import Kind
from citycard.core.refusal import Reason
from citycard.office.console import labels
from citycard.office.console.access import Text
from citycard.office.console.queries.figures import query_of
from citycard.office.console.queries.names import participants, party
from citycard.office.settlement.models import Payment, PositionRow, RevenueRow, SettlementRun, Tap

STATEMENTS = "statements"
KINDS_OF_STATEMENT = (".csv", ".xlsx", ".pdf")
FILES_MAX = 500  # statements listed for one date


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """How many records got a verdict for a reason, and their sum."""

    verdict: str
    verdict_text: Text
    code: str
    text: str
    count: int
    amount_fen: int


@dataclass(frozen=True, slots=True)
class PositionLine:
    """A participant's position of a date."""

    id: str
    name: str
    receivable_fen: int
    payable_fen: int
    net_fen: int

    def query(self, side: str = "") -> str:
        """Of the page of taps behind a side, or the net."""
        return query_of(Figure(participant=self.id, side=side))

    @property
    def receivable(self) -> str:
        """The same, for templates."""
        return self.query(RECEIVABLE)

    @property
    def payable(self) -> str:
        """The same."""
        return self.query(PAYABLE)

    @property
    def net(self) -> str:
        """The same."""
        return self.query()


@dataclass(frozen=True, slots=True)
class RevenueLine:
    """A participant's revenue for a service and a cause from a counterparty."""

    service_code: int
    service: str
    cause: Text
    counterparty: str
    taps: int
    amount_fen: int
    query: str  # of the list of taps, for looking around among the ones behind it
    figure: str  # of the page of exactly these taps, each with its part


@dataclass(frozen=True, slots=True)
class Statement:
    """A file to download."""

    name: str
    owner: str
    kind: str
    size: int


def runs() -> QuerySet[SettlementRun]:
    """All runs, newest first."""
    return SettlementRun.objects.order_by("-settle_on")


def reasons(run: SettlementRun) -> list[ReasonRow]:
    """Verdicts by reason, accepted first, then by count."""
    rows = (
        Tap.objects.filter(run=run)
        .order_by()
        .values_list("verdict", "reason")
        .annotate(n=Count("id"), fen=Sum("amount_fen"))
    )
    order = {"accepted": 0, "suspended": 1, "rejected": 2}
    lines = [
        ReasonRow(verdict, labels.VERDICTS.get(verdict, verdict), code, labels.reason(code), n, fen)
        for verdict, code, n, fen in rows
    ]
    return sorted(lines, key=lambda row: (order.get(row.verdict, 3), -row.count, row.code))


def positions(run: SettlementRun) -> list[PositionLine]:
    """Positions, the largest claim first."""
    known = participants()
    rows = PositionRow.objects.filter(run=run, closing=None)
    lines = [
        PositionLine(
            row.participant_id,
            known.get(row.participant_id, row.participant_id),
            row.receivable_fen,
            row.payable_fen,
            row.net_fen,
        )
        for row in rows
    ]
    return sorted(lines, key=lambda line: -line.net_fen)


def closings(run: SettlementRun) -> list[dict[str, Any]]:
    """Months closed on this date, and the positions that made beside the date's own."""
    known = participants()
    rows = PositionRow.objects.filter(run=run).exclude(closing=None).select_related("closing")
    return [
        {
            "row": row,
            "name": known.get(row.participant_id, row.participant_id),
            "month": f"{closing.month:%Y-%m}",
        }
        for row in rows.order_by("closing", "-net_fen")
        if (closing := row.closing) is not None
    ]


def is_brief(run: SettlementRun) -> bool:
    """Whether accepted taps are in the lake only."""
    return run.accepted > 0 and not Tap.objects.filter(run=run, verdict="accepted").exists()


def totals(lines: list[PositionLine]) -> dict[str, int]:
    """The sums under the table of positions; `net_fen` is zero or something is wrong."""
    return {
        name: sum(getattr(line, name) for line in lines)
        for name in ("receivable_fen", "payable_fen", "net_fen")
    }


def revenue_chart(run: SettlementRun) -> dict[str, Any]:
    """Revenue by participant, stacked by service."""
    known = participants()
    sums: dict[int, dict[str, int]] = defaultdict(dict)
    rows = (
        RevenueRow.objects.filter(run=run, closing=None)
        .order_by()
        .values_list("service", "participant")
        .annotate(fen=Sum("amount_fen"))
    )
    for service, participant, fen in rows:
        sums[service][participant] = fen
    parties = sorted({p for row in sums.values() for p in row}, key=lambda p: known.get(p, p))
    return {
        "labels": [known.get(p, p) for p in parties],
        "unit": "fen",
        "stacked": True,
        "horizontal": True,
        "series": [
            {"label": labels.service(service), "values": [row.get(p, 0) for p in parties]}
            for service, row in sorted(sums.items())
        ],
    }


def position_chart(lines: list[PositionLine]) -> dict[str, Any]:
    """Net positions, claims one way and debts the other."""
    return {
        "labels": [line.name for line in lines],
        "unit": "fen",
        "horizontal": True,
        "signed": True,
        "series": [{"label": _("net position"), "values": [line.net_fen for line in lines]}],
    }


def reason_chart(lines: list[ReasonRow]) -> dict[str, Any]:
    """Records that were not accepted, by reason."""
    refused = [line for line in lines if line.code != Reason.OK.code]
    return {
        "labels": [line.text for line in refused],
        "unit": "count",
        "horizontal": True,
        "tone": "warn",
        "series": [{"label": _("records"), "values": [line.count for line in refused]}],
    }


def history_chart(rows: list[SettlementRun]) -> dict[str, Any]:
    """What was charged on each date, oldest first."""
    ordered = sorted(rows, key=lambda run: run.settle_on)
    return {
        "labels": [run.settle_on.isoformat() for run in ordered],
        "unit": "fen",
        "series": [{"label": _("charged"), "values": [run.charged_fen for run in ordered]}],
    }


def payments(run: SettlementRun) -> list[dict[str, Any]]:
    """Instructions to the settlement bank."""
    known, bank = participants(), _("settlement bank")
    return [
        {
            "payer": party(known, bank, row.payer),
            "payee": party(known, bank, row.payee),
            "amount_fen": row.amount_fen,
            "transfer": row.transfer_id,
            "id": row.pk,
        }
        for row in Payment.objects.filter(run=run).order_by("payee", "payer")
    ]


def revenue(run: SettlementRun, participant: str) -> list[RevenueLine]:
    """What a participant earned or bore, by service, cause and counterparty."""
    known = participants()
    mine = RevenueRow.objects.filter(run=run, participant=participant, closing=None).select_related(
        "participant"
    )
    rows = mine.order_by("service", "cause", "counterparty")
    return [
        RevenueLine(
            row.service,
            labels.service(row.service),
            labels.CAUSES.get(row.cause, row.cause),
            known.get(row.counterparty, row.counterparty),
            row.taps,
            row.amount_fen,
            urlencode(taps_behind(row)),
            query_of(
                Figure(
                    participant=participant,
                    service=row.service,
                    counterparty=row.counterparty,
                    cause=row.cause,
                )
            ),
        )
        for row in rows
    ]


def taps_behind(row: RevenueRow) -> dict[str, str]:
    """What narrows the page of taps down to those behind a line of revenue.

    The counterparty of who took the taps (and of the operators behind it) is the issuer, that of everybody
    else the acquirer. The list holds at least the taps the line counts: it cannot leave out taps whose part
    was rounded to nothing, nor tell whom else a contract lets bear a discount. Which operators a fare was
    divided among is told by the lines of a tap's two ends.
    """
    own, other, earns = row.participant, row.counterparty, row.amount_fen > 0
    wanted = {"run": row.run_id.isoformat(), "verdict": "accepted"}
    if row.service and row.cause != "load":
        wanted["service"] = str(row.service)
    if row.cause in ("fare", "load"):
        wanted["kind"] = str(int(Kind.LOAD if row.cause == "load" else Kind.PURCHASE))
    discount = row.cause in ("concession", "transfer")
    wanted["off" if discount else "charged"] = row.cause if discount else "1"
    issues = row.cause == "issuer_fee" or (row.cause == "load" and earns)
    issues |= not earns and (row.cause == "fare" or (discount and "issuer" in own.roles))
    operates = earns and (discount or row.cause == "operator_share")
    if operates:
        return wanted | {"operator": own.pk, "issuer": other}
    if issues:
        return wanted | {"issuer": own.pk, "acquirer": other}
    if discount or row.cause == "scheme_fee":
        return wanted | {"acquirer": other}
    return wanted | {"acquirer": own.pk, "issuer": other}


def statements(settle_on: date) -> list[Statement]:
    """The statement files of a date, by name."""
    folder = Path(settings.CITYCARD_HOME) / STATEMENTS / settle_on.isoformat()
    if not folder.is_dir():
        return []
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in KINDS_OF_STATEMENT)
    known = participants()
    return [
        Statement(p.name, known.get(p.stem, ""), p.suffix[1:].upper(), p.stat().st_size)
        for p in files[:FILES_MAX]
    ]


def statement(settle_on: date, name: str) -> Path | None:
    """The file of a statement; only those that the folder itself lists, so no name leads elsewhere."""
    if name not in {one.name for one in statements(settle_on)}:
        return None
    return Path(settings.CITYCARD_HOME) / STATEMENTS / settle_on.isoformat() / name
