# SPDX-License-Identifier: Apache-2.0
"""The same steps on a Spark cluster of a master and two workers: the same rows, also when a worker dies."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from citycard.clearing import run, spark
from citycard.clearing.apportion.matrix import install
from citycard.core.problem import Problem
from tests.apportion import two_ways
from tests.clearing.test_parts import in_parts, rows_of, three_days
from tests.clearing.world import DAY, World, fake_checker, files
from tests.support.parts import REPOSITORY, need

SCRIPT = REPOSITORY / "scripts" / "spark-cluster"
MINUTES = "10"  # the cluster ends by itself should the test be killed


def free_ports() -> int:
    """A port with three free ones behind it."""
    for base in range(17400, 17900, 4):
        try:
            for port in range(base, base + 4):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise AssertionError("no four free ports")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The master's URL, and the folder with the process ids."""
    need(importlib.util.find_spec("pyspark"), "pyspark", "install citycard[spark]")
    need(shutil.which("java"), "Java", "install a Java 17 runtime")
    folder = tmp_path_factory.mktemp("spark")
    command = [sys.executable, str(SCRIPT), "start", "--folder", str(folder), "--port", str(free_ports()),
               "--minutes", MINUTES, "--memory", "1g"]  # fmt: skip
    started = subprocess.run(command, capture_output=True, text=True, check=False)
    assert started.returncode == 0, started.stderr
    try:
        yield started.stdout.strip(), folder
    finally:
        spark.stop()
        subprocess.run([sys.executable, str(SCRIPT), "stop", "--folder", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_day_on_the_cluster_equals_the_day_on_duckdb_though_a_worker_is_killed(
    cluster: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = cluster
    monkeypatch.setitem(spark.SETTINGS, "spark.executor.memory", "512m")
    one = three_days(tmp_path / "one")
    day = DAY.fromordinal(DAY.toordinal() + 3)
    taps = [one.tap(name, 100 + n) for n, name in enumerate("ABCDEF" * 3)]
    one.upload(*taps, taps[0], one.load("B", 2_000))
    install(one.home, two_ways.network(), two_ways.MATRIX)  # shares depend on the time of day
    rides = [two_ways.ride(one, name, two_ways.A, two_ways.D, datetime.combine(day, time(hour, 5)))
             for name, hour in (("A", 6), ("B", 7), ("C", 8), ("D", 22), ("E", 23))]  # fmt: skip
    one.upload(*rides)
    one.export(day)
    two = World(Path(shutil.copytree(one.home, tmp_path / "two")))
    killed = []

    def kill_a_worker(at: str) -> None:
        if at == "claims":
            pid = json.loads((folder / "pids.json").read_text())["worker0"]
            os.killpg(pid, signal.SIGKILL)
            killed.append(pid)

    run(one.home, day, fake_checker, rules=one.rules)
    in_parts(monkeypatch, 8)  # the driver deals the records out; Spark cuts its work itself
    run(two.home, day, fake_checker, rules=one.rules, master=url, checkpoint=kill_a_worker)
    assert killed
    places = pq.read_table(one.home / f"lake/runs/{day}/places.parquet")
    assert set(places["period"].to_pylist()) == {"", "peak", "night"}
    assert files(one.home / "exchange") == files(two.home / "exchange")
    assert rows_of(one.home) == rows_of(two.home)
    done = two.home / "lake/runs" / str(day)
    assert {int(path.stem[-3:]) for path in done.glob("cards/part-*.parquet")} == {3}, "parts of the cut"
    assert not [path.name for path in done.rglob("*") if path.name.startswith((".", "_"))], "no leavings"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_batch_damaged_on_its_way_to_a_worker_ends_the_run_and_closes_nothing(
    cluster: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(spark.SETTINGS, "spark.executor.memory", "512m")
    world = World(tmp_path)
    world.upload(world.tap("A", 200), world.tap("A", 300))
    (path,) = (tmp_path / "lake" / "raw").rglob("*.ccb")

    def damage(at: str) -> None:
        if at == "tac verified":
            path.write_bytes(path.read_bytes()[:-1] + b"?")

    with pytest.raises(Problem) as told:
        world.clear(master=cluster[0], checkpoint=damage)
    assert told.value.code == "SPARK_WORK_FAILED"
    assert path.name in str(told.value)
    assert not (tmp_path / "lake" / "runs").exists()


def test_no_cluster_or_no_spark_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    world.upload(world.tap("A", 200), world.tap("A", 200))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Problem) as told:
        world.clear(master="spark://127.0.0.1:1")
    assert told.value.code == "SPARK_MISSING"
    assert world.clear().reasons == {"OK": 2}
