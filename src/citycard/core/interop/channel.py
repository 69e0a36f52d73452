# SPDX-License-Identifier: Apache-2.0
"""The channel between two members: files in order of their sequence, none lost, none taken twice.

A file is judged by (sender, id, sequence, digest). The next one in order is taken; one that comes again is
quiet; another content under a number that was taken is an alarm; one that comes early waits, and those before
it are asked for with an LD list. LD itself is outside the sequence and is always read at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

ASK_MAX: Final = 50  # files asked for at a time; the rest when these have come
AHEAD_MAX: Final = 1000  # how far ahead of the last taken one a file may be and still wait


class Arrival(Enum):
    """What a file that came is."""

    NEXT = "next"
    EARLY = "early"  # kept until those before it have come
    REPEATED = "repeated"
    ALTERED = "altered"
    FAR = "far"  # too far ahead to be believed


@dataclass(frozen=True, slots=True)
class Came:
    """A file kept from this sender before: which, and with what content."""

    file: str
    sequence: int
    digest: str


def judge(kept: Mapping[int, Came], taken: int, came: Came) -> Arrival:
    """What the file is, given those kept by sequence and the last sequence taken in order."""
    before = kept.get(came.sequence)
    if before is not None:
        return Arrival.REPEATED if before == came else Arrival.ALTERED
    if came.sequence <= taken:
        return Arrival.ALTERED  # a number that was taken, and nothing kept that could be compared
    if came.sequence > taken + AHEAD_MAX:
        return Arrival.FAR
    return Arrival.NEXT if came.sequence == taken + 1 else Arrival.EARLY


def wanted(kept: Collection[int], taken: int, told: int = 0) -> list[int]:
    """Sequences to ask for: those missing below the newest kept or told of, at most `ASK_MAX`."""
    newest = max([taken, told, *kept])
    missing = (number for number in range(taken + 1, newest + 1) if number not in kept)
    return [number for _, number in zip(range(ASK_MAX), missing, strict=False)]
