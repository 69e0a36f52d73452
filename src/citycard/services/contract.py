# SPDX-License-Identifier: Apache-2.0
"""What every service is: one frozen value whose `decide` runs at the gate, in the cloud and in re-rating."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final

from citycard.core.record import Flag
from citycard.core.refusal import Refusal


class Event(Enum):
    """What the holder does at the terminal."""

    ENTER = "enter"
    EXIT = "exit"
    BOARD = "board"
    PAY = "pay"


class CardClass:
    """Card classes, EF17 byte 10 (facts 4.2); 0x10 upwards are citycard's own."""

    ORDINARY: Final = 1
    STUDENT: Final = 2
    SENIOR: Final = 3
    TEST: Final = 4
    MILITARY: Final = 5
    FREE: Final = 0x10
    STAFF: Final = 0x11
    FULL_FARE: Final = 0x12  # pays the list price: hired cards, business coach, cards of other cities
    CHILD: Final = 0x13
    DISABLED: Final = 0x14
    ELDERLY: Final = 0x15  # an age above that of SENIOR, where a scheme tells the two apart
    SINGLE: Final = 0x20  # single journey tickets, where they have fares of their own
    SINGLE_CHILD: Final = 0x21
    SINGLE_ELDERLY: Final = 0x22


@dataclass(frozen=True, slots=True)
class Tap:
    """One presentation: when, where, what; `amount_fen` only where the merchant keys it in (list price)."""

    at: datetime
    event: Event
    line: int
    station: int
    terminal: bytes
    amount_fen: int = 0


@dataclass(frozen=True, slots=True)
class Rights:
    """What the card entitles to."""

    card_class: int
    issuer: bytes
    valid_until: Any = None


@dataclass(frozen=True, slots=True)
class Journey:
    """An open metro journey, from industry record 2701."""

    line: int
    station: int
    at: datetime
    terminal: bytes


@dataclass(frozen=True, slots=True)
class Ride:
    """The last paid ride or closed journey (newest EF1E record); grounds for a transfer discount."""

    mode: int
    line: int
    station: int
    at: datetime
    terminal: bytes
    amount_fen: int


@dataclass(frozen=True, slots=True)
class State:
    """What the card remembers of services."""

    journey: Journey | None = None
    last: Ride | None = None
    balance_fen: int = 0


@dataclass(frozen=True, slots=True)
class Fare:
    """A price and why: what is charged is list - concession - transfer + surcharge, never below zero."""

    list_fen: int = 0
    concession_fen: int = 0
    transfer_fen: int = 0
    surcharge_fen: int = 0

    def __post_init__(self) -> None:
        assert min(self.list_fen, self.concession_fen, self.transfer_fen, self.surcharge_fen) >= 0
        assert self.concession_fen + self.transfer_fen <= self.list_fen

    @property
    def charged_fen(self) -> int:
        """What the purse is debited."""
        return self.list_fen - self.concession_fen - self.transfer_fen + self.surcharge_fen


@dataclass(frozen=True, slots=True)
class Grant:
    """The service says yes: charge this, remember that."""

    fare: Fare
    flags: Flag = field(default=Flag(0))
    journey: Journey | None = None  # the journey now open; None: none is
    closes: Journey | None = None  # the journey this tap closes


Decision = Grant | Refusal


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fare was earned: the grounds on which operators share it."""

    acquirer: str
    line: int
    station: int
    entry_line: int = 0
    entry_station: int = 0
    period: str = ""  # part of the day, where a network's shares depend on it; empty: the whole day


Weights = tuple[tuple[str, int], ...]  # (participant, weight): how operators divide a fare


@dataclass(frozen=True, slots=True)
class Service:
    """A vertical: code on the wire, names, the card mode byte, its configuration model, and its rules."""

    code: int
    name: str
    title_en: str
    title_zh: str
    mode: int  # EF1E mode byte; a service with `composite` False leaves the transit files alone
    composite: bool  # composite purchase (CAPP) with transit records, or plain purchase
    config: type[Any]
    decide: Callable[[Tap, Rights, State, Any], Decision]
    shares: Callable[[Place, Any, Mapping[int, str]], Weights]  # (place, config, operator of each line)
