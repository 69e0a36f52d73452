# SPDX-License-Identifier: Apache-2.0
"""Large postings: the indexes of transfers hold the account alone, and none serves a search nobody makes.

On a large PostgreSQL table the two new indexes take minutes, in which nothing is posted.
"""

from django.db import migrations, models


def drop_prefix_indexes(apps, schema_editor):
    """PostgreSQL got an index more for each text key, for LIKE 'prefix%', which is asked of neither table."""
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() "
            "AND tablename IN ('ledger_ledgeraccount', 'ledger_ledgertransfer') "
            "AND right(indexname, 5) = '_like'"
        )
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        schema_editor.execute(f"DROP INDEX {schema_editor.quote_name(name)}")


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0002_trust_the_books"),
    ]

    operations = [
        migrations.RunPython(drop_prefix_indexes, migrations.RunPython.noop),
        migrations.RemoveIndex(model_name="ledgertransfer", name="transfer_debit"),
        migrations.RemoveIndex(model_name="ledgertransfer", name="transfer_credit"),
        migrations.AddIndex(
            model_name="ledgertransfer",
            index=models.Index(fields=["debit"], name="transfer_debit"),
        ),
        migrations.AddIndex(
            model_name="ledgertransfer",
            index=models.Index(fields=["credit"], name="transfer_credit"),
        ),
    ]
