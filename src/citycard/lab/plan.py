# SPDX-License-Identifier: Apache-2.0
"""What people mean to do today: a seeded plan of rides, purchases and top-ups, in order of time.

A plan knows places, not cards or terminals' insides; the city carries it out and sees what becomes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Final

from citycard.services.contract import Event

DAY_STARTS: Final = time(6, 30)
DAY_MINUTES: Final = 16 * 60
PEAKS: Final = ((75, 40), (660, 60), (380, 200))  # (centre, spread) in minutes after the start of the day
ACTS_PER_TRIP: Final = 1.4  # a little under the mean, so that the plan reaches the evening
PURCHASE_FEN: Final = (350, 500, 650, 880, 1200, 1550, 2380)
TOP_UP_FEN: Final = (2000, 3000, 5000, 10000)


@dataclass(frozen=True, slots=True)
class Places:
    """Where one can tap, as terminal ids: gates by (line, station), buses, tills, top-up points."""

    gates: dict[tuple[int, int], str]
    buses: Sequence[str]
    tills: Sequence[str]
    loaders: Sequence[str]


@dataclass(frozen=True, slots=True, order=True)
class Act:
    """One thing one person means to do; `event` None is a top-up of `amount_fen`."""

    at: datetime
    card: int
    terminal: str
    event: Event | None
    amount_fen: int = 0
    again: bool = False  # the same card a few seconds later at the same place


def plan_day(random: Random, day: date, cards: int, taps: int, places: Places) -> list[Act]:
    """About `taps` acts (at least that many, at most two more) of so many cards, in order of time.

    Each person does one thing after another: no journey starts before the one before it has ended.
    """
    acts: list[Act] = []
    free_at = [_start(day, 0.0)] * cards
    trips = _departures(random, cards, taps)
    for minute, card in trips:
        if len(acts) >= taps:
            break
        start = max(_start(day, minute), free_at[card] + timedelta(minutes=2))
        made = _trip(random, card, start, places)
        free_at[card] = made[-1].at
        acts.extend(made)
    return sorted(acts)


def _departures(random: Random, cards: int, taps: int) -> list[tuple[float, int]]:
    """More departures than needed, in random order of persons, each person's own in order of time."""
    draws = []
    for _ in range(taps + cards):
        centre, spread = random.choice(PEAKS)
        draws.append(min(max(random.gauss(centre, spread), 0.0), DAY_MINUTES - 90))
    order = [random.randrange(cards) for _ in draws]
    kept = sorted(zip(draws, order, strict=True))
    keep = set(random.sample(range(len(kept)), min(len(kept), round(taps / ACTS_PER_TRIP))))
    return [trip for index, trip in enumerate(kept) if index in keep]


def _trip(random: Random, card: int, start: datetime, places: Places) -> list[Act]:
    draw = random.random()
    if draw < 0.46 and len(places.gates) > 1:
        return _metro(random, card, start, places)
    if draw < 0.80 and places.buses:
        return [Act(start, card, random.choice(places.buses), Event.BOARD)]
    if draw < 0.93 and places.tills:
        return [Act(start, card, random.choice(places.tills), Event.PAY, random.choice(PURCHASE_FEN))]
    return [Act(start, card, random.choice(places.loaders), None, random.choice(TOP_UP_FEN))]


def _metro(random: Random, card: int, start: datetime, places: Places) -> list[Act]:
    stations = sorted(places.gates)
    origin, goal = random.sample(stations, 2)
    if random.random() < 0.02:
        goal = origin  # changed one's mind
    minutes = random.randint(6, 55) if random.random() > 0.01 else random.randint(200, 260)
    enter = Act(start, card, places.gates[origin], Event.ENTER)
    if random.random() < 0.01:
        return [enter]  # left by a way without a gate
    return [enter, Act(start + timedelta(minutes=minutes), card, places.gates[goal], Event.EXIT)]


def _start(day: date, minute: float) -> datetime:
    return datetime.combine(day, DAY_STARTS) + timedelta(seconds=int(minute * 60))
