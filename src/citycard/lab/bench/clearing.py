# SPDX-License-Identifier: Apache-2.0
"""A whole clearing run of a large day, from raw batches to posted positions, beside a bare query of its rows.

The day is made first (`metropolis`), in a process of its own so that its memory is not counted. The
yardstick is DuckDB alone in the same process: scan the same taps once they lie in columns, drop repeats,
join cards and terminals, add up by participants. It verifies nothing and remembers nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from citycard.clearing import Rules, RunReport
from citycard.clearing import run as clear
from citycard.clearing.decode import WIRE
from citycard.clearing.rules import EXCEPTIONS, Checkpoint
from citycard.core.problem import declare
from citycard.core.record import HEADER_SIZE
from citycard.keys.tac import TacColumns, TacVerifier
from citycard.lab.bench import metropolis
from citycard.lab.bench.metropolis import PROFILE
from citycard.lab.bench.result import BenchResult
from citycard.lab.load_shape import read_shape

TAPS: Final = 1_000_000
SAMPLE_S: Final = 0.1
WARM_RECORDS: Final = 131_072
MADE: Final = "made"  # written when a day is complete, so that one cut short is not taken for it
ENGINES: Final = ("duckdb", "spark")
BENCH_ENGINE: Final = declare(
    "BENCH_ENGINE",
    "There is no engine called '{engine}'; choose one of: {choices}.",
    "没有名为“{engine}”的引擎，可选：{choices}。",
)
FLOOR: Final = """
    SELECT t.acquirer, c.issuer, count(*) AS taps, sum(t.amount_fen) AS amount_fen
    FROM (SELECT terminal_id, sequence, any_value(card) AS card, any_value(acquirer) AS acquirer,
                 any_value(amount_fen) AS amount_fen
          FROM read_parquet(?, hive_partitioning = false) GROUP BY terminal_id, sequence) t
    JOIN cards c ON c.card = t.card JOIN places p ON p.terminal_id = t.terminal_id GROUP BY ALL
"""


class TimedVerifier(TacVerifier):
    """A verifier that knows how long it took, all threads together."""

    seconds = 0.0
    _lock = threading.Lock()

    def verify(self, columns: TacColumns) -> Any:
        """See `TacVerifier`."""
        started = time.perf_counter()
        found = super().verify(columns)
        with self._lock:
            self.seconds += time.perf_counter() - started
        return found


@dataclass(slots=True)
class Memory:
    """The most memory processes and their children held at once, looked at ten times a second.

    A process that starts another looks like two of its size until that one runs, so what only one look saw
    does not count.
    """

    roots: Callable[[], Collection[int]] = lambda: [os.getpid()]
    but: Callable[[], Collection[int]] = list  # children that are not counted
    peak_bytes: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch while the block runs."""
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            self._stop.set()
            watcher.join()

    def _watch(self) -> None:
        before = 0
        while True:
            but = self.but()
            now = sum(resident(root, but) for root in self.roots())
            self.peak_bytes = max(self.peak_bytes, min(before, now))
            before = now
            if self._stop.wait(SAMPLE_S):
                return


def resident(pid: int, but: Collection[int] = ()) -> int:
    """Bytes of memory a process and its children hold, but for some of these."""
    if pid in but:
        return 0
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        # a child hangs below the thread that made it
        children = [
            one for path in Path(f"/proc/{pid}/task").glob("*/children") for one in path.read_text().split()
        ]
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(resident(int(child), but) for child in children)


@dataclass(frozen=True, slots=True)
class Cleared:
    """One run: what it reported, how long it took with posting, and the most memory it held."""

    report: RunReport
    wall_s: float
    seconds: dict[str, float]
    peak_bytes: int
    tac_s: float  # per core

    def figures(self) -> dict[str, Any]:
        """What a result tells of it."""
        return {
            "peak_mb": self.peak_bytes // 2**20,
            "tac_s": round(self.tac_s, 2),
            "seconds": self.seconds,
            "taps_per_s": {
                name: round(self.report.taps / value) for name, value in self.seconds.items() if value > 0.001
            },
        }


def run(
    taps: int = TAPS,
    seed: int = 1,
    keep: int = 0,
    shape: str = "",
    engine: str = "duckdb",
    kill_worker: int = 0,
) -> BenchResult:
    """Clear a made-up day of so many taps; `keep` leaves the raw day for the next time.

    `shape` names a file of `citycard lab load-shape`, whose entries weigh the ten minutes of the day.
    `engine` spark: the day is cleared by DuckDB and on a Spark cluster started for it, and all results are
    held against each other; `kill_worker`: one of its workers is killed in the middle.
    """
    if engine not in ENGINES:
        raise BENCH_ENGINE(engine=engine, choices=", ".join(ENGINES))
    profile = read_shape(Path(shape)).entries if shape else None
    name = f"citycard-bench-clearing-{taps}-{seed}{'-shaped' if shape else ''}"
    home = Path(tempfile.gettempdir()) / name
    try:
        started = time.perf_counter()
        _made(home, taps, seed, profile)
        made_s = round(time.perf_counter() - started, 1)
        _leave(home, everything=False)
        if engine == "spark":
            from citycard.lab.bench import spark

            return spark.measure(home, seed, made_s, kill=bool(kill_worker))
        return _measure(home, seed, made_s)
    finally:
        _leave(home, everything=not keep)


