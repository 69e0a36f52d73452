# SPDX-License-Identifier: Apache-2.0
"""Ordering cards and entering what personalisation made of them.

An order reserves numbers: the cards exist as `manufactured` before a station writes the first chip, so a
number is never given twice, whatever becomes of the chip. A number (facts 4.2) is a 0 and 19 digits: the
issuer's prefix (the 0, `31` for transport, digits of city and issuer), a serial, and a check digit after Luhn
over the 18 digits between the 0 and itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from django.db import transaction

from citycard.core.problem import declare
from citycard.office import clock
from citycard.office.audit.chain import Deed, append
from citycard.office.cards import counters, money, terms
from citycard.office.cards.actions import Intent, Result, apply, common, locked, refuse_unknown
from citycard.office.cards.models import Card, CardEvent, Status
from citycard.office.cards.refusals import Why
from citycard.office.participants.models import Participant
from citycard.office.staff.roles import Actor

INDUSTRY: Final = "31"  # transport cards
PAN_SIZE: Final = 20
ORDER_MAX: Final = 100_000  # cards of one order: it is one transaction
YEAR_DAYS: Final = 365  # validity is counted in days, so that a leap day needs no rule

CARD_ISSUER = declare(
    "CARD_ISSUER",
    "Cards cannot be ordered for {issuer}: it is no active issuer, or its number prefix is not a 0 and 5 to "
    "12 more digits. Correct the participant.",
    "无法为 {issuer} 订卡：该机构不是有效的发卡机构，或卡号前缀不是 0 加 5 至 12 位数字。请更正该机构。",
)
CARD_PREFIX = declare(
    "CARD_PREFIX",
    "The number prefixes of issuers {issuer} ({prefix}) and {other} ({theirs}) overlap. Change one.",
    "发卡机构 {issuer}（{prefix}）与 {other}（{theirs}）的卡号前缀重叠，请更换其中之一。",
)
CARD_NUMBERS = declare(
    "CARD_NUMBERS",
    "An order may hold 1 to {most} cards, and issuer {issuer} has {left} numbers left. Order fewer.",
    "每单 1 至 {most} 张，发卡机构 {issuer} 剩余 {left} 个卡号，请减少数量。",
)
CARD_ORDER_ROLE = declare(
    "CARD_ORDER_ROLE",
    "{actor} may not order cards: that takes a key custodian or an administrator.",
    "{actor} 无权订卡：须由密钥管理员或系统管理员办理。",
)


@dataclass(frozen=True, slots=True)
class Personalised:
    """What the station reports of one card: which chip got which number, or that the chip was spoiled."""

    pan: str
    uid: str = ""
    algorithm: int = 0
    key_version: int = 1
    balance_fen: int = 0
    good: bool = True


def check_digit(digits: str) -> str:
    """The Luhn digit that follows these digits (ISO/IEC 7812-1 annex B)."""
    total = 0
    for at, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if at % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


def pan_of(prefix: str, serial: int) -> str:
    """The 20-character number of a serial under an issuer's prefix."""
    body = f"{prefix}{serial:0{_serial_digits(prefix)}d}"
    return body + check_digit(body[1:])


def _serial_digits(prefix: str) -> int:
    return PAN_SIZE - 1 - len(prefix)


def is_pan(text: str) -> bool:
    """Whether this is a well-formed number: a 0, 19 digits, and the check digit agrees."""
    if not (len(text) == PAN_SIZE and text.isascii() and text.isdigit() and text[0] == "0"):
        return False
    return check_digit(text[1:-1]) == text[-1]


@transaction.atomic
def order(
    issuer: str,
    count: int,
    by: Actor,
    *,
    card_class: int = 1,
    valid_from: date | None = None,
    valid_until: date | None = None,
    profile: str = "t-union",
) -> list[Card]:
    """Reserve numbers for cards to be made; they exist as `manufactured`, in the order of their numbers."""
    if not by.may("order"):
        raise CARD_ORDER_ROLE(actor=by.name)
    at = clock.now()
    start = valid_from or at.date()
    product = terms.products().get((issuer, card_class))
    years = product.valid_years if product else terms.VALID_YEARS
    cards = [
        Card(
            pan=pan,
            issuer_id=issuer,
            profile=profile,
            card_class=card_class,
            valid_from=start,
            valid_until=valid_until or start + timedelta(days=years * YEAR_DAYS),
            status=Status.MANUFACTURED,
            status_at=at,
        )
        for pan in _numbers(issuer, count)
    ]
    Card.objects.bulk_create(cards)
    detail = {"count": count, "first": cards[0].pan, "last": cards[-1].pan, "card_class": card_class}
    append([Deed(by.name, "order", issuer, detail)])
    return cards


