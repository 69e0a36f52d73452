# SPDX-License-Identifier: Apache-2.0
"""What this office does for the exchange once a date, in order; every step may be repeated.

A city does it after its own run of the date is posted: answers, disputes, new taps, hotlist, what it misses.
The hub does it when the files of the date have come, or will not come any more.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db import transaction

from citycard.office.disputes import verbs
from citycard.office.partners import acquirer, desk, hotlists, hub, issuer, outbox
from citycard.office.partners.models import ExchangeFile


def close(on: date) -> dict[str, Any]:
    """Do what is ours for a date; what was sent for it before is not sent again."""
    us = desk.own()
    if us.is_hub:
        cleared = hub.clear(on)
        told = {"taps": cleared.taps, "returned": cleared.returned, "nets": cleared.nets}
    else:
        told = _city(on)
    for to in desk.others():
        outbox.tell(to, on)
    return told


@transaction.atomic
def _city(on: date) -> dict[str, Any]:
    us = desk.own()
    sent = ExchangeFile.objects.filter(sender=us.org, file="CD", business_date=on)
    if sent.exists():
        return {"repeated": True}
    told: dict[str, Any] = dict(issuer.answer(on))
    told["disputes"] = len(verbs.raise_refused(on))
    collected = acquirer.collect(on)
    told["taken"], told["left"] = collected.taken, dict(collected.left)
    told["forwarded"] = acquirer.forward(on).records
    told["hotlist"] = hotlists.upload(on)
    return told
