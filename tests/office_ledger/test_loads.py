# SPDX-License-Identifier: Apache-2.0
"""Loads: money is reserved at MAC2, moves at the TAC, and comes back only when the card proves it may."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import pytest

from citycard.office import ledger
from citycard.office.cards import hotlist
from citycard.office.intake import loads
from citycard.office.intake.models import Alarm, Load
from citycard.office.participants.models import SchemeSetting, Terminal
from tests.office_ledger.conftest import ANN, BOB, EVE, GATE, ISSUER, TILL, City, Purse


def ask(city: City, card: Purse, request: str = "r1", fen: int = 5000, **other: Any) -> httpx.Response:
    body = {
        "terminal": TILL,
        "pan": card.pan,
        "issuer": ISSUER,
        "request_id": request,
        "card_answer": card.init_load(fen),
        "amount_fen": fen,
    }
    return city.client().post("/loads", json=body | other)


def confirm(city: City, load: dict[str, Any], tac: str, balance_fen: int) -> httpx.Response:
    return city.client().post(
        f"/loads/{load['load_id']}/confirm", json={"tac": tac, "balance_after_fen": balance_fen}
    )


def reverse(city: City, load: dict[str, Any], word: str = "9406", counter: int = 4) -> httpx.Response:
    proof = {"status_word": word, "online_counter": counter}
    return city.client().post(f"/loads/{load['load_id']}/reverse", json={"proof": proof})


def books(pan: str = ANN) -> tuple[int, int]:
    """Posted balance of the card's account, and what is reserved for it."""
    account = ledger.account(f"card:{pan}")
    assert account is not None
    return account.balance_fen, account.credits_pending


def test_a_load_from_question_to_proof(city: City) -> None:
    card = Purse(city.vault)
    first = ask(city, card)
    assert first.status_code == 200, first.text
    assert books() == (0, 5000)
    city.still.forward(minutes=2)
    assert ask(city, card).json() == first.json(), "the same request gets the same answer"
    assert books() == (0, 5000)

    load = first.json()
    tac = card.credit(5000, datetime.fromisoformat(load["at"]))
    assert confirm(city, load, "00000000", 5000).json()["code"] == "LOAD_TAC"
    assert confirm(city, load, tac, 4000).json()["code"] == "LOAD_TAC"
    for _ in range(2):
        assert confirm(city, load, tac, 5000).json() == {"status": "posted"}
    assert books() == (5000, 0)
    assert reverse(city, load).json()["code"] == "LOAD_POSTED"
    assert ledger.trial_balance().balanced


def test_only_proof_gives_the_money_back(city: City) -> None:
    load = ask(city, Purse(city.vault)).json()
    assert reverse(city, load, word="9000").json()["code"] == "LOAD_NOT_PROVEN"
    assert reverse(city, load, counter=5).json()["code"] == "LOAD_NOT_PROVEN"
    assert books() == (0, 5000)
    for _ in range(2):
        assert reverse(city, load).json() == {"status": "voided"}
    assert books() == (0, 0)


def test_a_load_given_up_that_the_card_has_after_all_is_booked_and_alarmed(city: City) -> None:
    card = Purse(city.vault)
    load = ask(city, card).json()
    reverse(city, load)
    tac = card.credit(5000, datetime.fromisoformat(load["at"]))
    assert confirm(city, load, tac, 5000).json() == {"status": "posted"}
    assert books() == (5000, 0)
    assert Alarm.objects.get().code == "LOAD_CONFLICT"


def test_asking_again_with_the_same_counter_ends_the_load_before(city: City) -> None:
    card = Purse(city.vault)
    ask(city, card, "r1", 5000)
    card.rand = bytes(4)
    assert ask(city, card, "r2", 3000).status_code == 200
    assert books() == (0, 3000)
    assert ask(city, Purse(city.vault), "r1", 5000).json()["code"] == "LOAD_VOIDED"


@pytest.mark.parametrize(
    ("pan", "other", "status", "code"),
    [
        (EVE, {}, 422, "LOAD_CARD_STATUS"),
        (ANN, {"pan": "03109900010000000099"}, 404, "LOAD_CARD_UNKNOWN"),
        (ANN, {"issuer": "1" * 16}, 404, "LOAD_CARD_UNKNOWN"),
        (ANN, {"amount_fen": 5001}, 422, "LOAD_MAC1"),
        (ANN, {"card_answer": "00" * 16}, 422, "LOAD_MAC1"),
        (ANN, {"card_answer": "00" * 15}, 422, "LOAD_FORMAT"),
        (ANN, {"card_answer": "0g"}, 422, "REQUEST"),
        (ANN, {"amount_fen": 0}, 422, "REQUEST"),
        (ANN, {"amount_fen": "5000"}, 422, "REQUEST"),
        (ANN, {"amount": 5000}, 422, "REQUEST"),
        (ANN, {"terminal": GATE}, 403, "OTHER_TERMINAL"),
    ],
)
def test_what_is_refused_reserves_nothing(
    city: City, pan: str, other: dict[str, Any], status: int, code: str
) -> None:
    answer = ask(city, Purse(city.vault, pan), **other)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert books() == (0, 0)
    assert not Load.objects.exists()


def test_limits_hotlist_and_terminals_out_of_service(city: City) -> None:
    SchemeSetting.objects.create(key="limits", value={"load_max_fen": 4000, "balance_max_fen": 6000})
    card = Purse(city.vault)
    assert ask(city, card).json()["code"] == "LOAD_AMOUNT"
    card.balance_fen = 3000
    assert ask(city, card, fen=3001).json()["code"] == "LOAD_AMOUNT"
    hotlist.put_on([ANN], "lost")
    assert ask(city, card, fen=1000).json()["code"] == "LOAD_CARD_STATUS"
    Terminal.objects.filter(pk=TILL).update(active=False)
    assert ask(city, Purse(city.vault, BOB), fen=1000).json()["code"] == "LOAD_TERMINAL_INACTIVE"


def test_a_request_id_names_one_load(city: City) -> None:
    ask(city, Purse(city.vault))
    assert ask(city, Purse(city.vault), fen=6000).json()["code"] == "LOAD_CONFLICT"
    unknown = {"load_id": "nothing"}
    assert reverse(city, unknown).status_code == 404
    strange = city.client(GATE).post(
        f"/loads/{Load.objects.get().id}/confirm", json={"tac": "00", "balance_after_fen": 1}
    )
    assert (strange.status_code, strange.json()["code"]) == (403, "LOAD_TERMINAL")


def test_a_load_nobody_ends_is_listed_and_kept(city: City) -> None:
    ask(city, Purse(city.vault))
    assert not loads.waiting()
    city.still.forward(minutes=31)
    assert [load.card_id for load in loads.waiting()] == [ANN]
    assert books() == (0, 5000)


def test_no_secret_in_an_answer_or_a_row(city: City) -> None:
    ask(city, Purse(city.vault))
    token = city.tokens[TILL]
    assert token not in str(Terminal.objects.values_list().get(pk=TILL))
