# SPDX-License-Identifier: Apache-2.0
"""The cluster's script stops what it started and nothing else, and says why it cannot start."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from citycard.core.problem import Problem
from citycard.lab import spark_cluster
from citycard.lab.bench import spark
from tests.support.parts import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "spark-cluster"
MARK = "org.apache.spark.deploy"  # what stands in the command line of a process of a cluster


def started(*words: str) -> subprocess.Popen[bytes]:
    """A process that does nothing for a while, with these words on its command line."""
    return subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", *words], start_new_session=True
    )


def test_only_what_was_started_here_and_still_is_that_is_stopped(tmp_path: Path) -> None:
    ours, other, foreign = started(MARK), started(MARK), started()
    try:
        pids = {"master": ours.pid, "worker0": foreign.pid, "worker1": os.getpid()}
        (tmp_path / spark_cluster.PIDS).write_text(json.dumps(pids))
        assert spark_cluster.running(tmp_path) == {"master": ours.pid}
        assert spark_cluster.stop(tmp_path) == ["master"]
        assert ours.wait(5) < 0
        assert (other.poll(), foreign.poll()) == (None, None)
        assert spark_cluster.stop(tmp_path) == []
    finally:
        for one in (ours, other, foreign):
            one.kill()
            one.wait()


def test_the_benchmark_kills_one_worker_in_the_middle_of_the_largest_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark, "KILL_SECONDS", 0.05)
    with started(MARK) as master, started(MARK) as worker:
        (tmp_path / spark_cluster.PIDS).write_text(json.dumps({"master": master.pid, "worker0": worker.pid}))
        killer = spark.Killer(tmp_path)
        killer("hot")
        assert "not killed" in killer.told
        killer(spark.KILL_AFTER)
        assert worker.wait(10) < 0
        assert master.poll() is None
        spark_cluster.stop(tmp_path)
    assert killer.told.startswith("worker0")


def test_a_taken_port_and_a_cluster_that_runs_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyspark")
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not spark_cluster.free(range(port, port + 1))
        with pytest.raises(Problem, match=f"port of {port} to {port + 3} is taken"):
            spark_cluster.Cluster(folder=tmp_path, port=port).start()
    with started(MARK) as ours:
        (tmp_path / spark_cluster.PIDS).write_text(json.dumps({"master": ours.pid}))
        with pytest.raises(Problem, match="runs already"):
            spark_cluster.Cluster(folder=tmp_path).start()
        spark_cluster.stop(tmp_path)


def test_the_script_tells_what_runs(tmp_path: Path) -> None:
    def asked(what: str) -> tuple[int, str]:
        command = [sys.executable, str(SCRIPT), what, "--folder", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert asked("status") == (1, f"no cluster runs in {tmp_path}\n")
    with started(MARK) as ours:
        (tmp_path / spark_cluster.PIDS).write_text(json.dumps({"worker0": ours.pid}))
        assert asked("status") == (0, "worker0\n")
        assert asked("stop") == (0, "worker0\n")
        assert ours.wait(5) < 0
