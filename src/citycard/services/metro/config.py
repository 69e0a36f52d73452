# SPDX-License-Identifier: Apache-2.0
"""The metro's tariff: fares by distance, by table or keyed; and the rules for journeys that are not plain."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from citycard.services.concession import CLASS_CODES, ClassName, Concessions, TransferRule
from citycard.services.metro.network import Network, Node, StationRef
from citycard.services.model import Config, Fen, Minutes, Seconds

Metres = Annotated[int, Field(ge=1, le=1_000_000)]


class Step(Config):
    """Ways up to and including this length cost this much."""

    up_to_m: Metres
    fare_fen: Fen


class Beyond(Config):
    """Past the last step each further (begun) stretch adds this much, up to the largest fare."""

    every_m: Metres
    add_fen: Fen


class DistanceFares(Config):
    """A fare by the length of the shortest way through the network."""

    kind: Literal["distance"] = "distance"
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    beyond: Beyond | None = None
    largest_fen: Fen | None = None

    @model_validator(mode="after")
    def _in_order(self) -> DistanceFares:
        for a, b in itertools.pairwise(self.steps):
            if a.up_to_m >= b.up_to_m or a.fare_fen > b.fare_fen:
                raise ValueError("up_to_m must rise from step to step, and fare_fen must not fall")
        return self

    def fare_fen(self, metres: int) -> int | None:
        """The list fare of a way; none if it is longer than the last step and nothing is said beyond."""
        for step in self.steps:
            if metres <= step.up_to_m:
                return self._capped(step.fare_fen)
        if self.beyond is None:
            return None
        stretches = -(-(metres - self.steps[-1].up_to_m) // self.beyond.every_m)
        return self._capped(self.steps[-1].fare_fen + stretches * self.beyond.add_fen)

    def _capped(self, fare_fen: int) -> int:
        return fare_fen if self.largest_fen is None else min(fare_fen, self.largest_fen)


class ClassTable(Config):
    """A fare table of its own for some card classes, over the same stations."""

    classes: Annotated[tuple[ClassName, ...], Field(min_length=1)]
    fares_fen: tuple[tuple[Fen | None, ...], ...]


class TableFares(Config):
    """A fare table: `fares_fen[i][j]` from `stations[i]` to `stations[j]`; null where there is no fare.

    `by_class` holds tables of classes whose fares follow from no rule; the concessions are not for them.
    """

    kind: Literal["table"] = "table"
    stations: Annotated[tuple[StationRef, ...], Field(min_length=1)]
    fares_fen: tuple[tuple[Fen | None, ...], ...]
    by_class: tuple[ClassTable, ...] = ()

    @model_validator(mode="after")
    def _square(self) -> TableFares:
        size = len(self.stations)
        for rows in (self.fares_fen, *(table.fares_fen for table in self.by_class)):
            if len(rows) != size or any(len(row) != size for row in rows):
                raise ValueError(f"fares_fen must have {size} rows of {size} fares, one for each station")
        named = [name for table in self.by_class for name in table.classes]
        if len(set(named)) != len(named):
            raise ValueError("a class has two tables")
        if len(self.index) != size:
            raise ValueError("a station is listed twice")
        return self

    @cached_property
    def index(self) -> dict[Node, int]:
        """Row and column of each station."""
        return {ref.node: number for number, ref in enumerate(self.stations)}

    @cached_property
    def _tables(self) -> dict[int, tuple[tuple[int | None, ...], ...]]:
        return {CLASS_CODES[name]: table.fares_fen for table in self.by_class for name in table.classes}

    def fare_fen(self, a: Node, b: Node) -> int | None:
        """The list fare; none if the table has none."""
        if a not in self.index or b not in self.index:
            return None
        return self.fares_fen[self.index[a]][self.index[b]]

    def class_fen(self, a: Node, b: Node, card_class: int) -> int | None:
        """The fare of a class that has a table of its own; none for any other class or pair."""
        table = self._tables.get(card_class)
        if table is None or a not in self.index or b not in self.index:
            return None
        return table[self.index[a]][self.index[b]]


class KeyedFares(Config):
    """The list fare comes with the tap: a record being re-rated, or a central fare engine's answer."""

    kind: Literal["keyed"] = "keyed"
    minimum_fen: Fen = 1
    maximum_fen: Fen


