# SPDX-License-Identifier: Apache-2.0
"""How far an exchanged tap has come: settle first, verify later (先清算后验证), as one table.

The acquirer takes a foreign tap when its own checks allow (all but the TAC), forwards it, and the hub clears
it: from then on the money has moved. The issuer verifies afterwards. What it refuses is put right by a
dispute and an adjustment; nothing that was booked is ever unbooked.

    TAKEN -> FORWARDED -> CLEARED -> VERIFIED
                 |           |          |
              RETURNED    REFUSED -> DISPUTED -> ADJUSTED | UPHELD

An office sees the part that concerns it: the acquirer all of it, hub and issuer from CLEARED on. A tap that
was adjusted as a whole may be presented once more, corrected, as another tap with another number.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final

from citycard.core.problem import declare

EXCHANGE_MOVE = declare(
    "EXCHANGE_MOVE",
    "Exchanged tap {ref} is {state}: it cannot be told to {event}. The file that says so was set aside.",
    "跨城交易 {ref} 当前状态为 {state}，不能执行 {event}。相应文件已隔离。",
)


class State(StrEnum):
    """Where an exchanged tap stands."""

    TAKEN = "taken"
    FORWARDED = "forwarded"
    RETURNED = "returned"
    CLEARED = "cleared"
    VERIFIED = "verified"
    REFUSED = "refused"
    DISPUTED = "disputed"
    ADJUSTED = "adjusted"
    UPHELD = "upheld"


class Event(StrEnum):
    """What may happen to one."""

    FORWARD = "forward"
    RETURN = "return"
    CLEAR = "clear"
    VERIFY = "verify"
    REFUSE = "refuse"
    DISPUTE = "dispute"
    ADJUST = "adjust"
    UPHOLD = "uphold"


NEXT: Final = MappingProxyType(
    {
        (State.TAKEN, Event.FORWARD): State.FORWARDED,
        (State.FORWARDED, Event.RETURN): State.RETURNED,
        (State.FORWARDED, Event.CLEAR): State.CLEARED,
        (State.CLEARED, Event.VERIFY): State.VERIFIED,
        (State.CLEARED, Event.REFUSE): State.REFUSED,
        (State.CLEARED, Event.DISPUTE): State.DISPUTED,
        (State.VERIFIED, Event.DISPUTE): State.DISPUTED,
        (State.REFUSED, Event.DISPUTE): State.DISPUTED,
        (State.DISPUTED, Event.VERIFY): State.DISPUTED,  # the word of the issuer came after the complaint
        (State.DISPUTED, Event.REFUSE): State.DISPUTED,
        (State.DISPUTED, Event.ADJUST): State.ADJUSTED,
        (State.DISPUTED, Event.UPHOLD): State.UPHELD,
        (State.UPHELD, Event.DISPUTE): State.DISPUTED,  # a second cause
    }
)
MONEY_MOVED: Final = frozenset(State) - {State.TAKEN, State.FORWARDED, State.RETURNED}
AT_REST: Final = frozenset({State.RETURNED, State.VERIFIED, State.ADJUSTED, State.UPHELD})


def step(ref: str, state: str, event: Event) -> State:
    """The state after an event; EXCHANGE_MOVE when the table has no such move."""
    after = NEXT.get((State(state), event))
    if after is None:
        raise EXCHANGE_MOVE(ref=ref, state=state, event=event.value)
    return after
