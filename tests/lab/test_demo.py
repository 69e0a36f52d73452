# SPDX-License-Identifier: Apache-2.0
"""The demo: one day of a city, its report, and what it refuses to touch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.commands import citycard

REPORT_KEYS = {
    "cards", "taps", "refusals", "records_accepted", "records_rejected", "charged_fen", "positions_sum_fen",
    "cards_match_shadow_accounts", "seconds",
}  # fmt: skip


def report(home: Path, seed: int) -> dict[str, Any]:
    ran = citycard(
        "demo",
        "--home",
        str(home),
        "--seed",
        str(seed),
        "--cards",
        "25",
        "--taps",
        "150",
        "--no-serve",
        "--json",
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.timeout(400)
def test_a_day_adds_up_and_a_seed_is_a_day(tmp_path: Path) -> None:
    first, second = report(tmp_path / "a", 5), report(tmp_path / "b", 5)
    assert first.keys() >= REPORT_KEYS
    assert first["positions_sum_fen"] == 0
    assert first["cards_match_shadow_accounts"] is True
    assert first["records_rejected"] == {"CONTENT_CONFLICT": 1, "DUPLICATE": 1, "TAC_MISMATCH": 1}
    assert first["charged_fen"] == sum(row["charged_fen"] for row in first["services"].values())
    del first["seconds"], second["seconds"]
    assert first == second


def test_what_is_no_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "ours.txt").write_text("keep me")
    ran = citycard("demo", "--home", str(tmp_path), "--no-serve")
    assert ran.returncode == 2
    assert "DEMO_FOLDER" in ran.stderr
    assert (tmp_path / "demo" / "ours.txt").read_text() == "keep me"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("clear", "--date", "yesterday"), "DATE_INVALID"),
        (("clear", "--date", "2026-03-02"), "OFFICE_DB_MISSING"),
        (("serve",), "OFFICE_DB_MISSING"),
        (("init", "--scheme", "atlantis"), "SCHEME_MISSING"),
        (("bench", "nothing"), "BENCH_UNKNOWN"),
        (("replay", "szt", "no-such-file.csv"), "REPLAY_FILE_MISSING"),
    ],
)
def test_bad_input_is_one_sentence_with_a_code(words: tuple[str, ...], code: str, tmp_path: Path) -> None:
    ran = citycard(*words, CITYCARD_HOME=str(tmp_path / "home"), CITYCARD_PASSPHRASE="wrong")
    assert ran.returncode != 0
    assert code in ran.stderr
    assert "Traceback" not in ran.stderr
