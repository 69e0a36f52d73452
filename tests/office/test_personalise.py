# SPDX-License-Identifier: Apache-2.0
"""Card numbers are well formed and given once; what the station made is entered once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citycard.core.problem import Problem
from citycard.office import ledger
from citycard.office.cards import money, personalise
from citycard.office.cards.models import Card, Status
from citycard.office.cards.refusals import VerbRefusal, Why
from citycard.office.participants.models import Participant
from tests.office.conftest import CLERK, CUSTODIAN, ISSUER, open_issuer


@given(prefix=st.from_regex(r"\A0[0-9]{5,12}\Z"), serial=st.integers(0, 10**6 - 1))
def test_a_number_has_a_check_digit_that_sees_any_wrong_digit(prefix: str, serial: int) -> None:
    pan = personalise.pan_of(prefix, serial)
    assert personalise.is_pan(pan)
    for at in range(1, 20):
        assert not personalise.is_pan(pan[:at] + str((int(pan[at]) + 1) % 10) + pan[at + 1 :])


@pytest.mark.parametrize("text", ["", "0" * 19, "1" + "0" * 19, "0" * 21, "0310990001000000001x", "０" * 20])
def test_what_is_no_number(text: str) -> None:
    assert not personalise.is_pan(text)


def test_luhn_of_the_textbook() -> None:
    assert personalise.check_digit("7992739871") == "3"


def test_no_number_is_given_twice(issuer: str) -> None:
    given_out = [card.pan for size in (3, 1, 5) for card in personalise.order(issuer, size, CUSTODIAN)]
    personalise.register([personalise.Personalised(given_out[-1], good=False)], CUSTODIAN)
    assert Card.objects.get(pan=given_out[-1]).status == Status.DESTROYED
    given_out += [card.pan for card in personalise.order(issuer, 2, CUSTODIAN)]
    assert len(set(given_out)) == 11
    assert all(map(personalise.is_pan, given_out))
    with pytest.raises(Exception, match="destroyed, not deleted"):
        Card.objects.get(pan=given_out[0]).delete()


def test_entering_what_the_station_made(issuer: str) -> None:
    good, spoiled = personalise.order(issuer, 2, CUSTODIAN)
    made = personalise.Personalised(good.pan, uid="04a1b2c3", algorithm=1, key_version=2, balance_fen=700)
    results = [made, personalise.Personalised(spoiled.pan, good=False), personalise.Personalised("0" * 20)]
    answers = personalise.register(results, CUSTODIAN)
    assert [getattr(answer, "code", "OK") for answer in answers] == ["OK", "OK", "UNKNOWN_CARD"]
    card = Card.objects.get(pan=good.pan)
    assert (card.status, card.uid, card.algorithm, card.key_version) == ("personalised", "04a1b2c3", 1, 2)
    assert money.balance(card.pan) == 700 == -ledger.balance(f"float:{ISSUER}")
    for again in personalise.register(results[:2], CUSTODIAN):
        assert isinstance(again, VerbRefusal)
        assert again.why is Why.WRONG_STATUS
    assert money.balance(card.pan) == 700


def test_who_may_order_and_enter(issuer: str) -> None:
    with pytest.raises(Problem, match="key custodian"):
        personalise.order(issuer, 1, CLERK)
    (card,) = personalise.order(issuer, 1, CUSTODIAN)
    for good in (True, False):
        (answer,) = personalise.register([personalise.Personalised(card.pan, good=good)], CLERK)
        assert isinstance(answer, VerbRefusal)
        assert answer.why is Why.NOT_PERMITTED
    assert Card.objects.get(pan=card.pan).status == Status.MANUFACTURED


def test_orders_that_cannot_be(issuer: str) -> None:
    Participant.objects.create(id="1200990000000001", name_en="Bus", name_zh="公交", roles=["acquirer"])
    for code, who, count in (
        ("CARD_ISSUER", "1200990000000001", 1),
        ("CARD_ISSUER", "nobody", 1),
        ("CARD_NUMBERS", issuer, 0),
        ("CARD_NUMBERS", issuer, personalise.ORDER_MAX + 1),
    ):
        with pytest.raises(Problem) as refused:
            personalise.order(who, count, CUSTODIAN)
        assert refused.value.code == code
    open_issuer("02009901ffffffff", "031099000")  # begins the other's prefix
    with pytest.raises(Problem) as refused:
        personalise.order(issuer, 1, CUSTODIAN)
    assert refused.value.code == "CARD_PREFIX"


def test_an_issuer_can_run_out_of_numbers(issuer: str) -> None:
    Participant.objects.filter(id=ISSUER).update(pan_prefix="0310990001000")  # leaves six digits
    from citycard.office.cards import counters

    counters.take("pan:0310990001000", 999_998)
    (last,) = personalise.order(issuer, 1, CUSTODIAN)
    assert personalise.is_pan(last.pan)
    with pytest.raises(Problem, match="0 numbers left"):
        personalise.order(issuer, 1, CUSTODIAN)
