# SPDX-License-Identifier: Apache-2.0
"""The terminals that stand in the lab: places of the built-in city, with its tariffs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Final

from citycard.blueprints import Scheme, load_scheme
from citycard.core.trace import Words
from citycard.services import REGISTRY, service_named
from citycard.services.contract import Event, Service

SCHEME: Final = "city"
RIDE_STOPS: Final = 4  # stations from the entry gate to the exit gate
TOP_UP, BUS, ENTRY, EXIT, RETAIL = "top-up", "bus", "metro-entry", "metro-exit", "retail"


@dataclass(frozen=True, slots=True)
class Post:
    """A terminal: `service` is None where cards are loaded."""

    key: str
    title: Words
    place: Words
    number: bytes
    acquirer: bytes
    line: int
    station: int
    service: Service | None = None
    event: Event = Event.PAY

    @property
    def keyed(self) -> bool:
        """Whether a person keys the amount in."""
        return self.service is None or self.event is Event.PAY


@cache
def scheme() -> Scheme:
    """The city the lab stands in."""
    return load_scheme(SCHEME)


def tariff(service: Service, on: date) -> Any:
    """The tariff of the city in force on a day."""
    found = scheme().tariff(service.code, on)
    assert found is not None, "the built-in city has tariffs from 2020 on"
    return found.config


@cache
def posts() -> dict[str, Post]:
    """All terminals, in the order a day would meet them."""
    made: dict[str, Post] = {}
    for key, name, event, title in (
        (BUS, "bus", Event.BOARD, Words("Bus", "公交车载机")),
        (ENTRY, "metro", Event.ENTER, Words("Metro gate, entry", "地铁进站闸机")),
        (EXIT, "metro", Event.EXIT, Words("Metro gate, exit", "地铁出站闸机")),
        (RETAIL, "retail", Event.PAY, Words("Shop", "商户 POS")),
    ):
        made[key] = _post(key, name, event, title)
    shop = made[RETAIL]
    top_up = Post(
        TOP_UP, Words("Top-up", "充值机"), shop.place, shop.number, shop.acquirer, shop.line, shop.station
    )
    return {TOP_UP: top_up, **made}


def _post(key: str, name: str, event: Event, title: Words) -> Post:
    service = service_named(name)
    plans = [plan for plan in scheme().terminal_plans if plan.service == service.code]
    first = plans[0]
    if event is Event.EXIT:
        stations = list(dict.fromkeys(plan.station for plan in plans if plan.line == first.line))
        there = stations[min(RIDE_STOPS, len(stations) - 1)]
        first = next(plan for plan in plans if (plan.line, plan.station) == (first.line, there))
    return Post(
        key, title, _place(first.line, first.station), bytes.fromhex(first.id), bytes.fromhex(first.acquirer),
        first.line, first.station, REGISTRY[service.code], event,
    )  # fmt: skip


def place_of(line: int, station: int) -> Words:
    """A line and station of the city by name; their numbers where it has none."""
    return _place(line, station)


def _place(line: int, station: int) -> Words:
    for one in scheme().lines:
        if one.number != line:
            continue
        stop = next((stop for stop in one.stations if stop.number == station), None)
        if stop is None:
            return Words(one.name_en, one.name_zh)
        return Words(f"{one.name_en}, {stop.name_en}", f"{one.name_zh} {stop.name_zh}")
    return Words(f"line {line}, station {station}", f"线路 {line} 站点 {station}")
