# SPDX-License-Identifier: Apache-2.0
"""Keeps the lake in order: what lies in it, whether it is whole, small files into large ones, old taps out.

None of this changes what a closed run says: compaction lays the same rows into fewer files, retention takes
out what no later run looks at. The run's marker is written anew before old files go, so that a process that
dies in between leaves files nobody reads, which the next compaction or retention takes away.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from citycard.clearing.lake import DONE, TIMING, Lake, digest_of, sync, to_json, write_atomically
from citycard.clearing.problems import RETENTION_SHORT
from citycard.core.calendar import Calendar

FILE_BYTES: Final = 256 * 2**20  # a file of this size is large enough
GROUP_ROWS: Final = 500_000  # rows of a row group: what a reader holds at once
TAPS: Final = ("taps/", "shares/", "shares.parquet", "movements/", "movements.parquet")
CARRIED: Final = ("cards/", "cards.parquet", "open_loads/", "open_loads.parquet")
Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """No progress told."""


def stats(home: Path | str) -> dict[str, Any]:
    """What lies in the lake: raw batches, and each run with its taps, files and bytes."""
    lake = Lake(Path(home))
    raw = [path.stat().st_size for path in (lake.root / "raw").rglob("*.ccb")]
    runs = {}
    for day in lake.finished():
        marker = lake.done(day)
        assert marker is not None
        sizes = {name: path.stat().st_size for name in marker["outputs"]
                 if (path := lake.run_folder(day) / name).exists()}  # fmt: skip
        runs[day.isoformat()] = {
            "taps": marker["report"]["taps"],
            "files": len(sizes),
            "bytes": sum(sizes.values()),
            "tap_files": sum(name.startswith("taps/") for name in sizes),
        }
    return {"raw_batches": len(raw), "raw_bytes": sum(raw), "runs": runs}


def check(home: Path | str, progress: Progress = silent) -> dict[str, Any]:
    """Hold every raw batch and every file of every run against its digest; what is damaged or gone."""
    lake = Lake(Path(home))
    wanted: dict[Path, str] = {path: path.stem for path in (lake.root / "raw").rglob("*.ccb")}
    gone = []
    for day in lake.finished():
        marker = lake.done(day)
        assert marker is not None
        wanted |= {lake.run_folder(day) / name: digest for name, digest in marker["outputs"].items()}
        if "raw" not in marker.get("removed", []):
            gone += [batch.path for batch in lake.freeze(day) if not (lake.home / batch.path).exists()]
    damaged = []
    for number, (path, digest) in enumerate(sorted(wanted.items()), 1):
        name = path.relative_to(lake.home).as_posix()
        if not path.exists():
            gone.append(name)
        elif digest_of(path) != digest:
            damaged.append(name)
        progress("files", number, len(wanted))
    return {"files": len(wanted), "damaged": damaged, "gone": sorted(gone), "sound": not (damaged or gone)}


def compact(home: Path | str, progress: Progress = silent) -> dict[str, Any]:
    """Lay the small files of each folder of taps into large ones; LAKE_DAMAGED before anything is lost."""
    lake = Lake(Path(home))
    before = after = 0
    with lake.alone():
        days = lake.finished()
        for number, day in enumerate(days, 1):
            marker = lake.done(day)
            assert marker is not None
            folder = lake.run_folder(day)
            groups: defaultdict[Path, list[Path]] = defaultdict(list)
            for path in lake.checked(day, *TAPS):
                groups[path.parent].append(path)
            merged: dict[str, str] = {}
            for place, files in groups.items():
                if place == folder or not _worth(files):
                    before, after = before + len(files), after + len(files)
                    continue
                made = _merge(files)
                merged |= {path.relative_to(folder).as_posix(): "" for path in files}
                merged |= {path.relative_to(folder).as_posix(): digest_of(path) for path in made}
                before, after = before + len(files), after + len(made)
            if merged:
                outputs = {**marker["outputs"], **merged}
                marker["outputs"] = {name: digest for name, digest in outputs.items() if digest}
                _rewrite(lake, day, marker)
            _sweep(lake, day, marker)
            progress("runs", number, len(days))
    return {"files_before": before, "files_after": after}


def retain(
    home: Path | str,
    days: int,
    calendar: Calendar | None = None,
    *,
    raw: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Take out the taps and carried state of runs more than `days` before the newest one.

    `raw`: their raw batches as well. What was told to office and people stays for ever. RETENTION_SHORT.
    """
    least = (calendar or Calendar()).late_days + 1
    if days < least:
        raise RETENTION_SHORT(least=least)
    lake = Lake(Path(home))
    files = freed = 0
    with lake.alone():
        finished = lake.finished()
        old = [day for day in finished if day < finished[-1] - timedelta(days=days)]
        for number, day in enumerate(old, 1):
            marker = lake.done(day)
            assert marker is not None
            out = [name for name in marker["outputs"] if name.startswith((*TAPS, *CARRIED))]
            batches = [lake.home / batch.path for batch in lake.freeze(day)] if raw else []
            found = [p for p in [*(lake.run_folder(day) / name for name in out), *batches] if p.exists()]
            files, freed = files + len(found), freed + sum(path.stat().st_size for path in found)
            removed = sorted({*marker.get("removed", []), "taps", *(["raw"] if raw else [])})
            if out or found:
                marker["outputs"] = {n: d for n, d in marker["outputs"].items() if n not in set(out)}
                marker["removed"] = removed
                _rewrite(lake, day, marker)
            for path in batches:
                path.unlink(missing_ok=True)
            _sweep(lake, day, marker)
            progress("runs", number, len(old))
    return {"runs": [day.isoformat() for day in old], "files": files, "bytes": freed}


def _worth(files: list[Path]) -> bool:
    return sum(path.stat().st_size < FILE_BYTES for path in files) > 1


def _merge(files: list[Path]) -> list[Path]:
    """The rows of files in order of their names, in as few files as is fit; the old files stay."""
    place = files[0].parent
    made: list[Path] = []
    writer: pq.ParquetWriter | None = None
    stem = hashlib.sha256("".join(path.name for path in sorted(files)).encode()).hexdigest()[:8]
    try:
        for path in sorted(files):
            for batch in pq.ParquetFile(path).iter_batches(GROUP_ROWS):
                if writer is None or made[-1].stat().st_size >= FILE_BYTES:
                    if writer is not None:
                        writer.close()
                    made.append(place / f"whole-{stem}-{len(made):03d}.parquet")
                    writer = pq.ParquetWriter(made[-1], batch.schema, compression="zstd")
                writer.write_batch(batch)
    finally:
        if writer is not None:
            writer.close()
    for path in made:
        sync(path)
    return made


def _rewrite(lake: Lake, day: date, marker: dict[str, Any]) -> None:
    write_atomically(lake.run_folder(day) / DONE, to_json(marker))


def _sweep(lake: Lake, day: date, marker: dict[str, Any]) -> None:
    """Remove files of a run its marker does not name, and folders left empty."""
    folder = lake.run_folder(day)
    named = {folder / name for name in marker["outputs"]} | {folder / DONE, folder / TIMING}
    _remove(path for path in folder.rglob("*") if path.is_file() and path not in named)
    for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        if not any(path.iterdir()):
            path.rmdir()


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink()
