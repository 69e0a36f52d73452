# SPDX-License-Identifier: Apache-2.0
"""`citycard bench tac` adds up, and says so when OpenSSL is not there or does not answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from citycard.core.problem import Problem
from citycard.keys.tac import engine
from citycard.lab.bench import BENCHMARKS, tac

RATE = 90_000_000  # bytes a second, says the openssl of these tests


def openssl(folder: Path, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the command that gives its answer at once."""
    command = folder / "openssl"
    command.write_text(f"#!/bin/sh\n{answer}\n", encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_the_figures_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openssl(tmp_path, f"echo +H:8192; echo +F:22:ANY-CBC:{RATE}.00", monkeypatch)
    for name, value in (("TURNS", 1), ("ROUNDS", 1), ("LOOP_RECORDS", 200)):
        monkeypatch.setattr(tac, name, value)
    monkeypatch.setattr(engine, "COLD_RECORDS", 0)
    result = BENCHMARKS["tac"].run(records=5000).as_json()
    assert json.loads(json.dumps(result)) == result
    assert result["yardstick"] == RATE / 8 / 9
    assert result["details"]["sm4_openssl"] == RATE / 16 / 3
    assert result["ratio"] == pytest.approx(result["figure"] / result["yardstick"], abs=0.06)
    assert result["details"]["a_ratio"] == pytest.approx(
        result["figure"] / result["details"]["a_loop"], rel=0.01
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("echo speed: unknown cipher >&2; exit 1", "no figure for des-cbc .speed: unknown cipher"),
        ("exit 0", "it says nothing"),
        (None, "there is no openssl command"),
    ],
)
def test_without_openssl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str | None, said: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if answer is not None:
        openssl(tmp_path, answer, monkeypatch)
    with pytest.raises(Problem, match=said) as refused:
        tac.run(records=2000)
    assert refused.value.code == "BENCH_OPENSSL"
    assert "openssl speed" in refused.value.text("zh")


def test_a_kernel_that_errs_is_not_praised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openssl(tmp_path, f"echo +F:22:ANY-CBC:{RATE}", monkeypatch)
    monkeypatch.setattr(tac.TacVerifier, "verify_batch", lambda self, batch: batch.tac > 0)
    with pytest.raises(AssertionError, match="the kernel is wrong"):
        tac.run(records=2000)
