# SPDX-License-Identifier: Apache-2.0
"""Declared tables: what the edges tell each other, as column, type and unit.

The office and clearing are strangers; they exchange folders of these tables as CSV (UTF-8, header line,
empty = null) with the table's version in a first comment line; files of earlier versions stay readable. The
lake keeps the same columns as Parquet. Types: `int` (64 bit), `text`, `date` (YYYY-MM-DD), `moment`
(YYYY-MM-DDTHH:MM:SS, scheme time), `flag` (0 or 1). Bytes travel as lower-case hex text.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any, Final, TextIO

TYPES: Final = ("int", "text", "date", "moment", "flag")
AS_THEY_ARE: Final = ("int", "text", "date")  # the CSV writer's own text of them is ours
WRITTEN_AT_ONCE: Final = 5000  # rows in memory
Row = dict[str, Any]


class TableError(ValueError):
    """A file is not the declared table; says file row, column and why."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name (ending in its unit where it has one), its type, and what it means."""

    name: str
    type: str
    note: str = ""
    null: bool = False
    since: int = 1  # the table's version that brought it
    default: Any = None  # its value in rows of versions before


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name, its version, its columns in order, and the columns that identify a row."""

    name: str
    version: int
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]

    def write(self, rows: Iterable[Mapping[str, Any]], to: TextIO) -> int:
        """Write rows as CSV with the version line and the header; returns how many."""
        to.write(f"# {self.name} v{self.version}\n")
        writer = csv.writer(to, lineterminator="\n")
        writer.writerow(self.names)
        count = 0
        for row in rows:
            writer.writerow([_to_text(column, _value(column, row)) for column in self.columns])
            count += 1
        return count

    def write_values(self, rows: Iterable[Sequence[Any]], to: TextIO) -> int:
        """Write rows given as values in the order of the columns: the same file as `write`, and quicker.

        For tables of millions of rows: a column whose value is not yet its text is turned into it, the others
        go to the file as they are.
        """
        to.write(f"# {self.name} v{self.version}\n")
        writer = csv.writer(to, lineterminator="\n")
        writer.writerow(self.names)
        turned = [(at, one) for at, one in enumerate(self.columns) if one.type not in AS_THEY_ARE]
        needed = [(at, one) for at, one in enumerate(self.columns) if not one.null]
        count = 0
        rows = iter(rows)
        while chunk := list(islice(rows, WRITTEN_AT_ONCE)):
            for at, column in needed:
                if any(row[at] is None for row in chunk):
                    raise TableError(f"column {column.name} may not be empty")
            cells: list[Any] = [list(row) for row in chunk] if turned else chunk
            for at, column in turned:
                for number, row in enumerate(chunk):
                    cells[number][at] = _to_text(column, row[at])
            writer.writerows(cells)
            count += len(chunk)
        return count

    def read(self, source: TextIO) -> Iterator[Row]:
        """Yield rows with typed values; `TableError` on another table, version, column or value."""
        columns, missing = self._as_of(source.readline().strip())
        names = [column.name for column in columns]
        reader = csv.reader(source)
        header = next(reader, [])
        if header != names:
            raise TableError(f"{self.name}: columns are {','.join(header)[:200]}, not {','.join(names)}")
        for number, cells in enumerate(reader, start=3):
            if len(cells) != len(columns):
                raise TableError(f"{self.name} line {number}: {len(cells)} cells, {len(columns)} wanted")
            row = {c.name: _from_text(self, c, cell, number) for c, cell in zip(columns, cells, strict=True)}
            yield row | missing

    def _as_of(self, title: str) -> tuple[list[Column], Row]:
        """The columns of the version a file's first line names, and the values of those that came later."""
        for version in range(1, self.version + 1):
            if title == f"# {self.name} v{version}":
                later = {column.name: column.default for column in self.columns if column.since > version}
                return [column for column in self.columns if column.since <= version], later
        raise TableError(f"expected '# {self.name} v{self.version}' on line 1, found {title[:60]!r}")


def _value(column: Column, row: Mapping[str, Any]) -> Any:
    """The row's value; a row made for an older version need not have the later columns."""
    return row[column.name] if column.since == 1 else row.get(column.name, column.default)


