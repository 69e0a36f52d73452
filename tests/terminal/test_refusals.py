# SPDX-License-Identifier: Apache-2.0
"""Cards a terminal says no to, in the order of precedence; and cards that answer anything at all."""

from __future__ import annotations

from datetime import date, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.core.card import Card
from citycard.core.dialogue import CardGone
from citycard.core.problem import Problem
from citycard.core.refusal import Refusal
from citycard.services.contract import Event
from citycard.terminal import EmulatedLink, Hotlist, MemoryStore, Outcome, Terminal
from citycard.terminal.loading import tell_host
from tests.terminal.world import (
    BUS,
    BUS_7,
    GATE_A,
    GATE_B,
    ISSUER,
    KIOSK,
    METRO,
    NOON,
    PAN,
    RETAIL,
    SHOP,
    Clock,
    Host,
    balance,
    new_card,
    parameters,
    terminal,
)

LISTED = Hotlist(9, frozenset({PAN}))


@pytest.mark.parametrize(
    ("card", "told", "expected"),
    [
        ({"issuer": bytes(8)}, {"hotlist": LISTED}, Refusal.ISSUER_NOT_ACCEPTED),
        ({}, {"issuers": frozenset(), "hotlist": LISTED}, Refusal.ISSUER_NOT_ACCEPTED),
        ({"enabled": 0, "valid_until": date(2026, 2, 1)}, {"hotlist": LISTED}, Refusal.NOT_ENABLED),
        ({"valid_from": date(2026, 9, 2)}, {"hotlist": LISTED}, Refusal.NOT_YET_VALID),
        ({"valid_until": date(2026, 8, 31)}, {"hotlist": LISTED}, Refusal.EXPIRED),
        ({"valid_until": date(2026, 9, 1)}, {"hotlist": LISTED, "tariffs": {}}, Refusal.HOTLISTED),
        ({}, {"tariffs": {}}, Refusal.SERVICE_UNKNOWN),
        ({}, {}, Refusal.BALANCE_TOO_LOW),
    ],
)
def test_the_first_reason_in_the_order_of_precedence_is_told(
    card: dict[str, Any], told: dict[str, Any], expected: Refusal
) -> None:
    gate = terminal(GATE_A, METRO)
    gate.parameters = parameters(**told)
    link = EmulatedLink(new_card(**card))
    assert gate.tap(link, Event.ENTER).refusal is expected
    exchanges = {Refusal.BALANCE_TOO_LOW: 5}
    assert link.exchanges == exchanges.get(expected, 1)  # refused after SELECT alone
    assert gate.journal.records() == []
    assert gate.journal.intents == {}


def test_too_little_money_costs_nothing_and_leaves_no_trace() -> None:
    card = new_card(balance_fen=150)
    bus = terminal(BUS_7, BUS)
    assert bus.tap(EmulatedLink(card), Event.BOARD).refusal is Refusal.INSUFFICIENT_BALANCE
    assert balance(card) == 150
    shop = terminal(SHOP, RETAIL)
    assert shop.tap(EmulatedLink(card), Event.PAY, 0).refusal is Refusal.AMOUNT_INVALID
    assert shop.load(EmulatedLink(card), 0, Host()).refusal is Refusal.AMOUNT_INVALID
    assert shop.load(EmulatedLink(card), 99_900, Host()).refusal is Refusal.PURSE_CAP


