# SPDX-License-Identifier: Apache-2.0
"""Two runs that differ in a single cell, row, file, type or transfer are told apart; places may be renumbered."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from citycard.clearing import run as clear
from citycard.lab.bench.same import Compared, ledger
from citycard.office.home import SQLITE_FILE
from tests.clearing.world import DAY, World, fake_checker

TAPS = "taps/verdict=accepted/business_date=2026-03-02/issuer=02009900ffffffff/part-000.parquet"


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    world = World(tmp_path / "home")
    world.upload(world.tap("A", 200), world.tap("B", 300), world.tap("B", 300), world.load("C"))
    world.export(DAY)
    clear(world.home, DAY, fake_checker, rules=world.rules)
    one = world.home / "lake" / "runs" / DAY.isoformat()
    return one, Path(shutil.copytree(one, tmp_path / "other"))


def changed(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.ParquetFile(path).read()), path)


def fen(table: pa.Table) -> pa.Table:
    amounts = [amount + (at == 0) for at, amount in enumerate(table["amount_fen"].to_pylist())]
    return table.set_column(table.column_names.index("amount_fen"), "amount_fen", pa.array(amounts))


def renumbered(table: pa.Table) -> pa.Table:
    numbers = pa.array([number + 7 for number in table["place_no"].to_pylist()])
    return table.set_column(table.column_names.index("place_no"), "place_no", numbers)


def test_the_same_rows_in_another_order_under_other_place_numbers_are_the_same(
    runs: tuple[Path, Path],
) -> None:
    one, other = runs
    changed(other / TAPS, lambda table: table.take(list(reversed(range(len(table))))))
    for name in ("places", "weights"):
        changed(other / f"{name}.parquet", renumbered)
    found = Compared()
    found.lake(one, other)
    found.files(one / "out", other / "out")
    assert not found.differences
    assert found.rows["taps"] == 4
    assert found.rows["cards"] == 3
    assert found.rows["out/*.csv"] > 8


@pytest.mark.parametrize(
    "change",
    [
        fen,
        lambda table: pa.concat_tables([table, table.slice(0, 1)]),
        lambda table: table.slice(1),
        lambda table: table.drop_columns(["line"]),
        lambda table: table.set_column(0, table.column_names[0], table.column(0).cast(pa.binary())),
    ],
    ids=["a fen", "a row twice", "a row gone", "a column gone", "another type"],
)
def test_a_table_that_differs_is_named(
    runs: tuple[Path, Path], change: Callable[[pa.Table], pa.Table]
) -> None:
    one, other = runs
    changed(other / TAPS, change)
    found = Compared()
    found.lake(one, other)
    assert [text.split(":")[0] for text in found.differences] == [TAPS]


def test_a_file_that_only_one_has_differs_unless_it_is_empty(runs: tuple[Path, Path]) -> None:
    one, other = runs
    for name in ("open_loads.parquet", "terminals.parquet"):
        changed(one / name, lambda table: table.slice(0, 0 if "before_fen" in table.column_names else None))
        (other / name).unlink()
    (other / "out" / "positions.csv").write_text("")
    found = Compared()
    found.lake(one, other)
    found.files(one / "out", other / "out")
    assert [text.split(":")[0] for text in found.differences] == ["terminals.parquet", "out/positions.csv"]


def test_ledgers_that_differ_in_an_amount_differ(tmp_path: Path) -> None:
    from citycard.office.ledger.models import LedgerTransfer

    columns = {str(f.column): "" for f in LedgerTransfer._meta.concrete_fields}
    values = {**columns, "id": "t", "debit_id": "a", "credit_id": "b", "amount_fen": 5}
    with sqlite3.connect(tmp_path / SQLITE_FILE) as db:
        db.execute(f"CREATE TABLE {LedgerTransfer._meta.db_table} ({', '.join(columns)})")
        marks = ", ".join("?" * len(values))
        db.execute(f"INSERT INTO {LedgerTransfer._meta.db_table} VALUES ({marks})", list(values.values()))
    rows = ledger(tmp_path)
    found = Compared()
    found.transfers(rows, rows)
    assert found.rows == {"ledger": 1}
    assert not found.differences
    found.transfers(rows, [(*rows[0][:3], 6, *rows[0][4:])])
    found.transfers(rows, [])
    assert len(found.differences) == 2
