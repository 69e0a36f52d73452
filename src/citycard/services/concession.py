# SPDX-License-Identifier: Apache-2.0
"""What is taken off a list price: concessions by card class, and transfers from another ride.

The order is fixed: list price; concession of the card's class, rounded once; transfer discount, in whole
fen; surcharges on top. A rule of a class holds in its blocks of validity (dates, weekdays, hours; none:
always) and the first rule that holds is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from citycard.core.money import BASIS
from citycard.core.tunion import MODE_BUS, MODE_METRO
from citycard.services.contract import CardClass, Ride
from citycard.services.model import BasisPoints, Config, Fen, Minutes

CLASS_CODES: Final[dict[str, int]] = {
    name.lower(): code for name, code in vars(CardClass).items() if isinstance(code, int)
}
MODES: Final = {"bus": MODE_BUS, "metro": MODE_METRO}

ClassName = Literal[
    "ordinary", "student", "senior", "test", "military", "free", "staff", "full_fare",
    "child", "disabled", "elderly", "single", "single_child", "single_elderly",
]  # fmt: skip
ModeName = Literal["bus", "metro"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Rounding(Config):
    """How a discounted price becomes payable: to a multiple of `step_fen`, by `mode`.

    `half_up` and `half_even` take the nearest multiple and differ only on the exact middle; `down` favours
    the holder, `up` the operator. A rounded price is never above the list price.
    """

    step_fen: Annotated[int, Field(ge=1, le=1000)] = 1
    mode: Literal["half_up", "half_even", "down", "up"] = "half_up"

    def price(self, numerator: int, denominator: int) -> int:
        """The payable price of the exact fraction numerator/denominator fen."""
        unit = denominator * self.step_fen
        steps, rest = divmod(numerator, unit)
        match self.mode:
            case "up":
                up = rest > 0
            case "half_up":
                up = 2 * rest >= unit
            case "half_even":
                up = 2 * rest > unit or (2 * rest == unit and steps % 2 == 1)
            case _:
                up = False
        return (steps + up) * self.step_fen


class Block(Config):
    """When a rule holds: first and last day, weekdays, and hours [`from_time`, `until_time`)."""

    from_date: date | None = None
    until_date: date | None = None
    weekdays: tuple[Weekday, ...] = WEEKDAYS
    from_time: time | None = None
    until_time: time | None = None  # earlier than from_time: past midnight

    def holds(self, at: datetime) -> bool:
        """Whether an instant lies in the block."""
        day = at.date()
        if (self.from_date and day < self.from_date) or (self.until_date and day > self.until_date):
            return False
        if WEEKDAYS[day.weekday()] not in self.weekdays:
            return False
        start, end, now = self.from_time or time.min, self.until_time, at.time()
        if end is None:
            return now >= start
        return start <= now < end if start <= end else now >= start or now < end


class Slice(Config):
    """A part of the list price, up to `up_to_fen` of it (none: all the rest), and what is paid of it."""

    up_to_fen: Fen | None = None
    pay_bp: BasisPoints


class ClassRule(Config):
    """What one or more card classes pay: a share of the list price, shares of its slices, or nothing.

    Exactly one of `pay_bp` (basis points of the list price: 9500 = 95 %, 0 = free) and `slices` is given.
    """

    classes: Annotated[tuple[ClassName, ...], Field(min_length=1)]
    pay_bp: BasisPoints | None = None
    slices: tuple[Slice, ...] = ()
    blocks: tuple[Block, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> ClassRule:
        if (self.pay_bp is None) == (not self.slices):
            raise ValueError("give either pay_bp or slices")
        if self.slices:
            ends = [s.up_to_fen for s in self.slices]
            if ends[-1] is not None or None in ends[:-1]:
                raise ValueError("only the last slice, and always the last, has no up_to_fen")
            bounds = [end for end in ends if end is not None]
            if any(a >= b for a, b in zip([0, *bounds], bounds, strict=False)):
                raise ValueError("up_to_fen must rise from slice to slice")
        return self

    def price(self, list_fen: int, rounding: Rounding) -> int:
        """The payable part of a list price, before transfer discounts."""
        if self.pay_bp is not None:
            exact = list_fen * self.pay_bp
        else:
            exact, start = 0, 0
            for piece in self.slices:
                end = list_fen if piece.up_to_fen is None else min(list_fen, piece.up_to_fen)
                exact += max(0, end - start) * piece.pay_bp
                start = max(start, end)
        return min(list_fen, rounding.price(exact, BASIS))


class Concessions(Config):
    """The rules of all card classes; `others` says what becomes of a class without a rule."""

    rules: tuple[ClassRule, ...] = ()
    others: Literal["full", "refuse"] = "full"
    rounding: Rounding = Rounding()

    @cached_property
    def _by_class(self) -> dict[int, tuple[ClassRule, ...]]:
        return {
            code: tuple(rule for rule in self.rules if name in rule.classes)
            for name, code in CLASS_CODES.items()
        }

    def accepts(self, card_class: int) -> bool:
        """Whether the class may use the service at all."""
        return self.others == "full" or bool(self._by_class.get(card_class))

    def price(self, list_fen: int, card_class: int, at: datetime) -> int:
        """What a class pays of a list price at an instant, before transfer discounts; never above it."""
        for rule in self._by_class.get(card_class, ()):
            if not rule.blocks or any(block.holds(at) for block in rule.blocks):
                return rule.price(list_fen, self.rounding)
        return list_fen

    def free(self, card_class: int, at: datetime) -> bool:
        """Whether the class pays nothing at an instant, whatever the list price."""
        return self.price(BASIS, card_class, at) == 0


class TransferRule(Config):
    """A discount on a ride that follows another within a window, by amount or by share of the price.

    `after` names what the last ride was. The discount leaves at least `minimum_fen` to pay (and never makes
    a price that was lower already higher). `other_line` asks for a ride on a line other than the last.
    """

    after: Annotated[tuple[ModeName, ...], Field(min_length=1)]
    window_minutes: Minutes
    off_fen: Fen | None = None
    off_bp: BasisPoints | None = None
    minimum_fen: Fen = 0
    classes: tuple[ClassName, ...] = ()  # none: all
    other_line: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> TransferRule:
        if (self.off_fen is None) == (self.off_bp is None):
            raise ValueError("give either off_fen or off_bp")
        return self

    @cached_property
    def _codes(self) -> frozenset[int]:
        return frozenset(CLASS_CODES[name] for name in self.classes or CLASS_CODES)

    @cached_property
    def _modes(self) -> frozenset[int]:
        return frozenset(MODES[name] for name in self.after)

    @cached_property
    def _window(self) -> timedelta:
        return timedelta(minutes=self.window_minutes)

    def applies(self, last: Ride, at: datetime, line: int, card_class: int) -> bool:
        """Whether a ride that begins at an instant on a line follows the last one closely enough."""
        return (
            last.mode in self._modes
            and (not self.classes or card_class in self._codes)
            and timedelta(0) <= at - last.at <= self._window
            and not (self.other_line and last.line == line)
        )

    def discount(self, price_fen: int, rounding: Rounding) -> int:
        """What is taken off a price, in whole fen."""
        most = max(0, price_fen - self.minimum_fen)
        if self.off_fen is not None:
            return min(self.off_fen, most)
        assert self.off_bp is not None
        return min(price_fen - min(price_fen, rounding.price(price_fen * (BASIS - self.off_bp), BASIS)), most)


def transfer_discount(
    rules: Sequence[TransferRule], last: Ride | None, ride: tuple[datetime, int, int], price_fen: int,
    rounding: Rounding,
) -> int:  # fmt: skip
    """What the best rule takes off; `ride` is when it began, its line and the card class."""
    if last is None or price_fen == 0:
        return 0
    at, line, card_class = ride
    found = [r.discount(price_fen, rounding) for r in rules if r.applies(last, at, line, card_class)]
    return max(found, default=0)