class Overtime(Config):
    """Staying longer than the limit costs extra: an amount, or the largest fare if none is given."""

    limit_minutes: Minutes
    surcharge_fen: Fen | None = None


class SameStation(Config):
    """Leaving where one entered: free (or `grace_fee_fen`) within the grace minutes, then `fee_fen`."""

    grace_minutes: Minutes = 0
    grace_fee_fen: Fen = 0
    fee_fen: Fen


class Penalty(Config):
    """What an incomplete journey costs: `refuse` it, `ignore` it, the `largest` fare, or an `amount`."""

    action: Literal["refuse", "ignore", "largest", "amount"]
    amount_fen: Fen | None = None

    @model_validator(mode="after")
    def _amount_given(self) -> Penalty:
        if (self.action == "amount") != (self.amount_fen is not None):
            raise ValueError("amount_fen belongs to the action 'amount', and to no other")
        return self


class MetroConfig(Config):
    """The tariff of a metro."""

    network: Network = Network()
    fares: Annotated[DistanceFares | TableFares | KeyedFares, Field(discriminator="kind")]
    concessions: Concessions = Concessions()
    transfers: tuple[TransferRule, ...] = ()
    entry_minimum_fen: Fen = 0  # what must be on the card to enter; classes that ride free need nothing
    passback_seconds: Seconds = 300  # a card that just entered here does not enter here again
    repeat_seconds: Seconds = 5  # a second tap on the same gate this soon is refused
    overtime: Overtime | None = None
    same_station: SameStation | None = None  # none: the fare of zero metres, or the table's own
    missing_entry: Penalty = Penalty(action="refuse")
    missing_exit: Penalty = Penalty(action="ignore")

    @model_validator(mode="after")
    def _whole(self) -> MetroConfig:
        if isinstance(self.fares, DistanceFares) and not self.network.tracks:
            raise ValueError("fares by distance need network.tracks")
        if self.missing_entry.action == "ignore":
            raise ValueError("missing_entry cannot be ignored: the fare is taken at the exit")
        return self

    @cached_property
    def _fares(self) -> dict[tuple[Node, Node], int | None]:
        return {}  # filled by `fare_fen`: a cache of the answers, no part of the value

    def fare_fen(self, a: Node, b: Node) -> int | None:
        """The list fare between two stations; none if there is none (or it comes with the tap)."""
        key = (a, b)
        if key not in self._fares:
            self._fares[key] = self._fare_fen(a, b)
        return self._fares[key]

    def _fare_fen(self, a: Node, b: Node) -> int | None:
        if isinstance(self.fares, TableFares):
            return self.fares.fare_fen(a, b)
        if isinstance(self.fares, KeyedFares):
            return None
        metres = self.network.metres(a, b)
        return None if metres is None else self.fares.fare_fen(metres)

    def class_fen(self, a: Node, b: Node, card_class: int) -> int | None:
        """The fare of a class with a table of its own; none where the list fare and its concession count."""
        if isinstance(self.fares, TableFares) and self.fares.by_class:
            return self.fares.class_fen(a, b, card_class)
        return None

    def knows(self, node: Node) -> bool:
        """Whether a station is in the tariff; a keyed tariff asks nothing of stations."""
        if isinstance(self.fares, KeyedFares):
            return True
        known = self.fares.index if isinstance(self.fares, TableFares) else self.network.nodes
        return node in known

    @cached_property
    def largest_fen(self) -> int:
        """The largest list fare: declared, or found among all pairs of stations."""
        if isinstance(self.fares, KeyedFares):
            return self.fares.maximum_fen
        if isinstance(self.fares, TableFares):
            return max((fare for row in self.fares.fares_fen for fare in row if fare is not None), default=0)
        if self.fares.largest_fen is not None:
            return self.fares.largest_fen
        nodes = list(self.network.nodes)
        lengths = [m for a in nodes for b in nodes if (m := self.network.metres(a, b)) is not None]
        return max((f for m in set(lengths) if (f := self.fares.fare_fen(m)) is not None), default=0)
