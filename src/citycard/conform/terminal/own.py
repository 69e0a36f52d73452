# SPDX-License-Identifier: Apache-2.0
"""Our own terminals in this process, put through the scenarios like any other: two gates, a shop, a kiosk."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from citycard.conform.specimens import ISSUER
from citycard.conform.terminal.laboratory import METRO, RETAIL, TARIFFS, Laboratory, hotlist
from citycard.conform.terminal.load_host import LaboratoryHost
from citycard.conform.terminal.played import PlayedCard
from citycard.conform.terminal.scenarios import LOAD_FEN, PASSBACK_S, PAY_FEN
from citycard.core.record import TapRecord
from citycard.keys import Psam, Vault
from citycard.services import load_config
from citycard.services.contract import Event
from citycard.terminal import (
    Hotlist,
    Journal,
    Link,
    MemoryStore,
    Parameters,
    TapResult,
    Terminal,
    TerminalConfig,
)
from citycard.terminal.loop import Sam

ACQUIRER: Final = bytes.fromhex("1999000000000001")
START: Final = datetime(2026, 3, 2, 8, 0)
PLACES: Final[dict[str, tuple[bytes, int, int, Event | None, int]]] = {
    "enter": (bytes.fromhex("999900000001"), METRO, 1, Event.ENTER, 0),
    "exit": (bytes.fromhex("999900000002"), METRO, 2, Event.EXIT, 0),
    "pay": (bytes.fromhex("999900000003"), RETAIL, 0, Event.PAY, PAY_FEN),
    "load": (bytes.fromhex("999900000004"), RETAIL, 0, None, LOAD_FEN),
}


class OwnTerminals:
    """One terminal for each place, with journals in memory and a clock that moves when told.

    Mutants override what stands below, `tap` or `records`.
    """

    title = "citycard terminal"
    passback_s = PASSBACK_S

    def __init__(self, laboratory: Laboratory) -> None:
        self.laboratory = laboratory
        self.now = START
        self.host = self.load_host(laboratory.vault)
        self.terminals = {place: self._make(place) for place in PLACES}

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    def tap(self, place: str, card: PlayedCard) -> TapResult:
        """Present a card at a place."""
        _, _, _, event, amount_fen = PLACES[place]
        if event is None:
            return self.terminals[place].load(self.link(card), amount_fen, self.host)
        return self.terminals[place].tap(self.link(card), event, amount_fen)

    def records(self) -> list[TapRecord]:
        """All that the terminals have recorded."""
        return [record for terminal in self.terminals.values() for record in terminal.journal.records()]

    # What mutants change

    kind: Callable[..., Terminal] = Terminal

    def link(self, card: PlayedCard) -> Link:
        """The wire between card and terminal."""
        return card

    def load_host(self, vault: Vault) -> LaboratoryHost:
        """The host that loads are asked of."""
        return LaboratoryHost(vault, lambda: self.now)

    def sam(self, psam: Psam) -> Sam:
        """The security module the terminal talks to."""
        return psam

    def parameters(self) -> Parameters:
        """What the office told the terminals."""
        tariffs = {code: load_config(code, tariff) for code, tariff in TARIFFS.items()}
        return Parameters(
            1, MappingProxyType(tariffs), Hotlist(1, hotlist()), frozenset({ISSUER}), confirmed_at=START
        )

    def _make(self, place: str) -> Terminal:
        number, service, station, _, _ = PLACES[place]
        journal = Journal.open(MemoryStore(), number)
        config = TerminalConfig(
            number, ACQUIRER, service, line=1, station=station, city="9900", passback_s=self.passback_s
        )
        sam = self.sam(Psam(self.laboratory.vault, number, journal.numbers))
        return self.kind(config, sam, journal, lambda: self.now, self.parameters())
