# SPDX-License-Identifier: Apache-2.0
"""Some days of two cities and a hub: travellers tap abroad, files go astray, and everything reconciles.

What goes wrong, each on purpose and each once: a file lost on its way to the hub, one delivered twice, one
altered on its way to a city, an amount raised in the acquirer's office (its issuer's TAC check finds it), a
tap a holder disputes to the end, and a traveller's card reported lost. The story ends when nothing is under
way any more; then the three offices must agree with themselves, with each other, and with the chips.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from citycard.lab.city import FOUNDED, Progress, silent
from citycard.lab.interop.processes import Box, OfficeProcess
from citycard.lab.interop.towns import CITIES, EAST, HUB, WEST, Town

MEMORY: Final = Path("/dev/shm")
CARDS, TAPS_HOME, TAPS_AWAY = 5, 8, 4  # taps of residents together, and of each traveller
TRAVELLERS: Final = {WEST: [0, 1], EAST: [0]}
DAYS_MAX: Final = 8  # by then everything is at rest, or something is wrong
SPOILT_FEN: Final = 300
FORMS: Final = {WEST: "txt", EAST: "jsonl"}


@dataclass(slots=True)
class Fault:
    """Something that went wrong on purpose: what, and how it was put right."""

    what: str
    how: str = ""


@dataclass(slots=True)
class Report:
    """What happened, and every check that failed, in words."""

    seed: int
    days: int = 0
    taps: Counter[str] = field(default_factory=Counter)
    exchanged: int = 0
    exchanged_fen: int = 0
    states: dict[str, dict[str, int]] = field(default_factory=dict)
    files: dict[str, dict[str, int]] = field(default_factory=dict)
    nets: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain["faults"] = {name: {"what": f.what, "how": f.how} for name, f in self.faults.items()}
        return plain | {"taps": dict(self.taps)}

    def as_text(self) -> str:
        """For people."""
        lines = [
            f"seed {self.seed}: {self.days} days, {sum(self.taps.values())} taps, of them {self.exchanged} "
            f"cleared between cities for {self.exchanged_fen} fen"
        ]
        lines += [f"taps      {code} {count}" for code, count in sorted(self.taps.items())]
        for town, states in self.states.items():
            files = ", ".join(f"{name} {n}" for name, n in sorted(self.files[town].items()))
            told = ", ".join(f"{name} {n}" for name, n in sorted(states.items()))
            lines.append(f"{town:<9} taps {told or 'none'}; files {files}")
        for name, fault in self.faults.items():
            lines += [f"fault     {name}: {fault.what}", f"          {fault.how}"]
        lines += [f"FAILED    {failure}" for failure in self.failures] or [
            "all agree: positions add up to zero at every office and between them, chips equal accounts"
        ]
        return "\n".join(lines)


def run(seed: int, progress: Progress = silent) -> Report:
    """Live through the story in a folder of its own, which is gone afterwards."""
    folder = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="citycard-interop-", dir=folder) as home:
        story = Story(seed, Path(home), progress)
        try:
            return story.tell()
        finally:
            story.stop()


class Story:
    """The three offices and what happens to them."""

    def __init__(self, seed: int, folder: Path, progress: Progress) -> None:
        self.report = Report(seed)
        self.random = Random(seed)
        self.progress = progress
        self.box = Box(folder)
        self.offices = {town: OfficeProcess(town, folder) for town in (WEST, EAST, HUB)}
        self.day = FOUNDED.date()
        self.lost_card = ""
        self.on_the_way: list[Callable[[], None]] = []  # what happens to files to the hub tonight
        self.on_the_way_back: list[Callable[[], None]] = []

    def stop(self) -> None:
        """End the processes."""
        for office in self.offices.values():
            office.stop()

    def tell(self) -> Report:
        """All of it, in order."""
        self._found()
        self._first_day()
        self._second_day()
        self._third_day()
        while self.report.days < DAYS_MAX and not self._at_rest():
            self._go_on()
            self._night()
        self._check()
        return self.report

    # The days

    def _found(self) -> None:
        self.progress("offices 建立后台", 0, 1)
        shared = self.random.randbytes(16).hex()
        self.offices[HUB].ask("found", seed=self.report.seed)
        for town in CITIES:
            self.offices[town].ask(
                "found", seed=self.report.seed, cards=CARDS, shared_key=shared, form=FORMS[town]
            )
        members = [self.offices[town].answer() for town in (HUB, *CITIES)]
        self._all("join", members=members)
        self.offices[HUB]("publish", day=self.day)
        self.offices[HUB]("deliver")
        for town in CITIES:
            self.offices[town]("collect")
        self.progress("offices 建立后台", 1, 1)

    def _first_day(self) -> None:
        """Travellers tap abroad. East's upload is lost, West's comes twice, East raises an amount."""
        self._cities("morning", day=self.day)
        self._cities("first_loads")
        self._live()
        self._cities("close_city", day=self.day)
        east = self.offices[EAST]
        east("take_visitors", day=self.day)
        spoilt = east("spoil_amount", add_fen=SPOILT_FEN)
        assert spoilt, "no visitor paid anything in East on the first day"
        self.spoilt = spoilt
        self._fault("disputed", f"{EAST.en} raised the amount of {spoilt['tap']} by {SPOILT_FEN} fen")

        def lose() -> None:
            name = self.box.lose(self.box.find(HUB, "CD", EAST))
            self._fault("lost", f"{name} was lost on its way to the hub")

        self.on_the_way.append(lose)
        self._exchange()
        self._repeat()

    def _repeat(self) -> None:
        """West's upload lies in the hub's inbox once more, after it was taken."""
        name = self.box.repeat(HUB, self.sent_by_west)
        self._fault("repeated", f"{name} was delivered to the hub twice")
        seen = self.offices[HUB]("collect")
        quiet = seen["known"] == [name] and not seen["taken"]
        self._put_right(
            "repeated", quiet, "known by its number and digest: taken once, answered quietly", seen
        )

    def _second_day(self) -> None:
        """Again; West's cleared detail is altered on its way, and a traveller's card is reported lost."""
        self._next_day()
        self._cities("morning", day=self.day)
        self._live()
        self.lost_card = self.offices[WEST]("lose", card=TRAVELLERS[WEST][1])
        self._cities("close_city", day=self.day)

        def alter() -> None:
            name = self.box.alter(self.box.find(WEST, "CL", HUB))
            self._fault("altered", f"an amount in {name} was altered on its way to {WEST.en}")

        self.on_the_way_back.append(alter)
        self._exchange()

    def _third_day(self) -> None:
        """The lost card is refused abroad; West's holder complains about a tap."""
        self._next_day()
        self._cities("morning", day=self.day)
        self._live()
        self._fault(
            "card lost", f"card {self.lost_card} of {WEST.en} was reported lost and used on in {EAST.en}"
        )
        refused = self.seen_away.get("HOTLISTED", 0)
        self._put_right(
            "card lost", refused > 0 and self.took_lost == 0,
            f"on {EAST.en}'s terminals by way of the hub: refused {refused} times there", self.seen_away,
        )  # fmt: skip
        self._cities("close_city", day=self.day)
        self._exchange()
        made = self.offices[WEST]("complain", day=self.day, cause="4005", words="持卡人称重复扣款")
        assert made, "no tap of West was verified by the third day"
        self.complaint = made
        self._fault("complaint", f"a holder of {WEST.en} disputes {made['amount_fen']} fen of {made['ref']}")
        self._round()

    def _go_on(self) -> None:
        """One more day without travellers; disputes take their next step in the evening."""
        self._next_day()
        self._cities("morning", day=self.day)

    def _night(self) -> None:
        self._cities("close_city", day=self.day)
        self._dispute_steps()
        self._exchange()

    def _dispute_steps(self) -> None:
        """East accepts what is true and contests the complaint; West presents it again; the hub decides."""
        cases = {(one["originator"], one["cause"]): one for one in self.offices[EAST]("cases")}
        checked = cases.get((WEST.org, "6001"))
        if checked and checked["stage"] == "raised":
            self._act(EAST, checked, "accept", "金额录入有误")
        if checked and checked["stage"] == "adjusted" and "again" not in self.spoilt:
            self.spoilt["again"] = self.offices[EAST]("present_again", ref=checked["ref"], day=self.day)
        moves = {"raised": (EAST, "contest", "有进出站记录"),
                 "contested": (WEST, "represent", "附持卡人说明"),
                 "represented": (EAST, "contest", "记录无误"), "arbitration": (HUB, "grant", "")}  # fmt: skip
        for _ in moves:  # as far as it goes this evening
            complaint = next((one for one in self.offices[HUB]("cases") if one["cause"] == "4005"), None)
            if complaint and complaint["stage"] in moves:
                self._act(moves[complaint["stage"]][0], complaint, *moves[complaint["stage"]][1:])
                self._round()

    def _act(self, town: Town, case: dict[str, Any], what: str, words: str) -> None:
        stage = self.offices[town](
            "act", case=case["case"], originator=case["originator"], what=what, words=words, day=self.day
        )
        assert stage.islower(), f"{town.en} could not {what}: {stage}"

    # Moving about

    def _live(self) -> None:
        """A day: travellers are in the other city, everyone else at home."""
        self.seen_away: Counter[str] = Counter()
        self.took_lost = 0
        left = {town: self.offices[town]("depart", cards=TRAVELLERS[town]) for town in CITIES}
        for town, other in ((WEST, EAST), (EAST, WEST)):
            self.offices[town].ask(
                "live", day=self.day, away=TRAVELLERS[town], visitors=left[other], taps=[TAPS_HOME, TAPS_AWAY]
            )
        told = {town: self.offices[town].answer() for town in CITIES}
        for town, other in ((WEST, EAST), (EAST, WEST)):
            self.offices[other]("come_home", cards=TRAVELLERS[other], pockets=told[town]["pockets"])
            self.seen_away.update(told[town]["away"])
            self.report.taps.update(told[town]["here"])
            for before, after in zip(left[other], told[town]["pockets"], strict=True):
                self.took_lost += before["pan"] == self.lost_card and before["chip"] != after["chip"]
        self.report.taps.update(self.seen_away)

    def _exchange(self) -> None:
        """The evening of the exchange: up, clear, down; then a round for what was missed."""
        self._cities("close_exchange", day=self.day)
        sent = self._cities("deliver")
        self.sent_by_west = next(name for name in sent[WEST] if name.startswith("CD"))
        self._strike(self.on_the_way)
        self.offices[HUB]("at", day=self._tomorrow(), hour=3)
        self.offices[HUB]("collect")
        self.offices[HUB]("close_exchange", day=self.day)
        self.offices[HUB]("deliver")
        self._strike(self.on_the_way_back)
        self._cities("collect")
        self._cities("tell", day=self.day)
        self._round()
        self._watch()
        self.report.days += 1
        self.progress("days 清分日", self.report.days, DAYS_MAX)

    def _round(self) -> None:
        """Files go up and come down once more."""
        self._cities("deliver")
        self.offices[HUB]("collect")
        self.offices[HUB]("deliver")
        self._cities("collect")

    def _watch(self) -> None:
        """See how the faults are put right."""
        if "altered" in self.report.faults and not self.report.faults["altered"].how:
            alarms = self.offices[WEST]("alarms")
            waiting = self.offices[WEST]("agreement")["files"].get("waiting", 0)
            right = alarms.get("EXCHANGE_SIGNATURE", 0) == 1 and waiting == 0
            how = "its signature failed: set aside with an alarm, asked for again, taken as it was sent"
            self._put_right("altered", right, how, {"alarms": alarms, "waiting": waiting})
        if "lost" in self.report.faults and not self.report.faults["lost"].how and self.report.days > 0:
            cleared = self.offices[HUB]("agreement")["nets"].get(self.day.isoformat(), {})
            how = "missing in the hub's list of processed files: sent again, cleared a date later"
            self._put_right("lost", bool(cleared.get(EAST.org)), how, cleared)

    # The end

    def _at_rest(self) -> bool:
        return all(self.offices[town]("agreement")["sound"] for town in (WEST, EAST, HUB))

    def _check(self) -> None:
        """Every office with itself, with the others, and with the chips."""
        report = self.report
        for town in (WEST, EAST, HUB):
            found = self.offices[town]("agreement")
            report.states[town.key], report.files[town.key] = found["states"], found["files"]
            report.nets[town.key] = found["nets"]
            if not found["sound"]:
                report.failures.append(f"{town.en} does not agree with itself: {found}")
        for town in CITIES:
            report.failures += self.offices[town]("truth")
            report.failures += [f"{town.en}: under way {one}" for one in self.offices[town]("under_way")]
            if any(self.offices[town]("verifies")):
                report.failures.append(f"{town.en} could verify a TAC of another city")
            self._between(town)
        self._disputes_ended()
        summary = self.offices[HUB]("summary")
        report.exchanged, report.exchanged_fen = summary["taps"], summary["amount_fen"]
        for name, fault in report.faults.items():
            if not fault.how:
                report.failures.append(f"{name}: {fault.what}, and nothing put it right")

    def _between(self, town: Town) -> None:
        """What the hub says of a city is what the city says of the hub, date by date."""
        hub, own = self.report.nets[HUB.key], self.report.nets[town.key]
        for day in sorted(hub.keys() | own.keys()):
            theirs, ours = hub.get(day, {}).get(town.org, 0), own.get(day, {}).get(HUB.org, 0)
            if theirs + ours:
                self.report.failures.append(
                    f"{day}: the hub owes {town.en} {theirs} fen, its books say {-ours}"
                )

    def _disputes_ended(self) -> None:
        found = {one["cause"]: one for one in self.offices[WEST]("cases")}
        checked, complaint = found.get("6001", {}), found.get("4005", {})
        right = checked.get("stage") == "adjusted" and checked["refunded_fen"] == 0 and "again" in self.spoilt
        how = "its TAC failed at the issuer: refused, disputed, accepted, adjusted, presented again as it was"
        self._put_right("disputed", right, how, checked)
        right = complaint.get("stage") == "adjusted" and (
            complaint["refunded_fen"] == complaint["back_fen"] == self.complaint["amount_fen"]
        )
        how = "contested, presented again, contested, granted by the hub, adjusted, owed to the holder"
        self._put_right("complaint", right, how, complaint)

    # Small things

    def _fault(self, name: str, what: str) -> None:
        self.report.faults[name] = Fault(what)

    def _put_right(self, name: str, right: bool, how: str, seen: Any) -> None:
        if right:
            self.report.faults[name].how = how
        else:
            self.report.failures.append(f"{name}: not put right; seen was {seen}")

    def _strike(self, faults: list[Callable[[], None]]) -> None:
        for strike in faults:
            strike()
        faults.clear()

    def _cities(self, command: str, **arguments: Any) -> dict[Town, Any]:
        """A command to both cities, at the same time."""
        for town in CITIES:
            self.offices[town].ask(command, **arguments)
        return {town: self.offices[town].answer() for town in CITIES}

    def _all(self, command: str, **arguments: Any) -> None:
        self._cities(command, **arguments)
        self.offices[HUB](command, **arguments)

    def _next_day(self) -> None:
        self.day += timedelta(days=1)

    def _tomorrow(self) -> date:
        return self.day + timedelta(days=1)