def _to_text(column: Column, value: Any) -> str:
    if value is None:
        if not column.null:
            raise TableError(f"column {column.name} may not be empty")
        return ""
    if column.type == "flag":
        return "1" if value else "0"
    if column.type == "moment":
        return str(value.isoformat(timespec="seconds"))
    return str(value)


def _from_text(table: Table, column: Column, cell: str, line: int) -> Any:
    if cell == "" and column.null:
        return None
    try:
        if column.type == "int":
            return int(cell)
        if column.type == "date":
            return date.fromisoformat(cell)
        if column.type == "moment":
            return datetime.fromisoformat(cell)
        if column.type == "flag":
            return {"0": False, "1": True}[cell]
    except (ValueError, KeyError):
        raise TableError(f"{table.name} line {line}, {column.name}: {cell!r} is no {column.type}") from None
    return cell


def _table(name: str, key: str, *columns: str, version: int = 1) -> Table:
    """Columns as `name:type` or `name:type?` (may be empty), `#` starts a note.

    `@2` or `@2=0` behind the type: since version 2, and what stands there in rows of before.
    """
    parsed = []
    for column in columns:
        spec, _, note = column.partition("#")
        label, _, rest = spec.strip().partition(":")
        kind, _, later = rest.partition("@")
        since, _, default = later.partition("=")
        assert kind.rstrip("?") in TYPES, column
        null = kind.endswith("?")
        assert not later or null or (kind == "int" and default), f"{column}: rows of before need a value"
        parsed.append(
            Column(
                label,
                kind.rstrip("?"),
                note.strip(),
                null,
                int(since or 1),
                int(default) if default else None,
            )
        )
    return Table(name, version, tuple(key.split()), tuple(parsed))


# What clearing is told by the office before a run.
PARTICIPANTS: Final = _table(
    "participants", "participant",
    "participant:text # 16 hex digits: the acquirer or issuer institution id",
    "name_en:text", "name_zh:text",
    "roles:text # space separated: issuer acquirer retailer scheme subsidy",
    "active:flag",
)  # fmt: skip
TERMINALS: Final = _table(
    "terminals", "terminal",
    "terminal:text # 12 hex digits", "acquirer:text", "service:int", "line:int", "station:int", "active:flag",
)  # fmt: skip
CARDS: Final = _table(
    "cards", "pan",
    "pan:text # 20 digits", "issuer:text", "card_class:int",
    "status:text # medium life: in_stock active lost blocked expired replaced refunded destroyed",
    "personalised_fen:int # balance when the card left personalisation",
)  # fmt: skip
HOTLIST: Final = _table(
    "hotlist", "pan listed_at",
    "pan:text", "version:int # list version in which it first stood",
    "reason:text", "listed_at:moment", "delisted_at:moment?",
)  # fmt: skip
SAMS: Final = _table(
    "sams", "terminal",
    "terminal:text # of a security module that was stolen", "distrusted_at:moment # its taps from then on",
)  # fmt: skip
LINES: Final = _table(
    "lines", "line", "line:int", "operator:text # participant who runs it", "name_en:text", "name_zh:text"
)
CONTRACTS: Final = _table(
    "contracts", "contract",
    "contract:text # name of the row",
    "service:int? # empty: any", "acquirer:text? # empty: any", "issuer:text? # empty: any",
    "valid_from:date", "valid_until:date? # last day; empty: open",
    "charge_bp:int # whole fee on the amount, in basis points, paid out of the acquirer's side",
    "acquirer_bp:int # part of the amount the acquirer keeps of that fee",
    "issuer_bp:int # part of the amount the issuer gets of that fee",
    "concession_payer:text # acquirer | issuer | a participant id: who bears concessions",
    "transfer_payer:text # the same for transfer discounts",
    "fixed_fen:int@2=0 # on every tap, beside the rate",
    "min_fen:int@2=0 # least fee of a tap; never more than its amount",
    "max_fen:int?@2 # most; empty: none",
    "steps:text?@2 # up_to_fen:charge_bp:fixed_fen, space separated, rising: instead of rate and fixed fee",
    "fee_acquirer_bp:int?@2 # part of the fee, not of the amount; with the next instead of the parts above",
    "fee_issuer_bp:int?@2",
    version=2,
)  # fmt: skip
TARIFFS: Final = _table(
    "tariffs", "service version",
    "service:int", "version:int # as tap records carry it", "valid_from:date",
    "config:text # JSON of the service's configuration model: the grounds on which operators share a fare",
)  # fmt: skip

