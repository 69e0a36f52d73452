# SPDX-License-Identifier: Apache-2.0
"""One part of a run through all its steps: the taps of some cards, from decoded columns to files and sums.

A small day is one part in memory. A large one is many, worked on side by side, each in an engine of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
import pyarrow as pa

from citycard.clearing import carry, chain, judge, money, periods, verify
from citycard.clearing import sources as s
from citycard.clearing.apportion.matrix import Installed
from citycard.clearing.contracts import rates
from citycard.clearing.engine import Engine, Source, Step
from citycard.clearing.places import TariffSharing, weigh
from citycard.clearing.reference import Reference
from citycard.clearing.rules import Rules, Sharing
from citycard.core.calendar import Calendar
from citycard.core.refusal import Reason
from citycard.core.tables import Row

ISSUER: Final = "issuer"


@dataclass(slots=True)
class Shared:
    """What the parts of a run have in common: reference tables, settings, rates and places found so far."""

    day: date
    calendar: Calendar
    rules: Rules
    reference: Reference
    batches: pa.Table
    network: Installed | None = None  # whose journeys are shared by its matrix
    repeats: pa.Table = field(default_factory=s.REPEATS.arrow.empty_table)
    places: pa.Table = field(default_factory=s.PLACES.arrow.empty_table)
    weights: pa.Table = field(default_factory=s.WEIGHTS.arrow.empty_table)
    rates: dict[tuple[Any, ...], Row | None] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.Lock)
    timed: dict[Source, pa.Table] = field(init=False)  # periods shares depend on; empty: there are none
    _sharing: Sharing | None = None

    def __post_init__(self) -> None:
        network = self.network.network if self.network else None
        self.timed = periods.tables(network) if network and network.periods else {}

    def tables(self) -> Iterator[tuple[Source, pa.Table]]:
        """The reference tables and settings all parts are held against."""
        window = timedelta(days=self.calendar.late_days)
        settings = {
            "settle_on": self.day,
            "oldest": self.day - window,
            "farthest": self.day + window,
            "limit_fen": self.rules.limit_fen,
            "load_limit_fen": self.rules.load_limit_fen,
            "accept_unexplained": self.rules.accept_unexplained,
            "late_days": self.calendar.late_days,
            "scheme": self.reference.scheme,
        }
        issuers = [p["participant"] for p in self.reference.participants
                   if p["active"] and ISSUER in p["roles"].split()]  # fmt: skip
        limits = [{"service": k, "most_fen": v} for k, v in sorted(self.rules.limits_fen.items())]
        yield s.SETTINGS, rows(s.SETTINGS, [settings])
        yield s.BATCHES, self.batches
        yield s.REPEATS, self.repeats
        yield s.ISSUERS, rows(s.ISSUERS, [{"issuer": issuer} for issuer in issuers])
        yield s.LIMITS, rows(s.LIMITS, limits)
        yield s.REASONS, rows(s.REASONS, [{"reason_no": r.number, "reason": r.code} for r in Reason])
        yield s.TERMINALS, self.reference.terminals
        yield s.HOTLIST, self.reference.hotlist
        yield s.SAMS, self.reference.sams

    def rated(self, wanted: list[Row]) -> pa.Table:
        """Rates of the combinations a contract covers."""
        found = []
        with self.lock:
            for row in wanted:
                key = tuple(row[name] for name in judge.RATE_KEY)
                if key not in self.rates:
                    self.rates[key] = next(iter(rates(self.reference.contracts, [key])), None)
                rate = self.rates[key]
                found += [rate] if rate else []
        return rows(s.RATES, found)

    def weighed(self, engine: Engine) -> None:
        """Give the engine places and weights of its fares; new places are asked for and kept."""
        with self.lock:
            engine.give(s.PLACES, self.places)
            grounds = engine.fetch(money.GROUNDS, money.PLACE_KEY).to_pylist()
            if grounds:
                places, weights = weigh(grounds, self.reference, self._shared(), len(self.places))
                self.places = pa.concat_tables([self.places, rows(s.PLACES, places)])
                self.weights = pa.concat_tables([self.weights, rows(s.WEIGHTS, weights)])
                engine.give(s.PLACES, self.places)
            engine.give(s.WEIGHTS, self.weights)

    def _shared(self) -> Sharing:
        """How fares are shared: by the scheme's own rule, by the network, by tariff; matrices are large."""
        if self._sharing is None:
            by_tariff = TariffSharing(self.reference.tariffs)
            by_network = self.network.sharing(by_tariff) if self.network else by_tariff
            self._sharing = self.rules.sharing or by_network
        return self._sharing

    def grounds(self) -> Iterator[tuple[Source, pa.Table]]:
        """All that taps were divided by, in an order that does not depend on which part asked first."""
        places = self.places.sort_by([(name, "ascending") for name in money.PLACE_KEY])
        number = np.argsort(places["place_no"].to_numpy())  # of each old number, the new one
        yield s.RATES, rows(s.RATES, [rate for rate in self.rates.values() if rate])
        for source, table in ((s.PLACES, places), (s.WEIGHTS, self.weights)):
            numbers = pa.array(number[table["place_no"].to_numpy()], s.INT)
            yield source, table.set_column(table.schema.get_field_index("place_no"), "place_no", numbers)
        yield from self.timed.items()


