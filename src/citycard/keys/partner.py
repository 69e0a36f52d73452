# SPDX-License-Identifier: Apache-2.0
"""The keys with which this office signs its exchange files: Ed25519 or SM2, made here and kept enciphered.

The private half lives in this module alone. It is kept under the vault's own storage key (`protect`,
whichever vault there is), or, for the first Ed25519 key of an office that may have no vault, as PKCS#8 under
its passphrase in a file of the home folder. Only the public half is ever told; members exchange public keys
and compare fingerprints by another way before they trust them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
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

from citycard.core import sm2
from citycard.core.interop import signing
from citycard.core.problem import declare
from citycard.keys.secret import KeyBytes, refuse_pickle
from citycard.keys.vault import Vault

FILE_NAME: Final = "partner.key"
SEED_SIZE: Final = 32
Random = Callable[[int], bytes]

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
PARTNER_ALGORITHM = declare(
    "PARTNER_ALGORITHM",
    "There is no signature algorithm {found!r}; there are {known}.",
    "没有签名算法 {found!r}，可用的有 {known}。",
)


class PartnerKey:
    """A signing key; what it shows of itself is its algorithm and the fingerprint of its public half."""

    __slots__ = ("_random", "_secret", "algorithm", "public")

    def __init__(self, algorithm: str, secret: KeyBytes, random: Random = os.urandom) -> None:
        self.algorithm = algorithm
        self._secret = secret
        self._random = random
        if algorithm == signing.SM2:
            self.public = sm2.public_of(secret)
        else:
            key = Ed25519PrivateKey.from_private_bytes(secret)
            self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def from_seed(
        cls, seed: bytes, algorithm: str = signing.ED25519, random: Random = os.urandom
    ) -> PartnerKey:
        """The key of 32 random bytes; `random` is for SM2's nonces. PARTNER_ALGORITHM."""
        if algorithm not in signing.ALGORITHMS:
            raise PARTNER_ALGORITHM(found=algorithm, known=", ".join(signing.ALGORITHMS))
        if len(seed) != SEED_SIZE:
            raise ValueError(f"a seed has {SEED_SIZE} bytes")
        stretched = sm2.secret_of(hashlib.sha512(seed).digest()[:48]) if algorithm == signing.SM2 else seed
        return cls(algorithm, KeyBytes(stretched), random)

    @classmethod
    def generate(cls, algorithm: str = signing.ED25519, random: Random = os.urandom) -> PartnerKey:
        """A new key. PARTNER_ALGORITHM."""
        return cls.from_seed(random(SEED_SIZE), algorithm, random)

    @classmethod
    def unprotect(cls, vault: Vault, blob: bytes, public: signing.PublicKey) -> PartnerKey:
        """The key that `protect` gave, by its public half; VAULT_FOREIGN."""
        return cls(public.algorithm, KeyBytes(vault.unprotect(blob, _context(public.algorithm, public.id))))

    def protect(self, vault: Vault) -> bytes:
        """The key under the vault's storage key, to be kept anywhere; this vault alone opens it."""
        return vault.protect(self._secret, _context(self.algorithm, self.id))

    @classmethod
    def open(cls, folder: Path, passphrase: str) -> PartnerKey:
        """The Ed25519 key in a folder's file; PARTNER_KEY_MISSING, PARTNER_KEY_LOCKED."""
        path = folder / FILE_NAME
        try:
            key = load_pem_private_key(path.read_bytes(), passphrase.encode())
        except FileNotFoundError:
            raise PARTNER_KEY_MISSING(path=path) from None
        except (ValueError, TypeError):
            raise PARTNER_KEY_LOCKED(path=path) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise PARTNER_KEY_LOCKED(path=path)
        return cls(signing.ED25519, KeyBytes(key.private_bytes_raw()))

    def save(self, folder: Path, passphrase: str) -> None:
        """Keep an Ed25519 key as a folder's file, for its owner's eyes; one that is there stays as it is."""
        assert self.algorithm == signing.ED25519, "other keys are kept by the vault"
        key = Ed25519PrivateKey.from_private_bytes(self._secret)
        scheme = BestAvailableEncryption(passphrase.encode())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, scheme)
        try:
            descriptor = os.open(folder / FILE_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())

    @property
    def id(self) -> str:
        """The fingerprint of its public half."""
        return signing.fingerprint(self.public)

    def seal(self, name: str, raw: bytes) -> bytes:
        """The signature file's content for a file of this name and content."""
        return self.sign(name, signing.ALGORITHMS[self.algorithm].digest(raw))

    def sign(self, name: str, digest: str) -> bytes:
        """The same for a file of this digest, by the key's algorithm."""
        message = signing.signed_bytes(name, digest)
        if self.algorithm == signing.SM2:
            signature = sm2.sign(self._secret, message, self._random)
        else:
            signature = Ed25519PrivateKey.from_private_bytes(self._secret).sign(message)
        return signing.envelope(name, digest, self.public, signature, self.algorithm)

    def __repr__(self) -> str:
        return f"<partner key {self.algorithm} {self.id}>"

    def __reduce__(self) -> str:
        refuse_pickle(self)


def _context(algorithm: str, fingerprint: str) -> bytes:
    return f"partner key {algorithm} {fingerprint}".encode()
