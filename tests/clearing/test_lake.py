# SPDX-License-Identifier: Apache-2.0
"""The lake is kept in order, copied elsewhere and brought back; every tap is found again in it."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from pyarrow import fs
from typer.testing import CliRunner

from citycard.clearing import keeping
from citycard.clearing.figures import taps_behind
from citycard.clearing.lake import Lake
from citycard.clearing.store import Store, pull, push
from citycard.clearing.trace import taps_of_line, trace
from citycard.cli import app
from citycard.core.figure import Figure
from citycard.core.problem import Problem
from citycard.core.record import RECORD_SIZE, TapRecord
from citycard.core.tables import Row
from tests.clearing.test_parts import in_parts, rows_of, three_days
from tests.clearing.world import DAY, World, files

ONE = timedelta(days=1)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Three cleared days, cut into many small files."""
    with pytest.MonkeyPatch.context() as patch:
        in_parts(patch)
        return three_days(tmp_path_factory.mktemp("lake") / "home")


def copy(city: World, to: Path) -> World:
    """The same city in a folder of its own."""
    return _elsewhere(city, Path(shutil.copytree(city.home, to / "home")))


def _elsewhere(city: World, home: Path) -> World:
    """Its cards and terminals with another folder."""
    return replace(
        city,
        home=home,
        cards=deepcopy(city.cards),
        sequences=dict(city.sequences),
        batches=dict(city.batches),
    )


# Trace


def test_a_tap_is_followed_from_verdict_and_shares_to_its_bytes(city: World) -> None:
    for day in (DAY, DAY + ONE, DAY + 2 * ONE):
        for row in city.out("verdicts", day):
            seen = [one for one in trace(city.home, row["tap"])["history"] if one["run"] == str(day)]
            (one,) = [one for one in seen if one["tap"] == row["tap"]]
            assert (one["verdict"], one["reason"], one["batch"]) == (
                row["verdict"],
                row["reason"],
                row["batch"],
            )
            raw = (city.home / one["file"]).read_bytes()
            assert one["bytes"] == raw[one["offset"] : one["offset"] + RECORD_SIZE].hex()
            assert one["intact"]
            if row["reason"] != "MALFORMED":
                assert TapRecord.decode(bytes.fromhex(one["bytes"])).id == row["tap"].partition("~")[0]
                assert one["record"]["amount_fen"] == row["amount_fen"]
            assert sum(share["amount_fen"] for share in one["shares"]) == 0
            assert bool(one["shares"]) == (row["verdict"] == "accepted" and row["amount_fen"] > 0)


def test_a_tap_that_waited_shows_both_runs(city: World) -> None:
    waited = [row["tap"] for row in city.out("verdicts", DAY + ONE) if row["reason"] == "COUNTER_GAP"]
    seen = trace(city.home, waited[0])["history"]
    assert [(one["run"], one["verdict"]) for one in seen] == [
        (str(DAY + ONE), "suspended"), (str(DAY + 2 * ONE), "accepted"),
    ]  # fmt: skip


def test_the_taps_behind_every_line_of_a_statement_add_up_to_it(city: World) -> None:
    for day in (DAY, DAY + ONE):
        for line in city.out("revenue", day):
            key = {name: line[name] for name in ("participant", "service", "counterparty", "cause")}
            taps = taps_of_line(city.home, day, key)
            assert (len(taps), sum(tap["amount_fen"] for tap in taps)) == (line["taps"], line["amount_fen"])
    assert len(taps_of_line(city.home, DAY, {}, limit=2)) == 2


@pytest.mark.parametrize("size", [3, 1000])
def test_the_pages_behind_every_figure_of_a_date_add_up_to_it(city: World, size: int) -> None:
    """Of lines, of both sides of positions, of turnover and fees under a contract; each tap on one page."""

    def held(day: date, figure: Figure, taps: int | None, fen: int) -> None:
        seen: list[Row] = []
        while page := taps_behind(city.home, day, figure, len(seen), size).rows:
            seen += page
        told = taps_behind(city.home, day, figure, 0, 1)
        assert told.total_fen == sum(row["part_fen"] for row in seen) == fen, figure
        assert told.taps == len(seen) == len({row["tap"] for row in seen})
        assert taps is None or taps == told.taps
        assert {row["verdict"] for row in seen} <= {"accepted"}

    day = DAY + ONE
    for line in city.out("revenue", day)[:: 2 if size > 3 else 9]:
        key = {name: line[name] for name in ("participant", "service", "counterparty", "cause")}
        held(day, Figure(**key), line["taps"], line["amount_fen"])
    for row in city.out("positions", day)[: 20 if size > 3 else 1]:
        for side, name in (("", "net_fen"), ("receivable", "receivable_fen"), ("payable", "payable_fen")):
            held(day, Figure(participant=row["participant"], side=side), None, row[name])
    for row in city.out("volumes", day)[: 20 if size > 3 else 2]:
        key = {name: row[name] for name in ("service", "acquirer", "issuer", "business_date")}
        fee = row["issuer_fen"] + row["acquirer_fen"] + row["scheme_fen"]
        held(day, Figure(what="amount", **key), row["taps"], row["amount_fen"])
        held(day, Figure(what="fee", **key), row["taps"], fee)


