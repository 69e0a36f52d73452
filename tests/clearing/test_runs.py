# SPDX-License-Identifier: Apache-2.0
"""A run is done once: again, killed, out of order, on damaged input; and nothing is lost or double."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest

from citycard.clearing import run
from citycard.clearing.lake import Lake
from citycard.core.problem import Problem
from tests.clearing.world import BUS_TERMINAL, DAY, METRO_TERMINAL, World, fake_checker, files, signed

ONE = timedelta(days=1)


class Killed(BaseException):
    """The process is gone."""


def busy(home: Path) -> World:
    """Two days of a city with something of everything: the first is cleared."""
    world = World(home)
    first = [world.tap(name, 200) for name in "ABC"]
    world.tap("C", 50)  # lost
    world.upload(*first, world.tap("C", 100))
    world.upload(world.load("A", 5_000))
    world.clear()
    forged = replace(world.tap("B", 999), amount_fen=1)
    world.upload(world.tap("A", 300, METRO_TERMINAL), world.tap("D", 400, METRO_TERMINAL))
    world.upload(first[0], forged, b"\xff" * 128, terminal=BUS_TERMINAL)
    world.export(DAY + ONE)
    return world


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    return busy(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def whole(template: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], list[str]]:
    """Every file after an undisturbed run of the second day, and the names of its checkpoints."""
    home = copy(template, tmp_path_factory.mktemp("whole"))
    seen: list[str] = []
    run(home, DAY + ONE, fake_checker, rules=template.rules, checkpoint=seen.append)
    return files(home), seen


def copy(world: World, to: Path) -> Path:
    """The world's folder again, elsewhere."""
    return Path(shutil.copytree(world.home, to / "home"))


def test_killed_at_any_checkpoint_a_run_ends_as_if_it_had_not_been(
    template: World, whole: tuple[dict[str, bytes], list[str]], tmp_path: Path
) -> None:
    wanted, names = whole
    assert len(names) > 25
    assert len(set(names)) == len(names)
    for number, name in enumerate(names):
        home = copy(template, tmp_path / str(number))

        def die(at: str, name: str = name) -> None:
            if at == name:
                raise Killed

        with pytest.raises(Killed):
            run(home, DAY + ONE, fake_checker, rules=template.rules, checkpoint=die)
        run(home, DAY + ONE, fake_checker, rules=template.rules)
        assert files(home) == wanted, f"killed at {name}"
        shutil.rmtree(home)


def test_batches_that_arrive_after_a_run_died_wait_for_the_next_date(template: World, tmp_path: Path) -> None:
    world = replace(template, home=copy(template, tmp_path))

    def die(at: str) -> None:
        if at == "verify":
            raise Killed

    with pytest.raises(Killed):
        world.clear(DAY + ONE, die)
    late = signed(replace(world.tap("E", 700), sequence=5_000))
    world.upload(late)
    world.clear(DAY + ONE)
    assert late.id not in world.verdicts(DAY + ONE)
    world.clear(DAY + 2 * ONE)
    assert world.verdicts(DAY + 2 * ONE)[late.id] == "OK"


def test_run_twice_nothing_changes(template: World, tmp_path: Path) -> None:
    world = replace(template, home=copy(template, tmp_path))
    first = world.clear(DAY + ONE)
    before = files(world.home)
    world.upload(world.tap("A", 100, METRO_TERMINAL))  # new input goes to the next date
    again = world.clear(DAY + ONE)
    assert again == replace(first, repeated=True, seconds=again.seconds)
    assert {name: content for name, content in files(world.home).items() if name in before} == before


def test_copies_that_were_lost_are_made_again(template: World, tmp_path: Path) -> None:
    world = replace(template, home=copy(template, tmp_path))
    world.clear(DAY + ONE)
    before = files(world.home)
    shutil.rmtree(world.home / "exchange" / str(DAY + ONE) / "out")
    (world.home / "statements" / str(DAY + ONE)).rename(tmp_path / "gone")
    world.clear(DAY + ONE)
    assert files(world.home) == before


def test_the_order_in_which_batches_arrive_does_not_matter(tmp_path: Path) -> None:
    """The same records and batches, received on other days in another order, under one manifest."""
    worlds = [World(tmp_path / name) for name in ("one", "two")]
    for world in worlds:
        taps = [world.tap(name, 100 + n) for n, name in enumerate("ABCABCA")]
        double = signed(replace(taps[2], amount_fen=7, list_fen=7))
        groups = [taps[:2], [taps[2]], [double], taps[3:5], [taps[4], *taps[5:]]]
        if world is worlds[1]:
            for number, group in enumerate(groups):
                world.batches[BUS_TERMINAL] = number
                world.upload(*group, day=DAY - number * ONE)
        else:
            for number in (3, 0, 4, 2, 1):
                world.batches[BUS_TERMINAL] = number
                world.upload(*groups[number])
        world.clear()
    one, two = (files(world.home / "lake" / "runs") for world in worlds)
    assert one == two


# Order of dates


