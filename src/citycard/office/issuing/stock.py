# SPDX-License-Identifier: Apache-2.0
"""What the line enters in the office: a good card into stock, a spoiled number destroyed. Twice is once."""

from __future__ import annotations

from django.db import transaction

from citycard.core.problem import declare
from citycard.keys.perso_file import PersoEntry
from citycard.office.cards import personalise, verbs
from citycard.office.cards.models import Card, Status
from citycard.office.staff.roles import Actor

PERSO_STOCK = declare(
    "PERSO_STOCK",
    "Card {pan} cannot be entered: {why}. The chip is made; find out what became of the number "
    "before using it.",
    "卡片 {pan} 无法入库：{why}。芯片已制作，使用前请查明该卡号的情况。",
)


@transaction.atomic
def enter(entry: PersoEntry, uid: str, by: Actor) -> None:
    """Into stock as a card on this chip. PERSO_STOCK when the number is another chip's, or may not be."""
    card = _card(entry.pan)
    if card.status == Status.MANUFACTURED:
        slot = entry.slots[0]
        made = personalise.Personalised(entry.pan, uid, algorithm=slot.algorithm, key_version=slot.version)
        _agreed(personalise.register([made], by)[0], entry.pan)
        card.refresh_from_db()
    if card.uid != uid or card.status not in (Status.PERSONALISED, Status.IN_STOCK):
        raise PERSO_STOCK(pan=entry.pan, why=f"it is {card.status} on chip {card.uid or 'none'}")
    if card.status == Status.PERSONALISED:
        _agreed(verbs.stock_in(entry.pan, by), entry.pan)


def entered(pan: str, uid: str) -> bool:
    """Whether the number is in stock, or beyond, on this chip."""
    before = (Status.MANUFACTURED, Status.INITIALISED, Status.PERSONALISED, Status.DESTROYED)
    return Card.objects.filter(pan=pan, uid=uid).exclude(status__in=before).exists()


@transaction.atomic
def spoil(pan: str, why: str, by: Actor) -> None:
    """The number is used up without a card. PERSO_STOCK when it became a card meanwhile."""
    card = _card(pan)
    if card.status == Status.MANUFACTURED:
        _agreed(personalise.register([personalise.Personalised(pan, good=False)], by)[0], pan)
    elif card.status != Status.DESTROYED:
        raise PERSO_STOCK(pan=pan, why=f"it is {card.status}, and the line rejects it ({why})")


def _card(pan: str) -> Card:
    found = Card.objects.select_for_update().filter(pan=pan).first()
    if found is None:
        raise PERSO_STOCK(pan=pan, why="this office never gave the number")
    return found


def _agreed(result: verbs.Done | verbs.VerbRefusal, pan: str) -> None:
    if isinstance(result, verbs.VerbRefusal):
        raise PERSO_STOCK(pan=pan, why=result.title("en"))
