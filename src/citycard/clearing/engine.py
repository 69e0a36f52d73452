# SPDX-License-Identifier: Apache-2.0
"""Runs declared steps: each is an Ibis expression over named tables, compiled once and kept as SQL.

A `Step` is a pure function from tables to a table. The expression knows no engine; `DuckEngine` runs it in
an in-memory DuckDB. Compiling costs a hundred times what running it over a small day does, so the SQL of
each step is made once per process and nothing of a run (dates, limits, paths) is written into it: those
come as the one-row table `settings`.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, Final, Protocol

import duckdb
import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Expression = Any  # an Ibis table expression; Ibis carries no types
Config = dict[str, str | bool | int | float | list[str]]
MEMORY_MAX: Final = 4 * 2**30  # bytes DuckDB may hold before it writes to the folder it is given
APART_ROWS: Final = 250_000  # held in memory while they are laid apart
FEW_VALUES: Final = (
    "batch", "verdict", "reason", "issuer", "acquirer", "terminal", "business_date", "settled_on"
)  # fmt: skip
PARQUET: Final = "FORMAT parquet, COMPRESSION zstd"
MEMORY_SHARE: Final = 0.6  # and never more than this part of the machine


class Source:
    """A table from outside, by name and columns."""

    def __init__(self, name: str, schema: pa.Schema) -> None:
        self.name = name
        self.arrow = schema

    @cached_property
    def table(self) -> Expression:
        """The table as expressions name it."""
        return ibis.table(ibis.Schema.from_pyarrow(self.arrow), name=self.name)


class Step:
    """A table made from others by a pure function on expressions; `view`: worked out where it is read.

    A step that only joins little to a table already made is a view: keeping its rows costs more than
    making them again, and a reader that wants three columns makes only those.
    """

    def __init__(
        self, name: str, make: Callable[..., Expression], *inputs: Source | Step, view: bool = False
    ) -> None:
        self.name = name
        self.view = view
        self.inputs = inputs
        self._make = make
        self._sql: dict[str, str] = {}
        self._lock = threading.Lock()  # parts that start together compile a step once

    @cached_property
    def expression(self) -> Expression:
        """The expression over the inputs' names."""
        return self._make(*(source.table for source in self.inputs))

    @cached_property
    def table(self) -> Expression:
        """The result as later steps name it."""
        return ibis.table(self.expression.schema(), name=self.name)

    def sql(self, dialect: str = "duckdb") -> str:
        """The step as SQL of an engine, its columns in the types the expression promises.

        Engines widen on their own (DuckDB adds up 64-bit numbers to 128), and Ibis believes they do not.
        """
        with self._lock:
            if dialect not in self._sql:
                self._sql[dialect] = self._compile(dialect)
            return self._sql[dialect]

    def _compile(self, dialect: str) -> str:
        inner = ibis.to_sql(self.expression, dialect=dialect, pretty=False)
        quote = "`" if dialect == "pyspark" else '"'
        columns = ", ".join(
            f"CAST({quote}{name}{quote} AS {_type(kind)}) AS {quote}{name}{quote}"
            for name, kind in self.table.schema().items()
        )
        return f"SELECT {columns} FROM ({inner}) AS made"


def _type(kind: Expression) -> str:
    """The SQL name of a column's type, the same in every engine."""
    if kind.is_integer():
        return "INT" if kind.nbytes <= 4 else "BIGINT"
    names = {"string": "STRING", "boolean": "BOOLEAN", "date": "DATE", "timestamp": "TIMESTAMP"}
    return names[type(kind).__name__.lower()]


class Engine(Protocol):
    """What runs steps: tables given by name, steps made or read, results taken out."""

    def give(self, source: Source, table: pa.Table) -> None:
        """Make a table known under its source's name."""
        ...

    def give_parquet(self, source: Source, paths: Sequence[Path], where: str = "") -> None:
        """Make Parquet files known as one table, or those of their rows a condition holds of."""
        ...

    def make(self, step: Step) -> None:
        """Run a step and keep its result under its name, for the steps after it."""
        ...

    def fetch(self, step: Step | Source, order: Sequence[str] = ()) -> pa.Table:
        """A result as Arrow, in the given order."""
        ...

    def stream(self, step: Step | Source, order: Sequence[str], rows: int) -> Iterable[pa.RecordBatch]:
        """A result as Arrow, about `rows` at a time, in the given order."""
        ...

    def write(self, step: Step, path: Path, order: Sequence[str]) -> None:
        """A result as one Parquet file, in the given order."""
        ...

    def write_apart(self, step: Step, folder: Path, by: Sequence[str], order: Sequence[str]) -> None:
        """A result as Parquet files in folders `p0=value/p1=value...`, one level per column of `by`.

        The last of these columns is left out of the files.
        """
        ...


def moment_text(moment: Expression) -> Expression:
    """A moment as tables write it; engines do not agree on a T within a format."""
    return moment.strftime("%Y-%m-%d") + "T" + moment.strftime("%H:%M:%S")


_shared: duckdb.DuckDBPyConnection | None = None
_lock = threading.Lock()


def _small_database() -> duckdb.DuckDBPyConnection:
    """The process's one in-memory database, for days that fit in memory; each run has a cursor of its own."""
    global _shared
    with _lock:
        if _shared is None:
            _shared = duckdb.connect(":memory:", config={"threads": 1})
        return _shared.cursor()


