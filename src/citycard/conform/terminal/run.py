# SPDX-License-Identifier: Apache-2.0
"""Plays the scenarios to a terminal and judges its records: at once in process, or later from batch files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from citycard.conform.model import Case, Confidence, Exchanged, Failed, Result, Step, Text, Verdict
from citycard.conform.terminal.judge import judge, numbered
from citycard.conform.terminal.laboratory import Laboratory, pan_of
from citycard.conform.terminal.played import Commit, PlayedCard
from citycard.conform.terminal.scenarios import KIT, SCENARIOS, Scenario
from citycard.core.problem import declare
from citycard.core.record import TapRecord
from citycard.keys import Vault

PASSED: Final = Text("records and cards agree", "记录与卡片一致")
NOT_PLAYED: Final = Text("the scenario was not played", "未执行该场景")

CONFORM_SCENARIO = declare(
    "CONFORM_SCENARIO",
    "There is no scenario {scenario}. `citycard conform list --terminal` shows those there are.",
    "没有场景 {scenario}，可用 `citycard conform list --terminal` 查看全部场景。",
)


class UnderTest(Protocol):
    """Terminals that cards can be presented to."""

    title: str

    def wait(self, seconds: float) -> None:
        """Time passes between two presentations."""
        ...

    def tap(self, place: str, card: PlayedCard) -> object:
        """Present a card at `enter`, `exit`, `pay` or `load`; what the terminal shows does not count."""
        ...


class Played(Protocol):
    """A scenario that was played: what its cards committed and what passed."""

    commits: Sequence[Commit]
    trace: Sequence[Exchanged]


def chosen(wanted: Iterable[str], places: frozenset[str] = frozenset()) -> tuple[Scenario, ...]:
    """The scenarios of these ids or groups (none: all) that need no other places. CONFORM_SCENARIO."""
    names = [name.upper() for name in wanted]
    for name in names:
        if not any(name in (scenario.id, scenario.group) for scenario in SCENARIOS):
            raise CONFORM_SCENARIO(scenario=name)
    return tuple(
        scenario
        for scenario in SCENARIOS
        if (not names or scenario.id in names or scenario.group in names)
        and (not places or scenario.places <= places)
    )


def play(
    scenario: Scenario, terminals: UnderTest, laboratory: Laboratory
) -> tuple[list[Commit], list[Exchanged]]:
    """Present the cards of a scenario; what they truly committed, and what passed."""
    cards = laboratory.cards(scenario, terminals.wait)
    order: list[Exchanged] = []
    for number, present in enumerate(scenario.presents):
        if number:  # the cards are new: the first waits for nothing
            terminals.wait(present.after_s)
        card = cards[present.card]
        card.trace = order
        terminals.tap(present.place, card.present(present.faults))
    return [commit for card in cards for commit in card.commits], order


def case_of(scenario: Scenario) -> Case:
    """A scenario as a case of the report: expectations in words."""
    expects = []
    for number, wanted in enumerate(scenario.amounts, 1):
        told = ", ".join(map(str, wanted))
        en = f"transactions of {told} fen, one record each" if wanted else "no transaction and no record"
        zh = f"交易 {told} 分，各一条记录" if wanted else "无交易、无记录"
        expects.append(Text(f"card {number}: {en}", f"卡 {number}：{zh}"))
    steps = tuple(Step(lambda bench: None, text) for text in expects)
    confidence = Confidence.ONE if scenario.clause == KIT else Confidence.SOURCES
    return Case(scenario.id, scenario.title, scenario.clause, confidence, steps)


def verdict(
    scenario: Scenario, commits: Sequence[Commit], records: Iterable[TapRecord], vault: Vault,
    trace: Sequence[Exchanged] = (), seconds: float = 0.0,
) -> Result:  # fmt: skip
    """The judge's word on one scenario."""
    pans = [pan_of(scenario, number) for number in range(len(scenario.cards))]
    mine = [record for record in records if record.pan in pans]
    observed = tuple(
        Text(
            f"record {record.id}: card {record.pan}, {record.amount_fen} fen, counter {record.counter}",
            f"记录 {record.id}：卡 {record.pan}，{record.amount_fen} 分，计数器 {record.counter}",
        )
        for record in mine
    ) or (Text("no record", "无记录"),)
    try:
        judge(scenario, pans, commits, mine, vault)
    except Failed as failed:
        return Result(case_of(scenario), failed.verdict, failed.text, observed, tuple(trace), seconds)
    return Result(case_of(scenario), Verdict.PASS, PASSED, observed, tuple(trace), seconds)


class Recording(UnderTest, Protocol):
    """Terminals whose records can be had at once."""

    def records(self) -> list[TapRecord]:
        """All records made so far."""
        ...


def run(
    scenarios: Sequence[Scenario],
    make: Callable[[], Recording],
    laboratory: Laboratory,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[Result]:
    """Play and judge each scenario at new terminals in this process."""
    results = []
    for done, scenario in enumerate(scenarios):
        progress("scenarios", done, len(scenarios))
        start = time.perf_counter()
        terminals = make()
        commits, trace = play(scenario, terminals, laboratory)
        records = terminals.records()
        result = verdict(scenario, commits, records, laboratory.vault, trace, time.perf_counter() - start)
        results.append(_numbered(result, records))
    progress("scenarios", len(scenarios), len(scenarios))
    return results


def _numbered(result: Result, records: Sequence[TapRecord]) -> Result:
    """The result, unless it passed and the records are numbered wrongly."""
    if result.verdict is not Verdict.PASS:
        return result
    try:
        numbered(records)
    except Failed as failed:
        return Result(result.case, failed.verdict, failed.text, result.observed, result.trace, result.seconds)
    return result
