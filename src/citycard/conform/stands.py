# SPDX-License-Identifier: Apache-2.0
"""Stands: where the cards on the bench come from.

A reader holds one card, and a person changes it; the emulation gives a new card whenever the last one is
spoiled, prepares cards in states that commands cannot reach, and cuts the field inside a command.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from citycard.conform.bench import Bench, card_factors
from citycard.conform.cells import set_purse
from citycard.conform.guard import Field, Guard
from citycard.conform.keyring import Keyring
from citycard.conform.model import Need
from citycard.conform.specimens import EmulatedField, Mint, Specimen
from citycard.conform.steps_purse import COMPOSITE, LOAD, PLAIN, transact
from citycard.core import tunion
from citycard.core.apdu import Command
from citycard.core.calendar import bcd_datetime
from citycard.core.card import Card
from citycard.core.dialogue import CardGone
from citycard.core.problem import declare
from citycard.keys import Vault

LIVED_FEN: Final = 5_000
LIVED_AT: Final = datetime(2026, 1, 5, 8, 0)

CONFORM_NO_CARD = declare(
    "CONFORM_NO_CARD",
    "There is no T-Union purse in {where}: {why}. Put a card on the reader and start again.",
    "{where} 中没有交通联合电子钱包：{why}。请放置卡片后重试。",
)


class Stand(Protocol):
    """Where cards come from. `offers` are the needs it can meet by itself: PREPARED, CUT."""

    title: str
    offers: frozenset[Need]
    keys: Keyring | None

    def field(self) -> Field:
        """The card in the field now."""
        ...

    def fresh(self, prepared: tuple[int, int]) -> bool:
        """Put another card of the same kind into the field; False when a person would have to."""
        ...

    def clock(self) -> int:
        """Nanoseconds."""
        ...


class EmulatedStand:
    """Emulated cards of one mint; `defect` makes mutants of them."""

    offers = frozenset({Need.PREPARED, Need.CUT})

    def __init__(
        self,
        mint: Mint,
        clock: Callable[[], int] = time.perf_counter_ns,
        defect: Callable[[Specimen, Keyring], Specimen] | None = None,
        title: str = "emulated",
    ) -> None:
        self.title = title
        self.keys: Keyring | None = Keyring(mint.vault, mint.factors)
        self._mint, self._clock, self._defect = mint, clock, defect
        self._image = lived(mint)
        self.fresh((0, 0))

    def field(self) -> EmulatedField:
        """The card in the field now."""
        return EmulatedField(self.specimen)

    def fresh(self, prepared: tuple[int, int]) -> bool:
        """A new card, mutated as ordered."""
        offline, online = prepared
        card = Card.from_image(self._image, self._mint.random)
        if offline or online:
            set_purse(card, offline=offline, online=online)
        specimen = Specimen(card)
        assert self.keys is not None
        self.specimen = self._defect(specimen, self.keys) if self._defect else specimen
        return True

    def clock(self) -> int:
        """Nanoseconds, and what the specimen pretends to take."""
        return self._clock() + self.specimen.delay_ns


class ReaderStand:
    """One card on a reader."""

    offers: frozenset[Need] = frozenset()

    def __init__(self, field: Field, title: str, vault: Vault | None, clock: Callable[[], int]) -> None:
        self.title, self._field, self._clock = title, field, clock
        try:
            factors = card_factors(field)
        except CardGone as gone:
            raise CONFORM_NO_CARD(where=title, why=gone) from None
        if not factors:
            raise CONFORM_NO_CARD(where=title, why="SELECT does not answer its public data")
        self.keys = None if vault is None else Keyring(vault, factors)

    def field(self) -> Field:
        """The card on the reader."""
        return self._field

    def fresh(self, prepared: tuple[int, int]) -> bool:
        """A person would have to change the card."""
        return False

    def clock(self) -> int:
        """Nanoseconds."""
        return self._clock()


def lived(mint: Mint) -> bytes:
    """The cells of a card that was loaded, rode once and paid once: there is something to look at."""
    card = Card.from_image(mint.image, mint.random)
    guard = Guard(EmulatedField(Specimen(card)), allow_write=True)
    bench = Bench(guard, Keyring(mint.vault, mint.factors), bcd_datetime(LIVED_AT), lambda: 0)
    bench.begin(selects=True)
    transact(bench, LOAD, LIVED_FEN)
    for event, fare_fen in ((tunion.ENTRY, 0), (tunion.EXIT, 300)):
        transact(bench, COMPOSITE, fare_fen, (_ride(event, fare_fen),))
    transact(bench, PLAIN, 150)
    return card.image()


def _ride(event: int, fare_fen: int) -> bytes:
    record = tunion.TRANSIT.encode(event=event, mode=tunion.MODE_METRO, amount_fen=fare_fen, at=LIVED_AT)
    return Command(0x80, 0xDC, 0, tunion.SFI_TRANSIT << 3, record).encode()
