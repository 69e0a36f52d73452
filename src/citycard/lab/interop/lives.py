# SPDX-License-Identifier: Apache-2.0
"""Two cities and a hub in this process, over many seeds: a life, twenty misfortunes, and a twin without any.

A life is what people do: who travels, what is tapped, what is raised in an acquirer's office, what a holder
disputes and how that goes, which card is lost. Its first day is lived once; then every seed of the life goes
back to that evening and suffers what the seed says: files lost, altered, late, doubled and out of order,
offices killed between two writes. After the rough evenings come calm ones. The end must be sound at every
office and between them (`books`), and that of the twin, whom nothing befell.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from citycard.core.interop.disputes import ANSWER_DAYS, Stage
from citycard.lab import desk
from citycard.lab.city import FOUNDED
from citycard.lab.faults import CALM, DeathTimer, Faults, Killed, Rates
from citycard.lab.interop import books
from citycard.lab.interop.mail import RoughMail
from citycard.lab.interop.runs import Runs
from citycard.lab.interop.seats import FOUNDING, Kept, Seats
from citycard.lab.interop.towns import CITIES, EAST, HUB, WEST, Town

MEMORY: Final = Path("/dev/shm")  # a simulation outlives no power cut: memory is disk enough
SEEDS_OF_A_LIFE: Final = 20
CARDS: Final = 3
TRAVELLERS: Final = {WEST: [0, 1], EAST: [0]}
TAPS_HOME, TAPS_AWAY = 2, 3  # a day: of residents together, and of each traveller
ROUGH_DAYS, DAYS_MAX = 2, 12
STATEMENTS: Final = 40  # of a visit to the box, about: when an office dies in it
FORMS: Final = {WEST: "txt", EAST: "jsonl"}
ROUGH: Final = Rates(
    file_lost=80, unsigned=40, file_altered=70, file_late=100, file_repeated=100, kill_office=120,
    kill_clearing=250,
)  # fmt: skip
Answers = Mapping[Stage, str]
WAYS: Final[tuple[Answers, ...]] = (  # how a complaint goes: who is asked does what; nothing is silence
    {Stage.RAISED: "accept"},
    {Stage.RAISED: ""},
    {Stage.RAISED: "contest", Stage.CONTESTED: "withdraw"},
    {Stage.RAISED: "contest", Stage.CONTESTED: ""},
    {Stage.RAISED: "contest", Stage.CONTESTED: "represent", Stage.REPRESENTED: "accept"},
    {Stage.RAISED: "contest", Stage.CONTESTED: "represent", Stage.REPRESENTED: ""},
    {Stage.RAISED: "contest", Stage.CONTESTED: "represent", Stage.REPRESENTED: "contest",
     Stage.ARBITRATION: "grant"},
    {Stage.RAISED: "contest", Stage.CONTESTED: "represent", Stage.REPRESENTED: "contest",
     Stage.ARBITRATION: "dismiss"},
)  # fmt: skip
FAILED_CHECK, COMPLAINT = "6001", "4005"


@dataclass(slots=True)
class Life:
    """What people do, whatever befalls the files."""

    number: int
    first: date
    kept: dict[Town, Kept]  # on the evening of the first day
    visited: dict[Town, list[dict[str, Any]]]  # visitors' taps of the first day, by city
    spoilt: dict[str, Any] = field(default_factory=dict)  # in whose office an amount was raised, and which
    complaint: dict[str, Any] = field(default_factory=dict)
    answers: Answers = field(default_factory=dict)
    lost: tuple[Town, int] | None = None  # whose card, and which
    twin: dict[Town, books.Seen] = field(default_factory=dict)


@dataclass(slots=True)
class Lived:
    """What became of one seed, and every check that failed, in words."""

    seed: int
    life: int
    days: int = 0
    taps: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    disputes: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in self.__slots__} | {"states": dict(self.states)}

    def as_text(self) -> str:
        """For people."""
        struck = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items())) or "none"
        ended = ", ".join(f"{state} {count}" for state, count in sorted(self.states.items())) or "none"
        lines = [f"seed {self.seed}: life {self.life}, {self.days} days; taps {ended}; faults {struck}"]
        return "\n".join(lines + [f"FAILED    {failure}" for failure in self.failures])


def run(seeds: Iterable[int], *, faults: bool = True) -> Iterator[Lived]:
    """Live through seeds in a folder of their own, which is gone afterwards."""
    memory = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="citycard-lives-", dir=memory) as folder:
        world = World(Path(folder))
        try:
            for seed in seeds:
                yield world.live(seed, faults=faults)
        finally:
            world.close()


class World:
    """The three offices, founded once; `live` goes through one seed after another."""

    def __init__(self, folder: Path) -> None:
        self.seats = Seats(folder)
        self._life: Life | None = None
        self.runs = Runs(folder / "runs")
        self._found()
        self._founded = self.seats.keep("founded")

    def close(self) -> None:
        """Let go of the offices."""
        self.seats.close()

    def live(self, seed: int, *, faults: bool = True) -> Lived:
        """One seed: its life, its misfortunes, and every check."""
        number = seed // SEEDS_OF_A_LIFE
        if self._life is None or self._life.number != number:
            self._life = _Beginning(self.seats, self._founded, number).life
            self._life.twin = _Course(self.seats, self._life, Faults(CALM, Random(0))).run()
        course = _Course(self.seats, self._life, Faults(ROUGH if faults else CALM, Random(seed)))
        seen = course.run()
        told = Lived(seed, number, course.days, len(seen[HUB].taps), dict(course.faults.counts))
        told.states.update(tap.state for tap in seen[HUB].taps.values())
        told.disputes = seen[HUB].stages
        told.failures = [*course.failures, *books.between(seen), *books.beside(seen, self._life.twin)]
        return told

    def _found(self) -> None:
        shared = Random(FOUNDING).randbytes(16).hex()
        seats = self.seats
        members = [seats[HUB]("found", seed=FOUNDING)]
        for town in CITIES:
            members.append(
                seats[town]("found", seed=FOUNDING, cards=CARDS, shared_key=shared, form=FORMS[town])
            )
        for seat in seats.values():
            seat("join", members=members)
        seats[HUB]("publish", day=FOUNDED.date())
        seats[HUB]("deliver")
        for seat in seats.cities:
            seat("collect")
            seat("morning", day=FOUNDED.date())
            seat("first_loads")
            seat("clear_with", runs=self.runs)


class _Beginning:
    """The first day of a life, up to the evening's exchange."""

    def __init__(self, seats: Seats, founded: dict[Town, Kept], number: int) -> None:
        self.seats = seats
        self.random = Random(f"life {number}")
        day = FOUNDED.date()
        seats.recall(founded)
        for seat in seats.cities:
            seat("roll", seed=self.random.getrandbits(32))
        self._travel(day)
        for seat in seats.cities:
            seat("close_city", day=day)
        self.life = Life(number, day, {}, {town: seats[town]("visits", day=day) for town in CITIES})
        self._plan()
        self.life.kept = seats.keep("lived")

    def _travel(self, day: date) -> None:
        """Travellers are in the other city, everyone else at home."""
        left = {town: self.seats[town]("depart", cards=TRAVELLERS[town]) for town in CITIES}
        for town, other in ((WEST, EAST), (EAST, WEST)):
            told = self.seats[town](
                "live", day=day, away=TRAVELLERS[town], visitors=left[other], taps=[TAPS_HOME, TAPS_AWAY]
            )
            self.seats[other]("come_home", cards=TRAVELLERS[other], pockets=told["pockets"])

    def _plan(self) -> None:
        """Who will do what of the things that happen afterwards."""
        random, life = self.random, self.life
        paid = [(town, one) for town in CITIES for one in life.visited[town] if one["amount_fen"]]
        if paid and life.number % 5 == 1:
            town, one = paid.pop(random.randrange(len(paid)))
            life.spoilt = one | {"town": town, "add_fen": random.choice((1, 100, 300))}
        if paid:
            town, one = random.choice(paid)
            right_fen = random.choice((0, 0, one["amount_fen"] // 2))
            life.complaint = one | {"acquirer": town, "right_fen": right_fen}
            life.answers = WAYS[life.number % len(WAYS)]
        if life.number % 2:
            town = random.choice(CITIES)
            card = random.choice(TRAVELLERS[town])
            self.seats[town]("lose", card=card)
            life.lost = town, card


class _Course:
    """One course of a life, from the evening of its first day to its end."""

    def __init__(self, seats: Seats, life: Life, faults: Faults) -> None:
        self.seats = seats
        self.life = life
        self.faults = faults
        self.mail = RoughMail(seats.box, faults)
        self.death = DeathTimer()
        self.day = life.first
        self.days = 0
        self.failures: list[str] = []
        self.raised = self.presented = False

    def run(self) -> dict[Town, books.Seen]:
        """Evening after evening until all is at rest; what the books say then."""
        self.seats.recall(self.life.kept)
        self._rough(self.faults.rates)
        if self.life.spoilt:
            self._spoil()
        self._evening(CITIES)
        while self.days < DAYS_MAX and (waiting := self._under_way()) is not None:
            self._next_day(*waiting)
        self._rough(CALM)
        return self._end()

    # The days

    def _next_day(self, clearing: list[Town], silent: bool) -> None:
        """Another date; `silent`: the one after the last day of a question nobody means to answer."""
        if self.days >= ROUGH_DAYS:
            self._rough(CALM)
        self.day += timedelta(days=ANSWER_DAYS + 1 if silent else 1)
        for town in clearing:
            self.seats[town]("close_books", day=self.day)
        for _ in Stage:  # moves that can follow each other within an evening
            if not self._disputes():
                break
            self._round()
        self._evening(clearing, silent=silent)

    def _under_way(self) -> tuple[list[Town], bool] | None:
        """Cities for whose clearing something waits, and whether all wait for a deadline; None: the end."""
        told = {town: seat("open_points") for town, seat in self.seats.items()}
        clearing = [town for town in CITIES if self.days < ROUGH_DAYS or told[town]["clearing"]]
        disputes = [self._answers()[cause].get(stage, "granted") for cause, stage in told[HUB]["disputes"]]
        travelling = self._travelling()
        meant = (self.life.complaint and not self.raised) or (self.life.spoilt and not self.presented)
        moving = any(one["taps"] for one in told.values())
        if clearing or travelling or meant or moving or any(disputes):
            return clearing, False
        return (clearing, True) if disputes else None

    def _travelling(self) -> bool:
        """Whether any numbered file has not been taken yet."""
        told = {town: seat("numbers") for town, seat in self.seats.items()}
        return any(
            told[HUB]["sent"].get(town.org, 0) != told[town]["taken"][HUB.org]
            or told[town]["sent"].get(HUB.org, 0) != told[HUB]["taken"][town.org]
            for town in CITIES
        )

    def _evening(self, open_cities: tuple[Town, ...] | list[Town], *, silent: bool = False) -> None:
        """Up, clear, down; then a round for what was missed. An office with nothing to close only talks."""
        for town in CITIES:
            self._do(town, "close_exchange" if town in open_cities else "tell", day=self.day)
        self._up()
        self.seats[HUB]("at", day=self.day + timedelta(days=1), hour=3)
        due = self.days < ROUGH_DAYS or silent or self.seats[HUB]("open_points")["clearing"]
        self._do(HUB, "close_exchange" if due else "tell", day=self.day)
        self._down()
        self.days += 1
        if self._travelling():
            for town in CITIES:
                self._do(town, "tell", day=self.day)
            self._round()

    def _round(self) -> None:
        self._up()
        self._down()

    def _up(self) -> None:
        for town in CITIES:
            self._do(town, "deliver")
        self.mail.strike(HUB)
        self._do(HUB, "collect")

    def _down(self) -> None:
        self._do(HUB, "deliver")
        for town in CITIES:
            self.mail.strike(town)
            self._do(town, "collect")

    # What people do

    def _spoil(self) -> None:
        """Somebody in the acquirer's office raises an amount before it is forwarded; the TAC will tell."""
        spoilt = self.life.spoilt
        seat = self.seats[spoilt["town"]]
        seat("take_visitors", day=self.day)
        seat("raise_amount", tap=spoilt["tap"], add_fen=spoilt["add_fen"])

    def _disputes(self) -> bool:
        """Everyone takes the step that is theirs now; whether anyone did."""
        life, moved = self.life, False
        if life.complaint and not self.raised:
            holder = next(town for town in CITIES if town is not life.complaint["acquirer"])
            arguments = {name: life.complaint[name] for name in ("tap", "right_fen")}
            self.raised = moved = self.seats[holder]("complain_of", day=self.day, **arguments)
        for town in (*CITIES, HUB):
            moved |= bool(self.seats[town]("answer_all", answers=self._answers(), day=self.day))
        if life.spoilt and not self.presented:
            town, tap = life.spoilt["town"], life.spoilt["tap"]
            self.presented = self.seats[town]("correct", tap=tap, day=self.day)
            moved |= self.presented
        return moved

    def _answers(self) -> dict[str, dict[str, str]]:
        complaint = {stage.value: act for stage, act in self.life.answers.items()}
        return {COMPLAINT: complaint, FAILED_CHECK: {Stage.RAISED.value: "accept"}}

    # Misfortune

    def _rough(self, rates: Rates) -> None:
        self.faults.rates = rates
        for town in CITIES:
            self.seats[town]("misfortune", faults=self.faults)

    def _do(self, town: Town, command: str, **arguments: Any) -> None:
        """A command; an office that is killed in it starts again and is told again."""
        seat = self.seats[town]
        if self.faults.strikes("kill_office"):
            self.death.arm(self.faults.random.randrange(STATEMENTS))
            try:
                with seat.seated(), desk.mortal(self.death):
                    seat(command, **arguments)
                return
            except Killed:
                pass
            finally:
                self.death.disarm()
        seat(command, **arguments)

    # The end

    def _end(self) -> dict[Town, books.Seen]:
        seen = {town: seat.see(books.look) for town, seat in self.seats.items()}
        for town, own in seen.items():
            self.failures += [f"{town.en}: {wrong}" for wrong in own.wrong]
            spoilt = len(self.mail.spoilt.get(town, ()))
            if (noticed := self.seats[town]("alarms").get("EXCHANGE_SIGNATURE", 0)) != spoilt:
                self.failures.append(f"{town.en}: {spoilt} files came spoilt, {noticed} were noticed")
        for town in CITIES:
            seat = self.seats[town]
            self.failures += [f"{town.en}: {one}" for one in [*seat.see(books.settled_once), *seat("truth")]]
            if any(seat("verifies")):
                self.failures.append(f"{town.en} could verify a TAC of another city")
            self._all_presented(town, seen[town])
        if self.life.lost is not None:
            home, card = self.life.lost
            away = next(town for town in CITIES if town is not home)
            (pocket,) = self.seats[home]("depart", cards=[card])
            if not self.seats[away]("refuses", pocket=pocket):
                self.failures.append(
                    f"{away.en}'s terminals do not know that card {pocket['pan']} of {home.en} is lost"
                )
        return seen

    def _all_presented(self, town: Town, seen: books.Seen) -> None:
        """Every visitor's tap that reached this city's office was presented once, with its true amount."""
        presented = Counter(record for record, corrects in seen.records.values() if not corrects)
        for one in self.life.visited[town]:
            if presented.pop(one["tap"], 0) != 1:
                self.failures.append(f"{town.en}: visitor's tap {one['tap']} was not presented exactly once")
        self.failures += [f"{town.en}: presented {tap}, which nobody tapped" for tap in presented]


__all__ = ["Lived", "World", "run"]