class SqlEngine(ABC):
    """What engines that speak SQL have in common: which steps were made, and what to select from."""

    dialect = "duckdb"

    def __init__(self) -> None:
        self._made: set[str] = set()
        self._given: set[str] = set()

    @abstractmethod
    def make(self, step: Step) -> None:
        """Run a step and keep its result under its name, for the steps after it."""

    def _of(self, step: Step | Source) -> str:
        """What to select from: the table if the step was made, its query if it is wanted only once."""
        if isinstance(step, Source) or step.name in self._made:
            return step.name
        self._make_inputs(step)
        return f"({step.sql(self.dialect)})"

    def _make_inputs(self, step: Step) -> None:
        for needed in step.inputs:
            if isinstance(needed, Step) and needed.name not in self._made:
                self._make_inputs(needed)
                self.make(needed)


class DuckEngine(SqlEngine):
    """One run's tables in DuckDB. Use as a context; leaving it forgets them all.

    With a `spill` folder it gets a database of its own that writes there when memory runs short; `parts`
    is how many such databases share the machine.
    """

    def __init__(self, spill: Path | None = None, parts: int = 1) -> None:
        super().__init__()
        self._spill = spill
        self._parts = parts
        self._connection: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> DuckEngine:
        if self._spill is None:
            self._connection = _small_database()
        else:
            machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
            limit = f"{min(MEMORY_MAX, int(machine * MEMORY_SHARE)) // self._parts // 2**20}MiB"
            config: Config = {"memory_limit": limit, "temp_directory": str(self._spill)}
            if self._parts > 1:
                config["threads"] = 1
            self._connection = duckdb.connect(":memory:", config=config)
            self._connection.execute("SET enable_progress_bar = false")
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _db(self) -> duckdb.DuckDBPyConnection:
        assert self._connection is not None, "the engine is not open"
        return self._connection

    def give(self, source: Source, table: pa.Table) -> None:
        """Make a table known under its source's name; columns are brought into the declared order."""
        self._db.register(source.name, table.select(source.arrow.names).cast(source.arrow))

    def give_parquet(self, source: Source, paths: Sequence[Path], where: str = "") -> None:
        """Make Parquet files known as one table; none: an empty one."""
        if not paths:
            self.give(source, source.arrow.empty_table())
            return
        files = ", ".join(_quoted(path) for path in paths)
        columns = ", ".join(f'"{name}"' for name in source.arrow.names)
        self._db.execute(
            f'CREATE OR REPLACE TEMP VIEW "{source.name}" AS '
            f"SELECT {columns} FROM read_parquet([{files}], hive_partitioning=false)"
            f"{' WHERE ' + where if where else ''}"
        )

    def make(self, step: Step) -> None:
        """Run a step and keep its result under its name, for the steps after it."""
        self._made.add(step.name)
        # Of a small day planning takes longer than working, so what is read twice is planned once.
        kind = "VIEW" if step.view and self._spill is not None else "TABLE"
        self._db.execute(f'CREATE TEMP {kind} "{step.name}" AS {step.sql()}')

    def fetch(self, step: Step | Source, order: Sequence[str] = ()) -> pa.Table:
        """A result as Arrow, in the given order."""
        return self._db.execute(f"SELECT * FROM {self._of(step)}{_ordered(order)}").to_arrow_table()

    def page(self, step: Step | Source, order: Sequence[str], first: int, count: int) -> pa.Table:
        """`count` rows of a result from the given place on, in the given order."""
        query = f"SELECT * FROM {self._of(step)}{_ordered(order)} LIMIT {count:d} OFFSET {first:d}"
        return self._db.execute(query).to_arrow_table()

    def stream(self, step: Step | Source, order: Sequence[str], rows: int) -> pa.RecordBatchReader:
        """A result as Arrow, `rows` at a time, in the given order."""
        return self._db.execute(f"SELECT * FROM {self._of(step)}{_ordered(order)}").to_arrow_reader(rows)

    def write(self, step: Step, path: Path, order: Sequence[str]) -> None:
        """A result as one Parquet file, in the given order."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db.execute(
            f"COPY (SELECT * FROM {self._of(step)}{_ordered(order)}) TO {_quoted(path)} ({PARQUET})"
        )

    def write_apart(self, step: Step, folder: Path, by: Sequence[str], order: Sequence[str]) -> None:
        """A result as Parquet files in folders; see `Engine.write_apart`."""
        writers: dict[tuple[str, ...], pq.ParquetWriter] = {}
        try:
            for batch in self.stream(step, order, APART_ROWS):
                for key, rows in _apart(pa.Table.from_batches([batch]), by):
                    if key not in writers:
                        path = folder.joinpath(*(f"p{n}={value}" for n, value in enumerate(key)), "0.parquet")
                        path.parent.mkdir(parents=True, exist_ok=True)
                        writers[key] = pq.ParquetWriter(
                            path, rows.schema, compression="zstd", use_dictionary=list(FEW_VALUES)
                        )
                    writers[key].write_table(rows)
        finally:
            for writer in writers.values():
                writer.close()


def _apart(table: pa.Table, by: Sequence[str]) -> Iterator[tuple[tuple[str, ...], pa.Table]]:
    """The rows of a table by the values of some columns, these left out but for what they say."""
    keys = table.select(by).group_by(by, use_threads=False).aggregate([])
    for key in keys.to_pylist():
        tests = [pc.equal(table[name], value) for name, value in key.items()]
        rows = table if len(keys) == 1 else table.filter(reduce(pc.and_, tests))
        yield tuple(str(value) for value in key.values()), rows.drop_columns([by[-1]])


def _ordered(names: Sequence[str]) -> str:
    return " ORDER BY " + ", ".join(f'"{name}"' for name in names) if names else ""


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
