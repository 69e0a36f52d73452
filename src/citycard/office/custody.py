# SPDX-License-Identifier: Apache-2.0
"""The office's way to its keys: one vault per process, opened on first need.

The vault is `vault.ccv` in the home folder; its passphrase comes from `CITYCARD_PASSPHRASE` or from the file
named in `CITYCARD_PASSPHRASE_FILE`. A test, the demo or an HSM puts another vault in its place with `use`.
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock

from django.conf import settings

from citycard.core.problem import declare
from citycard.keys import FILE_NAME, LoadSam, SoftVault, Vault

VAULT_LOCKED = declare(
    "VAULT_LOCKED",
    "The office has no passphrase for its vault {path}. Set CITYCARD_PASSPHRASE, or CITYCARD_PASSPHRASE_FILE"
    " to a file that holds it, and start the office again.",
    "后台没有密钥库 {path} 的口令。请设置 CITYCARD_PASSPHRASE，"
    "或用 CITYCARD_PASSPHRASE_FILE 指明口令文件，然后重新启动。",
)

_lock = Lock()
_vault: Vault | None = None
_sam: LoadSam | None = None


def open_vault() -> Vault:
    """The vault, opened once per process; VAULT_LOCKED without a passphrase, VAULT_* when it cannot open."""
    global _vault
    with _lock:
        if _vault is None:
            _vault = _open(Path(settings.CITYCARD_HOME) / FILE_NAME)
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
    """The passphrase of this home's key files, from the environment; VAULT_LOCKED when it gives none."""
    given = _passphrase()
    if not given:
        raise VAULT_LOCKED(path=Path(settings.CITYCARD_HOME) / FILE_NAME)
    return given


def _open(path: Path) -> Vault:
    return SoftVault.open(path, passphrase())


def _passphrase() -> str:
    """What the environment gives, the file first; empty when it gives none."""
    named = os.environ.get("CITYCARD_PASSPHRASE_FILE")
    if named:
        try:
            return Path(named).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError:
            return ""
    return os.environ.get("CITYCARD_PASSPHRASE", "")
