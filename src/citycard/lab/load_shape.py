# SPDX-License-Identifier: Apache-2.0
"""The shape of a real day: how many enter and leave in each ten minutes, and where, from published flows.

A Parquet file of flows has one row for each station, date and ten minutes with `inNums` and `outNums`. The
shape is the mean over the chosen kind of day, as whole numbers that keep the totals, so that a generated day
has the peaks of a real one. Kept as JSON, `format = "citycard load shape 1"`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from citycard.core.problem import declare

FORMAT: Final = "citycard load shape 1"
SLOTS: Final = 144  # of ten minutes
COLUMNS: Final = ("stationID", "hour", "per_ten_minute", "inNums", "outNums", "date")
SATURDAY: Final = 5

FLOWS_INVALID = declare(
    "FLOWS_INVALID",
    "{path} holds no passenger flows: {why}. Give a Parquet file with the columns "
    + ", ".join(COLUMNS)
    + ".",
    "{path} 不是客流数据：{why}。请提供含有 " + "、".join(COLUMNS) + " 各列的 Parquet 文件。",
)
SHAPE_INVALID = declare(
    "SHAPE_INVALID",
    "{path} is no load shape: {why}. Make one with `citycard lab load-shape`.",
    "{path} 不是负荷曲线：{why}。请用 `citycard lab load-shape` 生成。",
)


@dataclass(frozen=True, slots=True)
class LoadShape:
    """Mean entries and exits of a day by ten minutes, and entries by station."""

    days: int
    entries: tuple[int, ...]
    exits: tuple[int, ...]
    stations: dict[str, int]

    def __post_init__(self) -> None:
        assert len(self.entries) == len(self.exits) == SLOTS
        assert min(*self.entries, *self.exits) >= 0 < sum(self.entries)

    @property
    def peak(self) -> float:
        """Entries of the busiest ten minutes beside the mean of the day."""
        return max(self.entries) * SLOTS / sum(self.entries)

    def to_plain(self) -> dict[str, Any]:
        """As kept in a file."""
        return {
            "format": FORMAT,
            "days": self.days,
            "entries": list(self.entries),
            "exits": list(self.exits),
            "stations": self.stations,
        }


def from_flows(path: Path, *, weekend: bool = False) -> LoadShape:
    """The mean working day (or weekend day) of a file of flows. FLOWS_INVALID."""
    try:
        table = pq.read_table(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowInvalid, KeyError) as fault:
        raise FLOWS_INVALID(path=path, why=str(fault).splitlines()[0]) from None
    if table.schema.names != list(COLUMNS):
        raise FLOWS_INVALID(path=path, why=f"its columns are {', '.join(table.schema.names)}")
    entries, exits, stations = Counter[int](), Counter[int](), Counter[str]()
    dates = set()
    for row in table.to_pylist():
        day = date.fromisoformat(str(row["date"])[:10])
        if (day.weekday() >= SATURDAY) is weekend:
            dates.add(day)
            slot = int(row["hour"]) * 6 + int(row["per_ten_minute"])
            entries[slot] += int(row["inNums"])
            exits[slot] += int(row["outNums"])
            stations[str(row["stationID"])] += int(row["inNums"])
    if not dates or not sum(entries.values()) or max(entries) >= SLOTS:
        raise FLOWS_INVALID(path=path, why="nobody enters on such a day in it")
    count = len(dates)
    mean = [[round(of[slot] / count) for slot in range(SLOTS)] for of in (entries, exits)]
    return LoadShape(
        count,
        tuple(mean[0]),
        tuple(mean[1]),
        {name: round(total / count) for name, total in sorted(stations.items()) if round(total / count)},
    )


def read_shape(path: Path) -> LoadShape:
    """A shape from its file. SHAPE_INVALID."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain["format"] != FORMAT:
            raise SHAPE_INVALID(path=path, why=f"its format is {plain['format']!r}")
        return LoadShape(
            int(plain["days"]),
            tuple(map(int, plain["entries"])),
            tuple(map(int, plain["exits"])),
            {str(name): int(count) for name, count in plain["stations"].items()},
        )
    except OSError as fault:
        raise SHAPE_INVALID(path=path, why=fault.strerror) from None
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as fault:
        raise SHAPE_INVALID(path=path, why=f"{type(fault).__name__} {fault}".strip()) from None
