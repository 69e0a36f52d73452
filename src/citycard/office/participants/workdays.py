# SPDX-License-Identifier: Apache-2.0
"""The banks' calendar as the scheme's settings hold it."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from citycard.core.cycles import Workdays
from citycard.office.participants.models import SchemeSetting

SETTING: Final = "workdays"


def workdays() -> Workdays:
    """Rest days, holidays and worked weekends; every day works where nothing is set."""
    value: dict[str, Any] = (
        SchemeSetting.objects.filter(key=SETTING).values_list("value", flat=True).first() or {}
    )
    return Workdays(
        frozenset(value.get("rest_days", ())),
        frozenset(map(date.fromisoformat, value.get("holidays", ()))),
        frozenset(map(date.fromisoformat, value.get("worked", ()))),
    )
