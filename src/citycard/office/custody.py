# SPDX-License-Identifier: Apache-2.0
"""The office's way to its keys: one vault per process, opened on first need.

Which vault, `keys.place` reads from the home folder: its vault file, or a PKCS#11 token. The passphrase comes
from `CITYCARD_PASSPHRASE` or from the file named in `CITYCARD_PASSPHRASE_FILE`, a token's PIN from
`CITYCARD_PIN` or `CITYCARD_PIN_FILE`. A test or the demo puts another vault in its place with `use`.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from threading import Lock

from django.conf import settings

from citycard.core.problem import declare
from citycard.keys import FILE_NAME, LoadSam, Place, Vault, place_of
from citycard.keys import open_vault as open_at

VAULT_LOCKED = declare(
    "VAULT_LOCKED",
    "The office has no passphrase for its vault {path}. Set CITYCARD_PASSPHRASE, or CITYCARD_PASSPHRASE_FILE"
    " to a file that holds it, and start the office again.",
    "后台没有密钥库 {path} 的口令。请设置 CITYCARD_PASSPHRASE，"
    "或用 CITYCARD_PASSPHRASE_FILE 指明口令文件，然后重新启动。",
)

TOKEN_LOCKED = declare(
    "TOKEN_LOCKED",
    "The office has no PIN for its {token}. Set CITYCARD_PIN, or CITYCARD_PIN_FILE to a file that holds it,"
    " and start the office again.",
    "后台没有 {token} 的 PIN。请设置 CITYCARD_PIN，或用 CITYCARD_PIN_FILE 指明文件，然后重新启动。",
)

log = logging.getLogger(__name__)
_lock = Lock()
_vault: Vault | None = None
_sam: LoadSam | None = None


def open_vault() -> Vault:
    """The vault, opened once per process; VAULT_LOCKED without a passphrase, VAULT_* when it cannot open."""
    global _vault
    with _lock:
        if _vault is None:
            _vault = _open(Path(settings.CITYCARD_HOME))
        return _vault


def use(vault: Vault | None) -> None:
    """Put this vault in place; None forgets it, so that the next need opens the file."""
    global _vault, _sam
    with _lock:
        _vault, _sam = vault, None


def load_sam() -> LoadSam:
    """The load SAM over this vault, one per process."""
    global _sam
    vault = open_vault()
    with _lock:
        if _sam is None:
            _sam = LoadSam(vault)
        return _sam


def passphrase() -> str:
    """The passphrase of this home's key files, from the environment. VAULT_LOCKED."""
    given = _given("CITYCARD_PASSPHRASE")
    if not given:
        raise VAULT_LOCKED(path=Path(settings.CITYCARD_HOME) / FILE_NAME)
    return given


def _open(home: Path) -> Vault:
    place = place_of(home)
    secret = _secret(place)
    vault = open_at(place, lambda _: secret)
    for notice in vault.notices():
        log.warning("%s: %s", notice.code, notice)
    return vault


def _secret(place: Place) -> str:
    """What opens the vault there. VAULT_LOCKED, TOKEN_LOCKED."""
    if not place.in_token:
        return passphrase()
    pin = _given("CITYCARD_PIN")
    if not pin:
        raise TOKEN_LOCKED(token=place.title)
    return pin


def _given(variable: str) -> str:
    """What the environment gives, the file first; empty when it gives none."""
    named = os.environ.get(f"{variable}_FILE")
    if not named:
        return os.environ.get(variable, "")
    try:
        return Path(named).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError:
        return ""
