# SPDX-License-Identifier: Apache-2.0
"""The same stories on PostgreSQL: this folder once more, in a process whose office has that database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.parts import REPOSITORY


@pytest.mark.postgres
@pytest.mark.timeout(600)
def test_all_of_it_holds_on_postgresql(postgres_url: str) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "not postgres",
        "-p",
        "no:cacheprovider",
        str(Path(__file__).parent),
    ]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    run = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=ours | {"CITYCARD_DATABASE_URL": postgres_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
