# SPDX-License-Identifier: Apache-2.0
"""Keys of members with an algorithm and days, and keys of ours under the vault."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("partners", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="OwnKey",
            fields=[
                (
                    "fingerprint",
                    models.CharField(
                        max_length=16, primary_key=True, serialize=False, verbose_name="fingerprint"
                    ),
                ),
                ("algorithm", models.CharField(max_length=10, verbose_name="algorithm")),
                ("public_key", models.CharField(max_length=130, verbose_name="public key")),
                ("valid_from", models.DateField(verbose_name="valid from")),
                ("made_at", models.DateTimeField(verbose_name="generated")),
                ("kept", models.TextField(editable=False)),
            ],
            options={
                "verbose_name": "key of ours",
                "verbose_name_plural": "keys of ours",
                "ordering": ["-valid_from", "-made_at"],
            },
        ),
        migrations.CreateModel(
            name="MemberKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("fingerprint", models.CharField(max_length=16, verbose_name="fingerprint")),
                ("algorithm", models.CharField(max_length=10, verbose_name="algorithm")),
                ("public_key", models.CharField(max_length=130, verbose_name="public key")),
                ("valid_from", models.DateField(verbose_name="valid from")),
                ("valid_until", models.DateField(blank=True, null=True, verbose_name="valid until")),
                (
                    "member",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="keys",
                        to="partners.member",
                        verbose_name="member",
                    ),
                ),
            ],
            options={
                "verbose_name": "key of a member",
                "verbose_name_plural": "keys of members",
                "ordering": ["member", "-valid_from"],
                "constraints": [
                    models.UniqueConstraint(fields=("member", "fingerprint"), name="member_key_once")
                ],
            },
        ),
    ]
