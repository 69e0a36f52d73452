# SPDX-License-Identifier: Apache-2.0
"""`citycard keys sam` and the destruction of a key that modules need, in a home with an office."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.lab.commands import citycard

PHRASES = "li-passphrase-1\nzhao-passphrase-3\n"
PEOPLE = ("--custodian", "Li", "--custodian", "Zhao", "--stdin")
IN_ONE = """
import io, json, sys
from citycard.cli import app
from citycard.core.problem import Problem
for words, typed in json.load(sys.stdin):
    sys.stdin, out, sys.stdout = io.StringIO(typed), sys.stdout, io.StringIO()
    try:
        app(words, standalone_mode=False)
        told = sys.stdout.getvalue()
    except Problem as problem:
        told = problem.code
    sys.stdout = out
    print(json.dumps(told))
"""


def in_one(home: Path, *commands: tuple[list[str], str]) -> list[str]:
    """Several commands in one process, as quick as one; what each printed, or its problem's code."""
    ran = citycard_with_input(home, json.dumps(commands))
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def citycard_with_input(home: Path, text: str) -> subprocess.CompletedProcess[str]:
    import os
    import sys

    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CITYCARD_", "DJANGO_"))}
    environment = kept | {"CITYCARD_HOME": str(home), "CITYCARD_PASSPHRASE": "correct horse"}
    return subprocess.run(
        [sys.executable, "-c", IN_ONE],
        input=text,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_module_from_issue_to_theft(tmp_path: Path) -> None:
    home = tmp_path / "home"
    nowhere = in_one(home, (["keys", "sam", "list"], ""))
    assert nowhere == ["SAM_OFFICE"]
    made = citycard("init", "--scheme", "city", CITYCARD_HOME=str(home), CITYCARD_PASSPHRASE="correct horse")
    assert made.returncode == 0, made.stderr
    issue = ["keys", "sam", "issue", "--role", "psam", "--terminal", "990000000071", "--stdin", "--json"]
    issued, again, enrolled, rolled, in_use, forced, listed = in_one(
        home,
        (issue, "a module's passphrase\n"),
        (issue, "a module's passphrase\n"),
        (["keys", "ceremony", "enrol", *PEOPLE], PHRASES),
        (["keys", "rollover", "--from", "2031-01-01", *PEOPLE, "--json"], PHRASES),
        (["keys", "destroy", "batch", "--version", "1", *PEOPLE], PHRASES),
        (["keys", "destroy", "batch", "--version", "1", "--force", *PEOPLE, "--json"], PHRASES),
        (["keys", "sam", "list", "--json"], ""),
    )
    sam = json.loads(issued)
    assert Path(sam["file"]).stat().st_mode & 0o777 == 0o600
    assert (again, enrolled, in_use) == ("SAM_TERMINAL", "", "KEYS_IN_USE")
    assert json.loads(rolled)["facts"]["version"] == 2
    assert json.loads(forced)["facts"] == {"cards_in_force": 0, "modules_in_use": 1, "forced": True}
    assert json.loads(listed)["sams"][0]["keys"] == ["batch", "maintenance", "purchase"]
    stolen, reissued, destroyed, shown, unknown = in_one(
        home,
        (["keys", "sam", "hotlist", sam["serial"], "--since", "2026-01-02", "--json"], ""),
        (issue, "a module's passphrase\n"),
        (["keys", "destroy", "purchase", "--version", "1", *PEOPLE, "--json"], PHRASES),
        (["keys", "ceremony", "show"], ""),
        (["keys", "sam", "hotlist", "00"], ""),
    )
    assert json.loads(stolen)["distrusted_at"] == "2026-01-02T00:00:00"
    assert (reissued, unknown) == ("SAM_TERMINAL", "SAM_UNKNOWN")
    assert json.loads(destroyed)["facts"]["modules_in_use"] == 0
    assert "密钥销毁" in shown
