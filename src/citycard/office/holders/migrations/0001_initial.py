# SPDX-License-Identifier: Apache-2.0

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Holder",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("resident", "resident"), ("non_resident", "non-resident")],
                        max_length=12,
                        verbose_name="kind",
                    ),
                ),
                ("name", models.CharField(max_length=80, verbose_name="name")),
                ("birth_on", models.DateField(verbose_name="date of birth")),
                (
                    "verification_level",
                    models.PositiveSmallIntegerField(
                        choices=[
                            (0, "not verified"),
                            (1, "phone verified"),
                            (2, "document seen"),
                            (3, "document and person compared"),
                        ],
                        default=0,
                        verbose_name="verification level",
                    ),
                ),
                (
                    "document_type",
                    models.CharField(blank=True, default="", max_length=20, verbose_name="document"),
                ),
                (
                    "document_masked",
                    models.CharField(blank=True, default="", max_length=40, verbose_name="document number"),
                ),
                (
                    "document_digest",
                    models.CharField(blank=True, db_index=True, default="", editable=False, max_length=64),
                ),
                (
                    "phone_masked",
                    models.CharField(blank=True, default="", max_length=20, verbose_name="phone"),
                ),
                ("created_at", models.DateTimeField(verbose_name="registered")),
                (
                    "guardian",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="wards",
                        to="holders.holder",
                        verbose_name="guardian",
                    ),
                ),
            ],
            options={
                "verbose_name": "holder",
                "verbose_name_plural": "holders",
                "ordering": ["created_at"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("document_digest", ""), _negated=True),
                        fields=("document_digest",),
                        name="holder_document_once",
                    )
                ],
            },
        ),
    ]
