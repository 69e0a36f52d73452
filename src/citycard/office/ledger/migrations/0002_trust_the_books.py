# SPDX-License-Identifier: Apache-2.0
"""Large postings: no second look-up of accounts by the database, and room in its pages for new sums."""

import django.db.models.deletion
from django.db import migrations, models


def leave_room(apps, schema_editor):
    """PostgreSQL writes a row anew for each change; with room in the page no index has to learn of it."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE ledger_ledgeraccount SET (fillfactor = 50)")


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0001_initial"),
    ]

    operations = [
        migrations.RunPython(leave_room, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="ledgertransfer",
            name="credit",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="credits",
                to="ledger.ledgeraccount",
                verbose_name="credit",
            ),
        ),
        migrations.AlterField(
            model_name="ledgertransfer",
            name="debit",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="debits",
                to="ledger.ledgeraccount",
                verbose_name="debit",
            ),
        ),
    ]
