# SPDX-License-Identifier: Apache-2.0
"""Results of a run as files: the lake's Parquet, the office's CSV, and statements."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import csv

from citycard.clearing import carry, judge, money
from citycard.clearing.engine import DuckEngine, Step
from citycard.clearing.paper import as_pdf
from citycard.clearing.reference import Reference
from citycard.clearing.statements import as_csv, as_xlsx, statement
from citycard.core import tables
from citycard.core.tables import Row, Table

CSV_ROWS: Final = 100_000  # written at a time
TAP_ORDER: Final = ("tap",)
LAKE_TABLES: Final[tuple[tuple[str, Step, tuple[str, ...]], ...]] = (
    ("shares.parquet", money.SHARES_OUT, ("tap", "participant", "cause")),
    ("cards.parquet", carry.NEXT_CARDS, ("pan", "kind", "lo")),
    ("open_loads.parquet", carry.NEXT_LOADS, ("pan", "counter")),
    ("terminals.parquet", carry.NEXT_SEQUENCES, ("terminal_id",)),
)
OFFICE_TABLES: Final[tuple[tuple[Table, Step], ...]] = (
    (tables.VERDICTS, judge.VERDICTS),
    (tables.POSITIONS, money.POSITIONS),
    (tables.MOVEMENTS, money.MOVEMENTS),
    (tables.REVENUE, money.REVENUE),
)


def write_lake(engine: DuckEngine, folder: Path, parts: Iterable[tuple[str, date]]) -> None:
    """Taps by verdict and business date, shares, and what the next run starts from."""
    for verdict, day in sorted(parts):
        path = folder / "taps" / f"verdict={verdict}" / f"business_date={day.isoformat()}" / "part-0.parquet"
        engine.write(judge.KEPT, path, TAP_ORDER, {"verdict": verdict, "business_date": day})
    for name, step, order in LAKE_TABLES:
        engine.write(step, folder / name, order)


def write_office(engine: DuckEngine, folder: Path) -> None:
    """The declared tables the office reads back."""
    folder.mkdir(parents=True, exist_ok=True)
    for table, step in OFFICE_TABLES:
        write_table(table, engine.stream(step, table.key, CSV_ROWS), folder / f"{table.name}.csv")


def write_table(table: Table, rows: Iterable[pa.RecordBatch], path: Path) -> None:
    """As `Table.write` does; values are numbers, hex and codes, so that no cell needs quotes."""
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as file:
        file.write(f"# {table.name} v{table.version}\n{','.join(table.names)}\n".encode())
        for batch in rows:
            csv.write_csv(pa.Table.from_batches([batch]).select(table.names), file, options)


def write_statements(
    folder: Path, revenue: list[Row], reference: Reference, day: date, sheets: bool
) -> list[str]:
    """A CSV, a workbook and a PDF per participant who earned or owes something; returns who."""
    folder.mkdir(parents=True, exist_ok=True)
    who = sorted({row["participant"] for row in revenue})
    for participant in who:
        found = statement(participant, revenue, reference.names, day)
        stem = re.sub(r"[^0-9A-Za-z_-]", "_", participant)
        (folder / f"{stem}.csv").write_bytes(as_csv(found))
        if sheets:
            (folder / f"{stem}.xlsx").write_bytes(as_xlsx(found))
            (folder / f"{stem}.pdf").write_bytes(as_pdf(found))
    return who
