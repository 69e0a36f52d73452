# SPDX-License-Identifier: Apache-2.0
"""A pcscd for each module of tests, and a link to its first reader."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from citycard.terminal.pcsc import PcscLink
from tests.support.pcscd import PrivatePcscd, started, until_empty


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivatePcscd]:
    with started() as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(request: pytest.FixtureRequest) -> None:
    """Every story begins with empty readers, whatever the one before left."""
    if "daemon" in request.fixturenames:
        daemon = request.getfixturevalue("daemon")
        until_empty(daemon.reader(), daemon.reader(1))


@pytest.fixture
def link(daemon: PrivatePcscd) -> Iterator[PcscLink]:
    with PcscLink(daemon.reader()) as found:
        yield found
