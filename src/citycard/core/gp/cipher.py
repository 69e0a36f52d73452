# SPDX-License-Identifier: Apache-2.0
"""The block ciphers of GlobalPlatform's secure channels: 3DES and AES in CBC, AES-CMAC, key check values."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from citycard.core.crypto import TRIPLE_DES

DES_BLOCK: Final = 8
AES_BLOCK: Final = 16
AES_SIZES: Final = (16, 24, 32)


def des_encrypt(key: bytes, data: bytes, iv: bytes = bytes(DES_BLOCK)) -> bytes:
    """3DES-CBC with a 16-byte key over whole blocks."""
    return Cipher(TripleDES(key + key[:8]), modes.CBC(iv)).encryptor().update(data)


def des_decrypt(key: bytes, data: bytes, iv: bytes = bytes(DES_BLOCK)) -> bytes:
    """Inverse of `des_encrypt`."""
    return Cipher(TripleDES(key + key[:8]), modes.CBC(iv)).decryptor().update(data)


def aes_encrypt(key: bytes, data: bytes, iv: bytes = bytes(AES_BLOCK)) -> bytes:
    """AES-CBC over whole blocks; one block with IV 0 is ECB."""
    return Cipher(AES(key), modes.CBC(iv)).encryptor().update(data)


def aes_decrypt(key: bytes, data: bytes, iv: bytes = bytes(AES_BLOCK)) -> bytes:
    """Inverse of `aes_encrypt`."""
    return Cipher(AES(key), modes.CBC(iv)).decryptor().update(data)


def cmac(key: bytes, *parts: bytes) -> bytes:
    """AES-CMAC (NIST SP 800-38B) over the parts one after another, 16 bytes."""
    mac = CMAC(AES(key))
    for part in parts:
        mac.update(part)
    return mac.finalize()


def des_check_value(key: bytes) -> bytes:
    """First three bytes of eight zero bytes enciphered."""
    return TRIPLE_DES.check_value(key)


def aes_check_value(key: bytes) -> bytes:
    """First three bytes of sixteen bytes 01 enciphered (card facts 7.2)."""
    return aes_encrypt(key, b"\x01" * AES_BLOCK)[:3]


def unpad80(data: bytes) -> bytes | None:
    """The data before the padding 80 00..., None when it is not padded so."""
    bare = data.rstrip(b"\x00")
    return bare[:-1] if bare.endswith(b"\x80") else None
