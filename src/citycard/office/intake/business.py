# SPDX-License-Identifier: Apache-2.0
"""The scheme's accounting calendar and limits, from its settings.

`calendar` is a JSON object with any of `cut_off` ("02:00"), `late_days` and `early_s`; `limits` one with
`balance_max_fen`, `load_min_fen`, `load_max_fen` and `load_wait_minutes`. Absent ones keep their default.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from citycard.core.calendar import Calendar
from citycard.core.problem import declare
from citycard.core.purse import BALANCE_MAX
from citycard.office.participants.models import SchemeSetting

CALENDAR: Final = "calendar"
LIMITS: Final = "limits"

SCHEME_SETTING = declare(
    "SCHEME_SETTING",
    "The scheme setting {key} is wrong: {why}.",
    "方案设置 {key} 有误：{why}。",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What intake holds loads to."""

    balance_max_fen: int = BALANCE_MAX
    load_min_fen: int = 1
    load_max_fen: int = 100_000
    load_wait_minutes: int = 30  # a pending load older than this is listed for a person


def calendar() -> Calendar:
    """The scheme's calendar; SCHEME_SETTING when it cannot be read."""
    values = _setting(CALENDAR)
    default = Calendar()
    try:
        return Calendar(
            cut_off=time.fromisoformat(values["cut_off"]) if "cut_off" in values else default.cut_off,
            late_days=int(values.get("late_days", default.late_days)),
            early=timedelta(seconds=int(values.get("early_s", default.early.total_seconds()))),
        )
    except (TypeError, ValueError) as error:
        raise SCHEME_SETTING(key=CALENDAR, why=error) from None


def limits() -> Limits:
    """The scheme's limits; SCHEME_SETTING when they cannot be read."""
    values = _setting(LIMITS)
    known = {one.name: values[one.name] for one in fields(Limits) if one.name in values}
    if not all(isinstance(value, int) and value >= 0 for value in known.values()):
        raise SCHEME_SETTING(key=LIMITS, why="limits are whole numbers")
    return Limits(**known)


def business_date(at: datetime) -> date:
    """The business date of a moment."""
    return calendar().business_date(at)


def _setting(key: str) -> dict[str, Any]:
    found = SchemeSetting.objects.filter(key=key).values_list("value", flat=True).first()
    if found is not None and not isinstance(found, dict):
        raise SCHEME_SETTING(key=key, why="a JSON object is wanted")
    return found or {}
