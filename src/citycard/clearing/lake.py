# SPDX-License-Identifier: Apache-2.0
"""Where clearing keeps its data, and how a run begins and ends there without ever being half done.

lake/raw/**/{digest}.ccb        batches as received, never changed
lake/manifests/{date}.json      the batches of a run, frozen at its first start
lake/staging/{date}/            a run at work; thrown away when it starts again
lake/runs/{date}/               a finished run, put in place by one rename:
    taps/verdict=V/business_date=D/part-0.parquet   every tap it judged; suspended: all that wait
    shares.parquet  cards.parquet  open_loads.parquet  terminals.parquet
    out/*.csv       statements/*       done.json: digests of inputs and outputs, and the report
exchange/{date}/out, statements/{date}   the same out and statements, for the office and for people
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from citycard.clearing.problems import (
    EARLIER_RUN_UNFINISHED,
    LAKE_DAMAGED,
    LATER_DATE_RUN,
    RUN_IN_PROGRESS,
)
from citycard.clearing.store import Store, raw_name, run_name

RAW_SUFFIX: Final = ".ccb"
DONE: Final = "done.json"
FOLDERS: Final = "folders.json"  # of raw batches, and which of them no run needs to look into
DONE_AFTER: Final = timedelta(days=45)  # nothing is put into a folder so long after its date
TIMING: Final = "timing.json"  # seconds differ from run to run, so they stay out of `done.json`


@dataclass(frozen=True, slots=True)
class RawBatch:
    """A received batch: its digest, and its file relative to the home folder."""

    digest: str
    path: str


@dataclass(frozen=True, slots=True)
class Lake:
    """The folders of one scheme's clearing."""

    home: Path
    store: Store | None = None  # where files are fetched from that are not here

    @property
    def root(self) -> Path:
        """The lake's folder."""
        return self.home / "lake"

    def staging(self, day: date) -> Path:
        """Where a run works."""
        return self.root / "staging" / day.isoformat()

    def run_folder(self, day: date) -> Path:
        """Where a finished run lies."""
        return self.root / "runs" / day.isoformat()

    def manifest(self, day: date) -> Path:
        """Which batches a run took."""
        return self.root / "manifests" / f"{day.isoformat()}.json"

    def marker(self, day: date) -> Path:
        """What says that a run is finished, and what it left."""
        return self.run_folder(day) / DONE

    def inputs(self, day: date) -> Path:
        """Where the office puts the reference tables of a date."""
        return self.home / "exchange" / day.isoformat() / "in"

    def started(self) -> list[date]:
        """Dates whose input is frozen, in order."""
        return sorted(_date(path.stem) for path in (self.root / "manifests").glob("????-??-??.json"))

    def finished(self) -> list[date]:
        """Dates that are closed, in order."""
        return sorted(_date(path.parent.name) for path in (self.root / "runs").glob(f"????-??-??/{DONE}"))

    def may_run(self, day: date) -> None:
        """Raise the problem why this date cannot be run now, if there is one."""
        finished = set(self.finished())
        for other in self.started():
            if other > day:
                raise LATER_DATE_RUN(date=day, later=other)
            if other < day and other not in finished:
                raise EARLIER_RUN_UNFINISHED(date=day, earlier=other)

    def freeze(self, day: date) -> list[RawBatch]:
        """The run's batches in order of digest: those of its manifest, written now if there is none yet."""
        path = self.manifest(day)
        if not path.exists():
            found = self.unassigned()
            batches = [vars_of(batch) for batch in found]
            write_atomically(path, json.dumps({"date": day.isoformat(), "batches": batches}).encode() + b"\n")
            self._note_folders(day, found)
            return found
        return [RawBatch(**entry) for entry in json.loads(path.read_bytes())["batches"]]

    def unassigned(self) -> list[RawBatch]:
        """Batches no run has taken yet, in order of digest.

        Years of manifests are not read for that: folders of raw batches that were taken whole long ago are
        noted as done, and manifests that speak of no other folder are passed over.
        """
        index = self._folders()
        taken: set[str] = set()
        for day in self.started():
            folders = index["runs"].get(day.isoformat())
            if folders is None or set(folders) - set(index["done"]):
                manifest = json.loads(self.manifest(day).read_bytes())
                taken.update(entry["digest"] for entry in manifest["batches"])
        found: dict[str, str] = {}
        for place, names in self._raw_folders():
            if place in index["done"]:
                continue
            for name in names:
                digest = name.removesuffix(RAW_SUFFIX)
                if digest not in taken:
                    found.setdefault(digest, f"{place}/{name}")
        return [RawBatch(digest, found[digest]) for digest in sorted(found)]

    def _raw_folders(self) -> Iterator[tuple[str, list[str]]]:
        """Every folder of raw batches, relative to the home folder, with its batches."""
        # A day has a hundred thousand batches: no Path is made of each.
        for folder, _, names in sorted(os.walk(self.root / "raw")):
            batches = [name for name in names if name.endswith(RAW_SUFFIX)]
            if batches:
                yield Path(folder).relative_to(self.home).as_posix(), batches

    def _folders(self) -> dict[str, Any]:
        """Which folders each run took batches from, and which are done."""
        path = self.root / "manifests" / FOLDERS
        return json.loads(path.read_bytes()) if path.exists() else {"runs": {}, "done": []}

    def _note_folders(self, day: date, taken: list[RawBatch]) -> None:
        """Note where the batches came from; folders received long before are done: all of them is taken."""
        index = self._folders()
        index["runs"][day.isoformat()] = sorted({batch.path.rpartition("/")[0] for batch in taken})
        long_ago = (day - DONE_AFTER).isoformat()
        done = {place for place, _ in self._raw_folders() if place.rpartition("/")[2] < long_ago}
        index["done"] = sorted(done & {f for folders in index["runs"].values() for f in folders})
        write_atomically(self.root / "manifests" / FOLDERS, to_json(index))

    def size(self, batch: RawBatch) -> int:
        """Bytes of a batch; 0 when its file is gone, which reading it will tell."""
        try:
            return os.stat(f"{self.home}/{batch.path}").st_size
        except FileNotFoundError:
            return 0

    def raw(self, batch: RawBatch) -> bytes:
        """A batch as received; `FileNotFoundError` when it is nowhere. The caller checks its digest."""
        path = f"{self.home}/{batch.path}"
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            if self.store is None:
                raise
        self.store.get(raw_name(batch.digest), Path(path))
        return Path(path).read_bytes()

    def done(self, day: date) -> dict[str, Any] | None:
        """The marker of a closed date, or None."""
        path = self.marker(day)
        return json.loads(path.read_bytes()) if path.exists() else None

    def files(self, day: date, *names: str) -> list[Path]:
        """Files of a finished run whose path begins with one of the names, as they are."""
        marker = self.done(day)
        assert marker is not None, f"{day} is not closed"
        return [self.run_folder(day) / name for name in marker["outputs"] if name.startswith(names)]

    def checked(self, day: date, *names: str) -> list[Path]:
        """Files of a finished run whose path begins with one of the names; LAKE_DAMAGED if altered."""
        marker = self.done(day)
        assert marker is not None, f"{day} is not closed"
        chosen = [name for name in marker["outputs"] if name.startswith(names)]
        paths = []
        for name in chosen:
            path = self.run_folder(day) / name
            if self.store is not None and not path.exists():
                self.store.get(run_name(day, name), path)
            if not path.exists() or digest_of(path) != marker["outputs"][name]:
                raise LAKE_DAMAGED(path=path.relative_to(self.home), date=day, digest=marker["outputs"][name])
            paths.append(path)
        return paths

    def fresh_staging(self, day: date) -> Path:
        """An empty folder to work in."""
        folder = self.staging(day)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def commit(self, day: date) -> None:
        """Put a run's folder in place: the one rename that closes the date."""
        target = self.run_folder(day)
        target.parent.mkdir(parents=True, exist_ok=True)
        sync_tree(self.staging(day))
        os.replace(self.staging(day), target)
        sync(target.parent)

    def publish(self, day: date) -> None:
        """Give office and people their copies; may be repeated."""
        done = self.run_folder(day)
        _mirror(done / "out", self.home / "exchange" / day.isoformat() / "out")
        _mirror(done / "statements", self.home / "statements" / day.isoformat())

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep a second run out while this one works; RUN_IN_PROGRESS."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "clearing.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RUN_IN_PROGRESS(home=self.home) from None
            yield


def vars_of(batch: RawBatch) -> dict[str, str]:
    """A batch as the manifest writes it."""
    return {"digest": batch.digest, "path": batch.path}


def to_json(value: object) -> bytes:
    """JSON that is the same for the same value."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def write_atomically(path: Path, data: bytes) -> None:
    """The file holds all of this or is as it was; durable when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync(path.parent)


def digest_of(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """Relative path to digest, of every file in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(digest_of, files))
    return {path.relative_to(folder).as_posix(): digest for path, digest in zip(files, found, strict=True)}


def sync(path: Path) -> None:
    """Make a file or folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Make a folder and all in it durable."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def _mirror(source: Path, target: Path) -> None:
    """The target folder holds the source's files; linked where it can be, each put in place whole."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        final = target / path.name
        if final.exists() and (final.samefile(path) or digest_of(final) == digest_of(path)):
            continue
        partial = target / f".{path.name}.partial"
        partial.unlink(missing_ok=True)
        try:
            os.link(path, partial)
        except OSError:
            shutil.copyfile(path, partial)
        os.replace(partial, final)


def _date(text: str) -> date:
    return date.fromisoformat(text)
