# SPDX-License-Identifier: Apache-2.0
"""Totals by company, and their comparison with a published table of totals beside the file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from citycard.clearing.replay.staging import Connection, rows_of

EXPECTED_NAME: Final = "expected_by_company.csv"
FIGURES: Final = ("taps", "cards", "list_fen", "charged_fen")
COMPANIES_MAX: Final = 10_000  # lines of a table of totals that are read


def by_company(db: Connection) -> dict[str, dict[str, int]]:
    """Each company's distinct rows, cards and totals, and beside them what exact duplicates would add."""
    sums = rows_of(
        db,
        """SELECT t.company, count(*)::BIGINT AS taps, any_value(c.cards)::BIGINT AS cards,
             sum(list_fen)::BIGINT AS list_fen, sum(charged_fen)::BIGINT AS charged_fen,
             sum(copies - 1)::BIGINT AS duplicate_taps,
             sum((copies - 1) * list_fen)::BIGINT AS duplicate_list_fen,
             sum((copies - 1) * charged_fen)::BIGINT AS duplicate_charged_fen
           FROM taps t JOIN (SELECT company, count(*) AS cards FROM
               (SELECT DISTINCT company, card FROM taps WHERE dropped IS NULL) GROUP BY company) c
             USING (company)
           WHERE dropped IS NULL GROUP BY t.company ORDER BY list_fen DESC, t.company""",
    )
    return {row.pop("company"): row for row in sums}


def compare(totals: Mapping[str, Mapping[str, int]], beside: Path) -> dict[str, Any] | None:
    """Our totals against `expected_by_company.csv` in the file's folder; nothing if there is none.

    `counting` tells how they agree: with exact duplicates taken out, with duplicates counted, or not at all;
    `differences` lists what still differs, with duplicates taken out.
    """
    path = beside.parent / EXPECTED_NAME
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row, _ in zip(csv.DictReader(file), range(COMPANIES_MAX), strict=False)]
        wanted = {row["company_name"]: {f: int(row[f]) for f in FIGURES} for row in rows}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None
    plain = {company: {f: row[f] for f in FIGURES} for company, row in totals.items()}
    doubled = {
        company: {f: row[f] + row.get(f"duplicate_{f}", 0) for f in FIGURES}
        for company, row in totals.items()
    }
    counting = "differs"
    if plain == wanted:
        counting = "equal, duplicates counted once" if plain != doubled else "equal, no duplicates"
    elif doubled == wanted:
        counting = "equal, duplicates counted as often as they stand"
    differences = [
        {"company": company, "figure": f, "expected": want, "found": have}
        for company in sorted({*plain, *wanted})
        for f in FIGURES
        if (have := plain.get(company, {}).get(f, 0)) != (want := wanted.get(company, {}).get(f, 0))
    ]
    return {
        "file": path.name,
        "equal": counting != "differs",
        "counting": counting,
        "differences": differences,
    }
