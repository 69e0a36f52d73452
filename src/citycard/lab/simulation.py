# SPDX-License-Identifier: Apache-2.0
"""Days of a small city under faults: the real code, one seed, and every fen looked for after each day.

Cards are torn away, terminals and the office die between two writes, uploads are lost, repeated and late,
clocks are wrong, contracts have gaps and overlap (`correction`), clearing is killed, finds its lake damaged
or the disk full (`nights`), the bank pays late, rejects and takes back (`bank`). After each day `checks`
looks; on the last morning the faults end, what is open is brought to an end, and nothing at all may be left
to explain.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from citycard.blueprints import Scheme, TerminalPlan, load_scheme
from citycard.core.problem import Problem
from citycard.lab import checks, correction
from citycard.lab.bank import Bank
from citycard.lab.city import City, Progress, silent
from citycard.lab.faults import CALM, ROUGH, Killed
from citycard.lab.nights import Nights
from citycard.lab.plan import Act, plan_day
from citycard.services import service_named
from citycard.services.contract import Event
from citycard.terminal import Outcome

MEMORY: Final = Path("/dev/shm")  # a simulation outlives no power cut: memory is disk enough
TOP_UP_FEN: Final = 3000
EVENING: Final = timedelta(hours=23, minutes=40)
KEPT: Final = (("metro", 3, False), ("bus", 1, False), ("retail", 1, True))  # service, how many, top-ups
SKEWS: Final = tuple(timedelta(hours=hours) for hours in (-26, -2, 2, 20))  # of clocks that are wrong
QUIET_ROUNDS: Final = 3  # presentations after which every open debit must be settled


@dataclass(slots=True)
class Simulated:
    """What a simulation saw: counts, and every check that failed, in words."""

    seed: int
    days: int
    taps: int = 0
    accepted: int = 0
    charged_fen: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    faults: dict[str, int] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return {key: dict(value) if isinstance(value, Counter) else value for key, value in plain.items()}

    def as_text(self) -> str:
        """For people."""
        lines = [
            f"seed {self.seed}: {self.days} days, {self.taps} taps, {self.accepted} records accepted, "
            f"{self.charged_fen} fen charged",
            "faults    "
            + (", ".join(f"{name} {count}" for name, count in sorted(self.faults.items())) or "none"),
            "refusals  " + (", ".join(f"{code} {n}" for code, n in sorted(self.refusals.items())) or "none"),
            "clearing  "
            + (", ".join(f"{code} {n}" for code, n in sorted(self.reasons.items())) or "nothing"),
        ]
        lines += [f"FAILED    {failure}" for failure in self.failures] or ["all checks passed"]
        return "\n".join(lines)


def run(
    *, seed: int, days: int, cards: int, taps: int, faults: bool, progress: Progress = silent
) -> Simulated:
    """Live through the days in a folder of its own, which is gone afterwards."""
    outcome = Simulated(seed, days)
    folder = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="citycard-lab-", dir=folder) as home:
        scheme, plans = few_terminals()
        rates = ROUGH if faults else CALM
        city = City(Path(home) / "city", scheme, seed, rates=rates, durable=False, plans=plans)
        try:
            _Simulation(city, outcome, progress).live(cards, taps)
        finally:
            city.close()
    outcome.faults = dict(city.faults.counts)
    outcome.refusals = city.tally.refusals
    return outcome


@cache
def few_terminals() -> tuple[Scheme, tuple[TerminalPlan, ...]]:
    """The demo city, and one terminal of it for each of the places named in `KEPT`."""
    scheme = load_scheme("city")
    kept: list[TerminalPlan] = []
    for service, count, loads in KEPT:
        fit = [
            p for p in scheme.terminal_plans if p.service == service_named(service).code and p.loads == loads
        ]
        kept += {(p.line, p.station): p for p in fit[:: max(1, len(fit) // count)]}.values()
    return scheme, tuple(kept)


class _Simulation:
    """One life of a small city."""

    def __init__(self, city: City, outcome: Simulated, progress: Progress) -> None:
        self.city = city
        self.outcome = outcome
        self.progress = progress
        self.random = Random(city.random.random())
        self.truth: checks.Truth
        self.nights = Nights(city.faults, city.night, Random(self.random.random()))
        self.bank = Bank(city.faults, Random(self.random.random()))

    def live(self, cards: int, taps: int) -> None:
        """Every day, and the quiet one after them."""
        city, outcome = self.city, self.outcome
        calm, city.faults.rates = city.faults.rates, CALM  # nothing goes wrong while the city is founded
        city.found(cards, "simulated")
        city.faults.rates = calm
        city.run = self.nights
        self.bank.open_accounts()
        self.truth = checks.Truth(city)
        first = city.clock().date()
        for number in range(outcome.days):
            day = first + timedelta(days=number)
            self._day(day, cards, taps, first_day=number == 0)
            self._close(day)
            self._check(f"day {number + 1}", quiet=False)
            self.progress("days", number + 1, outcome.days)
        self._quiet(first + timedelta(days=outcome.days))

    def _day(self, day: date, cards: int, taps: int, first_day: bool) -> None:
        city, random = self.city, self.random
        city.clock.at(datetime.combine(day, datetime.min.time()) + timedelta(hours=5))
        for name in list(city.posts):
            if city.faults.strikes("clock_wrong"):
                city.set_clock(name, random.choice(SKEWS))
        places = city.places
        if first_day:
            for card in range(cards):
                at = city.clock() + timedelta(seconds=20)
                self._act(Act(at, card, random.choice(list(places.loaders)), None, TOP_UP_FEN))
        acts = plan_day(random, day, cards, taps, places)
        loss_at = random.randrange(len(acts)) if acts and random.random() < 0.4 else -1
        for number, act in enumerate(acts):
            self._act(act)
            if number == loss_at:
                self._report_loss(act.card)
            if random.random() < 0.04:
                city.sync([random.choice(list(city.posts))])

    def _act(self, act: Act) -> None:
        self.truth.before(act.card)
        self.city.do(act, seen=lambda: self.truth.after(act.card))
        self.outcome.taps += 1

    def _report_loss(self, card: int) -> None:
        from citycard.office.cards import verbs
        from citycard.office.staff.roles import SYSTEM

        verbs.report_loss(self.city.pockets[card].pan, SYSTEM)

    def _close(self, day: date) -> None:
        """Evening: most terminals upload, in any order; the office clears."""
        city = self.city
        city.clock.at(datetime.combine(day, datetime.min.time()) + EVENING)
        names = [name for name in city.posts if not city.faults.strikes("late_upload")]
        self.random.shuffle(names)
        city.sync(names)
        city.clock.at(city.scheme.calendar.closes(day))
        with correction.evening(city.faults, day) as contracts:
            try:
                report = city.clear(day)
            except Problem as problem:
                if problem.code != "CONTRACT_AMBIGUOUS" or not contracts.overlap:
                    raise
                contracts.correct()
                report = city.clear(day)
        again = city.clear(day)
        if (again.charged_fen, again.reasons) != (report.charged_fen, report.reasons):
            self.outcome.failures.append(f"{day}: clearing twice gave another answer")
        self.outcome.accepted += report.verdicts.get("accepted", 0)
        self.outcome.charged_fen += report.charged_fen
        self.outcome.reasons.update(report.reasons)
        self.bank.evening(day)
        self.nights.tidy(city.home)

    def _quiet(self, day: date) -> None:
        """Faults end: cards come again where they were torn, everything is uploaded and cleared."""
        city = self.city
        city.faults.rates = CALM
        city.clock.at(datetime.combine(day, datetime.min.time()) + timedelta(hours=9))
        for name, post in list(city.posts.items()):
            if post.skew:
                city.set_clock(name, timedelta())
        index = {pocket.pan: number for number, pocket in enumerate(city.pockets)}
        for _ in range(QUIET_ROUNDS):
            for name, post in city.posts.items():
                for pan in {intent.record.pan for intent in post.terminal.journal.intents.values()}:
                    event = None if post.plan.loads else Event.BOARD
                    self._act(Act(city.clock() + timedelta(minutes=1), index[pan], name, event, 1000))
            for report in city.sync():
                if not report.ok:
                    self.outcome.failures.append(f"quiet upload: {report}")
            journals = [post.terminal.journal for post in city.posts.values()]
            if not any(j.intents or j.duties or j.pending_records for j in journals):
                break
        self._close(day)
        self.bank.settled(day)
        self._check("the end", quiet=True)

    def _check(self, when: str, *, quiet: bool) -> None:
        found = [
            *checks.money(self.city, self.truth, quiet=quiet),
            *checks.lake(self.city, quiet=quiet),
            *checks.settlement(self.bank, quiet=quiet),
            *self.nights.failures,
        ]
        self.nights.failures.clear()
        self.outcome.failures += [f"{when}: {failure}" for failure in found]


__all__ = ["Killed", "Outcome", "Simulated", "few_terminals", "run"]
