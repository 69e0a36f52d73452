# SPDX-License-Identifier: Apache-2.0
"""Cards: the list, and one card all around: holder, life, taps and money."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, QuerySet

from citycard.office import ledger
from citycard.office.cards import life, money
from citycard.office.cards.models import Card, CardEvent, HotlistEntry, Status
from citycard.office.console import labels, masks
from citycard.office.console.access import Text
from citycard.office.console.queries import taps
from citycard.office.console.queries.names import Names
from citycard.office.holders.models import Holder
from citycard.office.intake.models import Load
from citycard.office.settlement.models import Movement, Tap
from citycard.office.staff.models import Approval, ApprovalState
from citycard.office.staff.roles import Actor

EVENTS_MAX = 60  # a longer life is read in the audit log
TAPS_MAX = 50  # further ones stand on the page of taps
LOADS_MAX = 20
NOT_BUTTONS = ("query", "initialise", "register", "order")  # not done by hand at a counter
WARNINGS = ("block", "report_loss", "refund", "destroy", "unbind")  # their buttons look grave


@dataclass(frozen=True, slots=True)
class Button:
    """A verb that this reader may begin with this card now."""

    verb: str
    text: Text
    grave: bool


@dataclass(frozen=True, slots=True)
class Event:
    """One thing of a card's life."""

    at: datetime
    text: Text
    actor: str
    before: str
    after: str
    refusal: str
    notes: list[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Money:
    """What the card's account holds and what the card itself last showed."""

    account_fen: int
    pending_fen: int
    due_fen: int
    seen_fen: int
    seen_at: datetime | None
    deposit_fen: int

    @property
    def difference_fen(self) -> int:
        """Account less card: taps and loads under way."""
        return self.account_fen - self.seen_fen


def listed(text: str, status: str, by: Actor) -> QuerySet[Card]:
    """Cards by number, chip serial or status, of whose issuer the reader works for."""
    query = Card.objects.select_related("issuer").order_by("pan")
    if by.participant:
        query = query.filter(issuer=by.participant)
    if text:
        query = query.filter(Q(pan__contains=text) | Q(uid__iexact=text))
    return query.filter(status=status) if status in Status.values else query


def by_status(by: Actor | None = None) -> list[tuple[str, Text, int]]:
    """How many cards are in each state, in the order of life; states without a card are left out."""
    query = Card.objects.order_by()
    if by and by.participant:
        query = query.filter(issuer=by.participant)
    counted = dict(query.values_list("status").annotate(n=Count("pan")))
    return [(s.value, s.label, counted[s.value]) for s in Status if s.value in counted]


def found(pan: str) -> Card | None:
    """The card with its issuer and holder."""
    return Card.objects.select_related("issuer", "holder__guardian", "replaced_by").filter(pan=pan).first()


def around(card: Card, by: Actor, names: Names) -> dict[str, Any]:
    """Everything the card's page shows."""
    looked_up = CardEvent.objects.filter(card=card, verb="query").count()
    newest = Tap.objects.filter(pan=card.pan).order_by("-tapped_at", "-run")[: TAPS_MAX + 1]
    shown = taps.rows(newest, names)
    return {
        "card": card,
        "holder": masks.view(card.holder, masks.full_for(by)) if card.holder else None,
        "class_text": labels.CLASSES.get(card.card_class, card.card_class),
        "buttons": buttons(card, by),
        "money": _money(card),
        "loads": list(card.loads.select_related("terminal").order_by("-at")[:LOADS_MAX]),
        "listing": card.hotlisted.filter(delisted_version=None).first(),
        "events": events(card),
        "looked_up": looked_up,
        "taps": shown[:TAPS_MAX],
        "more_taps": len(shown) > TAPS_MAX,
        "replaces": Card.objects.filter(replaced_by=card).values_list("pan", flat=True).first(),
        "waiting": Approval.objects.filter(subject=card.pan, state=ApprovalState.WAITING).first(),
    }


def buttons(card: Card, by: Actor) -> list[Button]:
    """The verbs that are legal in the card's state and this reader's to begin."""
    verbs = [verb for verb in life.verbs_from(card.status) if verb not in NOT_BUTTONS and by.may(verb)]
    if card.holder_id:
        verbs = [verb for verb in verbs if verb != "bind"]
    else:
        verbs = [verb for verb in verbs if verb not in ("unbind",)]
    return [Button(verb, labels.VERBS[verb], verb in WARNINGS) for verb in verbs]


def events(card: Card) -> list[Event]:
    """The card's life, newest first, without mere look-ups."""
    rows = CardEvent.objects.filter(card=card).exclude(verb="query").order_by("-id")[:EVENTS_MAX]
    return [
        Event(
            at=row.at,
            text=labels.VERBS.get(row.verb, row.verb),
            actor=row.actor,
            before=row.get_before_display() if row.before != row.after else "",
            after=row.get_after_display(),
            refusal=labels.reason(row.refusal) if row.refusal else "",
            notes=[(key, value) for key, value in row.detail.items() if key in NOTES and value],
        )
        for row in rows
    ]


NOTES = ("paid_fen", "due_fen", "new", "replaces", "reason", "second", "balance_fen", "deposit_fen")


def holders_cards(holder: Holder) -> QuerySet[Card]:
    """The cards of a holder."""
    return Card.objects.filter(holder=holder).select_related("issuer").order_by("-status_at")


def hotlisted(text: str, former: bool) -> QuerySet[HotlistEntry]:
    """Entries of the hotlist, newest first; with `former` also those taken off."""
    query = HotlistEntry.objects.select_related("card__issuer").order_by("-version", "card")
    if not former:
        query = query.filter(delisted_version=None)
    return query.filter(card__pan__contains=text) if text else query


def _money(card: Card) -> Money:
    account = ledger.account(money.card(card.pan))
    newest = Movement.objects.filter(pan=card.pan).order_by("-last_at").first()
    pending = Load.objects.filter(card=card, status=Load.Status.PENDING).values_list("amount_fen", flat=True)
    return Money(
        account_fen=account.balance_fen if account else 0,
        pending_fen=sum(pending),
        due_fen=ledger.balance(money.due(card.pan)),
        seen_fen=newest.last_balance_fen if newest else card.personalised_fen,
        seen_at=newest.last_at if newest else None,
        deposit_fen=card.deposit_fen,
    )
