# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of exchange files lie: HOME/partners/{sent,received,quarantine}, durable, never altered.

A file that another one of the same name with other content would overwrite is kept beside it, under its
digest: what came is evidence.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from django.conf import settings

from citycard.core.interop.files import FileName, digest_of
from citycard.core.interop.signing import SUFFIX

ROOT: Final = "partners"
SENT, RECEIVED, QUARANTINE = "sent", "received", "quarantine"


def keep(where: str, name: FileName, raw: bytes, signature: bytes | None) -> str:
    """Write file and signature and make them durable; the path relative to the home folder."""
    folder = _home() / ROOT / where / f"{name.business_date:%Y%m}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / str(name)
    if path.exists() and path.read_bytes() != raw:
        path = folder / f"{name}.{digest_of(raw)[:16]}"
    if signature is not None:
        put(path.with_name(path.name + SUFFIX), signature)
    put(path, raw)
    return path.relative_to(_home()).as_posix()


def read(path: str) -> tuple[bytes, bytes | None]:
    """File and signature as they were kept."""
    whole = _home() / path
    signature = whole.with_name(whole.name + SUFFIX)
    return whole.read_bytes(), signature.read_bytes() if signature.exists() else None


def reseal(path: str, signature: bytes) -> None:
    """Put another signature beside a file that was kept."""
    whole = _home() / path
    put(whole.with_name(whole.name + SUFFIX), signature)


def put(path: Path, raw: bytes) -> None:
    """The file appears whole or not at all; durable when this returns."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    with partial.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _home() -> Path:
    return Path(settings.CITYCARD_HOME)
