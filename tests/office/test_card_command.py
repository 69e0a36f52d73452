# SPDX-License-Identifier: Apache-2.0
"""`citycard card`, as a person at a terminal and as a program that reads its JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from typer.testing import CliRunner

from citycard.cli import card as command
from citycard.core.problem import Problem
from citycard.office import clock, ledger
from citycard.office.cards import verbs
from citycard.office.cards.models import Card
from citycard.office.intake.models import Load
from citycard.office.participants.models import Terminal
from citycard.office.staff import people
from citycard.office.staff.roles import Role
from tests.office.conftest import CLERK, StillClock, load, new_stock, open_issuer, person


@pytest.fixture
def pans(db: None, still: StillClock) -> list[str]:
    """Two cards in a holder's hands, one in stock."""
    open_issuer()
    pans = new_stock(3)
    holder = person("陈静")
    verbs.issue_many([(pan, holder) for pan in pans[:2]], CLERK)
    return pans


def run(*words: str, typed: str = "") -> Any:
    home = str(Path(settings.CITYCARD_HOME))
    return CliRunner().invoke(command.app, [*words, "--home", home], input=typed)


def told(*words: str) -> Any:
    result = run(*words, "--json")
    return result.exit_code, json.loads(result.stdout)


def test_a_card_lost_found_and_replaced(pans: list[str]) -> None:
    one, _, new = pans
    assert told("report-loss", one)[1]["status"] == "lost"
    assert [row["pan"] for row in told("list", "--status", "lost")[1]["cards"]] == [one]
    found = told("cancel-loss", one)[1]
    assert (found["before"], found["status"]) == ("lost", "active")
    code, done = told("replace", one, new, "--in-hand-fen", "0")
    assert (code, done["status"], done["new"], done["paid_fen"]) == (0, "replaced", new, 1000)
    code, seen = told("query", new)
    assert (code, seen["status"], seen["holder"]["name"]) == (0, "active", "陈静")


def test_a_refusal_has_its_own_exit_code(pans: list[str]) -> None:
    code, refused = told("report-loss", pans[2])
    assert (code, refused["ok"], refused["code"]) == (3, False, "WRONG_STATUS")
    assert refused["zh"].startswith("卡片当前状态")
    result = run("query", "0" * 20)
    assert result.exit_code == 3
    assert "UNKNOWN_CARD: No card has this number" in result.stderr
    assert result.stdout == ""


def test_the_second_person_types_a_password(pans: list[str]) -> None:
    people.create("wang", "Kunming-2026", Role.CLEARING_OFFICER)
    run("refund", pans[0], "--in-hand-fen", "0")
    assert told("destroy", pans[0])[1]["code"] == "SECOND_PERSON_NEEDED"
    wrong = run("destroy", pans[0], "--second", "wang", typed="guess\n")
    assert isinstance(wrong.exception, Problem)
    right = run("destroy", pans[0], "--second", "wang", typed="Kunming-2026\n")
    assert (right.exit_code, right.stdout.strip()) == (0, f"{pans[0]}: refunded -> destroyed")
    assert "Kunming" not in right.output


def test_money_is_told_in_yuan(pans: list[str]) -> None:
    assert run("issue", pans[2]).stdout.strip() == f"{pans[2]}: in_stock -> active; 20.00 to pay"
    assert run("refund", pans[2], "--in-hand-fen", "0").stdout.strip().endswith("20.00 to hand out")


def test_a_holder_nobody_knows(pans: list[str]) -> None:
    for holder in ("nobody", "00000000-0000-0000-0000-000000000000"):
        result = run("bind", pans[2], holder)
        assert isinstance(result.exception, Problem)
        assert result.exception.code == "HOLDER_UNKNOWN"


def test_an_old_balance_is_loaded_onto_the_new_card_and_paid_from_what_is_due(pans: list[str]) -> None:
    one, _, new = pans
    load(one, 3000, "load:first")
    assert told("replace", one, new, "--in-hand-fen", "3000")[0] == 0
    with pytest.raises(Problem, match="no completed load"):
        raise run("fund", new, "no-such-load").exception
    made_load(new, 2000)
    for _ in range(2):
        assert told("fund", new, "a-load") == (0, {"pan": new, "load": "a-load", "due_fen": 1000})
    assert ledger.balance(f"card:{new}") == 2000


def test_an_m1_card_that_was_taken_in_is_migrated_once(pans: list[str]) -> None:
    old, new, _ = pans
    Card.objects.filter(pan=old).update(profile="m1")
    load(old, 3000, "load:first")
    for _ in range(2):
        assert told("migrate", old, new, "3000") == (0, {"pan": old, "new": new, "due_fen": 3000})
    assert isinstance(run("migrate", old, new, "2999").exception, Problem)
    assert told("query", old)[1]["status"] == "replaced"
    assert ledger.balance(f"card:{old}") == 0


def made_load(pan: str, amount_fen: int) -> None:
    """A load that has ended well, as intake leaves it: posted in the ledger under its id."""
    card = Card.objects.get(pk=pan)
    terminal = Terminal.objects.create(id="990009010101", acquirer_id=card.issuer_id, service=3, name="till")
    Load.objects.create(
        id="a-load", terminal=terminal, request_id="r1", card=card, issuer=card.issuer_id, counter=0,
        key_version=1, algorithm=0, card_answer="", balance_before_fen=0, amount_fen=amount_fen,
        at=clock.now(), mac2="", status=Load.Status.POSTED,
    )  # fmt: skip
    load(pan, amount_fen, "load:a-load")
