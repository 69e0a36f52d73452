# SPDX-License-Identifier: Apache-2.0
"""Hotlists between cities: ours goes up (UC), the hub passes it on (DC), theirs join our terminals' list.

A partner's card on our list takes a version of our own list, so that terminals fetch it as they fetch all
others, and a record tells whether its terminal had it.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from django.db import transaction

from citycard.core.interop.files import FileName
from citycard.office import clock
from citycard.office.cards import counters, hotlist
from citycard.office.cards.models import HotlistEntry
from citycard.office.partners import desk, outbox
from citycard.office.partners.models import Member, PartnerHotlistEntry

SENT: Final = "exchange hotlist sent"  # the version of our list up to which members know it
ON, OFF = 1, 2


@transaction.atomic
def upload(on: date) -> int:
    """Send what changed on our own list since the last time; returns how many changes."""
    us = desk.own()
    now, before = hotlist.version(), counters.last(SENT)
    if now == before:
        return 0
    rows: list[dict[str, Any]] = []
    for entry in HotlistEntry.objects.select_related("card").order_by("version"):
        org = desk.company_of(entry.card.issuer_id)
        head: dict[str, Any] = {"pan": entry.card_id, "issuer_org": org, "reason": entry.reason[:10]}
        if entry.version > before and not entry.delisted_version:
            rows.append(head | {"action": ON, "listed_at": entry.listed_at, "version": entry.version})
        elif entry.version <= before and (entry.delisted_version or 0) > before:
            told = {"listed_at": entry.delisted_at, "version": entry.delisted_version}
            rows.append(head | {"action": OFF} | told)
    counters.take(SENT, now - before)
    if rows:
        outbox.send("UC", desk.member(us.hub), rows, on)
    return len(rows)


def take_upload(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """UC at the hub: a member's changes, passed on to every other one that accepts cards."""
    for to in desk.others():
        if to.org != sender.org and desk.ACQUIRER in to.roles:
            outbox.send("DC", to, records, name.business_date)


def take_download(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """DC at an acquirer: put on and take off our terminals' list, all in one new version."""
    (number,) = counters.take(hotlist.COUNTER)
    at, changed = clock.now(), 0
    for row in records:
        standing = PartnerHotlistEntry.objects.filter(card_id=row["pan"], delisted_version=None)
        if row["action"] == OFF:
            changed += standing.update(delisted_at=at, delisted_version=number)
        elif not standing.exists():
            PartnerHotlistEntry.objects.create(
                card_id=row["pan"], issuer_org=row["issuer_org"], reason=row["reason"], version=number,
                listed_at=at,
            )  # fmt: skip
            changed += 1
    if not changed:
        counters.back(hotlist.COUNTER, number)
