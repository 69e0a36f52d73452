# SPDX-License-Identifier: Apache-2.0
"""A terminal that knows that its PSAM was reported stolen does not run on it."""

from __future__ import annotations

from dataclasses import replace

from citycard.core.refusal import Refusal
from citycard.services.contract import Event
from citycard.terminal import EmulatedLink, Hotlist, Outcome
from citycard.terminal.parameters import read_parameters
from tests.terminal.world import (
    BUS,
    BUS_7,
    KIOSK,
    NOON,
    RETAIL,
    Host,
    balance,
    new_card,
    parameters,
    terminal,
)


def test_neither_taps_nor_loads() -> None:
    card, bus, kiosk = new_card(balance_fen=1000), terminal(BUS_7, BUS), terminal(KIOSK, RETAIL)
    bus.parameters = replace(bus.parameters, distrusted=frozenset({BUS_7}))
    result = bus.tap(EmulatedLink(card), Event.BOARD)
    assert (result.outcome, result.refusal) == (Outcome.REFUSED, Refusal.SAM_HOTLISTED)
    kiosk.parameters = replace(kiosk.parameters, distrusted=frozenset({KIOSK}))
    host = Host()
    assert kiosk.load(EmulatedLink(card), 500, host).refusal is Refusal.SAM_HOTLISTED
    assert balance(card) == 1000
    other = terminal(BUS_7, BUS)
    other.parameters = parameters(distrusted=frozenset({KIOSK}))  # somebody else's module
    assert other.tap(EmulatedLink(card), Event.BOARD).outcome is Outcome.ACCEPTED


def test_the_office_tells_which() -> None:
    told = read_parameters({"version": 4, "distrusted": [BUS_7.hex()]}, Hotlist(), NOON)
    assert told.distrusted == {BUS_7}
    assert read_parameters({"version": 4}, Hotlist(), NOON).distrusted == frozenset()
