# SPDX-License-Identifier: Apache-2.0
"""Imports an origin-destination fare matrix: one row for each pair of stations, a column for each class.

The form of a file is declared: which columns name the stations, which hold the fares of which card class.
Classes with a column keep their own fares, since they seldom follow from a rule; the first column is the
list fare.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from citycard.clearing.feeds.tables import FEED_ROW, minor, rows
from citycard.services.concession import ClassName
from citycard.services.metro.config import ClassTable, TableFares
from citycard.services.metro.network import StationRef
from citycard.services.model import Config, LineNumber

SHOWN: Final = 20  # pairs named in a report


class MatrixForm(Config):
    """Which column means what; station ids become station numbers of one line."""

    from_id: str
    to_id: str
    line: LineNumber = 1
    fares: Annotated[dict[str, ClassName], Field(min_length=1)]  # column -> class; the first is the list fare


HONG_KONG: Final = MatrixForm(
    from_id="SRC_STATION_ID",
    to_id="DEST_STATION_ID",
    fares={
        "OCT_ADT_FARE": "ordinary",
        "OCT_STD_FARE": "student",
        "OCT_JOYYOU_SIXTY_FARE": "senior",
        "SINGLE_ADT_FARE": "single",
        "OCT_CON_CHILD_FARE": "child",
        "OCT_CON_ELDERLY_FARE": "elderly",
        "OCT_CON_PWD_FARE": "disabled",
        "SINGLE_CON_CHILD_FARE": "single_child",
        "SINGLE_CON_ELDERLY_FARE": "single_elderly",
    },
)
FORMS: Final = {"hk-mtr": HONG_KONG}


@dataclass(frozen=True, slots=True)
class MatrixReport:
    """What a matrix holds and what is odd about it."""

    rows: int
    stations: int
    classes: tuple[str, ...]
    missing_pairs: int  # of stations x stations
    asymmetric: tuple[str, ...] = ()  # pairs with another list fare the other way, the first few
    free_pairs: tuple[str, ...] = ()  # between two stations, at no charge: linked stations
    dearer_than_list: dict[str, int] = field(default_factory=dict)  # class -> pairs above the list fare


def import_matrix(path: Path, form: MatrixForm) -> tuple[TableFares, MatrixReport]:
    """The tariff's fare table and a report. Problems: FEED_FILE, FEED_ROW (repeated pair, no amount)."""
    found: dict[tuple[int, int], tuple[int, ...]] = {}
    for number, row in rows(path, (form.from_id, form.to_id, *form.fares)):
        try:
            pair = int(row[form.from_id]), int(row[form.to_id])
        except ValueError:
            raise FEED_ROW(path=path, row=number, why="a station id is no whole number") from None
        fares = tuple(minor(row[column], path, number) for column in form.fares)
        if found.setdefault(pair, fares) != fares:
            raise FEED_ROW(path=path, row=number, why=f"the pair {pair} stands twice with other fares")
    stations = sorted({station for pair in found for station in pair})
    first, *others = [
        tuple(
            tuple(found[a, b][column] if (a, b) in found else None for b in stations) for a in stations
        )
        for column in range(len(form.fares))
    ]  # fmt: skip
    names = tuple(form.fares.values())
    table = TableFares(
        stations=tuple(StationRef(line=form.line, station=station) for station in stations),
        fares_fen=first,
        by_class=tuple(
            ClassTable(classes=(name,), fares_fen=rows_)
            for name, rows_ in zip(names[1:], others, strict=True)
        ),
    )
    return table, _report(found, stations, names)


def _report(
    found: dict[tuple[int, int], tuple[int, ...]], stations: list[int], names: tuple[str, ...]
) -> MatrixReport:
    uneven = [p for p, fares in found.items() if p[0] < p[1] and found.get(p[::-1], fares)[0] != fares[0]]
    free = [p for p, fares in found.items() if p[0] < p[1] and fares[0] == 0]
    dearer = {
        name: sum(fares[column] > fares[0] for fares in found.values()) for column, name in enumerate(names)
    }
    return MatrixReport(
        rows=len(found),
        stations=len(stations),
        classes=names,
        missing_pairs=len(stations) ** 2 - len(found),
        asymmetric=tuple(f"{a}-{b}" for a, b in sorted(uneven)[:SHOWN]),
        free_pairs=tuple(f"{a}-{b}" for a, b in sorted(free)[:SHOWN]),
        dearer_than_list={name: count for name, count in dearer.items() if count},
    )