def code_of(told: pytest.ExceptionInfo[Problem]) -> str:
    """The stable code; the sentence is there in both languages."""
    assert told.value.text("en")
    assert told.value.text("zh") != told.value.text("en")
    return told.value.code


def test_a_closed_date_is_not_done_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.clear()
    with pytest.raises(Problem) as told:
        world.clear(force=True)
    assert code_of(told) == "BUSINESS_DATE_CLOSED"


def test_dates_run_in_order(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.clear()
    with pytest.raises(Problem) as told:
        world.clear(DAY - ONE)
    assert code_of(told) == "LATER_DATE_RUN"
    world.upload(world.tap())

    def die(at: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        world.clear(DAY + ONE, die)
    with pytest.raises(Problem) as told:
        world.clear(DAY + 2 * ONE)
    assert code_of(told) == "EARLIER_RUN_UNFINISHED"
    world.clear(DAY + ONE)
    world.clear(DAY + 2 * ONE)


def test_two_runs_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    with Lake(tmp_path).alone(), pytest.raises(Problem) as told:
        world.clear()
    assert code_of(told) == "RUN_IN_PROGRESS"


def test_an_empty_day_is_a_day(tmp_path: Path) -> None:
    world = World(tmp_path)
    report = world.clear()
    assert (report.taps, report.positions_sum_fen, world.net(), world.out("verdicts")) == (0, 0, {}, [])


# Damage


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda raw: raw[:-1], "RAW_DAMAGED"),
        (lambda raw: raw[:200] + bytes((raw[200] ^ 1,)) + raw[201:], "RAW_DAMAGED"),
        (lambda raw: b"", "RAW_DAMAGED"),
        (None, "RAW_MISSING"),
    ],
)
def test_a_damaged_raw_batch_is_named_and_restored_the_run_goes_on(
    tmp_path: Path, damage: object, code: str
) -> None:
    world = World(tmp_path)
    digest = world.upload(world.tap())

    def stop(at: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        world.clear(checkpoint=stop)  # the manifest stands
    path = next((tmp_path / "lake/raw").rglob("*.ccb"))
    good = path.read_bytes()
    if callable(damage):
        path.write_bytes(damage(good))
    else:
        path.unlink()
    with pytest.raises(Problem) as told:
        world.clear()
    assert code_of(told) == code
    assert digest in str(told.value)
    assert path.name in str(told.value)
    path.write_bytes(good)
    assert world.clear().reasons == {"OK": 1}


def test_a_damaged_lake_file_is_found_by_its_digest(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.upload(world.tap())
    world.clear()
    path = tmp_path / "lake" / "runs" / str(DAY) / "cards.parquet"
    path.write_bytes(path.read_bytes()[:-9] + b"x" * 9)
    with pytest.raises(Problem) as told:
        world.clear(DAY + ONE)
    assert code_of(told) == "LAKE_DAMAGED"
    assert "cards.parquet" in str(told.value)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("cards", None, "cards.csv"),
        ("cards", lambda text: text.replace(",10000", ",ten"), "'ten' is no int"),
        ("cards", lambda text: text.replace("cards v1", "cards v9"), "cards v9"),
        ("cards", lambda text: text + text.splitlines()[-1] + "\n", "pan stands in it twice"),
        ("terminals", lambda text: text.replace("terminal,", "device,", 1), "columns are device"),
        ("contracts", lambda text: text.replace(",100,20,50,", ",60,20,50,"), "more than its fee"),
        ("contracts", lambda text: text.replace(",acquirer,acquirer,", ",acquirer,nobody,"), "nobody"),
        ("participants", lambda text: text.replace("scheme", "member"), "exactly one"),
    ],
)
def test_reference_tables_that_cannot_be_used_say_why(
    tmp_path: Path, name: str, change: object, says: str
) -> None:
    world = World(tmp_path)
    world.upload(world.tap())
    world.export(DAY)
    path = tmp_path / "exchange" / str(DAY) / "in" / f"{name}.csv"
    if callable(change):
        text = path.read_text(encoding="utf-8")
        path.write_text(change(text), encoding="utf-8")
        assert path.read_text(encoding="utf-8") != text
    else:
        path.unlink()
    with pytest.raises(Problem) as told:
        run(tmp_path, DAY, fake_checker)
    assert code_of(told) == ("INPUT_INVALID" if callable(change) else "INPUT_MISSING")
    assert says in str(told.value)
    assert str(path) in str(told.value)
    world.clear()


def test_many_records_go_through_parquet_with_the_same_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worlds = [busy(tmp_path / name) for name in ("small", "large")]
    reports = []
    for world in worlds:
        reports.append(world.clear(DAY + ONE))
        monkeypatch.setattr(import_module("citycard.clearing.run"), "SMALL_BYTES", 0)
        monkeypatch.setattr(import_module("citycard.clearing.intake"), "CHUNK_RECORDS", 2)
    assert reports[0].to_plain() | {"seconds": 0} == reports[1].to_plain() | {"seconds": 0}
    outs = [files(world.home / "exchange" / str(DAY + ONE) / "out") for world in worlds]
    assert outs[0] == outs[1]
    assert not list((worlds[1].home / "lake").rglob("decoded"))
