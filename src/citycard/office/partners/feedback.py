# SPDX-License-Identifier: Apache-2.0
"""FB files on their way: from the issuer to the hub, and from the hub on to each acquirer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from citycard.core.interop import codes
from citycard.core.interop.files import FileName
from citycard.core.interop.states import Event
from citycard.core.problem import declare
from citycard.office.partners import desk, hub, outbox, taps
from citycard.office.partners.models import ExchangedTap, Member, PartnerIssuer

SERIAL_UNKNOWN = declare(
    "SERIAL_UNKNOWN",
    "No tap with clearing serial {serial} is known here that {org} could speak of.",
    "没有 {org} 有权反馈的清分流水号 {serial}。",
)


def take_feedback(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """The issuer's word on cleared taps: kept, and at the hub passed on to the acquirers."""
    us = desk.own()
    told = list(_told(sender, records, us.is_hub))
    taps.save_many(told, "state", "error", "told")
    if not us.is_hub:
        return
    onward = defaultdict(list)
    for tap in told:
        onward[tap.acquirer_org].append(hub.result_row(tap, us.org))
    for org, rows in sorted(onward.items()):
        outbox.send("FB", desk.member(org), rows, name.business_date)


def _told(sender: Member, records: list[dict[str, Any]], at_hub: bool) -> Iterable[ExchangedTap]:
    serials = [row["serial"] for row in records]
    found = {tap.serial: tap for tap in ExchangedTap.objects.select_for_update().filter(serial__in=serials)}
    own = set(PartnerIssuer.objects.filter(member=sender).values_list("issuer_org", flat=True))
    for row in records:
        tap = found.get(row["serial"])
        if tap is None or (at_hub and tap.issuer_org not in own):
            raise SERIAL_UNKNOWN(serial=row["serial"], org=sender.org)
        taps.move(tap, Event.VERIFY if row["error"] == codes.GOOD else Event.REFUSE)
        tap.error, tap.told = row["error"], True
        yield tap
