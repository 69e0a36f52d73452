# SPDX-License-Identifier: Apache-2.0
"""Starts and stops a Spark cluster on this machine: a master and two workers, all on 127.0.0.1.

Every process is a session of its own under `timeout`, so that the cluster ends by itself, whatever becomes
of who started it. What runs is noted in the cluster's folder; only processes noted there are ever stopped,
and only while they still are what was started.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from citycard.core.problem import declare

WORKERS: Final = 2
MASTER: Final = "org.apache.spark.deploy.master.Master"
WORKER: Final = "org.apache.spark.deploy.worker.Worker"
PIDS: Final = "pids.json"
REGISTER_SECONDS: Final = 60.0
STOP_SECONDS: Final = 15.0
POLL_SECONDS: Final = 0.2
PORT: Final = 17077  # of the master; its page and the workers' follow
PORTS_TRIED: Final = range(17100, 17900, WORKERS + 2)

SPARK_CLUSTER: Final = declare(
    "SPARK_CLUSTER",
    "The Spark cluster in {folder} cannot be started or stopped: {why}.",
    "无法启动或停止位于 {folder} 的 Spark 集群：{why}。",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster to be: where it keeps its logs and work, its ports, and how much each worker may take."""

    folder: Path
    port: int = PORT
    cores: int = 1
    memory: str = "2g"
    minutes: int = 240

    @property
    def url(self) -> str:
        """What `citycard clear --master` is given."""
        return f"spark://127.0.0.1:{self.port}"

    def start(self) -> str:
        """Start all processes and wait for the workers; returns the URL. SPARK_CLUSTER."""
        spec = importlib.util.find_spec("pyspark")
        if spec is None or spec.origin is None:
            raise self._problem("pyspark is not installed: install citycard[spark]")
        if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
            raise self._problem("there is no Java: install a Java 17 runtime")
        if running(self.folder):
            raise self._problem("it runs already: stop it first")
        ports = range(self.port, self.port + WORKERS + 2)
        if not free(ports):
            raise self._problem(f"a port of {ports[0]} to {ports[-1]} is taken: choose another --port")
        self.folder.mkdir(parents=True, exist_ok=True)
        home = Path(spec.origin).parent
        pids: dict[str, int] = {}
        for name, arguments in self._processes().items():
            pids[name] = self._launch(home, name, arguments)
            (self.folder / PIDS).write_text(json.dumps(pids))
        if not self._registered():
            stop(self.folder)
            raise self._problem("the workers did not register; see the logs there")
        return self.url

    def _processes(self) -> dict[str, list[str]]:
        """Each process with its arguments, the master first."""
        master, *workers = (str(port) for port in range(self.port + 1, self.port + WORKERS + 2))
        host = ["--host", "127.0.0.1"]
        found = {"master": [MASTER, *host, "--port", str(self.port), "--webui-port", master]}
        for number, page in enumerate(workers):
            share = ["--cores", str(self.cores), "--memory", self.memory]
            work = ["--work-dir", str(self.folder.absolute() / f"work{number}")]
            found[f"worker{number}"] = [WORKER, *host, *share, *work, "--webui-port", page, self.url]
        return found

    def _launch(self, home: Path, name: str, arguments: list[str]) -> int:
        environment = {
            **os.environ,
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": os.environ.get("PYSPARK_PYTHON", sys.executable),
            "SPARK_DAEMON_MEMORY": "512m",
            "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",  # nobody submits by HTTP
        }
        command = ["timeout", f"{self.minutes}m", str(home / "bin" / "spark-class"), *arguments]
        with (self.folder / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        return child.pid

    def _registered(self) -> bool:
        """Wait until the master's page counts all workers."""
        deadline = time.monotonic() + REGISTER_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port + 1}/json/", timeout=2) as answer:
                    if json.load(answer)["aliveworkers"] == WORKERS:
                        return True
            except (OSError, ValueError, KeyError):
                pass
            time.sleep(POLL_SECONDS)
        return False

    def _problem(self, why: str) -> Exception:
        return SPARK_CLUSTER(folder=self.folder, why=why)


@contextmanager
def cluster(folder: Path, *, memory: str, minutes: int) -> Iterator[str]:
    """A cluster on free ports for as long as the block runs; its URL."""
    port = next((first for first in PORTS_TRIED if free(range(first, first + WORKERS + 2))), PORT)
    made = Cluster(folder=folder, port=port, memory=memory, minutes=minutes)
    try:
        yield made.start()
    finally:
        stop(folder)


def running(folder: Path) -> dict[str, int]:
    """The processes of a cluster that are alive, by name."""
    path = folder / PIDS
    noted = json.loads(path.read_text()) if path.exists() else {}
    return {name: pid for name, pid in noted.items() if _is_ours(pid)}


def stop(folder: Path) -> list[str]:
    """End what `start` started, and only that; returns the names of what still ran."""
    found = running(folder)
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        for pid in running(folder).values():
            kill(pid, signal_number)
        deadline = time.monotonic() + STOP_SECONDS
        while running(folder) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    (folder / PIDS).unlink(missing_ok=True)
    return sorted(found)


def kill(pid: int, signal_number: int = signal.SIGKILL) -> None:
    """Send a signal to one of the cluster's processes and to all it started."""
    try:
        os.killpg(pid, signal_number)
    except ProcessLookupError:
        return


def free(ports: range) -> bool:
    """Whether all these ports can be bound."""
    try:
        for port in ports:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def _is_ours(pid: int) -> bool:
    """Whether a number is still that of a process of a cluster: numbers are given out again."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and b"org.apache.spark.deploy" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
