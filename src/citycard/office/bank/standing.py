# SPDX-License-Identifier: Apache-2.0
"""Our position, theirs, and the bank's, side by side: where they differ, somebody has to ask."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from django.db import transaction

from citycard.core import tables
from citycard.core.tables import TableError
from citycard.office import audit, clock, ledger
from citycard.office.bank import problems
from citycard.office.bank.models import BankEntry, BankStatement, PaymentOrder, Purpose, State, TheirPosition
from citycard.office.ledger import chart
from citycard.office.participants.models import Participant
from citycard.office.settlement.models import MonthClosing, Payment, PositionRow, SettlementRun


@dataclass(frozen=True, slots=True)
class Standing:
    """A participant on a date; sums are signed, + is owed to the participant."""

    participant: str
    ours_fen: int
    theirs_fen: int | None
    payment: Payment | None  # that took the position; none while it is carried
    order: PaymentOrder | None  # its newest
    bank_fen: int  # moved by the bank of that payment
    closing: MonthClosing | None = None  # the position is that of a month's closing booked on the date

    @property
    def agrees(self) -> bool:
        """Whether the participant sees what we see; true while it has said nothing."""
        return self.theirs_fen is None or self.theirs_fen == self.ours_fen

    @property
    def due_fen(self) -> int:
        """What the payment is about, signed."""
        if self.payment is None:
            return 0
        return -self.payment.amount_fen if self.payment.collects else self.payment.amount_fen

    @property
    def done(self) -> bool:
        """Whether the bank has moved the whole payment."""
        return self.payment is not None and self.payment.open_fen == 0

    @property
    def state(self) -> str:
        """How far the money is: carried, to order, or the state of the order."""
        if self.payment is None:
            return "carried" if self.ours_fen else "even"
        if self.order is None:
            return State.EXECUTED.value if self.done else "to_order"
        return str(self.order.state)


@dataclass(frozen=True, slots=True)
class Balances:
    """The settlement account as the ledger and as the bank have it."""

    held_fen: int  # by the ledger
    bank_fen: int | None  # closing balance of the newest statement
    bank_on: date | None
    on_the_way_fen: int  # ordered and not moved, + is still to be paid out
    unallocated_fen: int
    unmatched: int
    notified_fen: int = 0  # moved as notifications say, and on no statement yet; + came in

    @property
    def equal(self) -> bool:
        """Whether the ledger holds what the bank says."""
        return self.held_fen == (self.bank_fen or 0)


def of_date(run: SettlementRun) -> list[Standing]:
    """All participants of a date, by id."""
    theirs = dict(TheirPosition.objects.filter(settle_on=run.pk).values_list("participant", "net_fen"))
    found = []
    rows = PositionRow.objects.filter(run=run).select_related("payment", "closing")
    rows = rows.order_by("participant", "closing__month", "closing__number")
    newest = _newest_orders([row.payment_id for row in rows if row.payment_id])
    for row in rows:
        payment = row.payment
        moved = 0 if payment is None else -payment.paid_fen if payment.collects else payment.paid_fen
        said = theirs.pop(row.participant_id, None) if row.closing is None else None
        order = newest.get(row.payment_id) if row.payment_id else None
        found.append(Standing(row.participant_id, row.net_fen, said, payment, order, moved, row.closing))
    found += [Standing(name, 0, said, None, None, 0) for name, said in theirs.items()]
    return sorted(found, key=lambda one: one.participant)


def balances() -> Balances:
    """The settlement account now."""
    last = BankStatement.objects.order_by("-imported_at", "-ends_on", "-pk").first()
    return Balances(
        -ledger.balance(chart.CASH),
        last.closing_fen if last else None,
        last.ends_on if last else None,
        ledger.balance(chart.BANK),
        ledger.balance(chart.UNALLOCATED),
        BankEntry.objects.filter(purpose=Purpose.OPEN).count(),
        -ledger.balance(chart.NOTIFIED),
    )


@transaction.atomic
def take_theirs(content: bytes, name: str, by: str) -> tuple[int, int]:
    """Keep positions as participants see them (`core.tables.THEIR_POSITIONS`); how many, and how many differ.

    A later delivery for the same date replaces the earlier one, with a trace in the audit log.
    """
    try:
        text = io.StringIO(content.decode("utf-8-sig"))
        rows = list(tables.THEIR_POSITIONS.read(text))
    except (TableError, UnicodeDecodeError, csv.Error) as fault:
        raise problems.THEIR_POSITIONS_INVALID(file=name, why=fault) from None
    known = set(Participant.objects.values_list("id", flat=True))
    if strangers := {row["participant"] for row in rows} - known:
        raise problems.THEIR_POSITIONS_INVALID(
            file=name, why=f"{sorted(strangers)[0][:40]} is no participant"
        )
    for row in rows:
        TheirPosition.objects.update_or_create(
            settle_on=row["settle_on"],
            participant_id=row["participant"],
            defaults={"net_fen": row["net_fen"], "delivered_at": clock.now()},
        )
    ours = {
        (participant, run): fen
        for participant, run, fen in PositionRow.objects.filter(
            run__in={row["settle_on"] for row in rows}, closing=None
        ).values_list("participant", "run", "net_fen")
    }
    differ = sum(ours.get((row["participant"], row["settle_on"]), 0) != row["net_fen"] for row in rows)
    audit.record(by, "take_their_positions", name[-100:], rows=len(rows), differ=differ)
    return len(rows), differ


def _newest_orders(payments: Iterable[int]) -> dict[int, PaymentOrder]:
    rows = PaymentOrder.objects.filter(payment__in=list(payments)).order_by("attempt")
    return {one.payment_id: one for one in rows}