def test_a_hotlisted_card_is_blocked_by_the_gate_and_known_as_blocked_ever_after() -> None:
    card = new_card(balance_fen=1000)
    gate = terminal(GATE_A, METRO, block_hotlisted=True)
    gate.parameters = parameters(hotlist=LISTED)
    assert gate.tap(EmulatedLink(card), Event.ENTER).refusal is Refusal.HOTLISTED
    assert terminal(SHOP, RETAIL).tap(EmulatedLink(card), Event.PAY, 100).refusal is Refusal.CARD_BLOCKED


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("6A82", Refusal.UNKNOWN_CARD),
        ("6D00", Refusal.UNKNOWN_CARD),
        ("6A81", Refusal.CARD_BLOCKED),
        ("9303", Refusal.CARD_BLOCKED),
        ("6283", Refusal.CARD_BLOCKED),
        ("6F00" + "9000", Refusal.UNKNOWN_CARD),
        ("90", Refusal.UNREADABLE),
        ("", Refusal.UNREADABLE),
        ("6F0284" + "9000", Refusal.UNREADABLE),
    ],
)
def test_alien_answers_to_select(answer: str, expected: Refusal) -> None:
    class Alien:
        def connect(self) -> bytes:
            return b""

        def __call__(self, command: bytes) -> bytes:
            return bytes.fromhex(answer) if command[1] == 0xA4 else b"\x6d\x00"

    result = terminal(SHOP, RETAIL).tap(Alien(), Event.PAY, 100)
    assert result.refusal is expected
    assert result.outcome is Outcome.REFUSED


def test_a_card_with_other_keys_is_refused_by_the_card_itself_and_not_charged() -> None:
    card = new_card(balance_fen=1000)
    shop = terminal(SHOP, RETAIL)

    class Meddling(EmulatedLink):
        def __call__(self, command: bytes) -> bytes:
            if command[:2] == b"\x80\x54":
                command = command[:-2] + bytes((command[-2] ^ 1,)) + command[-1:]
            return super().__call__(command)

    result = shop.tap(Meddling(card), Event.PAY, 100)
    assert result.refusal is Refusal.SAM_FAULT
    assert shop.journal.intents == {}
    assert balance(card) == 1000


def test_a_forged_mac2_is_not_proven_and_settled_with_the_true_card() -> None:
    card = new_card(balance_fen=1000)
    clock = Clock()
    shop = terminal(SHOP, RETAIL, clock)

    class Forging(EmulatedLink):
        def __call__(self, command: bytes) -> bytes:
            answer = super().__call__(command)
            return answer[:7] + bytes((answer[7] ^ 1,)) + answer[8:] if command[:2] == b"\x80\x54" else answer

    assert shop.tap(Forging(card), Event.PAY, 100).refusal is Refusal.NOT_PROVEN
    assert shop.journal.records() == []
    clock.forward(5)
    assert shop.tap(EmulatedLink(card), Event.PAY, 100).recovered
    assert balance(card) == 900


def test_a_card_that_claims_a_debit_the_psam_does_not_believe() -> None:
    card = new_card(balance_fen=1000)
    shop = terminal(SHOP, RETAIL)
    link = EmulatedLink(card, tear_at=3)
    assert shop.tap(link, Event.PAY, 100).outcome == "torn"

    class Lying(EmulatedLink):
        def __call__(self, command: bytes) -> bytes:
            return bytes(8) + b"\x90\x00" if command[:2] == b"\x80\x5a" else super().__call__(command)

    assert shop.tap(Lying(card), Event.PAY, 100).refusal is Refusal.NOT_PROVEN
    assert len(shop.journal.undecided) == 1


class Noise:
    """A true card until an exchange, from there on noise of a seed, cut, changed or made up."""

    def __init__(self, card: Card, seed: int, start: int) -> None:
        self.card = card
        self.random = Random(seed)
        self.start = start
        self.step = 0

    def connect(self) -> bytes:
        return self.card.power_on()

    def __call__(self, command: bytes) -> bytes:
        self.step += 1
        answer = self.card.process(command)
        if self.step <= self.start:
            return answer
        kind = self.random.randrange(6)
        if kind == 0:
            return self.random.randbytes(self.random.randrange(60))
        if kind == 1:
            return self.random.randbytes(len(answer) - 2) + b"\x90\x00"
        if kind == 2:
            return answer[: self.random.randrange(len(answer) + 1)]
        if kind == 3:
            at = self.random.randrange(len(answer))
            return answer[:at] + bytes((answer[at] ^ 1 << self.random.randrange(8),)) + answer[at + 1 :]
        if kind == 4 and self.random.random() < 0.3:
            raise CardGone("gone")
        return answer


