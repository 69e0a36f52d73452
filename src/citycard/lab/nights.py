# SPDX-License-Identifier: Apache-2.0
"""What befalls a clearing run at night, and the twin beside it whom nothing befalls.

By seed a run finds a file of the lake damaged, or the disk full, or is dealt out to many parts; it is killed
(`City.clear`) and run again. Whatever it was, the run that ends in the end must say, byte for byte, what a
run of the same input says that was left in peace: the twin's, in a folder of its own.
"""

from __future__ import annotations

import os
import resource
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, Final

from citycard.core.problem import Problem
from citycard.lab.faults import DeathTimer, Faults, Killed

FULL_AT: Final = (60, 6000)  # bytes of a file at which the disk is full: from the manifest to any table
PART_RECORDS: Final = (1, 2, 3)  # of a run dealt out to parts
CHUNK_RECORDS: Final = 3
DAMAGED: Final = ("RAW_DAMAGED", "LAKE_DAMAGED")


class Nights:
    """Clears in the place of `clearing.run`; `failures` are told in words."""

    def __init__(self, faults: Faults, death: DeathTimer, random: Random) -> None:
        self.faults = faults
        self.failures: list[str] = []
        self._death = death
        self._random = random
        self._fates: dict[date, list[str]] = {}
        self._twin: Path | None = None

    def __call__(self, home: Path, day: date, *ports: Any, **more: Any) -> Any:
        """Clear a date under what befalls it, and beside it in peace."""
        from citycard.clearing import run
        from citycard.clearing.lake import Lake

        def once() -> Any:
            return run(home, day, *ports, **more)

        report = once() if Lake(home).done(day) is not None else self._befallen(home, day, once)
        if self._twin is not None and Lake(self._twin).done(day) is None:
            alone = run(self._follow(home, day), day, *ports, rules=more["rules"])
            self._compare(home, day, alone, report)
        return report

    def _befallen(self, home: Path, day: date, once: Callable[[], Any]) -> Any:
        """The run of a date, whatever befalls it on the way; what does is drawn once."""
        if day not in self._fates:
            names = ("lake_damaged", "disk_full", "run_in_parts")
            self._fates[day] = [name for name in names if self.faults.strikes(name)]
            if self._fates[day] or self._death.armed:
                self.beside(home)
        fates = self._fates[day]
        if "lake_damaged" in fates:
            self._damaged(home, day, once)
        if "disk_full" in fates:
            self._full(home, day, once)
        with in_parts(self._random.choice(PART_RECORDS) if "run_in_parts" in fates else 0):
            return once()

    def beside(self, home: Path) -> None:
        """From now on a twin goes beside this home; what was cleared before is the same for both."""
        if self._twin is None:
            self._twin = home.with_name(f"{home.name}-twin")
            _link_new(home / "lake", self._twin / "lake")
            _link_new(home / "exchange", self._twin / "exchange")

    def tidy(self, home: Path) -> None:
        """Small files are laid together, perhaps by a process that dies at it and is started again."""
        from citycard.clearing import keeping

        if not self.faults.strikes("compaction"):
            return
        self.beside(home)

        def die(what: str, done: int, total: int) -> None:
            raise Killed

        if self._random.random() < 0.5:
            with suppress(Killed):
                keeping.compact(home, die)
        keeping.compact(home)
        if not (found := keeping.check(home))["sound"]:
            self.failures.append(f"compaction left a lake that is not sound: {found}")

    # Misfortunes

    def _damaged(self, home: Path, day: date, once: Callable[[], Any]) -> None:
        """A bit of a file of the lake is another one: the check names the file, and no run believes it."""
        from citycard.clearing import keeping
        from citycard.clearing.lake import Lake

        lake = Lake(home)
        files = [batch.path for batch in lake.freeze(day)]
        files += [str(p.relative_to(home)) for one in lake.finished() for p in lake.files(one, "")]
        if not files:
            return
        path = home / self._random.choice(sorted(files))
        good = path.read_bytes()
        if not good:
            return
        at = self._random.randrange(len(good))
        _replace(path, good[:at] + bytes((good[at] ^ 1 << self._random.randrange(8),)) + good[at + 1 :])
        try:
            name = path.relative_to(home).as_posix()
            if (found := keeping.check(home))["damaged"] != [name]:
                self.failures.append(f"{name} is damaged, the check found {found}")
            self._refused(home, day, once, DAMAGED, f"{name} was damaged")
        finally:
            _replace(path, good)

    def _full(self, home: Path, day: date, once: Callable[[], Any]) -> None:
        """The disk is full somewhere in the run: nothing is closed."""
        with no_file_above(self._random.randint(*FULL_AT)):
            self._refused(home, day, once, ("LAKE_FULL",), "the disk was full")

    def _refused(
        self, home: Path, day: date, once: Callable[[], Any], codes: tuple[str, ...], why: str
    ) -> None:
        """A run that may be refused, by one of these problems and closing nothing; or does not notice."""
        from citycard.clearing.lake import Lake

        try:
            once()
        except Problem as problem:
            if problem.code not in codes:
                self.failures.append(f"{day}: {why}, and the run said {problem.code}")
            if Lake(home).done(day) is not None:
                self.failures.append(f"{day}: {why}, the run refused and closed the date all the same")

    # The twin

    def _follow(self, home: Path, day: date) -> Path:
        """The twin's home, with the input of a date."""
        assert self._twin is not None
        _link_new(home / "lake" / "raw", self._twin / "lake" / "raw")
        tables = self._twin / "exchange" / day.isoformat() / "in"
        shutil.rmtree(tables, ignore_errors=True)
        shutil.copytree(home / "exchange" / day.isoformat() / "in", tables)
        return self._twin

    def _compare(self, home: Path, day: date, alone: Any, report: Any) -> None:
        """What the office is told, and what the run says of itself, are the twin's."""
        assert self._twin is not None
        told, twin = _told(home, day), _told(self._twin, day)
        differing = sorted(name for name in told.keys() | twin.keys() if told.get(name) != twin.get(name))
        if differing:
            self.failures.append(
                f"{day}: {differing} are not what a run in peace tells ({self._fates.get(day, [])})"
            )
        for name in ("verdicts", "reasons", "charged_fen", "suspended_fen", "rejected_fen"):
            ours, theirs = getattr(report, name), getattr(alone, name)
            if ours != theirs:
                self.failures.append(f"{day}: {name} are {ours}, of a run in peace {theirs}")


