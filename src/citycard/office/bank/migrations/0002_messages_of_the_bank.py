# SPDX-License-Identifier: Apache-2.0
"""Notifications and status reports of the bank; movements that are known before their statement."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("bank", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="bankstatement",
            name="sequence",
            field=models.PositiveBigIntegerField(blank=True, null=True, verbose_name="the bank's number"),
        ),
        migrations.AddField(
            model_name="bankentry",
            name="entry_ref",
            field=models.CharField(blank=True, db_index=True, default="", editable=False, max_length=35),
        ),
        migrations.AddField(
            model_name="bankentry",
            name="notice_number",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="number"),
        ),
        migrations.AddField(
            model_name="bankentry",
            name="noticed",
            field=models.BooleanField(default=False, verbose_name="booked by notification"),
        ),
        migrations.AddField(
            model_name="bankentry",
            name="servicer_ref",
            field=models.CharField(blank=True, db_index=True, default="", editable=False, max_length=35),
        ),
        migrations.AddField(
            model_name="paymentorder",
            name="told",
            field=models.CharField(blank=True, default="", max_length=4, verbose_name="the bank's word"),
        ),
        migrations.AlterField(
            model_name="bankentry",
            name="end_to_end",
            field=models.CharField(
                blank=True, db_index=True, default="", max_length=35, verbose_name="end-to-end id"
            ),
        ),
        migrations.AlterField(
            model_name="bankentry",
            name="number",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="number"),
        ),
        migrations.AlterField(
            model_name="bankentry",
            name="statement",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="entries",
                to="bank.bankstatement",
                verbose_name="statement",
            ),
        ),
        migrations.CreateModel(
            name="BankMessage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("notice", "notification"), ("report", "status report")],
                        max_length=6,
                        verbose_name="kind",
                    ),
                ),
                ("name", models.CharField(max_length=35, verbose_name="message")),
                ("digest", models.CharField(max_length=64, verbose_name="digest")),
                (
                    "told",
                    models.CharField(blank=True, default="", max_length=4, verbose_name="the bank's word"),
                ),
                ("lines", models.PositiveIntegerField(verbose_name="lines")),
                ("imported_at", models.DateTimeField(verbose_name="imported")),
                ("imported_by", models.CharField(max_length=150, verbose_name="imported by")),
                ("validated", models.BooleanField(verbose_name="validated against the schema")),
                (
                    "file",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reports",
                        to="bank.paymentfile",
                        verbose_name="file",
                    ),
                ),
            ],
            options={
                "verbose_name": "message of the bank",
                "verbose_name_plural": "messages of the bank",
                "ordering": ["-imported_at", "-id"],
            },
        ),
        migrations.AddField(
            model_name="bankentry",
            name="notice",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="entries",
                to="bank.bankmessage",
                verbose_name="notification",
            ),
        ),
        migrations.AddConstraint(
            model_name="bankentry",
            constraint=models.UniqueConstraint(
                fields=("notice", "notice_number"), name="bank_entry_noticed_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="bankmessage",
            constraint=models.UniqueConstraint(fields=("kind", "name"), name="bank_message_once"),
        ),
    ]
