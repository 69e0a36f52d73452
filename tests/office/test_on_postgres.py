# SPDX-License-Identifier: Apache-2.0
"""All tests of the office, once more on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.parts import REPOSITORY


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_office_on_postgres(postgres_url: str) -> None:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "PYTEST_", "CITYCARD_"))}
    command = [sys.executable, "-m", "pytest", str(Path(__file__).parent), "-q", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, "-m", "not postgres and not browser", "-p", "no:xdist"],
        cwd=REPOSITORY,
        env={**inherited, "CITYCARD_DATABASE_URL": postgres_url},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]