@transaction.atomic
def register(results: Iterable[Personalised], by: Actor) -> list[Result]:
    """Enter what a station made: good cards become `personalised`, spoiled ones `destroyed`.

    Opens each good card's account, and books the balance a card left personalisation with. A number that was
    not ordered, or was entered before, is refused.
    """
    made = {result.pan: result for result in results}
    cards = locked(made)
    unknown = [pan for pan in made if pan not in cards]
    answers: dict[str, Result] = {}
    for refusal in refuse_unknown("register", unknown, by):
        answers[refusal.pan] = refusal
    _initialise([card for card in cards.values() if made[card.pan].good and _open_to(card, by)], by)
    money.open_cards(pan for pan, card in cards.items() if card.status == Status.INITIALISED)
    done = apply([_entry(card, made[pan], by) for pan, card in cards.items()], by)
    answers.update(zip(cards, done, strict=True))
    return [answers[pan] for pan in made]


def _numbers(issuer: str, count: int) -> Sequence[str]:
    prefix = _prefix(issuer)
    counter = f"pan:{prefix}"
    left = 10 ** _serial_digits(prefix) - 1 - counters.last(counter)
    if not 1 <= count <= min(ORDER_MAX, left):
        raise CARD_NUMBERS(most=ORDER_MAX, issuer=issuer, left=left)
    return [pan_of(prefix, serial) for serial in counters.take(counter, count)]


def _prefix(issuer: str) -> str:
    """The issuer's prefix, which no other issuer's prefix begins with or begins."""
    known = Participant.objects.filter(id=issuer, active=True).first()
    prefix = prefix_of(known) if known and "issuer" in known.roles else ""
    if not (prefix.isascii() and prefix.isdigit() and prefix[0] == "0" and 6 <= len(prefix) <= 13):
        raise CARD_ISSUER(issuer=issuer)
    for other in Participant.objects.exclude(id=issuer):
        theirs = prefix_of(other) if "issuer" in other.roles else "-"
        if theirs.startswith(prefix) or prefix.startswith(theirs):
            raise CARD_PREFIX(issuer=issuer, prefix=prefix, other=other.id, theirs=theirs)
    return prefix


def prefix_of(issuer: Participant) -> str:
    """The prefix an issuer was given, else one made of digits 3 to 8 of its id."""
    return issuer.pan_prefix or f"0{INDUSTRY}{issuer.id[2:8]}"


def _open_to(card: Card, by: Actor) -> bool:
    """Whether this actor may enter what became of a card that was ordered and nothing more."""
    theirs = by.participant in ("", card.issuer_id)
    return by.may("register") and theirs and card.status == Status.MANUFACTURED


def _initialise(cards: Sequence[Card], by: Actor) -> None:
    """The first half of what a station does: application and transport key are on the chip."""
    at = clock.now()
    for card in cards:
        card.status, card.status_at = Status.INITIALISED, at
    Card.objects.bulk_update(cards, ["status", "status_at"])
    CardEvent.objects.bulk_create(
        CardEvent(
            card=card, verb="initialise", at=at, actor=by.name,
            before=Status.MANUFACTURED, after=Status.INITIALISED,
        )
        for card in cards
    )  # fmt: skip


def _entry(card: Card, made: Personalised, by: Actor) -> Intent:
    if not made.good:
        why = None if _open_to(card, by) else common("register", card, by) or Why.WRONG_STATUS
        return Intent("destroy", card, detail={"reason": "spoiled"}, why=why)
    return Intent(
        "register",
        card,
        changes={
            "uid": made.uid,
            "algorithm": made.algorithm,
            "key_version": made.key_version,
            "personalised_fen": made.balance_fen,
        },
        steps=money.preload_steps(card.pan, card.issuer_id, made.balance_fen),
        why=common("register", card, by),
    )
