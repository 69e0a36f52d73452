# SPDX-License-Identifier: Apache-2.0
"""Results of a run as files: the lake's Parquet, the office's CSV, and statements."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import csv

from citycard.clearing import carry, judge, money
from citycard.clearing.engine import Engine, Source, Step
from citycard.clearing.paper import as_pdf
from citycard.clearing.reference import Reference
from citycard.clearing.rules import ALL
from citycard.clearing.shards import Shards
from citycard.clearing.statements import as_csv, as_xlsx, statement
from citycard.core import tables
from citycard.core.tables import Row, Table

CSV_ROWS: Final = 100_000  # written at a time
TAP_ORDER: Final = ("tap",)
FOLDERS: Final = ("verdict", "business_date", "part")  # of KEPT, by which taps are laid apart
SCRATCH: Final = "parts"  # files of a run at work only

LakeTable = tuple[str, Step, tuple[str, ...]]
CARRIED: Final[tuple[LakeTable, ...]] = (
    ("cards", carry.NEXT_CARDS, ("pan", "kind", "lo")),
    ("open_loads", carry.NEXT_LOADS, ("pan", "counter")),
)
LAKE_TABLES: Final[dict[bool, tuple[LakeTable, ...]]] = {
    True: (("shares", money.SHARES_OUT, ("tap", "participant", "cause")), *CARRIED),
    False: CARRIED,
}  # by whether the office is told of every tap
OFFICE_TABLES: Final[dict[bool, tuple[tuple[Table, Step], ...]]] = {
    True: ((tables.VERDICTS, judge.VERDICTS), (tables.MOVEMENTS, money.MOVEMENTS)),
    False: ((tables.VERDICTS, judge.EXCEPTIONS), (tables.LOADS, judge.LOADS)),
}
SUM_TABLES: Final = ((tables.POSITIONS, money.POSITIONS), (tables.REVENUE, money.REVENUE_TOTAL))


def write_part(engine: Engine, folder: Path, shards: Shards, number: int, detail: str) -> None:
    """A part's taps by verdict, business date and issuer, and its share of the lake's tables."""
    scratch = folder / SCRATCH / f"taps-{number:03d}"
    if not scratch.exists():  # not laid down yet
        engine.write_apart(judge.KEPT, scratch, FOLDERS, TAP_ORDER)
    for leaf in sorted(scratch.glob("p0=*/p1=*/p2=*")):
        verdict, day, issuer = (level.partition("=")[2] for level in leaf.relative_to(scratch).parts)
        target = folder / f"taps/verdict={verdict}/business_date={day}/issuer={issuer}"
        target.mkdir(parents=True, exist_ok=True)
        for piece, path in enumerate(sorted(leaf.glob("*.parquet"))):
            os.replace(path, target / f"part-{number:03d}{f'-{piece}' if piece else ''}.parquet")
    shutil.rmtree(scratch, ignore_errors=True)
    for name, step, order in LAKE_TABLES[detail == ALL]:
        engine.write(step, folder / shards.file(name, number), order)


def keep_for_office(engine: Engine, folder: Path, number: int, detail: str) -> None:
    """What the office will be told of a part's taps, until the other parts are there."""
    for table, step in OFFICE_TABLES[detail == ALL]:
        engine.write(step, folder / SCRATCH / table.name / f"{number:03d}.parquet", ())


def write_office(engine: Engine, folder: Path, parts: int, detail: str) -> None:
    """The declared tables the office reads back: from the engine of a single part, or from kept files."""
    out = folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    for table, step in SUM_TABLES:
        write_table(table, engine.stream(step, table.key, CSV_ROWS), out / f"{table.name}.csv")
    with (out / f"{tables.VOLUMES.name}.csv").open("w", encoding="utf-8", newline="") as file:
        # few rows, and contracts are called as people like: here cells may need quotes
        tables.VOLUMES.write(engine.fetch(money.VOLUMES_TOTAL, tables.VOLUMES.key).to_pylist(), file)
    for table, step in OFFICE_TABLES[detail == ALL]:
        found: Step | Source = step
        if parts > 1:
            found = Source(f"all_{table.name}", step.expression.schema().to_pyarrow())
            engine.give_parquet(found, sorted((folder / SCRATCH / table.name).glob("*.parquet")))
        write_table(table, engine.stream(found, table.key, CSV_ROWS), out / f"{table.name}.csv")


def write_totals(tally: Iterable[Row], folder: Path) -> None:
    """What stands in for the verdicts the office is not told one by one."""
    taps: Counter[tuple[object, ...]] = Counter()
    fen: Counter[tuple[object, ...]] = Counter()
    for row in tally:
        key = tuple(row[name] for name in tables.TOTALS.key)
        taps[key] += row["taps"]
        fen[key] += row["amount_fen"]
    ordered = sorted(taps, key=lambda key: tuple(map(str, key)))
    found = [dict(zip(tables.TOTALS.names, (*key, taps[key], fen[key]), strict=True)) for key in ordered]
    with (folder / "out" / f"{tables.TOTALS.name}.csv").open("w", encoding="utf-8", newline="") as file:
        tables.TOTALS.write(found, file)


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
