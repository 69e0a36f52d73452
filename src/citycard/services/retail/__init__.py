# SPDX-License-Identifier: Apache-2.0
"""Retail: the merchant keys an amount; limits and, if the merchant takes part, a discount by card class."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final

from pydantic import model_validator

from citycard.core.record import Flag
from citycard.core.refusal import Refusal
from citycard.core.tunion import MODE_OTHER
from citycard.services.concession import Concessions
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
from citycard.services.model import Config, Fen, LineNumber

CODE: Final = 3


class Limits(Config):
    """The smallest and the largest amount of one purchase."""

    minimum_fen: Fen = 1
    maximum_fen: Fen

    @model_validator(mode="after")
    def _in_order(self) -> Limits:
        if self.minimum_fen > self.maximum_fen:
            raise ValueError("minimum_fen is above maximum_fen")
        return self


class Merchant(Config):
    """A merchant (a line number of the retailer) with limits or discounts of its own."""

    line: LineNumber
    limits: Limits | None = None
    concessions: Concessions | None = None


class RetailConfig(Config):
    """The rules of purchases in shops."""

    limits: Limits
    concessions: Concessions = Concessions()
    merchants: tuple[Merchant, ...] = ()

    @model_validator(mode="after")
    def _merchants_once(self) -> RetailConfig:
        if len({merchant.line for merchant in self.merchants}) != len(self.merchants):
            raise ValueError("a merchant is listed twice")
        return self

    @cached_property
    def _by_line(self) -> dict[int, tuple[Limits, Concessions]]:
        return {m.line: (m.limits or self.limits, m.concessions or self.concessions) for m in self.merchants}

    def rules(self, line: int) -> tuple[Limits, Concessions]:
        """Limits and discounts at a merchant."""
        return self._by_line.get(line) or (self.limits, self.concessions)


def decide(tap: Tap, rights: Rights, state: State, config: RetailConfig) -> Decision:
    """Price a purchase: a grant with its fare, or why not."""
    limits, concessions = config.rules(tap.line)
    if not concessions.accepts(rights.card_class):
        return Refusal.CLASS_NOT_ACCEPTED
    if not limits.minimum_fen <= tap.amount_fen <= limits.maximum_fen:
        return Refusal.AMOUNT_INVALID
    price = concessions.price(tap.amount_fen, rights.card_class, tap.at)
    if price > state.balance_fen:
        return Refusal.INSUFFICIENT_BALANCE
    flags = Flag.TEST if rights.card_class == CardClass.TEST else Flag(0)
    return Grant(Fare(tap.amount_fen, tap.amount_fen - price), flags, journey=state.journey)


def shares(place: Place, config: RetailConfig, lines: Mapping[int, str]) -> Weights:
    """The whole amount is the acquirer's."""
    return ((place.acquirer, 1),)


SERVICE: Final = Service(
    code=CODE,
    name="retail",
    title_en="Retail",
    title_zh="商户消费",
    mode=MODE_OTHER,
    composite=False,
    config=RetailConfig,
    decide=decide,
    shares=shares,
)
