# SPDX-License-Identifier: Apache-2.0
"""Settles a business date (清算): who pays whom, net, through the settlement bank.

A participant that owes pays the bank, the bank pays those that are owed. All of it is one chain in the
ledger, from `position:{p}` to `bank:settlement`. A participant without terms is settled every day; where all
are, positions go back to zero and `bank:settlement` ends where it began. Others wait for the day their cycle
names, or until enough has come together: their positions stay open meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from django.db import transaction

from citycard.core.ledger import PLAIN, Flag, Transfer
from citycard.office import clock, ledger
from citycard.office.ledger import chart
from citycard.office.participants.models import SettlementTerms
from citycard.office.participants.workdays import workdays
from citycard.office.settlement import problems
from citycard.office.settlement.models import Payment, PositionRow, SettlementRun


@dataclass(frozen=True, slots=True)
class Settlement:
    """The payments of a business date: (payer, payee, fen), and whether they had been made before."""

    settle_on: date
    payments: list[tuple[str, str, int]]
    repeated: bool

    @property
    def paid_fen(self) -> int:
        """What the bank is to receive."""
        return sum(fen for _, payee, fen in self.payments if payee == chart.BANK)


def settle(settle_on: date) -> Settlement:
    """Make and post the payments of a posted date; once more changes nothing. NOT_POSTED, LEDGER_REFUSED."""
    with transaction.atomic():
        run = SettlementRun.objects.select_for_update().filter(pk=settle_on).first()
        if run is None:
            raise problems.NOT_POSTED(date=settle_on)
        repeated = run.settled_at is not None
        if not repeated:
            _pay(run)
    made = Payment.objects.filter(run=run).order_by("payer", "payee")
    return Settlement(settle_on, list(made.values_list("payer", "payee", "amount_fen")), repeated)


def _pay(run: SettlementRun) -> None:
    due = _due(run.settle_on)
    chain = [_transfer(run, participant, fen) for participant, (fen, _) in due.items()]
    if chain:
        chain[-1] = replace(chain[-1], flags=PLAIN)
    ledger.open_accounts([chart.BANK])
    ledger.post_or_fail(chain)
    for (participant, (fen, rows)), transfer in zip(due.items(), chain, strict=True):
        payment = Payment.objects.create(
            run=run,
            payer=participant if fen < 0 else chart.BANK,
            payee=chart.BANK if fen < 0 else participant,
            amount_fen=abs(fen),
            transfer_id=transfer.id,
        )
        PositionRow.objects.filter(pk__in=rows).update(payment=payment)
    run.settled_at = clock.now()
    run.save(update_fields=["settled_at"])


def _due(settle_on: date) -> dict[str, tuple[int, list[int]]]:
    """What each participant is owed (or owes, negative) by now, and the rows that make it up.

    Positions whose day has not come wait; those that together stay below the least payment are carried.
    """
    days = workdays()
    terms = {row.participant_id: row for row in SettlementTerms.objects.all()}
    found: dict[str, tuple[int, list[int]]] = {}
    waiting = PositionRow.objects.filter(run__lte=settle_on, payment=None).exclude(net_fen=0)
    for row in waiting.order_by("participant", "run_id"):
        own = terms.get(row.participant_id)
        if own is not None and own.cycle.due_on(row.run_id, days) > settle_on:
            continue
        fen, rows = found.get(row.participant_id, (0, []))
        found[row.participant_id] = (fen + row.net_fen, [*rows, row.pk])
    least = {participant: row.minimum_fen for participant, row in terms.items()}
    return {name: due for name, due in found.items() if due[0] and abs(due[0]) >= least.get(name, 0)}


def _transfer(run: SettlementRun, participant: str, fen: int) -> Transfer:
    own = chart.position(participant)
    debit, credit = (own, chart.BANK) if fen > 0 else (chart.BANK, own)
    return Transfer(
        f"settle:{run.settle_on}:payment:{participant}",
        debit,
        credit,
        abs(fen),
        "payment",
        Flag.LINKED,
        business_date=run.settle_on,
    )
