# SPDX-License-Identifier: Apache-2.0
"""`citycard card order | perso-data | personalise` as a station types it, in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def citycard(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CITYCARD_HOME": str(home), "CITYCARD_PASSPHRASE": "correct horse"}
    environment.pop("CITYCARD_DATABASE_URL", None)
    return subprocess.run(
        [sys.executable, "-m", "citycard", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = citycard(tmp_path / "home", "init", "--scheme", "city")
    assert made.returncode == 0, made.stderr
    return tmp_path / "home"


def test_from_an_order_file_to_stock(home: Path, tmp_path: Path) -> None:
    order = tmp_path / "order.csv"
    issuer = json_of(citycard(home, "keys", "list", "--json")) and issuer_of(home)
    order.write_text(f"order,issuer,count\nspring,{issuer},3\n")
    assert json_of(citycard(home, "card", "order", str(order), "--json"))["cards"] == 3
    data = json_of(citycard(home, "card", "perso-data", "spring", "--json"))["data"]
    report = json_of(citycard(home, "card", "personalise", "--batch", data, "--json"))
    assert (report["good"], report["rejected"], report["complete"]) == (3, 0, True)
    cards = json_of(citycard(home, "card", "list", "--status", "in_stock", "--json"))["cards"]
    assert len(cards) == 3
    told = citycard(home, "card", "personalise", "--batch", str(order))
    assert told.returncode == 0
    assert "In stock 入库" in told.stdout
    assert len(list((home / "perso" / "spring" / "chips").glob("*.done.chip"))) == 3
    unknown = citycard(home, "card", "perso-data", "autumn")
    assert (unknown.returncode, unknown.stderr.split(":")[1].strip()) == (2, "ORDER_UNKNOWN")


def json_of(ran: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)  # type: ignore[no-any-return]


def issuer_of(home: Path) -> str:
    """The first issuer of the scheme."""
    from citycard.blueprints import load_scheme

    return load_scheme("city").issuers[0].id
