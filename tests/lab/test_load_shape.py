# SPDX-License-Identifier: Apache-2.0
"""The shape of a real day, from the published flows of Hangzhou's metro."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from citycard.core.problem import Problem
from citycard.lab.load_shape import SLOTS, from_flows, read_shape


def test_a_working_day_has_two_peaks_and_a_weekend_day_has_not(public_data: Path, tmp_path: Path) -> None:
    path = public_data / "hangzhou_metro_2019_flow" / "hangzhou_flow_10min_2019-01.parquet"
    work, rest = from_flows(path), from_flows(path, weekend=True)
    assert (work.days, rest.days) == (19, 6)
    assert 900_000 < sum(work.entries) < 1_400_000
    morning = max(work.entries[36:66])  # 06:00 to 11:00
    noon = max(work.entries[72:84])
    evening = max(work.entries[96:120])
    assert morning > 2 * noon < evening
    assert work.peak > 1.5 * rest.peak
    assert len(work.stations) == 80
    kept = tmp_path / "shape.json"
    kept.write_text(json.dumps(work.to_plain()))
    assert read_shape(kept) == work


def test_what_is_no_flow_and_no_shape_is_said(tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1]}), other)
    for path in (other, tmp_path / "none.parquet"):
        with pytest.raises(Problem) as told:
            from_flows(path)
        assert told.value.code == "FLOWS_INVALID"
    shape = tmp_path / "shape.json"
    good = {
        "format": "citycard load shape 1",
        "days": 1,
        "entries": [1] * SLOTS,
        "exits": [1] * SLOTS,
        "stations": {},
    }
    for change in (
        {"format": "2"},
        {"entries": [1]},
        {"exits": [-1] * SLOTS},
        {"stations": None},
        {"days": "x"},
    ):
        shape.write_text(json.dumps(good | change))
        with pytest.raises(Problem) as told:
            read_shape(shape)
        assert told.value.code == "SHAPE_INVALID"
