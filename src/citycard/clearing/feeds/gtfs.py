# SPDX-License-Identifier: Apache-2.0
"""Reads a GTFS Fares v2 feed and prices journeys with it, leg by leg and across transfers.

Clauses: GTFS Schedule Reference, files fare_products, fare_media, fare_leg_rules, fare_transfer_rules, areas,
stop_areas, timeframes, networks. An empty network or area of a leg rule means those that no other rule of
that column names. A journey costs the least that its legs' products and transfer rules allow on one medium.
Columns beyond the standard are read where they narrow a rule (`filter_fare_product_id`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

from citycard.clearing.feeds.tables import FEED_FILE, minor, rows

UNLIMITED: Final = -1
LEGS_MAX: Final = 12  # of one journey
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class Leg:
    """One ride: its network, where and when it began and ended."""

    network: str
    from_stop: str
    to_stop: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class LegRule:
    """A row of fare_leg_rules: which legs a product covers."""

    group: str
    network: str
    from_area: str
    to_area: str
    product: str
    from_timeframe: str
    to_timeframe: str
    transfer_only: bool  # an extension: never the first leg, and never at its full price
    row: int


@dataclass(frozen=True, slots=True)
class TransferRule:
    """A row of fare_transfer_rules; `product` is what the transfer costs, empty: nothing."""

    from_group: str
    to_group: str
    count: int | None  # between legs of one group
    seconds: int | None
    limit_type: int
    type: int  # 0: A + AB, 1: A + AB + B, 2: AB
    product: str
    only_after: str  # filter_fare_product_id: the product of the leg before
    row: int


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of a journey in minor units and what was bought, one entry for each leg."""

    amount: int
    bought: tuple[str, ...]


@dataclass(frozen=True)
class Feed:
    """A feed, read and joined."""

    media: dict[str, str]  # id -> name
    products: dict[str, dict[str, int]]  # product -> medium ("" any) -> amount in minor units
    leg_rules: tuple[LegRule, ...]
    transfer_rules: tuple[TransferRule, ...]
    areas_of: dict[str, frozenset[str]]  # stop -> areas, its station's included
    networks: dict[str, str]  # route -> network
    route_types: dict[str, frozenset[int]]  # network -> route_type of its routes
    timeframes: dict[str, tuple[tuple[time, time, str], ...]]  # group -> (from, until, service)
    services: dict[str, tuple[date, date, frozenset[int]]]
    unknown_columns: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def _named(self) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        rules = self.leg_rules
        return (
            frozenset(r.network for r in rules if r.network),
            frozenset(r.from_area for r in rules if r.from_area),
            frozenset(r.to_area for r in rules if r.to_area),
        )

    def price_of(self, product: str, medium: str) -> int | None:
        """What a product costs on a medium; none: it is not sold on it."""
        amounts = self.products.get(product, {})
        return amounts.get(medium, amounts.get(""))

    def rules_for(self, leg: Leg) -> list[LegRule]:
        """The leg rules that cover a leg."""
        networks, origins, goals = self._named
        from_areas = self.areas_of.get(leg.from_stop, frozenset())
        to_areas = self.areas_of.get(leg.to_stop, frozenset())
        return [
            rule
            for rule in self.leg_rules
            if (rule.network == leg.network if rule.network else leg.network not in networks)
            and (rule.from_area in from_areas if rule.from_area else not from_areas & origins)
            and (rule.to_area in to_areas if rule.to_area else not to_areas & goals)
            and self._in_time(rule.from_timeframe, leg.start)
            and self._in_time(rule.to_timeframe, leg.end)
        ]

    def always(self, group: str) -> bool:
        """Whether a timeframe (empty: none) holds all day on every day that its service runs."""
        if not group:
            return True
        return any(
            start == time.min
            and end == time.max
            and (service not in self.services or len(self.services[service][2]) == len(WEEKDAYS))
            for start, end, service in self.timeframes.get(group, ())
        )

    def _in_time(self, group: str, at: datetime) -> bool:
        if not group:
            return True
        for start, end, service in self.timeframes.get(group, ()):
            if start <= at.time() < end or (end == time.max and at.time() >= start):
                found = self.services.get(service)
                if found is None or (found[0] <= at.date() <= found[1] and at.weekday() in found[2]):
                    return True
        return False

    def quote(self, legs: Sequence[Leg], medium: str) -> Quote | None:
        """The least a journey costs on a medium; none where a leg is not sold on it."""
        if not 0 < len(legs) <= LEGS_MAX:
            raise ValueError(f"a journey has 1 to {LEGS_MAX} legs, not {len(legs)}")
        options = [
            [
                (rule, price)
                for rule in self.rules_for(leg)
                if (price := self.price_of(rule.product, medium)) is not None
            ]
            for leg in legs
        ]
        if not all(options):
            return None
        return self._least(legs, options, medium)

    def _least(
        self, legs: Sequence[Leg], options: list[list[tuple[LegRule, int]]], medium: str
    ) -> Quote | None:
        """Dynamic programming over the legs: the cheapest journey that ends with each rule and chain."""
        states: dict[tuple[LegRule, int, int], Quote] = {}  # rule, first leg of the chain, transfers in it
        for rule, price in options[0]:
            if not rule.transfer_only:
                states[rule, 0, 0] = Quote(price, (rule.product,))
        for at in range(1, len(legs)):
            after: dict[tuple[LegRule, int, int], Quote] = {}
            for (before, first, count), quote in states.items():
                for rule, price in options[at]:
                    alone = Quote(quote.amount + price, (*quote.bought, rule.product))
                    if not rule.transfer_only:
                        _keep(after, (rule, at, 0), alone)
                    for transfer in self._transfers(before, rule, count):
                        joined = self._joined(transfer, (legs, first, at), (quote, before, price), medium)
                        if joined is not None:
                            _keep(after, (rule, first, count + 1), joined)
            states = after
        return min(states.values(), key=lambda quote: quote.amount, default=None)

    def _transfers(self, before: LegRule, rule: LegRule, count: int) -> list[TransferRule]:
        named_from = {t.from_group for t in self.transfer_rules if t.from_group}
        named_to = {t.to_group for t in self.transfer_rules if t.to_group}
        return [
            t
            for t in self.transfer_rules
            if (t.from_group == before.group if t.from_group else before.group not in named_from)
            and (t.to_group == rule.group if t.to_group else rule.group not in named_to)
            and (not t.only_after or t.only_after == before.product)
            and (t.from_group != t.to_group or t.count in (None, UNLIMITED) or count < t.count)
        ]

    def _joined(
        self,
        transfer: TransferRule,
        chain: tuple[Sequence[Leg], int, int],
        priced: tuple[Quote, LegRule, int],
        medium: str,
    ) -> Quote | None:
        legs, first, at = chain
        quote, before, price = priced
        if transfer.seconds is not None and _took(legs, first, at, transfer.limit_type) > transfer.seconds:
            return None
        extra = self.price_of(transfer.product, medium) if transfer.product else 0
        if extra is None:
            return None
        paid = self.price_of(before.product, medium) or 0
        amount = {0: extra, 1: extra + price, 2: extra - paid}[transfer.type]
        return Quote(quote.amount + amount, (*quote.bought, transfer.product or "transfer"))


