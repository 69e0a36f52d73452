# SPDX-License-Identifier: Apache-2.0
"""The sealed file of the soft vault, of a SAM and of a custodian's share: header, enciphered body, digest.

    magic 8 | version 2 | kdf 1 | lanes 1 | iterations 4 | memory KiB 4 | salt 16 | nonce 12 | verifier 16
    AES-256-GCM of the body, the header as additional data | SHA-256 of all before it

Argon2id (RFC 9106) turns the passphrase into a secret; HMAC of it gives the cipher key and the verifier.
The digest tells an accident before any memory is spent on a cost somebody else wrote; the verifier tells a
wrong passphrase; the GCM tag tells everything else. Every version ends in that digest and begins with
magic and version. The magic says what the body is; version 2 of a vault has its storage key in the body.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, SupportsIndex

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from citycard.keys.secret import KeyBytes, refuse_pickle
from citycard.keys.vault import VAULT_DAMAGED, VAULT_PASSPHRASE, VAULT_VERSION

MAGIC: Final = b"CITYKEYS"
VERSION: Final = 2
OLDEST: Final = 1
ARGON2ID: Final = 1
HEADER: Final = struct.Struct(">8sHBBII16s12s16s")
START: Final = struct.Struct(">8sH")
DIGEST_SIZE: Final = 32
TAG_SIZE: Final = 16
SALT_SIZE: Final = 16
NONCE_SIZE: Final = 12
VERIFIER_SIZE: Final = 16
SECRET_SIZE: Final = 32
ITERATIONS_MAX: Final = 64
LANES_MAX: Final = 16
MEMORY_MAX_KIB: Final = 1 << 20  # a gibibyte: a file that asks for more is not ours


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess of the passphrase costs: passes, lanes, memory in KiB (at least 8 per lane)."""

    iterations: int
    lanes: int
    memory_kib: int

    def __post_init__(self) -> None:
        if not (
            1 <= self.iterations <= ITERATIONS_MAX
            and 1 <= self.lanes <= LANES_MAX
            and 8 * self.lanes <= self.memory_kib <= MEMORY_MAX_KIB
        ):
            raise ValueError(f"{self} is outside the limits of Argon2id here")


STRONG: Final = Cost(3, 4, 64 * 1024)  # RFC 9106, second recommended option: about 0.2 s
CHEAP: Final = Cost(1, 1, 8)  # tests and simulations only


@dataclass(frozen=True, slots=True, repr=False)
class Lock:
    """A passphrase already worked into keys, with the salt and cost that did it."""

    cost: Cost
    salt: bytes
    key: KeyBytes
    verifier: bytes

    @classmethod
    def make(cls, passphrase: KeyBytes, cost: Cost, salt: bytes) -> Lock:
        """Spend the cost."""
        kdf = Argon2id(
            salt=salt,
            length=SECRET_SIZE,
            iterations=cost.iterations,
            lanes=cost.lanes,
            memory_cost=cost.memory_kib,
        )
        secret = KeyBytes(kdf.derive(passphrase))
        key = KeyBytes(hmac.digest(secret, b"citycard vault cipher", "sha256"))
        verifier = hmac.digest(secret, b"citycard vault verifier", "sha256")[:VERIFIER_SIZE]
        return cls(cost, salt, key, verifier)

    def __repr__(self) -> str:
        return "<vault lock>"

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        refuse_pickle(self)


def seal(lock: Lock, body: KeyBytes, nonce: bytes, magic: bytes = MAGIC) -> bytes:
    """The whole file; `nonce` (12 bytes) must be new each time."""
    cost = lock.cost
    header = HEADER.pack(
        magic,
        VERSION,
        ARGON2ID,
        cost.lanes,
        cost.iterations,
        cost.memory_kib,
        lock.salt,
        nonce,
        lock.verifier,
    )
    sealed = header + AESGCM(lock.key).encrypt(nonce, body, header)
    return sealed + hashlib.sha256(sealed).digest()


def version_of(data: bytes) -> int:
    """The format version that an unsealed file states."""
    return int(START.unpack_from(data)[1])


def unseal(data: bytes, passphrase: KeyBytes, path: Path, magic: bytes = MAGIC) -> tuple[Lock, KeyBytes]:
    """The lock and the body. VAULT_DAMAGED, VAULT_VERSION, VAULT_PASSPHRASE (`path` is for the sentence)."""
    sealed, digest = data[:-DIGEST_SIZE], data[-DIGEST_SIZE:]
    if len(sealed) < START.size or not sealed.startswith(magic):
        raise VAULT_DAMAGED(path=path, what="it does not begin as one")
    if hashlib.sha256(sealed).digest() != digest:
        raise VAULT_DAMAGED(path=path, what="its digest does not fit")
    _, version = START.unpack_from(sealed)
    if version > VERSION:
        raise VAULT_VERSION(path=path, found=version, known=VERSION)
    if version < OLDEST or len(sealed) < HEADER.size + TAG_SIZE:
        raise VAULT_DAMAGED(path=path, what="it ends early")
    _, _, kdf, lanes, iterations, memory, salt, nonce, verifier = HEADER.unpack_from(sealed)
    try:
        cost = Cost(iterations, lanes, memory)
    except ValueError:
        raise VAULT_DAMAGED(path=path, what="its key derivation cost is out of bounds") from None
    if kdf != ARGON2ID:
        raise VAULT_DAMAGED(path=path, what=f"it asks for key derivation {kdf}")
    lock = Lock.make(passphrase, cost, salt)
    if not hmac.compare_digest(lock.verifier, verifier):
        raise VAULT_PASSPHRASE(path=path)
    try:
        body = KeyBytes(AESGCM(lock.key).decrypt(nonce, sealed[HEADER.size :], sealed[: HEADER.size]))
    except InvalidTag:
        raise VAULT_DAMAGED(path=path, what="somebody altered it") from None
    return lock, body
