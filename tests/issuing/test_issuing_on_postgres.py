# SPDX-License-Identifier: Apache-2.0
"""Orders, stock and the register of modules, once more on PostgreSQL."""

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
def test_issuing_on_postgres(postgres_url: str) -> None:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "PYTEST_", "CITYCARD_"))}
    files = [str(Path(__file__).with_name(name)) for name in ("test_line.py", "test_sams.py")]
    command = [sys.executable, "-m", "pytest", *files, "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    result = subprocess.run(
        [*command, "-k", "not killed"],
        cwd=REPOSITORY,
        env={**inherited, "CITYCARD_DATABASE_URL": postgres_url},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]
