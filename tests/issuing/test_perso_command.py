# SPDX-License-Identifier: Apache-2.0
"""`citycard card order | perso-data | personalise` as a station types it, in a home of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.lab.commands import citycard as run_citycard


def citycard(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run_citycard(*words, CITYCARD_HOME=str(home), CITYCARD_PASSPHRASE="correct horse")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = citycard(tmp_path / "home", "init", "--scheme", "city")
    assert made.returncode == 0, made.stderr
    return tmp_path / "home"


def test_from_an_order_file_to_stock(home: Path, tmp_path: Path) -> None:
    order = tmp_path / "order.csv"
    order.write_text(f"order,issuer,count\nspring,{issuer_of()},3\n")
    report = json_of(citycard(home, "card", "personalise", "--batch", str(order), "--json"))
    assert (report["good"], report["rejected"], report["complete"]) == (3, 0, True)
    cards = json_of(citycard(home, "card", "list", "--status", "in_stock", "--json"))["cards"]
    assert len(cards) == 3  # type: ignore[arg-type]
    data = json_of(citycard(home, "card", "perso-data", "spring", "--json"))["data"]
    told = citycard(home, "card", "personalise", "--batch", str(data))
    assert told.returncode == 0
    assert "In stock 入库" in told.stdout
    assert len(list((home / "perso" / "spring" / "chips").glob("*.done.chip"))) == 3


def json_of(ran: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)  # type: ignore[no-any-return]


def issuer_of() -> str:
    """The first issuer of the scheme."""
    from citycard.blueprints import load_scheme

    return load_scheme("city").issuers[0].id
