# SPDX-License-Identifier: Apache-2.0
"""Text dialogues kept in `talks/`: the terminals of today still say, byte for byte, what they said then.

`python -m tests.dialogue.test_talks` records them anew with the emulated card; look at what changed and why
before keeping that.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import shake_256
from pathlib import Path

import pytest

from citycard.core.calendar import bcd_datetime
from citycard.core.card import T_UNION, Card, blank_card
from citycard.core.refusal import Refusal
from citycard.core.trace import Presented, Traced, Tracer, export
from citycard.keys import KeyName, LoadAsked, LoadSam, MemoryVault, Psam
from citycard.services.contract import Event
from citycard.terminal import (
    EmulatedLink,
    Journal,
    Link,
    LoadOffer,
    LoadRequest,
    MemoryStore,
    Outcome,
    ReplayLink,
    Terminal,
    TerminalConfig,
    TracedLink,
    TracedSam,
)
from citycard.terminal.station import PersoData, personalise_card
from tests.terminal import world

TALKS = Path(__file__).parent / "talks"
Steps = list[Traced | Presented]


def fixed_vault() -> MemoryVault:
    """Keys that exist in these recordings only, whatever a ceremony may one day make."""
    vault = MemoryVault()
    for name in KeyName:
        vault.import_key(name, 0, 1, shake_256(f"talks {name}".encode()).digest(16))
    return vault


class Host:
    """The host of the recorded load."""

    def __init__(self, vault: MemoryVault) -> None:
        self.sam = LoadSam(vault)

    def begin(self, request: LoadRequest) -> LoadOffer | Refusal:
        asked = LoadAsked(
            request.issuer, request.pan, request.terminal, request.amount_fen, request.card_answer
        )
        mac2 = self.sam.approve(asked, bcd_datetime(world.NOON))
        return Refusal.OFFICE_REFUSED if mac2 is None else LoadOffer("L1", world.NOON, mac2)

    def confirm(self, load_id: str, tac: bytes, balance_after_fen: int) -> Refusal | None:
        return None

    def reverse(self, load_id: str, status_word: int, online_counter: int) -> Refusal | None:
        return None


class Scene:
    """Terminals that start anew with each talk; what passes goes to `steps` when it is recorded."""

    def __init__(self, link: Callable[[int | None], Link], steps: Steps | None = None) -> None:
        self.vault, self.clock, self._link = fixed_vault(), world.Clock(), link
        self._terminals: dict[bytes, Terminal] = {}
        self._steps, self._tracer = steps, Tracer()

    def link(self, tear_at: int | None = None) -> Link:
        link = self._link(tear_at)
        return link if self._steps is None else TracedLink(link, self._tracer, self._steps.append)

    def terminal(self, number: bytes, service: int, station: int = 1) -> Terminal:
        if number not in self._terminals:
            journal = Journal.open(MemoryStore(), number)
            config = TerminalConfig(number, world.ACQUIRER, service, line=1, station=station, city="9900")
            sam = Psam(self.vault, number, journal.numbers)
            made = Terminal(config, sam, journal, self.clock, world.parameters())
            if self._steps is not None:
                made.sam = TracedSam(sam, self._tracer, self._steps.append)
            self._terminals[number] = made
        return self._terminals[number]

    def load(self) -> None:
        shop = self.terminal(world.SHOP, world.RETAIL)
        assert shop.load(self.link(), 5000, Host(self.vault)).outcome is Outcome.ACCEPTED

    def enter(self) -> None:
        gate = self.terminal(world.GATE_A, world.METRO)
        assert gate.tap(self.link(), Event.ENTER).outcome is Outcome.ACCEPTED
        self.clock.forward(600)


def journey(scene: Scene) -> None:
    """A load, a metro entry, a metro exit."""
    scene.load()
    scene.enter()
    left = scene.terminal(world.GATE_B, world.METRO, 2).tap(scene.link(), Event.EXIT)
    assert left.balance_fen == 4700


def torn_exit(scene: Scene) -> None:
    """Torn away at the debit, whose answer is lost; the gate asks when the card comes again."""
    scene.load()
    scene.enter()
    gate = scene.terminal(world.GATE_B, world.METRO, 2)
    assert gate.tap(scene.link(7), Event.EXIT).outcome is Outcome.TORN
    scene.clock.forward(5)
    again = gate.tap(scene.link(), Event.EXIT)
    assert (again.outcome, again.recovered) == (Outcome.ACCEPTED, True)


def bus_and_shop(scene: Scene) -> None:
    """A bus ride, a purchase, and one that the balance does not bear."""
    scene.load()
    bus, shop = scene.terminal(world.BUS_7, world.BUS), scene.terminal(world.SHOP, world.RETAIL)
    assert bus.tap(scene.link(), Event.BOARD).balance_fen == 4800
    scene.clock.forward(600)
    assert shop.tap(scene.link(), Event.PAY, 1200).balance_fen == 3600
    scene.clock.forward(600)
    assert shop.tap(scene.link(), Event.PAY, 9900).refusal is Refusal.INSUFFICIENT_BALANCE


STORIES: dict[str, Callable[[Scene], None]] = {
    "metro-journey": journey,
    "torn-metro-exit": torn_exit,
    "bus-and-shop": bus_and_shop,
}


@pytest.mark.parametrize("name", STORIES)
def test_a_kept_talk_is_said_again(name: str) -> None:
    link = ReplayLink((TALKS / f"{name}.txt").read_text(encoding="utf-8"))
    STORIES[name](Scene(lambda tear_at: link))
    assert link.finished


def test_no_talk_is_forgotten() -> None:
    assert {path.stem for path in TALKS.iterdir()} == set(STORIES)


def record() -> None:
    """Write every talk anew."""
    for name, story in STORIES.items():
        vault, steps = fixed_vault(), list[Traced | Presented]()
        transport = shake_256(f"talks {KeyName.TRANSPORT}".encode()).digest(16)
        card: Card = blank_card(T_UNION, transport, world.draws(11))
        card.power_on()
        until = world.NOON.date().replace(year=2035)
        data = PersoData(world.ISSUER, world.PAN, world.NOON.date(), until)
        assert personalise_card(vault, card.process, data) is None
        story(Scene(lambda tear_at, card=card: EmulatedLink(card, tear_at), steps))  # type: ignore[misc]
        title = " ".join((story.__doc__ or "").split())
        (TALKS / f"{name}.txt").write_text(export(steps, title), encoding="utf-8")


if __name__ == "__main__":
    record()
