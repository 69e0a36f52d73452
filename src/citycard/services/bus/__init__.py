# SPDX-License-Identifier: Apache-2.0
"""Bus: one tap on boarding; flat, staged or keyed list price by line, concessions and transfers.

List price of a line: `flat` (one price), `stages` (a single tap priced from the stop where one boards; the
terminal knows the stop), or `keyed` (driver or conductor enters it, or a record being re-rated carries it).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from citycard.core.record import Flag
from citycard.core.refusal import Refusal
from citycard.core.tunion import MODE_BUS
from citycard.services.concession import Concessions, TransferRule, transfer_discount
from citycard.services.contract import (
    CardClass,
    Decision,
    Fare,
    Grant,
    Place,
    Rights,
    Service,
    State,
    Tap,
    Weights,
)
from citycard.services.model import Config, Fen, LineNumber, Seconds, StationNumber

CODE: Final = 1


class FlatFare(Config):
    """One price wherever one boards."""

    kind: Literal["flat"] = "flat"
    fare_fen: Fen

    def list_fen(self, tap: Tap) -> int | Refusal:
        """The list price."""
        return self.fare_fen


class Stage(Config):
    """From this stop of the line on, boarding costs this much."""

    from_station: StationNumber
    fare_fen: Fen


class StagedFare(Config):
    """A price by the stage in which one boards; stops before the first stage have no fare."""

    kind: Literal["stages"] = "stages"
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _in_order(self) -> StagedFare:
        stops = [stage.from_station for stage in self.stages]
        if stops != sorted(set(stops)):
            raise ValueError("from_station must rise from stage to stage")
        return self

    def list_fen(self, tap: Tap) -> int | Refusal:
        """The list price of the stage the tap's stop lies in."""
        for stage in reversed(self.stages):
            if tap.station >= stage.from_station:
                return stage.fare_fen
        return Refusal.NO_FARE


class KeyedFare(Config):
    """The list price comes with the tap and must lie within limits."""

    kind: Literal["keyed"] = "keyed"
    minimum_fen: Fen = 1
    maximum_fen: Fen

    def list_fen(self, tap: Tap) -> int | Refusal:
        """The list price the tap carries."""
        keyed = tap.amount_fen
        return keyed if self.minimum_fen <= keyed <= self.maximum_fen else Refusal.AMOUNT_INVALID


class LineFare(Config):
    """How some lines (none named: all others) are priced, and whether discounts are given on them."""

    lines: tuple[LineNumber, ...] = ()
    fare: Annotated[FlatFare | StagedFare | KeyedFare, Field(discriminator="kind")]
    concessions: bool = True
    transfers: bool = True


class BusConfig(Config):
    """The tariff of a bus network."""

    fares: Annotated[tuple[LineFare, ...], Field(min_length=1)]
    concessions: Concessions = Concessions()
    transfers: tuple[TransferRule, ...] = ()
    repeat_seconds: Seconds = 60  # a second tap on the same terminal this soon is refused

    @model_validator(mode="after")
    def _lines_once(self) -> BusConfig:
        named = [line for fare in self.fares for line in fare.lines or (None,)]
        twice = {line for line in named if named.count(line) > 1}
        if twice:
            one = next(iter(twice))
            raise ValueError(f"line {one} is priced twice" if one is not None else "two fares name no line")
        return self

    @cached_property
    def _by_line(self) -> dict[int, LineFare]:
        return {line: fare for fare in self.fares for line in fare.lines}

    @cached_property
    def _default(self) -> LineFare | None:
        return next((fare for fare in self.fares if not fare.lines), None)

    def line_fare(self, line: int) -> LineFare | None:
        """How a line is priced; none if no fare covers it."""
        return self._by_line.get(line, self._default)


def decide(tap: Tap, rights: Rights, state: State, config: BusConfig) -> Decision:
    """Price a boarding: a grant with its fare, or why not."""
    card_class, last, fare = rights.card_class, state.last, config.line_fare(tap.line)
    if fare is None:
        return Refusal.NO_FARE
    if not config.concessions.accepts(card_class):
        return Refusal.CLASS_NOT_ACCEPTED
    if (
        last
        and last.terminal == tap.terminal
        and 0 <= (tap.at - last.at).total_seconds() < config.repeat_seconds
    ):
        return Refusal.TAPPED_TWICE
    listed = fare.fare.list_fen(tap)
    if isinstance(listed, Refusal):
        return listed
    price = config.concessions.price(listed, card_class, tap.at) if fare.concessions else listed
    off = 0
    if fare.transfers:
        ride = (tap.at, tap.line, card_class)
        off = transfer_discount(config.transfers, last, ride, price, config.concessions.rounding)
    if price - off > state.balance_fen:
        return Refusal.INSUFFICIENT_BALANCE
    flags = (Flag.TRANSFER if off else Flag(0)) | (Flag.TEST if card_class == CardClass.TEST else Flag(0))
    return Grant(Fare(listed, listed - price, off), flags, journey=state.journey)


def shares(place: Place, config: BusConfig, lines: Mapping[int, str]) -> Weights:
    """The whole fare is the operator's who runs the line, else the acquirer's."""
    return ((lines.get(place.line, place.acquirer), 1),)


SERVICE: Final = Service(
    code=CODE,
    name="bus",
    title_en="Bus",
    title_zh="公交",
    mode=MODE_BUS,
    composite=True,
    config=BusConfig,
    decide=decide,
    shares=shares,
)
