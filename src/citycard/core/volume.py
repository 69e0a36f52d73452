# SPDX-License-Identifier: Apache-2.0
"""Fees by the month's volume: the tier that a month's turnover or number of taps reaches, and the fee due.

Clearing charges the contract's own rate day by day. When the month is over, the tier its whole volume reached
sets the fee of the whole month (all units, as acquiring contracts have it), and what was charged beside it is
made up by one adjustment. Below the lowest tier the contract's own rate stands as it was charged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from citycard.core.money import BASIS, share_of, split_fen
from citycard.core.problem import declare

BY_AMOUNT, BY_TAPS = "amount", "taps"
MEASURES: Final = (BY_AMOUNT, BY_TAPS)
TIERS_MAX: Final = 16  # of one contract, like its steps
TIER: Final = re.compile(r"([0-9]{1,15})\.\.([0-9]{0,15}):([0-9]{1,5}):([0-9]{1,9})")

VOLUME_TIER_UNREADABLE = declare(
    "VOLUME_TIER_UNREADABLE",
    "A volume tier is from..below:charge_bp:fixed_fen (nothing behind the dots: no end), at most 100 % and at"
    " most {most} tiers, not {tier!r}.",
    "阶梯费率应写成 起..止:费率(基点):固定费(分)（止为空表示不封顶），不超过 100 %，"
    "最多 {most} 档，“{tier}”不符合。",
)
VOLUME_TIERS_OVERLAP = declare(
    "VOLUME_TIERS_OVERLAP",
    "Volume tiers overlap: {tier} begins below {end}, where the one before it ends.",
    "阶梯费率重叠：{tier} 的起点低于前一档的终点 {end}。",
)
VOLUME_TIERS_GAP = declare(
    "VOLUME_TIERS_GAP",
    "Volume tiers leave a gap: no tier holds from {end} on. Begin the next one there; the last has no end.",
    "阶梯费率有缺口：{end} 起没有任何一档。请让下一档从该处开始，最后一档不封顶。",
)


@dataclass(frozen=True, slots=True)
class Tier:
    """Volumes from (included) to below (None: no end): basis points of the turnover, fen for each tap."""

    start: int
    below: int | None
    charge_bp: int
    fixed_fen: int

    def __str__(self) -> str:
        end = "" if self.below is None else self.below
        return f"{self.start}..{end}:{self.charge_bp}:{self.fixed_fen}"

    def due_fen(self, month: Volume) -> int:
        """The month's fee: one rounding, and never more than what was taken."""
        fee = share_of(month.turnover_fen, self.charge_bp) + month.taps * self.fixed_fen
        return min(month.turnover_fen, fee)


@dataclass(frozen=True, slots=True)
class Parts:
    """A fee, or a change of one, in its three parts."""

    issuer_fen: int = 0
    acquirer_fen: int = 0
    scheme_fen: int = 0

    @property
    def total_fen(self) -> int:
        """The whole."""
        return self.issuer_fen + self.acquirer_fen + self.scheme_fen

    def __add__(self, other: Parts) -> Parts:
        return Parts(
            self.issuer_fen + other.issuer_fen,
            self.acquirer_fen + other.acquirer_fen,
            self.scheme_fen + other.scheme_fen,
        )

    def __sub__(self, other: Parts) -> Parts:
        return self + Parts(-other.issuer_fen, -other.acquirer_fen, -other.scheme_fen)


@dataclass(frozen=True, slots=True)
class Volume:
    """What a pair did in a month under a contract: charged taps, their sum, the fee charged by day."""

    taps: int
    turnover_fen: int
    charged: Parts


@dataclass(frozen=True, slots=True)
class TrueUp:
    """What a month's volume makes of its fee: tier (None: the contract's own rate), due, left to adjust."""

    tier: Tier | None
    due: Parts
    difference: Parts


def parse_tier(word: str) -> Tier:
    """One tier as it is written. VOLUME_TIER_UNREADABLE."""
    found = TIER.fullmatch(word)
    if found is not None:
        tier = Tier(int(found[1]), int(found[2]) if found[2] else None, int(found[3]), int(found[4]))
        if tier.charge_bp <= BASIS and (tier.below is None or tier.start < tier.below):
            return tier
    raise VOLUME_TIER_UNREADABLE(tier=word[:40], most=TIERS_MAX)


def parse_tiers(text: str | None) -> list[Tier]:
    """Tiers separated by spaces, rising without gap or overlap, the last without end. VOLUME_TIER*."""
    tiers: list[Tier] = []
    for word in (text or "").split():
        tier = parse_tier(word)
        if len(tiers) == TIERS_MAX:
            raise VOLUME_TIER_UNREADABLE(tier=word[:40], most=TIERS_MAX)
        if tiers:
            end = tiers[-1].below
            if end is None or tier.start < end:
                raise VOLUME_TIERS_OVERLAP(tier=tier, end="∞" if end is None else end)
            if tier.start > end:
                raise VOLUME_TIERS_GAP(end=end)
        tiers.append(tier)
    if tiers and (end := tiers[-1].below) is not None:
        raise VOLUME_TIERS_GAP(end=end)
    return tiers


def reached(tiers: list[Tier], volume: int) -> Tier | None:
    """The tier a volume lies in; None below the lowest."""
    return next((tier for tier in reversed(tiers) if volume >= tier.start), None)


def true_up(
    tiers: list[Tier], by: str, weights: tuple[int, int, int], month: Volume, before: Parts
) -> TrueUp:
    """The month's fee by the tier reached, and what is left to adjust beside earlier adjustments.

    `weights` are the whole, the acquirer's and the issuer's part (`core.fees.parts`); the fee is divided by
    largest remainder, as taps' fees are, so that the parts add up to it.
    """
    tier = reached(tiers, month.turnover_fen if by == BY_AMOUNT else month.taps)
    due = month.charged
    if tier is not None:
        whole, acquirer, issuer = weights
        due = Parts(*split_fen(tier.due_fen(month), [issuer, acquirer, whole - issuer - acquirer]))
    return TrueUp(tier, due, due - month.charged - before)
