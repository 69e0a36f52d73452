# SPDX-License-Identifier: Apache-2.0
"""Business dates: which accounting day an instant belongs to.

Cards and terminals carry local wall-clock time without a zone, so every instant here is a naive
`datetime` in the scheme's own zone. The business date (清算日) changes at the cut-off, not at midnight.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

# By table and by slice: strftime and strptime take ten times as long, and every tap has a dozen moments.
BCD = tuple(tens << 4 | ones for tens in range(10) for ones in range(10))
NO_MOMENT = bytes(7)
CUT_OFF_DEFAULT = time(2, 0)  # last trains are home by two in the morning


@dataclass(frozen=True, slots=True)
class Calendar:
    """The accounting calendar of a scheme: when a business date ends."""

    cut_off: time = CUT_OFF_DEFAULT
    late_days: int = 7  # records up to this many business dates old are still accepted
    early: timedelta = timedelta(minutes=10)  # how far ahead of the office a terminal's clock may run

    def business_date(self, at: datetime) -> date:
        """The business date of an instant: before the cut-off it is still yesterday."""
        return at.date() if at.time() >= self.cut_off else at.date() - timedelta(days=1)

    def opens(self, business: date) -> datetime:
        """First instant of a business date."""
        return datetime.combine(business, self.cut_off)

    def closes(self, business: date) -> datetime:
        """First instant after a business date."""
        return self.opens(business + timedelta(days=1))

    def accepts(self, tapped: datetime, settling: date) -> bool:
        """Whether a tap may be settled on this date: neither later than it nor older than the window."""
        business = self.business_date(tapped)
        return settling - timedelta(days=self.late_days) <= business <= settling


def bcd_datetime(at: datetime) -> bytes:
    """Seven BCD bytes `YYYYMMDDhhmmss`."""
    century, year = divmod(at.year, 100)
    return bytes(
        (BCD[century], BCD[year], BCD[at.month], BCD[at.day], BCD[at.hour], BCD[at.minute], BCD[at.second])
    )


def from_bcd_datetime(raw: bytes) -> datetime | None:
    """The instant in seven BCD bytes, or None for all zeros; `ValueError` when it is no date."""
    if raw == NO_MOMENT:
        return None
    text = raw.hex()
    if len(text) != 14:
        raise ValueError(f"a moment has 7 bytes, this has {len(raw)}")
    date, hour, minute, second = text[:8], int(text[8:10]), int(text[10:12]), int(text[12:])
    return datetime(int(date[:4]), int(date[4:6]), int(date[6:]), hour, minute, second)
