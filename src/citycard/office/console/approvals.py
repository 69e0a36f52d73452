# SPDX-License-Identifier: Apache-2.0
"""Dual control: a verb that needs a second person waits here until somebody else agrees or declines.

The verb runs only when the second person agrees, in that moment and with both names, so whatever has changed
in between is looked at again.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from citycard.office import audit, clock
from citycard.office.cards import verbs
from citycard.office.cards.actions import Done, Result
from citycard.office.cards.refusals import VerbRefusal, Why
from citycard.office.partners import held
from citycard.office.partners.models import ExchangeHold
from citycard.office.staff.models import Approval, ApprovalState, User
from citycard.office.staff.roles import POLICY, Actor, actor_of

RULES: Final = {**POLICY, **held.RULES}


@transaction.atomic
def ask(verb: str, subject: str, by: Actor, *, amount_fen: int = 0, **detail: Any) -> Approval:
    """Ask for a second person; asking again for the same card (or held date) and verb finds what waits."""
    waiting, new = Approval.objects.get_or_create(
        verb=verb,
        subject=subject,
        state=ApprovalState.WAITING,
        defaults={
            "amount_fen": amount_fen, "detail": detail, "asked_by": by.name, "asked_at": clock.now(),
        },
    )  # fmt: skip
    if new:
        audit.record(by.name, "ask_approval", subject, what=verb, amount_fen=amount_fen)
    return waiting


def may_decide(approval: Approval, by: Actor) -> bool:
    """Whether this is somebody else with the right to agree."""
    rule = RULES.get(approval.verb)
    return rule is not None and by.name != approval.asked_by and bool(by.roles & rule.seconds)


@transaction.atomic
def decline(approval_id: UUID, by: Actor) -> bool:
    """Say no; False when it no longer waits or is not theirs to decide."""
    approval = _waiting(approval_id)
    if approval is None or not may_decide(approval, by):
        return False
    _decide(approval, ApprovalState.DECLINED, by)
    audit.record(by.name, "decline_approval", approval.subject, what=approval.verb)
    return True


@transaction.atomic
def agree(approval_id: UUID, by: Actor) -> Result | ExchangeHold | None:
    """Say yes and run the verb; None when it no longer waits. A refused verb leaves the request waiting.

    A payment between cities that cannot be made is a problem (`partners.held`).
    """
    approval = _waiting(approval_id)
    if approval is None:
        return None
    if not may_decide(approval, by):
        return VerbRefusal(Why.SECOND_PERSON_UNFIT, approval.verb, approval.subject)
    asker = User.objects.filter(username=approval.asked_by).first()
    if asker is None:
        return VerbRefusal(Why.NOT_PERMITTED, approval.verb, approval.subject)
    answer = _run(approval, actor_of(asker), by)
    if isinstance(answer, Done | ExchangeHold):
        _decide(approval, ApprovalState.APPROVED, by)
    return answer


def _run(approval: Approval, first: Actor, second: Actor) -> Result | ExchangeHold:
    if approval.verb in held.RULES:
        return held.pay(
            approval.verb, date.fromisoformat(approval.subject), first, second, approval.detail["words"],
            accepted=approval.detail["accepted"],
        )  # fmt: skip
    if approval.verb == "refund":
        in_hand_fen = approval.detail.get("in_hand_fen")
        return verbs.refund(approval.subject, first, second=second, in_hand_fen=in_hand_fen)
    assert approval.verb == "destroy", approval.verb
    return verbs.destroy(approval.subject, first, second=second)


def _waiting(approval_id: UUID) -> Approval | None:
    return Approval.objects.select_for_update().filter(pk=approval_id, state=ApprovalState.WAITING).first()


def _decide(approval: Approval, state: ApprovalState, by: Actor) -> None:
    approval.state, approval.decided_by, approval.decided_at = state, by.name, clock.now()
    approval.save(update_fields=["state", "decided_by", "decided_at"])
