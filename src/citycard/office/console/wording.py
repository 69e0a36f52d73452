# SPDX-License-Identifier: Apache-2.0
"""Tariffs in words: a configuration becomes headed lists and tables a person can read.

The reader is not told names of fields but what they mean. A field this module has no words for is shown under
its own name with its value, so that nothing of a tariff is ever hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from citycard.core.money import yuan
from citycard.office.console.access import Text
from citycard.office.console.labels import CLASS_NAMES
from citycard.office.console.queries.names import Names

WORDS: Final[dict[str, Text]] = {
    "fares": gettext_lazy("Fares"),
    "fare": gettext_lazy("Fare"),
    "kind": gettext_lazy("How it is priced"),
    "tracks": gettext_lazy("Tracks"),
    "stops": gettext_lazy("Stops (km)"),
    "lines": gettext_lazy("Lines"),
    "line": gettext_lazy("Line"),
    "stages": gettext_lazy("Stages"),
    "from_station": gettext_lazy("From stop"),
    "steps": gettext_lazy("Steps"),
    "up_to_m": gettext_lazy("Up to"),
    "every_m": gettext_lazy("For each further"),
    "add_fen": gettext_lazy("Adds"),
    "fare_fen": gettext_lazy("Fare"),
    "beyond": gettext_lazy("Beyond the last step"),
    "largest_fen": gettext_lazy("Largest fare"),
    "minimum_fen": gettext_lazy("Least amount"),
    "maximum_fen": gettext_lazy("Largest amount"),
    "limits": gettext_lazy("Limits of one purchase"),
    "transfers": gettext_lazy("Transfer discounts"),
    "after": gettext_lazy("After"),
    "window_minutes": gettext_lazy("Within"),
    "off_fen": gettext_lazy("Off"),
    "off_bp": gettext_lazy("Off"),
    "other_line": gettext_lazy("Only from another line"),
    "concessions": gettext_lazy("Concessions"),
    "rules": gettext_lazy("Rules, the first that holds is used"),
    "classes": gettext_lazy("Card classes"),
    "pay_bp": gettext_lazy("Pays"),
    "slices": gettext_lazy("Slices of the fare"),
    "up_to_fen": gettext_lazy("Up to"),
    "blocks": gettext_lazy("Holds"),
    "weekdays": gettext_lazy("Days"),
    "from_time": gettext_lazy("From"),
    "until_time": gettext_lazy("Until"),
    "from_date": gettext_lazy("From"),
    "until_date": gettext_lazy("Until"),
    "others": gettext_lazy("Other classes"),
    "rounding": gettext_lazy("Rounding"),
    "step_fen": gettext_lazy("To a multiple of"),
    "mode": gettext_lazy("Rounded"),
    "entry_minimum_fen": gettext_lazy("Least balance to enter"),
    "passback_seconds": gettext_lazy("No second entry within"),
    "repeat_seconds": gettext_lazy("No second tap within"),
    "overtime": gettext_lazy("Over time"),
    "limit_minutes": gettext_lazy("Longer than"),
    "surcharge_fen": gettext_lazy("Surcharge"),
    "same_station": gettext_lazy("Leaving where one entered"),
    "grace_minutes": gettext_lazy("Grace period"),
    "grace_fee_fen": gettext_lazy("Fee within it"),
    "fee_fen": gettext_lazy("Fee after it"),
    "missing_entry": gettext_lazy("Exit without entry"),
    "missing_exit": gettext_lazy("Entry without exit before"),
    "action": gettext_lazy("What happens"),
    "amount_fen": gettext_lazy("Amount"),
    "merchants": gettext_lazy("Merchants with terms of their own"),
    "network": gettext_lazy("Network"),
    "stations": gettext_lazy("Stations"),
    "station": gettext_lazy("Station"),
    "at_m": gettext_lazy("At"),
    "interchanges": gettext_lazy("Interchanges"),
    "number": gettext_lazy("Number"),
    "loop_m": gettext_lazy("Length of the loop"),
}
VALUES: Final[dict[str, Text]] = {
    "flat": gettext_lazy("one price"),
    "stages": gettext_lazy("by stages"),
    "distance": gettext_lazy("by distance"),
    "table": gettext_lazy("by table"),
    "keyed": gettext_lazy("entered at the terminal"),
    "refuse": gettext_lazy("refused"),
    "ignore": gettext_lazy("let pass"),
    "largest": gettext_lazy("the largest fare"),
    "amount": gettext_lazy("a fixed amount"),
    "full": gettext_lazy("pay in full"),
    "half_up": gettext_lazy("half up"),
    "half_even": gettext_lazy("half to even"),
    "up": gettext_lazy("up"),
    "down": gettext_lazy("down"),
    "bus": gettext_lazy("bus"),
    "metro": gettext_lazy("metro"),
    "retail": gettext_lazy("shops"),
    "mon": gettext_lazy("Mon"),
    "tue": gettext_lazy("Tue"),
    "wed": gettext_lazy("Wed"),
    "thu": gettext_lazy("Thu"),
    "fri": gettext_lazy("Fri"),
    "sat": gettext_lazy("Sat"),
    "sun": gettext_lazy("Sun"),
    **CLASS_NAMES,
}
PLAIN: Final = ("kind",)  # values that need no name before them
WIDE: Final = 60  # rows of a table shown; a network of a whole city has more than a page of stations


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a tariff: plain facts, then tables, then parts of its own."""

    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    tables: list[Grid] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: its title, heads and rows, and how many rows were left out."""

    title: str
    heads: list[str]
    rows: list[list[str]]
    left_out: int = 0


def blocks(config: Mapping[str, Any], names: Names) -> list[Block]:
    """A tariff's configuration in parts; the first, without a title, holds what stands at the top."""
    top: list[tuple[str, str]] = []
    parts: list[Block] = []
    for key, value in config.items():
        if _empty(value):
            continue
        if isinstance(value, Mapping):
            parts.append(_part(key, value, names))
        elif _is_rows(value):
            parts.append(Block(_word(key), tables=[_grid("", value, names)]))
        else:
            top.append((_word(key), words(key, value, names)))
    return [Block("", top), *parts] if top else parts


