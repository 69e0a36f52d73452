# SPDX-License-Identifier: Apache-2.0
"""One SoftHSM for the tests of this folder."""

from __future__ import annotations

import pytest

from tests.support.softhsm import SoftHsm


@pytest.fixture(scope="session")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    return SoftHsm(tmp_path_factory.mktemp("softhsm"))
