# SPDX-License-Identifier: Apache-2.0
"""Stands: where the cards on the bench come from.

A reader holds one card, and a person changes it; the emulation gives a new card whenever the last one is
spoiled, prepares cards in states that commands cannot reach, and cuts the field inside a command.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from citycard.conform.bench import Bench, card_factors
from citycard.conform.cells import set_purse
from citycard.conform.guard import Field, Guard
from citycard.conform.keyring import Keyring, LabKeys
from citycard.conform.kinds import T_UNION, Kind
from citycard.conform.model import Need
from citycard.conform.specimens import Chip, EmulatedField, Mint, Specimen
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
    "There is no card for this catalogue ({kind}) in {where}: {why}. Put one on the reader and start again.",
    "{where} 中没有适用于本用例集（{kind}）的卡片：{why}。请放置卡片后重试。",
)


class Stand(Protocol):
    """Where cards come from. `offers` are the needs it can meet by itself: PREPARED, CUT."""

    title: str
    offers: frozenset[Need]
    keys: Keyring | LabKeys | None
    kind: Kind

    def field(self) -> Field:
        """The card in the field now."""
        ...

    def fresh(self, prepared: tuple[int, int]) -> bool:
        """Put another card of the same kind into the field; False when a person would have to."""
        ...

    def clock(self) -> int:
        """Nanoseconds."""
        ...


@dataclass(frozen=True, slots=True)
class Stock:
    """Where emulated cards of a kind come from: the cells of one that has lived, its keys, how to open it."""

    kind: Kind
    keys: Keyring | LabKeys
    image: bytes
    opened: Callable[[bytes], Chip]


def transit_stock(mint: Mint) -> Stock:
    """T-Union cards of a mint."""
    keys = Keyring(mint.vault, mint.factors)
    return Stock(T_UNION, keys, lived(mint), lambda image: Card.from_image(image, mint.random))


class EmulatedStand:
    """Emulated cards of one mint; `defect` makes mutants of them."""

    offers = frozenset({Need.PREPARED, Need.CUT})

    def __init__(
        self,
        source: Mint | Stock,
        clock: Callable[[], int] = time.perf_counter_ns,
        defect: Callable[[Specimen, Keyring | LabKeys], Specimen] | None = None,
        title: str = "emulated",
    ) -> None:
        self.title = title
        self._stock = source if isinstance(source, Stock) else transit_stock(source)
        self.keys: Keyring | LabKeys | None = self._stock.keys
        self.kind = self._stock.kind
        self._clock, self._defect = clock, defect
        self.fresh((0, 0))

    def field(self) -> EmulatedField:
        """The card in the field now."""
        return EmulatedField(self.specimen)

    def fresh(self, prepared: tuple[int, int]) -> bool:
        """A new card, mutated as ordered."""
        offline, online = prepared
        card = self._stock.opened(self._stock.image)
        if offline or online:
            set_purse(card, offline=offline, online=online)
        specimen = Specimen(card)
        self.specimen = self._defect(specimen, self._stock.keys) if self._defect else specimen
        return True

    def clock(self) -> int:
        """Nanoseconds, and what the specimen pretends to take."""
        return self._clock() + self.specimen.delay_ns


class ReaderStand:
    """One card on a reader."""

    offers: frozenset[Need] = frozenset()

    def __init__(
        self,
        field: Field,
        title: str,
        keys: Vault | LabKeys | None,
        clock: Callable[[], int],
        kind: Kind = T_UNION,
    ) -> None:
        self.title, self._field, self._clock, self.kind = title, field, clock, kind
        try:
            field.connect()
            factors = card_factors(field, kind)
        except CardGone as gone:
            raise CONFORM_NO_CARD(kind=kind.name, where=title, why=gone) from None
        if kind.public and not factors:
            why = "SELECT does not answer its public data"
            raise CONFORM_NO_CARD(kind=kind.name, where=title, why=why)
        self.keys = Keyring(keys, factors) if keys is not None and not isinstance(keys, LabKeys) else keys

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
