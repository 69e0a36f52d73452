# SPDX-License-Identifier: Apache-2.0
"""The clearing benchmark's made-up day is a real one: valid records, chained purses, honest books."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from citycard.clearing import Rules, run
from citycard.clearing.rules import EXCEPTIONS
from citycard.core.problem import Problem
from citycard.core.record import RECORD, open_batch
from citycard.lab.bench import BENCHMARKS, metropolis

TAPS = 6_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("metropolis")
    metropolis.make(folder, TAPS, seed=3)
    return folder


def test_every_batch_is_whole_and_every_record_is_the_next_of_its_terminal(home: Path) -> None:
    sequences: dict[bytes, list[int]] = {}
    for path in (home / "lake" / "raw").rglob("*.ccb"):
        batch = open_batch(path.read_bytes())
        assert batch.digest == path.stem
        for raw in batch.raw_records():
            sequences.setdefault(raw[RECORD.span("terminal")], []).append(
                int.from_bytes(raw[RECORD.span("sequence")], "big")
            )
    assert sum(len(set(own)) for own in sequences.values()) <= TAPS
    for own in sequences.values():
        missing = set(range(1, max(own) + 1)) - set(own)
        assert len(missing) <= 5, "few are lost"


def test_the_day_clears_but_for_what_was_spoilt_on_purpose(home: Path) -> None:
    check = metropolis.vault(3).tac_checker()
    report = run(home, metropolis.DAY, check, rules=Rules(sheets=False, verdicts_to_office=EXCEPTIONS))
    wrong = Counter(report.reasons) - Counter({"OK": report.reasons["OK"]})
    assert report.verdicts["accepted"] > TAPS * 0.99
    assert 0 < wrong["DUPLICATE"] < TAPS * 0.03
    assert set(wrong) <= {"DUPLICATE", "TAC_MISMATCH", "MALFORMED", "COUNTER_GAP", "BALANCE_MISMATCH"}
    assert report.participants > len(metropolis.PARTICIPANTS) // 2, "a small city has not got all of them"


def test_a_profile_shapes_the_day() -> None:
    profile = np.zeros(metropolis.SLOTS)
    profile[48] = profile[108] = 1.0  # eight in the morning and six in the evening
    found = metropolis.seconds(np.random.default_rng(1), 1000, profile) // 600
    assert set(found.tolist()) == {48, 108}
    assert 400 < int((found == 48).sum()) < 600


def test_options_of_benchmarks_are_checked() -> None:
    from citycard.cli.bench import _options

    given_well = ["--taps", "5000", "--keep=1", "--shape", "day.json"]
    assert _options("clearing", given_well) == {"taps": 5000, "keep": 1, "shape": "day.json"}
    assert _options("clearing", ["--engine", "spark", "--kill-worker", "1"]) == {
        "engine": "spark",
        "kill_worker": 1,
    }
    for given in (["--tapes", "1"], ["--taps", "many"], ["taps", "1"], ["--taps"]):
        with pytest.raises(Problem) as told:
            _options("clearing", given)
        assert told.value.code == "BENCH_OPTION"
    with pytest.raises(Problem) as told:
        BENCHMARKS["clearing"].run(engine="abacus")
    assert told.value.code == "BENCH_ENGINE"