def _told(home: Path, day: date) -> dict[str, bytes]:
    """What the office is told of a date."""
    return {path.name: path.read_bytes() for path in (home / "exchange" / day.isoformat() / "out").iterdir()}


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Within, writing fails beyond so many bytes of a file, as it does on a disk that is full."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@contextmanager
def in_parts(records: int) -> Iterator[None]:
    """Within, days are dealt out to parts of so few records, one after another; 0: as ever."""
    if not records:
        yield
        return
    run, intake = import_module("citycard.clearing.run"), import_module("citycard.clearing.intake")
    small = ((run, "SMALL_BYTES", 0), (run, "PART_RECORDS", records),
             (intake, "CHUNK_RECORDS", CHUNK_RECORDS), (intake, "WORKERS", 1))  # fmt: skip
    before = [getattr(module, name) for module, name, _ in small]
    for module, name, value in small:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(small, before, strict=True):
            setattr(module, name, value)


def _replace(path: Path, data: bytes) -> None:
    """Another file in this one's place: the twin may hold the same file by another name."""
    fresh = path.with_name(f".{path.name}.fresh")
    fresh.write_bytes(data)
    os.replace(fresh, path)


def _link_new(source: Path, target: Path) -> None:
    """Every file of the source is in the target as well."""
    for path in source.rglob("*"):
        other = target / path.relative_to(source)
        if path.is_file() and not other.exists():
            other.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, other)


def lake_says(home: Path, *, quiet: bool) -> tuple[list[str], dict[str, list[int]]]:
    """Every record that reached the office has one verdict, or waits; failures, and each card's balances.

    The balances are those clearing carries on, after the card's purchases and after its loads, newest last.

    A delivery may wait in many runs and is decided in one; a record is accepted once at most, however often
    it was delivered.
    """
    import pyarrow.parquet as pq

    from citycard.clearing.lake import Lake
    from citycard.core.record import open_batch

    lake = Lake(home)
    finished = lake.finished()
    decided: Counter[tuple[str, int]] = Counter()
    accepted: Counter[str] = Counter()
    waiting: Counter[tuple[str, int]] = Counter()
    for day in finished:
        waiting = Counter()
        for path in lake.checked(day, "taps/"):
            rows = pq.ParquetFile(path).read(["tap", "batch", "position", "verdict"]).to_pylist()
            for row in rows:
                place = row["batch"], row["position"]
                if row["verdict"] == "suspended":
                    waiting[place] += 1
                else:
                    decided[place] += 1
                    accepted[row["tap"]] += row["verdict"] == "accepted"
    reached = {
        (batch.digest, position)
        for day in finished
        for batch in lake.freeze(day)
        for position in range(len(open_batch(lake.raw(batch)).raw_records()))
    }
    found = [f"tap {tap} was accepted {times} times" for tap, times in accepted.items() if times > 1]
    for place in sorted(reached | decided.keys() | waiting.keys()):
        if place not in reached or decided[place] + waiting[place] != 1:
            found.append(
                f"record {place[1]} of batch {place[0][:12]} was decided {decided[place]} times, waits "
                f"{waiting[place]} times, and {'reached' if place in reached else 'never reached'} the office"
            )
    if quiet:
        found += [f"no run took batch {batch.digest[:12]}" for batch in lake.unassigned()]
    shadows: dict[str, list[tuple[Any, int]]] = {}
    for path in lake.checked(finished[-1], "cards") if finished else []:
        for row in pq.ParquetFile(path).read().to_pylist():
            at = row["last_at"] or datetime.min  # as it left personalisation
            shadows.setdefault(row["pan"], []).append((at, row["balance_fen"]))
    return found, {pan: [fen for _, fen in sorted(told)] for pan, told in shadows.items()}
