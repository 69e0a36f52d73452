# SPDX-License-Identifier: Apache-2.0
"""What a run does otherwise on a cluster: its workers decode the taps, and they write the results.

The driver reads every raw batch once, finds the repeats and verifies the TACs: the keys stay in its process.
Results lie as a run in many parts lays them: the same files, named by the same parts of the cards.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from citycard import __version__
from citycard.clearing import judge, worker
from citycard.clearing import sources as s
from citycard.clearing.engine import Step
from citycard.clearing.outputs import FOLDERS, LAKE_TABLES, SCRATCH, TAP_ORDER
from citycard.clearing.part import Shared
from citycard.clearing.rules import ALL
from citycard.clearing.shards import Shards
from citycard.clearing.spark import SparkEngine


def give_taps(engine: SparkEngine, home: Path, shared: Shared, plan: pa.Table) -> None:
    """Let the workers decode the batches of a plan (`worker.plan`) as the table of taps."""
    work = partial(worker.decode_batches, str(home.absolute()), shared.day, shared.calendar, __version__)
    engine.give_made(s.TAPS, plan, work)


def write_results(engine: SparkEngine, folder: Path, shards: Shards, detail: str) -> None:
    """As `outputs.write_part` does for each part of a run: taps, and the lake's tables."""
    for levels, number, file in _written(engine, judge.KEPT, folder, (FOLDERS, TAP_ORDER), shards):
        verdict, day, issuer = levels
        place = folder / f"taps/verdict={verdict}/business_date={day}/issuer={issuer}"
        place.mkdir(parents=True, exist_ok=True)
        os.replace(file, place / f"part-{number:03d}.parquet")
    for name, step, order in LAKE_TABLES[detail == ALL]:
        for _, number, file in _written(engine, step, folder, ((), order), shards):
            target = folder / shards.file(name, number)
            target.parent.mkdir(exist_ok=True)
            os.replace(file, target)


def _written(
    engine: SparkEngine, step: Step, folder: Path, by: tuple[Sequence[str], Sequence[str]], shards: Shards
) -> Iterator[tuple[list[str], int, Path]]:
    """The files workers wrote of a step `by` folders and order: the folders' values, the part, the file."""
    scratch = folder / SCRATCH / step.name
    engine.write_apart(step, scratch, *by, shards)
    for file in sorted(scratch.rglob("part-*.parquet")):
        *levels, number = (level.partition("=")[2] for level in file.parent.relative_to(scratch).parts)
        yield levels, int(number), file
    shutil.rmtree(scratch)
