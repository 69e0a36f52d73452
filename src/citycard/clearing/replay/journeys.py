# SPDX-License-Identifier: Apache-2.0
"""Pairs metro entries with exits, card by card in order of time, and counts what has no partner, and why."""

from __future__ import annotations

from typing import Any, Final

from citycard.clearing.replay.fileformat import FileFormat
from citycard.clearing.replay.staging import Connection, rows_of

GAP_MINUTES: Final = 30  # a silence of the whole city this long is a hole in the file

# `before` and `after` are the events of the same card next to it; `late`: too far from it to belong.
REASONS: Final = """CASE
  WHEN event = 'enter' AND after = 'exit' AND NOT late_after THEN 'PAIRED'
  WHEN event = 'exit' AND before = 'enter' AND NOT late_before THEN 'PAIRED'
  WHEN event = 'enter' AND after IS NULL THEN 'NO_EXIT_IN_FILE'
  WHEN event = 'enter' AND after = 'enter' THEN 'ENTERED_AGAIN'
  WHEN event = 'enter' THEN 'EXIT_TOO_LATE'
  WHEN before IS NULL THEN 'NO_ENTRY_IN_FILE'
  WHEN before = 'exit' THEN 'EXITED_AGAIN'
  ELSE 'ENTRY_TOO_EARLY' END"""


def pair(db: Connection, form: FileFormat) -> None:
    """Make `metro`: each metro tap with its outcome and, for a paired exit, the entry it closes."""
    limit = int(form.journey_max.total_seconds())
    db.execute(
        f"""
        CREATE TABLE metro AS
        WITH ordered AS (
          SELECT row, card, tapped_at, event, company, station,
            lag(event) OVER w AS before, lead(event) OVER w AS after,
            date_diff('second', lag(tapped_at) OVER w, tapped_at) > {limit} AS late_before,
            date_diff('second', tapped_at, lead(tapped_at) OVER w) > {limit} AS late_after,
            lag(company) OVER w AS company_before, lag(station) OVER w AS station_before,
            lag(tapped_at) OVER w AS at_before
          FROM taps WHERE dropped IS NULL AND service = 'metro'
          WINDOW w AS (PARTITION BY card ORDER BY tapped_at, row))
        SELECT row, event, company, station, tapped_at, outcome,
          CASE WHEN paired_exit THEN company_before END AS entry_company,
          CASE WHEN paired_exit THEN station_before END AS entry_station,
          CASE WHEN paired_exit THEN date_diff('second', at_before, tapped_at) END AS seconds
        FROM (SELECT *, {REASONS} AS outcome,
                event = 'exit' AND before = 'enter' AND NOT late_before AS paired_exit FROM ordered)
        """
    )


def summary(db: Connection) -> dict[str, Any]:
    """Journeys paired, and entries and exits without a partner by reason."""
    counts = rows_of(db, "SELECT event, outcome, count(*) AS n FROM metro GROUP BY ALL ORDER BY ALL")
    unpaired = {
        event: {r["outcome"]: r["n"] for r in counts if r["event"] == event and r["outcome"] != "PAIRED"}
        for event in ("enter", "exit")
    }
    paired = dict.fromkeys(("enter", "exit"), 0)
    paired |= {r["event"]: r["n"] for r in counts if r["outcome"] == "PAIRED"}
    assert paired["enter"] == paired["exit"], "every paired entry has its exit"
    about = rows_of(
        db,
        """SELECT round(median(seconds) / 60)::BIGINT AS median_minutes, round(max(seconds) / 60)::BIGINT
             AS longest_minutes, count(*) FILTER (entry_company <> company)::BIGINT AS between_lines,
             count(*) FILTER (entry_station = station)::BIGINT AS same_station
           FROM metro WHERE seconds IS NOT NULL""",
    )[0]
    return {
        "paired": paired["exit"],
        "unpaired_entries": sum(unpaired["enter"].values()),
        "unpaired_exits": sum(unpaired["exit"].values()),
        "entries_by_reason": unpaired["enter"],
        "exits_by_reason": unpaired["exit"],
        **about,
    }


def gaps(db: Connection) -> list[dict[str, Any]]:
    """Silences of the whole file: journeys across them lost one end."""
    found = rows_of(
        db,
        f"""SELECT before, minute AS after FROM (
              SELECT minute, lag(minute) OVER (ORDER BY minute) AS before FROM (
                SELECT DISTINCT date_trunc('minute', tapped_at) AS minute FROM taps WHERE dropped IS NULL))
            WHERE date_diff('minute', before, minute) >= {GAP_MINUTES} ORDER BY minute LIMIT 100""",
    )
    return [{key: value.isoformat(sep=" ") for key, value in row.items()} for row in found]


def transfers(db: Connection) -> dict[str, int]:
    """Bus rows with a transfer mark whose ride before is in the file, and how close to it they are."""
    row = rows_of(
        db,
        """SELECT count(*)::BIGINT AS marked, count(before)::BIGINT AS ride_before_in_file,
             coalesce(max(date_diff('minute', before, tapped_at)) FILTER (was = 'board'), 0)::BIGINT
               AS longest_bus_to_bus_minutes
           FROM (SELECT mark, event, tapped_at, lag(tapped_at) OVER w AS before, lag(event) OVER w AS was
                 FROM taps WHERE dropped IS NULL AND event <> 'enter'
                 WINDOW w AS (PARTITION BY card ORDER BY tapped_at, row))
           WHERE mark AND event = 'board'""",
    )[0]
    return {key: int(value) for key, value in row.items()}
