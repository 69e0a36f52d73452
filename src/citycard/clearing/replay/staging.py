# SPDX-License-Identifier: Apache-2.0
"""Stages a file's rows in a database on disk, counts duplicates and dirty rows, and gives typed taps.

Memory stays bounded however large the file: DuckDB sorts, groups and joins on disk. Tables, in order of
making: `raw` (text as read), `once` (each distinct row, with its copies), `taps` (typed; `dropped` names why
a row cannot be used, `quirk_*` what is odd about one that can).
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from citycard.blueprints import Scheme
from citycard.clearing.replay.fileformat import ROLES, FileFormat
from citycard.clearing.replay.problems import REPLAY_STORAGE
from citycard.clearing.replay.reading import COLUMNS, read_blocks

MEMORY: Final = "512MB"  # DuckDB's own; what does not fit is spilled beside the database
QUIRKS: Final = (
    "STATION_MISSING",
    "STATION_PLACEHOLDER",
    "STATION_REPAIRED",
    "STATION_GARBLED",
    "VEHICLE_MISSING",
)

Connection = duckdb.DuckDBPyConnection
Progress = Callable[[str, int, int], None]


def folder_of(work_dir: Path) -> Path:
    """Where this process stages rows."""
    return work_dir / f"replay-{os.getpid()}"


@contextlib.contextmanager
def staging(work_dir: Path) -> Iterator[Connection]:
    """A database in a folder of its own under `work_dir`, removed at the end, whatever happens."""
    folder = folder_of(work_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(folder / "staging.duckdb")) as db:
            db.execute(f"SET memory_limit = '{MEMORY}'")
            db.execute("SET temp_directory = ?", [str(folder / "spill")])
            db.execute("SET preserve_insertion_order = false")
            db.execute("SET threads = 2")
            yield db
    except (duckdb.IOException, duckdb.OutOfMemoryException, OSError) as fault:
        raise REPLAY_STORAGE(folder=folder, why=str(fault).splitlines()[0][:200]) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rows_of(db: Connection, query: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """All rows of a small answer."""
    answer = db.execute(query, values)
    names = [column[0] for column in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def one(db: Connection, query: str) -> int:
    """The one number a query gives."""
    row = db.execute(query).fetchone()
    assert row is not None
    return int(row[0] or 0)


def load_raw(db: Connection, path: Path, form: FileFormat, progress: Progress) -> None:
    """Fill `raw` and `bad` (lines that are no rows) from the file."""
    text = ", ".join(f"{name} VARCHAR" for name in COLUMNS[1:])
    db.execute(f"CREATE TABLE raw (row BIGINT, {text})")
    db.execute("CREATE TABLE bad (row BIGINT, dropped VARCHAR)")
    for block in read_blocks(path, form, lambda done, total: progress("read", done, total)):
        _append(db, "raw", block.table)
        if block.bad:
            rows, why = zip(*block.bad, strict=True)
            _append(db, "bad", pa.table({"row": pa.array(rows, pa.int64()), "dropped": pa.array(why)}))


def _append(db: Connection, table: str, arrow: pa.Table) -> None:
    db.register("arriving", arrow)
    db.execute(f"INSERT INTO {table} SELECT * FROM arriving")
    db.unregister("arriving")


def put_map(db: Connection, name: str, values: Mapping[str, Any], kind: str) -> None:
    """A small table (value, means) for a join."""
    db.execute(f"CREATE OR REPLACE TABLE {name} (value VARCHAR, means {kind})")
    if values:
        db.executemany(f"INSERT INTO {name} VALUES (?, ?)", [[k, v] for k, v in values.items()])


def make_taps(db: Connection, form: FileFormat, scheme: Scheme) -> None:
    """Make `once` and `taps` from `raw`.

    `period` is the first day of the stretch of days, all under the same tariffs and contracts, in which a
    tap's business date lies.
    """
    same = ", ".join(COLUMNS[1:])
    db.execute(
        f"CREATE TABLE once AS SELECT min(row) AS row, count(*) AS copies, {same} FROM raw GROUP BY {same}"
    )
    put_map(db, "event_map", {v: event.value for v, (_, event) in form.events.items()}, "VARCHAR")
    put_map(db, "service_map", {v: service for v, (service, _) in form.events.items()}, "VARCHAR")
    put_map(db, "mark_map", form.transfer_marks, "BOOLEAN")
    put_map(db, "repair_map", form.stations.repairs, "VARCHAR")
    quirks = ", ".join(f"{_quirk(name, form)} AS quirk_{name.lower()}" for name in QUIRKS)
    db.execute(
        f"""
        CREATE TABLE taps AS
        WITH typed AS (
          SELECT o.row, o.copies, o.company, o.vehicle, o.terminal, o.station AS station_read,
            try_strptime(o.tapped_at, {_text(form.time_format)}) AS tapped_at, o.card,
            e.means AS event, s.means AS service, m.means AS mark, r.means AS repaired,
            regexp_full_match(o.card, {_text(form.card_pattern)}) AS card_fits,
            CASE WHEN regexp_full_match(o.list_fen, '[0-9]{{1,9}}') THEN o.list_fen::BIGINT END AS list_fen,
            CASE WHEN regexp_full_match(o.charged_fen, '[0-9]{{1,9}}') THEN o.charged_fen::BIGINT END
              AS charged_fen
          FROM once o
          LEFT JOIN event_map e ON e.value = o.event
          LEFT JOIN service_map s ON s.value = o.event
          LEFT JOIN mark_map m ON m.value = o.transfer
          LEFT JOIN repair_map r ON r.value = o.station)
        SELECT row, copies, tapped_at, card, event, service, company, vehicle, terminal, mark,
          list_fen, charged_fen, {_period(scheme)} AS period,
          {_station(form)} AS station, {_dropped(form)} AS dropped, {quirks}
        FROM typed
        """
    )
    assert set(form.columns) == set(ROLES)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _list(values: Sequence[str]) -> str:
    return "(" + ", ".join(_text(value) for value in values) + ")"


def _period(scheme: Scheme) -> str:
    """The newest day, not after the tap's business date, on which a tariff or contract began or ended."""
    days = {tariff.valid_from for tariff in scheme.tariffs}
    days |= {contract.valid_from for contract in scheme.contracts}
    days |= {c.valid_until + timedelta(days=1) for c in scheme.contracts if c.valid_until}
    cut_off = scheme.calendar.cut_off.strftime("%H:%M:%S")
    business = f"CAST(tapped_at - INTERVAL '{cut_off}' AS DATE)"
    cases = " ".join(
        f"WHEN {business} >= DATE '{day}' THEN DATE '{day}'" for day in sorted(days, reverse=True)
    )
    return f"CASE {cases} ELSE DATE '0001-01-01' END"


