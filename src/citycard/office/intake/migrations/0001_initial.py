# SPDX-License-Identifier: Apache-2.0

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("cards", "0001_initial"),
        ("participants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Alarm",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=200, unique=True)),
                ("code", models.CharField(db_index=True, max_length=40, verbose_name="code")),
                ("subject", models.CharField(db_index=True, max_length=64, verbose_name="subject")),
                ("detail", models.JSONField(default=dict, verbose_name="detail")),
                ("raised_at", models.DateTimeField(verbose_name="raised")),
                ("seen", models.PositiveIntegerField(default=1, verbose_name="times seen")),
                ("closed_at", models.DateTimeField(blank=True, null=True, verbose_name="closed")),
                (
                    "closed_by",
                    models.CharField(blank=True, default="", max_length=150, verbose_name="closed by"),
                ),
            ],
            options={
                "verbose_name": "alarm",
                "verbose_name_plural": "alarms",
                "ordering": ["-raised_at"],
            },
        ),
        migrations.CreateModel(
            name="ParameterSet",
            fields=[
                (
                    "version",
                    models.PositiveBigIntegerField(primary_key=True, serialize=False, verbose_name="version"),
                ),
                ("digest", models.CharField(max_length=64)),
                ("body", models.JSONField(verbose_name="content")),
                ("made_at", models.DateTimeField(verbose_name="made")),
            ],
            options={
                "verbose_name": "parameter set",
                "verbose_name_plural": "parameter sets",
                "ordering": ["-version"],
            },
        ),
        migrations.CreateModel(
            name="Load",
            fields=[
                (
                    "id",
                    models.CharField(max_length=32, primary_key=True, serialize=False, verbose_name="load"),
                ),
                ("request_id", models.CharField(max_length=64, verbose_name="request")),
                ("issuer", models.CharField(max_length=16, verbose_name="issuer")),
                ("counter", models.PositiveIntegerField(verbose_name="online counter")),
                ("key_version", models.PositiveSmallIntegerField(verbose_name="key version")),
                ("algorithm", models.PositiveSmallIntegerField(verbose_name="algorithm")),
                ("card_answer", models.CharField(max_length=32)),
                ("balance_before_fen", models.PositiveBigIntegerField(verbose_name="balance before (fen)")),
                ("amount_fen", models.PositiveBigIntegerField(verbose_name="amount (fen)")),
                ("at", models.DateTimeField(verbose_name="at")),
                ("mac2", models.CharField(max_length=8)),
                (
                    "status",
                    models.CharField(
                        choices=[("pending", "pending"), ("posted", "posted"), ("voided", "voided")],
                        default="pending",
                        max_length=8,
                        verbose_name="status",
                    ),
                ),
                ("tac", models.CharField(blank=True, default="", max_length=8)),
                ("ended_at", models.DateTimeField(blank=True, null=True, verbose_name="ended")),
                (
                    "ended_how",
                    models.CharField(blank=True, default="", max_length=20, verbose_name="ended by"),
                ),
                (
                    "card",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="loads",
                        to="cards.card",
                        verbose_name="card",
                    ),
                ),
                (
                    "terminal",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="loads",
                        to="participants.terminal",
                        verbose_name="terminal",
                    ),
                ),
            ],
            options={
                "verbose_name": "load",
                "verbose_name_plural": "loads",
                "ordering": ["-at"],
                "indexes": [
                    models.Index(fields=["card", "counter"], name="load_of_card"),
                    models.Index(fields=["status", "at"], name="load_waiting"),
                ],
                "constraints": [models.UniqueConstraint(fields=("terminal", "request_id"), name="load_once")],
            },
        ),
        migrations.CreateModel(
            name="RawBatch",
            fields=[
                (
                    "digest",
                    models.CharField(max_length=64, primary_key=True, serialize=False, verbose_name="digest"),
                ),
                ("number", models.PositiveBigIntegerField(verbose_name="batch")),
                ("acquirer", models.CharField(max_length=16, verbose_name="acquirer")),
                ("count", models.PositiveIntegerField(verbose_name="records")),
                ("total_fen", models.PositiveBigIntegerField(verbose_name="total (fen)")),
                ("closed_at", models.DateTimeField(verbose_name="closed")),
                ("received_at", models.DateTimeField(db_index=True, verbose_name="received")),
                ("path", models.CharField(max_length=200, verbose_name="file")),
                (
                    "terminal",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="batches",
                        to="participants.terminal",
                        verbose_name="terminal",
                    ),
                ),
            ],
            options={
                "verbose_name": "batch",
                "verbose_name_plural": "batches",
                "ordering": ["-received_at"],
                "constraints": [models.UniqueConstraint(fields=("terminal", "number"), name="batch_once")],
            },
        ),
    ]
