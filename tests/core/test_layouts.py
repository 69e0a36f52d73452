# SPDX-License-Identifier: Apache-2.0
"""Every declared layout against its own examples, both ways, and against values nobody thought of."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citycard import core
from citycard.core import record, tunion
from citycard.core.layout import Field, Layout, LayoutError


def declared() -> dict[str, Layout]:
    """All layouts at the top of any module of core, by module and name."""
    found = {}
    for module in pkgutil.iter_modules(core.__path__, "citycard.core."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Layout):
                found[f"{module.name.rpartition('.')[2]}.{name}"] = value
    return found


LAYOUTS = declared()
EXAMPLES = [
    pytest.param(layout, raw, values, id=f"{name}-{number}")
    for name, layout in LAYOUTS.items()
    for number, (raw, values) in enumerate(layout.examples)
]
every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def values_of(field: Field) -> st.SearchStrategy[Any]:
    """Whatever a field can hold."""
    days = st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31))
    moments = st.none() | st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(
        lambda at: at.replace(microsecond=0)
    )
    return {
        "uint": st.integers(0, 256**field.size - 1),
        "raw": st.binary(min_size=field.size, max_size=field.size),
        "bcd": st.text("0123456789", min_size=2 * field.size, max_size=2 * field.size),
        "date": days,
        "moment": moments,
    }[field.kind]


def test_the_layouts_of_card_and_record_are_found() -> None:
    assert {"tunion.PUBLIC", "tunion.METRO", "record.RECORD", "record.HEADER"} <= set(LAYOUTS)
    assert len(EXAMPLES) >= 4


def test_sizes_are_those_of_the_standards() -> None:
    """Card facts 1.6, 3.4 and 4.2; the record and the header are our own."""
    card = (tunion.PUBLIC, tunion.HOLDER, tunion.CARD_KIND, tunion.LOG, tunion.TRANSIT, tunion.METRO)
    assert [layout.size for layout in card] == [30, 55, 11, 23, 48, 128]
    assert (record.RECORD.size, record.HEADER.size) == (128, 112)


@pytest.mark.parametrize(("layout", "raw", "values"), EXAMPLES)
def test_examples_hold_both_ways(layout: Layout, raw: str, values: dict[str, Any]) -> None:
    assert layout.decode(bytes.fromhex(raw)) == values
    assert layout.encode(**values).hex().upper() == raw.upper()


@every_layout
@given(data=st.data())
def test_what_is_encoded_is_decoded(layout: Layout, data: st.DataObject) -> None:
    values = data.draw(st.fixed_dictionaries({field.name: values_of(field) for field in layout.fields}))
    raw = layout.encode(**values)
    assert len(raw) == layout.size
    assert layout.decode(raw) == values
    for field in layout.fields:
        part = raw[layout.span(field.name)]
        assert len(part) == field.size
        if field.kind == "raw":
            assert part == values[field.name]


@every_layout
@given(data=st.data())
def test_any_bytes_decode_or_are_refused(layout: Layout, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=layout.size, max_size=layout.size))
    try:
        values = layout.decode(raw)
    except LayoutError:
        return
    assert layout.encode(**values) == raw


@every_layout
def test_defaults_fill_what_is_not_given(layout: Layout) -> None:
    empty = layout.decode(layout.encode())
    assert {name: empty[name] for name in layout.offsets} == {f.name: f.empty() for f in layout.fields}


@every_layout
@pytest.mark.parametrize("off", [-1, 1])
def test_another_length_is_refused(layout: Layout, off: int) -> None:
    with pytest.raises(LayoutError, match=f"{layout.size} wanted"):
        layout.decode(bytes(layout.size + off))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"counter": 0x10000}, "counter does not fit 2 bytes"),
        ({"overdraft_fen": 1 << 24}, "overdraft_fen does not fit 3 bytes"),
        ({"amount_fen": -1}, "amount_fen does not fit 4 bytes"),
        ({"terminal": b"short"}, "terminal: 5 bytes given, 6 wanted"),
        ({"at": "yesterday"}, "at"),
        ({"colour": 1}, "no field 'colour'"),
    ],
)
def test_a_misfit_is_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(LayoutError, match=said):
        tunion.LOG.encode(**values)


def test_a_bad_declaration_is_refused() -> None:
    with pytest.raises(LayoutError, match="share a name"):
        Layout("bad", "nowhere", (Field("a", 1), Field("a", 2)))
    with pytest.raises(LayoutError, match="unknown kind"):
        Field("a", 1, "colour")
    with pytest.raises(LayoutError, match="not 5 bytes"):
        Field("a", 5, "date")
