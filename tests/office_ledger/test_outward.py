# SPDX-License-Identifier: Apache-2.0
"""The tables for clearing in a large city: as many queries and as much memory as in a small one."""

from __future__ import annotations

import io
import tracemalloc
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from citycard.core import tables
from citycard.core.tables import TableError
from citycard.office import settlement
from citycard.office.cards.models import Card
from tests.office_ledger.conftest import DAY, ISSUER, NOON, City

MANY = 20_000
MEMORY_MAX = 4_000_000  # a chunk of 5,000 rows with their text; all rows at once take three times that


def test_many_cards_go_out_in_the_same_queries_and_memory(city: City) -> None:
    with CaptureQueriesContext(connection) as few:
        settlement.export(DAY)
    for at in range(0, MANY, 2000):
        Card.objects.bulk_create(
            Card(pan=f"0310990077{n:010d}", issuer_id=ISSUER, status="active", status_at=NOON)
            for n in range(at, at + 2000)
        )
    tracemalloc.start()
    with CaptureQueriesContext(connection) as many:
        folder = settlement.export(DAY + timedelta(days=1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(many) == len(few)
    assert peak < MEMORY_MAX
    columns = ("pan", "issuer_id", "card_class", "status", "personalised_fen")
    plain = io.StringIO()
    cards = Card.objects.order_by("pan").values_list(*columns)
    written = tables.CARDS.write((dict(zip(tables.CARDS.names, row, strict=True)) for row in cards), plain)
    assert written > MANY
    assert (folder / "cards.csv").read_text(encoding="utf-8") == plain.getvalue()


def test_values_are_written_as_rows_are() -> None:
    table = tables.HOTLIST
    rows = [("0" * 20, 1, 'a "word", 挂失', NOON, None), ("1" * 20, 2, "", NOON, NOON)]
    by_row, by_value = io.StringIO(), io.StringIO()
    table.write([dict(zip(table.names, row, strict=True)) for row in rows], by_row)
    assert table.write_values(rows, by_value) == 2
    assert by_value.getvalue() == by_row.getvalue()
    flags = io.StringIO()
    tables.TERMINALS.write_values([("0", "1", 1, 0, 0, False)], flags)
    assert flags.getvalue().endswith("0,1,1,0,0,0\n")
    with pytest.raises(TableError, match="listed_at"):
        table.write_values([("0" * 20, 1, "", None, None)], io.StringIO())
