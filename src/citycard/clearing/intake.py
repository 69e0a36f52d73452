# SPDX-License-Identifier: Apache-2.0
"""Raw batches from the lake to decoded taps, a bounded number of records at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from citycard.clearing.decode import decode, moment64
from citycard.clearing.lake import RawBatch
from citycard.clearing.problems import RAW_DAMAGED, RAW_MISSING
from citycard.clearing.rules import TacChecker
from citycard.core.calendar import Calendar
from citycard.core.layout import LayoutError
from citycard.core.record import BATCH_MAGIC, BATCH_VERSION, HEADER, HEADER_SIZE, RECORD_SIZE

CHUNK_RECORDS: Final = 200_000  # about 26 MB of records and 100 MB of columns


def read_batch(home: Path, batch: RawBatch, day: date) -> tuple[bytes, np.datetime64]:
    """The records of a batch as bytes and when it was closed; RAW_MISSING, RAW_DAMAGED."""
    path = home / batch.path
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise RAW_MISSING(digest=batch.digest, date=day, path=path) from None
    why = ""
    if hashlib.sha256(raw).hexdigest() != batch.digest:
        why = "its content has another digest"
    elif len(raw) < HEADER_SIZE or raw[:4] != BATCH_MAGIC or raw[4] != BATCH_VERSION:
        why = "it does not begin like a batch of this version"
    elif (len(raw) - HEADER_SIZE) % RECORD_SIZE:
        why = "it ends within a record"
    if why:
        raise RAW_DAMAGED(path=path, why=why, digest=batch.digest)
    try:
        closed_at = HEADER.decode(raw[:HEADER_SIZE])["closed_at"]
    except LayoutError as fault:
        raise RAW_DAMAGED(path=path, why=fault, digest=batch.digest) from None
    return raw[HEADER_SIZE:], moment64(closed_at) if closed_at else moment64(Calendar().opens(day))


def decoded(
    home: Path, batches: Sequence[RawBatch], day: date, calendar: Calendar, check: TacChecker
) -> Iterator[tuple[int, pa.Table]]:
    """(batches done, table of taps) for chunks of about `CHUNK_RECORDS`, in the order of the batches."""
    bodies: list[bytes] = []
    counts: list[int] = []
    closed: list[np.datetime64] = []
    first = 0

    def flush() -> pa.Table:
        sizes = np.array(counts, "i8")
        starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
        position = np.arange(sizes.sum(), dtype="i8") - starts
        numbers = np.repeat(np.arange(first, first + len(counts), dtype="i8"), sizes)
        closing = np.repeat(np.array(closed, "datetime64[s]"), sizes)
        return decode(b"".join(bodies), numbers, position, closing, calendar).table(check)

    for number, batch in enumerate(batches):
        body, closed_at = read_batch(home, batch, day)
        bodies.append(body)
        counts.append(len(body) // RECORD_SIZE)
        closed.append(closed_at)
        if sum(counts) >= CHUNK_RECORDS:
            yield number + 1, flush()
            first, bodies, counts, closed = number + 1, [], [], []
    if bodies:
        yield len(batches), flush()
