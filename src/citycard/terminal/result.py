# SPDX-License-Identifier: Apache-2.0
"""How a presentation of a card ended, as the gate's display and the simulation see it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from citycard.core.dialogue import Refused
from citycard.core.record import Flag, Kind, TapRecord
from citycard.core.refusal import Refusal
from citycard.services.contract import Fare


class Outcome(StrEnum):
    """How a presentation ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    TORN = "torn"


@dataclass(frozen=True, slots=True)
class TapResult:
    """What to show: accepted with its record and fare, refused and why, or torn: present the card again.

    `detail` is for the log.
    """

    outcome: Outcome
    refusal: Refusal | None = None
    record: TapRecord | None = None
    fare: Fare | None = None
    pan: str = ""
    detail: str = ""

    @property
    def recovered(self) -> bool:
        """Whether the card was debited or credited when it was presented before."""
        return self.record is not None and bool(self.record.flags & Flag.RECOVERED)

    @property
    def balance_fen(self) -> int | None:
        """What the card holds after an accepted tap; None otherwise."""
        if self.record is None:
            return None
        sign = 1 if self.record.kind == Kind.LOAD else -1
        return self.record.balance_before_fen + sign * self.record.amount_fen


def refused(said: Refused, pan: str = "") -> TapResult:
    """The result of a refusal by card, PSAM or host."""
    return TapResult(Outcome.REFUSED, said.refusal, pan=pan, detail=str(said))
