# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: each prints our figure beside a yardstick run in the same process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.lab.bench.result import BenchResult


def _tap(**options: int) -> BenchResult:
    from citycard.lab.bench.tap import run

    return run(**options)


def _card(**options: int) -> BenchResult:
    from citycard.lab.bench.card import run

    return run(**options)


BENCHMARKS: Final[dict[str, tuple[str, Callable[..., BenchResult]]]] = {
    "card": ("a metro exit through pcscd and vpcd beside its bare echo; keys; time in the air", _card),
    "tap": ("our own code in one metro exit, the card's time excluded", _tap),
}

__all__ = ["BENCHMARKS", "BenchResult"]
