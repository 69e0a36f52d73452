# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: each prints our figure beside a yardstick run in the same process."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Final, cast

from citycard.lab.bench.result import BenchResult


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark: the module of this folder that has its `run`, what it is, and the options it takes."""

    name: str
    what: str
    options: tuple[str, ...] = ()  # whole numbers
    words: tuple[str, ...] = ()  # options that are text

    def run(self, **options: int | str) -> BenchResult:
        """Measure; the module is imported only now."""
        return cast(BenchResult, import_module(f"{__name__}.{self.name}").run(**options))


BENCHMARKS: Final = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("card", "a metro exit through pcscd and vpcd beside its bare echo; keys; time in the air"),
        Benchmark(
            "clearing",
            "a large day from raw batches to posted positions",
            ("taps", "seed", "keep", "kill_worker"),
            ("shape", "engine"),
        ),
        Benchmark(
            "ledger",
            "transfers posted to the ledger, beside pgbench on the same server",
            ("seconds", "batch"),
        ),
        Benchmark(
            "tac", "TACs verified in bulk, beside the crypto library and OpenSSL's limit", ("records",)
        ),
        Benchmark("tap", "our own code in one metro exit, the card's time excluded", ("exits",)),
    )
}

__all__ = ["BENCHMARKS", "BenchResult", "Benchmark"]
