# SPDX-License-Identifier: Apache-2.0
"""A database from before payments knew their positions: its settled dates stay settled and count as paid."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.office_ledger.conftest import BUS, DAY, ISSUER, NOON

BEFORE = [
    ("settlement", "0001_initial"),
    ("participants", "0001_initial"),
    ("ledger", "0002_trust_the_books"),
]


@pytest.mark.django_db(transaction=True)
def test_dates_settled_before_are_not_paid_again() -> None:
    now = MigrationExecutor(connection).loader.graph.leaf_nodes()
    try:
        apps = migrate(BEFORE)
        participant, run = (
            apps.get_model("participants", "Participant"),
            apps.get_model("settlement", "SettlementRun"),
        )
        account, transfer = (
            apps.get_model("ledger", "LedgerAccount"),
            apps.get_model("ledger", "LedgerTransfer"),
        )
        for name in (ISSUER, BUS):
            participant.objects.create(id=name, name_en=name, name_zh=name, roles=[])
        account.objects.create(id="bank:settlement", kind="bank", opened_at=NOON)
        account.objects.create(id=f"position:{BUS}", kind="position", opened_at=NOON)
        transfer.objects.create(
            id="t", debit_id=f"position:{BUS}", credit_id="bank:settlement", amount_fen=5, code="payment", stage="booked",
            recorded_at=NOON,
        )  # fmt: skip
        run.objects.create(
            settle_on=DAY, digest="", posted_at=NOON, settled_at=NOON, taps=1, accepted=1, suspended=0, rejected=0,
            charged_fen=5, loaded_fen=0, suspense_fen=0,
        )  # fmt: skip
        position, payment = (
            apps.get_model("settlement", "PositionRow"),
            apps.get_model("settlement", "Payment"),
        )
        position.objects.create(run_id=DAY, participant_id=BUS, receivable_fen=5, payable_fen=0, net_fen=5)
        position.objects.create(
            run_id=DAY, participant_id=ISSUER, receivable_fen=0, payable_fen=5, net_fen=-5
        )
        payment.objects.create(run_id=DAY, payer="bank:settlement", payee=BUS, amount_fen=5, transfer_id="t")
    finally:
        migrate(now)

    from citycard.office.settlement.models import Payment, PositionRow

    (made,) = Payment.objects.all()
    assert made.open_fen == 0
    assert PositionRow.objects.get(participant=BUS).payment == made
    assert PositionRow.objects.get(participant=ISSUER).payment is None


def migrate(targets: list[tuple[str, str]]) -> Any:
    """The database as these migrations leave it, and the models of that time."""
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return MigrationExecutor(connection).loader.project_state(targets).apps
