# SPDX-License-Identifier: Apache-2.0
"""Nothing writes unless told: the guard by itself, against every command there is, and under the catalogue."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citycard.conform.bench import SELECT, Bench
from citycard.conform.guard import Effect, Guard, effect_of
from citycard.conform.model import Need, Verdict
from citycard.conform.mutants.kit import refuses
from citycard.conform.run import Orders, run, run_case
from citycard.conform.specimens import EmulatedField, Specimen
from citycard.conform.stands import lived
from citycard.core.card import Card
from citycard.core.problem import Problem
from tests.conform.world import CASES, MOMENT, READ_ONLY, mint, stand

WRITING = (
    "00D6950001AA", "04D6950005AA11223344", "00DC01C417", "00E200C017", "80D43E0101AA", "84D40102", "80E00015",
    "805401000F", "805200000B", "0082000008", "0020000002", "80DC00F030", "805E0000", "84240000", "04B095000400",
    "800E000000", "80580000", "84E20000", "C0A40000", "01A40400", "80CD0200",
)  # fmt: skip
LOCKING = ("841E000004AABBCCDD", "8418000004AABBCCDD", "8416000004AABBCCDD", "8424000004AABBCCDD")


def card() -> Card:
    return Card.from_image(lived(mint()), Random(1).randbytes)


def guarded(specimen: Card, **allowed: bool) -> Guard:
    guard = Guard(EmulatedField(Specimen(specimen)), **allowed)
    guard.connect()
    guard(SELECT)
    return guard


@pytest.mark.parametrize("command", [*WRITING, *LOCKING])
def test_a_writing_command_is_stopped_before_it_is_sent(command: str) -> None:
    specimen = card()
    before = specimen.image()
    with pytest.raises(Problem) as stopped:
        guarded(specimen)(bytes.fromhex(command))
    assert stopped.value.code == "CONFORM_GUARD"
    assert specimen.image() == before


@pytest.mark.parametrize("command", LOCKING)
def test_leave_to_write_is_no_leave_to_lock(command: str) -> None:
    with pytest.raises(Problem, match="--allow-lock"):
        guarded(card(), allow_write=True)(bytes.fromhex(command))
    assert len(guarded(card(), allow_lock=True)(bytes.fromhex(command))) == 2


KNOWN = st.sampled_from(
    [code.to_bytes(2, "big") for code in range(0x10000) if effect_of(code.to_bytes(2, "big")) is Effect.NONE]
)
TAILS = st.binary(max_size=40)


@given(
    st.lists(
        st.one_of(st.builds(lambda head, tail: head + tail, KNOWN, TAILS), st.binary(max_size=40)), max_size=8
    )
)
def test_what_passes_the_guard_never_changes_a_cell(commands: list[bytes]) -> None:
    specimen = card()
    before = specimen.image()
    guard = guarded(specimen)
    for command in commands:
        try:
            guard(command)
        except Problem as stopped:
            assert stopped.code == "CONFORM_GUARD"
    assert specimen.image() == before


def test_staging_passes_only_while_a_composite_purchase_is_open() -> None:
    specimen = card()
    guard, stage = guarded(specimen), bytes.fromhex("80DC00F030") + bytes(48)
    before = specimen.image()
    assert guard(bytes.fromhex("805003020B0100000000990000C0FFEE0F"))[-2:] == b"\x90\x00"
    assert guard(stage) == b"\x90\x00"
    assert guard(stage) == b"\x90\x00"
    guard(bytes.fromhex("805C030204"))
    with pytest.raises(Problem):
        guard(stage)
    assert specimen.image() == before


def test_the_last_try_of_a_key_is_not_spent_without_leave() -> None:
    specimen = card()
    guard = guarded(specimen, allow_write=True)
    for left in (b"\x63\xc2", b"\x63\xc1"):
        guard(bytes.fromhex("0084000008"))
        assert guard(bytes.fromhex("0082000008") + bytes(8)) == left
    guard(bytes.fromhex("0084000008"))
    with pytest.raises(Problem, match="last try"):
        guard(bytes.fromhex("0082000008") + bytes(8))


def test_wrong_macs_stop_before_they_lock_the_key() -> None:
    guard = guarded(card(), allow_write=True)
    for _ in range(2):
        guard(bytes.fromhex("0084000004"))
        assert guard(bytes.fromhex("04D6960005AA00000000")) == b"\x69\x88"
    with pytest.raises(Problem, match="last try"):
        guard(bytes.fromhex("04D6960005AA00000000"))


def test_the_whole_catalogue_leaves_the_card_alone_unless_allowed() -> None:
    here = stand()
    before = here.specimen.card.image()
    results = run(tuple(CASES.values()), here, READ_ONLY)
    assert here.specimen.card.image() == before
    ran = [result.case for result in results if result.verdict is not Verdict.NOT_RUN]
    assert len(ran) > 80
    assert not any(Need.WRITE in case.needs for case in ran)


def test_a_case_that_lies_about_its_needs_is_stopped_by_the_guard() -> None:
    here = stand()
    bench = Bench(Guard(here.field()), here.keys, MOMENT, here.clock)
    before = here.specimen.card.image()
    with pytest.raises(Problem, match="was not allowed"):
        run_case(CASES["TU-PUR-003"], bench)
    assert here.specimen.card.image() == before


def test_locking_cases_do_not_run_on_leave_to_write() -> None:
    results = run(tuple(CASES.values()), stand(), Orders(MOMENT, allow_write=True, samples=368))
    not_run = {result.case.id for result in results if result.verdict is Verdict.NOT_RUN}
    assert not_run == {case.id for case in CASES.values() if Need.LOCK in case.needs}
    assert {result.case.id for result in results if result.verdict is Verdict.FAIL} == set()


def test_a_card_that_refuses_what_is_right_is_not_locked_by_the_kit() -> None:
    """Its message key has three tries; every case that would need one more is not run, and says why."""
    here = stand(defect=lambda specimen, keys: refuses("04D6", 0x6988)(specimen, keys))
    secured = tuple(case for case in CASES.values() if case.group == "SEC")
    results = {result.case.id: result for result in run(secured, here, Orders(MOMENT, allow_write=True))}
    assert results["TU-SEC-011"].verdict is Verdict.FAIL
    stopped = [result for result in results.values() if "last try" in result.why.en]
    assert {result.verdict for result in stopped} == {Verdict.NOT_RUN}
    assert len(stopped) > 3
