# SPDX-License-Identifier: Apache-2.0
"""What all verbs share: gather cards under lock, decide, post, move, and leave a trace, in one transaction.

A verb is a list of `Intent`s, one per card, each already decided: refused, or to be applied with its steps
in the ledger. `apply` posts all chains at once; a card whose chain the ledger refuses is refused alone.
Refused attempts leave an event and an audit entry too, and change nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from citycard.office import clock
from citycard.office.audit.chain import Deed, append
from citycard.office.cards import counters, hotlist, life, money
from citycard.office.cards.models import Card, CardEvent, Status
from citycard.office.cards.refusals import PRECEDENCE, VerbRefusal, Why
from citycard.office.intake.business import business_date
from citycard.office.staff.roles import Actor

POSTINGS: Final = "card postings"  # counter behind the names of chains in the ledger
OFF: Final = "off"  # `Intent.listing`: take the card off the hotlist


@dataclass(frozen=True, slots=True)
class Done:
    """A verb went through: the card as it now is, what the holder paid (negative: got), and particulars."""

    card: Card
    verb: str
    before: str
    after: str
    paid_fen: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Intent:
    """One card's part of a verb: the move, what changes on the card, and what moves in the ledger."""

    verb: str
    card: Card
    changes: Mapping[str, Any] = field(default_factory=dict)
    steps: Sequence[money.Step] = ()
    paid_fen: int = 0
    detail: dict[str, Any] = field(default_factory=dict)
    listing: str = ""  # a reason puts the card on the hotlist, OFF takes it off
    why: Why | None = None


Result = Done | VerbRefusal
STAYING: Final = frozenset(verb for (verb, before), after in life.MOVES.items() if before == after)


def locked(pans: Iterable[str]) -> dict[str, Card]:
    """The cards by number, locked in order of number until the transaction ends."""
    return Card.objects.select_for_update(of=("self",)).order_by("pan").in_bulk(list(pans))


def first(reasons: Iterable[Why | None]) -> Why | None:
    """The reason that takes precedence, or None when there is none."""
    return min((why for why in reasons if why), key=PRECEDENCE.__getitem__, default=None)


def common(verb: str, card: Card, by: Actor) -> Why | None:
    """What can be wrong with any verb: the role, the issuer, the card's state."""
    if not by.may(verb):
        return Why.NOT_PERMITTED
    if by.participant and by.participant != card.issuer_id:
        return Why.OTHER_ISSUER
    if life.move(verb, card.status) is None:
        return Why.WRONG_STATUS
    return None


def refuse_unknown(verb: str, pans: Sequence[str], by: Actor) -> list[VerbRefusal]:
    """Refuse numbers no card has; there is nothing to hang an event on, so only the audit log knows."""
    append([Deed(by.name, verb, pan, {"refusal": Why.UNKNOWN_CARD.name}) for pan in pans])
    return [VerbRefusal(Why.UNKNOWN_CARD, verb, pan) for pan in pans]


def apply(intents: Sequence[Intent], by: Actor) -> list[Result]:
    """Carry out what was decided; call inside the transaction in which the cards were locked."""
    at = clock.now()
    _post([intent for intent in intents if intent.why is None and intent.steps], at)
    before = [intent.card.status for intent in intents]
    agreed = [intent for intent in intents if intent.why is None]
    for intent in agreed:
        _change(intent, at)
    _save(agreed)
    _list(agreed)
    CardEvent.objects.bulk_create(
        _event(intent, was, by, at) for intent, was in zip(intents, before, strict=True)
    )
    append([_deed(intent, was, by) for intent, was in zip(intents, before, strict=True)])
    return [_result(intent, was) for intent, was in zip(intents, before, strict=True)]


def _post(intents: Sequence[Intent], at: datetime) -> None:
    if not intents:
        return
    numbers = counters.take(POSTINGS, len(intents))
    business = business_date(at)
    chains = [
        money.chain(f"{intent.verb}:{number:010d}", intent.steps, business)
        for intent, number in zip(intents, numbers, strict=True)
    ]
    for intent, verdict in zip(intents, money.post_chains(chains), strict=True):
        if not verdict.done:
            intent.why = Why.LEDGER
            intent.detail["ledger"] = verdict.code


def _change(intent: Intent, at: datetime) -> None:
    card = intent.card
    after = life.move(intent.verb, card.status)
    assert after is not None, f"{intent.verb} from {card.status} was decided without asking the table"
    if after != card.status:
        card.status, card.status_at = after, at
    for name, value in intent.changes.items():
        setattr(card, name, value)


def _save(intents: Sequence[Intent]) -> None:
    changed = {name for intent in intents for name in intent.changes}
    if any(intent.verb not in STAYING for intent in intents):
        changed |= {"status", "status_at"}
    if changed and intents:
        Card.objects.bulk_update([intent.card for intent in intents], sorted(changed))


def _list(intents: Sequence[Intent]) -> None:
    by_reason: dict[str, list[str]] = {}
    for intent in intents:
        if intent.listing:
            by_reason.setdefault(intent.listing, []).append(intent.card.pan)
    for reason, pans in by_reason.items():
        if reason == OFF:
            hotlist.take_off(pans)
        else:
            hotlist.put_on(pans, reason)


def _event(intent: Intent, before: str, by: Actor, at: datetime) -> CardEvent:
    return CardEvent(
        card=intent.card,
        verb=intent.verb,
        at=at,
        actor=by.name,
        before=before,
        after=intent.card.status,
        detail=_told(intent),
        refusal=intent.why.name if intent.why else "",
    )


def _deed(intent: Intent, before: str, by: Actor) -> Deed:
    detail = {**_told(intent), "before": before, "after": str(intent.card.status)}
    if intent.why:
        detail["refusal"] = intent.why.name
    return Deed(by.name, intent.verb, intent.card.pan, detail)


def _told(intent: Intent) -> dict[str, Any]:
    paid = {"paid_fen": intent.paid_fen} if intent.paid_fen and not intent.why else {}
    return {**intent.detail, **paid}


def _result(intent: Intent, before: str) -> Result:
    if intent.why:
        return VerbRefusal(intent.why, intent.verb, intent.card.pan, intent.detail)
    after = Status(intent.card.status)
    return Done(intent.card, intent.verb, before, after, intent.paid_fen, intent.detail)
