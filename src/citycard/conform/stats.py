# SPDX-License-Identifier: Apache-2.0
"""Just enough statistics to say what a set of samples proves: intervals of quantiles, tests of randomness.

Intervals are distribution-free: the true quantile lies between two order statistics with at least the
wanted confidence (binomial). The tests of randomness (after NIST SP 800-22 and FIPS 140-2) reject at one in
a million, so that a good card is not accused in the life of a laboratory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import comb, sqrt
from typing import Final

CONFIDENCE: Final = 0.95
Z_MAX: Final = 4.9  # two-sided, one in a million
Z_ONE_SIDED: Final = 4.75
Z_POSITION: Final = 5.6  # the worst of 64 bit positions


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile of the samples, and where the true one lies with 95 % confidence (None: no such bound)."""

    value: float
    low: float | None
    high: float | None


def quantile(samples: Sequence[float], q: float) -> Quantile:
    """The quantile `q` of some samples with its interval, each side at 97.5 %."""
    ordered, n = sorted(samples), len(samples)
    tail = (1 - CONFIDENCE) / 2
    below, low, high = 0.0, None, None
    for rank in range(n + 1):  # below = P(at most `rank` of n samples lie under the true quantile)
        below += comb(n, rank) * q**rank * (1 - q) ** (n - rank)
        if below <= tail and rank < n:
            low = ordered[rank]
        if high is None and below >= 1 - tail and rank < n:
            high = ordered[rank]
    return Quantile(ordered[min(n - 1, int(q * n))], low, high)


def bits_of(data: bytes) -> list[int]:
    """The bits, most significant first."""
    return [byte >> shift & 1 for byte in data for shift in range(7, -1, -1)]


def monobit_z(bits: Sequence[int]) -> float:
    """How far the number of ones is from half, in standard deviations."""
    return (2 * sum(bits) - len(bits)) / sqrt(len(bits))


def runs_z(bits: Sequence[int]) -> float:
    """How far the number of changes from bit to bit is from half, in standard deviations."""
    changes = sum(a != b for a, b in pairwise(bits))
    return (2 * changes - (len(bits) - 1)) / sqrt(len(bits) - 1)


def bytes_z(data: bytes) -> float:
    """Chi-square over the 256 values of a byte, as standard deviations (Wilson and Hilferty)."""
    expected, freedom = len(data) / 256, 255
    chi = sum((data.count(value) - expected) ** 2 / expected for value in range(256))
    return float((chi / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / sqrt(2 / (9 * freedom))


def worst_position_z(draws: Sequence[bytes]) -> float:
    """The most uneven bit position of equally long draws, in standard deviations."""
    columns = zip(*(bits_of(draw) for draw in draws), strict=True)
    return max(abs(monobit_z(column)) for column in columns)


def serial_z(draws: Sequence[bytes]) -> float:
    """How far from half the bits are that change from draw to draw, in standard deviations."""
    changed = [a ^ b for one, two in pairwise(draws) for a, b in zip(one, two, strict=True)]
    return monobit_z(bits_of(bytes(changed)))
