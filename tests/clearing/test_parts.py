# SPDX-License-Identifier: Apache-2.0
"""A run cut into parts by card says what the run in one says, whatever ties its records together."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citycard.clearing.decode import card_number, card_numbers, hex_codes
from citycard.clearing.rules import ALL, EXCEPTIONS
from citycard.clearing.shards import CODES, DIGITS, Shards, codes
from tests.clearing.test_runs import ONE, Killed, busy
from tests.clearing.world import BUS_TERMINAL, DAY, METRO_TERMINAL, World, files, signed

RUN = import_module("citycard.clearing.run")
INTAKE = import_module("citycard.clearing.intake")


def in_parts(monkeypatch: pytest.MonkeyPatch, records: int = 2) -> None:
    """From now on days are cut into parts of so few records."""
    monkeypatch.setattr(RUN, "SMALL_BYTES", 0)
    monkeypatch.setattr(RUN, "PART_RECORDS", records)
    monkeypatch.setattr(INTAKE, "CHUNK_RECORDS", 3)


def spread(world: World) -> World:
    """Cards whose numbers go to many parts."""
    for name, digits in zip("ABCDEF", ("0001", "2502", "4993", "5004", "7505", "9996"), strict=True):
        world.card(name, 100_000).pan = f"031990000000000{digits}0"
    return world


def three_days(home: Path, detail: str = ALL) -> World:
    """Repeats over cards and days, a forged name, a gap, loads, a tap that waits and returns."""
    world = spread(World(home))
    world.rules = replace(world.rules, verdicts_to_office=detail)
    first = [world.tap(name, 200 + n, METRO_TERMINAL) for n, name in enumerate("ABCDEF")]
    stolen = signed(
        replace(world.tap("E", 999, BUS_TERMINAL), sequence=first[0].sequence, terminal=first[0].terminal)
    )
    world.upload(*first[:4])
    world.upload(*first[3:], stolen, b"\xff" * 128, terminal=METRO_TERMINAL)
    world.clear(DAY)
    late = world.tap("B", 300)
    after = world.tap("B", 310)
    world.upload(first[0], after, world.load("C", 5_000), world.tap("C", 400), terminal=BUS_TERMINAL)
    world.clear(DAY + ONE)
    world.upload(late, signed(replace(first[1], amount_fen=1, list_fen=1)))
    world.clear(DAY + 2 * ONE)
    return world


def rows_of(home: Path) -> dict[str, list[str]]:
    """Every lake table of every run as sorted rows, in however many files it lies."""
    found: dict[str, list[str]] = {}
    for path in sorted((home / "lake" / "runs").rglob("*.parquet")):
        table = path.parent.relative_to(home).as_posix()
        if path.name.startswith("part-") and "taps" not in table:
            table, name = table.rpartition("/")[0], table.rpartition("/")[2]
        else:
            name = "taps" if path.name.startswith("part-") else path.stem
        found.setdefault(f"{table}/{name}", []).extend(map(repr, pq.ParquetFile(path).read().to_pylist()))
    return {name: sorted(rows) for name, rows in found.items() if rows}


@pytest.mark.parametrize("detail", [ALL, EXCEPTIONS])
def test_many_parts_say_what_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detail: str) -> None:
    one = three_days(tmp_path / "one", detail)
    in_parts(monkeypatch)
    many = three_days(tmp_path / "many", detail)
    assert list((many.home / "lake/runs" / str(DAY + ONE)).glob("cards/part-*-of-*.parquet")), "it was cut"
    assert files(one.home / "exchange") == files(many.home / "exchange")
    assert files(one.home / "statements") == files(many.home / "statements")
    assert rows_of(one.home) == rows_of(many.home)
    assert not list((many.home / "lake").rglob("*.records"))


def test_parts_worked_in_any_order_leave_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts(monkeypatch)
    homes = []
    for workers in (1, 2):
        monkeypatch.setattr(INTAKE, "WORKERS", workers)
        homes.append(three_days(tmp_path / str(workers)).home)
    assert files(homes[0]) == files(homes[1])


def test_killed_in_any_part_a_run_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_parts(monkeypatch)
    monkeypatch.setattr(INTAKE, "WORKERS", 1)
    names: list[str] = []
    whole = busy(tmp_path / "whole")
    whole.clear(DAY + ONE, names.append)
    assert len(names) == len(set(names))
    wanted = files(whole.home)
    for name in [*[n for n in names if "part" in n][::17], "read 1", "history", "bring together"]:
        world = busy(tmp_path / name.replace(" ", "-"))

        def die(at: str, name: str = name) -> None:
            if at == name:
                raise Killed

        with pytest.raises(Killed):
            world.clear(DAY + ONE, die)
        world.clear(DAY + ONE)
        assert files(world.home) == wanted, name


def test_a_run_cut_otherwise_than_the_one_before_finds_its_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = three_days(tmp_path / "plain")
    world = spread(World(tmp_path / "cut"))
    sizes = iter((2, 1, 3))
    clear = world.clear

    def otherwise(day: object, **more: object) -> object:
        in_parts(monkeypatch, next(sizes))
        return clear(day, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(World, "clear", lambda self, day=DAY, **more: otherwise(day, **more))
    monkeypatch.setattr("tests.clearing.test_parts.spread", lambda _: world)
    three_days(tmp_path / "cut")
    assert files(plain.home / "exchange") == files(world.home / "exchange")


@given(st.integers(1, CODES), st.text("0123456789", min_size=20, max_size=20))
def test_each_card_is_in_one_part_however_it_is_asked(count: int, pan: str) -> None:
    shards = Shards(count)
    digits = pan[DIGITS]
    raw = np.frombuffer(bytes.fromhex(pan), "u1").reshape(1, 10)
    number = int(shards.table()[codes(raw)][0])
    assert [n for n in range(count) if shards.bound(n) <= digits < shards.bound(n + 1)] == [number]
    assert shards.table()[hex_codes(pa.chunked_array([[pan]]))][0] == number
    assert shards.holds(Shards(count).file("cards", number), number)


@given(st.lists(st.text("0123456789", min_size=19, max_size=19), min_size=1, unique=True))
def test_card_numbers_are_told_apart_as_text_and_as_bytes(numbers: list[str]) -> None:
    pans = ["0" + number for number in numbers]
    raw = np.frombuffer(bytes.fromhex("".join(pans)), "u1").reshape(-1, 10)
    found = card_number(raw)
    assert len(set(found.tolist())) == len(pans)
    assert found.tolist() == card_numbers(pa.chunked_array([pans])).tolist()
    odd = card_numbers(pa.chunked_array([[*pans, "not a number"]]))
    assert found.tolist() == odd.tolist()[:-1]


def test_in_brief_totals_stand_for_the_taps_not_told(tmp_path: Path) -> None:
    full, brief = three_days(tmp_path / "full"), three_days(tmp_path / "brief", EXCEPTIONS)
    out = {name: (brief.home / "exchange" / str(DAY + ONE) / "out" / f"{name}.csv") for name in
           ("verdicts", "totals", "loads", "movements")}  # fmt: skip
    assert not out["movements"].exists()
    told = {row["tap"] for row in brief.out("verdicts", DAY + ONE)}
    rows = full.out("verdicts", DAY + ONE)
    assert told == {r["tap"] for r in rows if r["verdict"] != "accepted" and r["reason"] != "DUPLICATE"}
    assert full.net(DAY + ONE) == brief.net(DAY + ONE)
    taps = sum(int(line.split(",")[6]) for line in out["totals"].read_text().splitlines()[2:])
    assert taps == len(rows)
    assert len(out["loads"].read_text().splitlines()) == 3


def test_rules_know_their_words() -> None:
    from citycard.clearing import Rules

    with pytest.raises(ValueError, match="verdicts_to_office"):
        Rules(verdicts_to_office="some")


def test_late_days_are_days(tmp_path: Path) -> None:
    """A part's taps of another business date lie in that date's folder."""
    world = spread(World(tmp_path))
    yesterday = world.tap("A", 100, tapped_at=world.clock - timedelta(days=1))
    world.upload(yesterday, world.tap("B", 100))
    world.clear()
    found = {path.parent.parent.name for path in (tmp_path / "lake/runs" / str(DAY)).rglob("part-*.parquet")}
    assert found == {f"business_date={DAY}", f"business_date={DAY - ONE}"}
