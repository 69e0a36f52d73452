# SPDX-License-Identifier: Apache-2.0
"""Turns a GTFS Fares v2 feed into tariffs that terminals understand, and says what cannot be said in them.

A terminal's tariff prices one medium. Networks with one price become flat bus lines, networks priced between
areas become fare tables over area numbers; transfer rules become discounts by mode and window. What has no
such form is listed with its file, row, code and reason, so that nobody takes a part for the whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from citycard.clearing.feeds.gtfs import Feed, LegRule, TransferRule

BUS_TYPES: Final = frozenset({3, 11})
RAIL_TYPES: Final = frozenset({0, 1, 2, 5, 12})
BOARD_TO_BOARD: Final = 1  # duration_limit_type: as our own windows are measured


@dataclass(frozen=True, slots=True)
class Inexpressible:
    """A row of the feed that has no form in a terminal's tariff."""

    file: str
    row: int
    code: str
    why: str


@dataclass(frozen=True, slots=True)
class Tariffs:
    """What a feed says on one medium: flat prices, tables and transfers as plain configuration."""

    medium: str
    flat: dict[str, int]  # network -> price in minor units
    tables: dict[str, dict[str, Any]]  # network -> `fares` of a metro tariff
    areas: dict[str, dict[str, int]]  # network -> area id -> station number in its table
    transfers: dict[tuple[str, str], dict[str, Any]]  # (mode before, mode) -> a transfer rule
    inexpressible: list[Inexpressible] = field(default_factory=list)


def to_tariffs(feed: Feed, medium: str) -> Tariffs:
    """All that can be expressed, and all that cannot."""
    found = Tariffs(medium, {}, {}, {}, {})
    by_network: dict[str, list[LegRule]] = {}
    for rule in feed.leg_rules:
        if feed.price_of(rule.product, medium) is not None:
            by_network.setdefault(rule.network, []).append(rule)
    for number, (network, rules) in enumerate(sorted(by_network.items()), start=1):
        _network(feed, found, (network, number), rules)
    _transfers(feed, found, by_network)
    for name, columns in feed.unknown_columns.items():
        why = f"columns beyond the standard: {', '.join(columns)}"
        found.inexpressible.append(Inexpressible(name, 1, "COLUMN_UNKNOWN", why))
    return found


def _network(feed: Feed, found: Tariffs, named: tuple[str, int], rules: list[LegRule]) -> None:
    network = named[0]

    def cannot(rule: LegRule, code: str, why: str) -> None:
        found.inexpressible.append(Inexpressible("fare_leg_rules.txt", rule.row, code, why))

    plain = []
    for rule in rules:
        frames = [frame for frame in (rule.from_timeframe, rule.to_timeframe) if frame]
        never = [frame for frame in frames if frame not in feed.timeframes]
        if never:
            cannot(
                rule, "TIMEFRAME_UNDEFINED", f"{network}: timeframe {never[0]} is never: the rule cannot hold"
            )
        elif not all(map(feed.always, frames)):
            cannot(rule, "TIMEFRAME", f"{network}: the list fare depends on the time of day")
        elif rule.transfer_only:
            cannot(rule, "TRANSFER_ONLY", f"{network}: a leg that is sold with another one only")
        else:
            plain.append(rule)
    prices = {rule: feed.price_of(rule.product, found.medium) or 0 for rule in plain}
    everywhere = [rule for rule in plain if not rule.from_area and not rule.to_area]
    if everywhere and len(set(prices.values())) == 1:
        found.flat[network] = prices[everywhere[0]]  # one price, however the rules cut the network up
    elif plain:
        between = [rule for rule in plain if rule.from_area and rule.to_area]
        for rule in plain:
            if rule not in between:
                why = f"{network}: a price from or to an area, wherever the other end is"
                cannot(rule, "AREA_ONE_SIDED", why)
        cheapest_last = sorted(between, key=lambda rule: -prices[rule])
        if between:
            _table(found, named, {(r.from_area, r.to_area): prices[r] for r in cheapest_last})
    types = feed.route_types.get(network, frozenset())
    if types and not types & (BUS_TYPES | RAIL_TYPES):
        for rule in plain:
            cannot(rule, "MODE", f"{network}: neither bus nor rail; transfers to and from it cannot be told")


