# SPDX-License-Identifier: Apache-2.0
"""Cuts a run into parts by card, so that a day of any size passes through memory a part at a time.

All that ties one record to another, but for repeats of the same record, is the card. Cards go to parts by
three digits of their number, those before the check digit: they count up as cards are made, so the parts are
even. Part n of m holds a range of these digits, which every engine can test as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DIGITS: Final = slice(16, 19)  # of the 20 of a card number
CODES: Final = 1000  # numbers three digits can say; the most parts there can be
HEX_CODES: Final = 1 << 12  # what three half-bytes can say: a forged number may hold other than digits
SUFFIX: Final = re.compile(r"-(\d{3})-of-(\d{3})\.parquet$")


@dataclass(frozen=True, slots=True)
class Shards:
    """So many parts of a run."""

    count: int = 1

    def __post_init__(self) -> None:
        assert 1 <= self.count <= CODES

    def bound(self, number: int) -> str:
        """The first digits of a part; after the last one nothing comes."""
        return f"{number * CODES // self.count:03d}" if number < self.count else "g"

    def table(self) -> Array:
        """The part of each of the `HEX_CODES` codes."""
        bounds = [int(self.bound(number), 16) for number in range(1, self.count)]
        return np.searchsorted(np.array(bounds, "i8"), np.arange(HEX_CODES), "right").astype("u2")

    def where(self, number: int) -> str:
        """The part's cards as a condition of SQL on `pan`; empty when it is all of them."""
        if self.count == 1:
            return ""
        digits = f"substr(pan, {DIGITS.start + 1}, 3)"
        return f"{digits} >= '{self.bound(number)}' AND {digits} < '{self.bound(number + 1)}'"

    def number(self) -> str:
        """The part of a card as an expression of SQL on `pan`."""
        digits = f"substr(pan, {DIGITS.start + 1}, 3)"
        cases = "".join(f" WHEN {digits} < '{self.bound(n + 1)}' THEN {n}" for n in range(self.count - 1))
        return f"CASE{cases} ELSE {self.count - 1} END" if cases else "0"

    def file(self, name: str, number: int) -> str:
        """What a lake table's file of this part is called, relative to the run's folder."""
        if self.count == 1:
            return f"{name}.parquet"
        return f"{name}/part-{number:03d}-of-{self.count:03d}.parquet"

    def holds(self, path: str, number: int) -> bool:
        """Whether a file, perhaps of a run cut otherwise, may hold cards of this part."""
        found = SUFFIX.search(path)
        if found is None:
            return True
        other, whole = int(found[1]), Shards(int(found[2]))
        return whole.bound(other) < self.bound(number + 1) and self.bound(number) < whole.bound(other + 1)


def codes(pan: Array) -> Array:
    """(n, 10) bytes of card numbers -> the three digits each goes by, as a number."""
    start = DIGITS.start // 2
    return pan[:, start].astype("u2") << 4 | pan[:, start + 1] >> 4
