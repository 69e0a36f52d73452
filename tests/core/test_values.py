# SPDX-License-Identifier: Apache-2.0
"""Money that adds up, business dates that turn at the cut-off, tables that survive being written down."""

from __future__ import annotations

import io
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citycard.core import tables
from citycard.core.calendar import Calendar, bcd_datetime, from_bcd_datetime
from citycard.core.money import FEN_MAX, check_fen, share_of, split_fen, yuan
from citycard.core.tables import Column, Table, TableError

# Money

WEIGHTS = st.lists(st.integers(0, 10_000), min_size=1, max_size=8).filter(any)


@given(st.integers(-(10**12), 10**12), WEIGHTS)
def test_parts_add_up_and_lie_within_a_fen_of_their_share(total_fen: int, weights: list[int]) -> None:
    parts = split_fen(total_fen, weights)
    assert sum(parts) == total_fen
    whole = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * whole - total_fen * weight) < whole
        assert weight or part == 0
    assert split_fen(-total_fen, weights) == [-part for part in parts]


def test_a_tie_goes_to_the_earlier() -> None:
    assert split_fen(100, [1, 1, 1]) == [34, 33, 33]
    assert split_fen(2, [1, 1, 1]) == [1, 1, 0]


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1]])
def test_weights_that_split_nothing_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="positive weight"):
        split_fen(100, weights)


@pytest.mark.parametrize("amount", [-1, FEN_MAX + 1, 1.0, True, "1"])
def test_what_is_no_amount_is_refused(amount: Any) -> None:
    with pytest.raises(ValueError, match="fare_fen must"):
        check_fen(amount, "fare_fen")


def test_amounts_for_people() -> None:
    assert [yuan(fen) for fen in (0, 5, -1234, 123_456_789)] == ["0.00", "0.05", "-12.34", "1,234,567.89"]
    assert [share_of(fen, 50) for fen in (99, 100, 10_000)] == [0, 1, 50]
    assert check_fen(FEN_MAX) == FEN_MAX


# Calendar

MOMENTS = st.datetimes(datetime(2000, 1, 2), datetime(2100, 1, 1))
CUT_OFFS = st.times().map(lambda t: t.replace(microsecond=0))


@given(MOMENTS, CUT_OFFS)
def test_every_instant_lies_in_its_business_date(at: datetime, cut_off: time) -> None:
    calendar = Calendar(cut_off)
    business = calendar.business_date(at)
    assert calendar.opens(business) <= at < calendar.closes(business)
    assert calendar.closes(business) == calendar.opens(business + timedelta(days=1))


def test_the_last_train_belongs_to_yesterday() -> None:
    calendar = Calendar()
    assert calendar.business_date(datetime(2024, 3, 1, 1, 59, 59)) == date(2024, 2, 29)
    assert calendar.business_date(datetime(2024, 3, 1, 2, 0, 0)) == date(2024, 3, 1)


def test_late_taps_are_accepted_within_the_window() -> None:
    calendar, settling = Calendar(late_days=7), date(2024, 3, 10)
    days = range(1, 12)
    accepted = [day for day in days if calendar.accepts(datetime(2024, 3, day, 12), settling)]
    assert accepted == list(range(3, 11))


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda at: at.replace(microsecond=0)))
def test_bcd_moments_go_there_and_back(at: datetime) -> None:
    raw = bcd_datetime(at)
    assert len(raw) == 7
    assert from_bcd_datetime(raw) == at


@given(st.binary(min_size=7, max_size=7))
def test_any_seven_bytes_are_a_moment_none_or_refused(raw: bytes) -> None:
    try:
        at = from_bcd_datetime(raw)
    except ValueError:
        return
    assert raw == (bytes(7) if at is None else bcd_datetime(at))


# Tables

TABLES = {name: table for name, table in vars(tables).items() if isinstance(table, Table)}
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "text": st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
    "date": st.dates(),
    "moment": st.datetimes().map(lambda at: at.replace(microsecond=0)),
    "flag": st.booleans(),
}


def cells_of(column: Column) -> st.SearchStrategy[Any]:
    """Whatever a column can hold; an empty text in a column that may be empty would read as null."""
    cells = CELLS[column.type]
    if column.null:
        cells = st.none() | cells.filter(lambda cell: cell != "")
    return cells


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@given(data=st.data())
def test_tables_go_there_and_back(table: Table, data: st.DataObject) -> None:
    row = st.fixed_dictionaries({column.name: cells_of(column) for column in table.columns})
    rows = data.draw(st.lists(row, max_size=4))
    written = io.StringIO()
    assert table.write(rows, written) == len(rows)
    assert list(table.read(io.StringIO(written.getvalue()))) == rows


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_is_declared_soundly(table: Table) -> None:
    assert len(set(table.names)) == len(table.names)
    assert table.key
    assert set(table.key) <= set(table.names)
    assert not [c.name for c in table.columns if "amount" in c.name and not c.name.endswith("_fen")]


LINES = "# lines v1\nline,operator,name_en,name_zh\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected '# lines v1'"),
        ("# lines v2\n", "expected '# lines v1' on line 1, found '# lines v2'"),
        ("# lines v1\nline,operator\n", "columns are line,operator"),
        (LINES + "1,a,b\n", "line 3: 3 cells, 4 wanted"),
        (LINES + "1,a,b,c\nx,a,b,c\n", "line 4, line: 'x' is no int"),
    ],
)
def test_another_file_is_refused(text: str, said: str) -> None:
    with pytest.raises(TableError, match=said):
        list(tables.LINES.read(io.StringIO(text)))


def test_an_empty_cell_must_be_allowed() -> None:
    with pytest.raises(TableError, match="operator may not be empty"):
        tables.LINES.write([{"line": 1, "operator": None, "name_en": "", "name_zh": ""}], io.StringIO())
