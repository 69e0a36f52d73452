# SPDX-License-Identifier: Apache-2.0
"""What people do in disputes: raise, accept, contest, present again, withdraw, decide. Refusals are values.

Each verb checks the role, asks the table of `core.interop.disputes`, moves the dispute, and sends the file
that tells the hub; all in one transaction with its audit entry.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from django.db import transaction

from citycard.core.interop import codes
from citycard.core.interop.disputes import WAITING, Act, Party, allowed, answer_by, may_raise
from citycard.core.interop.states import MONEY_MOVED, Event, State
from citycard.core.interop.states import NEXT as TAP_MOVES
from citycard.office.cards import counters
from citycard.office.disputes import acts, exchange
from citycard.office.disputes.models import Dispute
from citycard.office.disputes.refusals import DisputeRefusal, Why
from citycard.office.partners import desk
from citycard.office.partners.models import ExchangedTap
from citycard.office.staff.roles import SYSTEM, Actor, Role

CASE: Final = "dispute case"
WHO: Final = frozenset({Role.CLEARING_OFFICER, Role.ADMINISTRATOR})


@transaction.atomic
def raise_dispute(
    ref: str, by: Actor, *, cause: str, right_fen: int, words: str, on: date | None = None
) -> Dispute | DisputeRefusal:
    """Dispute a cleared tap: `right_fen` is what it should have been, below what was cleared."""
    us, today = desk.own(), on or desk.today()
    tap = ExchangedTap.objects.select_for_update().filter(pk=ref).first()
    why = _not_disputable(tap, by, today) or _not_sayable(tap, cause, right_fen, words)
    if why is not None or tap is None:
        return DisputeRefusal(why or Why.TAP_UNKNOWN, acts.RAISE, ref)
    (case,) = counters.take(CASE)
    due = answer_by(today)
    dispute = acts.begin(
        tap, Party.RAISER, by.name, words, case=case, originator_org=us.org,
        answering_org=acts.other_side(tap, us.org), cause=cause, right_fen=right_fen, raised_on=today,
        answer_by=due,
    )  # fmt: skip
    exchange.send_dispute(dispute, acts.FIRST, words, today)
    return dispute


def _not_disputable(tap: ExchangedTap | None, by: Actor, today: date) -> Why | None:
    """The first reason why this tap cannot be disputed now, or not by this person; or None."""
    if not by.roles & WHO:
        return Why.NOT_PERMITTED
    if tap is None or tap.side == desk.HUB:
        return Why.TAP_UNKNOWN
    if tap.state not in MONEY_MOVED or tap.settled_on is None:
        return Why.NOT_CLEARED
    if acts.open_about(tap):
        return Why.ALREADY_OPEN
    if (State(tap.state), Event.DISPUTE) not in TAP_MOVES:
        return Why.ALREADY_ADJUSTED
    return None if may_raise(tap.settled_on, max(today, tap.settled_on)) else Why.TOO_LATE


def _not_sayable(tap: ExchangedTap | None, cause: str, right_fen: int, words: str) -> Why | None:
    """The first reason against what is said of it, or None."""
    if cause not in codes.CAUSES:
        return Why.CAUSE_UNKNOWN
    if tap is None or not 0 <= right_fen < tap.amount_fen:
        return Why.AMOUNT_WRONG
    if not words.strip():
        return Why.WORDS_MISSING
    return None if acts.fits(words) else Why.WORDS_TOO_LONG


def may_raise_now(tap: ExchangedTap, by: Actor, today: date) -> bool:
    """Whether this person may dispute this tap today, whatever they say of it."""
    return _not_disputable(tap, by, today) is None


@transaction.atomic
def act(
    dispute_id: int, what: Act, by: Actor, *, words: str = "", on: date | None = None
) -> Dispute | DisputeRefusal:
    """Accept, contest, represent, withdraw, grant or dismiss, whichever this office may do now."""
    today = on or desk.today()
    dispute = Dispute.objects.select_for_update().filter(pk=dispute_id).first()
    why = _not_now(dispute, what, by, words, today)
    if why is not None or dispute is None:
        return DisputeRefusal(why or Why.DISPUTE_UNKNOWN, what.value, str(dispute_id))
    acts.move(dispute, what, by.name, words)
    dispute.answer_by = answer_by(today)
    dispute.save(update_fields=["answer_by"])
    exchange.tell(dispute, what, words, today)
    return dispute


def _not_now(dispute: Dispute | None, what: Act, by: Actor, words: str, today: date) -> Why | None:
    """The first reason against an act, or None."""
    if not by.roles & WHO:
        return Why.NOT_PERMITTED
    if dispute is None:
        return Why.DISPUTE_UNKNOWN
    if what in (Act.LAPSE, Act.ADJUST) or what not in allowed(dispute.stage, dispute.party):
        return Why.NOT_YOUR_MOVE
    if dispute.stage in WAITING and today > dispute.answer_by:
        return Why.LAPSED
    if what in (Act.CONTEST, Act.REPRESENT, Act.DISMISS) and not words.strip():
        return Why.WORDS_MISSING
    return None if acts.fits(words) else Why.WORDS_TOO_LONG


@transaction.atomic
def raise_refused(on: date) -> list[Dispute]:
    """Dispute what our own clearing refused of cleared taps, by the system; zero amounts need none."""
    found = ExchangedTap.objects.filter(side=desk.ISSUER, state=State.REFUSED, amount_fen__gt=0)
    made: list[Any] = [
        raise_dispute(
            tap.ref, SYSTEM, cause=codes.FAILED_CHECK, right_fen=0, on=on,
            words=codes.text_of(tap.error, "zh"),
        )
        for tap in found.order_by("serial")
    ]  # fmt: skip
    return [one for one in made if isinstance(one, Dispute)]
