# SPDX-License-Identifier: Apache-2.0
"""Keeps raw batches: one file per batch under HOME/lake/raw/{date received}/{digest}.ccb, durable.

A file appears whole or not at all, and only files named `.ccb` are batches: a process that dies while it
writes leaves a `.part` file, which nobody reads and the next upload of the same batch replaces.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Final

RAW: Final = Path("lake") / "raw"
LOOK_BACK: Final = 31  # date folders searched for a file whose row was never written; terminals retry in days


def store(home: Path, received_on: date, digest: str, raw: bytes) -> Path:
    """Write and fsync the batch; its path relative to home. A file that is there already is left alone."""
    found = find(home, digest)
    if found is not None:
        return found
    path = RAW / received_on.isoformat() / f"{digest}.ccb"
    folder = (home / path).parent
    if not folder.is_dir():
        _make(folder)
    part = folder / f".{digest}.{os.getpid()}.part"
    with part.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    part.replace(home / path)
    _sync(folder)
    return path


def find(home: Path, digest: str) -> Path | None:
    """Where a batch is kept, relative to home, among the newest date folders."""
    root = home / RAW
    if not root.is_dir():
        return None
    for day in sorted(os.listdir(root), reverse=True)[:LOOK_BACK]:
        if (root / day / f"{digest}.ccb").is_file():
            return RAW / day / f"{digest}.ccb"
    return None


def _make(folder: Path) -> None:
    """Make a folder and its parents, each durable in the one above it."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
