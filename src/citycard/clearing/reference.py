# SPDX-License-Identifier: Apache-2.0
"""The reference tables the office exports for a date, read and held against each other before a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from citycard.clearing.decode import card_numbers
from citycard.clearing.problems import INPUT_INVALID, INPUT_MISSING
from citycard.core import fees
from citycard.core.tables import (
    CARDS,
    CONTRACTS,
    HOTLIST,
    LINES,
    PARTICIPANTS,
    SAMS,
    TARIFFS,
    TERMINALS,
    Row,
    Table,
    TableError,
)

ARROW_TYPES: Final = {
    "int": pa.int64(),
    "text": pa.string(),
    "date": pa.date32(),
    "moment": pa.timestamp("us"),
    "flag": pa.int64(),
}
ROLE_SCHEME: Final = "scheme"
TERMINAL_DIGITS: Final = 12
OPTIONAL: Final = frozenset({TARIFFS.name, SAMS.name})  # fares stay with the acquirer; no module was stolen


def arrow_schema(table: Table) -> pa.Schema:
    """A declared table's columns in Arrow's types."""
    return pa.schema([(column.name, ARROW_TYPES[column.type]) for column in table.columns])


@dataclass(frozen=True, slots=True)
class Reference:
    """What a run knows of the scheme: big tables as Arrow, small ones as rows."""

    terminals: pa.Table
    cards: pa.Table
    hotlist: pa.Table
    sams: pa.Table
    participants: list[Row]
    contracts: list[Row]
    operators: dict[int, str]  # who runs a line
    tariffs: dict[tuple[int, int], Any]  # (service, version) -> configuration in plain values
    scheme: str

    @property
    def names(self) -> dict[str, tuple[str, str]]:
        """Participant to its English and Chinese name."""
        return {row["participant"]: (row["name_en"], row["name_zh"]) for row in self.participants}


def read_reference(folder: Path, day: date) -> Reference:
    """All tables of a folder; INPUT_MISSING, INPUT_INVALID (with file and reason)."""
    rows = {table.name: _rows(folder, table, day) for table in (PARTICIPANTS, CONTRACTS, LINES, TARIFFS)}
    reference = Reference(
        terminals=_numbered(_arrow(folder, TERMINALS, day), "terminal_id", terminal_numbers),
        cards=_numbered(_arrow(folder, CARDS, day), "card", card_numbers),
        hotlist=_numbered(_arrow(folder, HOTLIST, day), "card", card_numbers),
        sams=_numbered(_arrow(folder, SAMS, day), "terminal_id", terminal_numbers),
        participants=rows["participants"],
        contracts=rows["contracts"],
        operators={row["line"]: row["operator"] for row in rows["lines"]},
        tariffs={(row["service"], row["version"]): _config(folder, row) for row in rows["tariffs"]},
        scheme=_scheme(folder, rows["participants"]),
    )
    _check(folder, reference)
    return reference


def _numbered(table: pa.Table, name: str, number: Callable[[pa.ChunkedArray], Any]) -> pa.Table:
    """The table with its key as a number beside it, which engines join quicker than text."""
    return table.append_column(name, pa.array(number(table.column(0)), pa.int64()))


def terminal_numbers(terminals: pa.ChunkedArray) -> list[int]:
    """Terminals as the decoder numbers them; -1 for a name no record can carry."""
    found = []
    for text in terminals.to_pylist():
        try:
            found.append(int.from_bytes(bytes.fromhex(text), "big") if len(text) == TERMINAL_DIGITS else -1)
        except ValueError:
            found.append(-1)
    return found


def _scheme(folder: Path, participants: list[Row]) -> str:
    found = [row["participant"] for row in participants if ROLE_SCHEME in row["roles"].split()]
    if len(found) != 1:
        raise INPUT_INVALID(
            path=folder / "participants.csv",
            why=f"{len(found)} participants have the role {ROLE_SCHEME}; exactly one keeps the rest of fees",
        )
    return str(found[0])


def _config(folder: Path, row: Row) -> Any:
    try:
        return json.loads(row["config"])
    except ValueError as fault:
        why = f"the configuration of service {row['service']} version {row['version']} is no JSON: {fault}"
        raise INPUT_INVALID(path=folder / "tariffs.csv", why=why) from None


def _check(folder: Path, reference: Reference) -> None:
    """Everyone who may be owed or owe money is a participant; rates make sense; keys are unique."""
    known = {row["participant"] for row in reference.participants}

    def needed(file: str, what: str, who: str) -> None:
        if who not in known:
            raise INPUT_INVALID(path=folder / file, why=f"{what} names {who}, who is no participant")

    for acquirer in pc.unique(reference.terminals["acquirer"]).to_pylist():
        needed("terminals.csv", "a terminal", acquirer)
    for line, operator in reference.operators.items():
        needed("lines.csv", f"line {line}", operator)
    for row in reference.contracts:
        for field, words in (
            ("concession_payer", True),
            ("transfer_payer", True),
            ("acquirer", False),
            ("issuer", False),
        ):
            if row[field] is not None and not (words and row[field] in ("acquirer", "issuer")):
                needed("contracts.csv", f"contract {row['contract']}, {field},", row[field])
        for why in fees.faults(row):
            raise INPUT_INVALID(path=folder / "contracts.csv", why=f"contract {row['contract']}: {why}")
    for file, table, key in (
        ("terminals.csv", reference.terminals, "terminal_id"),
        ("cards.csv", reference.cards, "card"),
    ):
        if _twice(table, key):
            raise INPUT_INVALID(path=folder / file, why=f"one {table.column_names[0]} stands in it twice")


def _twice(table: pa.Table, key: str) -> bool:
    """Whether a name stands in a table twice; sorting numbers is quicker than counting millions of texts."""
    numbers = np.sort(table[key].to_numpy())
    if not (numbers[1:] == numbers[:-1]).any():
        return False
    distinct: int = pc.count_distinct(table.column(0)).as_py()  # names that are none may share a number
    return distinct != len(table)


def _rows(folder: Path, table: Table, day: date) -> list[Row]:
    path = folder / f"{table.name}.csv"
    if not path.exists():
        if table.name in OPTIONAL:
            return []
        raise INPUT_MISSING(path=path, date=day)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(table.read(file))
    except (TableError, UnicodeDecodeError) as fault:
        raise INPUT_INVALID(path=path, why=fault) from None


def _arrow(folder: Path, table: Table, day: date) -> pa.Table:
    """A table of perhaps millions of rows, read by Arrow; a fault is found again row by row, to name it."""
    path, schema = folder / f"{table.name}.csv", arrow_schema(table)
    if not path.exists():
        if table.name in OPTIONAL:
            return schema.empty_table()
        raise INPUT_MISSING(path=path, date=day)
    try:
        with path.open("rb") as file:
            if file.readline().decode().strip() != f"# {table.name} v{table.version}":
                raise pa.ArrowInvalid("another table or version")
            if file.readline().decode().strip().split(",") != table.names:
                raise pa.ArrowInvalid("other columns")
            if not file.read(1):
                return schema.empty_table()
        found = csv.read_csv(
            path,
            read_options=csv.ReadOptions(skip_rows=2, column_names=table.names),
            convert_options=csv.ConvertOptions(
                column_types=schema, null_values=[""], strings_can_be_null=True
            ),
        )
        return _without_nulls(table, found.select(table.names))
    except (pa.ArrowInvalid, UnicodeDecodeError) as fault:
        _rows(folder, table, day)
        raise INPUT_INVALID(path=path, why=fault) from None


def _without_nulls(table: Table, found: pa.Table) -> pa.Table:
    for at, column in enumerate(table.columns):
        if column.null or not found[column.name].null_count:
            continue
        if column.type != "text":
            raise pa.ArrowInvalid(f"column {column.name} has an empty cell")
        found = found.set_column(at, column.name, pc.fill_null(found[column.name], ""))
    return found
