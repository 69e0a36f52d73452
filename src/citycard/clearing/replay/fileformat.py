# SPDX-License-Identifier: Apache-2.0
"""How a city's file of card records is declared: its columns, its values, its quirks, its tariff.

A format is one `FileFormat` value; adding a city is one small module like `szt`. Nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from citycard.services.contract import Event

ROLES: Final = (
    "tapped_at", "card", "event", "company", "vehicle", "station", "transfer", "list_fen",
    "charged_fen", "terminal",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stations:
    """How station names become comparable, applied in this order to names of metro stations."""

    missing: tuple[str, ...] = ("",)  # the cell was left empty
    placeholders: tuple[str, ...] = ()  # a sign that stands for no station
    repairs: Mapping[str, str] = field(default_factory=dict)  # garbled name -> the name it must be
    garbled_pattern: str = "[?\ufffd]"  # regular expression: names that are garbled and not repaired
    strip_suffix: str = ""  # taken off the end where some companies write it and others do not


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A city's file of card records.

    `columns` names the file's column of each role in `ROLES`; columns not named only count in telling exact
    duplicates. `events` gives the service name and the event of each value. `classes` are tried in this
    order when the card class has to be inferred from the price.
    """

    name: str
    source: str
    scheme: str  # the blueprint with companies (as lines, by Chinese name), tariffs and contracts
    columns: Mapping[str, str]
    events: Mapping[str, tuple[str, Event]]
    transfer_marks: Mapping[str, bool]
    classes: tuple[str, ...]
    time_format: str = "%Y-%m-%d %H:%M:%S"
    card_pattern: str = ".+"
    encoding: str = "utf-8"
    encoding_hint: str = "gb18030"  # tried only to tell what a file in the wrong encoding seems to be
    amount_max_fen: int = 100_000
    journey_max: timedelta = timedelta(hours=4)  # an exit later than this does not belong to the entry
    stations: Stations = Stations()

    def __post_init__(self) -> None:
        lacking = set(ROLES) ^ set(self.columns)
        assert not lacking, f"format {self.name}: columns and roles differ in {sorted(lacking)}"
