# SPDX-License-Identifier: Apache-2.0
"""The verbs of card management: what a counter, a call centre or the office does with a card.

Each verb takes card numbers and the `Actor` who does it, and answers `Done` or `VerbRefusal`, never both and
never half: life move, ledger, hotlist, event and audit entry are one transaction. The plural forms do many
cards at once, each for itself: one card's refusal does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from django.db import transaction
from django.db.models import Count

from citycard.office import clock
from citycard.office.cards import decide, terms
from citycard.office.cards.actions import (
    OFF,
    Done,
    Intent,
    Result,
    apply,
    common,
    first,
    locked,
    refuse_unknown,
)
from citycard.office.cards.models import Card
from citycard.office.cards.money import fee_steps, issue_steps
from citycard.office.cards.payout import destroy, funded, refund, replace
from citycard.office.cards.refusals import VerbRefusal, Why
from citycard.office.holders.models import Holder
from citycard.office.staff.roles import Actor

__all__ = [
    "Done", "VerbRefusal", "bind", "block", "cancel_loss", "destroy", "expire", "expire_due", "funded",
    "issue", "issue_many", "query", "refund", "replace", "report_loss", "stock_in", "stock_in_many", "unbind",
    "unblock",
]  # fmt: skip
LOST: Final = "lost"
Decide = Callable[[Card], Intent]


def stock_in(pan: str, by: Actor) -> Result:
    """Take a personalised card into stock."""
    return stock_in_many([pan], by)[0]


def stock_in_many(pans: Sequence[str], by: Actor) -> list[Result]:
    """Take many personalised cards into stock; answers in the order asked."""
    today = clock.now().date()

    def decided(card: Card) -> Intent:
        return Intent("stock_in", card, why=first([common("stock_in", card, by), *decide.dates(card, today)]))

    return _each("stock_in", pans, by, decided)


def issue(pan: str, by: Actor, holder: Holder | None = None) -> Result:
    """Hand a card from stock to a holder (or, for an ordinary card, to anyone) for deposit and fee."""
    return issue_many([(pan, holder)], by)[0]


def issue_many(pairs: Sequence[tuple[str, Holder | None]], by: Actor) -> list[Result]:
    """Issue many cards; answers in the order asked. A number may appear once."""
    today, rules, products = clock.now().date(), terms.current(), terms.products()
    holders = dict(pairs)
    assert len(holders) == len(pairs), "a card is issued once"
    held = _held(holder for holder in holders.values() if holder)

    def decided(card: Card) -> Intent:
        holder = holders[card.pan]
        reasons = [common("issue", card, by), *decide.dates(card, today)]
        if not card.issuer.active:
            reasons.append(Why.ISSUER_INACTIVE)
        if holder:
            reasons += decide.holding(holder, card, held[holder.pk], rules, today)
        elif card.card_class not in decide.ANONYMOUS:
            reasons.append(Why.HOLDER_NEEDED)
        why = first(reasons)
        if holder and not why:
            held[holder.pk] += 1
        product = products.get((card.issuer_id, card.card_class))
        deposit_fen = product.deposit_fen if product else rules.deposit_fen
        return Intent(
            "issue",
            card,
            changes={"holder": holder, "deposit_fen": deposit_fen},
            steps=issue_steps(card.issuer_id, deposit_fen, rules.issue_fee_fen),
            paid_fen=deposit_fen + rules.issue_fee_fen,
            detail={"holder": str(holder.pk)} if holder else {},
            why=why,
        )

    return _each("issue", list(holders), by, decided)


def bind(pan: str, holder: Holder, by: Actor) -> Result:
    """Name an anonymous card's holder."""
    today, rules = clock.now().date(), terms.current()
    held = _held([holder])

    def decided(card: Card) -> Intent:
        reasons = [common("bind", card, by), *decide.dates(card, today)]
        if card.holder_id:
            reasons.append(Why.ALREADY_BOUND)
        reasons += decide.holding(holder, card, held[holder.pk], rules, today)
        detail = {"holder": str(holder.pk)}
        return Intent("bind", card, changes={"holder": holder}, detail=detail, why=first(reasons))

    return _each("bind", [pan], by, decided)[0]


