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

    `raw` are the record's 128 bytes, `detail` is for the log.
    """

    outcome: Outcome
    refusal: Refusal | None = None
    raw: bytes | None = None
    fare: Fare | None = None
    pan: str = ""
    detail: str = ""

    @property
    def record(self) -> TapRecord | None:
        """The record of an accepted tap."""
        return None if self.raw is None else TapRecord.decode(self.raw)

    @property
    def recovered(self) -> bool:
        """Whether the card was debited or credited when it was presented before."""
        record = self.record
        return record is not None and bool(record.flags & Flag.RECOVERED)

    @property
    def balance_fen(self) -> int | None:
        """What the card holds after an accepted tap; None otherwise."""
        record = self.record
        if record is None:
            return None
        sign = 1 if record.kind == Kind.LOAD else -1
        return record.balance_before_fen + sign * record.amount_fen


def of_record(raw: bytes) -> TapResult:
    """The result of a record whose fare is told by the record alone."""
    record = TapRecord.decode(raw)
    fare = Fare(record.list_fen, record.concession_fen, record.transfer_fen, record.surcharge_fen)
    return TapResult(Outcome.ACCEPTED, raw=raw, fare=fare, pan=record.pan)


def refused(said: Refused, pan: str = "") -> TapResult:
    """The result of a refusal by card, PSAM or host."""
    return TapResult(Outcome.REFUSED, said.refusal, pan=pan, detail=str(said))
