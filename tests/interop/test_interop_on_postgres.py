# SPDX-License-Identifier: Apache-2.0
"""The tests of an office in the exchange, once more on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.parts import REPOSITORY

FILES = (
    "test_partners_office.py",
    "test_disputes.py",
    "test_partners_api.py",
    "test_partner_keys.py",
    "test_several_issuers.py",
)


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_exchange_on_postgres(postgres_url: str) -> None:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DJANGO_", "PYTEST_", "CITYCARD_"))}
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", *(str(here / name) for name in FILES), "-q"]
    result = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=REPOSITORY,
        env={**inherited, "CITYCARD_DATABASE_URL": postgres_url},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]
