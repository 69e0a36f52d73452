# SPDX-License-Identifier: Apache-2.0
"""`citycard keys` as a custodian types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from citycard.cli.keys import app
from citycard.core.problem import Problem


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CITYCARD_HOME", str(tmp_path))
    monkeypatch.setenv("CITYCARD_PASSPHRASE", "correct horse")
    return tmp_path


def keys(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def code_of(*words: object) -> str:
    result = keys(*words)
    assert isinstance(result.exception, Problem), result.output
    return result.exception.code


def test_a_custodians_day(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = keys("init", "--suite", "3DES", "--suite", "SM4", "--json")
    assert made.exit_code == 0, made.output
    rows = json.loads(made.stdout)["keys"]
    assert [(row["name"], row["suite"]) for row in rows[:2]] == [("batch", "3DES"), ("batch", "SM4")]
    assert len(rows) == 12
    assert json.loads(keys("list", "--json").stdout)["keys"] == rows
    shown = keys("list").stdout
    assert all(row["check_value"] in shown for row in rows)

    kept = home / "kept.json"
    kept.write_text(made.stdout)
    assert keys("check", kept).stdout.startswith("All 12 keys")
    kept.write_text(made.stdout.replace(rows[0]["check_value"], "000000"))
    assert code_of("check", kept) == "KEYS_CHECK"
    kept.write_text("[]")
    assert code_of("check", kept) == "KEYS_CHECK_FILE"
    assert code_of("check", home / "none") == "KEYS_CHECK_FILE"

    assert keys("generate", "load", "--version", 2, "--not-before", "2030-01-01").exit_code == 0
    assert code_of("generate", "load", "--version", 2) == "KEY_EXISTS"
    assert keys("retire", "load", "--version", 1, "--not-after", "2030-01-01").exit_code == 0
    assert "2030-01-01" in keys("list").stdout

    new = home / "new"
    new.write_text("battery staple\n")
    assert keys("passphrase", "--new-file", new).exit_code == 0
    assert code_of("list") == "VAULT_PASSPHRASE"
    monkeypatch.delenv("CITYCARD_PASSPHRASE")
    monkeypatch.setenv("CITYCARD_PASSPHRASE_FILE", str(new))
    assert "13 keys" in keys("check").stdout
    assert code_of("passphrase") == "KEYS_NEW_PASSPHRASE"
    assert code_of("passphrase", "--new-file", home / "none") == "KEYS_NEW_FILE"


def test_problems_have_codes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code_of("list") == "VAULT_MISSING"
    assert keys("init").exit_code == 0
    assert code_of("init") == "VAULT_EXISTS"
    monkeypatch.delenv("CITYCARD_PASSPHRASE")
    assert code_of("list") == "PASSPHRASE_MISSING"
    assert keys("generate", "load", "--version", 300).exit_code == 2