def _dropped(form: FileFormat) -> str:
    """Why a row cannot be used, the first reason that applies."""
    most = form.amount_max_fen
    return f"""CASE
      WHEN tapped_at IS NULL THEN 'TIME_INVALID'
      WHEN NOT card_fits THEN 'CARD_INVALID'
      WHEN event IS NULL THEN 'EVENT_UNKNOWN'
      WHEN company = '' THEN 'COMPANY_MISSING'
      WHEN terminal = '' THEN 'TERMINAL_MISSING'
      WHEN mark IS NULL THEN 'TRANSFER_MARK_UNKNOWN'
      WHEN list_fen IS NULL OR charged_fen IS NULL OR list_fen > {most} OR charged_fen > {most}
        THEN 'AMOUNT_INVALID'
      WHEN event = 'enter' AND (list_fen <> 0 OR charged_fen <> 0) THEN 'ENTRY_WITH_AMOUNT' END"""


def _station(form: FileFormat) -> str:
    """The comparable name of a station; nothing where the file tells none."""
    rules = form.stations
    none = _list([*rules.missing, *rules.placeholders])
    name = "coalesce(repaired, station_read)"
    suffix = rules.strip_suffix
    if suffix:
        pattern = f"(.){suffix}$"
        short = f"regexp_replace({name}, {_text(pattern)}, '\\1')"
        name = f"CASE WHEN service = 'metro' THEN {short} ELSE {name} END"
    return f"CASE WHEN station_read IN {none} THEN NULL ELSE {name} END"


def _quirk(name: str, form: FileFormat) -> str:
    """Whether a row has a quirk."""
    rules = form.stations
    conditions = {
        "STATION_MISSING": f"station_read IN {_list(rules.missing)}",
        "STATION_PLACEHOLDER": f"station_read IN {_list(rules.placeholders)}"
        if rules.placeholders
        else "false",
        "STATION_REPAIRED": "repaired IS NOT NULL",
        "STATION_GARBLED": "repaired IS NULL AND "
        f"regexp_matches(station_read, {_text(rules.garbled_pattern)})",
        "VEHICLE_MISSING": "vehicle = ''",
    }
    return f"({conditions[name]})"


def dirty_rows(db: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Rows by quirk (kept and used all the same) and rows by reason they were dropped."""
    sums = ", ".join(f"sum(quirk_{name.lower()}::INT) AS {name}" for name in QUIRKS)
    quirks = rows_of(db, f"SELECT {sums} FROM taps WHERE dropped IS NULL")[0]
    dropped = rows_of(
        db,
        """SELECT dropped, sum(copies) AS n FROM (
             SELECT dropped, copies FROM taps WHERE dropped IS NOT NULL UNION ALL SELECT dropped, 1 FROM bad)
           GROUP BY dropped ORDER BY dropped""",
    )
    kept = {name: int(count) for name, count in quirks.items() if count}
    return kept, {row["dropped"]: int(row["n"]) for row in dropped}


def duplicate_rows(db: Connection, limit: int) -> list[int]:
    """Row numbers of exact copies (not of the first of them), in order of the file."""
    same = " AND ".join(f"r.{name} = o.{name}" for name in COLUMNS[1:])
    found = db.execute(
        f"""SELECT r.row FROM raw r JOIN (SELECT * FROM once WHERE copies > 1) o ON {same}
            JOIN taps t ON t.row = o.row
            WHERE r.row <> o.row AND t.dropped IS NULL ORDER BY r.row LIMIT {limit}"""
    )
    return [row for (row,) in found.fetchall()]