def test_figures_of_dates_that_are_not_there_are_refused(city: World) -> None:
    with pytest.raises(Problem) as told:
        taps_behind(city.home, DAY - 300 * ONE, Figure())
    assert told.value.code == "LAKE_DATE"
    with pytest.raises(ValueError, match="no figure"):
        Figure(what="weather")


def test_a_line_is_followed_by_command(city: World) -> None:
    one = city.out("revenue", DAY)[0]
    words = ["lake", "line", str(DAY), one["participant"], "--service", str(one["service"]), "--json"]
    words += ["--counterparty", one["counterparty"], "--cause", one["cause"], "--home", str(city.home)]
    told = json.loads(CliRunner().invoke(app, words).stdout)
    assert sum(tap["amount_fen"] for tap in told) == one["amount_fen"]
    fault = CliRunner().invoke(app, ["lake", "line", "2001-01-01", "0", "--home", str(city.home)]).exception
    assert isinstance(fault, Problem)
    assert fault.code == "LAKE_DATE"


@pytest.mark.parametrize("name", ["990000000009-0000000001", "nonsense", "a'b-1", ""])
def test_a_tap_nobody_knows(city: World, name: str) -> None:
    with pytest.raises(Problem) as told:
        trace(city.home, name)
    assert told.value.code == "TAP_UNKNOWN"


def test_a_trace_says_when_the_raw_batch_is_damaged_or_gone(city: World, tmp_path: Path) -> None:
    world = copy(city, tmp_path)
    tap = world.out("verdicts")[0]["tap"]
    path = world.home / trace(world.home, tap)["history"][0]["file"]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert not trace(world.home, tap)["history"][0]["intact"]
    path.unlink()
    assert "gone" in trace(world.home, tap)["history"][0]["record"]


# Order


def test_compaction_keeps_every_row_and_later_runs_and_traces_go_on(city: World, tmp_path: Path) -> None:
    world = copy(city, tmp_path)
    before = rows_of(world.home)
    done = keeping.compact(world.home)
    assert done["files_after"] < done["files_before"]
    assert rows_of_taps(before) == rows_of_taps(rows_of(world.home))
    assert keeping.check(world.home)["sound"]
    again = keeping.compact(world.home)
    assert again["files_after"] == again["files_before"] == done["files_after"]
    other = copy(city, tmp_path / "other")
    tap = world.tap("A", 700)
    other.clock = world.clock
    for one in (world, other):
        one.upload(tap)
        one.clear(DAY + 3 * ONE)
    assert world.verdicts(DAY + 3 * ONE)[tap.id] == "OK"
    assert files(world.home / "exchange" / str(DAY + 3 * ONE)) == files(
        other.home / "exchange" / str(DAY + 3 * ONE)
    )


def rows_of_taps(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """The rows of each folder of taps, whatever its files are called."""
    folders: dict[str, list[str]] = {}
    for name, rows in found.items():
        if "/taps/" in name:
            folders.setdefault(name.rpartition("/")[0], []).extend(rows)
    return {name: sorted(rows) for name, rows in folders.items()}


def test_a_compaction_that_dies_loses_nothing(
    city: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = copy(city, tmp_path)
    before = rows_of_taps(rows_of(world.home))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("_rewrite", "_sweep"):
        with monkeypatch.context() as patch:
            patch.setattr(keeping, name, die)
            with pytest.raises(KeyboardInterrupt):
                keeping.compact(world.home)
        assert keeping.check(world.home)["sound"], f"died at {name}"
    keeping.compact(world.home)
    assert rows_of_taps(rows_of(world.home)) == before


def test_retention_takes_old_taps_and_leaves_results(city: World, tmp_path: Path) -> None:
    world = copy(city, tmp_path)
    for number in range(3, 14):
        world.clear(DAY + number * ONE)
    results = files(world.home / "exchange") | files(world.home / "statements")
    with pytest.raises(Problem) as told:
        keeping.retain(world.home, 3)
    assert told.value.code == "RETENTION_SHORT"
    gone = keeping.retain(world.home, 11, raw=True)
    assert gone["runs"] == [str(DAY), str(DAY + ONE)]
    with pytest.raises(Problem) as told:
        taps_behind(world.home, DAY, Figure())
    assert told.value.code == "LAKE_TAPS_GONE"
    assert keeping.stats(world.home)["runs"][str(DAY)]["tap_files"] == 0
    assert keeping.check(world.home)["sound"]
    assert files(world.home / "exchange") | files(world.home / "statements") == results
    assert keeping.retain(world.home, 11, raw=True)["files"] == 0
    world.clear(DAY + 14 * ONE)
    assert world.clear(DAY).repeated


@pytest.mark.parametrize(
    "where", ["lake/raw/*/*.ccb", f"lake/runs/{DAY}/taps/*/*/*/*.parquet", f"lake/runs/{DAY}/out/*.csv"]
)
def test_a_check_names_the_file_that_is_damaged_or_gone(city: World, tmp_path: Path, where: str) -> None:
    world = copy(city, tmp_path)
    path = sorted(world.home.glob(where))[0]
    name = path.relative_to(world.home).as_posix()
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes((good[-1] ^ 1,)))
    assert keeping.check(world.home)["damaged"] == [name]
    path.unlink()
    assert keeping.check(world.home)["gone"] == [name]


# The store


def subtree(folder: Path) -> Store:
    """A store that is no local folder as far as the lake can see."""
    folder.mkdir(parents=True, exist_ok=True)
    return Store(fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem()), "bucket/city")


