# SPDX-License-Identifier: Apache-2.0
"""The coverage-guided fuzzer runs, for a moment; by hand it runs for a million inputs."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.support.parts import REPOSITORY, need


def fuzzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A short run of the fuzzer."""
    need(find_spec("atheris"), "the fuzzer atheris", "run make extras")
    command = [sys.executable, "-m", "tests.fuzz.card", "--runs", "800", "--seconds", "20", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=90)


def test_a_few_hundred_stories_break_no_card(tmp_path: Path) -> None:
    done = fuzzed("--corpus", str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Done 800 runs" in done.stderr
    assert not list(tmp_path.glob("crash-*"))
