# SPDX-License-Identifier: Apache-2.0
"""Dates settled before payments knew their positions; alone, for PostgreSQL indexes no changing table."""

from django.db import migrations, models


def settled_before(apps, schema_editor):
    """Dates settled so far: each payment took its participant's position, and counts as moved."""
    payments = apps.get_model("settlement", "Payment")
    positions = apps.get_model("settlement", "PositionRow")
    for payment in payments.objects.iterator():
        own = positions.objects.filter(run=payment.run_id, participant__in=(payment.payer, payment.payee))
        own.update(payment=payment)
    payments.objects.update(paid_fen=models.F("amount_fen"))


class Migration(migrations.Migration):
    dependencies = [("settlement", "0002_positions_paid")]

    operations = [migrations.RunPython(settled_before, migrations.RunPython.noop)]
