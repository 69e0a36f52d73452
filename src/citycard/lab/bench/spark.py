# SPDX-License-Identifier: Apache-2.0
"""The same large day cleared by DuckDB and on a Spark cluster of a master and two workers, row for row.

The cluster is one of processes on this machine, started and stopped here; DuckDB's run is the yardstick. A
single machine shows that the answer is the same and what distribution costs, not what a cluster gains.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from citycard.clearing import spark
from citycard.clearing.lake import Lake
from citycard.core.problem import declare
from citycard.lab import spark_cluster
from citycard.lab.bench import metropolis
from citycard.lab.bench.clearing import Cleared, Memory, TimedVerifier, cleared, warm
from citycard.lab.bench.result import BenchResult
from citycard.lab.bench.same import FOLDERS, Compared, ledger

WORKER_MEMORY: Final = "2g"
# As an operator would set it: spark-defaults.conf, in the folder SPARK_CONF_DIR names.
SETTINGS: Final = {
    "spark.executor.memory": "1536m",
    "spark.executor.extraJavaOptions": "-XX:MaxDirectMemorySize=256m",  # beside the heap
    "spark.driver.memory": "1g",
}
MINUTES: Final = 180
KILL_AFTER: Final = "distrusted"  # the step after it is the largest
KILL_SECONDS: Final = 2.0
SHOWN: Final = 5
BENCH_DIFFERS: Final = declare(
    "BENCH_DIFFERS",
    "Spark's results are not DuckDB's in {count} places: {which}. Both are kept in {folder}.",
    "Spark 与 DuckDB 的结果有 {count} 处不同：{which}。两份结果保留在 {folder}。",
    exit=1,
)


def measure(home: Path, seed: int, made_s: float, *, kill: bool) -> BenchResult:
    """Clear the day in a home folder twice and compare; BENCH_DIFFERS."""
    check = TimedVerifier(metropolis.vault(seed))
    warm(home, check)
    beside = home / "duckdb"
    shutil.rmtree(beside, ignore_errors=True)
    ours = cleared(home, check, Memory())
    transfers = ledger(home)
    _set_aside(home, beside)
    folder = home / "spark"
    shutil.rmtree(folder, ignore_errors=True)
    killer = Killer(folder) if kill else None
    with _settings(folder), spark_cluster.cluster(folder, memory=WORKER_MEMORY, minutes=MINUTES) as url:
        workers = Memory(lambda: spark_cluster.running(folder).values())
        driver = Memory(but=lambda: spark_cluster.running(folder).values())
        try:
            with workers.watched():
                theirs = cleared(home, check, driver, master=url, checkpoint=killer)
        finally:
            spark.stop()
    compared = _compared(home, beside)
    compared.transfers(transfers, ledger(home))
    if compared.differences:
        which = "; ".join(compared.differences[:SHOWN])
        raise BENCH_DIFFERS(count=len(compared.differences), which=which, folder=_kept(home))
    return _result(ours, theirs, compared, made_s, workers, killer)


class Killer:
    """Kills a worker in the middle of a step: a checkpoint that starts a clock."""

    def __init__(self, folder: Path) -> None:
        self.told = "not killed: the run was over before"
        self._folder = folder
        self._at = ""

    def __call__(self, name: str) -> None:
        self._at = name
        if name == KILL_AFTER:
            threading.Timer(KILL_SECONDS, self._kill).start()

    def _kill(self) -> None:
        alive = spark_cluster.running(self._folder)
        if not alive:
            return
        name = max(alive)  # a worker: the master comes before them
        spark_cluster.kill(alive[name])
        self.told = f"{name}, {KILL_SECONDS} s into the step after {self._at!r}"


@contextmanager
def _settings(folder: Path) -> Iterator[None]:
    """Spark's own settings, from the file an operator would write."""
    conf = folder / "conf"
    conf.mkdir(parents=True)
    lines = [f"{name} {value}\n" for name, value in SETTINGS.items()]
    (conf / "spark-defaults.conf").write_text("".join(lines))
    before = os.environ.get("SPARK_CONF_DIR")
    os.environ["SPARK_CONF_DIR"] = str(conf.absolute())
    try:
        yield
    finally:
        del os.environ["SPARK_CONF_DIR"]
        if before is not None:
            os.environ["SPARK_CONF_DIR"] = before


def _places(home: Path) -> dict[str, Path]:
    """Where a run left its results."""
    day = metropolis.DAY
    out = home / "exchange" / day.isoformat() / "out"
    return {
        "run": Lake(home).run_folder(day),
        "out": out,
        "statements": home / "statements" / day.isoformat(),
    }


def _set_aside(home: Path, beside: Path) -> None:
    """Move results away, so that the day is open again for the other engine."""
    beside.mkdir()
    for name, path in _places(home).items():
        os.replace(path, beside / name)
    shutil.rmtree(home / "lake" / "manifests")


def _compared(home: Path, beside: Path) -> Compared:
    found = Compared()
    found.lake(beside / "run", _places(home)["run"])
    for name in FOLDERS:
        found.files(beside / name, _places(home)[name])
    reports = [json.loads((run / "done.json").read_bytes())["report"] for run in
               (beside / "run", _places(home)["run"])]  # fmt: skip
    if reports[0] != reports[1]:
        found.differences.append(f"reports: {reports[0]} and {reports[1]}")
    return found


def _kept(home: Path) -> Path:
    """Both results, out of the way of who clears up."""
    kept = home.with_name(f"{home.name}-differs")
    shutil.rmtree(kept, ignore_errors=True)
    _set_aside(home, kept)
    os.replace(home / "duckdb", kept / "duckdb")
    return kept


def _result(
    ours: Cleared,
    theirs: Cleared,
    compared: Compared,
    made_s: float,
    workers: Memory,
    killer: Killer | None,
) -> BenchResult:
    taps = theirs.report.taps
    return BenchResult(
        name="clearing",
        what=f"{taps:,} delivered taps from raw batches to posted positions, on a Spark cluster",
        figure=round(taps / theirs.wall_s),
        unit="taps/s",
        yardstick=round(taps / ours.wall_s),
        yardstick_what="DuckDB on the same day and machine, the same rows",
        ratio=round(ours.wall_s / theirs.wall_s, 3),
        ratio_means="Spark / DuckDB in taps/s; below 1 is what distribution costs on one machine",
        seconds=round(theirs.wall_s, 2),
        details={
            "equal": f"all {sum(compared.rows.values()):,} rows: {dict(sorted(compared.rows.items()))}",
            "duckdb_s": round(ours.wall_s, 2),
            "workers_mb": workers.peak_bytes // 2**20,
            **({"killed": killer.told} if killer else {}),
            **theirs.figures(),
            "duckdb": ours.figures(),
            "made_s": made_s,
            "batches": theirs.report.batches,
            "reasons": dict(theirs.report.reasons),
        },
    )
