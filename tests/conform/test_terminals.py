# SPDX-License-Identifier: Apache-2.0
"""The judge of terminals: our own passes every scenario, and each mutant terminal is caught by its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from citycard.conform.model import Verdict
from citycard.conform.terminal import folder
from citycard.conform.terminal.mutants import MUTANTS
from citycard.conform.terminal.own import OwnTerminals
from citycard.conform.terminal.played import PlayedCard
from citycard.conform.terminal.plug import PlugIn
from citycard.conform.terminal.run import chosen, play, run
from citycard.conform.terminal.scenarios import SCENARIOS
from citycard.core.problem import Problem
from tests.conform.world import batch, laboratory

BY_ID = {scenario.id: scenario for scenario in SCENARIOS}


def test_there_is_a_mutant_terminal_for_every_scenario() -> None:
    assert MUTANTS.keys() == BY_ID.keys()
    assert all(len(scenario.amounts) == len(scenario.cards) for scenario in SCENARIOS)


def test_our_own_terminal_passes_every_scenario() -> None:
    here = laboratory()
    results = run(SCENARIOS, lambda: OwnTerminals(here), here)
    assert [f"{r.case.id} {r.why.en}" for r in results if r.verdict is not Verdict.PASS] == []


def test_our_own_terminal_passes_them_all_in_one_day() -> None:
    here = laboratory()
    day = OwnTerminals(here)
    truth = {scenario.id: play(scenario, day, here) for scenario in SCENARIOS}
    results = folder.judge_played(SCENARIOS, truth, day.records(), here.vault)
    assert [f"{r.case.id} {r.why.en}" for r in results if r.verdict is not Verdict.PASS] == []
    assert len(results) == len(SCENARIOS) + 2
    assert day.host.open == set()  # every load was confirmed or reversed


@pytest.mark.parametrize("id_", BY_ID)
def test_each_mutant_terminal_is_caught(id_: str) -> None:
    here = laboratory()
    (result,) = run((BY_ID[id_],), lambda: MUTANTS[id_](here), here)
    assert result.verdict is Verdict.FAIL
    assert result.why.zh


def test_a_terminal_elsewhere_is_judged_by_its_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """prepare, play (here: to a terminal in a reader of our own making), judge; all from files."""
    folder.prepare(tmp_path, lambda: "laboratory")
    here = replace(laboratory(), vault=folder.open_vault(tmp_path, lambda: "laboratory"))
    elsewhere = OwnTerminals(here)
    presented: list[tuple[str, PlayedCard]] = []

    class Slot:
        """The terminal's reader: it taps whatever lies in it."""

        def serve(self, card: object) -> None:
            place, played = presented[-1]
            assert card is played
            elsewhere.tap(place, played)

        def remove(self) -> None:
            assert presented

    plug = PlugIn(Slot, lambda place, card: presented.append((place, card)), lambda: None)
    monkeypatch.setattr(plug, "wait", elsewhere.wait)
    monkeypatch.setattr(PlayedCard, "leave", lambda card: None)
    wanted = chosen(["TT-GOO-001", "TT-TOR-004", "REF"])
    for scenario in wanted:
        folder.keep_played(tmp_path, scenario, *play(scenario, plug, here))
    files = []
    for terminal in elsewhere.terminals.values():
        if records := terminal.journal.records():
            files.append(tmp_path / f"{terminal.config.terminal.hex()}.ccb")
            files[-1].write_bytes(batch(here.vault, records))
    truth, (batches, records) = folder.read_played(tmp_path), folder.read_batches(files)
    results = folder.judge_played(wanted, truth, records, here.vault)
    assert {result.verdict for result in results} == {Verdict.PASS}
    assert folder.judge_batches(batches, here.vault).verdict is Verdict.PASS
    assert (
        folder.judge_batches(batches, laboratory().vault).verdict is Verdict.FAIL
    )  # another terminal's keys
    results = folder.judge_played(SCENARIOS, truth, records[:-1], here.vault)
    verdicts = {result.case.id: result.verdict for result in results}
    assert Verdict.FAIL in verdicts.values()
    assert verdicts["TT-STR-001"] is Verdict.NOT_RUN


def test_files_that_cannot_be_judged_are_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "x.ccb").write_bytes(b"CCB1 and nothing else")
    with pytest.raises(Problem) as problem:
        folder.read_batches([tmp_path / "x.ccb"])
    assert problem.value.code == "CONFORM_BATCH"
    with pytest.raises(Problem) as problem:
        folder.open_vault(tmp_path, lambda: "")
    assert problem.value.code == "CONFORM_LAB"
    (tmp_path / folder.PLAYED).write_text('{"format": 1, "scenarios": {"TT-GOO-001": {"commits": [{}]}}}')
    with pytest.raises(Problem) as problem:
        folder.read_played(tmp_path)
    assert problem.value.code == "CONFORM_LAB"
