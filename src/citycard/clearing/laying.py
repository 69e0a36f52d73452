# SPDX-License-Identifier: Apache-2.0
"""Lays a part's taps down in the lake without taking them through the engine once more.

Nearly all taps are accepted, and of these the lake keeps what was decoded, beside a name, a batch and a
verdict that are the same or plain to make. So the engine is asked for the others (`judge.KEPT_FEW`) and for
the places of those refused; the rest is written from the decoded columns. It is what `judge.KEPT` says, row
for row: the tests hold a run laid down this way against one that is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from citycard.clearing import judge
from citycard.clearing.decode import text_of
from citycard.clearing.engine import FEW_VALUES, Engine
from citycard.core.refusal import Reason

Array = NDArray[Any]

PARTITION: Final = ("verdict", "business_date", "part")
GROUP_ROWS: Final = 250_000
SOUGHT: Final = ("terminal", "terminal_id", "sequence", "card", "pan", "business_date", "tapped_at")
CODED: Final = pa.dictionary(pa.int32(), pa.string())
CODED_COLUMNS: Final = ("batch", "verdict", "reason")

Key = tuple[str, ...]  # verdict, business date, issuer
Piece = tuple[Key, pa.Table]


def lay_down(engine: Engine, taps: pa.Table, batches: pa.Table, day: date, folder: Path) -> None:
    """Write all taps of a part, new and waiting ones, as `Engine.write_apart` writes `judge.KEPT`."""
    few = engine.fetch(judge.KEPT_FEW, ("tap",))
    schema = _schema(few.schema)
    refused = np.sort(_places(engine.fetch(judge.REFUSED)))
    with _Folders(folder, schema) as folders:
        for key, rows in _apart(few):
            folders.put(key, rows.select(schema.names).cast(schema))
        digests = batches["batch"].combine_chunks()
        for batch in taps.to_batches():
            for key, rows in _accepted(pa.Table.from_batches([batch]), refused):
                folders.put(key, _named(rows, digests, day).select(schema.names).cast(schema))


class _Folders:
    """A file for each key, open until the end; rows are gathered until they make a group."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._writers: dict[Key, pq.ParquetWriter] = {}
        self._waiting: dict[Key, list[pa.Table]] = {}
        self._rows: Counter[Key] = Counter()  # that wait

    def __enter__(self) -> _Folders:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            for key in list(self._waiting) if kind is None else ():
                self._write(key)
        finally:
            for writer in self._writers.values():
                writer.close()

    def put(self, key: Key, rows: pa.Table) -> None:
        """Rows for a file, in any number, in the schema's columns."""
        self._waiting.setdefault(key, []).append(rows)
        self._rows[key] += len(rows)
        if self._rows[key] >= GROUP_ROWS:
            self._write(key)

    def _write(self, key: Key) -> None:
        if key not in self._writers:
            path = self._folder.joinpath(*(f"p{n}={value}" for n, value in enumerate(key)), "0.parquet")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writers[key] = pq.ParquetWriter(path, self._schema, **_form(self._schema))
        rows = pa.concat_tables(self._waiting.pop(key))
        self._writers[key].write_table(rows, row_group_size=max(1, self._rows.pop(key)))


def _schema(kept: pa.Schema) -> pa.Schema:
    """The columns of KEPT, those of few values by number; readers see plain text."""
    kinds = {f.name: CODED if f.name in CODED_COLUMNS else f.type for f in kept if f.name != PARTITION[-1]}
    return pa.schema(list(kinds.items()))


def _form(schema: pa.Schema) -> dict[str, Any]:
    """How the columns are written: numbers as differences, bounds only of what is looked for by value.

    As small as plain numbers and all bounds, and made in two thirds of the time.
    """
    plain = [f.name for f in schema if f.name not in FEW_VALUES and f.name != "fingerprint"]
    kinds = (pa.types.is_integer, pa.types.is_timestamp)
    numbers = [name for name in plain if any(kind(schema.field(name).type) for kind in kinds)]
    return {"compression": "zstd", "use_dictionary": list(FEW_VALUES), "store_schema": False,
            "write_statistics": [name for name in SOUGHT if name in schema.names],
            "column_encoding": dict.fromkeys(numbers, "DELTA_BINARY_PACKED")}  # fmt: skip


def _apart(few: pa.Table) -> Iterator[Piece]:
    """The rows of a small table by verdict, business date and issuer."""
    for key in few.group_by(list(PARTITION)).aggregate([]).to_pylist():
        tests = [pc.equal(few[name], value) for name, value in key.items()]
        yield tuple(map(str, key.values())), few.filter(pc.and_(pc.and_(tests[0], tests[1]), tests[2]))


def _accepted(piece: pa.Table, refused: Array) -> Iterator[Piece]:
    """Accepted taps of a piece by business date and issuer.

    A part's records lie issuer after issuer, so nearly all of a piece falls into one group or two.
    """
    places = _places(piece)
    near = np.searchsorted(refused, places).clip(max=max(len(refused) - 1, 0))
    good = refused[near] != places if len(refused) else np.ones(len(places), bool)
    issuers = piece["issuer"].combine_chunks().dictionary_encode()
    dates = piece["business_date"].to_numpy().astype("datetime64[D]").astype("i8")
    width = len(issuers.dictionary) + 1
    groups = dates * width + issuers.indices.to_numpy()
    for group in np.unique(groups[good]).tolist():
        number, code = divmod(group, width)
        key = (judge.ACCEPTED, str(np.datetime64(number, "D")), issuers.dictionary[code].as_py())
        yield key, piece.filter(pa.array(good & (groups == group)))


def _places(table: pa.Table) -> Array:
    """Where taps came from, as a number."""
    numbers: Array = table["batch_no"].to_numpy() << 32 | table["position"].to_numpy()
    return numbers


def _named(taps: pa.Table, digests: pa.Array, day: date) -> pa.Table:
    """Accepted taps with what the decoder did not know of them."""
    count = len(taps)
    numbers = taps["batch_no"].combine_chunks().cast(pa.int32())
    made = {
        "tap": _names(taps),
        "batch": pa.DictionaryArray.from_arrays(numbers, digests),
        "verdict": _same(judge.ACCEPTED, count),
        "reason": _same(Reason.OK.code, count),
        "settled_on": pa.array(np.full(count, np.datetime64(day, "D"))),
    }
    for name, column in made.items():
        taps = taps.append_column(name, column)
    return taps


def _same(word: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, "i4")), pa.array([word]))


def _names(taps: pa.Table) -> pa.Array:
    """Terminal, dash and the sequence in ten digits, for all taps at once."""
    width, digits = 12, judge.SEQUENCE_DIGITS
    name = np.empty((len(taps), width + 1 + digits), "u1")
    terminal = taps["terminal"].combine_chunks()
    raw = np.frombuffer(terminal.buffers()[2] or b"", "u1", len(taps) * width, terminal.offset * width)
    name[:, :width] = raw.reshape(len(taps), width)
    name[:, width] = ord("-")
    rest = taps["sequence"].to_numpy().astype("u4")
    for place in range(width + digits, width, -1):
        name[:, place] = rest % 10 + ord("0")
        rest = rest // 10
    return text_of(name)
