# SPDX-License-Identifier: Apache-2.0
"""Finds the outside parts that some tests need, and says what happens when one is not there.

A person without PostgreSQL, Chromium or the public data still gets a useful run: the tests that need
them skip and say why. In CI (CI=true) nothing may go untested, so there the same test fails.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TypeVar

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

Part = TypeVar("Part")


def in_ci() -> bool:
    """Whether this run is one where every test has to run."""
    return os.environ.get("CI", "").lower() == "true"


def need(found: Part | None, part: str, remedy: str) -> Part:
    """Returns the part; without it the test skips, or fails in CI, naming the part and how to get it."""
    if found is not None:
        return found
    message = f"needs {part}: {remedy}"
    if in_ci():
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def public_data() -> Path | None:
    """The folder of published tap and fare data, if any: CITYCARD_DATA, else one beside the repository."""
    folder = Path(os.environ.get("CITYCARD_DATA") or REPOSITORY.parent / "shared" / "data")
    return folder if folder.is_dir() else None


def chromium() -> Path | None:
    """The browser of the system, if there is one."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return Path(found) if found else None


def program(name: str) -> Path | None:
    """A program of the system, if it is there."""
    found = shutil.which(name)
    return Path(found) if found else None
