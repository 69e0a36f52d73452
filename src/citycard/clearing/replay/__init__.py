# SPDX-License-Identifier: Apache-2.0
"""Replays published card records: import, de-duplication, journeys, re-rating, clearing and settlement.

A city's file format is a declaration (`fileformat.FileFormat`, see `szt`), its tariff a blueprint. Files of
any size pass in bounded memory: rows are staged on disk under `work_dir` and worked on there.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from citycard.blueprints import Scheme, load_scheme
from citycard.clearing.replay import journeys, rating, settling, staging, totals
from citycard.clearing.replay.fileformat import FileFormat
from citycard.clearing.replay.report import ReplayReport
from citycard.clearing.replay.staging import Connection, one, rows_of
from citycard.clearing.replay.szt import SZT

__all__ = ["FORMATS", "FileFormat", "ReplayReport", "replay", "replay_szt"]

FORMATS: Final[dict[str, FileFormat]] = {SZT.name: SZT}
LISTED_MAX: Final = 1000  # rows of a list in the report; a longer list goes to a file
STEPS: Final = 5  # type, pair journeys, re-rate, settle, report

Progress = Callable[[str, int, int], None]


def replay_szt(path: str | Path, *, work_dir: str | Path, progress: Progress | None = None) -> ReplayReport:
    """Replay a file of Shenzhen Tong records with the `shenzhen` tariff; see `replay`."""
    return replay(path, SZT, load_scheme(SZT.scheme), work_dir=work_dir, progress=progress)


def replay(
    path: str | Path,
    form: FileFormat,
    scheme: Scheme,
    *,
    work_dir: str | Path,
    progress: Progress | None = None,
) -> ReplayReport:
    """Take a file of card records (.csv, .csv.zst, .csv.gz) through to positions, and report.

    `work_dir` gets a staging database (removed at the end) and the lists too long for the report;
    `progress` is told (what, done, total). Raises the problems REPLAY_* when the file as a whole cannot be
    used; single rows that cannot be used are counted by reason.
    """
    began = time.monotonic()
    file, folder = Path(path), Path(work_dir)
    tell = progress or (lambda what, done, total: None)
    with staging.staging(folder) as db:
        staging.load_raw(db, file, form, tell)
        tell("work", 0, STEPS)
        staging.make_taps(db, form, scheme)
        tell("work", 1, STEPS)
        journeys.pair(db, form)
        tell("work", 2, STEPS)
        rating.rate(db, rating.Rater(scheme, form), tell)
        tell("work", 3, STEPS)
        clearing = settling.settle(db, scheme, staging.folder_of(folder))
        tell("work", 4, STEPS)
        report = _report(db, file, folder, form, clearing)
        tell("work", STEPS, STEPS)
    return replace(report, seconds=round(time.monotonic() - began, 3))


def _span(db: Connection) -> tuple[datetime | None, datetime | None]:
    """The first and the last moment of the rows that are used."""
    row = rows_of(
        db, "SELECT min(tapped_at) AS first, max(tapped_at) AS last FROM taps WHERE dropped IS NULL"
    )[0]
    return row["first"], row["last"]


def _report(
    db: Connection, file: Path, folder: Path, form: FileFormat, clearing: settling.Clearing
) -> ReplayReport:
    quirks, dropped = staging.dirty_rows(db)
    found = rating.outcomes(db)
    unexplained = found.pop(rating.UNEXPLAINED, 0)
    exact = found.pop(rating.EXACT, 0)
    lists = {
        name: _listed(db, name, folder / f"{file.name}.{name}.csv") for name in ("anomalies", "unexplained")
    }
    companies = totals.by_company(db)
    positions = clearing.as_rows()
    known = {line.name_zh for line in clearing.scheme.lines}
    first, last = (None if at is None else at.isoformat(sep=" ") for at in _span(db))
    return ReplayReport(
        format=form.name,
        source=form.source,
        scheme=clearing.scheme.name,
        file=str(file),
        rows=one(db, "SELECT (SELECT count(*) FROM raw) + (SELECT count(*) FROM bad)"),
        used=one(db, "SELECT count(*) FROM taps WHERE dropped IS NULL"),
        duplicates=one(db, "SELECT sum(copies - 1) FROM taps WHERE dropped IS NULL"),
        duplicate_rows=staging.duplicate_rows(db, LISTED_MAX),
        dirty=quirks | dropped,
        dropped=dropped,
        first_at=first,
        last_at=last,
        gaps=journeys.gaps(db),
        priced=exact + sum(found.values()) + unexplained,
        rerated_exact=exact + sum(found.values()),
        unexplained=unexplained,
        unexplained_rows=lists["unexplained"][0],
        anomalies=lists["anomalies"][0],
        anomalies_total=sum(found.values()),
        classes=rating.classes(db),
        transfers=journeys.transfers(db),
        journeys=journeys.summary(db),
        by_company=companies,
        companies_unknown=sorted(set(companies) - known),
        expected=totals.compare(companies, file),
        contracts=clearing.contracts,
        settled_fen=clearing.settled_fen,
        suspended_fen=rating.suspended_fen(db) + clearing.uncovered_fen,
        positions=positions,
        positions_sum_fen=sum(row["net_fen"] for row in positions),
        files={name: path for name, (_, path) in lists.items() if path},
        seconds=0.0,
    )


def _listed(db: Connection, which: str, path: Path) -> tuple[list[dict[str, Any]], str]:
    """The first rows of a list and, if that is not all of them, the file that holds it whole."""
    query, values = rating.listed(which)
    answer = db.execute(query, values)
    names = [column[0] for column in answer.description or ()]
    rows = [_plain(names, row) for row in answer.fetchmany(LISTED_MAX)]
    more = answer.fetchmany(LISTED_MAX)
    if not more:
        return rows, ""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(row.values() for row in rows)
        while more:
            writer.writerows(_plain(names, row).values() for row in more)
            more = answer.fetchmany(LISTED_MAX)
    return rows, str(path)


def _plain(names: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    pairs = zip(names, row, strict=True)
    return {name: v.isoformat(sep=" ") if isinstance(v, datetime) else v for name, v in pairs}
