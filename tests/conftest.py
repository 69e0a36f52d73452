# SPDX-License-Identifier: Apache-2.0
"""Fixtures and rules for all tests: a data folder of their own, one PostgreSQL, and no skipping in CI."""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings

from citycard.lab.postgres import find_programs, private_postgres
from tests.support import parts

# Before any settings of citycard are read: no test may touch the data of whoever runs it.
_HOME = tempfile.mkdtemp(prefix="citycard-home-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ["CITYCARD_HOME"] = _HOME

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if parts.in_ci() else "local")


def pytest_configure(config: pytest.Config) -> None:
    """Names Django's settings, in the process that runs the tests and no earlier.

    Were the name in the environment of xdist's controller, or in pyproject.toml, pytest-django would read
    the settings before this file has given the process a home of its own.
    """
    hands_out = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if not hands_out and importlib.util.find_spec("citycard.office.settings"):
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "citycard.office.settings")
        assert settings.INSTALLED_APPS  # reading one loads them; pytest-django then sets Django up


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of an empty PostgreSQL that lives as long as this worker; mark the test `postgres`."""
    programs = parts.need(find_programs(), "PostgreSQL", "make system installs it")
    with private_postgres(programs) as url:
        yield url


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder of published tap, fare and flow data."""
    remedy = "put it in ../shared/data or name its folder in CITYCARD_DATA"
    return parts.need(parts.public_data(), "the public data", remedy)


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser's program, for playwright's `executable_path`; mark the test `browser`."""
    return parts.need(parts.chromium(), "Chromium", "make system installs it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one, whoever skipped it; an expected failure stays what it is."""
    report = yield
    if report.skipped and parts.in_ci() and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file or folder that skips itself while it is collected."""
    report = yield
    if report.skipped and parts.in_ci():
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report
