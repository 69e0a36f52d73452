# SPDX-License-Identifier: Apache-2.0
"""Lays a part's taps down in the lake without taking them through the engine once more.

Nearly all taps are accepted, and of these the lake keeps what was decoded, beside a name, a batch and a
verdict that are the same or plain to make. So the engine is asked for the others (`judge.KEPT_FEW`) and for
the places of those refused; the rest is written from the decoded columns. It is what `judge.KEPT` says, row
for row: the tests hold a run laid down this way against one that is not.
"""

from __future__ import annotations

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


def lay_down(engine: Engine, taps: pa.Table, batches: pa.Table, day: date, folder: Path) -> None:
    """Write all taps of a part, new and waiting ones, as `Engine.write_apart` writes `judge.KEPT`."""
    few = engine.fetch(judge.KEPT_FEW, ("tap",))
    refused = engine.fetch(judge.REFUSED)
    accepted = _accepted(taps.filter(_others(taps, refused)), batches, day, few.schema)
    writers: dict[tuple[str, ...], pq.ParquetWriter] = {}
    try:
        for table in (few, accepted):
            for key, rows in _apart(table):
                if key not in writers:
                    path = folder.joinpath(*(f"p{n}={value}" for n, value in enumerate(key)), "0.parquet")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    writers[key] = pq.ParquetWriter(
                        path, rows.schema, compression="zstd", use_dictionary=list(FEW_VALUES)
                    )
                writers[key].write_table(rows, row_group_size=GROUP_ROWS)
    finally:
        for writer in writers.values():
            writer.close()


def _others(taps: pa.Table, refused: pa.Table) -> pa.Array:
    """Which taps are not among the refused."""

    def places(table: pa.Table) -> Array:
        numbers: Array = table["batch_no"].to_numpy() << 32 | table["position"].to_numpy()
        return numbers

    return pa.array(np.isin(places(taps), places(refused), invert=True))


def _accepted(taps: pa.Table, batches: pa.Table, day: date, schema: pa.Schema) -> pa.Table:
    """Accepted taps with the columns `judge.KEPT` has of them."""
    count = len(taps)
    made = {
        "tap": _names(taps),
        "batch": pa.DictionaryArray.from_arrays(
            taps["batch_no"].combine_chunks().cast(pa.int32()), batches["batch"].combine_chunks()
        ),
        "verdict": _same(judge.ACCEPTED, count),
        "reason": _same(Reason.OK.code, count),
        "settled_on": pa.array(np.full(count, np.datetime64(day, "D"))),
        "part": taps["issuer"],
    }
    columns = [made[f.name] if f.name in made else taps[f.name] for f in schema]
    return pa.table(columns, names=schema.names)


def _same(word: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, "i1")), pa.array([word]))


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


def _apart(table: pa.Table) -> Iterator[tuple[tuple[str, ...], pa.Table]]:
    """The rows of a table by verdict, business date and issuer; the last is left out of what is written."""
    keys = table.select(["business_date", "part"]).append_column(
        "verdict", table["verdict"].cast(pa.string())
    )
    for key in keys.group_by(list(PARTITION)).aggregate([]).to_pylist():
        tests = [pc.equal(keys[name], value) for name, value in key.items()]
        rows = table.filter(pc.and_(pc.and_(tests[0], tests[1]), tests[2]))
        yield tuple(str(key[name]) for name in PARTITION), _plain(rows.drop_columns(["part"]))


def _plain(table: pa.Table) -> pa.Table:
    """Dictionaries as the text they stand for, so that all files of the lake have one schema."""
    kinds = {f.name: pa.string() if pa.types.is_dictionary(f.type) else f.type for f in table.schema}
    return table.cast(pa.schema(list(kinds.items())))
