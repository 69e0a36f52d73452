# SPDX-License-Identifier: Apache-2.0
"""Metro: entry and exit; the fare is taken at the exit, and the card carries the open journey.

Order of price parts: list fare; concession of the class; transfer discount, judged at the moment of entry;
surcharges (over-time, a journey before that was never closed). A surcharge is not discounted, but a class
that rides free pays none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from citycard.core.record import Flag
from citycard.core.refusal import Refusal
from citycard.core.tunion import MODE_METRO
from citycard.services.concession import transfer_discount
from citycard.services.contract import (
    CardClass,
    Decision,
    Event,
    Fare,
    Grant,
    Journey,
    Place,
    Rights,
    Service,
    State,
    Tap,
    Weights,
)
from citycard.services.metro.config import KeyedFares, MetroConfig

CODE: Final = 2

__all__ = ["CODE", "SERVICE", "MetroConfig", "decide", "shares"]


def decide(tap: Tap, rights: Rights, state: State, config: MetroConfig) -> Decision:
    """Let in or out, at a price: a grant with its fare and the journey to remember, or why not."""
    if not config.concessions.accepts(rights.card_class):
        return Refusal.CLASS_NOT_ACCEPTED
    if tap.event is Event.ENTER:
        return _enter(tap, rights, state, config)
    if tap.event is Event.EXIT:
        return _exit(tap, rights, state, config)
    return Refusal.SERVICE_UNKNOWN


def _enter(tap: Tap, rights: Rights, state: State, config: MetroConfig) -> Decision:
    before = state.journey
    if before is not None:
        since = _seconds(before.at, tap.at)
        if before.terminal == tap.terminal and 0 <= since < config.repeat_seconds:
            return Refusal.TAPPED_TWICE
        here = (tap.line, tap.station)
        if (
            config.network.same_place((before.line, before.station), here)
            and 0 <= since < config.passback_seconds
        ):
            return Refusal.ALREADY_ENTERED
        if config.missing_exit.action == "refuse":
            return Refusal.ALREADY_ENTERED
    if not config.knows((tap.line, tap.station)):
        return Refusal.NO_FARE
    free = config.concessions.free(rights.card_class, tap.at)
    surcharge, flags = 0, _test(rights)
    if before is not None:
        flags |= Flag.MISSING_EXIT
        if not free and config.missing_exit.action != "ignore":
            amount = config.missing_exit.amount_fen
            surcharge = config.largest_fen if amount is None else amount
    if not free and state.balance_fen < config.entry_minimum_fen + surcharge:
        return Refusal.BALANCE_TOO_LOW
    journey = Journey(tap.line, tap.station, tap.at, tap.terminal)
    return Grant(Fare(surcharge_fen=surcharge), flags, journey=journey, closes=before)


def _exit(tap: Tap, rights: Rights, state: State, config: MetroConfig) -> Decision:
    entry, last = state.journey, state.last
    if entry is None:
        if last and last.terminal == tap.terminal and 0 <= _seconds(last.at, tap.at) < config.repeat_seconds:
            return Refusal.TAPPED_TWICE
        if config.missing_entry.action == "refuse":
            return Refusal.NOT_ENTERED
    priced = _list_fare(tap, entry, config)
    if isinstance(priced, Refusal):
        return priced
    listed, flags = priced
    flags |= _test(rights)
    began = entry or Journey(tap.line, tap.station, tap.at, tap.terminal)
    ruled = entry is None or (config.same_station is not None and flags & Flag.SAME_STATION)
    ends = (began.line, began.station), (tap.line, tap.station)
    own = None if ruled else config.class_fen(*ends, rights.card_class)
    if own is None:
        price = config.concessions.price(listed, rights.card_class, tap.at)
    else:
        listed, price = max(listed, own), own
    ride = (began.at, began.line, rights.card_class)
    off = transfer_discount(config.transfers, last, ride, price, config.concessions.rounding)
    surcharge = 0
    if config.overtime and tap.at - began.at > timedelta(minutes=config.overtime.limit_minutes):
        flags |= Flag.OVERTIME
        if not config.concessions.free(rights.card_class, tap.at):
            amount = config.overtime.surcharge_fen
            surcharge = config.largest_fen if amount is None else amount
    if price - off + surcharge > state.balance_fen:
        return Refusal.INSUFFICIENT_BALANCE
    if off:
        flags |= Flag.TRANSFER
    return Grant(Fare(listed, listed - price, off, surcharge), flags, closes=entry)


def _list_fare(tap: Tap, entry: Journey | None, config: MetroConfig) -> tuple[int, Flag] | Refusal:
    """The list fare of the journey that ends here and what was particular about it."""
    if entry is None:
        amount = config.missing_entry.amount_fen
        return (config.largest_fen if amount is None else amount), Flag.MISSING_ENTRY
    start, end = (entry.line, entry.station), (tap.line, tap.station)
    same = config.network.same_place(start, end)
    flags = Flag.SAME_STATION if same else Flag(0)
    if same and config.same_station is not None:
        rule = config.same_station
        within = tap.at - entry.at <= timedelta(minutes=rule.grace_minutes)
        return (rule.grace_fee_fen if within else rule.fee_fen), flags
    if isinstance(config.fares, KeyedFares):
        if not config.fares.minimum_fen <= tap.amount_fen <= config.fares.maximum_fen:
            return Refusal.AMOUNT_INVALID
        return tap.amount_fen, flags
    fare = config.fare_fen(start, end)
    return Refusal.NO_FARE if fare is None else (fare, flags)


def _seconds(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds()


def _test(rights: Rights) -> Flag:
    return Flag.TEST if rights.card_class == CardClass.TEST else Flag(0)


def shares(place: Place, config: MetroConfig, lines: Mapping[int, str]) -> Weights:
    """Weights of the operators by metres ridden on each one's lines along the shortest way.

    Without a graph (or a way through it) the operators of the entry and the exit line share alike; a fare
    without an entry, or without a metre ridden, is the exit operator's.
    """
    exit_operator = lines.get(place.line, place.acquirer)
    if not place.entry_line:
        return ((exit_operator, 1),)
    a, b = (place.entry_line, place.entry_station), (place.line, place.station)
    if config.network.same_place(a, b):
        return ((exit_operator, 1),)
    weights: dict[str, int] = {}
    for line, metres in config.network.metres_by_line(a, b).items():
        operator = lines.get(line, place.acquirer)
        weights[operator] = weights.get(operator, 0) + metres
    if not weights:
        entry_operator = lines.get(place.entry_line, place.acquirer)
        weights = dict.fromkeys((entry_operator, exit_operator), 1)
    return tuple(weights.items())


SERVICE: Final = Service(
    code=CODE,
    name="metro",
    title_en="Metro",
    title_zh="地铁",
    mode=MODE_METRO,
    composite=True,
    config=MetroConfig,
    decide=decide,
    shares=shares,
)
