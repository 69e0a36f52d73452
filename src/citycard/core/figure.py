# SPDX-License-Identifier: Apache-2.0
"""A figure of a closed date, named so that the taps it is made of can be found: what office asks of the lake.

A figure is a sum over accepted taps. Of `SHARE` it sums what a participant was owed and owes (any of service,
counterparty and cause, one side or both); of `AMOUNT` what the taps cost, of `FEE` the fee they were charged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from citycard.core.tables import Row

SHARE, AMOUNT, FEE = "share", "amount", "fee"
BOTH, RECEIVABLE, PAYABLE = "", "receivable", "payable"
SIDES: Final = (BOTH, RECEIVABLE, PAYABLE)


@dataclass(frozen=True, slots=True)
class Figure:
    """Which taps, and what of them; a field left out narrows nothing."""

    what: str = SHARE
    participant: str | None = None  # of a share
    service: int | None = None  # of amounts and fees as contracts have it: 0 are top-ups
    counterparty: str | None = None  # of a share
    cause: str | None = None  # of a share
    side: str = BOTH  # of a share
    acquirer: str | None = None  # of amounts and fees, as are the next
    issuer: str | None = None
    business_date: date | None = None
    kind: int | None = None

    def __post_init__(self) -> None:
        if self.what not in (SHARE, AMOUNT, FEE) or self.side not in SIDES:
            raise ValueError(f"there is no figure of {self.what!r}, {self.side!r}")


@dataclass(frozen=True, slots=True)
class Behind:
    """The taps behind a figure: how many, what their parts add up to, and a page of them.

    Rows are of `core.tables.VERDICTS`, and `part_fen`: the tap's own part of the figure.
    """

    taps: int
    total_fen: int
    rows: list[Row]


Reader = Callable[[Path, date, Figure, int, int], Behind]  # home, run's date, figure, first tap, how many
