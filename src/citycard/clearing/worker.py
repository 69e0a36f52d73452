# SPDX-License-Identifier: Apache-2.0
"""Decodes raw batches on the workers of a cluster, with the decoder every run uses.

The driver has read the batches before: it found the repeats and, because keys stay with it, verified the
TACs. So a row of `PLAN` names a batch and carries one bit for each of its records; no key reaches a worker.
A batch is held against its digest here once more, for it came over another road.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from citycard import __version__
from citycard.clearing.decode import decode
from citycard.clearing.intake import read_batch
from citycard.clearing.lake import Lake, RawBatch
from citycard.core.calendar import Calendar
from citycard.core.record import HEADER_SIZE, RECORD_SIZE

CHUNK_RECORDS: Final = 65_536  # decoded at a time: what is made on the way stays small
PLAN: Final = pa.schema(
    [
        ("batch_no", pa.int64()),
        ("digest", pa.string()),
        ("path", pa.string()),  # relative to the home folder
        ("records", pa.int64()),
        ("tac", pa.binary()),  # a bit for each record: its TAC is right
    ]
)
Row = dict[str, Any]


def plan(lake: Lake, batches: list[RawBatch], verdicts: Iterable[tuple[Any, Any, Any]]) -> pa.Table:
    """What workers are to decode; `verdicts` are (batch numbers, positions, TAC is right) of all records."""
    sizes = [(lake.size(batch) - HEADER_SIZE) // RECORD_SIZE for batch in batches]
    starts = np.concatenate([[0], np.cumsum(sizes, dtype="i8")])
    right = np.zeros(starts[-1], bool)
    for batch_no, position, verdict in verdicts:
        right[starts[batch_no] + position] = verdict
    return pa.table(
        {
            "batch_no": np.arange(len(batches)),
            "digest": [batch.digest for batch in batches],
            "path": [batch.path for batch in batches],
            "records": sizes,
            "tac": [np.packbits(right[start : start + size]).tobytes()
                    for start, size in zip(starts.tolist(), sizes, strict=False)],
        },
        schema=PLAN,
    )  # fmt: skip


def decode_batches(
    home: str, day: date, calendar: Calendar, version: str, plans: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The taps of the batches that rows of `PLAN` name, with the columns `decode.TAPS`.

    Problems: RAW_DAMAGED, RAW_MISSING, as lines of the fault Spark reports.
    """
    if version != __version__:
        raise RuntimeError(f"the driver is citycard {version}, this worker citycard {__version__}")
    lake = Lake(Path(home))
    for rows in _together(plans):
        yield from _taps(lake, rows, day, calendar).to_batches()


def _together(plans: Iterable[pa.RecordBatch]) -> Iterator[list[Row]]:
    """Rows whose batches are decoded at a time: a batch by itself would be too few records."""
    some: list[Row] = []
    records = 0
    for row in (row for rows in plans for row in rows.to_pylist()):
        some.append(row)
        records += row["records"]
        if records >= CHUNK_RECORDS:
            yield some
            some, records = [], 0
    if some:
        yield some


def _taps(lake: Lake, rows: list[Row], day: date, calendar: Calendar) -> pa.Table:
    read = [read_batch(lake, RawBatch(row["digest"], row["path"]), day) for row in rows]
    sizes = [row["records"] for row in rows]
    right = [np.unpackbits(np.frombuffer(row["tac"], "u1"), count=row["records"]) for row in rows]
    columns = decode(
        b"".join(body for body, _ in read),
        np.repeat([row["batch_no"] for row in rows], sizes),
        np.concatenate([np.arange(size) for size in sizes]),
        np.repeat(np.array([closed for _, closed in read]), sizes),
        calendar,
    )
    return columns.table(np.concatenate(right).astype(bool))
