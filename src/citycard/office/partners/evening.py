# SPDX-License-Identifier: Apache-2.0
"""What this office does for the exchange once a date, in order; every step may be repeated.

A city does it after its own run of the date is posted: answers, disputes, new taps, hotlist, what it misses.
The hub does it when the files of the date have come, or will not come any more.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

from django.db import transaction

from citycard.office.disputes import verbs
from citycard.office.partners import acquirer, desk, hotlists, hub, issuer, outbox
from citycard.office.partners.models import ExchangeFile
from citycard.office.settlement import problems
from citycard.office.settlement.models import SettlementRun


def close(on: date) -> dict[str, Any]:
    """Do what is ours for a date; a date that was closed is left as it is. NOT_POSTED, NOT_THE_HUB."""
    us = desk.own()
    if us.is_hub:
        cleared = hub.clear(on)
        told: dict[str, Any] = {"taps": cleared.taps, "returned": cleared.returned, "nets": cleared.nets}
    else:
        told = _city(on)
    for to in desk.others():
        outbox.tell(to, on)
    return told


@transaction.atomic
def _city(on: date) -> dict[str, Any]:
    """Its CD file marks a date as closed; taps of all runs since the one before are in it."""
    sent = ExchangeFile.objects.filter(sender=desk.own().org, file="CD", status=ExchangeFile.Status.MADE)
    last = sent.order_by("-business_date").values_list("business_date", flat=True).first()
    if last is not None and on <= last:
        return {"repeated": True}
    runs = SettlementRun.objects.filter(settle_on__lte=on).order_by("settle_on")
    if not runs.filter(settle_on=on).exists():
        raise problems.NOT_POSTED(date=on)
    told: dict[str, Any] = dict(issuer.answer(on))
    told["disputes"] = len(verbs.raise_refused(on))
    told["taken"], left = 0, Counter[str]()
    for run in runs if last is None else runs.filter(settle_on__gt=last):
        collected = acquirer.collect(run.settle_on)
        told["taken"] += collected.taken
        left += collected.left
    told["left"] = dict(left)
    told["forwarded"] = acquirer.forward(on).records
    told["hotlist"] = hotlists.upload(on)
    return told
