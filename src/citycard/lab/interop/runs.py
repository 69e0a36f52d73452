# SPDX-License-Identifier: Apache-2.0
"""Clearing runs worked once: a run is a function of its frozen input, so the same input gives the same run.

The many courses of one life differ in what befalls their files, not in what most evenings bring to clearing.
What a run left for an input is kept, and put in place when the same batches, tables and last run come again.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from citycard.clearing import RunReport, run
from citycard.clearing.lake import Lake, digest_of, digests


class Runs:
    """Runs kept in a folder; call it as `clearing.run`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reports: dict[str, RunReport] = {}
        self.worked = 0  # of all asked for, those that had to be worked

    def __call__(self, home: Path, day: date, *ports: Any, **more: Any) -> RunReport:
        """Clear a date of a home, or put the run in place that the same input gave before."""
        lake = Lake(home)
        if lake.done(day) is not None:
            return run(home, day, *ports, **more)
        name = _input(lake, day)
        kept = self._folder / name
        if name in self._reports:
            lake.freeze(day)
            shutil.copytree(kept, lake.run_folder(day))
            lake.publish(day)
            return replace(self._reports[name], repeated=False)
        report = run(home, day, *ports, **more)
        self.worked += 1
        shutil.copytree(lake.run_folder(day), kept)
        self._reports[name] = report
        return report


def _input(lake: Lake, day: date) -> str:
    """A digest of everything a run of the date would read."""
    finished = [one for one in lake.finished() if one < day]
    before = [digest_of(lake.marker(finished[-1]))] if finished else []
    tables = [f"{name} {digest}" for name, digest in digests(lake.inputs(day)).items()]
    batches = [
        batch.digest for batch in (lake.freeze(day) if lake.manifest(day).exists() else lake.unassigned())
    ]
    said = [lake.home.name, day.isoformat(), *before, *tables, *batches]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()
