# SPDX-License-Identifier: Apache-2.0
"""The load SAM: a card asks, the office approves, the card proves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from citycard.core.crypto import SUITES
from citycard.keys import LoadAsked, LoadSam
from tests.keys.cast import ISSUER, MOMENT, PAN, TERMINAL, card_key, known_vault

SAM = LoadSam(known_vault())


def asked(suite: int = 0, balance: int = 1234, amount: int = 5000) -> LoadAsked:
    """INIT LOAD of a card, computed straight from core.crypto."""
    cipher = SUITES[suite]
    head = balance.to_bytes(4, "big") + bytes.fromhex("0009") + bytes((1, suite)) + bytes.fromhex("01020304")
    session = cipher.session_key(card_key("load", suite), head[8:12] + head[4:6] + b"\x80\x00")
    message = head[0:4] + amount.to_bytes(4, "big") + b"\x02" + TERMINAL
    return LoadAsked(ISSUER, PAN, TERMINAL, amount, head + cipher.session_mac(session, message))


@pytest.mark.parametrize("suite", SUITES)
def test_a_load(suite: int) -> None:
    load, cipher = asked(suite), SUITES[suite]
    assert SAM.verify(load)
    mac2 = SAM.approve(load, MOMENT)
    session = cipher.session_key(card_key("load", suite), bytes.fromhex("0102030400098000"))
    assert mac2 == cipher.session_mac(session, bytes.fromhex("00001388" + "02") + TERMINAL + MOMENT)
    covered = bytes.fromhex("0000185A" + "0009" + "00001388" + "02") + TERMINAL + MOMENT
    tac = cipher.tac(card_key("tac", suite), covered)
    assert SAM.receipt(load, MOMENT, tac)
    assert not SAM.receipt(load, MOMENT, bytes(4))
    assert not SAM.receipt(load, bytes(7), tac)
    assert not SAM.receipt(replace(load, amount_fen=5001), MOMENT, tac)


@pytest.mark.parametrize("at", range(16))
def test_an_altered_answer_is_not_approved(at: int) -> None:
    load = asked()
    answer = bytearray(load.answer)
    answer[at] ^= 1
    altered = replace(load, answer=bytes(answer))
    assert not SAM.verify(altered)
    assert SAM.approve(altered, MOMENT) is None


def test_another_sum_terminal_or_card_is_not_approved() -> None:
    load = asked()
    for altered in (
        replace(load, amount_fen=5001),
        replace(load, terminal=bytes(6)),
        replace(load, pan="0" * 20),
        replace(load, issuer=bytes(8)),
        replace(load, txn=1),
        replace(load, answer=load.answer[:6] + b"\x09" + load.answer[7:]),
        replace(load, answer=load.answer[:7] + b"\x09" + load.answer[8:]),
    ):
        assert SAM.approve(altered, MOMENT) is None
        assert not SAM.receipt(altered, MOMENT, bytes(4))


def test_the_purse_has_a_cap() -> None:
    assert SAM.verify(asked(balance=0xFFFFFF, amount=1))
    assert SAM.approve(asked(balance=0xFFFFFF, amount=1), MOMENT) is None
    assert SAM.approve(asked(balance=0xFFFFFE, amount=1), MOMENT)


@pytest.mark.parametrize("change", [{"answer": b""}, {"pan": "x" * 20}, {"amount_fen": 0}, {"txn": 9}])
def test_a_malformed_request(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"a load|the answer|an issuer"):
        replace(asked(), **change)
