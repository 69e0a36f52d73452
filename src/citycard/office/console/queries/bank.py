# SPDX-License-Identifier: Apache-2.0
"""The settlement bank as pages show it: orders, files, movements to match, and positions side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db.models import Count, Q

from citycard.office.bank import matching, standing
from citycard.office.bank.models import (
    BankAccount,
    BankEntry,
    BankMessage,
    PaymentFile,
    PaymentOrder,
    Purpose,
    State,
)
from citycard.office.bank.orders import LIVE
from citycard.office.console import labels
from citycard.office.console.access import Text
from citycard.office.console.queries.names import participants
from citycard.office.ledger import chart
from citycard.office.participants.models import SettlementTerms
from citycard.office.settlement import limits
from citycard.office.settlement.models import SettlementRun

REPORTS: Final = "reports"
KINDS_OF_REPORT: Final = (".csv", ".xlsx", ".pdf")
FITTING_MAX: Final = 20  # orders offered for one movement
FILES_MAX: Final = 20  # newest ones on the page


@dataclass(frozen=True, slots=True)
class OrderLine:
    """An order as a table shows it; `amount_fen` is signed, + is paid to the participant."""

    row: PaymentOrder
    participant: str
    name: str
    amount_fen: int
    open_fen: int
    state_text: Text
    account: str
    told_text: Text  # the bank's newest word on it


def order_lines(rows: Iterable[PaymentOrder]) -> list[OrderLine]:
    """Orders with names and masked accounts."""
    known = participants()
    accounts = {one.participant_id: one.masked for one in BankAccount.objects.all()}
    found = []
    for row in rows:
        payment = row.payment
        sign = -1 if payment.collects else 1
        who = payment.participant
        found.append(
            OrderLine(
                row,
                who,
                known.get(who, who),
                sign * payment.amount_fen,
                payment.open_fen if row.state != State.REJECTED else 0,
                labels.PAYMENT_STATES.get(row.state, row.state),
                accounts.get(who, ""),
                labels.TOLD.get(row.told, row.told),
            )
        )
    return found


def bank_messages(rows: Iterable[BankMessage]) -> list[dict[str, Any]]:
    """Notifications and status reports, with the bank's word on the whole file in words."""
    return [{"row": row, "told": labels.TOLD.get(row.told, row.told)} for row in rows]


def files() -> list[dict[str, Any]]:
    """Payment files, newest first, with how many of their orders were rejected."""
    rejected = Count("orders", filter=Q(orders__state=State.REJECTED))
    rows = PaymentFile.objects.annotate(rejected=rejected).order_by("-made_at", "-id")[:FILES_MAX]
    return [
        {
            "row": one,
            "rejected": one.rejected,
            "state_text": labels.PAYMENT_STATES.get(one.state, one.state),
        }
        for one in rows
    ]


def open_orders() -> list[OrderLine]:
    """Orders the bank has not executed, held ones first; of rejected ones those to be ordered again."""
    known = PaymentOrder.objects.select_related("payment")
    rows = list(known.exclude(state__in=(State.EXECUTED, State.REJECTED)))
    rejected = known.filter(state=State.REJECTED).exclude(payment__orders__state__in=LIVE)
    rows += {one.payment_id: one for one in rejected.order_by("attempt")}.values()
    return sorted(order_lines(rows), key=lambda line: (line.row.state != State.HELD, line.row.end_to_end))


def unmatched() -> list[dict[str, Any]]:
    """Movements that wait for a person, oldest first."""
    rows = BankEntry.objects.filter(purpose=Purpose.OPEN).order_by("booked_on", "statement", "number")
    return [{"row": row, "why": labels.UNMATCHED.get(row.why, row.why)} for row in rows]


def fitting(entry: BankEntry) -> list[OrderLine]:
    """Orders a movement may be matched with."""
    return order_lines(matching.fitting(entry)[:FITTING_MAX])


def side_by_side(run: SettlementRun) -> list[dict[str, Any]]:
    """Ours, theirs and the bank's of a date, with names and states in words."""
    known = participants()
    return [
        {
            "row": one,
            "name": known.get(one.participant, one.participant),
            "state": one.state,
            "state_text": labels.PAYMENT_STATES.get(one.state, one.state),
        }
        for one in standing.of_date(run)
    ]


def terms() -> list[dict[str, Any]]:
    """Settlement terms in words, beside what is open with each participant."""
    known, open_with = participants(), {one.participant: one for one in limits.exposures()}
    return [
        {
            "row": row,
            "name": known.get(row.participant_id, row.participant_id),
            "cycle": labels.cycle(row.cycle),
            "now": open_with[row.participant_id],
            "account": chart.position(row.participant_id),
        }
        for row in SettlementTerms.objects.order_by("participant")
    ]


@dataclass(frozen=True, slots=True)
class Report:
    """A monthly report to download."""

    month: str
    name: str
    owner: str
    kind: str
    size: int


def reports() -> list[Report]:
    """Reports that were written, newest month first."""
    folder = Path(settings.CITYCARD_HOME) / REPORTS
    if not folder.is_dir():
        return []
    known = participants()
    files = sorted(
        (p for p in folder.glob("[0-9]*-[0-9]*/*") if p.is_file() and p.suffix in KINDS_OF_REPORT),
        key=lambda p: p.name,
    )
    found = [
        Report(p.parent.name, p.name, known.get(p.stem, ""), p.suffix[1:].upper(), p.stat().st_size)
        for p in files
    ]
    return sorted(found, key=lambda one: one.month, reverse=True)


def report(month: str, name: str) -> Path | None:
    """The file of a report; only those the folder itself lists, so no name leads elsewhere."""
    if (month, name) not in {(one.month, one.name) for one in reports()}:
        return None
    return Path(settings.CITYCARD_HOME) / REPORTS / month / name


def run_of(on: str) -> SettlementRun | None:
    """The run of a date as people type it; the newest for none."""
    if not on:
        return SettlementRun.objects.order_by("-settle_on").first()
    try:
        return SettlementRun.objects.filter(pk=date.fromisoformat(on)).first()
    except ValueError:
        return None
