# SPDX-License-Identifier: Apache-2.0
"""Bank accounts, payment files and orders, bank statements and their entries."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("participants", "0002_settlement_terms"),
        ("settlement", "0003_settled_before"),
    ]

    operations = [
        migrations.CreateModel(
            name="BankAccount",
            fields=[
                (
                    "participant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="bank_account",
                        serialize=False,
                        to="participants.participant",
                        verbose_name="participant",
                    ),
                ),
                ("holder", models.CharField(max_length=140, verbose_name="account holder")),
                (
                    "number",
                    models.CharField(
                        max_length=34,
                        validators=[django.core.validators.RegexValidator("^[0-9A-Za-z]{5,34}$")],
                        verbose_name="account number",
                    ),
                ),
                (
                    "bank",
                    models.CharField(
                        help_text="a BIC, or the bank's code in the national clearing system",
                        max_length=28,
                        validators=[django.core.validators.RegexValidator("^[0-9A-Z]{8,14}$")],
                        verbose_name="bank",
                    ),
                ),
                (
                    "mandate",
                    models.BooleanField(
                        default=False,
                        help_text="payments from it may be ordered; otherwise they are waited for",
                        verbose_name="direct payment agreed",
                    ),
                ),
            ],
            options={
                "verbose_name": "bank account",
                "verbose_name_plural": "bank accounts",
                "ordering": ["participant"],
            },
        ),
        migrations.CreateModel(
            name="BankStatement",
            fields=[
                (
                    "id",
                    models.CharField(
                        max_length=35, primary_key=True, serialize=False, verbose_name="statement"
                    ),
                ),
                ("digest", models.CharField(max_length=64, verbose_name="digest")),
                ("account", models.CharField(max_length=34, verbose_name="account number")),
                ("ends_on", models.DateField(verbose_name="closing date")),
                ("opening_fen", models.BigIntegerField(verbose_name="opening balance (fen)")),
                ("closing_fen", models.BigIntegerField(verbose_name="closing balance (fen)")),
                ("imported_at", models.DateTimeField(verbose_name="imported")),
                ("imported_by", models.CharField(max_length=150, verbose_name="imported by")),
                ("validated", models.BooleanField(verbose_name="validated against the schema")),
            ],
            options={
                "verbose_name": "bank statement",
                "verbose_name_plural": "bank statements",
                "ordering": ["-ends_on", "-imported_at"],
            },
        ),
        migrations.CreateModel(
            name="PaymentFile",
            fields=[
                (
                    "id",
                    models.CharField(
                        max_length=35, primary_key=True, serialize=False, verbose_name="message"
                    ),
                ),
                ("settle_on", models.DateField(verbose_name="business date")),
                ("made_at", models.DateTimeField(verbose_name="made")),
                ("made_by", models.CharField(max_length=150, verbose_name="made by")),
                ("content", models.TextField(verbose_name="content")),
                ("orders_count", models.PositiveIntegerField(verbose_name="orders")),
                ("sum_fen", models.PositiveBigIntegerField(verbose_name="sum (fen)")),
                ("validated", models.BooleanField(verbose_name="validated against the schema")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("held", "held"),
                            ("made", "made"),
                            ("awaited", "awaited"),
                            ("sent", "sent"),
                            ("executed", "executed"),
                            ("rejected", "rejected by the bank"),
                        ],
                        default="made",
                        max_length=8,
                        verbose_name="state",
                    ),
                ),
            ],
            options={
                "verbose_name": "payment file",
                "verbose_name_plural": "payment files",
                "ordering": ["-made_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="PaymentOrder",
            fields=[
                (
                    "end_to_end",
                    models.CharField(
                        max_length=35, primary_key=True, serialize=False, verbose_name="end-to-end id"
                    ),
                ),
                ("attempt", models.PositiveSmallIntegerField(verbose_name="attempt")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("held", "held"),
                            ("made", "made"),
                            ("awaited", "awaited"),
                            ("sent", "sent"),
                            ("executed", "executed"),
                            ("rejected", "rejected by the bank"),
                        ],
                        max_length=8,
                        verbose_name="state",
                    ),
                ),
                ("why", models.CharField(blank=True, default="", max_length=200, verbose_name="why")),
                (
                    "file",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orders",
                        to="bank.paymentfile",
                        verbose_name="file",
                    ),
                ),
                (
                    "payment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orders",
                        to="settlement.payment",
                        verbose_name="payment",
                    ),
                ),
            ],
            options={
                "verbose_name": "payment order",
                "verbose_name_plural": "payment orders",
                "ordering": ["-end_to_end"],
            },
        ),
        migrations.CreateModel(
            name="BankEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField(verbose_name="number")),
                ("credit", models.BooleanField(verbose_name="money in")),
                ("amount_fen", models.PositiveBigIntegerField(verbose_name="amount (fen)")),
                ("reversal", models.BooleanField(default=False, verbose_name="reversal")),
                ("booked_on", models.DateField(verbose_name="booked")),
                (
                    "end_to_end",
                    models.CharField(blank=True, default="", max_length=35, verbose_name="end-to-end id"),
                ),
                (
                    "bank_ref",
                    models.CharField(blank=True, default="", max_length=35, verbose_name="bank's reference"),
                ),
                (
                    "text",
                    models.CharField(blank=True, default="", max_length=200, verbose_name="remittance text"),
                ),
                (
                    "party",
                    models.CharField(blank=True, default="", max_length=140, verbose_name="other party"),
                ),
                (
                    "party_account",
                    models.CharField(blank=True, default="", max_length=34, verbose_name="other account"),
                ),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("open", "not matched"),
                            ("order", "a payment"),
                            ("return", "a payment returned"),
                            ("guarantee", "a guarantee deposit"),
                            ("own", "the scheme's own money"),
                        ],
                        default="open",
                        max_length=9,
                        verbose_name="purpose",
                    ),
                ),
                (
                    "why",
                    models.CharField(blank=True, default="", max_length=24, verbose_name="why not matched"),
                ),
                (
                    "matched_by",
                    models.CharField(blank=True, default="", max_length=150, verbose_name="matched by"),
                ),
                (
                    "statement",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="bank.bankstatement",
                        verbose_name="statement",
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="entries",
                        to="bank.paymentorder",
                        verbose_name="order",
                    ),
                ),
            ],
            options={
                "verbose_name": "bank entry",
                "verbose_name_plural": "bank entries",
                "ordering": ["-booked_on", "statement", "number"],
            },
        ),
        migrations.CreateModel(
            name="TheirPosition",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("settle_on", models.DateField(verbose_name="business date")),
                ("net_fen", models.BigIntegerField(verbose_name="net (fen)")),
                ("delivered_at", models.DateTimeField(verbose_name="delivered")),
                (
                    "participant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="participants.participant",
                        verbose_name="participant",
                    ),
                ),
            ],
            options={
                "verbose_name": "position as a participant sees it",
                "verbose_name_plural": "positions as participants see them",
                "ordering": ["-settle_on", "participant"],
            },
        ),
        migrations.AddConstraint(
            model_name="paymentorder",
            constraint=models.UniqueConstraint(fields=("payment", "attempt"), name="order_attempt_once"),
        ),
        migrations.AddIndex(
            model_name="bankentry",
            index=models.Index(fields=["purpose", "booked_on"], name="bank_entry_open"),
        ),
        migrations.AddConstraint(
            model_name="bankentry",
            constraint=models.UniqueConstraint(fields=("statement", "number"), name="bank_entry_once"),
        ),
        migrations.AddConstraint(
            model_name="theirposition",
            constraint=models.UniqueConstraint(
                fields=("settle_on", "participant"), name="their_position_once"
            ),
        ),
    ]
