# SPDX-License-Identifier: Apache-2.0
"""A part that is missing skips a test on a person's machine and fails it in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.parts import REPOSITORY, need, public_data


def test_a_part_that_is_there_is_given_back() -> None:
    assert need(Path("here"), "the thing", "make it") == Path("here")


def test_a_missing_part_skips_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs the thing: make it"):
        need(None, "the thing", "make it")


def test_a_missing_part_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="needs the thing: make it"):
        need(None, "the thing", "make it")


def test_the_public_data_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CITYCARD_DATA", str(tmp_path))
    assert public_data() == tmp_path
    monkeypatch.setenv("CITYCARD_DATA", str(tmp_path / "none"))
    assert public_data() is None


SKIPS_WHEN_READ = "import pytest\npytest.importorskip('no_such_module')\n"
SKIPS_WHEN_RUN = "import pytest\ndef test_it():\n    pytest.skip('not today')\n"


@pytest.mark.parametrize("story", [SKIPS_WHEN_READ, SKIPS_WHEN_RUN])
@pytest.mark.parametrize(("ci", "fails"), [("true", True), ("false", False)])
def test_only_in_ci_a_skip_is_a_failure(tmp_path: Path, story: str, ci: str, fails: bool) -> None:
    (tmp_path / "test_story.py").write_text(story)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    run = subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, "CI": ci}, capture_output=True, check=False, text=True
    )
    assert ("skipped, which CI does not allow" in run.stdout) is fails, run.stdout + run.stderr
    assert (run.returncode in (1, 2)) is fails
