# SPDX-License-Identifier: Apache-2.0
"""What a replay found, as one value that turns into JSON."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What a replay found. Amounts are fen; row 1 is the first line under the header.

    `rows` = `used` + `duplicates` + all of `dropped`. `priced` counts the used rows in which money is due
    (exits, boardings); of these `rerated_exact` came out to the fen and `unexplained` did not. `anomalies`
    are among the exact ones: their discount contradicts their transfer mark. Long lists are cut in the report
    (`anomalies_total`, `unexplained` tell the whole number) and stand in full in `files`.
    """

    format: str
    source: str
    scheme: str
    file: str
    rows: int
    used: int
    duplicates: int
    duplicate_rows: list[int]  # rows of which an exact copy stands elsewhere
    dirty: dict[str, int]  # rows with something wrong, by reason; those in `dropped` were not used
    dropped: dict[str, int]
    first_at: str | None
    last_at: str | None
    gaps: list[dict[str, Any]]
    priced: int
    rerated_exact: int
    unexplained: int
    unexplained_rows: list[dict[str, Any]]
    anomalies: list[dict[str, Any]]
    anomalies_total: int
    classes: list[dict[str, Any]]
    transfers: dict[str, int]
    journeys: dict[str, Any]
    by_company: dict[str, dict[str, int]]
    companies_unknown: list[str]  # companies that are no line of the scheme; priced by its default fares
    expected: dict[str, Any] | None  # comparison with a table of totals beside the file, if there is one
    contracts: dict[str, int]
    settled_fen: int
    suspended_fen: int
    positions: list[dict[str, Any]]
    positions_sum_fen: int
    files: dict[str, str]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values that JSON can hold, every field by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