def _took(legs: Sequence[Leg], first: int, at: int, limit_type: int) -> float:
    """Seconds that count against a transfer's limit, from the first leg of the chain to this one."""
    start = legs[first].start if limit_type in (0, 1) else legs[first].end
    end = legs[at].end if limit_type in (0, 3) else legs[at].start
    return (end - start).total_seconds()


def _keep(states: dict[tuple[LegRule, int, int], Quote], key: tuple[LegRule, int, int], quote: Quote) -> None:
    if key not in states or quote.amount < states[key].amount:
        states[key] = quote


# Reading

STANDARD: Final = {
    "fare_transfer_rules.txt": {
        "from_leg_group_id", "to_leg_group_id", "transfer_count", "duration_limit", "duration_limit_type",
        "fare_transfer_type", "fare_product_id",
    },
    "fare_leg_rules.txt": {
        "leg_group_id", "network_id", "from_area_id", "to_area_id", "from_timeframe_group_id",
        "to_timeframe_group_id", "fare_product_id", "rule_priority",
    },
    "fare_products.txt": {
        "fare_product_id", "fare_product_name", "rider_category_id", "fare_media_id", "amount", "currency",
    },
}  # fmt: skip


def read_feed(folder: Path) -> Feed:
    """The fare part of a feed in a folder (files may be .zst or .gz). Problems: FEED_FILE, FEED_ROW."""
    products: dict[str, dict[str, int]] = {}
    for number, row in rows(_file(folder, "fare_products.txt"), ("fare_product_id", "amount")):
        amount = minor(row["amount"], folder / "fare_products.txt", number)
        products.setdefault(row["fare_product_id"], {})[row.get("fare_media_id", "")] = amount
    legs = [
        LegRule(
            row.get("leg_group_id", ""), row.get("network_id", ""), row.get("from_area_id", ""),
            row.get("to_area_id", ""), row["fare_product_id"], row.get("from_timeframe_group_id", ""),
            row.get("to_timeframe_group_id", ""), row.get("transfer_only", "") == "1", number,
        )
        for number, row in rows(_file(folder, "fare_leg_rules.txt"), ("fare_product_id",))
    ]  # fmt: skip
    unknown = {name: _beyond(folder, name) for name in STANDARD}
    return Feed(
        media={
            row["fare_media_id"]: row.get("fare_media_name", "") for row in _rows(folder, "fare_media.txt")
        },
        products=products,
        leg_rules=tuple(legs),
        transfer_rules=tuple(_transfer_rules(folder)),
        areas_of=_areas(folder),
        networks=_networks(folder),
        route_types=_route_types(folder),
        timeframes=_timeframes(folder),
        services=_services(folder),
        unknown_columns={name: columns for name, columns in unknown.items() if columns},
    )