def _table(found: Tariffs, named: tuple[str, int], prices: dict[tuple[str, str], int]) -> None:
    """The least price of each pair of areas, as a fare table of the network's own line."""
    network, line = named
    areas = sorted({area for pair in prices for area in pair})
    found.areas[network] = {area: number for number, area in enumerate(areas, start=1)}
    found.tables[network] = {
        "kind": "table",
        "stations": [{"line": line, "station": number} for number in found.areas[network].values()],
        "fares_fen": [[prices.get((a, b)) for b in areas] for a in areas],
    }


def _transfers(feed: Feed, found: Tariffs, by_network: dict[str, list[LegRule]]) -> None:
    modes: dict[str, set[str]] = {}
    prices: dict[str, set[int]] = {}
    for network, rules in by_network.items():
        for rule in rules:
            modes.setdefault(rule.group, set()).add(_mode(feed, network))
            prices.setdefault(rule.group, set()).add(feed.price_of(rule.product, found.medium) or 0)
    offers: dict[tuple[str, str], dict[tuple[Any, ...], TransferRule]] = {}
    for transfer in feed.transfer_rules:
        if transfer.from_group not in modes or transfer.to_group not in modes:
            continue  # not sold on this medium
        code, why = _unsayable(feed, transfer, found.medium)
        if code:
            found.inexpressible.append(Inexpressible("fare_transfer_rules.txt", transfer.row, code, why))
            continue
        extra = (feed.price_of(transfer.product, found.medium) or 0) if transfer.product else 0
        offs = {max(0, price - extra) for price in prices[transfer.to_group]}
        key = (min(modes[transfer.from_group]), min(modes[transfer.to_group]))
        offer: tuple[Any, ...] = (transfer.seconds, *(sorted(offs) if extra else ["all"]))
        offers.setdefault(key, {})[offer] = transfer
    for key, offered in offers.items():
        _offer(found, key, offered)


def _offer(found: Tariffs, key: tuple[str, str], rules: dict[tuple[Any, ...], TransferRule]) -> None:
    """One rule for a pair of modes, if the feed has only one."""
    if len(rules) > 1 or any(len(rule) > 2 for rule in rules):
        for transfer in rules.values():
            why = f"from {key[0]} to {key[1]} other rules hold elsewhere; a terminal knows only the mode"
            found.inexpressible.append(
                Inexpressible("fare_transfer_rules.txt", transfer.row, "TRANSFER_DIFFERS", why)
            )
        return
    (seconds, off), *_ = rules
    price = {"off_bp": 10_000} if off == "all" else {"off_fen": off}
    found.transfers[key] = {"after": [key[0]], "window_minutes": seconds // 60, **price}


def _unsayable(feed: Feed, transfer: TransferRule, medium: str) -> tuple[str, str]:
    """Why a transfer rule has no form in a terminal's tariff; empty when it has one."""
    if transfer.type != 0:
        return "TRANSFER_TYPE", f"fare_transfer_type {transfer.type}: the fare of the leg before would change"
    if transfer.seconds is None:
        return "TRANSFER_UNTIMED", "free without a time limit: riders change behind the gates, no tap is made"
    if transfer.limit_type != BOARD_TO_BOARD:
        return "TRANSFER_CLOCK", f"duration_limit_type {transfer.limit_type} asks for a tap when one alights"
    if transfer.product and feed.price_of(transfer.product, medium) is None:
        return "TRANSFER_MEDIUM", f"its product {transfer.product} is not sold on this medium"
    return "", ""


def _mode(feed: Feed, network: str) -> str:
    types: Iterable[int] = feed.route_types.get(network, ())
    return "metro" if set(types) & RAIL_TYPES else "bus"
