# SPDX-License-Identifier: Apache-2.0
"""Makes a network file from a plain list of line stations, the form in which operators have one already.

CSV with a header: `line, seq, station, dist_from_prev_m, loop, loop_last_segment_m`, one row for each stop
of each line in order. A loop closes over the distance its first row gives, else over the last column.
An optional second CSV of transfer walks: `station, from_line, to_line, minutes`, or
with `to_station` where the walk leads through the street. Lines and stops are numbered in the order given.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from citycard.clearing.apportion.network import FORMAT, Network
from citycard.core.problem import declare

NEEDED: Final = ("line", "station", "dist_from_prev_m")
ROWS_MAX: Final = 20_000

LINE_LIST_INVALID = declare(
    "LINE_LIST_INVALID",
    "{path}, row {row}: {why}. Correct it and import again.",
    "{path} 第 {row} 行：{why}。请修正后重新导入。",
)

WALK_UNKNOWN = declare(
    "WALK_UNKNOWN",
    "A transfer walk names station {station!r} of line {line!r}, which {path} does not have. "
    "Correct the walk, or leave it out.",
    "换乘步行数据提到线路“{line}”的车站“{station}”，而 {path} 中没有该站，请更正或删除该条。",
)


@dataclass(frozen=True, slots=True)
class Walk:
    """A transfer by names of stations and lines."""

    station: str
    to_station: str
    from_line: str
    to_line: str
    minutes: float


def import_lines(
    path: Path, name: str, valid_from: date, operator_of: Mapping[str, str], walks: Iterable[Walk] = ()
) -> Network:
    """The network of a list of line stations; `operator_of` gives the participant of a line by its name.

    The key "" in `operator_of` is for all other lines. LINE_LIST_INVALID, WALK_UNKNOWN, TARIFF_INVALID.
    """
    lines: dict[str, list[dict[str, str]]] = {}
    for number, row in enumerate(_rows(path), start=2):
        _check(path, number, row)
        lines.setdefault(row["line"], []).append(row)
    numbers = {line: at for at, line in enumerate(lines, start=1)}
    stops = {
        (line, row["station"]): (numbers[line], at)
        for line, rows in lines.items()
        for at, row in enumerate(rows, start=1)
    }
    participants = {line: operator_of.get(line, operator_of.get("", "")) for line in lines}
    plain: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "version": 1,
        "valid_from": valid_from.isoformat(),
        "operators": {who: {"participant": who} for who in sorted(set(participants.values()))},
        "stations": [
            {"id": station, "name_zh": station} for station in dict.fromkeys(station for _, station in stops)
        ],
        "lines": [_line(line, rows, numbers[line], participants[line]) for line, rows in lines.items()],
        "transfers": [_transfer(path, walk, stops) for walk in walks],
    }
    return Network.from_plain(plain, what=f"The network of {path.name}")


def _transfer(path: Path, walk: Walk, stops: Mapping[tuple[str, str], tuple[int, int]]) -> dict[str, Any]:
    ends = []
    for line, station in ((walk.from_line, walk.station), (walk.to_line, walk.to_station)):
        if (line, station) not in stops:
            raise WALK_UNKNOWN(path=path, line=line, station=station)
        ends.append(stops[line, station])
    return {"from": ends[0], "to": ends[1], "minutes": walk.minutes}


def read_walks(path: Path) -> list[Walk]:
    """Transfer walks of a CSV. LINE_LIST_INVALID."""
    walks = []
    for number, row in enumerate(_rows(path), start=2):
        try:
            station = row["station"]
            walks.append(
                Walk(
                    station,
                    row.get("to_station") or station,
                    row["from_line"],
                    row["to_line"],
                    float(row["minutes"]),
                )
            )
        except (KeyError, ValueError) as fault:
            raise LINE_LIST_INVALID(path=path, row=number, why=f"no transfer walk: {fault}") from None
    return walks


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as fault:
        raise LINE_LIST_INVALID(path=path, row=0, why=fault.strerror) from None
    except UnicodeDecodeError:
        raise LINE_LIST_INVALID(path=path, row=0, why="it is not in UTF-8") from None
    if len(rows) > ROWS_MAX:
        raise LINE_LIST_INVALID(path=path, row=ROWS_MAX, why=f"more than {ROWS_MAX} rows")
    return rows


def _check(path: Path, number: int, row: Mapping[str, str]) -> None:
    for column in NEEDED:
        if row.get(column) is None:
            raise LINE_LIST_INVALID(path=path, row=number, why=f"column {column} is missing")
    for column in ("dist_from_prev_m", "loop_last_segment_m"):
        try:
            float(row.get(column) or 0)
        except ValueError:
            raise LINE_LIST_INVALID(
                path=path, row=number, why=f"{column} is {row[column]!r}, no number"
            ) from None


def _line(name: str, rows: list[dict[str, str]], number: int, operator: str) -> dict[str, Any]:
    closes = rows[0].get("loop", "").lower() == "true"
    last = rows[0]["dist_from_prev_m"] or rows[-1].get("loop_last_segment_m", "")
    stops = [{"number": at, "station": row["station"]} for at, row in enumerate(rows, start=1)]
    for stop, row in zip(stops[1:], rows[1:], strict=True):
        stop["from_previous_m"] = round(float(row["dist_from_prev_m"] or 0))
    line: dict[str, Any] = {"number": number, "name_zh": name, "operator": operator, "stops": stops}
    return line | ({"loop_m": round(float(last))} if closes and last else {})
