# SPDX-License-Identifier: Apache-2.0
"""What terminals are told: tariffs in force, issuers accepted, stolen modules, the calendar; in versions.

The content is composed afresh for every question and compared with the newest version sent, so that no
change of a tariff or participant, made anywhere, can be forgotten.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Any

from django.db import IntegrityError, transaction

from citycard.office import clock
from citycard.office.cards import hotlist
from citycard.office.intake import business
from citycard.office.intake.models import ParameterSet
from citycard.office.issuing import sams
from citycard.office.participants.models import Participant, Tariff
from citycard.office.partners import desk


def current() -> dict[str, Any]:
    """The parameters now: version, hotlist_version, business, tariffs, tariff_versions, issuers."""
    now = clock.now()
    body = compose(business.calendar().business_date(now))
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    newest = ParameterSet.objects.first()
    if newest is None or newest.digest != digest:
        newest = _next(newest.version if newest else 0, digest, body)
    return {"version": newest.version, "hotlist_version": hotlist.version(), **newest.body}


def compose(today: date) -> dict[str, Any]:
    """What the scheme's tables say for a business date."""
    tariffs: dict[str, Any] = {}
    versions: dict[str, int] = {}
    for tariff in Tariff.objects.filter(valid_from__lte=today).order_by("valid_from", "version"):
        tariffs[str(tariff.service)] = tariff.config
        versions[str(tariff.service)] = tariff.version
    accepted = Participant.objects.filter(active=True).order_by("id")
    calendar, limits = business.calendar(), business.limits()
    return {
        "business": {
            "cut_off": calendar.cut_off.isoformat("minutes"),
            "late_days": calendar.late_days,
            "balance_max_fen": limits.balance_max_fen,
            "load_min_fen": limits.load_min_fen,
            "load_max_fen": limits.load_max_fen,
        },
        "tariffs": tariffs,
        "tariff_versions": versions,
        "issuers": [one.id for one in accepted if "issuer" in one.roles] + desk.accepted_issuers(today),
        "distrusted": list(sams.distrusted()),
    }


def _next(last: int, digest: str, body: dict[str, Any]) -> ParameterSet:
    """Record the next version; another process may have done it at the same moment."""
    try:
        with transaction.atomic():
            return ParameterSet.objects.create(
                version=last + 1, digest=digest, body=body, made_at=clock.now()
            )
    except IntegrityError:
        return ParameterSet.objects.latest("version")
