# SPDX-License-Identifier: Apache-2.0
"""Journeys are shared by the period in which they began: tap by tap by the matrix's row, and nothing else is."""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections import Counter, defaultdict
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from citycard.clearing import periods
from citycard.clearing import sources as s
from citycard.clearing.apportion import Network, build
from citycard.clearing.apportion.matrix import install, totals
from citycard.clearing.engine import DuckEngine, Source, Step
from citycard.clearing.lake import DONE, digest_of
from citycard.clearing.trace import taps_of_line, trace
from citycard.cli import app
from citycard.core.money import split_fen
from citycard.core.problem import Problem
from tests.apportion.two_ways import (
    D3,
    HOLIDAY,
    MATRIX,
    PERIODS,
    SATURDAY,
    TWO_WAYS,
    WORKED,
    A,
    B,
    D,
    Z,
    network,
    ride,
)
from tests.clearing.test_parts import in_parts, rows_of, spread
from tests.clearing.test_properties import RUNS
from tests.clearing.test_runs import Killed
from tests.clearing.world import BUS, BUS_TERMINAL, DAY, METRO, World, contract, files

ONE = timedelta(days=1)


def at(hour: int, minute: int = 0, day: date = DAY) -> datetime:
    return datetime.combine(day, time(hour, minute))


def operators(world: World, day: date = DAY) -> dict[str, dict[str, int]]:
    """Of each tap of a run what operators got of its fare, the acquirer's side with a minus."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in pq.read_table(world.home / f"lake/runs/{day}/shares.parquet").to_pylist():
        if row["cause"] == "operator_share":
            found[row["tap"]][row["participant"]] = row["amount_fen"]
    return found


def by_row(start: str, goal: str, period: str, pot_fen: int) -> dict[str, int]:
    """What the matrix's row of a period makes of a sum; the metro collected it."""
    who, parts = zip(*MATRIX.shares(start, goal, period), strict=True)
    fen = dict(zip(who, split_fen(pot_fen, parts), strict=True))
    return {one: part for one, part in {**fen, METRO: -pot_fen}.items() if part}


def test_the_story_has_shares_that_differ() -> None:
    rows = [MATRIX.shares("a", "d", period) for period in PERIODS]
    assert len(set(rows)) == len(PERIODS)
    assert totals(MATRIX.pairs.values()) == {1_000_000}
    assert dict(rows[-1]) == {BUS: 1_000_000}, "at night nobody waits for line 3"
    assert MATRIX.shares("a", "d", "unheard of") == rows[0]


def morning(world: World, *killed_at: str) -> dict[str, tuple[str, str, str]]:
    """A peak and an off-peak morning on many cards; which row of the matrix each tap is to be shared by."""
    install(world.home, network(), MATRIX)
    spread(world)
    told = [
        ("A", A, D, at(6, 59), {}, "a d "),
        ("B", A, D, at(7, 0), {}, "a d peak"),  # ends in the peak as well
        ("C", A, D3, at(8, 59), {}, "a d peak"),  # ends after it: the entry counts, whatever the gate
        ("D", A, D, at(9, 0), {}, "a d "),
        ("E", D, A, at(8, 0), {"entry_at": None}, "d a peak"),  # no entry moment: that of the tap, 8:30
        ("F", D, A, at(8, 45), {"entry_at": None}, "d a "),
        ("A", B, D, at(23, 0), {}, "b d night"),
        ("B", A, A, at(7, 30), {}, ""),  # left where entered: no journey of the network
        ("C", A, Z, at(7, 30), {}, ""),  # closed
        ("D", A, (100, 7), at(7, 30), {}, ""),  # the bus knows no network
        ("E", (0, 0), D, at(7, 30), {}, ""),  # no entry known
    ]  # fmt: skip
    wanted: dict[str, tuple[str, str, str]] = {}
    records = []
    for name, start, goal, moment, more, row in told:
        records.append(ride(world, name, start, goal, moment, **more))
        if row:
            origin, target, period = row.split(" ")
            wanted[records[-1].id] = (origin, target, period)
    buses = [world.tap(name, 200, BUS_TERMINAL, tapped_at=at(hour), line=100)
             for name, hour in (("F", 8), ("F", 12))]  # fmt: skip
    world.upload(*records[:5])
    world.upload(*records[4:])  # one of them again
    world.upload(*buses)
    for name in killed_at:

        def die(at: str, name: str = name) -> None:
            if at == name:
                raise Killed

        with pytest.raises(Killed):
            world.clear(checkpoint=die)
    world.clear()
    return wanted


