# SPDX-License-Identifier: Apache-2.0
"""Which vault a home folder has, and the one way to open it, for the office and the commands alike.

Without a word about it a home has a soft vault, `vault.ccv`. `custody.json` names a PKCS#11 token instead:

    {"format": 1, "vault": "pkcs11", "module": "/path/to/module.so", "token": "label", "tac": "bulk"}

It holds no secret. The secret is asked for by the caller: a passphrase for a soft vault, a PIN for a token.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from citycard.core.problem import declare
from citycard.keys.durable import create_file
from citycard.keys.pkcs11_vault import Pkcs11Vault, TacMode
from citycard.keys.soft_vault import FILE_NAME, SoftVault
from citycard.keys.vault import VAULT_EXISTS, VAULT_MISSING

CUSTODY_FILE: Final = "custody.json"
FORMAT: Final = 1
FIELDS: Final = {"format", "vault", "module", "token", "tac"}
TAC_MODES: Final[tuple[TacMode, ...]] = ("bulk", "sealed")

CUSTODY_INVALID = declare(
    "CUSTODY_INVALID",
    "The file {path} does not say which vault this home has: {why}. Correct it, or remove it to use the "
    "vault file.",
    "文件 {path} 未能说明本目录使用的密钥库：{why}。请更正，或删除该文件以使用密钥库文件。",
)

Opened = SoftVault | Pkcs11Vault
Ask = Callable[["Place"], str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a home's keys are: in its vault file, or in the token `token` of the module."""

    home: Path
    module: str = ""
    token: str = ""
    tac: TacMode = "bulk"

    @property
    def in_token(self) -> bool:
        """Whether a token holds the keys."""
        return bool(self.module)

    @property
    def title(self) -> str:
        """For people: the file, or the token."""
        return f"token {self.token}" if self.in_token else str(self.home / FILE_NAME)

    @property
    def name(self) -> str:
        """The same without the folder."""
        return self.title if self.in_token else FILE_NAME

    @property
    def exists(self) -> bool:
        """Whether the home has a vault; of a token only opening tells more."""
        return self.in_token or (self.home / FILE_NAME).exists()


def place_of(home: Path) -> Place:
    """What the home says. CUSTODY_INVALID."""
    path = home / CUSTODY_FILE
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Place(home)
    except (OSError, ValueError) as error:
        raise CUSTODY_INVALID(path=path, why=getattr(error, "strerror", None) or "it is no JSON") from None
    if not isinstance(said, dict) or set(said) != FIELDS or said["format"] != FORMAT:
        raise CUSTODY_INVALID(path=path, why=f"format {FORMAT} has {', '.join(sorted(FIELDS))}")
    texts = all(isinstance(said[name], str) and said[name] for name in ("module", "token"))
    if said["vault"] != "pkcs11" or not texts or said["tac"] not in TAC_MODES:
        raise CUSTODY_INVALID(path=path, why="a value is not understood")
    return Place(home, said["module"], said["token"], said["tac"])


def open_vault(place: Place, ask: Ask) -> Opened:
    """The vault there; `ask` gives its passphrase or PIN. VAULT_MISSING before anything is asked."""
    if place.in_token:
        return Pkcs11Vault.open(place.module, place.token, ask(place), tac_mode=place.tac)
    if not place.exists:
        raise VAULT_MISSING(path=place.home / FILE_NAME)
    return SoftVault.open(place.home / FILE_NAME, ask(place))


def create_vault(place: Place, ask: Ask) -> Opened:
    """A new soft vault, or the home set to a token that opens. VAULT_EXISTS."""
    if not place.in_token:
        return SoftVault.create(place.home / FILE_NAME, ask(place))
    path = place.home / CUSTODY_FILE
    for there in (path, place.home / FILE_NAME):
        if there.exists():
            raise VAULT_EXISTS(path=there)
    vault = Pkcs11Vault.open(place.module, place.token, ask(place), tac_mode=place.tac)
    said = {
        "format": FORMAT,
        "vault": "pkcs11",
        "module": place.module,
        "token": place.token,
        "tac": place.tac,
    }
    place.home.mkdir(parents=True, exist_ok=True)
    create_file(path, (json.dumps(said, indent=1) + "\n").encode())
    return vault