# What clearing answers after a run.
VERDICTS: Final = _table(
    "verdicts", "tap",
    "tap:text # record id", "batch:text # digest of the raw batch", "position:int # index in the batch",
    "verdict:text # accepted suspended rejected",
    "reason:text # OK or a refusal code", "pan:text", "issuer:text", "acquirer:text", "terminal:text",
    "service:int", "kind:int", "tapped_at:moment", "business_date:date", "counter:int",
    "balance_before_fen:int", "amount_fen:int", "list_fen:int", "concession_fen:int", "transfer_fen:int",
    "surcharge_fen:int", "card_class:int", "flags:int", "line:int", "station:int", "entry_line:int",
    "entry_station:int", "entry_at:moment?", "hotlist_version:int", "settled_on:date # the run's date",
)  # fmt: skip
SHARES: Final = _table(
    "shares", "tap participant cause",
    "tap:text", "participant:text",
    "cause:text # fare operator_share issuer_fee acquirer_fee scheme_fee concession transfer load",
    "amount_fen:int # signed: + is owed to the participant; the rows of one tap add up to zero",
)  # fmt: skip
POSITIONS: Final = _table(
    "positions", "participant",
    "participant:text", "receivable_fen:int", "payable_fen:int",
    "net_fen:int # receivable - payable; all add up to 0",
)  # fmt: skip
MOVEMENTS: Final = _table(
    "movements", "pan kind",
    "pan:text", "issuer:text", "kind:int # 1 purchases 2 loads", "taps:int", "amount_fen:int",
    "last_counter:int", "last_balance_fen:int # after the newest accepted tap of that kind", "last_at:moment",
)  # fmt: skip
REVENUE: Final = _table(
    "revenue", "participant service counterparty cause",
    "participant:text", "service:int", "counterparty:text # issuer of the cards, or acquirer for an issuer",
    "cause:text", "taps:int", "amount_fen:int",
)  # fmt: skip
# Where taps are too many for the office's database, these stand in for its accepted verdicts.
TOTALS: Final = _table(
    "totals", "verdict reason issuer acquirer service kind",
    "verdict:text", "reason:text", "issuer:text # empty unless accepted", "acquirer:text # likewise",
    "service:int # 0 unless accepted", "kind:int", "taps:int", "amount_fen:int",
)  # fmt: skip
LOADS: Final = _table(
    "loads", "tap",
    "tap:text", "pan:text", "counter:int", "issuer:text", "tapped_at:moment", "amount_fen:int",
)  # fmt: skip
# What each pair did under each contract; answered since contracts know the month's volume (`core.volume`).
VOLUMES: Final = _table(
    "volumes", "contract service acquirer issuer business_date",
    "contract:text", "service:int # as contracts have it: 0 loads", "acquirer:text", "issuer:text",
    "scheme:text # who keeps what of the fee nobody else gets", "business_date:date # of the taps",
    "taps:int # accepted with an amount", "amount_fen:int", "issuer_fen:int # of the fee they were charged",
    "acquirer_fen:int", "scheme_fen:int",
)  # fmt: skip
# What a participant may tell the office for comparison.
THEIR_POSITIONS: Final = _table(
    "their_positions", "settle_on participant",
    "settle_on:date", "participant:text", "net_fen:int # as the participant sees it; + is owed to it",
)  # fmt: skip
TO_CLEARING: Final = (PARTICIPANTS, TERMINALS, CARDS, HOTLIST, LINES, CONTRACTS, TARIFFS, SAMS)
FROM_CLEARING: Final = (VERDICTS, POSITIONS, MOVEMENTS, REVENUE)
FROM_CLEARING_IN_BRIEF: Final = (VERDICTS, POSITIONS, REVENUE, TOTALS, LOADS)  # verdicts: exceptions only
