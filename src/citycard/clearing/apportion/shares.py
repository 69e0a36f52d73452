# SPDX-License-Identifier: Apache-2.0
"""From paths to shares: how likely each path is, and what part of a fare each operator has earned.

Riders choose by a logit rule: the weight of a path is exp(-theta * minutes beyond the cheapest). On each
path the operators share by what they carried (metres by default). Shares are whole parts per million that
add up to exactly a million, by largest remainder, so that the money split by them adds up too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from citycard.clearing.apportion.paths import Graph, Path
from citycard.core.money import split_fen

WHOLE: Final = 1_000_000  # parts; one of them is less than a fen of any fare


@dataclass(frozen=True, slots=True)
class Explained:
    """All that is known of one pair: its paths with probabilities, and the parts of the participants."""

    start: str
    goal: str
    paths: tuple[Path, ...]
    probabilities: tuple[float, ...]
    shares: tuple[tuple[str, int], ...]  # (participant, parts per million), by participant

    @property
    def apart(self) -> bool:
        """Whether no path joins them."""
        return not self.paths


def probabilities(paths: list[Path], theta: float) -> list[float]:
    """The logit probability of each path; they add up to 1."""
    if not paths:
        return []
    best = min(path.cost_min for path in paths)
    weights = [math.exp(-theta * (path.cost_min - best)) for path in paths]
    whole = sum(weights)
    return [weight / whole for weight in weights]


def explain(graph: Graph, start: str, goal: str, remaining: list[float] | None = None) -> Explained:
    """The paths between two stations and who has earned what part of the fare."""
    paths = graph.paths(start, goal, remaining)
    chances = probabilities(paths, graph.network.choice.theta)
    earned: dict[str, float] = {}
    for path, chance in zip(paths, chances, strict=True):
        whole = sum(amount for _, amount in path.carried)
        for operator, amount in path.carried:
            who = graph.network.operators[operator].participant
            earned[who] = earned.get(who, 0.0) + chance * amount / whole
    return Explained(start, goal, tuple(paths), tuple(chances), _parts(earned))


def _parts(earned: dict[str, float]) -> tuple[tuple[str, int], ...]:
    """Whole parts per million; a participant whose part rounds to nothing is left out."""
    if not earned:
        return ()
    who = sorted(earned)
    weights = [round(earned[one] * WHOLE * 1000) for one in who]
    parts = split_fen(WHOLE, weights)  # parts, not fen: the same rule
    return tuple((one, part) for one, part in zip(who, parts, strict=True) if part)
