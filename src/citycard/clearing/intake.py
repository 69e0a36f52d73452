# SPDX-License-Identifier: Apache-2.0
"""Raw batches from the lake to records laid out by card, a bounded number at a time.

Batches are read side by side, each held against its digest, and their records dealt out to the parts of the
run as they are: 128 bytes beside the batch and the place they came from. On the way every record's name is
noted as 64 bits, which is enough to find the few that came more than once or may have come before.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from citycard.clearing.decode import WIRE, moment64, number
from citycard.clearing.lake import Lake, RawBatch
from citycard.clearing.problems import RAW_DAMAGED, RAW_MISSING
from citycard.clearing.shards import Shards, codes
from citycard.core.calendar import Calendar
from citycard.core.layout import LayoutError
from citycard.core.record import BATCH_MAGIC, BATCH_VERSION, HEADER, HEADER_SIZE, RECORD, RECORD_SIZE

Array = NDArray[Any]
Item = TypeVar("Item")
Made = TypeVar("Made")

CHUNK_RECORDS: Final = 100_000  # about 13 MB of records dealt out together
WORKERS: Final = max(1, min(8, os.cpu_count() or 1))
# A record as it came beside its batch and its place there. Numpy gives joined arrays of numbers the byte
# order of the machine, so the record is mere bytes until `wire_of`.
SPOOL: Final = np.dtype([("wire", f"V{RECORD_SIZE}"), ("batch_no", "<u4"), ("position", "<u4")])
MIX: Final = np.uint64(0x9E3779B97F4A7C15)
FILTER_BITS: Final = 22  # of a name's 64, to sort out nearly all records by one look into 4 MB


def read_batch(lake: Lake, batch: RawBatch, day: date) -> tuple[bytes, np.datetime64]:
    """The records of a batch as bytes and when it was closed; RAW_MISSING, RAW_DAMAGED."""
    path = f"{lake.home}/{batch.path}"
    try:
        raw = lake.raw(batch)
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


@dataclass(slots=True)
class Dealt:
    """Records of some batches in order of their part."""

    records: Array  # SPOOL
    names: Array  # 64 bits of each record's name
    late: Array  # whether it is not newer than the newest known of its terminal
    starts: Array  # where each part begins, and the end
    closed: list[np.datetime64]


@dataclass(slots=True)
class Spool:
    """The records of a run by part, in memory or in a folder."""

    shards: Shards
    folder: Path | None
    closed: list[np.datetime64] = field(default_factory=list)  # of each batch
    _parts: list[list[Array]] = field(default_factory=list)
    _names: list[list[Array]] = field(default_factory=list)
    _late: list[Array] = field(default_factory=list)
    _files: list[BinaryIO] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._parts = [[] for _ in range(self.shards.count)]
        self._names = [[] for _ in range(self.shards.count)]
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._files = [self._path(n).open("wb") for n in range(self.shards.count)]

    def _path(self, part: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{part:03d}.records"

    def take(self, dealt: Dealt) -> None:
        """Lay records down behind those that are there."""
        self.closed += dealt.closed
        self._late.append(dealt.names[dealt.late])
        for part in range(self.shards.count):
            span = slice(dealt.starts[part], dealt.starts[part + 1])
            if span.start == span.stop:
                continue
            self._names[part].append(dealt.names[span].copy())
            if self._files:
                dealt.records[span].tofile(self._files[part])
            else:
                self._parts[part].append(dealt.records[span])

    def end(self) -> None:
        """All records are there."""
        while self._files:
            self._files.pop().close()

    def part(self, number: int, size: int) -> Iterator[Array]:
        """The records of a part, so many at a time (none: one empty piece), those of one card side by side.

        Issuer after issuer, so that what is written by issuer later is cut rather than picked.
        """
        records = self._all(number)
        order = np.argsort(low_digits(_bytes_of(records, RECORD.span("pan"))), kind="stable")
        issuers = issuer_codes(_bytes_of(records, RECORD.span("issuer")))
        order = order[np.argsort(issuers[order], kind="stable")]
        for start in range(0, max(1, len(records)), size):
            yield np.take(records, order[start : start + size])

    def forget(self, number: int) -> None:
        """A part is not needed any more."""
        self._parts[number] = []
        if self.folder is not None:
            self._path(number).unlink()

    def suspects(self) -> Array:
        """Records whose name came more than once or may have come before; now and then one too many."""
        names = np.sort(np.concatenate([_joined(part) for part in self._names]))
        wanted = np.unique(np.concatenate([names[1:][names[1:] == names[:-1]], *self._late]))
        del names
        look = np.zeros(1 << FILTER_BITS, bool)
        shift = np.uint64(64 - FILTER_BITS)
        look[wanted >> shift] = True
        found = [np.empty(0, SPOOL)]
        for part in range(self.shards.count):
            own = _joined(self._names[part])
            self._names[part] = []
            near = np.flatnonzero(look[own >> shift])
            place = np.searchsorted(wanted, own[near]).clip(max=max(len(wanted) - 1, 0))
            hits = near[wanted[place] == own[near]] if len(wanted) else near[:0]
            if len(hits):
                found.append(self._all(part, mapped=True)[hits])
        return np.concatenate(found)

    def _all(self, number: int, *, mapped: bool = False) -> Array:
        if self.folder is None:
            parts = self._parts[number]
            return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, SPOOL), *parts])
        path = self._path(number)
        if not path.stat().st_size:
            return np.empty(0, SPOOL)
        return np.memmap(path, SPOOL, "r") if mapped else np.fromfile(path, SPOOL)

    def closing(self, records: Array) -> Array:
        """When the batches of these records were closed."""
        closed: Array = np.array(self.closed, "datetime64[s]")
        return np.take(closed, records["batch_no"])


def wire_of(records: Array) -> Array:
    """The records by themselves, with the fields of `core.record.RECORD`."""
    return np.ascontiguousarray(records["wire"]).view(WIRE)


def _bytes_of(records: Array, span: slice) -> Array:
    """Some bytes of every record."""
    return records.view("u1").reshape(len(records), SPOOL.itemsize)[:, span]


def low_digits(pan: Array) -> Array:
    """(n, 10) bytes of card numbers -> their last sixteen digits as a number."""
    return np.ascontiguousarray(pan[:, 2:]).view(">u8").reshape(-1).astype("u8")


def issuer_codes(issuers: Array) -> Array:
    """(n, 8) bytes of issuers -> a number each, the same for the same; beyond 65,536 some are shared."""
    words = np.ascontiguousarray(issuers).view("<i8").reshape(-1)
    codes: Array = pa.array(words).dictionary_encode().indices.to_numpy().astype("u2")
    return codes


def fill(
    spool: Spool,
    lake: Lake,
    batches: Sequence[RawBatch],
    day: date,
    newest: tuple[Array, Array],
) -> Iterator[int]:
    """Read all batches into the spool; tells after each chunk how many are done.

    `newest` are terminals, ascending, and the newest sequence known of each.
    """
    table = spool.shards.table()

    def deal(first: int, some: Sequence[RawBatch]) -> Dealt:
        return _deal(lake, first, some, day, table, newest)

    done = 0
    for dealt, count in _ahead(deal, _chunks(lake, batches)):
        spool.take(dealt)
        done += count
        yield done
    spool.end()


def _chunks(lake: Lake, batches: Sequence[RawBatch]) -> Iterator[tuple[int, Sequence[RawBatch]]]:
    first = records = 0
    for count, batch in enumerate(batches, 1):
        records += lake.size(batch) // RECORD_SIZE
        if records >= CHUNK_RECORDS or count == len(batches):
            yield first, batches[first:count]
            first, records = count, 0


def _ahead(
    make: Callable[[int, Sequence[RawBatch]], Dealt], chunks: Iterable[tuple[int, Sequence[RawBatch]]]
) -> Iterator[tuple[Dealt, int]]:
    """Make chunks side by side and give them in order; a single one in this thread."""
    todo = list(chunks)
    if len(todo) == 1:
        yield make(*todo[0]), len(todo[0][1])
        return
    with ThreadPoolExecutor(WORKERS) as pool:
        waiting: deque[tuple[Future[Dealt], int]] = deque()
        try:
            for first, some in todo:
                waiting.append((pool.submit(make, first, some), len(some)))
                if len(waiting) > 2 * WORKERS:
                    future, count = waiting.popleft()
                    yield future.result(), count
            while waiting:
                future, count = waiting.popleft()
                yield future.result(), count
        finally:
            for future, _ in waiting:
                future.cancel()


def _deal(
    lake: Lake, first: int, batches: Sequence[RawBatch], day: date, table: Array, newest: tuple[Array, Array]
) -> Dealt:
    bodies: list[bytes] = []
    closed: list[np.datetime64] = []
    for batch in batches:
        body, closed_at = read_batch(lake, batch, day)
        bodies.append(body)
        closed.append(closed_at)
    sizes = np.array([len(body) // RECORD_SIZE for body in bodies], "i8")
    wire = np.frombuffer(b"".join(bodies), WIRE)
    terminals, sequences = number(wire["terminal"]), wire["sequence"].astype("i8")
    names, late = _name(terminals, sequences), _late(terminals, sequences, newest)
    batch_no = np.repeat(np.arange(first, first + len(sizes), dtype="u4"), sizes)
    position = (np.arange(len(wire)) - np.repeat(np.cumsum(sizes) - sizes, sizes)).astype("u4")
    raw, starts = wire.view(f"V{RECORD_SIZE}"), np.array([0, len(wire)])
    if table[-1]:
        part = table[codes(wire["pan"])]
        order = np.argsort(part, kind="stable")
        raw, batch_no, position = raw[order], batch_no[order], position[order]
        names, late = names[order], late[order]
        starts = np.concatenate([[0], np.cumsum(np.bincount(part, minlength=int(table[-1]) + 1))])
    records = np.empty(len(wire), SPOOL)
    records["wire"], records["batch_no"], records["position"] = raw, batch_no, position
    return Dealt(records, names, late, starts, closed)


def _name(terminals: Array, sequences: Array) -> Array:
    mixed: Array = (terminals.astype("u8") * MIX) ^ sequences.astype("u8")
    mixed = (mixed ^ (mixed >> np.uint64(29))) * MIX
    mixed ^= mixed >> np.uint64(32)
    return mixed


def _late(terminals: Array, sequences: Array, newest: tuple[Array, Array]) -> Array:
    known, last = newest
    if not len(known):
        return np.zeros(len(terminals), bool)
    place = np.searchsorted(known, terminals).clip(max=len(known) - 1)
    found: Array = (known[place] == terminals) & (sequences <= last[place])
    return found


def _joined(parts: list[Array]) -> Array:
    return np.concatenate([np.empty(0, "u8"), *parts])
