# SPDX-License-Identifier: Apache-2.0

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("holders", "0001_initial"),
        ("participants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Counter",
            fields=[
                ("name", models.CharField(max_length=60, primary_key=True, serialize=False)),
                ("value", models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Card",
            fields=[
                (
                    "pan",
                    models.CharField(
                        max_length=20, primary_key=True, serialize=False, verbose_name="card number"
                    ),
                ),
                (
                    "uid",
                    models.CharField(
                        blank=True, db_index=True, default="", max_length=20, verbose_name="chip serial"
                    ),
                ),
                ("profile", models.CharField(default="t-union", max_length=30, verbose_name="profile")),
                ("algorithm", models.PositiveSmallIntegerField(default=0, verbose_name="algorithm")),
                ("key_version", models.PositiveSmallIntegerField(default=1, verbose_name="key version")),
                ("card_class", models.PositiveSmallIntegerField(default=1, verbose_name="card class")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("manufactured", "manufactured"),
                            ("initialised", "initialised"),
                            ("personalised", "personalised"),
                            ("in_stock", "in stock"),
                            ("active", "active"),
                            ("lost", "lost"),
                            ("blocked", "blocked"),
                            ("expired", "expired"),
                            ("replaced", "replaced"),
                            ("refunded", "refunded"),
                            ("destroyed", "destroyed"),
                        ],
                        db_index=True,
                        default="manufactured",
                        max_length=12,
                        verbose_name="status",
                    ),
                ),
                ("valid_from", models.DateField(blank=True, null=True, verbose_name="valid from")),
                ("valid_until", models.DateField(blank=True, null=True, verbose_name="valid until")),
                ("deposit_fen", models.PositiveBigIntegerField(default=0, verbose_name="deposit (fen)")),
                (
                    "personalised_fen",
                    models.PositiveBigIntegerField(
                        default=0, verbose_name="balance at personalisation (fen)"
                    ),
                ),
                ("status_at", models.DateTimeField(verbose_name="in this status since")),
                (
                    "holder",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cards",
                        to="holders.holder",
                        verbose_name="holder",
                    ),
                ),
                (
                    "issuer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cards",
                        to="participants.participant",
                        verbose_name="issuer",
                    ),
                ),
                (
                    "replaced_by",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="replaces",
                        to="cards.card",
                        verbose_name="replaced by",
                    ),
                ),
            ],
            options={
                "verbose_name": "card",
                "verbose_name_plural": "cards",
                "ordering": ["pan"],
                "permissions": [
                    ("order_card", "Can order"),
                    ("register_card", "Can register"),
                    ("stock_in_card", "Can stock in"),
                    ("issue_card", "Can issue"),
                    ("bind_card", "Can bind"),
                    ("unbind_card", "Can unbind"),
                    ("query_card", "Can query"),
                    ("report_loss_card", "Can report loss"),
                    ("cancel_loss_card", "Can cancel loss"),
                    ("block_card", "Can block"),
                    ("unblock_card", "Can unblock"),
                    ("expire_card", "Can expire"),
                    ("replace_card", "Can replace"),
                    ("refund_card", "Can refund"),
                    ("destroy_card", "Can destroy"),
                ],
            },
        ),
        migrations.CreateModel(
            name="CardEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("verb", models.CharField(max_length=20, verbose_name="verb")),
                ("at", models.DateTimeField(verbose_name="at")),
                ("actor", models.CharField(max_length=150, verbose_name="by")),
                (
                    "before",
                    models.CharField(
                        choices=[
                            ("manufactured", "manufactured"),
                            ("initialised", "initialised"),
                            ("personalised", "personalised"),
                            ("in_stock", "in stock"),
                            ("active", "active"),
                            ("lost", "lost"),
                            ("blocked", "blocked"),
                            ("expired", "expired"),
                            ("replaced", "replaced"),
                            ("refunded", "refunded"),
                            ("destroyed", "destroyed"),
                        ],
                        max_length=12,
                        verbose_name="before",
                    ),
                ),
                (
                    "after",
                    models.CharField(
                        choices=[
                            ("manufactured", "manufactured"),
                            ("initialised", "initialised"),
                            ("personalised", "personalised"),
                            ("in_stock", "in stock"),
                            ("active", "active"),
                            ("lost", "lost"),
                            ("blocked", "blocked"),
                            ("expired", "expired"),
                            ("replaced", "replaced"),
                            ("refunded", "refunded"),
                            ("destroyed", "destroyed"),
                        ],
                        max_length=12,
                        verbose_name="after",
                    ),
                ),
                ("detail", models.JSONField(default=dict, verbose_name="detail")),
                ("refusal", models.CharField(blank=True, default="", max_length=40, verbose_name="refusal")),
                (
                    "card",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="events",
                        to="cards.card",
                        verbose_name="card",
                    ),
                ),
            ],
            options={
                "verbose_name": "card event",
                "verbose_name_plural": "card events",
                "ordering": ["id"],
                "indexes": [models.Index(fields=["card", "id"], name="card_event_life")],
            },
        ),
        migrations.CreateModel(
            name="HotlistEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("reason", models.CharField(max_length=40, verbose_name="reason")),
                ("version", models.PositiveBigIntegerField(db_index=True, verbose_name="version")),
                ("listed_at", models.DateTimeField(verbose_name="listed")),
                ("delisted_at", models.DateTimeField(blank=True, null=True, verbose_name="delisted")),
                (
                    "delisted_version",
                    models.PositiveBigIntegerField(
                        blank=True, db_index=True, null=True, verbose_name="delisted in version"
                    ),
                ),
                (
                    "card",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="hotlisted",
                        to="cards.card",
                        verbose_name="card",
                    ),
                ),
            ],
            options={
                "verbose_name": "hotlist entry",
                "verbose_name_plural": "hotlist entries",
                "ordering": ["version"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("delisted_version", None)),
                        fields=("card",),
                        name="hotlisted_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("delisted_version", None),
                            ("delisted_version__gt", models.F("version")),
                            _connector="OR",
                        ),
                        name="delisted_after_listed",
                    ),
                ],
            },
        ),
    ]
