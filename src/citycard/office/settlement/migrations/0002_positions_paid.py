# SPDX-License-Identifier: Apache-2.0
"""Which payment took a position, and how much of a payment the bank has moved."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("settlement", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="paid_fen",
            field=models.PositiveBigIntegerField(default=0, verbose_name="moved by the bank (fen)"),
        ),
        migrations.AddField(
            model_name="positionrow",
            name="payment",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="positions",
                to="settlement.payment",
                verbose_name="payment",
            ),
        ),
    ]
