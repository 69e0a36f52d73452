# SPDX-License-Identifier: Apache-2.0
"""Keeps a copy of the lake on any Arrow filesystem (S3, GCS, HDFS, a mounted folder), and brings it back.

The home folder stays the place where runs work and close: an object store has no rename. What is closed is
copied: raw batches under their digest, then the run's files, and its marker last, so that a run is in the
store whole or not at all. What is missing in the home folder, because it was retained only in the store or
because the machine is a new one, is fetched when it is needed and held against its digest.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyarrow import fs

from citycard.clearing.problems import LAKE_STORE_FAILED

if TYPE_CHECKING:
    from datetime import date

    from citycard.clearing.lake import Lake

BLOCK: Final = 4 * 2**20  # bytes copied at a time
PARTIAL: Final = ".fetching"


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of an Arrow filesystem. Problems: LAKE_STORE_FAILED."""

    filesystem: Any
    base: str

    @classmethod
    def at(cls, where: str) -> Store:
        """The store at a URL such as `s3://bucket/city` or a path."""
        try:
            if "://" in where:
                filesystem, base = fs.FileSystem.from_uri(where)
            else:
                filesystem, base = fs.LocalFileSystem(), str(Path(where).absolute())
        except (OSError, ValueError) as fault:
            raise LAKE_STORE_FAILED(store=where, why=str(fault)[:200]) from None
        return cls(filesystem, base.rstrip("/"))

    def path(self, name: str) -> str:
        """Where a file of the lake lies in the store."""
        return f"{self.base}/{name}"

    def sizes(self, folder: str) -> dict[str, int]:
        """Every file below a folder with its size, by name within the lake."""
        found = self._try(folder, lambda: self.filesystem.get_file_info(
            fs.FileSelector(self.path(folder), allow_not_found=True, recursive=True)))  # fmt: skip
        start = len(self.base) + 1
        return {one.path[start:]: one.size for one in found if one.type == fs.FileType.File}

    def put(self, file: Path, name: str) -> None:
        """Copy a file into the store; the store shows it whole or not at all, as far as it can."""

        def work() -> None:
            folder = self.path(name).rpartition("/")[0]
            self.filesystem.create_dir(folder, recursive=True)
            partial = self.path(name) + PARTIAL
            target = (
                partial
                if isinstance(self.filesystem, fs.LocalFileSystem | fs.SubTreeFileSystem)
                else self.path(name)
            )
            with file.open("rb") as source, self.filesystem.open_output_stream(target) as sink:
                while block := source.read(BLOCK):
                    sink.write(block)
            if target == partial:
                self.filesystem.move(partial, self.path(name))

        self._try(name, work)

    def get(self, name: str, file: Path) -> None:
        """Copy a file of the store to this path."""

        def work() -> None:
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = file.with_name(f".{file.name}{PARTIAL}")
            with self.filesystem.open_input_stream(self.path(name)) as source, partial.open("wb") as sink:
                while block := source.read(BLOCK):
                    sink.write(block)
            os.replace(partial, file)

        self._try(name, work)

    def _try(self, name: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except OSError as fault:
            raise LAKE_STORE_FAILED(store=self.path(name), why=str(fault).splitlines()[0][:200]) from None


def raw_name(digest: str) -> str:
    """Where the store keeps a raw batch: by its digest alone, in folders of moderate size."""
    return f"raw/{digest[:2]}/{digest}.ccb"


def run_name(day: date, name: str) -> str:
    """Where the store keeps a run's file."""
    return f"runs/{day.isoformat()}/{name}"


def push(lake: Lake, store: Store, day: date) -> int:
    """Copy a closed run with its raw batches to the store; returns how many files it had not got."""
    marker = lake.done(day)
    assert marker is not None, f"{day} is not closed"
    there = store.sizes(f"runs/{day.isoformat()}") | store.sizes("raw")
    wanted = {raw_name(batch.digest): lake.home / batch.path for batch in lake.freeze(day)}
    wanted |= {run_name(day, name): lake.run_folder(day) / name for name in marker["outputs"]}
    copied = 0
    for name, path in wanted.items():
        if path.exists() and there.get(name) != path.stat().st_size:
            store.put(path, name)
            copied += 1
    store.put(lake.manifest(day), f"manifests/{day.isoformat()}.json")
    store.put(lake.marker(day), run_name(day, lake.marker(day).name))  # last: now the run is there
    return copied


def pull(lake: Lake, store: Store) -> list[date]:
    """Bring manifests and markers of runs that this home folder does not know; their dates."""
    from datetime import date

    found = []
    for name in sorted(store.sizes("runs")):
        _, day_text, *rest = name.split("/")
        day = date.fromisoformat(day_text)
        if rest == [lake.marker(day).name] and not lake.marker(day).exists():
            store.get(f"manifests/{day_text}.json", lake.manifest(day))
            store.get(name, lake.marker(day))
            found.append(day)
    return found
