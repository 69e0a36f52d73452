# SPDX-License-Identifier: Apache-2.0
"""The kit tests itself: a good card passes every case, and each mutant is caught by its own."""

from __future__ import annotations

from random import Random

import pytest

from citycard.conform import stats
from citycard.conform.keyring import Keyring
from citycard.conform.model import Need, Result, Verdict
from citycard.conform.mutants import MUTANTS
from citycard.conform.run import Orders, run
from citycard.conform.specimens import EmulatedField, Specimen
from citycard.conform.stands import EmulatedStand, ReaderStand, lived
from citycard.core.card import Card
from citycard.core.problem import Problem
from tests.conform.world import CASES, EVERYTHING, MOMENT, READ_ONLY, Ticks, mint, stand, vault


def told(results: list[Result]) -> list[str]:
    return [f"{r.case.id} {r.verdict}: {r.why.en}" for r in results if r.verdict is not Verdict.PASS]


def test_there_is_a_mutant_for_every_case_and_no_other() -> None:
    assert {id_ for id_ in MUTANTS if id_.startswith("TU-")} == CASES.keys()
    assert len(CASES) > 200
    assert len({case.title.en for case in CASES.values()}) == len(CASES)
    assert len({case.title.zh for case in CASES.values()}) == len(CASES)
    assert all(case.expectations and case.clause for case in CASES.values())


@pytest.mark.parametrize("algorithm", [0, 1])
def test_a_good_card_passes_the_whole_catalogue(algorithm: int) -> None:
    good = EmulatedStand(mint(algorithm), Ticks())
    assert told(run(tuple(CASES.values()), good, EVERYTHING)) == []


@pytest.mark.parametrize("id_", CASES)
def test_a_case_passes_alone_and_catches_its_mutant(id_: str) -> None:
    case = CASES[id_]
    assert told(run((case,), stand(), EVERYTHING)) == []
    (result,) = run((case,), stand(defect=MUTANTS[id_]), EVERYTHING)
    assert result.verdict is Verdict.FAIL, result.why.en
    assert result.why.en
    assert result.why.zh


class Wild(Specimen):
    """A card that answers anything at all, now and then."""

    def __init__(self, specimen: Specimen, seed: int) -> None:
        super().__init__(specimen.card)
        self.random = Random(seed)

    def process(self, command: bytes) -> bytes:
        answer, draw = super().process(command), self.random.random()
        if draw < 0.7:
            return answer
        if draw < 0.8:
            return answer[: self.random.randrange(len(answer))]
        size = len(answer) - 2 if draw < 0.9 else self.random.randrange(60)
        return self.random.randbytes(size) + (b"\x90\x00" if draw < 0.95 else self.random.randbytes(2))


@pytest.mark.parametrize("seed", range(15))
def test_whatever_a_card_answers_every_case_gets_a_verdict(seed: int) -> None:
    wild = stand(defect=lambda specimen, keys: Wild(specimen, seed))
    results = run(tuple(CASES.values()), wild, Orders(MOMENT, True, True, samples=20))
    assert len(results) == len(CASES)
    assert sum(result.verdict is Verdict.FAIL for result in results) > 30


# On a reader


def on_a_reader(keys: bool = True) -> ReaderStand:
    card = Card.from_image(lived(mint()), Random(3).randbytes)
    return ReaderStand(EmulatedField(Specimen(card)), "a reader", vault() if keys else None, Ticks())


def test_on_a_reader_what_it_cannot_do_is_not_run_and_says_why() -> None:
    results = {result.case.id: result for result in run(tuple(CASES.values()), on_a_reader(), EVERYTHING)}
    cut, prepared = results["TU-TEA-010"], results["TU-CNT-002"]
    assert (cut.verdict, prepared.verdict) == (Verdict.NOT_RUN, Verdict.NOT_RUN)
    assert "cuts the field" in cut.why.en
    assert "prepared" in prepared.why.en
    ruined = [case.id for case in CASES.values() if case.ruins]
    assert results[ruined[0]].verdict is Verdict.PASS
    assert {results[id_].verdict for id_ in ruined[1:]} == {Verdict.NOT_RUN}
    assert ruined[0] in results[ruined[1]].why.en
    assert {r.verdict for r in results.values()} == {Verdict.PASS, Verdict.NOT_RUN}


def test_without_keys_the_cases_that_need_none_run() -> None:
    results = run(
        tuple(CASES.values()), on_a_reader(keys=False), Orders(MOMENT, allow_write=True, samples=368)
    )
    ran = {result.case.id for result in results if result.verdict is Verdict.PASS}
    assert ran == {case.id for case in CASES.values() if case.needs <= {Need.WRITE}}


def test_a_reader_without_such_a_card_is_told_in_words() -> None:
    class Empty:
        def connect(self) -> bytes:
            return b"\x3b\x00"

        def __call__(self, command: bytes) -> bytes:
            return b"\x6a\x82"

    with pytest.raises(Problem) as problem:
        ReaderStand(Empty(), "a reader", None, Ticks())
    assert problem.value.code == "CONFORM_NO_CARD"


def test_keys_of_another_scheme_are_no_fault_of_the_card() -> None:
    card = on_a_reader()
    card.keys = Keyring(vault(1), mint().factors)  # SM4 keys only
    (result,) = run((CASES["TU-PUR-001"],), card, EVERYTHING)
    assert result.verdict is Verdict.NOT_RUN
    assert "key" in result.why.en


# Statistics


def test_intervals_of_quantiles_hold_the_truth() -> None:
    random, inside = Random(5), 0
    for _ in range(200):
        found = stats.quantile([random.random() for _ in range(400)], 0.99)
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 0.99 <= found.high
    assert inside >= 185  # 95 % of 200, less three standard deviations


def test_few_samples_do_not_bound_a_high_quantile() -> None:
    found = stats.quantile(list(range(100)), 0.99)
    assert found.high is None
    assert stats.quantile(list(range(368)), 0.99).high == 367
    assert stats.quantile(list(range(367)), 0.99).high is None


def test_a_time_between_the_limits_is_undecided() -> None:
    (result,) = run((CASES["TU-TIM-001"],), stand(), Orders(MOMENT, samples=50))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "more samples" in result.why.en


def test_good_randomness_is_not_accused() -> None:
    for seed in range(30):
        draws = [Random(1000 * seed + n).randbytes(8) for n in range(500)]
        bits = stats.bits_of(b"".join(draws))
        worst = max(abs(stats.monobit_z(bits)), abs(stats.runs_z(bits)), abs(stats.serial_z(draws)))
        assert max(worst, stats.bytes_z(b"".join(draws))) < stats.Z_MAX
        assert stats.worst_position_z(draws) < stats.Z_POSITION


def test_nothing_is_asked_twice_of_a_case_that_is_not_allowed() -> None:
    (result,) = run((CASES["TU-PUR-003"],), stand(), READ_ONLY)
    assert result.verdict is Verdict.NOT_RUN
    assert result.trace == ()
    assert "--allow-write" in result.why.en
    assert "--allow-write" in result.why.zh
