# SPDX-License-Identifier: Apache-2.0
"""A tray of emulated chips, kept as files sealed by the vault: what a box of blank cards is to a machine.

A chip is a file from the moment it is taken, and written anew when it is done with. A run that was stopped
finds the chip that lay in the machine as it was taken, and makes it again from there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from citycard.core.card import PowerLost
from citycard.core.card.factory import blank_card
from citycard.core.card.os import Card
from citycard.core.card.spec import Profile
from citycard.core.crypto import KEY_SIZE
from citycard.core.dialogue.exchange import CardGone
from citycard.keys.durable import replace_file
from citycard.keys.secret import KeyBytes
from citycard.keys.vault import KeyName, Vault
from citycard.office.issuing.line import PersoChip

TRANSPORT_VERSION: Final = 200  # of emulated chips; card makers' transport keys count from 1
TRANSPORT_FILE: Final = "emulated-transport.key"
SUFFIX: Final = ".chip"
IN_MACHINE, DONE, BAD = "machine", "done", "bad"


class EmulatedChip:
    """An emulated card in the machine."""

    def __init__(self, card: Card) -> None:
        self.card = card

    @property
    def uid(self) -> str:
        """The chip's serial, in hex."""
        return self.card.uid.hex()

    def connect(self) -> bytes:
        """Power it."""
        return self.card.power_on()

    def __call__(self, command: bytes) -> bytes:
        """One exchange."""
        try:
            return self.card.process(command)
        except PowerLost:
            raise CardGone("the card lost power") from None


class EmulatedTray:
    """Blank chips of a profile without end, in a folder of an order."""

    def __init__(
        self,
        vault: Vault,
        folder: Path,
        profile: Profile,
        algorithm: int,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._vault, self._folder, self._random = vault, folder / "chips", random
        self._profile, self._algorithm = profile, algorithm
        self._transport = transport_key(vault, folder.parent, algorithm, random)
        self._folder.mkdir(parents=True, exist_ok=True)

    def left(self) -> EmulatedChip | None:
        """See `line.Tray`."""
        found = next(iter(self._folder.glob(f"*.{IN_MACHINE}{SUFFIX}")), None)
        return EmulatedChip(open_chip(self._vault, found, self._random)) if found else None

    def take(self) -> EmulatedChip:
        """See `line.Tray`."""
        chip = EmulatedChip(blank_card(self._profile, self._transport, self._random, self._algorithm))
        self._save(chip, IN_MACHINE)
        return chip

    def put(self, chip: PersoChip, good: bool) -> None:
        """See `line.Tray`."""
        assert isinstance(chip, EmulatedChip)
        self._save(chip, DONE if good else BAD)
        self._path(chip, IN_MACHINE).unlink(missing_ok=True)

    def _save(self, chip: EmulatedChip, state: str) -> None:
        replace_file(self._path(chip, state), self._vault.protect(chip.card.image(), _context(chip.uid)))

    def _path(self, chip: EmulatedChip, state: str) -> Path:
        return self._folder / f"{chip.uid}.{state}{SUFFIX}"


def open_chip(vault: Vault, path: Path, random: Callable[[int], bytes] = os.urandom) -> Card:
    """An emulated chip out of its file. VAULT_FOREIGN."""
    uid = path.name.split(".")[0]
    return Card.from_image(vault.unprotect(path.read_bytes(), _context(uid)), random)


def transport_key(vault: Vault, folder: Path, algorithm: int, random: Callable[[int], bytes]) -> KeyBytes:
    """The transport key of this home's emulated chips, made and given to the vault on first use."""
    path = folder / TRANSPORT_FILE
    if path.exists():
        key = KeyBytes(vault.unprotect(path.read_bytes(), TRANSPORT_FILE.encode()))
    else:
        key = KeyBytes(random(KEY_SIZE))
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, vault.protect(key, TRANSPORT_FILE.encode()))
    held = vault.keys()
    wanted = (KeyName.TRANSPORT.value, TRANSPORT_VERSION, algorithm)
    if wanted not in {(info.name, info.version, info.suite) for info in held}:
        vault.import_key(KeyName.TRANSPORT, algorithm, TRANSPORT_VERSION, key)
    return key


def _context(uid: str) -> bytes:
    return f"emulated chip {uid}".encode()
