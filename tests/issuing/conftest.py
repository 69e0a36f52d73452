# SPDX-License-Identifier: Apache-2.0
"""An issuer, a vault, and an order of a few cards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from citycard.keys import KeyName, MemoryVault, scheme_ceremony
from citycard.office import clock
from tests.keys.cast import known_key, seeded
from tests.office.conftest import START, StillClock, open_issuer
from tests.support.softhsm import SoftHsm


@pytest.fixture
def issuer(db: None) -> Iterator[str]:
    """An issuer with its accounts open, at a moment that stands still."""
    clock.use(StillClock())
    yield open_issuer()
    clock.use(None)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "CITYCARD_HOME", tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    return SoftHsm(tmp_path_factory.mktemp("softhsm"))


def new_vault(seed: int = 1) -> MemoryVault:
    """A vault with both suites and the card maker's transport key, which tests know."""
    vault = MemoryVault(clock=lambda: START, random=seeded(seed))
    for suite in (0, 1):
        scheme_ceremony(vault, (suite,))
        vault.import_key(KeyName.TRANSPORT, suite, 1, known_key("transport", suite))
    return vault
