# SPDX-License-Identifier: Apache-2.0
"""The API of migrations: the office's side of `core.dialogue.migrate`, one step for each call.

A step may be repeated. A refusal is an answer (200 with its code), for the terminal goes on by it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from citycard.core.dialogue.load import INIT_SIZE, LoadOpened
from citycard.core.dialogue.migrate import AlreadyLoaded, Case, Offer, ProveFirst
from citycard.core.refusal import Refusal
from citycard.office.api.shapes import Error, Hex, Strict
from citycard.office.cards.migration import MigrationDesk
from citycard.office.participants.models import Terminal
from citycard.office.staff.roles import Actor, Role

router = Router(tags=["migrations"])
Pan = Annotated[str, Field(pattern=r"^[0-9]{20}$")]
Counter = Annotated[int, Field(strict=True, ge=0, lt=2**16)]


class MigrationCase(Strict):
    """Which card's money goes where; see `core.dialogue.migrate.Case`."""

    old_uid: Annotated[str, Field(pattern=r"^(?:[0-9a-f]{8}|[0-9a-f]{14})$")]
    old_pan: Pan
    old_counter: Counter
    issuer: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    new_pan: Pan
    amount_fen: Annotated[int, Field(strict=True, gt=0, lt=2**24)]


class MigrationStep(Strict):
    """A step's particulars; which are looked at depends on the step."""

    case: MigrationCase
    proof: Hex = ""  # take_over: MAC of the mark on the old card
    card_answer: Hex = ""  # begin: the new card's answer to INITIALIZE FOR LOAD
    load_id: Annotated[str, Field(max_length=32)] = ""
    tac: Hex = ""  # credited
    counter: Counter = 0  # absent: the new card's online counter


class MigrationAnswer(Schema):
    """What came of it: a refusal's code or nothing; `standing` is `offer`, `prove`, `loaded` or nothing."""

    refusal: str = ""
    standing: str = ""
    load_id: str = ""
    data: str = ""  # offer: date 4, time 3, MAC2 4 bytes
    counter: int = 0  # prove
    terminal: str = ""
    moment: str = ""


Step = Literal["agree", "take_over", "standing", "begin", "credited", "absent"]


@router.post("/{step}", response={200: MigrationAnswer, 401: Error, 413: Error, 422: Error, 503: Error})
def migrate(request: HttpRequest, step: Step, given: MigrationStep) -> Any:
    """One step of a migration of an M1 card's money to a CPU card."""
    terminal = request.auth  # type: ignore[attr-defined]
    assert isinstance(terminal, Terminal)
    desk = MigrationDesk(terminal, Actor(f"terminal {terminal.pk}", frozenset({Role.CLERK})))
    return _answer(_carried_out(desk, step, given))


def _carried_out(desk: MigrationDesk, step: Step, given: MigrationStep) -> object:
    told = given.case
    case = Case(
        bytes.fromhex(told.old_uid),
        told.old_pan,
        told.old_counter,
        bytes.fromhex(told.issuer),
        told.new_pan,
        told.amount_fen,
    )
    match step:
        case "agree":
            return desk.agree(case)
        case "take_over":
            return desk.take_over(case, bytes.fromhex(given.proof))
        case "standing":
            return desk.standing(case)
        case "begin":
            raw = bytes.fromhex(given.card_answer)
            if len(raw) != INIT_SIZE:
                return Refusal.OFFICE_REFUSED
            return desk.begin(case, LoadOpened.of(raw), bytes.fromhex(desk.terminal.pk))
        case "credited":
            return desk.credited(case, given.load_id, bytes.fromhex(given.tac))
        case "absent":
            return desk.absent(case, given.load_id, given.counter)


def _answer(outcome: object) -> MigrationAnswer:
    match outcome:
        case Refusal():
            return MigrationAnswer(refusal=outcome.code)
        case Offer():
            return MigrationAnswer(standing="offer", load_id=outcome.load_id, data=outcome.data.hex())
        case AlreadyLoaded():
            return MigrationAnswer(standing="loaded")
        case ProveFirst():
            return MigrationAnswer(
                standing="prove",
                load_id=outcome.load_id,
                counter=outcome.counter,
                terminal=outcome.terminal.hex(),
                moment=outcome.moment.hex(),
            )
        case _:
            return MigrationAnswer()
