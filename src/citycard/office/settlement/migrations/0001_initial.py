# SPDX-License-Identifier: Apache-2.0

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("ledger", "0001_initial"),
        ("participants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="SettlementRun",
            fields=[
                (
                    "settle_on",
                    models.DateField(primary_key=True, serialize=False, verbose_name="business date"),
                ),
                ("digest", models.CharField(max_length=64, verbose_name="digest of clearing's answer")),
                ("posted_at", models.DateTimeField(verbose_name="posted")),
                ("settled_at", models.DateTimeField(blank=True, null=True, verbose_name="settled")),
                ("taps", models.PositiveIntegerField(verbose_name="taps")),
                ("accepted", models.PositiveIntegerField(verbose_name="accepted")),
                ("suspended", models.PositiveIntegerField(verbose_name="suspended")),
                ("rejected", models.PositiveIntegerField(verbose_name="rejected")),
                ("reasons", models.JSONField(default=dict, verbose_name="records by reason")),
                ("charged_fen", models.PositiveBigIntegerField(verbose_name="charged (fen)")),
                ("loaded_fen", models.PositiveBigIntegerField(verbose_name="loaded (fen)")),
                ("suspense_fen", models.PositiveBigIntegerField(verbose_name="in suspense (fen)")),
            ],
            options={
                "verbose_name": "settlement run",
                "verbose_name_plural": "settlement runs",
                "ordering": ["-settle_on"],
            },
        ),
        migrations.CreateModel(
            name="RevenueRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("service", models.PositiveSmallIntegerField(verbose_name="service")),
                ("counterparty", models.CharField(max_length=16, verbose_name="counterparty")),
                ("cause", models.CharField(max_length=20, verbose_name="cause")),
                ("taps", models.PositiveIntegerField(verbose_name="taps")),
                ("amount_fen", models.BigIntegerField(verbose_name="amount (fen)")),
                (
                    "participant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="revenue",
                        to="participants.participant",
                        verbose_name="participant",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="settlement.settlementrun",
                        verbose_name="run",
                    ),
                ),
            ],
            options={
                "verbose_name": "revenue",
                "verbose_name_plural": "revenue",
                "ordering": ["-run", "participant", "service", "cause"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("run", "participant", "service", "counterparty", "cause"), name="revenue_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PositionRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("receivable_fen", models.BigIntegerField(verbose_name="receivable (fen)")),
                ("payable_fen", models.BigIntegerField(verbose_name="payable (fen)")),
                ("net_fen", models.BigIntegerField(verbose_name="net (fen)")),
                (
                    "participant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="positions",
                        to="participants.participant",
                        verbose_name="participant",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="settlement.settlementrun",
                        verbose_name="run",
                    ),
                ),
            ],
            options={
                "verbose_name": "position",
                "verbose_name_plural": "positions",
                "ordering": ["-run", "participant"],
                "constraints": [models.UniqueConstraint(fields=("run", "participant"), name="position_once")],
            },
        ),
        migrations.CreateModel(
            name="Payment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("payer", models.CharField(max_length=64, verbose_name="payer")),
                ("payee", models.CharField(max_length=64, verbose_name="payee")),
                ("amount_fen", models.PositiveBigIntegerField(verbose_name="amount (fen)")),
                (
                    "transfer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="ledger.ledgertransfer",
                        verbose_name="transfer",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="settlement.settlementrun",
                        verbose_name="run",
                    ),
                ),
            ],
            options={
                "verbose_name": "payment",
                "verbose_name_plural": "payments",
                "ordering": ["-run", "payer", "payee"],
                "constraints": [
                    models.UniqueConstraint(fields=("run", "payer", "payee"), name="payment_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Movement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("pan", models.CharField(max_length=20, verbose_name="card number")),
                (
                    "kind",
                    models.PositiveSmallIntegerField(help_text="1 purchases, 2 loads", verbose_name="kind"),
                ),
                ("taps", models.PositiveIntegerField(verbose_name="taps")),
                ("amount_fen", models.BigIntegerField(verbose_name="amount (fen)")),
                ("last_counter", models.PositiveIntegerField(verbose_name="last counter")),
                ("last_balance_fen", models.BigIntegerField(verbose_name="last balance (fen)")),
                ("last_at", models.DateTimeField(verbose_name="last tap")),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="settlement.settlementrun",
                        verbose_name="run",
                    ),
                ),
            ],
            options={
                "verbose_name": "movement",
                "verbose_name_plural": "movements",
                "ordering": ["-run", "pan"],
                "indexes": [models.Index(fields=["pan", "last_at"], name="movement_card")],
                "constraints": [models.UniqueConstraint(fields=("run", "pan", "kind"), name="movement_once")],
            },
        ),
        migrations.CreateModel(
            name="Tap",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("tap", models.CharField(db_index=True, max_length=64, verbose_name="record")),
                ("batch", models.CharField(max_length=64, verbose_name="batch")),
                ("position", models.IntegerField(verbose_name="position in the batch")),
                ("verdict", models.CharField(max_length=12, verbose_name="verdict")),
                ("reason", models.CharField(max_length=32, verbose_name="reason")),
                ("pan", models.CharField(max_length=32, verbose_name="card number")),
                ("issuer", models.CharField(max_length=16, verbose_name="issuer")),
                ("acquirer", models.CharField(max_length=16, verbose_name="acquirer")),
                ("terminal", models.CharField(max_length=16, verbose_name="terminal")),
                ("service", models.IntegerField(verbose_name="service")),
                ("kind", models.IntegerField(verbose_name="kind")),
                ("tapped_at", models.DateTimeField(verbose_name="at")),
                ("business_date", models.DateField(verbose_name="business date")),
                ("counter", models.IntegerField(verbose_name="counter")),
                ("balance_before_fen", models.BigIntegerField(verbose_name="balance before (fen)")),
                ("amount_fen", models.BigIntegerField(verbose_name="amount (fen)")),
                ("list_fen", models.BigIntegerField(verbose_name="list price (fen)")),
                ("concession_fen", models.BigIntegerField(verbose_name="concession (fen)")),
                ("transfer_fen", models.BigIntegerField(verbose_name="transfer discount (fen)")),
                ("surcharge_fen", models.BigIntegerField(verbose_name="surcharge (fen)")),
                ("card_class", models.IntegerField(verbose_name="card class")),
                ("flags", models.IntegerField(verbose_name="flags")),
                ("line", models.IntegerField(verbose_name="line")),
                ("station", models.IntegerField(verbose_name="station")),
                ("entry_line", models.IntegerField(verbose_name="entry line")),
                ("entry_station", models.IntegerField(verbose_name="entry station")),
                ("entry_at", models.DateTimeField(blank=True, null=True, verbose_name="entered")),
                ("hotlist_version", models.BigIntegerField(verbose_name="hotlist version")),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="settlement.settlementrun",
                        verbose_name="run",
                    ),
                ),
            ],
            options={
                "verbose_name": "tap",
                "verbose_name_plural": "taps",
                "ordering": ["-tapped_at"],
                "indexes": [
                    models.Index(fields=["pan", "tapped_at"], name="tap_card"),
                    models.Index(fields=["terminal", "tapped_at"], name="tap_terminal"),
                    models.Index(fields=["run", "verdict", "reason"], name="tap_verdict"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("run", "batch", "position"), name="tap_once")
                ],
            },
        ),
    ]
