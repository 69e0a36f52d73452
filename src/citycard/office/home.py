# SPDX-License-Identifier: Apache-2.0
"""Where the office keeps its data: the home folder, the database and the secret key.

Read from the environment by the settings, so that each command and the web server agree:
`CITYCARD_HOME` (default ./citydata), `CITYCARD_DATABASE_URL` (default: SQLite in the home folder),
`CITYCARD_HOSTS` (comma separated names the console answers to).
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from citycard.core.problem import declare

HOME_DEFAULT: Final = "citydata"
SECRET_FILE: Final = "secret.key"
SQLITE_FILE: Final = "office.sqlite3"
SQLITE_WAIT_S: Final = 30  # a writer waits for the one before it; a bulk issue takes a few seconds
POSTGRES_KEEP_S: Final = 60  # seconds an idle connection is kept for the next request
HOSTS_DEFAULT: Final = "127.0.0.1,localhost,[::1]"

# WAL lets readers read while one writes; FULL because an upload is answered only once it is durable.
SQLITE_START: Final = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000;"

OFFICE_DB_URL = declare(
    "OFFICE_DB_URL",
    "CITYCARD_DATABASE_URL must look like postgresql://user:password@host:5432/name, not {scheme!r}: "
    "correct it, or leave it out to use SQLite in the home folder.",
    "CITYCARD_DATABASE_URL 应形如 postgresql://用户:密码@主机:5432/库名（当前协议为 {scheme!r}）。"
    "请更正，或去掉它以使用数据目录中的 SQLite。",
)


def home() -> Path:
    """The folder that holds all state of this scheme."""
    return Path(os.environ.get("CITYCARD_HOME") or HOME_DEFAULT).absolute()


def hosts() -> list[str]:
    """Host names the console answers to."""
    return [name for name in os.environ.get("CITYCARD_HOSTS", HOSTS_DEFAULT).split(",") if name]


def database(folder: Path, url: str | None) -> dict[str, Any]:
    """Django's description of the database: PostgreSQL by URL, else SQLite in WAL mode in the folder."""
    return _postgres(url) if url else _sqlite(folder)


def _sqlite(folder: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(folder / SQLITE_FILE),
        "CONN_MAX_AGE": None,  # opening it anew costs each request more than its work
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "init_command": SQLITE_START,
            "timeout": SQLITE_WAIT_S,
        },
        "TEST": {"NAME": str(folder / "test.sqlite3")},  # a file: tests run in WAL mode too
    }


def _postgres(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise OFFICE_DB_URL(scheme=parts.scheme)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": POSTGRES_KEEP_S,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": dict(parse_qsl(parts.query)),
    }


def secret_key(folder: Path) -> str:
    """The key that signs sessions, digests and the audit chain; made on first use, for its owner's eyes."""
    path = folder / SECRET_FILE
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{SECRET_FILE}.{secrets.token_hex(4)}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(partial, path)  # fails when another process was first: then its key is the key
    except FileExistsError:
        pass
    finally:
        partial.unlink()
    return path.read_text(encoding="ascii").strip()
