# SPDX-License-Identifier: Apache-2.0
"""What a security module does for cards without a processor: their sector keys and the MACs of their records.

Such a card cannot compute, so its sector keys leave the module for the reader, one card's at a time, as the
PSAM's M1 key calculation (80FC, card facts 6.2) does. All come from one root key as MACs over the UID and
what they are for; nothing can be computed back.
"""

from __future__ import annotations

from typing import Final

from citycard.core.crypto import FACTOR_SIZE
from citycard.keys.vault import KeyName, Vault

SECTOR_KEY_SIZE: Final = 6
FOR_SECTOR, FOR_RECORD = b"\x01", b"\x02"
ZERO: Final = bytes(8)


class StorageSam:
    """Implements `core.storage.m1.M1Keys` for one issuer's cards with a vault that holds the storage key."""

    def __init__(self, vault: Vault, issuer: bytes, version: int = 1) -> None:
        if len(issuer) != FACTOR_SIZE:
            raise ValueError(f"an issuer has {FACTOR_SIZE} bytes, this has {len(issuer)}")
        self._vault = vault.only(KeyName.STORAGE)
        self._factors = (issuer,)
        self._version = version

    def __repr__(self) -> str:
        return "<storage SAM>"

    def sector_key(self, uid: bytes, sector: int, which: str) -> bytes:
        """Key `A` or `B` of a card's sector, six bytes."""
        return self._mac(FOR_SECTOR + _counted(uid) + bytes((sector,)) + which.encode(), 8)[:SECTOR_KEY_SIZE]

    def record_mac(self, uid: bytes, message: bytes) -> bytes:
        """The four-byte MAC of a record on a card."""
        return self._mac(FOR_RECORD + _counted(uid) + message, 4)

    def _mac(self, message: bytes, size: int) -> bytes:
        return self._vault.message_mac(
            KeyName.STORAGE, self._version, self._factors, message, ZERO, size=size
        )


def _counted(uid: bytes) -> bytes:
    return bytes((len(uid),)) + uid