def _transfer_rules(folder: Path) -> Iterable[TransferRule]:
    for number, row in _numbered(folder, "fare_transfer_rules.txt"):
        yield TransferRule(
            row.get("from_leg_group_id", ""),
            row.get("to_leg_group_id", ""),
            int(row["transfer_count"]) if row.get("transfer_count") else None,
            int(row["duration_limit"]) if row.get("duration_limit") else None,
            int(row.get("duration_limit_type") or 0),
            int(row.get("fare_transfer_type") or 0),
            row.get("fare_product_id", ""),
            row.get("filter_fare_product_id", ""),
            number,
        )


def _areas(folder: Path) -> dict[str, frozenset[str]]:
    own: dict[str, set[str]] = {}
    for row in _rows(folder, "stop_areas.txt"):
        own.setdefault(row["stop_id"], set()).add(row["area_id"])
    areas = {stop: frozenset(found) for stop, found in own.items()}
    for row in _rows(folder, "stops.txt"):
        parent = row.get("parent_station", "")
        if parent in own:
            areas[row["stop_id"]] = frozenset(own[parent] | own.get(row["stop_id"], set()))
    return areas


def _networks(folder: Path) -> dict[str, str]:
    """Network of each route: from route_networks, or from the column that older feeds have in routes."""
    found = {row["route_id"]: row["network_id"] for row in _rows(folder, "route_networks.txt")}
    return found or {row["route_id"]: row.get("network_id", "") for row in _rows(folder, "routes.txt")}


def _route_types(folder: Path) -> dict[str, frozenset[int]]:
    networks = _networks(folder)
    types: dict[str, set[int]] = {}
    for row in _rows(folder, "routes.txt"):
        types.setdefault(networks.get(row["route_id"], ""), set()).add(int(row.get("route_type") or 3))
    return {network: frozenset(found) for network, found in types.items()}


def _timeframes(folder: Path) -> dict[str, tuple[tuple[time, time, str], ...]]:
    groups: dict[str, list[tuple[time, time, str]]] = {}
    for row in _rows(folder, "timeframes.txt"):
        start, end = row.get("start_time") or "00:00:00", row.get("end_time") or "24:00:00"
        frame = _clock(start), time.max if end == "24:00:00" else _clock(end), row.get("service_id", "")
        groups.setdefault(row["timeframe_group_id"], []).append(frame)
    return {group: tuple(frames) for group, frames in groups.items()}


def _services(folder: Path) -> dict[str, tuple[date, date, frozenset[int]]]:
    return {
        row["service_id"]: (
            datetime.strptime(row["start_date"], "%Y%m%d").date(),
            datetime.strptime(row["end_date"], "%Y%m%d").date(),
            frozenset(day for day, name in enumerate(WEEKDAYS) if row.get(name) == "1"),
        )
        for row in _rows(folder, "calendar.txt")
    }


def _clock(text: str) -> time:
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return (datetime.min + timedelta(hours=hours, minutes=minutes, seconds=seconds)).time()


def _beyond(folder: Path, name: str) -> tuple[str, ...]:
    """Columns of a file that the standard does not have."""
    for row in _rows(folder, name):
        return tuple(column for column in row if column not in STANDARD[name])
    return ()


def _rows(folder: Path, name: str) -> Iterable[dict[str, str]]:
    return (row for _, row in _numbered(folder, name))


def _numbered(folder: Path, name: str) -> Iterable[tuple[int, dict[str, str]]]:
    found = next(
        (folder / f"{name}{end}" for end in ("", ".zst", ".gz") if (folder / f"{name}{end}").exists()), None
    )
    return rows(found) if found else ()


def _file(folder: Path, name: str) -> Path:
    for end in ("", ".zst", ".gz"):
        if (folder / f"{name}{end}").exists():
            return folder / f"{name}{end}"
    raise FEED_FILE(path=folder / name, why="no such file; a feed without it has no Fares v2")
