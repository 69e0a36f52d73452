# SPDX-License-Identifier: Apache-2.0
"""The office of a simulated city: in this process, on a database of its own, under the simulated clock.

Django belongs to one home folder per process. A simulation lives through many cities in one process, so this
module moves the configured office to another folder; the migrated database is copied, not built again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings

from citycard.keys.vault import Vault
from citycard.lab.faults import DeathTimer
from citycard.office import clock, custody, setup
from citycard.office.home import SQLITE_FILE, database

BASE_URL = "http://127.0.0.1"
UNHURRIED = "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF;"  # a simulated death leaves the disk alone


def open_office(home: Path, vault: Vault, now: Callable[[], datetime], *, durable: bool = True) -> None:
    """Make the office of this process that of `home`, with this vault and this clock.

    `durable` False trades safety against a real power cut for speed; simulated deaths do not need it.
    """
    configure(home)
    _move(home, durable)
    clock.use(now)
    custody.use(vault)


def configure(home: Path) -> None:
    """Read Django's settings in this process, if nobody has yet."""
    if not settings.configured:
        os.environ.pop("CITYCARD_DATABASE_URL", None)
        setup.setup(home)


def close_office() -> None:
    """Let go of the clock, the vault and the database."""
    from django.db import connections

    clock.use(None)
    custody.use(None)
    connections.close_all()


def client(
    transport: Callable[[httpx.BaseTransport], httpx.BaseTransport] = lambda inner: inner,
) -> httpx.Client:
    """An HTTP client that reaches the office without a socket; `transport` may wrap the way there."""
    from citycard.office.wsgi import application

    return httpx.Client(transport=transport(httpx.WSGITransport(app=application)), base_url=BASE_URL)


@contextmanager
def mortal(death: DeathTimer) -> Iterator[None]:
    """Within, the office may die before any of its statements to the database, as the timer says."""
    from django.db import connection

    def die_or_do(execute: Callable[..., Any], *args: Any) -> Any:
        death.step()
        return execute(*args)

    with connection.execute_wrapper(die_or_do):
        yield


def _move(home: Path, durable: bool) -> None:
    from django.db import connection

    home.mkdir(parents=True, exist_ok=True)
    described: dict[str, Any] = database(home, None)
    if not durable:
        described["OPTIONS"]["init_command"] = UNHURRIED
        described["CONN_MAX_AGE"] = None  # one thread, one connection, for as long as the city lives
    connection.close()
    settings.CITYCARD_HOME = home.absolute()
    os.environ["CITYCARD_HOME"] = str(home.absolute())
    settings.DATABASES["default"].update(described)
    connection.settings_dict.update(described)
    if not durable and not (home / SQLITE_FILE).exists():
        shutil.copyfile(_migrated(), home / SQLITE_FILE)


@cache
def _migrated() -> Path:
    """A migrated, empty database, made once per process."""
    from django.db import connection

    folder = Path(tempfile.mkdtemp(prefix="citycard-empty-"))
    kept = connection.settings_dict["NAME"]
    connection.settings_dict["NAME"] = str(folder / SQLITE_FILE)
    try:
        setup.migrate()
    finally:
        connection.close()
        connection.settings_dict["NAME"] = kept
    return folder / SQLITE_FILE