def test_a_new_machine_goes_on_from_the_store(city: World, tmp_path: Path) -> None:
    store = subtree(tmp_path / "far")
    for day in (DAY, DAY + ONE, DAY + 2 * ONE):
        push(Lake(city.home), store, day)
    assert push(Lake(city.home), store, DAY) == 0, "what is there is not copied again"
    lake = Lake(tmp_path / "new", store)
    assert pull(lake, store) == [DAY, DAY + ONE, DAY + 2 * ONE]
    assert pull(lake, store) == []
    old, new = copy(city, tmp_path / "old"), _elsewhere(city, tmp_path / "new")
    tap = old.tap("A", 50)
    new.clock = old.clock
    url = (tmp_path / "far" / "bucket" / "city").as_uri()
    for world, where in ((old, None), (new, url)):
        world.upload(tap)
        world.clear(DAY + 3 * ONE, store=where)
    assert old.verdicts(DAY + 3 * ONE)[tap.id] == "OK"
    assert files(old.home / "exchange" / str(DAY + 3 * ONE)) == files(
        new.home / "exchange" / str(DAY + 3 * ONE)
    )
    assert trace(new.home, city.out("verdicts")[0]["tap"], url)["history"][0]["intact"]
    assert f"runs/{DAY + 3 * ONE}/done.json" in Store.at(url).sizes("runs")


def test_a_file_damaged_in_the_store_is_found(city: World, tmp_path: Path) -> None:
    store = subtree(tmp_path / "far")
    push(Lake(city.home), store, DAY)
    path = next((tmp_path / "far").rglob("cards/part-*.parquet"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    lake = Lake(tmp_path / "new", store)
    pull(lake, store)
    with pytest.raises(Problem) as told:
        lake.checked(DAY, "cards/")
    assert told.value.code == "LAKE_DAMAGED"


def test_a_store_that_is_not_there() -> None:
    with pytest.raises(Problem) as told:
        Store.at("nosuch://bucket")
    assert told.value.code == "LAKE_STORE_FAILED"


# The commands


def test_the_commands_say_what_the_functions_find(city: World, tmp_path: Path) -> None:

    world = copy(city, tmp_path)

    def say(*words: str, code: int = 0) -> str:
        told = CliRunner().invoke(app, [*words, "--home", str(world.home)])
        assert told.exit_code == code, told.output
        return told.stdout

    assert json.loads(say("lake", "stats", "--json"))["raw_batches"] == 4
    assert json.loads(say("lake", "check", "--json"))["sound"]
    assert "files_after" in say("lake", "compact")
    tap = city.out("verdicts")[0]["tap"]
    assert json.loads(say("trace", tap, "--json"))["history"][0]["intact"]
    assert " at byte " in say("trace", tap)
    assert "files_copied" in say("lake", "push", "--store", str(tmp_path / "far"))
    (world.home / "lake/runs" / str(DAY) / "out/positions.csv").write_text("x")
    assert "positions.csv" in say("lake", "check", code=1)
    assert isinstance(CliRunner().invoke(app, ["lake", "retain", "--days", "1"]).exception, Problem)


def test_old_manifests_are_not_read_again_and_nothing_is_taken_twice_or_forgotten(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.upload(world.tap("A", 100), day=DAY)
    world.clear(DAY)
    forgotten = world.tap("B", 100)
    far = DAY + 60 * ONE
    world.upload(forgotten, day=DAY + ONE)  # received, and no run came for two months
    world.clear(far)
    assert world.verdicts(far)[forgotten.id] == "TOO_LATE"
    lake = Lake(tmp_path)
    assert lake._folders()["done"] == [f"lake/raw/{DAY}", f"lake/raw/{DAY + ONE}"]
    lake.manifest(DAY).write_text("{}")  # whoever read it would stumble
    assert lake.unassigned() == []
    fresh = world.tap("A", 100, tapped_at=world.clock + 61 * ONE)
    world.upload(fresh, day=far + ONE)
    assert [batch.path.split("/")[2] for batch in lake.unassigned()] == [str(far + ONE)]
    world.clear(far + ONE)
    assert world.verdicts(far + ONE)[fresh.id] == "OK"
