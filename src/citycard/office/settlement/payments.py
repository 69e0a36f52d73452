# SPDX-License-Identifier: Apache-2.0
"""Settles a business date (清算): who pays whom, net, through the settlement bank.

A participant that owes pays the bank, the bank pays those that are owed. All of it is one chain in the
ledger: `position:{p}` of the date goes back to zero and `bank:settlement` ends where it began.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from django.db import transaction

from citycard.core.ledger import PLAIN, Flag, Transfer
from citycard.office import clock, ledger
from citycard.office.ledger import chart
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
        """What the bank received, which is what it paid."""
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
    positions = PositionRow.objects.filter(run=run).exclude(net_fen=0).order_by("participant")
    chain = [_transfer(run, row) for row in positions]
    if chain:
        chain[-1] = replace(chain[-1], flags=PLAIN)
    ledger.open_accounts([chart.BANK])
    ledger.post_or_fail(chain)
    Payment.objects.bulk_create(
        Payment(
            run=run,
            payer=row.participant_id if row.net_fen < 0 else chart.BANK,
            payee=chart.BANK if row.net_fen < 0 else row.participant_id,
            amount_fen=abs(row.net_fen),
            transfer_id=transfer.id,
        )
        for row, transfer in zip(positions, chain, strict=True)
    )
    run.settled_at = clock.now()
    run.save(update_fields=["settled_at"])


def _transfer(run: SettlementRun, row: PositionRow) -> Transfer:
    own = chart.position(row.participant_id)
    debit, credit = (own, chart.BANK) if row.net_fen > 0 else (chart.BANK, own)
    return Transfer(
        f"settle:{run.settle_on}:payment:{row.participant_id}",
        debit,
        credit,
        abs(row.net_fen),
        "payment",
        Flag.LINKED,
        business_date=run.settle_on,
    )
