# SPDX-License-Identifier: Apache-2.0
"""The verbs that end a card: replace, refund, destroy; and paying a load out of what a replaced card held.

Money leaves a card's account only once no tap can come in late: at once when the card is in hand and its
balance equals its account, else after the waiting period. A card whose money has left stays on the hotlist.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import transaction
from django.db.models import prefetch_related_objects

from citycard.core.ledger import Stage
from citycard.office import clock, ledger
from citycard.office.cards import decide, money, terms
from citycard.office.cards.actions import (
    Done,
    Intent,
    Result,
    apply,
    common,
    first,
    locked,
    refuse_unknown,
)
from citycard.office.cards.life import BEFORE_ISSUE
from citycard.office.cards.models import Card
from citycard.office.cards.refusals import Why
from citycard.office.intake.business import business_date
from citycard.office.ledger.models import LedgerTransfer
from citycard.office.staff.roles import Actor


@transaction.atomic
def replace(
    pan: str, new: str, by: Actor, *, in_hand_fen: int | None = None, holder: str | None = None
) -> Result:
    """Give the holder a new card from stock for an old one; balance and deposit go over to it.

    `in_hand_fen` is the balance read from the old card when it is in hand, None when it is not. The balance
    becomes due to the new card: load that amount (Done.detail tells it) onto its chip, then call `funded`.
    """
    cards = locked([pan, new])
    if pan not in cards:
        return refuse_unknown("replace", [pan], by)[0]
    old, now, rules = cards[pan], clock.now(), terms.current()
    successor = cards.get(new)
    prefetch_related_objects([old], "issuer", "holder")
    account_fen, due_fen = money.owed(pan)
    reasons = [
        common("replace", old, by),
        *_asking(old, holder, in_hand_fen),
        *decide.successor(old, successor, now.date()),
        *decide.paying_out(old, in_hand_fen, account_fen, rules, now),
    ]
    why = first(reasons)
    if not why:
        money.open_due(new)
    steps = money.replace_steps((pan, new), old.issuer_id, (account_fen, due_fen), rules.replace_fee_fen)
    intent = Intent(
        "replace",
        old,
        changes={"replaced_by": successor, "deposit_fen": 0},
        steps=steps,
        paid_fen=rules.replace_fee_fen,
        detail={"new": new, "due_fen": account_fen + due_fen},
        listing="replaced",
        why=why,
    )
    deposit_fen = old.deposit_fen
    answer = apply([intent], by)[0]
    if isinstance(answer, Done) and successor:
        changes = {"holder": old.holder, "deposit_fen": deposit_fen}
        apply([Intent("issue", successor, changes=changes, detail={"replaces": pan})], by)
    return answer


@transaction.atomic
def refund(
    pan: str,
    by: Actor,
    *,
    second: Actor | None = None,
    in_hand_fen: int | None = None,
    holder: str | None = None,
) -> Result:
    """Take a card back for good and pay out its balance and deposit, less the fee.

    Done.paid_fen is negative: what the counter pays. Above the limit a second person must agree.
    """
    cards = locked([pan])
    if pan not in cards:
        return refuse_unknown("refund", [pan], by)[0]
    card, now, rules = cards[pan], clock.now(), terms.current()
    prefetch_related_objects([card], "issuer", "holder")
    owed = money.owed(pan)
    gross_fen = sum(owed) + card.deposit_fen
    fee_fen = min(rules.refund_fee_fen, gross_fen)
    reasons = [
        common("refund", card, by),
        *_asking(card, holder, in_hand_fen),
        *decide.paying_out(card, in_hand_fen, owed[0], rules, now),
        *decide.two_people("refund", by, second, gross_fen, rules),
    ]
    intent = Intent(
        "refund",
        card,
        changes={"deposit_fen": 0},
        steps=money.refund_steps(pan, card.issuer_id, owed, card.deposit_fen, fee_fen),
        paid_fen=fee_fen - gross_fen,
        detail={"balance_fen": sum(owed), "deposit_fen": card.deposit_fen, **_agreed(second)},
        listing="refunded",
        why=first(reasons),
    )
    return apply([intent], by)[0]


@transaction.atomic
def destroy(pan: str, by: Actor, *, second: Actor | None = None) -> Result:
    """Destroy a spoiled, stocked, replaced or refunded card before a witness; its number stays taken."""
    cards = locked([pan])
    if pan not in cards:
        return refuse_unknown("destroy", [pan], by)[0]
    card = cards[pan]
    owed = money.owed(pan)
    unissued = card.status in BEFORE_ISSUE
    reasons = [common("destroy", card, by), *decide.two_people("destroy", by, second, 0, terms.current())]
    if not unissued and any((*owed, card.deposit_fen)):
        reasons.append(Why.MONEY_HELD)
    intent = Intent(
        "destroy",
        card,
        steps=money.unload_steps(pan, card.issuer_id, owed[0]) if unissued else (),
        detail=_agreed(second),
        why=first(reasons),
    )
    return apply([intent], by)[0]


@transaction.atomic
def funded(pan: str, load: str, by: Actor) -> int:
    """Pay a load onto a new card out of what its predecessor held; returns what is still due, in fen.

    `load` is the ledger transfer that credited the card. Asking again for the same load changes nothing: the
    posting has its name, and the ledger knows it.
    """
    assert by.may("replace"), "the counter that replaces also loads"
    card = Card.objects.select_for_update().get(pan=pan)
    credited = LedgerTransfer.objects.filter(
        id=load, credit=money.card(pan), stage__in=(Stage.BOOKED.value, Stage.POSTED.value)
    ).first()
    if credited:
        amount_fen = min(credited.amount_fen, ledger.balance(money.due(pan)))
        steps = money.funded_steps(pan, card.issuer_id, amount_fen)
        money.post_chains([money.chain(f"due:{load}", steps, business_date(clock.now()))])
    return ledger.balance(money.due(pan))


def _asking(card: Card, holder: str | None, in_hand_fen: int | None) -> Iterator[Why]:
    """An anonymous card is its bearer's: whoever has it in hand may ask."""
    if card.holder is not None or in_hand_fen is None:
        yield from decide.asking(card, holder)


def _agreed(second: Actor | None) -> dict[str, str]:
    return {"second": second.name} if second else {}
