# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the console: a still clock, a home, a vault, the small city, and someone signed in."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from citycard.core.crypto import TRIPLE_DES
from citycard.office import clock
from citycard.office.staff.roles import Role
from tests.console import city as small

PASSWORD = "a-password-for-tests"
SignedIn = Callable[..., Client]


@pytest.fixture
def still() -> Iterator[None]:
    """The office's clock, standing at eight in the morning of the day."""
    clock.use(lambda: small.MORNING)
    yield
    clock.use(None)


@pytest.fixture
def home(tmp_path: Path, settings: Any) -> Path:
    """The home folder of this test; passwords are quick to check here."""
    settings.CITYCARD_HOME = tmp_path
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return tmp_path


@pytest.fixture
def vault() -> Iterator[Any]:
    """The office's vault with a scheme's keys."""
    from citycard.keys import MemoryVault, scheme_ceremony
    from citycard.office import custody

    made = MemoryVault(clock=lambda: small.MORNING, random=random.Random(7).randbytes)
    scheme_ceremony(made, (TRIPLE_DES,))
    custody.use(made)
    yield made
    custody.use(None)


@pytest.fixture
def city(db: None, still: None, home: Path, vault: Any) -> small.Small:
    """The small city."""
    return small.build(home)


@pytest.fixture
def signed_in(db: None, still: None, home: Path) -> SignedIn:
    """Call with a role (a language, an issuer to work for) for a browser in which someone is signed in."""
    from citycard.office.staff import people

    def make(role: Role, language: str = "en", participant: str = "", name: str = "") -> Client:
        user = people.create(name or role.value.replace(" ", "-"), PASSWORD, role, participant=participant)
        browser = Client(headers={"accept-language": language})
        browser.force_login(user)
        return browser

    return make
