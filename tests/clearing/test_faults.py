# SPDX-License-Identifier: Apache-2.0
"""Bad input and faults of a run: a clear error or a suspended tap, nothing lost, nothing double."""

from __future__ import annotations

import resource
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from citycard.clearing import run, waiting
from citycard.core.problem import Problem
from tests.clearing.test_parts import in_parts
from tests.clearing.test_runs import ONE, busy
from tests.clearing.world import (
    BUS_TERMINAL,
    DAY,
    METRO_TERMINAL,
    World,
    contract,
    fake_checker,
    files,
    signed,
)


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Writing fails beyond so many bytes of a file, as it does when the disk is full."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("size", [100, 3000])
def test_a_full_disk_closes_nothing_and_with_room_the_run_ends_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, cut: bool
) -> None:
    world = busy(tmp_path / "home")
    if cut:
        in_parts(monkeypatch)
    whole = World(Path(shutil.copytree(world.home, tmp_path / "whole")))
    whole.cards = world.cards
    whole.clear(DAY + ONE)
    with no_file_above(size), pytest.raises(Problem) as told:
        run(world.home, DAY + ONE, fake_checker, rules=world.rules)
    assert told.value.code == "LAKE_FULL"
    assert str(world.home) in told.value.text("zh")
    assert not (world.home / "lake/runs" / str(DAY + ONE)).exists()
    world.clear(DAY + ONE)
    assert files(world.home / "exchange") == files(whole.home / "exchange")


@pytest.mark.parametrize("keep", [10, 111, 112 + 128, 112 + 200])
def test_a_batch_cut_short_is_named_before_and_in_the_run(tmp_path: Path, keep: int) -> None:
    world = World(tmp_path)
    digest = world.upload(world.tap("A", 200), world.tap("B", 200))
    path = next((tmp_path / "lake/raw").rglob("*.ccb"))
    good = path.read_bytes()
    path.write_bytes(good[:keep])
    assert digest in waiting(tmp_path)["damaged"][0]
    with pytest.raises(Problem) as told:
        world.clear()
    assert (told.value.code, digest in str(told.value)) == ("RAW_DAMAGED", True)
    path.write_bytes(good)
    assert world.clear().reasons == {"OK": 2}


def test_a_damaged_state_of_one_part_stops_the_run_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts(monkeypatch)
    world = busy(tmp_path)
    path = sorted((tmp_path / "lake/runs" / str(DAY)).glob("cards/*.parquet"))[-1]
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes((good[-1] ^ 1,)))
    with pytest.raises(Problem) as told:
        world.clear(DAY + ONE)
    assert (told.value.code, path.name in str(told.value)) == ("LAKE_DAMAGED", True)
    path.write_bytes(good)
    assert not world.clear(DAY + ONE).repeated


@pytest.mark.parametrize(
    ("skew", "first", "later"),
    [
        (timedelta(hours=-2), "OK", None),  # within the business date or the one before
        (timedelta(days=-3), "OK", None),
        (timedelta(days=-30), "TOO_LATE", None),
        (timedelta(days=2), "FROM_THE_FUTURE", "OK"),  # waits for its date
        (timedelta(days=400), "FROM_THE_FUTURE", None),  # is not waited for
    ],
)
def test_a_terminal_whose_clock_is_wrong(
    tmp_path: Path, skew: timedelta, first: str, later: str | None
) -> None:
    world = World(tmp_path)
    tap = world.tap("A", 200, tapped_at=world.clock + skew)
    world.upload(tap)
    report = world.clear()
    assert world.verdicts()[tap.id] == first
    assert (report.verdicts.get("suspended", 0) == 1) == (later is not None)
    found: Counter[str] = Counter()
    for number in range(1, 4):
        world.clear(DAY + number * ONE)
        found.update(
            {reason for name, reason in world.verdicts(DAY + number * ONE).items() if name == tap.id}
        )
    assert found["OK"] == (1 if later else 0)


def test_a_correction_is_made_by_a_later_run_and_edits_nothing(tmp_path: Path) -> None:
    """A rate gap suspends; the contract is put right; the next run settles, the closed one stays as it was."""
    world = World(tmp_path)
    world.contracts = [contract(valid_until=DAY - ONE)]
    tap = world.tap("A", 300)
    world.upload(tap)
    world.clear()
    assert (world.verdicts()[tap.id], world.net()) == ("NO_CONTRACT", {})
    closed = files(tmp_path / "exchange" / str(DAY) / "out") | files(tmp_path / "lake/runs" / str(DAY))
    world.contracts = [contract()]
    world.clear(DAY + ONE)
    assert world.verdicts(DAY + ONE)[tap.id] == "OK"
    assert sum(world.net(DAY + ONE).values()) == 0
    assert world.clear(DAY).repeated
    assert (
        files(tmp_path / "exchange" / str(DAY) / "out") | files(tmp_path / "lake/runs" / str(DAY)) == closed
    )
    world.upload(tap, signed(replace(tap, amount_fen=1, list_fen=1)))
    world.clear(DAY + 2 * ONE)
    assert sorted(world.verdicts(DAY + 2 * ONE).values()) == ["CONTENT_CONFLICT", "DUPLICATE"]
    assert world.net(DAY + 2 * ONE) == {}


def test_a_repeat_with_another_card_in_another_part_is_a_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts(monkeypatch, 1)
    world = World(tmp_path)
    for name, digits in (("A", "000"), ("B", "999"), ("C", "500")):
        world.card(name).pan = f"0319900000000000{digits}0"
    mine = world.tap("A", 200, METRO_TERMINAL)
    theirs = replace(signed(replace(world.tap("B", 200, BUS_TERMINAL), terminal=mine.terminal, sequence=mine.sequence,
                                    acquirer=mine.acquirer, service=2)))  # fmt: skip
    world.upload(mine, world.tap("C", 100, METRO_TERMINAL))
    world.upload(theirs, terminal=METRO_TERMINAL)
    report = world.clear()
    assert report.reasons == {"OK": 2, "CONTENT_CONFLICT": 1}
