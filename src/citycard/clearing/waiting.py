# SPDX-License-Identifier: Apache-2.0
"""What lies in the lake and has not been cleared: the look an operator takes before a run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from citycard.clearing.lake import Lake, digest_of
from citycard.core.record import BatchError, open_batch


def waiting(home: Path | str) -> dict[str, Any]:
    """Batches, records and fen not yet taken by a run, by terminal, and files that are not whole."""
    lake = Lake(Path(home))
    terminals: Counter[str] = Counter()
    damaged: list[str] = []
    batches = total_fen = 0
    for found in lake.unassigned():
        path = lake.home / found.path
        try:
            batch = open_batch(path.read_bytes())
        except (BatchError, OSError) as problem:
            damaged.append(f"{found.path}: {problem}")
            continue
        if digest_of(path) != found.digest:
            damaged.append(f"{found.path}: its content is not what its name says")
            continue
        batches += 1
        total_fen += batch.header["total_fen"]
        terminals[batch.header["terminal"].hex()] += batch.header["count"]
    return {
        "batches": batches,
        "records": terminals.total(),
        "total_fen": total_fen,
        "records_by_terminal": dict(sorted(terminals.items())),
        "damaged": damaged,
    }
