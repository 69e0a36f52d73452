# SPDX-License-Identifier: Apache-2.0
"""A clock that only moves when told: every part of a simulated city reads this one."""

from __future__ import annotations

from datetime import datetime, timedelta


class SimClock:
    """Simulated scheme-local time; call it to read it."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def __call__(self) -> datetime:
        return self._now

    def at(self, moment: datetime) -> None:
        """Move forward to a moment; never back."""
        self._now = max(self._now, moment)

    def back_to(self, moment: datetime) -> None:
        """A city remembered from before lives on from that moment."""
        self._now = moment

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._now += timedelta(seconds=seconds)
