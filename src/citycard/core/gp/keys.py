# SPDX-License-Identifier: Apache-2.0
"""Key sets of a security domain, and how a card's set is diversified from a master key.

A set has three keys of one kind: ENC (id 1), MAC (id 2), DEK (id 3). Sixteen-byte DES keys speak SCP02,
AES keys of 16, 24 or 32 bytes speak SCP03 (GlobalPlatform Card Specification 2.3, 11.1.8; card facts 7).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from citycard.core.crypto import TRIPLE_DES
from citycard.core.gp.cipher import AES_SIZES, aes_check_value, des_check_value

DES: Final = 0x80  # key type bytes of PUT KEY and of the key information template
AES: Final = 0x88
DES_SIZE: Final = 16
AES_KIND_SIZES: Final = 0x07  # card capability information: AES-128, 192 and 256
ENC, MAC, DEK = 1, 2, 3
DIVERSIFICATION_SIZE: Final = 10


def check_value(kind: int, key: bytes) -> bytes:
    """Three bytes that tell keys apart."""
    return aes_check_value(key) if kind == AES else des_check_value(key)


def fits(kind: int, key: bytes) -> bool:
    """Whether a key of this kind may have this size."""
    return (kind == DES and len(key) == DES_SIZE) or (kind == AES and len(key) in AES_SIZES)


@dataclass(frozen=True, slots=True)
class KeySet:
    """Three static keys of one kind; `repr` shows check values only."""

    enc: bytes
    mac: bytes
    dek: bytes
    kind: int = DES

    def __post_init__(self) -> None:
        if not all(fits(self.kind, key) and len(key) == len(self.enc) for key in self.keys):
            raise ValueError("a key set is three 16-byte DES keys or three AES keys of 16, 24 or 32 bytes")

    @classmethod
    def single(cls, key: bytes, kind: int = DES) -> KeySet:
        """The same key thrice, as test cards leave the factory."""
        return cls(key, key, key, kind)

    @property
    def keys(self) -> tuple[bytes, bytes, bytes]:
        """ENC, MAC, DEK."""
        return self.enc, self.mac, self.dek

    @property
    def check_values(self) -> tuple[bytes, ...]:
        """Of ENC, MAC, DEK."""
        return tuple(check_value(self.kind, key) for key in self.keys)

    def __repr__(self) -> str:
        name = "AES" if self.kind == AES else "3DES"
        return f"<{name} key set {' '.join(value.hex().upper() for value in self.check_values)}>"


class Diversification(StrEnum):
    """How the ten bytes a card tells in INITIALIZE UPDATE lead from master keys to its own.

    The two 3DES schemes are those of the field's tools, by the names they give them: VISA2 takes bytes 0-1
    and 4-7, EMV (EMV Card Personalisation Specification 1.1) bytes 4-9. With AES keys only `none` is known.
    """

    NONE = "none"
    VISA2 = "visa2"
    EMV = "emv"


_TAKEN: Final[dict[Diversification, Callable[[bytes], bytes]]] = {
    Diversification.VISA2: lambda told: told[0:2] + told[4:8],
    Diversification.EMV: lambda told: told[4:10],
}


def diversified(master: KeySet, told: bytes, scheme: Diversification) -> KeySet:
    """The key set of the card that told these ten bytes."""
    if scheme is Diversification.NONE:
        return master
    if master.kind != DES or len(told) != DIVERSIFICATION_SIZE:
        raise ValueError(f"the scheme {scheme} wants 3DES keys and {DIVERSIFICATION_SIZE} bytes")
    taken = _TAKEN[scheme](told)

    def derived(key: bytes, number: int) -> bytes:
        return TRIPLE_DES.encrypt(key, taken + bytes((0xF0, number)) + taken + bytes((0x0F, number)))

    return KeySet(derived(master.enc, ENC), derived(master.mac, MAC), derived(master.dek, DEK))
