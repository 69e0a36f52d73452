# SPDX-License-Identifier: Apache-2.0
"""Volumes of runs, and closings of months with positions and revenue of their own beside those of dates."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("participants", "0004_volume_tiers"),
        ("settlement", "0003_settled_before"),
    ]

    operations = [
        migrations.CreateModel(
            name="FeeAdjustment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("contract", models.CharField(max_length=60, verbose_name="contract")),
                ("service", models.PositiveSmallIntegerField(help_text="0: loads", verbose_name="service")),
                ("acquirer", models.CharField(max_length=16, verbose_name="acquirer")),
                ("issuer", models.CharField(max_length=16, verbose_name="issuer")),
                ("scheme", models.CharField(max_length=16, verbose_name="scheme operator")),
                ("taps", models.PositiveIntegerField(verbose_name="taps")),
                ("amount_fen", models.PositiveBigIntegerField(verbose_name="turnover (fen)")),
                ("issuer_fen", models.BigIntegerField(verbose_name="issuer's part (fen)")),
                ("acquirer_fen", models.BigIntegerField(verbose_name="acquirer's part (fen)")),
                ("scheme_fen", models.BigIntegerField(verbose_name="scheme's part (fen)")),
                ("terms", models.JSONField(verbose_name="terms")),
                ("tier", models.CharField(blank=True, max_length=60, verbose_name="tier reached")),
                ("charged_fen", models.PositiveBigIntegerField(verbose_name="charged day by day (fen)")),
                ("due_fen", models.PositiveBigIntegerField(verbose_name="due (fen)")),
                ("before_fen", models.BigIntegerField(verbose_name="adjusted before (fen)")),
                ("difference_fen", models.BigIntegerField(verbose_name="difference (fen)")),
            ],
            options={
                "verbose_name": "fee adjustment",
                "verbose_name_plural": "fee adjustments",
                "ordering": ["closing", "contract", "service", "acquirer", "issuer"],
            },
        ),
        migrations.CreateModel(
            name="MonthClosing",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("month", models.DateField(help_text="its first day", verbose_name="month")),
                ("number", models.PositiveSmallIntegerField(verbose_name="number")),
                ("closed_at", models.DateTimeField(verbose_name="closed")),
                ("by", models.CharField(max_length=150, verbose_name="by")),
            ],
            options={
                "verbose_name": "closing of a month",
                "verbose_name_plural": "closings of months",
                "ordering": ["-month", "-number"],
            },
        ),
        migrations.CreateModel(
            name="VolumeRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("contract", models.CharField(max_length=60, verbose_name="contract")),
                ("service", models.PositiveSmallIntegerField(help_text="0: loads", verbose_name="service")),
                ("acquirer", models.CharField(max_length=16, verbose_name="acquirer")),
                ("issuer", models.CharField(max_length=16, verbose_name="issuer")),
                ("scheme", models.CharField(max_length=16, verbose_name="scheme operator")),
                ("taps", models.PositiveIntegerField(verbose_name="taps")),
                ("amount_fen", models.PositiveBigIntegerField(verbose_name="turnover (fen)")),
                ("issuer_fen", models.BigIntegerField(verbose_name="issuer's part (fen)")),
                ("acquirer_fen", models.BigIntegerField(verbose_name="acquirer's part (fen)")),
                ("scheme_fen", models.BigIntegerField(verbose_name="scheme's part (fen)")),
                ("business_date", models.DateField(db_index=True, verbose_name="business date")),
            ],
            options={
                "verbose_name": "volume",
                "verbose_name_plural": "volumes",
                "ordering": ["-run", "contract", "service", "acquirer", "issuer"],
            },
        ),
        migrations.RemoveConstraint(
            model_name="positionrow",
            name="position_once",
        ),
        migrations.RemoveConstraint(
            model_name="revenuerow",
            name="revenue_once",
        ),
        migrations.AddField(
            model_name="settlementrun",
            name="volumes_told",
            field=models.BooleanField(default=False, editable=False, verbose_name="volumes told"),
        ),
        migrations.AddField(
            model_name="monthclosing",
            name="run",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, to="settlement.settlementrun", verbose_name="run"
            ),
        ),
        migrations.AddField(
            model_name="feeadjustment",
            name="closing",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="adjustments",
                to="settlement.monthclosing",
                verbose_name="closing",
            ),
        ),
        migrations.AddField(
            model_name="positionrow",
            name="closing",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="settlement.monthclosing",
                verbose_name="closing",
            ),
        ),
        migrations.AddField(
            model_name="revenuerow",
            name="closing",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="settlement.monthclosing",
                verbose_name="closing",
            ),
        ),
        migrations.AddConstraint(
            model_name="positionrow",
            constraint=models.UniqueConstraint(
                condition=models.Q(("closing", None)), fields=("run", "participant"), name="position_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="positionrow",
            constraint=models.UniqueConstraint(
                fields=("closing", "participant"), name="position_once_of_closing"
            ),
        ),
        migrations.AddConstraint(
            model_name="revenuerow",
            constraint=models.UniqueConstraint(
                condition=models.Q(("closing", None)),
                fields=("run", "participant", "service", "counterparty", "cause"),
                name="revenue_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="revenuerow",
            constraint=models.UniqueConstraint(
                fields=("closing", "participant", "service", "counterparty", "cause"),
                name="revenue_once_of_closing",
            ),
        ),
        migrations.AddField(
            model_name="volumerow",
            name="run",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, to="settlement.settlementrun", verbose_name="run"
            ),
        ),
        migrations.AddConstraint(
            model_name="monthclosing",
            constraint=models.UniqueConstraint(fields=("month", "number"), name="month_closing_once"),
        ),
        migrations.AddConstraint(
            model_name="feeadjustment",
            constraint=models.UniqueConstraint(
                fields=("closing", "contract", "service", "acquirer", "issuer", "scheme"),
                name="fee_adjustment_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="volumerow",
            constraint=models.UniqueConstraint(
                fields=("run", "contract", "service", "acquirer", "issuer", "business_date"),
                name="volume_once",
            ),
        ),
    ]
