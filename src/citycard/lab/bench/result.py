# SPDX-License-Identifier: Apache-2.0
"""What every benchmark answers: our figure, the yardstick's figure from the same run, and their ratio."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """One benchmark's outcome; `ratio` is figure / yardstick in the sense that `ratio_means` says."""

    name: str
    what: str  # what was run, in a sentence
    figure: float
    unit: str
    yardstick: float
    yardstick_what: str
    ratio: float
    ratio_means: str
    seconds: float
    details: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """All of it, with the machine it ran on."""
        return {name: getattr(self, name) for name in self.__slots__} | {"machine": machine()}


def machine() -> dict[str, Any]:
    """What the benchmark ran on."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
            model = next(line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def best_of(action: Callable[[], object], rounds: int) -> float:
    """Seconds of the quickest of so many rounds: the least disturbed one."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - start)
    return best