def unbind(pan: str, by: Actor, holder: str | None = None) -> Result:
    """Make a card anonymous again; `holder` is the id of whoever asks, None when the clerk has checked."""

    def decided(card: Card) -> Intent:
        reasons = [common("unbind", card, by), *decide.asking(card, holder)]
        if card.card_class not in decide.ANONYMOUS:
            reasons.append(Why.HOLDER_NEEDED)
        detail = {"holder": str(card.holder_id)}
        return Intent("unbind", card, changes={"holder": None}, detail=detail, why=first(reasons))

    return _each("unbind", [pan], by, decided)[0]


def query(pan: str, by: Actor) -> Result:
    """Look a card up; leaves a trace, for a card's life is its holder's private matter."""
    return _each("query", [pan], by, lambda card: Intent("query", card, why=common("query", card, by)))[0]


def report_loss(pan: str, by: Actor, holder: str | None = None) -> Result:
    """The holder lost the card: it goes on the hotlist; its money is safe once terminals hold the list."""
    fee = terms.current().loss_fee_fen

    def decided(card: Card) -> Intent:
        return Intent(
            "report_loss",
            card,
            steps=fee_steps(card.issuer_id, fee, "loss_fee"),
            paid_fen=fee,
            listing=LOST,
            why=first([common("report_loss", card, by), *decide.asking(card, holder)]),
        )

    return _each("report_loss", [pan], by, decided)[0]


def cancel_loss(pan: str, by: Actor, holder: str | None = None) -> Result:
    """The holder found the card again: it comes off the hotlist."""
    today = clock.now().date()

    def decided(card: Card) -> Intent:
        reasons = [common("cancel_loss", card, by), *decide.dates(card, today), *decide.asking(card, holder)]
        return Intent("cancel_loss", card, listing=OFF, why=first(reasons))

    return _each("cancel_loss", [pan], by, decided)[0]


def block(pan: str, by: Actor, reason: str = "risk") -> Result:
    """Withdraw a card from use, for instance because it misbehaves or was found; it goes on the hotlist."""

    def decided(card: Card) -> Intent:
        detail = {"reason": reason}
        return Intent("block", card, listing=reason, detail=detail, why=common("block", card, by))

    return _each("block", [pan], by, decided)[0]


def unblock(pan: str, by: Actor) -> Result:
    """Give a blocked card back to use."""
    today = clock.now().date()

    def decided(card: Card) -> Intent:
        reasons = [common("unblock", card, by), *decide.dates(card, today)]
        return Intent("unblock", card, listing=OFF, why=first(reasons))

    return _each("unblock", [pan], by, decided)[0]


def expire(pan: str, by: Actor) -> Result:
    """Note that a card's validity has ended; terminals see that on the card, so no list is needed."""
    return _expire([pan], by)[0]


def expire_due(by: Actor) -> list[Result]:
    """Expire every active card whose last day has passed."""
    past = Card.objects.filter(status="active", valid_until__lt=clock.now().date())
    return _expire(list(past.values_list("pan", flat=True)), by)


def _expire(pans: Sequence[str], by: Actor) -> list[Result]:
    today = clock.now().date()

    def decided(card: Card) -> Intent:
        reasons = [common("expire", card, by)]
        if not any(decide.dates(card, today)):
            reasons.append(Why.NOT_EXPIRED)
        return Intent("expire", card, why=first(reasons))

    return _each("expire", pans, by, decided)


@transaction.atomic
def _each(verb: str, pans: Sequence[str], by: Actor, decided: Decide) -> list[Result]:
    """Gather, decide, apply for each number; unknown numbers are refused among the others."""
    cards = locked(pans)
    unknown = [pan for pan in pans if pan not in cards]
    _load(cards.values())
    answers: dict[str, Result] = {
        refusal.pan: refusal for refusal in (refuse_unknown(verb, unknown, by) if unknown else [])
    }
    done = apply([decided(card) for card in cards.values()], by)
    answers.update((pan, result) for pan, result in zip(cards, done, strict=True))
    return [answers[pan] for pan in pans]


def _load(cards: Iterable[Card]) -> None:
    """Issuers and holders of all cards in two queries; done apart from the lock, which must not join."""
    from django.db.models import prefetch_related_objects

    prefetch_related_objects(list(cards), "issuer", "holder__guardian")


def _held(holders: Iterable[Holder]) -> dict[object, int]:
    """How many cards in use each holder has."""
    keys = {holder.pk for holder in holders}
    rows = (
        Card.objects.filter(holder__in=keys, status__in=("active", "lost", "blocked"))
        .order_by()
        .values("holder")
        .annotate(n=Count("pan"))
    )
    return dict.fromkeys(keys, 0) | {row["holder"]: row["n"] for row in rows}