def test_peak_and_off_peak_are_shared_apart_in_one_part_and_in_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = World(tmp_path / "one")
    wanted = morning(one)
    got = operators(one)
    pot_fen = 407 - 4  # the fee is one in a hundred
    for tap, (start, goal, period) in wanted.items():
        assert got[tap] == by_row(start, goal, period, pot_fen), (tap, period)
    places = pq.read_table(one.home / f"lake/runs/{DAY}/places.parquet").to_pylist()
    assert {p["period"] for p in places if not p["entry_line"] or p["line"] == 100} == {""}
    assert len([p for p in places if p["service"] == 1]) == 1, "a bus stop is one place all day"
    assert (
        len(places) == 6 + 4 + 1
    )  # pairs by period; left where entered, closed, bus gate, no entry; the bus

    again = World(tmp_path / "again")
    morning(again, "like_taps", "office written")
    assert files(one.home) == files(again.home)

    in_parts(monkeypatch)
    many = World(tmp_path / "many")
    morning(many)
    assert files(one.home / "exchange") == files(many.home / "exchange")
    assert files(one.home / "statements") == files(many.home / "statements")
    assert rows_of(one.home) == rows_of(many.home)
    assert list((many.home / "lake/runs" / str(DAY)).glob("cards/part-*-of-*.parquet")), "it was cut"


def test_a_tap_that_waited_is_shared_by_the_hour_it_began(tmp_path: Path) -> None:
    world = World(tmp_path)
    install(world.home, network(), MATRIX)
    late = ride(world, "A", A, D, at(6))
    waits = ride(world, "A", A, D, at(7, 30))
    world.upload(waits)
    world.clear()
    assert not operators(world)
    world.upload(late)
    world.clear(DAY + ONE)  # a holiday; the journeys were made on a day of work
    got = operators(world, DAY + ONE)
    assert got[waits.id] == by_row("a", "d", "peak", 403)
    assert got[late.id] == by_row("a", "d", "", 403)


def test_trace_and_lines_tell_the_period(tmp_path: Path) -> None:
    world = World(tmp_path)
    wanted = morning(world)
    install(world.home, network(version=2, periods=[]), build(network(version=2, periods=[])))  # later news
    for tap, (_, _, period) in wanted.items():
        assert trace(world.home, tap)["history"][0]["period"] == period
    for line in world.out("revenue"):
        key = {name: line[name] for name in ("participant", "service", "counterparty", "cause")}
        taps = taps_of_line(world.home, DAY, key)
        assert (len(taps), sum(tap["amount_fen"] for tap in taps)) == (line["taps"], line["amount_fen"])
        assert all(tap["period"] == wanted.get(tap["tap"], ("", "", ""))[2] for tap in taps)
    peak = next(tap for tap, (_, _, period) in wanted.items() if period == "peak")
    shown = CliRunner().invoke(app, ["trace", peak, "--home", str(world.home)]).stdout
    assert "shared as in peak" in shown


def test_a_run_of_before_there_were_periods_can_still_be_traced(tmp_path: Path) -> None:
    world = World(tmp_path)
    tap = ride(world, "A", A, D, at(7, 30))
    world.upload(tap)
    world.clear()
    folder = world.home / f"lake/runs/{DAY}"
    assert not (folder / "periods.parquet").exists(), "no network, no periods"
    marker = json.loads((folder / DONE).read_bytes())
    pq.write_table(
        pq.read_table(folder / "places.parquet").drop_columns(["period"]), folder / "places.parquet"
    )
    marker["outputs"]["places.parquet"] = digest_of(folder / "places.parquet")
    (folder / DONE).write_text(json.dumps(marker))
    (seen,) = trace(world.home, tap.id)["history"]
    assert seen["period"] == ""
    assert sum(share["amount_fen"] for share in seen["shares"]) == 0 != len(seen["shares"])


def some_rides(seed: int) -> list[tuple[Any, ...]]:
    """(entry, exit, second of the day, fen, is the entry's moment known, was it a bus), enough for every period."""
    dice = random.Random(seed)
    starts, goals = [A, A, B, D, (2, 2), (0, 0), (100, 1)], [A, D, D, D3, Z, (100, 1)]
    return [
        (dice.choice(starts), dice.choice(goals), dice.randrange(86_400), dice.randint(0, 5_000),
         dice.random() < 0.7, dice.random() < 0.1)
        for _ in range(60)
    ]  # fmt: skip


