# SPDX-License-Identifier: Apache-2.0
"""How a dispute goes (差错处理): who may do what when, by when, and what it ends with, as one table.

Either side of a cleared tap raises it with a cause and the amount it holds right; the other accepts or
contests within `ANSWER_DAYS`; silence is consent. Contested, the raiser may present it a second time with
more to say, once; contested again, the hub decides. Granted, an adjustment moves the difference back.

    RAISED ------accept, lapse-----> GRANTED --adjust--> ADJUSTED
      | contest                         ^  ^
    CONTESTED --withdraw, lapse--> CLOSED  |
      | represent                       |  | grant
    REPRESENTED --accept, lapse---------+  |
      | contest                            |
    ARBITRATION ---------------------------+--dismiss--> DISMISSED
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from citycard.core.interop.money import Parts, Rate, parts_of

RAISE_DAYS: Final = 30  # after the date the tap was settled on
ANSWER_DAYS: Final = 10  # calendar days; after them the question is answered by silence


class Stage(StrEnum):
    """Where a dispute stands."""

    RAISED = "raised"
    CONTESTED = "contested"
    REPRESENTED = "represented"
    ARBITRATION = "arbitration"
    GRANTED = "granted"
    ADJUSTED = "adjusted"
    DISMISSED = "dismissed"
    CLOSED = "closed"


class Act(StrEnum):
    """What may be done to one."""

    ACCEPT = "accept"
    CONTEST = "contest"
    REPRESENT = "represent"
    WITHDRAW = "withdraw"
    GRANT = "grant"
    DISMISS = "dismiss"
    LAPSE = "lapse"
    ADJUST = "adjust"


class Party(StrEnum):
    """Who does it."""

    RAISER = "raiser"
    ANSWERER = "answerer"
    HUB = "hub"


NEXT: Final = MappingProxyType(
    {
        (Stage.RAISED, Act.ACCEPT): Stage.GRANTED,
        (Stage.RAISED, Act.CONTEST): Stage.CONTESTED,
        (Stage.RAISED, Act.WITHDRAW): Stage.CLOSED,
        (Stage.RAISED, Act.LAPSE): Stage.GRANTED,
        (Stage.CONTESTED, Act.REPRESENT): Stage.REPRESENTED,
        (Stage.CONTESTED, Act.WITHDRAW): Stage.CLOSED,
        (Stage.CONTESTED, Act.LAPSE): Stage.CLOSED,
        (Stage.REPRESENTED, Act.ACCEPT): Stage.GRANTED,
        (Stage.REPRESENTED, Act.CONTEST): Stage.ARBITRATION,
        (Stage.REPRESENTED, Act.LAPSE): Stage.GRANTED,
        (Stage.ARBITRATION, Act.GRANT): Stage.GRANTED,
        (Stage.ARBITRATION, Act.DISMISS): Stage.DISMISSED,
        (Stage.GRANTED, Act.ADJUST): Stage.ADJUSTED,
    }
)
WHO: Final = MappingProxyType(
    {
        Act.ACCEPT: Party.ANSWERER,
        Act.CONTEST: Party.ANSWERER,
        Act.REPRESENT: Party.RAISER,
        Act.WITHDRAW: Party.RAISER,
        Act.GRANT: Party.HUB,
        Act.DISMISS: Party.HUB,
        Act.LAPSE: Party.HUB,
        Act.ADJUST: Party.HUB,
    }
)
OPEN: Final = frozenset({stage for stage, _ in NEXT})
WAITING: Final = frozenset({Stage.RAISED, Stage.CONTESTED, Stage.REPRESENTED})  # with a last day


def allowed(stage: str, party: str) -> list[Act]:
    """What a party may do at a stage, in the order of `Act`."""
    return [act for act in Act if (Stage(stage), act) in NEXT and WHO[act] == party]


def step(stage: str, act: Act) -> Stage | None:
    """The stage after an act, or None when the table has no such move."""
    return NEXT.get((Stage(stage), act))


def answer_by(asked_on: date) -> date:
    """The last day to answer what was asked on a day."""
    return asked_on + timedelta(days=ANSWER_DAYS)


def may_raise(settled_on: date, today: date) -> bool:
    """Whether a tap settled on a date may still be disputed."""
    return settled_on <= today <= settled_on + timedelta(days=RAISE_DAYS)


def given_back(booked: Parts, right_fen: int, rate: Rate | None) -> Parts:
    """What an adjustment moves back when `right_fen` is the right amount; fees follow by the same rate.

    The whole goes back as it was booked, whatever has become of the rate; a part needs the rate.
    """
    assert 0 <= right_fen < booked.amount_fen, "an adjustment gives back, it never charges"
    if right_fen == 0:
        return booked
    assert rate is not None, "the rate under which the tap was cleared is gone"
    return booked.less(parts_of(right_fen, rate))
