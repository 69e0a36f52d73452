# SPDX-License-Identifier: Apache-2.0

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="LedgerAccount",
            fields=[
                (
                    "id",
                    models.CharField(
                        max_length=64, primary_key=True, serialize=False, verbose_name="account"
                    ),
                ),
                ("kind", models.CharField(db_index=True, max_length=24, verbose_name="kind")),
                ("flags", models.PositiveSmallIntegerField(default=0)),
                (
                    "debits_pending",
                    models.PositiveBigIntegerField(default=0, verbose_name="debits pending (fen)"),
                ),
                (
                    "debits_posted",
                    models.PositiveBigIntegerField(default=0, verbose_name="debits posted (fen)"),
                ),
                (
                    "credits_pending",
                    models.PositiveBigIntegerField(default=0, verbose_name="credits pending (fen)"),
                ),
                (
                    "credits_posted",
                    models.PositiveBigIntegerField(default=0, verbose_name="credits posted (fen)"),
                ),
                ("opened_at", models.DateTimeField(verbose_name="opened")),
            ],
            options={
                "verbose_name": "account",
                "verbose_name_plural": "accounts",
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="LedgerTransfer",
            fields=[
                (
                    "id",
                    models.CharField(
                        max_length=96, primary_key=True, serialize=False, verbose_name="transfer"
                    ),
                ),
                ("amount_fen", models.PositiveBigIntegerField(verbose_name="amount (fen)")),
                ("code", models.CharField(max_length=24, verbose_name="code")),
                ("flags", models.PositiveSmallIntegerField(default=0)),
                ("pending_id", models.CharField(blank=True, default="", max_length=96)),
                ("business_date", models.DateField(blank=True, null=True, verbose_name="business date")),
                ("ref", models.CharField(blank=True, default="", max_length=96, verbose_name="reference")),
                (
                    "stage",
                    models.CharField(
                        choices=[
                            ("booked", "booked"),
                            ("pending", "pending"),
                            ("posted", "posted"),
                            ("voided", "voided"),
                        ],
                        max_length=8,
                        verbose_name="stage",
                    ),
                ),
                ("recorded_at", models.DateTimeField(verbose_name="recorded")),
                (
                    "credit",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credits",
                        to="ledger.ledgeraccount",
                        verbose_name="credit",
                    ),
                ),
                (
                    "debit",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="debits",
                        to="ledger.ledgeraccount",
                        verbose_name="debit",
                    ),
                ),
            ],
            options={
                "verbose_name": "transfer",
                "verbose_name_plural": "transfers",
                "ordering": ["-recorded_at", "id"],
                "indexes": [
                    models.Index(fields=["debit", "recorded_at"], name="transfer_debit"),
                    models.Index(fields=["credit", "recorded_at"], name="transfer_credit"),
                ],
            },
        ),
    ]
