# SPDX-License-Identifier: Apache-2.0
"""The key with which this office signs its exchange files, kept enciphered beside the vault.

An Ed25519 key in a file of its own, PKCS#8 under the vault's passphrase: it signs, and only its public half
is ever told. Members exchange public keys and compare fingerprints by another way before they trust them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from citycard.core.interop import signing
from citycard.core.problem import declare

FILE_NAME: Final = "partner.key"

PARTNER_KEY_MISSING = declare(
    "PARTNER_KEY_MISSING",
    "There is no key to sign exchange files with at {path}. Make one with `citycard partners init`.",
    "{path} 处没有交换文件签名密钥，请用 `citycard partners init` 生成。",
)
PARTNER_KEY_LOCKED = declare(
    "PARTNER_KEY_LOCKED",
    "The passphrase does not open the signing key {path}, or the file is damaged. Check CITYCARD_PASSPHRASE.",
    "口令无法打开签名密钥 {path}，或文件已损坏。请检查 CITYCARD_PASSPHRASE。",
)


class PartnerKey:
    """A signing key; what it shows of itself is the fingerprint of its public half."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def from_seed(cls, seed: bytes) -> PartnerKey:
        """The key of 32 random bytes."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def open(cls, folder: Path, passphrase: str) -> PartnerKey:
        """The key kept in a folder; PARTNER_KEY_MISSING, PARTNER_KEY_LOCKED."""
        path = folder / FILE_NAME
        try:
            key = load_pem_private_key(path.read_bytes(), passphrase.encode())
        except FileNotFoundError:
            raise PARTNER_KEY_MISSING(path=path) from None
        except (ValueError, TypeError):
            raise PARTNER_KEY_LOCKED(path=path) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise PARTNER_KEY_LOCKED(path=path)
        return cls(key)

    def save(self, folder: Path, passphrase: str) -> None:
        """Keep the key in a folder, for its owner's eyes; one that is there already is left as it is."""
        scheme = BestAvailableEncryption(passphrase.encode())
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, scheme)
        try:
            descriptor = os.open(folder / FILE_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())

    def sign(self, name: str, digest: str) -> bytes:
        """The signature file's content for a file of this name and digest."""
        signature = self._key.sign(signing.signed_bytes(name, digest))
        return signing.envelope(name, digest, self.public, signature)

    def __repr__(self) -> str:
        return f"<partner key {signing.fingerprint(self.public)}>"
