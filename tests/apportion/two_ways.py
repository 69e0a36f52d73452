# SPDX-License-Identifier: Apache-2.0
"""A small network whose shares depend on the time of day, and journeys on it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from citycard.clearing.apportion import Network, build
from citycard.core.record import TapRecord
from tests.clearing.world import BUS, EAST, METRO_TERMINAL, World

SATURDAY, HOLIDAY, WORKED = date(2026, 3, 7), date(2026, 3, 3), date(2026, 3, 8)

# From a to d: line 1 straight, or by e with a change to line 3, whose trains are many in the peak and rare at night.
TWO_WAYS: dict[str, Any] = {
    "format": "citycard network 1", "name": "two-ways", "version": 1, "valid_from": "2026-01-01",
    "operators": {"red": {"participant": BUS}, "blue": {"participant": EAST}},
    "stations": [{"id": name} for name in "abde"] + [{"id": "z", "closed": True}],
    "lines": [
        {"number": 1, "operator": "red", "headway_min": 4, "stops": [
            {"number": 1, "station": "a"}, {"number": 2, "station": "b", "from_previous_m": 4000},
            {"number": 3, "station": "d", "from_previous_m": 2000}]},
        {"number": 2, "operator": "blue", "headway_min": 4, "speed_kmh": 60, "stops": [
            {"number": 1, "station": "a"}, {"number": 2, "station": "e", "from_previous_m": 3000}]},
        {"number": 3, "operator": "blue", "headway_min": 4, "speed_kmh": 60, "stops": [
            {"number": 1, "station": "e"}, {"number": 2, "station": "d", "from_previous_m": 3000},
            {"number": 3, "station": "z", "from_previous_m": 1000}]},
    ],
    "periods": [
        {"name": "peak", "start": "07:00", "end": "09:00", "days": "work", "headway_min": {"3": 2}},
        {"name": "leisure", "start": "08:00", "end": "20:00", "days": "rest", "headway_min": {"1": 10}},
        {"name": "night", "start": "22:30:30", "end": "00:00", "headway_min": {"3": 30}},
    ],
    "days": {"holidays": [str(HOLIDAY)], "worked": [str(WORKED)]},
}  # fmt: skip
A, B, D, D3, Z = (1, 1), (1, 2), (1, 3), (3, 2), (3, 3)
PERIODS = ("", "peak", "leisure", "night")


def network(**changes: Any) -> Network:
    return Network.from_plain(TWO_WAYS | changes, what="the network")


MATRIX = build(network())


def ride(
    world: World, name: str, start: tuple[int, int], goal: tuple[int, int], at: datetime, **more: Any
) -> TapRecord:
    """A journey begun at a moment and ended half an hour later."""
    times = {"entry_at": at, "tapped_at": at + timedelta(minutes=30)} | more
    return world.tap(
        name, times.pop("fen", 407), METRO_TERMINAL, entry_line=start[0], entry_station=start[1],
        line=goal[0], station=goal[1], **times,
    )  # fmt: skip
