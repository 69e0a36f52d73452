# SPDX-License-Identifier: Apache-2.0
"""`citycard card personalise | load | purchase` on a card of the office: its money goes through the office."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from citycard.cli import app, options
from citycard.cli.personalise import FACTORY_KEY
from citycard.core.card import T_UNION, blank_card
from citycard.core.problem import Problem
from citycard.office.home import SQLITE_FILE
from tests.office_ledger.conftest import BUS, ISSUER, City

SHOP = "990003000001"


@pytest.fixture
def image(city: City, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A blank card in a file, an office with a shop, and everybody's clock at the true time."""
    from citycard.office.participants.models import Participant, Tariff, Terminal

    (city.home / SQLITE_FILE).touch()  # so the home is seen to have an office; the tests' own database serves
    city.still.at = datetime.now().replace(microsecond=0)
    monkeypatch.setattr(options, "open_vault", lambda home: city.vault)
    Participant.objects.filter(pk=ISSUER).update(pan_prefix="03199012")
    Terminal.objects.create(id=SHOP, acquirer_id=BUS, service=3)
    Tariff.objects.create(
        service=3, version=1, valid_from="2020-01-01",
        config={"limits": {"minimum_fen": 1, "maximum_fen": 50_000}},
    )  # fmt: skip
    path = city.home / "card.img"
    path.write_bytes(blank_card(T_UNION, FACTORY_KEY, lambda size: bytes(size)).image())
    return path


def run(image: Path, *words: str) -> Any:
    home = ["--home", str(image.parent)] if words[0] in ("personalise", "load", "purchase") else []
    return CliRunner().invoke(app, ["card", *words, "--image", str(image), *home, "--json"])


def told(image: Path, *words: str) -> dict[str, Any]:
    answer = run(image, *words)
    assert answer.exception is None, answer.exception
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def code(image: Path, *words: str) -> str:
    problem = run(image, *words).exception
    assert isinstance(problem, Problem), problem
    return problem.code


def test_a_card_of_the_office_is_made_loaded_and_charged_through_it(city: City, image: Path) -> None:
    from citycard.office import ledger
    from citycard.office.cards.models import Card, Status
    from citycard.office.intake.models import Load, RawBatch

    assert code(image, "personalise") == "PERSO_TRANSPORT"
    made = told(image, "personalise", "--factory-key")
    assert made["registered"] and made["pan"].startswith("03199012")
    assert Card.objects.get(pk=made["pan"]).status == Status.PERSONALISED
    assert code(image, "personalise") == "PERSO_BEGUN"  # no second number is ordered for it
    assert Card.objects.filter(pan__startswith="03199012").count() == 1
    Card.objects.filter(pk=made["pan"]).update(status=Status.ACTIVE)

    assert code(image, "load", "50") == "TILL_UNNAMED"
    assert code(image, "load", "50", "--terminal", "990099999999") == "TILL_UNKNOWN"
    loaded = told(image, "load", "50", "--terminal", SHOP)
    assert (loaded["balance_fen"], loaded["office"], loaded["delivered"]) == (5000, True, 1)
    assert Load.objects.get(card=made["pan"]).status == Load.Status.POSTED
    paid = told(image, "purchase", "12.50", "--terminal", SHOP, "--trace")
    assert (paid["balance_fen"], paid["delivered"]) == (3750, 1)
    assert RawBatch.objects.filter(terminal_id=SHOP).count() == 2
    assert ledger.balance(f"card:{made['pan']}") == 5000  # the purchase waits for clearing

    before = told(image, "info")["balance_fen"]
    Card.objects.filter(pk=made["pan"]).update(status=Status.BLOCKED)
    assert code(image, "load", "10", "--terminal", SHOP) == "LOAD_CARD_STATUS"  # the office's own word
    assert code(image, "purchase", "1000", "--terminal", SHOP) == "TAP_REFUSED"
    assert code(image, "purchase", "12.345", "--terminal", SHOP) == "AMOUNT_UNREADABLE"
    assert told(image, "info")["balance_fen"] == before


def test_a_card_the_office_does_not_know_is_a_test_card(
    city: City, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from citycard.office.intake.models import Load, RawBatch

    monkeypatch.delenv(
        "CITYCARD_DATABASE_URL", raising=False
    )  # by which a home is seen to have an office too
    (city.home / SQLITE_FILE).unlink()
    assert code(image, "personalise", "--factory-key") == "PERSO_WHO"
    who = ["--issuer", ISSUER, "--pan"]
    assert code(image, "personalise", *who, "0319") == "PERSO_NUMBER"
    assert told(image, "personalise", *who, "03199012000000000015")["registered"] is False
    (city.home / SQLITE_FILE).touch()
    assert told(image, "load", "20")["office"] is False
    assert told(image, "purchase", "3")["balance_fen"] == 1700
    assert [row["amount_fen"] for row in told(image, "log")["log"]] == [300, 2000]
    assert (Load.objects.count(), RawBatch.objects.count()) == (0, 0)
    files = {file["what"] for file in told(image, "read")["files"]}
    assert "EF17 management info" in files
