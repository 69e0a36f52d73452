# SPDX-License-Identifier: Apache-2.0
"""A card as a counter sees it: state, holder (masked), money, hotlist, and its life so far."""

from __future__ import annotations

from typing import Any, Final

from citycard.office.cards import life, money
from citycard.office.cards.models import Card

EVENTS_MAX: Final = 200  # newest first; a life longer than that is read in the audit log


def whole(pan: str) -> dict[str, Any]:
    """Everything the office knows of a card, in plain values; `Card.DoesNotExist` if there is none."""
    card = Card.objects.select_related("holder", "issuer").get(pan=pan)
    balance_fen, due_fen = money.owed(pan)
    return {
        "pan": card.pan,
        "issuer": card.issuer_id,
        "status": str(card.status),
        "since": card.status_at,
        "card_class": card.card_class,
        "valid_from": card.valid_from,
        "valid_until": card.valid_until,
        "holder": _holder(card),
        "balance_fen": balance_fen,
        "due_fen": due_fen,
        "deposit_fen": card.deposit_fen,
        "hotlisted": card.hotlisted.filter(delisted_version=None).exists(),
        "replaced_by": card.replaced_by_id,
        "verbs": life.verbs_from(card.status),
        "events": list(
            card.events.order_by("-id").values("at", "verb", "actor", "before", "after", "refusal", "detail")[
                :EVENTS_MAX
            ]
        ),
    }


def _holder(card: Card) -> dict[str, Any] | None:
    if card.holder is None:
        return None
    return {
        "id": str(card.holder.pk),
        "name": card.holder.name,
        "verification_level": card.holder.verification_level,
        "document": card.holder.document_masked,
        "phone": card.holder.phone_masked,
    }
