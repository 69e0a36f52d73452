# SPDX-License-Identifier: Apache-2.0
"""Fees by the month's volume in contracts; none have any so far."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("participants", "0003_contract_fees"),
    ]

    operations = [
        migrations.AddField(
            model_name="contract",
            name="volume_by",
            field=models.CharField(
                blank=True,
                choices=[("amount", "turnover"), ("taps", "number of taps")],
                default="amount",
                max_length=6,
                verbose_name="month's volume by",
            ),
        ),
        migrations.AddField(
            model_name="contract",
            name="volume_tiers",
            field=models.CharField(
                blank=True,
                help_text="from..below:charge_bp:fixed_fen by the month, spaces between; the last has no end",
                max_length=800,
                null=True,
                verbose_name="volume tiers",
            ),
        ),
    ]
