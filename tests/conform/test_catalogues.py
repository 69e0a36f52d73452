# SPDX-License-Identifier: Apache-2.0
"""The catalogues beside T-Union's: good cards pass, each mutant is caught, nothing writes unless told."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from citycard.cli import app
from citycard.conform.catalogue import CATALOGUES, GROUPS
from citycard.conform.guard import Effect, Guard, domain_effect
from citycard.conform.keyring import Keyring, LabKeys
from citycard.conform.kinds import KINDS
from citycard.conform.model import Case, Need, Verdict
from citycard.conform.mutants import MUTANTS
from citycard.conform.mutants.kit import refuses
from citycard.conform.report import card_report, html
from citycard.conform.run import Orders, run
from citycard.conform.stands import ReaderStand
from citycard.core.problem import Problem
from tests.conform.test_kit import Wild, told
from tests.conform.world import EVERYTHING, MOMENT, OTHERS, READ_ONLY, Ticks, stand_of, stock, vault

DOCS = Path(__file__).parents[2] / "docs" / "conformance.md"
BY_ID: dict[str, tuple[str, Case]] = {
    case.id: (name, case) for name in OTHERS for case in CATALOGUES[name].cases
}


def test_every_case_has_a_mutant_a_group_and_a_title_of_its_own() -> None:
    every = [case for catalogue in CATALOGUES.values() for case in catalogue.cases]
    assert MUTANTS.keys() == {case.id for case in every}
    assert len({case.id for case in every}) == len(every)
    assert {case.group for case in every} == GROUPS.keys()
    for catalogue in CATALOGUES.values():
        for language in ("en", "zh"):
            titles = [case.title.text(language) for case in catalogue.cases]
            assert sorted({title for title in titles if titles.count(title) > 1}) == []
    assert all(case.expectations and case.clause for case in every)
    assert KINDS.keys() == CATALOGUES.keys()


def test_the_documentation_counts_the_catalogues() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (\w\w) \| (\d+) \|", DOCS.read_text(encoding="utf-8"), re.M)
    assert rows == [(name, one.prefix, str(len(one.cases))) for name, one in CATALOGUES.items()]


@pytest.mark.parametrize("profile", OTHERS)
def test_a_good_card_passes_its_whole_catalogue(profile: str) -> None:
    assert told(run(CATALOGUES[profile].cases, stand_of(profile), EVERYTHING)) == []


@pytest.mark.parametrize("id_", BY_ID)
def test_a_case_passes_alone_and_catches_its_mutant(id_: str) -> None:
    profile, case = BY_ID[id_]
    assert told(run((case,), stand_of(profile), EVERYTHING)) == []
    (result,) = run((case,), stand_of(profile, defect=MUTANTS[id_]), EVERYTHING)
    assert result.verdict is Verdict.FAIL, result.why.en
    assert result.why.zh


@pytest.mark.parametrize("profile", OTHERS)
@pytest.mark.parametrize("seed", range(5))
def test_whatever_a_card_answers_every_case_gets_a_verdict(profile: str, seed: int) -> None:
    wild = stand_of(profile, defect=lambda specimen, keys: Wild(specimen, seed))
    results = run(CATALOGUES[profile].cases, wild, EVERYTHING)
    assert len(results) == len(CATALOGUES[profile].cases)
    assert sum(result.verdict is Verdict.FAIL for result in results) > 15


# The guard


@pytest.mark.parametrize("profile", OTHERS)
def test_the_whole_catalogue_leaves_the_card_alone_unless_allowed(profile: str) -> None:
    here = stand_of(profile)
    before = here.specimen.card.image()
    results = run(CATALOGUES[profile].cases, here, READ_ONLY)
    assert here.specimen.card.image() == before
    ran = [result.case for result in results if result.verdict is not Verdict.NOT_RUN]
    assert len(ran) > 5
    assert not any(Need.WRITE in case.needs for case in ran)


@pytest.mark.parametrize("profile", OTHERS)
def test_locking_cases_do_not_run_on_leave_to_write(profile: str) -> None:
    cases = CATALOGUES[profile].cases
    results = run(cases, stand_of(profile), Orders(MOMENT, allow_write=True))
    not_run = {result.case.id for result in results if result.verdict is Verdict.NOT_RUN}
    assert not_run == {case.id for case in cases if Need.LOCK in case.needs}
    assert {result.case.id for result in results if result.verdict is Verdict.FAIL} == set()


KNOWN = {
    name: st.sampled_from(
        [raw for code in range(0x10000) if kind.effect(raw := code.to_bytes(2, "big"), False) is Effect.NONE]
    )
    for name, kind in KINDS.items()
    if name in OTHERS
}


@pytest.mark.parametrize("profile", OTHERS)
@settings(max_examples=50)
@given(data=st.data())
def test_what_passes_the_guard_never_changes_a_cell(profile: str, data: st.DataObject) -> None:
    here = stand_of(profile)
    before, guard = here.specimen.card.image(), Guard(here.field(), effect=here.kind.effect)
    guard.connect()
    guard(here.kind.home)
    for _ in range(data.draw(st.integers(0, 8))):
        try:
            guard(data.draw(KNOWN[profile]) + data.draw(st.binary(max_size=40)))
        except Problem as stopped:
            assert stopped.code == "CONFORM_GUARD"
    assert here.specimen.card.image() == before


def test_what_counts_or_ends_a_card_with_domains_is_no_reading() -> None:
    assert domain_effect(bytes.fromhex("80500000")) is Effect.WRITE  # may count a session
    assert domain_effect(bytes.fromhex("80F0807F")) is domain_effect(bytes.fromhex("84F0807F")) is Effect.LOCK
    assert domain_effect(bytes.fromhex("84820100")) is Effect.WRITE
    assert domain_effect(bytes.fromhex("80CA0066")) is Effect.NONE


def writing(profile: str) -> Guard:
    here = stand_of(profile)
    guard = Guard(here.field(), allow_write=True, effect=here.kind.effect)
    guard.connect()
    guard(here.kind.home)
    return guard


def test_the_last_try_of_a_pin_is_not_spent_without_leave() -> None:
    guard = writing("pboc")
    for command in ("0020000003999999", "805E010007999999FF123456"):  # VERIFY, then CHANGE: one counter
        assert guard(bytes.fromhex(command))[0] == 0x63
    with pytest.raises(Problem, match="last try"):
        guard(bytes.fromhex("0020000003999999"))


@pytest.mark.parametrize(
    ("profile", "opening", "proof", "answer"),
    [
        ("pboc", "805C000204", "805E00000799999900000000", b"\x93\x02"),
        ("gp", "8050200008C17ECA4DC0FFEE0100", "8482010010" + "00" * 16, b"\x63\x00"),
    ],
)
def test_wrong_proofs_stop_before_they_lock_the_key(
    profile: str, opening: str, proof: str, answer: bytes
) -> None:
    guard = writing(profile)
    for _ in range(2):
        guard(bytes.fromhex(opening))
        assert guard(bytes.fromhex(proof)) == answer
    with pytest.raises(Problem, match="last try"):
        guard(bytes.fromhex(proof))


# Keys, reports, the command


def test_keys_that_a_vault_does_not_lend_are_no_fault_of_the_card() -> None:
    """Cases of PINs and deposits want keys of their own: on a reader, with a vault, they say so."""
    reader = ReaderStand(stand_of("pboc").field(), "a reader", vault(), Ticks(), KINDS["pboc"])
    assert isinstance(reader.keys, Keyring)
    wanted = [BY_ID[id_][1] for id_ in ("PB-PIN-007", "PB-BAL-001", "PB-UNL-001")]
    verdicts = [result.verdict for result in run(wanted, reader, EVERYTHING)]
    assert verdicts == [Verdict.NOT_RUN, Verdict.PASS, Verdict.NOT_RUN]


def test_a_card_without_the_laboratorys_keys_is_not_accused() -> None:
    here = stand_of("pboc", defect=refuses("0088", 0x6A88))
    (result,) = run((BY_ID["PB-INT-001"][1],), here, EVERYTHING)
    assert result.verdict is Verdict.NOT_RUN
    assert "key 30" in result.why.en


def test_no_key_of_a_specimen_is_printed() -> None:
    keys = stock("pboc").keys
    assert isinstance(keys, LabKeys)
    shown = repr(keys) + repr(stock("gp").keys)
    secrets = [*keys.values.values(), *stock("gp").keys.set_of(0x20).keys]  # type: ignore[union-attr]
    assert not [secret for secret in secrets if secret.hex() in shown or repr(secret)[2:-1] in shown]


def test_the_report_names_the_profile_and_its_title() -> None:
    here = stand_of("gp")
    cases = [BY_ID["GP-STR-001"][1], BY_ID["GP-SC3-003"][1]]
    report = card_report(run(cases, here, EVERYTHING), here, EVERYTHING, "gp", datetime(2026, 9, 1))
    page = html(report)
    assert f"gp (Issuer security domain / 发卡方安全域), 2 / {len(CATALOGUES['gp'].cases)} cases" in page


@pytest.mark.parametrize("profile", OTHERS)
def test_the_command_tests_every_profile(profile: str, tmp_path: Path) -> None:
    call = CliRunner().invoke
    listed = json.loads(call(app, ["conform", "list", "--profile", profile, "--json"]).stdout)
    assert [row["id"] for row in listed["cases"]] == [case.id for case in CATALOGUES[profile].cases]
    arguments = [
        "conform",
        "card",
        "--profile",
        profile,
        "--allow-write",
        "--report",
        str(tmp_path),
        "--json",
    ]
    tested = call(app, arguments)
    counts = json.loads(tested.stdout)["counts"]
    assert (tested.exit_code, counts["fail"], counts["inconclusive"]) == (0, 0, 0)
    refused = call(app, [*arguments, "--suite", "SM4"])
    assert isinstance(refused.exception, Problem)
    assert refused.exception.code == "CONFORM_SUITE"