def _made(home: Path, taps: int, seed: int, profile: Sequence[float] | None) -> None:
    if (home / MADE).exists():
        return
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    (home / PROFILE).write_text(json.dumps(profile))
    command = [sys.executable, "-m", "citycard.lab.bench.metropolis", str(home), str(taps), str(seed)]
    subprocess.run(command, check=True)
    (home / MADE).touch()


def _leave(home: Path, *, everything: bool) -> None:
    if everything:
        shutil.rmtree(home, ignore_errors=True)
        return
    for name in ("lake/runs", "lake/staging", "lake/manifests", "statements", "office"):
        shutil.rmtree(home / name, ignore_errors=True)
    shutil.rmtree(home / "exchange" / metropolis.DAY.isoformat() / "out", ignore_errors=True)


def _measure(home: Path, seed: int, made_s: float) -> BenchResult:
    check = TimedVerifier(metropolis.vault(seed))
    compile_s = warm(home, check)
    done = cleared(home, check, Memory())
    taps = done.report.taps
    floor_s, rows = _floor(home)
    return BenchResult(
        name="clearing",
        what=f"{taps:,} delivered taps from raw batches to posted positions",
        figure=round(taps / done.wall_s),
        unit="taps/s",
        yardstick=round(rows / floor_s),
        yardstick_what="a bare DuckDB scan, de-duplication, two joins and a group over the same rows",
        ratio=round(floor_s / done.wall_s * taps / rows, 3),
        ratio_means="ours / yardstick in taps/s; 1 would be the bare query",
        seconds=round(done.wall_s, 2),
        details={
            **done.figures(),
            "compile_s": compile_s,
            "made_s": made_s,
            "floor_s": round(floor_s, 2),
            "batches": done.report.batches,
            "reasons": dict(done.report.reasons),
        },
    )


def cleared(
    home: Path,
    check: TimedVerifier,
    memory: Memory,
    *,
    master: str | None = None,
    checkpoint: Checkpoint | None = None,
) -> Cleared:
    """Clear the made-up day, and post it to the ledger of a new office."""
    check.seconds = 0.0
    post = _office(home)
    rules = Rules(verdicts_to_office=EXCEPTIONS)
    started = time.perf_counter()
    with memory.watched():
        report = clear(home, metropolis.DAY, check, rules=rules, master=master, checkpoint=checkpoint)
        posting = time.perf_counter()
        posted_fen = post()
        ended = time.perf_counter()
    assert posted_fen == report.charged_fen, (posted_fen, report.charged_fen)
    seconds = {**report.seconds, "post": round(ended - posting, 3)}
    tac_s = check.seconds / max(1, os.cpu_count() or 1)
    return Cleared(report, ended - started, seconds, memory.peak_bytes, tac_s)


def warm(home: Path, check: TimedVerifier) -> float:
    """Seconds until the TAC kernel is there: compiling is once for a machine, not once for a day."""
    path = next((home / "lake" / "raw").rglob("*.ccb"))
    body = path.read_bytes()[HEADER_SIZE:]
    wire = np.frombuffer(body, WIRE)
    started = time.perf_counter()
    check.verify(TacColumns.of_wire(np.resize(wire, WARM_RECORDS)))
    check.seconds = 0.0
    return round(time.perf_counter() - started, 2)


def _office(home: Path) -> Any:
    """An office with the day's participants; a function that posts the day and tells the fen charged."""
    from citycard.lab import desk

    vault = metropolis.vault(1)
    for path in home.glob("office.sqlite3*"):
        path.unlink()
    desk.open_office(home, vault, metropolis.closing)
    from citycard.office import ledger, settlement, setup

    setup.migrate()
    from citycard.office.participants.models import Participant

    Participant.objects.bulk_create(
        Participant(id=one, name_en=en, name_zh=zh, roles=what.split(), pan_prefix="")
        for one, en, zh, what in metropolis.PARTICIPANTS
    )
    ledger.open_accounts([f"position:{one}" for one, *_ in metropolis.PARTICIPANTS])

    def post() -> int:
        charged = settlement.post_run(metropolis.DAY).charged_fen
        desk.close_office()
        return charged

    return post


def _floor(home: Path) -> tuple[float, int]:
    """Seconds of the bare query, and the rows it looked at."""
    paths = [str(path) for path in (home / "lake" / "runs").rglob("taps/**/*.parquet")]
    db = duckdb.connect(":memory:")
    db.execute("SET enable_progress_bar = false")
    db.execute(
        "CREATE TABLE cards AS SELECT column0 AS pan, column1 AS issuer, column0::BIGINT AS card "
        "FROM read_csv(?, skip = 2, header = false, all_varchar = true)",
        [str(home / "exchange" / metropolis.DAY.isoformat() / "in" / "cards.csv")],
    )
    db.execute("CREATE TABLE places AS SELECT DISTINCT terminal_id FROM read_parquet(?)", [paths])
    counted = db.execute("SELECT count(*) FROM read_parquet(?)", [paths]).fetchone()
    assert counted is not None
    started = time.perf_counter()
    db.execute(FLOOR, [paths]).fetchall()
    return time.perf_counter() - started, int(counted[0])