@RUNS
@given(st.integers(0, 2**32), st.sampled_from([DAY, HOLIDAY, SATURDAY, WORKED]))
def test_every_fare_is_shared_whole_and_by_the_row_of_its_period(seed: int, day: date) -> None:
    story = some_rides(seed)
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        install(world.home, network(), MATRIX)
        world.card("A", 1_000_000)
        world.contracts = [contract(charge_bp=0, acquirer_bp=0, issuer_bp=0)]
        wanted: dict[str, dict[str, int]] = {}
        sent = []
        for start, goal, second, fen, entered, bus in story:
            moment = at(0, day=day) + timedelta(seconds=second)
            if bus:
                sent.append(world.tap("A", fen, BUS_TERMINAL, tapped_at=moment))
                wanted[sent[-1].id] = {}
                continue
            known = {"entry_at": moment} if entered else {"entry_at": None, "tapped_at": moment}
            sent.append(ride(world, "A", start, goal, moment, fen=fen, **known))
            wanted[sent[-1].id] = row_of(start, goal, moment, fen)
        world.upload(*sent)
        report = world.clear(day + ONE)  # rides may end after midnight
        assert report.reasons == {"OK": len(story)}
        got = operators(world, day + ONE)
        assert {tap: got.get(tap, {}) for tap in wanted} == wanted
        per_tap: Counter[str] = Counter()
        for row in pq.read_table(world.home / f"lake/runs/{day + ONE}/shares.parquet").to_pylist():
            per_tap[row["tap"]] += row["amount_fen"]
        assert not any(per_tap.values())


def row_of(start: tuple[int, int], goal: tuple[int, int], moment: datetime, fen: int) -> dict[str, int]:
    """The shares of a journey by the network's own word for its period; none: the acquirer keeps the fare."""
    places = network().platforms
    if start not in places or goal not in places or not MATRIX.shares(places[start], places[goal]):
        return {}
    return by_row(places[start], places[goal], network().period_at(moment), fen)


BEGUN = Source("begun", pa.schema([("entry_at", s.MOMENT), ("tapped_at", s.MOMENT)]))
TIMED = Step("timed", periods.timed, BEGUN, s.PERIODS, s.SPECIAL_DAYS)


@given(st.lists(st.datetimes(datetime(2026, 2, 28), datetime(2026, 3, 12)), max_size=50), st.booleans())
@settings(max_examples=30)
def test_the_joined_period_is_the_one_the_network_names(moments: list[datetime], entered: bool) -> None:
    edges = [
        datetime.combine(day, t)
        for day in (DAY, HOLIDAY, SATURDAY, WORKED)
        for t in (time(6, 59, 59), time(7), time(9), time(20), time(22, 30, 29), time(22, 30, 30), time())
    ]
    moments = [moment.replace(microsecond=0) for moment in moments + edges]
    never = datetime(2026, 3, 4, 8)  # a peak the tap is not in
    rows = [{"entry_at": m if entered else None, "tapped_at": never if entered else m} for m in moments]
    with DuckEngine() as engine:
        for source, table in periods.tables(network()).items():
            engine.give(source, table)
        engine.give(BEGUN, pa.Table.from_pylist(rows, schema=BEGUN.arrow))
        found = engine.fetch(TIMED).to_pylist()
    key = "entry_at" if entered else "tapped_at"
    assert sorted((row[key], row["period"] or "") for row in found) == sorted(
        (moment, network().period_at(moment)) for moment in moments
    )


def test_periods_are_held_against_each_other() -> None:
    first = TWO_WAYS["periods"][0]
    for changes, told in (
        ({"periods": [first, first | {"name": "b", "start": "08:59", "end": "10:00"}]}, "overlap"),
        ({"periods": [first, first | {"name": "b", "days": "all"}]}, "overlap"),
        ({"periods": [first | {"end": "00:00", "start": "07:00"}, first | {"name": "b", "start": "23:00", "end": "23:30"}]},
         "overlap"),
        ({"periods": [first | {"name": ""}]}, "periods[0].name"),
        ({"periods": [first | {"start": "07:00:00.5"}]}, "whole seconds"),
        ({"periods": [first | {"days": "sundays"}]}, "periods[0].days"),
        ({"days": {"holidays": ["2026-03-03"], "worked": ["2026-03-03"]}}, "2026-03-03 is a holiday and worked"),
        ({"days": {"rest_days": [0]}}, "days.rest_days[0]"),
    ):  # fmt: skip
        with pytest.raises(Problem) as problem:
            network(**changes)
        assert told in str(problem.value), str(problem.value)
    assert network(periods=[first, first | {"name": "b", "days": "rest"}]).period_at(at(8)) == "peak"


def test_a_matrix_made_before_there_were_kinds_of_days_still_fits() -> None:
    plain = {key: value for key, value in TWO_WAYS.items() if key != "days"}
    plain["periods"] = [{k: v for k, v in p.items() if k != "days"} for p in TWO_WAYS["periods"][::2]]
    old = Network.from_plain(plain, what="the network")
    content = old.model_dump(mode="json", by_alias=True)
    del content["days"]
    for period in content["periods"]:
        del period["days"]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    assert old.digest == hashlib.sha256(text.encode()).hexdigest()
    assert network().digest != Network.from_plain(TWO_WAYS | {"days": {}}, what="the network").digest