def rows(source: Source, values: list[Row]) -> pa.Table:
    """Rows of plain values as a table."""
    return pa.Table.from_pylist(values, schema=source.arrow)


def compile_steps() -> None:
    """Make the SQL of what every part of a large run does, so that parts need not wait for it."""
    often = (judge.COMBINATIONS, judge.JUDGED, money.PRICED, money.LIKE_TAPS, money.ALIKE, money.GROUNDS,
             money.UNBALANCED, money.OWED, money.REVENUE, judge.FEW, judge.KEPT_FEW, judge.REFUSED,
             money.TALLY, carry.SEQUENCES)  # fmt: skip
    for step in (*verify.STEPS, *chain.STEPS, *money.STEPS, *carry.STEPS, *often):
        step.sql()


@dataclass(slots=True)
class Part:
    """A part at work in an engine: call its methods in order."""

    engine: Engine
    shared: Shared
    checkpoint: Callable[[str], None]
    seconds: dict[str, float]
    taps: pa.Table = None  # as decoded, where they are still in memory

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time spent on a step of the run."""
        started = perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - started

    def make(self, *steps: Step) -> None:
        """Run declared steps in order."""
        for step in steps:
            self.engine.make(step)
            self.checkpoint(step.name)

    def give(self, carried: dict[Source, tuple[list[Path], str]], cards: pa.Table) -> None:
        """What the taps are held against: reference tables, settings, and the state of the run before."""
        for source, table in (*self.shared.tables(), *self.shared.timed.items()):
            self.engine.give(source, table)
        self.engine.give(s.CARDS, cards)
        for source, (paths, where) in carried.items():
            self.engine.give_parquet(source, paths, where)

    def verify(self) -> None:
        """Each record by itself, then beside its card's other records."""
        self.make(*verify.STEPS, *chain.STEPS)

    def apportion(self) -> None:
        """Verdicts with their contracts, and the shares of every kind of accepted tap."""
        wanted = self.engine.fetch(judge.COMBINATIONS, judge.RATE_KEY).to_pylist()
        self.engine.give(s.RATES, self.shared.rated(wanted))
        self.make(judge.JUDGED, judge.FEW, *money.RATED[bool(self.shared.timed)], money.ALIKE)
        self.shared.weighed(self.engine)
        self.make(*money.STEPS)
        wrong = self.engine.fetch(money.UNBALANCED).slice(0, 1).to_pylist()
        assert not wrong, f"shares of a tap do not add up to zero: {wrong}"

    def net(self) -> None:
        """Sums, and what the next run starts from."""
        self.make(money.OWED, money.REVENUE, money.VOLUMES, *carry.STEPS)
