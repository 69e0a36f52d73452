# SPDX-License-Identifier: Apache-2.0
"""What a cluster's workers do, without a cluster: decode what the driver names, with the driver's verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard import __version__
from citycard.clearing import worker
from citycard.clearing.decode import TAPS, decode
from citycard.clearing.lake import Lake
from citycard.clearing.shards import CODES, Shards, codes
from citycard.core.calendar import Calendar
from citycard.core.problem import Problem
from citycard.core.record import HEADER_SIZE, RECORD_SIZE
from tests.clearing.world import DAY, World

CALENDAR = Calendar()


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    found.upload(found.tap("A", 200), b"\xff" * RECORD_SIZE, found.tap("B", 300), found.load("C"))
    found.upload(*[found.tap("A", 100 + n) for n in range(9)])
    found.upload(found.tap("D", 100))
    return found


def verdicts(lake: Lake) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Every third TAC is wrong; told by position, not batch by batch."""
    found = [(n, at) for n, batch in enumerate(lake.unassigned())
             for at in range((lake.size(batch) - HEADER_SIZE) // RECORD_SIZE)]  # fmt: skip
    for at in (0, 1):
        some = np.array(sorted(found, key=lambda one: (one[1], one[0]))[at::2])
        yield some[:, 0], some[:, 1], (some[:, 0] + some[:, 1]) % 3 > 0


def decoded(world: World, plan: pa.Table, version: str = __version__) -> pa.Table:
    home = str(world.home)
    batches = worker.decode_batches(home, DAY, CALENDAR, version, plan.to_batches(max_chunksize=2))
    return pa.Table.from_batches(batches, TAPS)


@pytest.mark.parametrize("together", [1, 4, 1000])
def test_a_worker_decodes_each_record_as_the_driver_would(
    world: World, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(worker, "CHUNK_RECORDS", together)
    lake = Lake(world.home)
    table = decoded(world, worker.plan(lake, lake.unassigned(), verdicts(lake)))
    wanted = []
    for number, batch in enumerate(lake.unassigned()):
        body, closed = worker.read_batch(lake, batch, DAY)
        at = np.arange(len(body) // RECORD_SIZE)
        one = decode(body, np.full(len(at), number), at, np.full(len(at), closed), CALENDAR)
        wanted.append(one.table((number + at) % 3 > 0))
    order = [("batch_no", "ascending"), ("position", "ascending")]
    assert table.sort_by(order) == pa.concat_tables(wanted).combine_chunks().sort_by(order)
    assert len(table) == 14
    assert 0 < table["tac_ok"].to_pylist().count(False) < 14


def test_nothing_to_decode_is_an_empty_table(world: World) -> None:
    assert decoded(world, worker.plan(Lake(world.home), [], [])) == TAPS.empty_table()


def test_a_worker_refuses_a_batch_that_changed_on_the_way_and_a_driver_of_another_version(
    world: World,
) -> None:
    lake = Lake(world.home)
    plan = worker.plan(lake, lake.unassigned(), verdicts(lake))
    with pytest.raises(RuntimeError, match=r"driver is citycard 0\.0"):
        decoded(world, plan, "0.0")
    path = world.home / lake.unassigned()[1].path
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(Problem) as told:
        decoded(world, plan)
    assert told.value.code == "RAW_DAMAGED"


def test_no_key_is_in_what_a_worker_is_sent(world: World) -> None:
    assert worker.PLAN.names == ["batch_no", "digest", "path", "records", "tac"]
    lake = Lake(world.home)
    bits = worker.plan(lake, lake.unassigned(), verdicts(lake))["tac"].to_pylist()
    assert [len(some) for some in bits] == [-(-(lake.size(b) - HEADER_SIZE) // RECORD_SIZE // 8)
                                            for b in lake.unassigned()]  # fmt: skip


@settings(max_examples=40)
@given(st.integers(1, CODES), st.lists(st.text("0123456789abcdef", min_size=20, max_size=20), min_size=1))
def test_sql_deals_cards_out_as_the_driver_does(count: int, pans: list[str]) -> None:
    shards = Shards(count)
    raw = np.frombuffer(bytes.fromhex("".join(pans)), "u1").reshape(-1, 10)
    with duckdb.connect(":memory:", config={"threads": 1}) as db:
        db.register("cards", pa.table({"pan": pans}))
        found = db.execute(f"SELECT {shards.number()} FROM cards").fetchall()
    assert [number for (number,) in found] == shards.table()[codes(raw)].tolist()
