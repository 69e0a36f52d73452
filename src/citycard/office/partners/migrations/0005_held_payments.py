# SPDX-License-Identifier: Apache-2.0
"""Dates of the exchange whose payments are held because positions differ."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("partners", "0004_no_single_key"),
    ]

    operations = [
        migrations.CreateModel(
            name="ExchangeHold",
            fields=[
                (
                    "settled_on",
                    models.DateField(primary_key=True, serialize=False, verbose_name="business date"),
                ),
                ("told_fen", models.BigIntegerField(verbose_name="net as told (fen)")),
                ("ours_fen", models.BigIntegerField(verbose_name="net by our books (fen)")),
                ("paid_fen", models.BigIntegerField(default=0, verbose_name="paid (fen)")),
                (
                    "state",
                    models.CharField(
                        choices=[("held", "held"), ("partly", "paid as far as both agree"), ("paid", "paid")],
                        default="held",
                        max_length=6,
                        verbose_name="state",
                    ),
                ),
                ("raised_at", models.DateTimeField(verbose_name="raised")),
                ("decided_at", models.DateTimeField(blank=True, null=True, verbose_name="decided at")),
                (
                    "decided_by",
                    models.CharField(blank=True, default="", max_length=310, verbose_name="decided by"),
                ),
                ("words", models.CharField(blank=True, default="", max_length=200, verbose_name="words")),
            ],
            options={
                "verbose_name": "held payment between cities",
                "verbose_name_plural": "held payments between cities",
                "ordering": ["-settled_on"],
            },
        ),
    ]
