# SPDX-License-Identifier: Apache-2.0
"""The exchange between cities as pages show it: members, positions, files, taps, disputes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from citycard.core.interop import codes
from citycard.core.interop.disputes import OPEN, WAITING, Act, allowed
from citycard.office.console import labels
from citycard.office.console.access import Text
from citycard.office.disputes.models import Dispute, DisputeEvent
from citycard.office.ledger import chart
from citycard.office.partners import books, desk, keyring
from citycard.office.partners.models import (
    ExchangedTap,
    ExchangeFile,
    ExchangeHold,
    ExchangePosition,
    Member,
)

DATES = 14  # dates whose positions are held against the books
SOON = timedelta(days=3)  # a last day this near is marked


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member with what has passed between us."""

    row: Member
    roles: str
    key: str
    sent: int
    undelivered: int
    waiting: int
    refused: int
    us: bool


@dataclass(frozen=True, slots=True)
class PositionLine:
    """The net of a date as told and by our books, for a member."""

    settled_on: date
    member: str
    taps: int
    amount_fen: int
    net_fen: int
    books_fen: int
    hold: ExchangeHold | None = None

    @property
    def agrees(self) -> bool:
        """Whether both say the same."""
        return self.net_fen == self.books_fen


@dataclass(frozen=True, slots=True)
class DisputeRow:
    """A dispute on the work list."""

    row: Dispute
    cause: str
    other: str
    ours: bool  # the next step is ours
    late: bool
    soon: bool


def names() -> dict[str, str]:
    """Members' names by organisation code."""
    return {one.org: one.name for one in Member.objects.all()}


def members() -> list[MemberRow]:
    """All members; what passed between each and us."""
    us = desk.own()
    sent = _counts("receiver", ExchangeFile.objects.filter(sender=us.org))
    came = _counts("sender", ExchangeFile.objects.filter(receiver=us.org))
    rows = []
    for one in Member.objects.all():
        out, into = sent.get(one.org, {}), came.get(one.org, {})
        keys = keyring.in_force(one, desk.today())
        key = ", ".join(_("%(algorithm)s key %(id)s") % {"algorithm": k.algorithm, "id": k.id} for k in keys)
        roles = ", ".join(str(labels.ROLES.get(role, role)) for role in one.roles)
        rows.append(
            MemberRow(
                one,
                roles,
                key,
                out.get("files", 0),
                out.get("undelivered", 0),
                into.get("waiting", 0),
                into.get("refused", 0),
                one.org == us.org,
            )
        )
    return rows


def _counts(side: str, files: QuerySet[ExchangeFile]) -> dict[str, dict[str, Any]]:
    found = files.order_by().values(side).annotate(
        files=Count("id"),
        undelivered=Count("id", filter=Q(delivered_at=None, status="made")),
        waiting=Count("id", filter=Q(status="waiting")),
        refused=Count("id", filter=Q(status="refused")),
    )  # fmt: skip
    return {row[side]: row for row in found}


def positions() -> list[PositionLine]:
    """Nets of the newest dates, told and by the books."""
    us, known = desk.own(), Member.objects.in_bulk()
    told = ExchangePosition.objects.filter(counterparty_org=us.hub).order_by("-settled_on", "member_org")
    days = sorted(set(told.values_list("settled_on", flat=True)), reverse=True)[:DATES]
    nets = {on: books.nets(on) for on in days[:DATES]}
    holds = ExchangeHold.objects.in_bulk(days)
    lines = []
    for row in told.filter(settled_on__in=days):
        if us.is_hub:
            ours = nets[row.settled_on].get(chart.position(known[row.member_org].participant), 0)
        else:
            ours = -nets[row.settled_on].get(chart.position(known[us.hub].participant), 0)
        name = known[row.member_org].name if row.member_org in known else row.member_org
        hold = holds.get(row.settled_on) if row.member_org == us.org else None
        lines.append(PositionLine(row.settled_on, name, row.taps, row.amount_fen, row.net_fen, ours, hold))
    return lines


def files(status: str, kind: str) -> QuerySet[ExchangeFile]:
    """Files, newest first, narrowed as asked."""
    found = ExchangeFile.objects.order_by("-at", "-id")
    if status:
        found = found.filter(status=status)
    return found.filter(file=kind) if kind else found


def exchanged(wanted: dict[str, str]) -> QuerySet[ExchangedTap]:
    """Exchanged taps, newest first, narrowed as asked."""
    found = ExchangedTap.objects.order_by("-tapped_at", "ref")
    for name in ("state", "side", "pan"):
        if wanted.get(name):
            found = found.filter(**{name: wanted[name]})
    return found


def states() -> list[dict[str, Any]]:
    """How many exchanged taps stand where, and for how much."""
    found = (
        ExchangedTap.objects.order_by("state").values("state").annotate(n=Count("ref"), fen=Sum("amount_fen"))
    )
    words = dict(ExchangedTap._meta.get_field("state").choices or ())
    return [{**row, "text": words.get(row["state"], row["state"])} for row in found]


def disputes(every: bool) -> QuerySet[Dispute]:
    """Disputes by their last day; open ones, or every one."""
    found = Dispute.objects.select_related("tap").order_by("answer_by", "id")
    return found if every else found.filter(stage__in=[stage.value for stage in OPEN])


def dispute_rows(found: Any, today: date) -> list[DisputeRow]:
    """The rows of a work list; ours first is for the eye, the order stays by date."""
    known = names()
    rows = []
    for one in found:
        waits = one.stage in WAITING
        rows.append(
            DisputeRow(
                one,
                cause(one.cause),
                known.get(_other(one), _other(one)),
                bool(allowed(one.stage, one.party)),
                waits and today > one.answer_by,
                waits and today + SOON >= one.answer_by,
            )
        )
    return rows


def _other(one: Dispute) -> str:
    return one.answering_org if one.party != "answerer" else one.originator_org


def cause(code: str) -> str:
    """A cause in words."""
    en, zh = codes.CAUSES.get(code, (code, code))
    return zh if labels.chinese() else en


def causes() -> list[tuple[str, str]]:
    """Cause codes with their words, for a form."""
    return [(code, f"{code} {cause(code)}") for code in codes.CAUSES]


def error(code: str) -> str:
    """An error code in words; empty for none."""
    return codes.text_of(code, "zh" if labels.chinese() else "en") if code and code != codes.GOOD else ""


def events(found: Dispute) -> list[dict[str, Any]]:
    """What was said, in order, with words for who and what."""
    known = names()
    rows = DisputeEvent.objects.filter(dispute=found).order_by("id")
    return [{"row": one, "act": ACTS.get(one.act, one.act), "by": known.get(one.by, one.by)} for one in rows]


def tac_text(verdict: str) -> Text:
    """What was found of a TAC."""
    return {
        "good": _("verifies with our key"),
        "bad": _("does not verify"),
        "no key": _("only the issuer has the key"),
        "unreadable": _("cannot be read"),
    }[verdict]


ACTS: dict[str, Text] = labels.ACTS
BUTTONS: tuple[Act, ...] = (Act.ACCEPT, Act.CONTEST, Act.REPRESENT, Act.WITHDRAW, Act.GRANT, Act.DISMISS)
