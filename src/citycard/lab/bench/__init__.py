# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: each prints our figure beside a yardstick run in the same process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.lab.bench.result import BenchResult


def _tap(**options: int) -> BenchResult:
    from citycard.lab.bench.tap import run

    return run(**options)


def _clearing(taps: int = 1_000_000, seed: int = 1, keep: int = 0) -> BenchResult:
    from citycard.lab.bench.clearing import run

    return run(taps, seed, keep)


def _tac(**options: int) -> BenchResult:
    from citycard.lab.bench.tac import run

    return run(**options)


BENCHMARKS: Final[dict[str, tuple[str, Callable[..., BenchResult]]]] = {
    "tac": ("TACs verified in bulk, beside the crypto library and beside OpenSSL's limit", _tac),
    "tap": ("our own code in one metro exit, the card's time excluded", _tap),
    "clearing": ("a large day from raw batches to posted positions (--taps, --seed, --keep)", _clearing),
}

OPTIONS: Final[dict[str, tuple[str, ...]]] = {"tap": ("exits",), "clearing": ("taps", "seed", "keep")}

__all__ = ["BENCHMARKS", "OPTIONS", "BenchResult"]
