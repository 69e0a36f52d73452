# SPDX-License-Identifier: Apache-2.0
"""Settlement cycles: on which day a position of a business date falls due.

A position waits for the end of its period (the day itself, a weekday, a day of the month), then for a number
of working days: T+0 is daily with none, T+1 daily with one. A day that falls on a rest day moves to the next
working day; weekends that are worked instead of a holiday (调休) are working days.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

DAILY, WEEKLY, MONTHLY = "daily", "weekly", "monthly"
PERIODS: Final = (DAILY, WEEKLY, MONTHLY)
LAG_MAX: Final = 30  # working days after the end of a period
REST_MAX: Final = 60  # days in a row without work: more is a mistake in the calendar, not a holiday


@dataclass(frozen=True, slots=True)
class Workdays:
    """The days on which banks work: no rest day of the week and no holiday, unless worked instead."""

    rest_days: frozenset[int] = frozenset()  # 1 Monday to 7 Sunday
    holidays: frozenset[date] = frozenset()
    worked: frozenset[date] = frozenset()

    def works(self, on: date) -> bool:
        """Whether banks work on this day."""
        return on in self.worked or (on.isoweekday() not in self.rest_days and on not in self.holidays)

    def on_or_after(self, on: date) -> date:
        """The first working day from this one on; `ValueError` when there is none for two months."""
        for ahead in range(REST_MAX):
            if self.works(on + timedelta(days=ahead)):
                return on + timedelta(days=ahead)
        raise ValueError(f"the calendar has no working day within {REST_MAX} days of {on}")


@dataclass(frozen=True, slots=True)
class Cycle:
    """How often a participant is settled, and how many working days later."""

    period: str = DAILY
    lag_days: int = 0
    weekday: int = 1  # of a weekly cycle, 1 Monday to 7 Sunday
    month_day: int = 31  # of a monthly cycle; the last day where a month is shorter

    def __post_init__(self) -> None:
        if self.period not in PERIODS:
            raise ValueError(f"a cycle is {', '.join(PERIODS)}, not {self.period!r}")
        if not (0 <= self.lag_days <= LAG_MAX and 1 <= self.weekday <= 7 and 1 <= self.month_day <= 31):
            raise ValueError(f"no cycle: lag {self.lag_days}, weekday {self.weekday}, day {self.month_day}")

    def due_on(self, business: date, workdays: Workdays) -> date:
        """The day on which a position of this business date is to be paid."""
        due = workdays.on_or_after(self._period_ends(business))
        for _ in range(self.lag_days):
            due = workdays.on_or_after(due + timedelta(days=1))
        return due

    def _period_ends(self, business: date) -> date:
        if self.period == WEEKLY:
            return business + timedelta(days=(self.weekday - business.isoweekday()) % 7)
        if self.period == MONTHLY:
            ends = _day_of_month(business.year, business.month, self.month_day)
            if ends < business:
                year, month = divmod(business.year * 12 + business.month, 12)
                ends = _day_of_month(year, month + 1, self.month_day)
            return ends
        return business


def _day_of_month(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))
