# SPDX-License-Identifier: Apache-2.0
"""The preconditions of the verbs that concern people and money, as pure questions about loaded rows.

Each function yields every reason that applies; the caller tells the one that takes precedence.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

from citycard.office.cards import life
from citycard.office.cards.models import Card, Status
from citycard.office.cards.refusals import Why
from citycard.office.cards.terms import Terms
from citycard.office.holders.models import Holder
from citycard.office.holders.register import fit_guardian, is_minor
from citycard.office.staff.roles import POLICY, Actor, Second

ORDINARY: Final = 1
TEST: Final = 4
ANONYMOUS: Final = frozenset({ORDINARY, TEST})  # classes that nobody needs to be entitled to


def dates(card: Card, today: date) -> Iterator[Why]:
    """The card must be within its validity."""
    if card.valid_until and card.valid_until < today:
        yield Why.CARD_EXPIRED


def holding(holder: Holder, card: Card, held: int, terms: Terms, today: date) -> Iterator[Why]:
    """This person may hold this card; `held` counts the cards they hold without it."""
    least = terms.bind_level if card.card_class in ANONYMOUS else terms.concession_level
    if is_minor(holder, today, terms.minor_below):
        guardian = holder.guardian
        if guardian is None:
            yield Why.GUARDIAN_NEEDED
        elif not fit_guardian(guardian, today, terms.adult_from, terms.guardian_level):
            yield Why.GUARDIAN_UNFIT
    if holder.verification_level < least:
        yield Why.NOT_VERIFIED
    if held >= terms.cards_per_holder:
        yield Why.TOO_MANY_CARDS


def asking(card: Card, holder: str | None) -> Iterator[Why]:
    """Whoever asks must be the card's holder or the holder's guardian; None: the clerk has checked."""
    if card.holder is None:
        yield Why.NOT_BOUND
    elif holder is not None and holder not in (str(card.holder_id), str(card.holder.guardian_id)):
        yield Why.NOT_THE_HOLDER


def paying_out(
    card: Card, in_hand_fen: int | None, account_fen: int, terms: Terms, now: datetime
) -> Iterator[Why]:
    """Money leaves the card's account only when no tap can come in late.

    A card in hand proves it: its balance equals its account. A withdrawn card proves it by time.
    """
    if in_hand_fen is not None:
        if in_hand_fen != account_fen:
            yield Why.BALANCE_DIFFERS
    elif card.status == Status.ACTIVE:
        yield Why.BALANCE_NEEDED
    elif now < card.status_at + timedelta(days=terms.wait_days):
        yield Why.WAITING


def successor(old: Card, new: Card | None, today: date) -> Iterator[Why]:
    """The card that takes another's place is a valid one from stock of the same issuer and class."""
    if new is None:
        yield Why.NEW_CARD_UNKNOWN
    elif (
        new.pan == old.pan
        or life.move("issue", new.status) is None
        or (new.issuer_id, new.card_class) != (old.issuer_id, old.card_class)
        or any(dates(new, today))
    ):
        yield Why.NEW_CARD_UNFIT


def two_people(verb: str, by: Actor, second: Actor | None, amount_fen: int, terms: Terms) -> Iterator[Why]:
    """The policy's dual control."""
    rule = POLICY[verb].second
    wanted = rule is Second.ALWAYS or (rule is Second.ABOVE_LIMIT and amount_fen > terms.second_above_fen)
    if not wanted:
        return
    if second is None:
        yield Why.SECOND_PERSON_NEEDED
    elif not second.may_second(verb, by):
        yield Why.SECOND_PERSON_UNFIT
