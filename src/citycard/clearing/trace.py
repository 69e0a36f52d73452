# SPDX-License-Identifier: Apache-2.0
"""From a tap's name, or a line of a statement, back to everything that is known of it.

Verdicts are looked up in the lake, one per run that judged the tap; the record is read from its raw batch at
the place the verdict names; shares are worked out again by the run's own steps over the rates, places and
weights the run left, which is how they came about.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from citycard.clearing import judge, money, periods
from citycard.clearing import sources as s
from citycard.clearing.engine import DuckEngine, Expression, Source, Step
from citycard.clearing.lake import Lake, RawBatch
from citycard.clearing.problems import TAP_UNKNOWN
from citycard.clearing.store import Store
from citycard.core.layout import LayoutError
from citycard.core.record import HEADER_SIZE, RECORD_SIZE, TapRecord
from citycard.core.tables import Row

LINES_MAX: Final = 1000  # taps of a statement line that are listed
KEPT_COLUMNS: Final = tuple(name for name in judge.KEPT.expression.schema().names if name != "part")
KEPT: Final = Source("kept_taps", judge.KEPT.expression.select(*KEPT_COLUMNS).schema().to_pyarrow())
GROUNDS: Final = (s.RATES, s.PLACES, s.WEIGHTS)


def _judged(kept: Expression, rates: Expression) -> Expression:
    """Kept taps with their rates again: what shares are worked out from."""
    t = kept.mutate(rate_service=judge.rated_by(kept).cast("int64"))
    t = t.left_join(rates, judge.RATE_KEY).select(kept, *judge.RATE_COLUMNS)
    wanted = judge.JUDGED.table.schema().items()  # what only a run has of a tap is left empty
    return t.mutate(**{name: ibis.null(kind) for name, kind in wanted if name not in t.columns})


JUDGED: Final = Step(judge.JUDGED.name, _judged, KEPT, s.RATES, view=True)


def trace(home: Path | str, tap: str, store: str | None = None) -> dict[str, Any]:
    """All that is known of a tap: verdicts run by run, shares, raw batch and place in it, record and bytes.

    TAP_UNKNOWN when no closed run has it.
    """
    lake = Lake(Path(home), Store.at(store) if store else None)
    history = [_seen(lake, day, row) for day in lake.finished() for row in _found(lake, day, tap)]
    if not history:
        raise TAP_UNKNOWN(tap=tap)
    return {"tap": tap, "history": history}


def taps_of_line(home: Path | str, day: date, line: Row, limit: int = LINES_MAX) -> list[Row]:
    """The taps behind a line of a date's statement, each with its part of it.

    `line` names participant and any of service, counterparty and cause. The parts of all of them add up to
    the line's amount.
    """
    lake = Lake(Path(home))
    with Again(lake, day, lake.checked(day, f"taps/verdict={judge.ACCEPTED}/"), "") as engine:
        shares = engine.fetch(money.TAP_LINES, ("tap", "cause"))
    for name in money.REVENUE_KEY:
        if line.get(name) is not None:
            shares = shares.filter(pc.equal(shares[name], line[name]))
    return list(shares.slice(0, limit).to_pylist())


def _found(lake: Lake, day: date, tap: str) -> Iterator[Row]:
    """The tap's rows in a run: deliveries of the same record are called by its name and more."""
    terminal, _, sequence = tap.partition("~")[0].rpartition("-")
    if not sequence.isdecimal():
        return
    paths = _taps(lake, day, "taps/")
    if not paths:
        return
    with DuckEngine() as engine:
        where = f"sequence = {int(sequence)} AND terminal = '{terminal}'" if terminal.isalnum() else "false"
        engine.give_parquet(KEPT, paths, where)
        rows = engine.fetch(KEPT, ("tap",)).to_pylist()
    for row in rows:
        if tap in (row["tap"], row["tap"].partition("~")[0]):
            yield row


def _taps(lake: Lake, day: date, name: str) -> list[Path]:
    """Files of taps of a run that are here, or fetched from the store."""
    if lake.store is not None:
        return lake.checked(day, name)
    return [path for path in lake.files(day, name) if path.exists()]


def _seen(lake: Lake, day: date, row: Row) -> dict[str, Any]:
    """One run's view of a tap."""
    manifest = {batch.digest: batch for run in lake.started() for batch in lake.freeze(run)}
    batch = manifest[row["batch"]]
    offset = HEADER_SIZE + row["position"] * RECORD_SIZE
    raw = _bytes(lake, batch)
    record = raw[offset : offset + RECORD_SIZE] if raw else b""
    return {
        "run": day.isoformat(),
        "tap": row["tap"],
        "verdict": row["verdict"],
        "reason": row["reason"],
        "business_date": row["business_date"].isoformat(),
        "batch": batch.digest,
        "file": batch.path,
        "offset": offset,
        "intact": bool(raw) and hashlib.sha256(raw).hexdigest() == batch.digest,
        "bytes": record.hex(),
        "record": _decoded(record),
        **_divided(lake, day, row),
    }


def _bytes(lake: Lake, batch: RawBatch) -> bytes:
    try:
        return lake.raw(batch)
    except FileNotFoundError:
        return b""


def _decoded(record: bytes) -> dict[str, Any]:
    """The record's fields; of one that cannot be read, why."""
    if not record:
        return {"gone": "the raw batch is not in the lake any more"}
    try:
        found = TapRecord.decode(record)
    except LayoutError as fault:
        return {"malformed": str(fault)}
    values = {name: getattr(found, name) for name in found.__slots__}
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}


def _divided(lake: Lake, day: date, row: Row) -> dict[str, Any]:
    """Who was owed what for an accepted tap, and of which period of the day the shares were (else empty)."""
    if row["verdict"] != judge.ACCEPTED:
        return {"period": "", "shares": []}
    where = f"sequence = {row['sequence']} AND terminal_id = {row['terminal_id']}"
    paths = _taps(lake, day, f"taps/verdict={judge.ACCEPTED}/")
    with Again(lake, day, paths, where) as engine:
        shares = engine.fetch(money.SHARES_OUT, ("participant", "cause")).to_pylist()
        return {"period": "".join(engine.fetch(money.PRICED)["period"].to_pylist()), "shares": shares}


class Again(DuckEngine):
    """An engine in which accepted taps of a run stand where they stood when their shares were made."""

    def __init__(self, lake: Lake, day: date, paths: Sequence[Path], where: str) -> None:
        super().__init__()
        self._given_here = (lake, day, paths, where)

    def __enter__(self) -> Again:
        super().__enter__()
        lake, day, paths, where = self._given_here
        scheme = json.loads(lake.marker(day).read_bytes())["scheme"]
        self.give(s.SETTINGS, pa.Table.from_pylist([{"scheme": scheme}], schema=s.SETTINGS.arrow))
        for source in GROUNDS:
            (path,) = lake.checked(day, f"{source.name}.parquet")
            self.give(source, _with_period(source, pq.read_table(path)))
        timed = [(source, lake.checked(day, f"{source.name}.parquet")) for source in periods.TABLES]
        for source, found in timed:
            self.give_parquet(source, found)
        self.give_parquet(KEPT, list(paths), where)
        self.make(JUDGED)
        for step in money.RATED[all(found for _, found in timed)]:
            self.make(step)
        return self


def _with_period(source: Source, table: pa.Table) -> pa.Table:
    """A run's places, of runs before there were periods with that of the whole day."""
    if source is s.PLACES and "period" not in table.column_names:
        return table.append_column("period", pa.array([""] * len(table), s.TEXT))
    return table