def words(key: str, value: Any, names: Names) -> str:
    """A value as a person says it, by the unit its name ends in."""
    if isinstance(value, Mapping):
        return _named(value, names)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return _listed(key, value, names)
    if isinstance(value, int):
        return _measured(key, value, names)
    return str(VALUES.get(value, value)) if isinstance(value, str) else str(value)


def _named(value: Mapping[str, Any], names: Names) -> str:
    """Several facts in one line; a station is told by its name."""
    if set(value) == {"line", "station"}:
        return names.place(value["line"], value["station"])
    colon = _(": ")
    said = [
        words(k, v, names) if k in PLAIN else f"{_word(k)}{colon}{words(k, v, names)}"
        for k, v in value.items()
        if not _empty(v)
    ]
    return _("; ").join(said)


def _track(row: Mapping[str, Any], names: Names) -> str:
    """The stops of a line with their distance from its start."""
    line = row.get("line", 0)
    stops = (f"{names.stop(line, one['station'])} ({one['at_m'] / 1000:g})" for one in row["stops"])
    return " – ".join(stops)


def _part(key: str, value: Mapping[str, Any], names: Names) -> Block:
    facts, tables = [], []
    for name, inner in value.items():
        if _empty(inner):
            continue
        if _is_rows(inner):
            tables.append(_grid(_word(name), inner, names))
        else:
            facts.append((_word(name), words(name, inner, names)))
    return Block(_word(key), facts, tables)


def _grid(title: str, rows: list[Mapping[str, Any]], names: Names) -> Grid:
    keys = [
        key
        for key in dict.fromkeys(k for row in rows for k in row)
        if any(not _empty(r.get(key)) for r in rows)
    ]
    body = [
        [_track(row, names) if key == "stops" else _cell(key, row.get(key), names) for key in keys]
        for row in rows[:WIDE]
    ]
    return Grid(title, [_word(key) for key in keys], body, max(0, len(rows) - WIDE))


def _cell(key: str, value: Any, names: Names) -> str:
    if _empty(value):
        return _("all others") if key in ("lines", "line") else ""
    return words(key, value, names)


def _measured(key: str, value: int, names: Names) -> str:
    if key.endswith("_fen"):
        return _("%(yuan)s yuan") % {"yuan": yuan(value)}
    if key.endswith("_bp"):
        return _("free") if value == 0 and key == "pay_bp" else f"{value / 100:g}\u00a0%"
    if key.endswith("_m"):
        return _("%(n)s km") % {"n": f"{value / 1000:g}"}
    if key.endswith("_minutes"):
        return _("%(n)s min") % {"n": value}
    if key.endswith("_seconds"):
        return _("%(n)s s") % {"n": value}
    return names.lines.get(value, str(value)) if key in ("line", "lines") else str(value)


def _listed(key: str, value: list[Any], names: Names) -> str:
    if key == "weekdays" and len(value) == 7:
        return _("every day")
    joined = _("; ") if any(isinstance(item, (Mapping, list)) for item in value) else _(", ")
    return joined.join(words(key, item, names) for item in value)


def _word(key: str) -> str:
    return str(WORDS.get(key, key.replace("_", " ")))


def _empty(value: Any) -> bool:
    return value is None or value == [] or value == {} or value == ""


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)
