# SPDX-License-Identifier: Apache-2.0
"""Fixed, least, largest and stepped fees of contracts, and parts of the fee itself."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("participants", "0002_settlement_terms"),
    ]

    operations = [
        migrations.AddField(
            model_name="contract",
            name="fee_acquirer_bp",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="instead of the part of the amount",
                null=True,
                verbose_name="acquirer's part of the fee (basis points)",
            ),
        ),
        migrations.AddField(
            model_name="contract",
            name="fee_issuer_bp",
            field=models.PositiveIntegerField(
                blank=True, null=True, verbose_name="issuer's part of the fee (basis points)"
            ),
        ),
        migrations.AddField(
            model_name="contract",
            name="fixed_fen",
            field=models.PositiveIntegerField(
                default=0, help_text="on every tap, beside the rate", verbose_name="fixed fee (fen)"
            ),
        ),
        migrations.AddField(
            model_name="contract",
            name="max_fen",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="largest fee (fen)"),
        ),
        migrations.AddField(
            model_name="contract",
            name="min_fen",
            field=models.PositiveIntegerField(
                default=0, help_text="never more than the amount of the tap", verbose_name="least fee (fen)"
            ),
        ),
        migrations.AddField(
            model_name="contract",
            name="steps",
            field=models.CharField(
                blank=True,
                help_text="up_to_fen:charge_bp:fixed_fen, separated by spaces, rising",
                max_length=400,
                null=True,
                verbose_name="steps",
            ),
        ),
    ]
