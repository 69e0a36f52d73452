# SPDX-License-Identifier: Apache-2.0
"""Settlement terms of participants: cycle, least payment, deposit, limit."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("participants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="SettlementTerms",
            fields=[
                (
                    "participant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="terms",
                        serialize=False,
                        to="participants.participant",
                        verbose_name="participant",
                    ),
                ),
                (
                    "period",
                    models.CharField(
                        choices=[("daily", "daily"), ("weekly", "weekly"), ("monthly", "monthly")],
                        default="daily",
                        max_length=7,
                        verbose_name="settled",
                    ),
                ),
                (
                    "lag_days",
                    models.PositiveSmallIntegerField(
                        default=0,
                        help_text="T+n",
                        validators=[django.core.validators.MaxValueValidator(30)],
                        verbose_name="working days later",
                    ),
                ),
                (
                    "weekday",
                    models.PositiveSmallIntegerField(
                        default=1,
                        help_text="of a weekly cycle, 1 Monday to 7 Sunday",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(7),
                        ],
                        verbose_name="weekday",
                    ),
                ),
                (
                    "month_day",
                    models.PositiveSmallIntegerField(
                        default=31,
                        help_text="of a monthly cycle; the last day where a month is shorter",
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(31),
                        ],
                        verbose_name="day of the month",
                    ),
                ),
                (
                    "minimum_fen",
                    models.PositiveBigIntegerField(
                        default=0,
                        help_text="below it a position is carried to the next cycle",
                        verbose_name="least payment (fen)",
                    ),
                ),
                (
                    "deposit_fen",
                    models.PositiveBigIntegerField(
                        default=0, verbose_name="guarantee deposit required (fen)"
                    ),
                ),
                (
                    "limit_fen",
                    models.PositiveBigIntegerField(
                        blank=True,
                        help_text="either way; empty: none",
                        null=True,
                        verbose_name="limit of the open position (fen)",
                    ),
                ),
                (
                    "hold_over_limit",
                    models.BooleanField(
                        default=False,
                        help_text="until an officer releases them",
                        verbose_name="hold payments over the limit",
                    ),
                ),
            ],
            options={
                "verbose_name": "settlement terms",
                "verbose_name_plural": "settlement terms",
                "ordering": ["participant"],
            },
        ),
    ]
