# SPDX-License-Identifier: Apache-2.0
"""The report and the command: what a laboratory takes home."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from datetime import datetime
from pathlib import Path

import pytest
from markupsafe import escape
from typer.testing import CliRunner

from citycard.cli import app
from citycard.conform.annotate import command_name, explained, in_words
from citycard.conform.catalogue import GROUPS
from citycard.conform.model import Exchanged, Result, Verdict
from citycard.conform.mutants import MUTANTS
from citycard.conform.report import Report, card_report, html, junit, write
from citycard.conform.run import chosen, run
from citycard.core.problem import Problem
from tests.conform.world import CASES, EVERYTHING, stand

NOW = datetime(2026, 9, 1, 12)
SOME = ("TU-STR-001", "TU-CMD-012", "TU-PUR-003", "TU-TEA-010", "TU-LCK-002", "TU-TIM-001")


@pytest.fixture(scope="module")
def report() -> Report:
    """A card that fails one case, and passes others."""
    here = stand(defect=MUTANTS["TU-CMD-012"])
    return card_report(run([CASES[id_] for id_ in SOME], here, EVERYTHING), here, EVERYTHING, "t-union", NOW)


def test_the_page_stands_alone_and_tells_everything_in_both_languages(report: Report) -> None:
    page = html(report, "zh")
    assert '<html lang="zh-Hans">' in page
    assert re.search(r'id="zh" checked', page)
    for result in report.results:
        assert f'id="{result.case.id}"' in page
        assert result.case.title.zh in page
        assert escape(result.case.clause) in page
    assert "expected 6Cxx" in page
    assert "应为 6Cxx" in page
    assert "03199000000000000018" in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//|<script|@import|url\(', page)
    assert "exchanges more" in page  # a long trace is cut, and says so


def test_no_answer_of_a_card_becomes_markup(report: Report) -> None:
    assert "<script>alert" not in html(
        Report(report.title, NOW, ((report.title, "<script>alert(1)"),), {}, ())
    )


def test_the_junit_file_counts_what_happened(report: Report) -> None:
    root = ET.fromstring(junit(report))
    cases = list(root.iter("testcase"))
    assert len(cases) == len(SOME)
    (failure,) = root.iter("failure")
    assert "expected 6Cxx" in failure.attrib["message"]
    story = next(case for case in cases if "TU-CMD-012" in case.attrib["name"]).findtext("system-out") or ""
    assert "> 00 B0 95 00 64\n< 6700" in story
    assert "expected: 6Cxx, and xx bytes when asked again" in story
    assert sum(int(suite.attrib["failures"]) for suite in root) == 1


def test_the_trace_holds_every_exchange(report: Report, tmp_path: Path) -> None:
    files = write(report, tmp_path / "new" / "folder")
    lines = files[2].read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("> ") for line in lines) == sum(len(result.trace) for result in report.results)


def test_a_folder_that_cannot_be_written_is_told_in_words(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Problem) as problem:
        write(report, tmp_path / "file")
    assert problem.value.code == "CONFORM_REPORT"


def test_exchanges_in_words_of_both_languages() -> None:
    select = bytes.fromhex("00A4040008A000000632010105")
    trace = (
        Exchanged(select, b"\x6a\x82", 1.0),
        Exchanged(bytes.fromhex("00200001") + b"\x03\x12\x34\x56", None, 1.0),
        Exchanged(b"\x00", b"\x67\x00", 1.0),
    )
    said = [in_words(one) for one in explained(trace)]
    assert "6A82 there is no such file" in said[0].en
    assert said[0].zh.startswith("选择文件")
    assert "the card left" in said[1].en
    assert "6700" in said[2].en
    assert command_name(bytes.fromhex("80500302")).en == "INITIALIZE FOR CAPP PURCHASE (80500302)"
    case = CASES["TU-STR-001"]
    page = html(Report(case.title, NOW, (), GROUPS, (Result(case, Verdict.FAIL, case.title, trace=trace),)))
    assert "A000000632010105" in page
    assert "123456" not in page  # a PIN


def test_cases_are_chosen_by_id_or_group() -> None:
    catalogue = tuple(CASES.values())
    assert [case.id for case in chosen(catalogue, ["tu-str-003"])] == ["TU-STR-003"]
    assert {case.group for case in chosen(catalogue, ["BAL", "CNT"])} == {"BAL", "CNT"}
    with pytest.raises(Problem) as problem:
        chosen(catalogue, ["TU-XXX-001"])
    assert problem.value.code == "CONFORM_CASE"


def test_the_command_from_list_to_report(tmp_path: Path) -> None:
    call = CliRunner().invoke
    listed = call(app, ["conform", "list", "--json"])
    rows = json.loads(listed.stdout)["cases"]
    assert [row["id"] for row in rows] == list(CASES)
    assert {"en", "zh"} == rows[0]["title"].keys()
    assert rows[-1]["needs"] == ["keys", "lock", "write"]

    tested = call(
        app, ["conform", "card", "--case", "STR", "--case", "PUR", "--report", str(tmp_path), "--json"]
    )
    told = json.loads(tested.stdout)
    assert (tested.exit_code, told["counts"]["fail"]) == (0, 0)
    assert told["counts"]["not run"] == 33
    assert {Path(file).name for file in told["files"]} == {"report.html", "junit.xml", "trace.txt"}

    terminals = call(app, ["conform", "terminal", "--case", "GOO", "--report", str(tmp_path / "t")])
    assert terminals.exit_code == 0
    assert "pass 6" in terminals.stdout


def test_a_failed_case_is_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("citycard.cli.conform._stand", lambda *_: stand(defect=MUTANTS["TU-STR-003"]))
    failed = CliRunner().invoke(app, ["conform", "card", "--case", "TU-STR-003", "--report", str(tmp_path)])
    assert failed.exit_code == 1
    assert "TU-STR-003" in failed.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["card", "--allow-lock"], "CONFORM_ALLOW"),
        (["card", "--case", "nothing"], "CONFORM_CASE"),
        (["terminal", "--case", "nothing"], "CONFORM_SCENARIO"),
    ],
)
def test_problems_of_the_command_are_told_by_their_code(arguments: list[str], code: str) -> None:
    result = CliRunner().invoke(app, ["conform", *arguments])
    assert isinstance(result.exception, Problem)
    assert result.exception.code == code
