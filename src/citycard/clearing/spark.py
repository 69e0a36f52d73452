# SPDX-License-Identifier: Apache-2.0
"""Runs the same steps on a Spark cluster: for a day, or a history, that one machine should not carry alone.

Tables are given, and the results of steps kept, as Parquet files in a folder that the driver and all workers
see. So a worker that dies takes no step along: what it was at work on is done again by another. Taps are
decoded, judged and written by the workers; only sums, exceptions and what the office asks for come to the
driver, and what may be long passes through it a piece at a time.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from citycard.clearing.engine import Source, SqlEngine, Step
from citycard.clearing.problems import SPARK_FAILED, SPARK_MISSING, SPARK_WORK_FAILED
from citycard.clearing.shards import Shards

ROWS_PER_PARTITION: Final = 500_000  # of the taps, in a shuffle
PARTITIONS_MIN: Final = 2
# A small day is over before plans are improved and code is compiled.
SMALL: Final = {"spark.sql.adaptive.enabled": "false", "spark.sql.codegen.wholeStage": "false",
                "spark.sql.codegen.factoryMode": "NO_CODEGEN"}  # fmt: skip
ROWS_PER_FILE: Final = 1_000_000
KEPT: Final = "zstd"  # of what stays in the lake
SHARD: Final = "shard"  # the last level of folders, of tables cut by card
FAULT: Final = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|Problem): .+", re.MULTILINE)
SETTINGS: Final = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",  # moments are naive, in the scheme's zone
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.compression.codec": "snappy",  # of what is only passed on: quick before small
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.cleaner.referenceTracking.cleanCheckpoints": "true",
    "spark.task.maxFailures": "8",  # a worker that dies fails its tasks and those that wanted its results
    "spark.network.timeout": "60s",
    "spark.executor.heartbeatInterval": "5s",
}


class SparkEngine(SqlEngine):
    """One run's tables in a Spark session; the session outlives the engine, see `stop`."""

    dialect = "pyspark"

    def __init__(self, master: str, scratch: Path, taps: int) -> None:
        super().__init__()
        self._master = master
        self._taps = taps
        self._scratch = scratch.absolute()
        self._partitions = max(PARTITIONS_MIN, taps // ROWS_PER_PARTITION)
        self._numbers = 0

    def __enter__(self) -> SparkEngine:
        self._session = _session(self._master)
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._session.conf.set("spark.sql.shuffle.partitions", str(self._partitions))
        for name, value in SMALL.items():
            if self._taps < ROWS_PER_PARTITION:
                self._session.conf.set(name, value)
            else:
                self._session.conf.unset(name)
        return self

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        shutil.rmtree(self._scratch, ignore_errors=True)
        if isinstance(fault, PySparkException | Py4JError):
            raise SPARK_WORK_FAILED(master=self._master, why=_why(fault)) from fault
        for name in [*self._made, *self._given]:
            self._session.catalog.dropTempView(name)

    def give(self, source: Source, table: pa.Table) -> None:
        """Make a table known under its source's name."""
        path = self._new(source.name)
        path.mkdir(parents=True)
        plain = table.select(source.arrow.names).cast(source.arrow)
        for start in range(0, max(1, len(plain)), ROWS_PER_FILE):
            pq.write_table(plain.slice(start, ROWS_PER_FILE), path / f"{start}.parquet")
        self.give_parquet(source, sorted(path.iterdir()))

    def give_parquet(self, source: Source, paths: Sequence[Path], where: str = "") -> None:
        """Make Parquet files known as one table; none: an empty one."""
        if not paths:
            self.give(source, source.arrow.empty_table())
            return
        frame = self._session.read.parquet(*(str(path.absolute()) for path in paths)).select(
            source.arrow.names
        )
        self._given.add(source.name)
        (frame.where(where) if where else frame).createOrReplaceTempView(source.name)

    def give_made(
        self, source: Source, plan: pa.Table, work: Callable[[Iterable[pa.RecordBatch]], Any]
    ) -> None:
        """Make a source known whose rows the workers make, by `work`, of the rows of a plan dealt to them."""
        columns = self._session.createDataFrame(source.arrow.empty_table()).schema
        todo = self._session.createDataFrame(plan).repartition(self._partitions)
        path = self._new(source.name)
        todo.mapInArrow(work, columns).write.parquet(str(path))
        self.give_parquet(source, [path])

    def make(self, step: Step) -> None:
        """Run a step and keep its result under its name, for the steps after it."""
        frame = self._session.sql(step.sql(self.dialect))
        if not step.view:
            path = str(self._scratch / f"step-{step.name}")
            frame.write.mode("overwrite").parquet(path)
            frame = self._session.read.schema(frame.schema).parquet(path)
        frame.createOrReplaceTempView(step.name)
        self._made.add(step.name)

    def fetch(self, step: Step | Source, order: Sequence[str] = ()) -> pa.Table:
        """A result as Arrow, in the given order."""
        found = self._frame(step, order).toArrow()
        schema = step.arrow if isinstance(step, Source) else step.expression.schema().to_pyarrow()
        return found.select(schema.names).cast(schema)

    def stream(self, step: Step | Source, order: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """A result as Arrow, about `rows` at a time, in the given order.

        The workers sort it into files, which are read here one after the other.
        """
        path = self._new("stream")
        self._frame(step, order).write.parquet(str(path))
        for file in sorted(path.glob("part-*.parquet")):
            yield from pq.ParquetFile(file).iter_batches(rows)
        shutil.rmtree(path)

    def write(self, step: Step, path: Path, order: Sequence[str]) -> None:
        """A result as one Parquet file, in the given order: for what is not cut by card."""
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = self._new("one")
        self._frame(step, order).coalesce(1).write.parquet(str(folder), compression=KEPT)
        (found,) = folder.glob("part-*.parquet")
        os.replace(found, path)
        shutil.rmtree(folder)

    def write_apart(
        self, step: Step, folder: Path, by: Sequence[str], order: Sequence[str], shards: Shards | None = None
    ) -> None:
        """A result as Parquet files in folders; see `Engine.write_apart`. Each file is one worker's.

        With `shards` another level `shard=N` is below, with one file for the cards of each part; a table
        without cards is dealt out evenly.
        """
        shards = shards or Shards()
        frame = self._frame(step, ())
        number = shards.number() if "pan" in frame.columns else f"pmod(hash(`{order[0]}`), {shards.count})"
        levels = [f"p{n}" for n in range(len(by))]
        texts = [f"CAST(`{name}` AS STRING) AS {level}" for name, level in zip(by, levels, strict=True)]
        frame = frame.selectExpr("*", *texts, f"{number} AS {SHARD}").drop(*by[-1:])
        frame = frame.repartition(shards.count, SHARD).sortWithinPartitions(SHARD, *levels, *order)
        frame.write.partitionBy(*levels, SHARD).parquet(str(folder.absolute()), compression=KEPT)

    def _new(self, name: str) -> Path:
        """A place in the folder all see, never used before."""
        self._numbers += 1
        return self._scratch / f"{name}-{self._numbers}"

    def _frame(self, step: Step | Source, order: Sequence[str]) -> Any:
        frame = self._session.sql(f"SELECT * FROM {self._of(step)} AS found")
        return frame.orderBy(*order) if order else frame


def _session(master: str) -> Any:
    """The session of this process with a master; SPARK_MISSING, SPARK_FAILED."""
    if importlib.util.find_spec("pyspark") is None or not (
        shutil.which("java") or os.environ.get("JAVA_HOME")
    ):
        raise SPARK_MISSING()
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(master).appName("citycard clearing")
    if "127.0.0.1" in master:  # workers elsewhere would look for the driver on their own machine
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        builder = builder.config("spark.driver.host", "127.0.0.1").config(
            "spark.driver.bindAddress", "127.0.0.1"
        )
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except (PySparkException, RuntimeError, OSError) as fault:
        raise SPARK_FAILED(master=master, why=str(fault).splitlines()[0][:200]) from None


def _why(fault: BaseException) -> str:
    """What went wrong in a line: a worker's own fault, where the text of Spark's holds one."""
    text = str(fault)
    found = FAULT.findall(text) or text.splitlines() or [type(fault).__name__]
    return found[0][:300]


def stop() -> None:
    """End this process's session, if there is one."""
    if "pyspark" not in sys.modules:
        return
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is not None:
        session.stop()