@given(st.integers(0, 10**9), st.integers(0, 8), st.sampled_from(["enter", "exit", "board", "pay", "load"]))
@settings(max_examples=300)
def test_whatever_a_card_answers_becomes_a_result(seed: int, start: int, act: str) -> None:
    card = new_card(balance_fen=3000)
    place: Terminal = terminal(
        *{"enter": (GATE_A, METRO), "exit": (GATE_B, METRO), "board": (BUS_7, BUS)}.get(act, (SHOP, RETAIL)),
        store=MemoryStore(),
    )
    noise, host = Noise(card, seed, start), Host()
    for _ in range(2):
        if act == "load":
            result = place.load(noise, 500, host)
        else:
            result = place.tap(noise, Event(act), 200 if act == "pay" else 0)
        assert (result.refusal is not None) or result.outcome in ("accepted", "torn")


@given(st.lists(st.binary(max_size=300), max_size=12))
def test_pure_noise_is_refused(answers: list[bytes]) -> None:
    class Pure:
        def connect(self) -> bytes:
            return b""

        def __call__(self, command: bytes) -> bytes:
            return answers.pop() if answers else b""

    assert terminal(SHOP, RETAIL).tap(Pure(), Event.PAY, 100).outcome == "refused"


def test_the_wrong_security_module_is_found_at_the_start() -> None:
    shop = terminal(SHOP, RETAIL)
    shop.start()
    shop.sam = terminal(KIOSK, RETAIL).sam
    with pytest.raises(Problem) as told:
        shop.start()
    assert told.value.code == "SAM_ALIEN"

    class Dead:
        def process(self, command: bytes) -> bytes:
            return b""

    shop.sam = Dead()
    with pytest.raises(Problem) as told:
        shop.start()
    assert told.value.code == "SAM_SILENT"
    card = new_card(balance_fen=1000)
    assert shop.tap(EmulatedLink(card), Event.PAY, 100).refusal is Refusal.SAM_FAULT
    assert balance(card) == 1000


def test_old_parameters_mark_the_record_and_test_terminals_too() -> None:
    card = new_card(balance_fen=1000)
    clock = Clock(datetime(2026, 9, 3, 12))
    shop = terminal(SHOP, RETAIL, clock, test=True)
    record = shop.tap(EmulatedLink(card), Event.PAY, 100).record
    assert record is not None
    assert record.flags == 64 | 128
    assert record.issuer == ISSUER
    assert record.tapped_at > NOON


@pytest.mark.parametrize("fault", [Refusal.OFFICE_UNREACHABLE, Refusal.OFFICE_REFUSED])
def test_a_load_the_host_does_not_allow_leaves_nothing_pending(fault: Refusal) -> None:
    card, host = new_card(), Host([fault])
    kiosk = terminal(KIOSK, RETAIL)
    result = kiosk.load(EmulatedLink(card), 500, host)
    assert result.refusal is fault
    assert balance(card) == 0
    assert kiosk.journal.intents == {}
    if fault is Refusal.OFFICE_UNREACHABLE:  # it had heard, and its answer was lost
        assert host.reversed == {"L0"}
        assert not host.pending


def test_a_confirmation_the_host_did_not_hear_is_made_later() -> None:
    card, host = new_card(), Host()
    kiosk = terminal(KIOSK, RETAIL)
    original = host.confirm
    host.confirm = lambda *_: Refusal.OFFICE_UNREACHABLE  # type: ignore[method-assign]
    assert kiosk.load(EmulatedLink(card), 500, host).outcome == "accepted"
    assert [duty.verb for duty in kiosk.journal.duties.values()] == ["confirm"]
    assert len(tell_host(kiosk.journal, host)) == 1
    host.confirm = original  # type: ignore[method-assign]
    assert tell_host(kiosk.journal, host) == []
    assert host.posted == {"L0"}
