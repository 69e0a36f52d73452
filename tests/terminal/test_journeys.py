# SPDX-License-Identifier: Apache-2.0
"""A card's day with true chips, true PSAMs and true keys: and the same day with the card torn away."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from citycard.core.dialogue import converse, read_card
from citycard.core.record import Flag, Kind
from citycard.core.refusal import Refusal
from citycard.services.contract import Event
from citycard.terminal import EmulatedLink, TapResult, Terminal
from tests.terminal.world import (
    BUS,
    BUS_7,
    GATE_A,
    GATE_B,
    KIOSK,
    METRO,
    RETAIL,
    SHOP,
    Clock,
    Host,
    balance,
    new_card,
    tac_by_hand,
    tac_holds,
    terminal,
)


@pytest.mark.parametrize("algorithm", [0, 1])
def test_a_day_from_personalisation_to_the_last_tap(algorithm: int) -> None:
    clock, host = Clock(), Host()
    card = new_card(algorithm=algorithm)
    link = EmulatedLink(card)
    kiosk, shop = terminal(KIOSK, RETAIL, clock), terminal(SHOP, RETAIL, clock)
    bus, gate_a, gate_b = (
        terminal(BUS_7, BUS, clock),
        terminal(GATE_A, METRO, clock),
        terminal(GATE_B, METRO, clock, station=2),
    )
    results = [kiosk.load(link, 5000, host)]
    clock.forward(600)
    results.append(bus.tap(link, Event.BOARD))
    clock.forward(600)
    results.append(gate_a.tap(link, Event.ENTER))
    clock.forward(600)
    results.append(gate_b.tap(link, Event.EXIT))
    clock.forward(600)
    results.append(shop.tap(link, Event.PAY, 1250))

    assert [result.outcome for result in results] == ["accepted"] * 5
    records = [result.record for result in results]
    assert [record.amount_fen for record in records] == [5000, 200, 0, 300, 1250]
    assert [record.balance_before_fen for record in records] == [0, 5000, 4800, 4800, 4500]
    assert [record.counter for record in records] == [0, 0, 1, 2, 3]
    assert tac_holds(*records)
    assert [record.tac for record in records] == [tac_by_hand(record) for record in records]
    exit_ = records[3]
    assert (exit_.entry_line, exit_.entry_station, exit_.entry_terminal) == (1, 1, GATE_A)
    assert exit_.entry_at == records[2].tapped_at
    assert not exit_.flags & (Flag.OFFLINE | Flag.RECOVERED)
    assert host.posted
    assert not host.pending
    assert balance(card) == 3250
    view = converse(read_card(), {"card": card.process})
    assert view.balance_fen == 3250


def scene(name: str, clock: Clock) -> tuple[EmulatedLink, Terminal, Host, object]:
    """A card about to be presented, where, and how."""
    card = new_card(balance_fen=5000)
    link, host = EmulatedLink(card), Host(clock=clock)
    if name == "exit":
        assert terminal(GATE_A, METRO, clock).tap(link, Event.ENTER).outcome == "accepted"
        clock.forward(300)
    number, service, station, event = {
        "bus": (BUS_7, BUS, 1, Event.BOARD),
        "enter": (GATE_A, METRO, 1, Event.ENTER),
        "exit": (GATE_B, METRO, 2, Event.EXIT),
        "pay": (SHOP, RETAIL, 1, Event.PAY),
        "load": (KIOSK, RETAIL, 1, None),
    }[name]
    place = terminal(number, service, clock, station=station)

    def present() -> TapResult:
        if event is None:
            return place.load(link, 2000, host)
        return place.tap(link, event, 700 if event is Event.PAY else 0)

    return link, place, host, present


AMOUNTS = {"bus": -200, "enter": 0, "exit": -300, "pay": -700, "load": 2000}


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("name", sorted(AMOUNTS))
def test_torn_at_every_exchange_money_moves_once_and_is_proven(name: str, heard: bool) -> None:
    step, recovered = 0, 0
    while True:
        clock = Clock()
        link, place, host, present = scene(name, clock)
        link.tear_at, link.heard = step, heard
        first = present()
        if first.outcome == "accepted":
            break  # the conversation has no such step: every one was torn
        assert first.outcome == "torn"
        assert place.journal.records() == []
        clock.forward(3)
        second = present()
        assert second.outcome == "accepted", (step, second)
        assert balance(link.card) == 5000 + AMOUNTS[name]
        records = place.journal.records()
        assert len(records) == 1
        assert tac_holds(*records)
        assert second.record == records[0]
        assert place.journal.intents == {}
        assert place.journal.undecided == {}
        if name == "load":
            assert records[0].kind == Kind.LOAD
            assert len(host.posted) == 1
            assert not host.pending
        recovered += second.recovered
        step += 1
    assert step == {"bus": 6, "enter": 8, "exit": 8, "pay": 4, "load": 4}[name]
    assert recovered == (1 if heard else 0)  # only the answer of DEBIT or CREDIT hides a movement


@pytest.mark.parametrize("name", ["exit", "load"])
def test_power_cut_inside_the_chip_at_every_cell_write(name: str) -> None:
    cut, recovered = 0, 0
    while True:
        clock = Clock()
        link, place, host, present = scene(name, clock)
        link.card.memory.fuse = blow_at(cut)
        first = present()
        link.card.memory.fuse = None
        if first.outcome == "accepted":
            break
        assert first.outcome == "torn"
        clock.forward(3)
        second = present()
        assert second.outcome == "accepted", (cut, second)
        assert balance(link.card) == 5000 + AMOUNTS[name]
        assert tac_holds(*place.journal.records())
        recovered += second.recovered
        assert not host.pending
        cut += 1
    assert cut > 8
    assert 0 < recovered < cut


def blow_at(cut: int) -> Callable[[int, bytes, bytes], bytes | None]:
    """A fuse that cuts the cell write of this number, which leaves garbage, and no other."""
    writes = count()

    def fuse(address: int, old: bytes, new: bytes) -> bytes | None:
        return b"\xa5" * len(new) if next(writes) == cut else None

    return fuse


def test_a_torn_debit_whose_proof_was_overwritten_by_a_load_is_not_charged_twice() -> None:
    clock = Clock()
    link, _, _, present = scene("pay", clock)
    link.tear_at = 3
    assert present().outcome == "torn"
    assert terminal(KIOSK, RETAIL, clock).load(link, 1000, Host()).outcome == "accepted"
    clock.forward(30)
    result = present()
    assert result.outcome == "accepted"
    assert balance(link.card) == 5300
    assert result.record.tac == bytes(4)  # told as accepted; clearing asks a person about the missing TAC


def test_another_card_in_between_does_not_make_the_psam_doubt_the_first() -> None:
    clock = Clock()
    link, place, _, present = scene("pay", clock)
    link.tear_at = 3
    assert present().outcome == "torn"
    other = new_card("03199000000000000026", balance_fen=500)
    assert place.tap(EmulatedLink(other), Event.PAY, 100).outcome == "accepted"
    result = present()
    assert result.recovered
    assert tac_holds(*place.journal.records())


def test_an_old_torn_tap_is_recorded_and_today_s_tap_is_a_new_one() -> None:
    clock = Clock()
    link, place, _, present = scene("bus", clock)
    link.tear_at = 5
    assert present().outcome == "torn"
    clock.forward(86400)
    result = present()
    assert result.outcome == "accepted"
    assert not result.recovered
    assert [bool(r.flags & Flag.RECOVERED) for r in place.journal.records()] == [True, False]
    assert balance(link.card) == 4600


def test_tapped_twice_and_without_entry() -> None:
    clock = Clock()
    link, _, _, present = scene("pay", clock)
    assert present().outcome == "accepted"
    clock.forward(2)
    assert present().refusal is Refusal.TAPPED_TWICE
    clock.forward(60)
    assert present().outcome == "accepted"
    gate = terminal(GATE_B, METRO, clock)
    assert gate.tap(link, Event.EXIT).refusal is Refusal.NOT_ENTERED
    assert gate.journal.records() == []
