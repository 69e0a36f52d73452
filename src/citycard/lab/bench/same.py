# SPDX-License-Identifier: Apache-2.0
"""Holds what two runs left against each other: every row of every table, and every file for the office.

Both runs cut their tables by the same parts of the cards, so a file of one is held against the file of that
name of the other, as bags of rows. That bounds the memory, and shows that the layout is the same.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

from citycard.office.home import SQLITE_FILE

FOLDERS: Final = ("out", "statements")
# A place has a number of the run's own making; what it stands for is compared.
NUMBERED: Final = {
    "places": "SELECT * EXCLUDE (place_no) FROM {places}",
    "weights": "SELECT * EXCLUDE (place_no) FROM {places} JOIN {weights} USING (place_no)",
}
TRANSFERS: Final = """
    SELECT id, debit_id, credit_id, amount_fen, code, flags, pending_id, business_date, ref, stage
    FROM ledger_ledgertransfer ORDER BY id
"""


@dataclass(slots=True)
class Compared:
    """What was compared, in rows by table, and where the two differ."""

    rows: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def lake(self, one: Path, other: Path) -> None:
        """All tables of two run folders."""
        files = [
            {path.relative_to(run).as_posix() for path in run.rglob("*.parquet")} for run in (one, other)
        ]
        with duckdb.connect(":memory:") as db:
            for name in sorted(files[0] | files[1]):
                here = [run / name for run, names in zip((one, other), files, strict=True) if name in names]
                if len(here) == 2:
                    self._tables(db, name, *(_query(db, run, name) for run in (one, other)))
                elif _count(
                    db, f"SELECT * FROM {_file(here[0])}"
                ):  # a part without rows need not have a file
                    self.differences.append(f"{name}: only one run has it")

    def _tables(self, db: duckdb.DuckDBPyConnection, name: str, one: str, other: str) -> None:
        columns = [db.execute(f"DESCRIBE {query}").fetchall() for query in (one, other)]
        if columns[0] != columns[1]:
            self.differences.append(f"{name}: columns {columns[0]} and {columns[1]}")
            return
        counts = [_count(db, query) for query in (one, other)]
        left = _count(db, f"({one}) EXCEPT ALL ({other})")
        right = left + counts[1] - counts[0]  # bags: what is in both is in both as often
        if left or right:
            self.differences.append(f"{name}: {left} rows are only in one, {right} only in the other")
        self.rows[Path(name).parts[0].removesuffix(".parquet")] += counts[0]

    def files(self, one: Path, other: Path) -> None:
        """All files of two folders, byte for byte."""
        found = [{p.relative_to(f).as_posix(): p for p in f.rglob("*") if p.is_file()} for f in (one, other)]
        for name in sorted({**found[0], **found[1]}):
            contents = [files[name].read_bytes() if name in files else None for files in found]
            if contents[0] != contents[1]:
                self.differences.append(f"{one.name}/{name}: not the same bytes")
            if name.endswith(".csv"):
                self.rows[f"{one.name}/*.csv"] += (contents[0] or b"").count(b"\n")

    def transfers(self, one: list[Any], other: list[Any]) -> None:
        """The rows of `ledger` of two offices."""
        if one != other:
            wrong = sum(a != b for a, b in zip(one, other, strict=False)) + abs(len(one) - len(other))
            self.differences.append(f"ledger: {wrong} transfers differ")
        self.rows["ledger"] += len(one)


def ledger(home: Path) -> list[Any]:
    """All transfers of an office's ledger."""
    with sqlite3.connect(f"file:{home / SQLITE_FILE}?mode=ro", uri=True) as db:
        return db.execute(TRANSFERS).fetchall()


def _query(db: duckdb.DuckDBPyConnection, run: Path, name: str) -> str:
    plain = NUMBERED.get(name.removesuffix(".parquet"), f"SELECT * FROM {_file(run / name)}")
    return plain.format(**{table: _file(run / f"{table}.parquet") for table in NUMBERED})


def _count(db: duckdb.DuckDBPyConnection, query: str) -> int:
    found = db.execute(f"SELECT count(*) FROM ({query})").fetchone()
    assert found is not None
    return int(found[0])


def _file(path: Path) -> str:
    name = str(path).replace("'", "''")
    return f"read_parquet('{name}', hive_partitioning = false)"
