# SPDX-License-Identifier: Apache-2.0
"""When a position falls due: cycles, rest days, holidays, and weekends worked instead."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citycard.core.cycles import Cycle, Workdays

# The first week of October 2026 is a holiday, Saturday the 10th is worked instead.
CHINA = Workdays(
    frozenset({6, 7}), frozenset(date(2026, 10, day) for day in range(1, 8)), frozenset({date(2026, 10, 10)})
)
DUE = """
| cycle            | business   | due        |
|------------------|------------|------------|
| daily 0          | 2026-09-29 | 2026-09-29 |
| daily 1          | 2026-09-30 | 2026-10-08 |
| daily 0          | 2026-10-10 | 2026-10-10 |
| daily 1          | 2026-10-09 | 2026-10-10 |
| daily 1          | 2026-10-10 | 2026-10-12 |
| weekly 0 day=5   | 2026-09-26 | 2026-10-08 |
| weekly 2 day=1   | 2026-10-12 | 2026-10-14 |
| monthly 0 on=31  | 2026-09-15 | 2026-09-30 |
| monthly 0 on=15  | 2026-09-16 | 2026-10-15 |
| monthly 1 on=31  | 2027-02-03 | 2027-03-02 |
| monthly 0 on=5   | 2026-12-06 | 2027-01-05 |
"""


@pytest.mark.parametrize("line", DUE.strip().splitlines()[2:])
def test_days_due(line: str) -> None:
    words, business, due = (cell.strip() for cell in line.strip("|").split("|"))
    period, lag, *more = words.split()
    days = dict(word.split("=") for word in more)
    cycle = Cycle(period, int(lag), int(days.get("day", 1)), int(days.get("on", 31)))
    assert cycle.due_on(date.fromisoformat(business), CHINA) == date.fromisoformat(due)


cycles = st.builds(
    Cycle,
    st.sampled_from(["daily", "weekly", "monthly"]),
    st.integers(0, 5),
    st.integers(1, 7),
    st.integers(1, 31),
)
dates = st.dates(date(2026, 1, 1), date(2027, 12, 31))


@given(cycle=cycles, business=dates)
def test_what_is_due_is_due_on_a_working_day_soon_and_in_order(cycle: Cycle, business: date) -> None:
    due = cycle.due_on(business, CHINA)
    assert CHINA.works(due)
    assert business <= due <= business + timedelta(days=31 + 7 + 2 * cycle.lag_days + 7)
    assert due <= cycle.due_on(business + timedelta(days=1), CHINA)


def test_a_calendar_without_work_and_a_cycle_without_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="no working day"):
        Cycle().due_on(date(2026, 1, 1), Workdays(frozenset(range(1, 8))))
    with pytest.raises(ValueError, match="yearly"):
        Cycle("yearly")
    with pytest.raises(ValueError, match="weekday 8"):
        Cycle("weekly", weekday=8)
