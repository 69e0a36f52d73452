# SPDX-License-Identifier: Apache-2.0
"""Moving a dispute on: one function for people, for files and for deadlines; each move leaves its event."""

from __future__ import annotations

from typing import Any, Final

from citycard.core.interop.disputes import OPEN, Act, Party, Stage, step
from citycard.core.interop.states import Event
from citycard.core.problem import declare
from citycard.office import audit, clock
from citycard.office.disputes.models import Dispute, DisputeEvent
from citycard.office.partners import desk, taps
from citycard.office.partners.models import ExchangedTap, PartnerIssuer

RAISE: Final = "raise"
FIRST, SECOND, WITHDRAWN = 1, 2, 9  # adjust types of an ED row
WORDS_BYTES: Final = 60

DISPUTE_MOVE = declare(
    "DISPUTE_MOVE",
    "Dispute {case} of {org} is {stage}: {act} is not possible. The file that says so was set aside.",
    "{org} 的争议 {case} 处于 {stage} 阶段，不能执行 {act}。相应文件已隔离。",
)


def move(dispute: Dispute, act: Act, by: str, words: str = "") -> None:
    """Move a dispute by an act and keep who did it; DISPUTE_MOVE when the table has no such move."""
    after = step(dispute.stage, act)
    if after is None:
        raise DISPUTE_MOVE(case=dispute.case, org=dispute.originator_org, stage=dispute.stage, act=act.value)
    _event(dispute, act.value, by, (dispute.stage, after.value), words)
    dispute.stage = after.value
    if after in (Stage.DISMISSED, Stage.CLOSED):
        _tap(dispute, Event.UPHOLD)
    dispute.save()


def begin(tap: ExchangedTap, party: Party, by: str, words: str, **fields: Any) -> Dispute:
    """Open a dispute about a tap and move the tap to DISPUTED; EXCHANGE_MOVE when it cannot be."""
    dispute = Dispute.objects.create(tap=tap, party=party.value, stage=Stage.RAISED.value, **fields)
    _tap(dispute, Event.DISPUTE)
    _event(dispute, RAISE, by, ("", Stage.RAISED.value), words)
    return dispute


def adjusted(dispute: Dispute, number: int, on: Any, back_fen: int, by: str) -> None:
    """The adjustment is booked: dispute and tap are at rest."""
    dispute.adjust_serial, dispute.adjusted_on, dispute.back_fen = number, on, back_fen
    if dispute.stage != Stage.GRANTED:  # a member hears of the grant by its adjustment
        _event(dispute, Act.GRANT.value, by, (dispute.stage, Stage.GRANTED.value))
        dispute.stage = Stage.GRANTED.value
    move(dispute, Act.ADJUST, by)
    _tap(dispute, Event.ADJUST)


def open_about(tap: ExchangedTap) -> bool:
    """Whether a dispute about this tap is open."""
    return tap.disputes.filter(stage__in=[stage.value for stage in OPEN]).exists()


def other_side(tap: ExchangedTap, org: str) -> str:
    """The member that answers when `org` raises: the issuer's or the acquirer's."""
    issuer = (
        PartnerIssuer.objects.filter(issuer_org=tap.issuer_org).values_list("member_id", flat=True).first()
    )
    member = issuer or desk.own().org
    return tap.acquirer_org if org == member else member


def fits(words: str) -> bool:
    """Whether words fit the column they travel in."""
    try:
        return len(words.encode("gbk")) <= WORDS_BYTES and "\n" not in words and words == words.rstrip()
    except UnicodeEncodeError:
        return False


def _tap(dispute: Dispute, event: Event) -> None:
    tap = ExchangedTap.objects.select_for_update().get(pk=dispute.tap_id)
    taps.move(tap, event)
    tap.save(update_fields=["state"])
    dispute.tap = tap


def _event(dispute: Dispute, act: str, by: str, moved: tuple[str, str], words: str = "") -> None:
    before, after = moved
    DisputeEvent.objects.create(
        dispute=dispute, at=clock.now(), act=act, by=by, before=before, after=after, words=words
    )
    audit.record(by, f"dispute_{act}", str(dispute), tap=dispute.tap_id, stage=after)
