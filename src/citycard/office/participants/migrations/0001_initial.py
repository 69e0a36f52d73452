# SPDX-License-Identifier: Apache-2.0

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Participant",
            fields=[
                ("name_en", models.CharField(max_length=80, verbose_name="English name")),
                ("name_zh", models.CharField(max_length=80, verbose_name="Chinese name")),
                (
                    "id",
                    models.CharField(
                        help_text="16 hex digits",
                        max_length=16,
                        primary_key=True,
                        serialize=False,
                        verbose_name="id",
                    ),
                ),
                ("roles", models.JSONField(default=list, verbose_name="roles")),
                (
                    "pan_prefix",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="a 0, then 5 to 12 digits",
                        max_length=13,
                        verbose_name="prefix of card numbers",
                    ),
                ),
                ("active", models.BooleanField(default=True, verbose_name="active")),
            ],
            options={
                "verbose_name": "participant",
                "verbose_name_plural": "participants",
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="SchemeSetting",
            fields=[
                (
                    "key",
                    models.CharField(
                        max_length=60, primary_key=True, serialize=False, verbose_name="setting"
                    ),
                ),
                ("value", models.JSONField(verbose_name="value")),
            ],
            options={
                "verbose_name": "scheme setting",
                "verbose_name_plural": "scheme settings",
                "ordering": ["key"],
            },
        ),
        migrations.CreateModel(
            name="Line",
            fields=[
                ("name_en", models.CharField(max_length=80, verbose_name="English name")),
                ("name_zh", models.CharField(max_length=80, verbose_name="Chinese name")),
                (
                    "number",
                    models.PositiveIntegerField(primary_key=True, serialize=False, verbose_name="number"),
                ),
                ("service", models.PositiveSmallIntegerField(verbose_name="service")),
                (
                    "operator",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="participants.participant",
                        verbose_name="operator",
                    ),
                ),
            ],
            options={
                "verbose_name": "line",
                "verbose_name_plural": "lines",
                "ordering": ["number"],
            },
        ),
        migrations.CreateModel(
            name="Contract",
            fields=[
                (
                    "contract",
                    models.CharField(
                        max_length=60, primary_key=True, serialize=False, verbose_name="contract"
                    ),
                ),
                ("service", models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="service")),
                ("valid_from", models.DateField(verbose_name="valid from")),
                ("valid_until", models.DateField(blank=True, null=True, verbose_name="valid until")),
                ("charge_bp", models.PositiveIntegerField(verbose_name="fee (basis points)")),
                ("acquirer_bp", models.PositiveIntegerField(verbose_name="acquirer's part (basis points)")),
                ("issuer_bp", models.PositiveIntegerField(verbose_name="issuer's part (basis points)")),
                ("concession_payer", models.CharField(max_length=16, verbose_name="bears concessions")),
                ("transfer_payer", models.CharField(max_length=16, verbose_name="bears transfer discounts")),
                (
                    "acquirer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="participants.participant",
                        verbose_name="acquirer",
                    ),
                ),
                (
                    "issuer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="participants.participant",
                        verbose_name="issuer",
                    ),
                ),
            ],
            options={
                "verbose_name": "contract",
                "verbose_name_plural": "contracts",
                "ordering": ["contract"],
            },
        ),
        migrations.CreateModel(
            name="Tariff",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("service", models.PositiveSmallIntegerField(verbose_name="service")),
                (
                    "version",
                    models.PositiveSmallIntegerField(
                        help_text="1 to 255: a byte of the record", verbose_name="version"
                    ),
                ),
                ("valid_from", models.DateField(verbose_name="valid from")),
                ("config", models.JSONField(verbose_name="configuration")),
            ],
            options={
                "verbose_name": "tariff",
                "verbose_name_plural": "tariffs",
                "ordering": ["service", "version"],
                "constraints": [
                    models.UniqueConstraint(fields=("service", "version"), name="tariff_version_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Terminal",
            fields=[
                (
                    "id",
                    models.CharField(
                        help_text="12 hex digits",
                        max_length=12,
                        primary_key=True,
                        serialize=False,
                        verbose_name="terminal",
                    ),
                ),
                ("service", models.PositiveSmallIntegerField(verbose_name="service")),
                ("line", models.PositiveIntegerField(default=0, verbose_name="line")),
                ("station", models.PositiveIntegerField(default=0, verbose_name="station")),
                ("name", models.CharField(blank=True, default="", max_length=80, verbose_name="name")),
                ("active", models.BooleanField(default=True, verbose_name="active")),
                (
                    "token_hash",
                    models.CharField(blank=True, db_index=True, default="", editable=False, max_length=64),
                ),
                (
                    "parameter_version",
                    models.PositiveBigIntegerField(default=0, verbose_name="parameter version"),
                ),
                (
                    "hotlist_version",
                    models.PositiveBigIntegerField(default=0, verbose_name="hotlist version"),
                ),
                ("last_seen_at", models.DateTimeField(blank=True, null=True, verbose_name="last seen")),
                ("last_batch", models.PositiveBigIntegerField(default=0, verbose_name="last batch")),
                ("clock_skew_s", models.IntegerField(blank=True, null=True, verbose_name="clock skew (s)")),
                ("pending_records", models.PositiveIntegerField(default=0, verbose_name="records waiting")),
                (
                    "acquirer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="terminals",
                        to="participants.participant",
                        verbose_name="acquirer",
                    ),
                ),
            ],
            options={
                "verbose_name": "terminal",
                "verbose_name_plural": "terminals",
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="Station",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name_en", models.CharField(max_length=80, verbose_name="English name")),
                ("name_zh", models.CharField(max_length=80, verbose_name="Chinese name")),
                ("number", models.PositiveIntegerField(verbose_name="number")),
                ("km_m", models.PositiveIntegerField(default=0, verbose_name="distance (m)")),
                (
                    "line",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="stations",
                        to="participants.line",
                        verbose_name="line",
                    ),
                ),
            ],
            options={
                "verbose_name": "station",
                "verbose_name_plural": "stations",
                "ordering": ["line", "number"],
                "constraints": [models.UniqueConstraint(fields=("line", "number"), name="station_once")],
            },
        ),
    ]
