# SPDX-License-Identifier: Apache-2.0
"""Where the office asks for the taps behind a figure: the lake, by a reader that whoever starts it gives.

Office and clearing are strangers, so the office knows only what it asks for (`core.figure`). In brief mode
the accepted taps are in no other place.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from django.conf import settings

from citycard.core.figure import Behind, Figure, Reader
from citycard.core.problem import declare

LAKE_APART = declare(
    "LAKE_APART",
    "This office was started without the tap lake beside it, so single taps' parts cannot be shown."
    " Start it with `citycard serve`, or use `citycard lake line`.",
    "后台启动时未接入交易数据湖，无法显示单笔份额。请用 `citycard serve` 启动，或使用 `citycard lake line`。",
)

_reader: Reader | None = None


def use(reader: Reader | None) -> None:
    """Read the lake with this from now on; None: not at all."""
    global _reader
    _reader = reader


def taps(day: date, figure: Figure, first: int, count: int) -> Behind:
    """A page of the taps behind a figure of a closed date. LAKE_APART, and what the reader refuses."""
    if _reader is None:
        raise LAKE_APART()
    return _reader(Path(settings.CITYCARD_HOME), day, figure, first, count)
