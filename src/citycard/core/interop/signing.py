# SPDX-License-Identifier: Apache-2.0
"""Detached signatures of exchange files, Ed25519 or SM2, over the file's name and its digest.

The signature stands in a file of its own beside the one it is for, `{name}.sig`, as one JSON object that
names the algorithm and the key. It covers the name, so that a file cannot be passed off under another number.
A key is for one algorithm: Ed25519 signs the file's SHA-256, SM2 its SM3, and an envelope that says otherwise
of a key is refused. A member has several keys while it changes from one to the next, each with the days on
which it counts; the day is the receiver's, not the file's, so that an old key signs nothing by an old date.

Public keys are exchanged between members beforehand, in hex: 32 bytes, or 65 for SM2. The private key never
comes here (`citycard.keys.partner`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from citycard.core import sm2
from citycard.core.problem import declare

ED25519, SM2 = "Ed25519", "SM2"
SUFFIX: Final = ".sig"
SIGNATURE_BYTES_MAX: Final = 4096
PURPOSE: Final = b"citycard exchange file v1\n"
FIELDS: Final = ("algorithm", "file", "digest", "key", "signature")

FILE_SIGNATURE = declare(
    "FILE_SIGNATURE",
    "The signature of {name} does not verify: {why}. The file was set aside; ask the sender for it again.",
    "{name} 的签名验证失败：{why}。文件已隔离，请发送方重发。",
)
FILE_ALGORITHM = declare(
    "FILE_ALGORITHM",
    "The signature of {name} says algorithm {found}, and here counts {wanted}. The file was set aside; the"
    " sender signs with the algorithm of its key.",
    "{name} 的签名算法为 {found}，应为 {wanted}。文件已隔离，请发送方按其密钥的算法签名。",
)
FILE_KEY_DATE = declare(
    "FILE_KEY_DATE",
    "{name} is signed with key {key}, which counts from {first} to {last}, not on {on}. It was set aside;"
    " the sender signs with its key of today, or its new key is added with `citycard partners key`.",
    "{name} 使用密钥 {key} 签名，其有效期为 {first} 至 {last}，{on} 不在其内。文件已隔离；"
    "请发送方使用当前密钥签名，或用 `citycard partners key` 添加其新密钥。",
)
PUBLIC_KEY = declare(
    "PUBLIC_KEY",
    "This is no public key: {why}. Ed25519 keys are 64 hex digits, SM2 keys 130, beginning with 04.",
    "公钥无效：{why}。Ed25519 公钥为 64 位十六进制数字，SM2 公钥为 130 位（以 04 开头）。",
)


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What a signature algorithm does to a file: its digest in hex, and whether a signature is the key's."""

    size: int  # bytes of a public key
    digest: Callable[[bytes], str]
    verifies: Callable[[bytes, bytes, bytes], bool]  # public key, message, signature


def _ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


ALGORITHMS: Final = MappingProxyType(
    {
        ED25519: Algorithm(32, lambda raw: hashlib.sha256(raw).hexdigest(), _ed25519),
        SM2: Algorithm(sm2.PUBLIC_SIZE, lambda raw: sm2.sm3(raw).hex(), sm2.verify),
    }
)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A member's key, the algorithm it is for, and the days on which it counts, both included."""

    algorithm: str
    raw: bytes
    first: date = date.min
    last: date | None = None

    def __post_init__(self) -> None:
        known = ALGORITHMS.get(self.algorithm)
        if known is None:
            raise PUBLIC_KEY(why=f"{self.algorithm!r} is none of {', '.join(ALGORITHMS)}")
        if len(self.raw) != known.size:
            raise PUBLIC_KEY(why=f"{len(self.raw)} bytes, {self.algorithm} has {known.size}")
        if self.algorithm == SM2:
            sm2.decode_point(self.raw)

    @property
    def id(self) -> str:
        """How the envelope names it."""
        return fingerprint(self.raw)

    def counts(self, on: date) -> bool:
        """Whether what it signs is accepted on a day."""
        return self.first <= on and (self.last is None or on <= self.last)

    @classmethod
    def parse(
        cls, text: str, algorithm: str = "", first: date = date.min, last: date | None = None
    ) -> PublicKey:
        """The key in hex digits; without an algorithm the one whose keys have this length. PUBLIC_KEY."""
        try:
            raw = bytes.fromhex(text)
        except ValueError:
            raise PUBLIC_KEY(why=f"{text[:20]!r} is not all hex digits") from None
        fit = [name for name, known in ALGORITHMS.items() if known.size == len(raw)]
        return cls(algorithm or (fit[0] if fit else ED25519), raw, first, last)


def signed_bytes(name: str, digest: str) -> bytes:
    """What is signed: the purpose, the name, and the file's digest."""
    return PURPOSE + f"{name}\n{digest}\n".encode()


def fingerprint(public: bytes) -> str:
    """Sixteen hex digits by which people compare a public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def envelope(name: str, digest: str, public: bytes, signature: bytes, algorithm: str = ED25519) -> bytes:
    """The content of the signature's file."""
    body = {
        "algorithm": algorithm,
        "file": name,
        "digest": digest,
        "key": fingerprint(public),
        "signature": signature.hex(),
    }
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def key_of(envelope: bytes) -> str:
    """The name of the key that an envelope says made it; empty when it says none."""
    return (_object(envelope) or {}).get("key", "")


def check(name: str, raw: bytes, envelope: bytes | None, keys: Sequence[PublicKey], on: date) -> PublicKey:
    """The key of the sender that signed a file, on the day it came.

    FILE_SIGNATURE, FILE_ALGORITHM, FILE_KEY_DATE.
    """
    if not keys or envelope is None:
        verify(name, "", envelope, keys[0] if keys else None)
    body = _parsed(name, envelope or b"")
    said, named = body["algorithm"][:60], body["key"][:60]
    if said not in ALGORITHMS:
        raise FILE_ALGORITHM(name=name, found=repr(said), wanted=" or ".join(ALGORITHMS))
    key = next((one for one in keys if one.id == named), None)
    if key is None:
        raise FILE_SIGNATURE(name=name, why=f"key is {named!r}, none of the sender's")
    if not key.counts(on):
        last = key.last or "–"
        raise FILE_KEY_DATE(name=name, key=key.id, first=key.first, last=last, on=on)
    verify(name, ALGORITHMS[key.algorithm].digest(raw), envelope, key)
    return key


def verify(name: str, digest: str, envelope: bytes | None, public: PublicKey | bytes | None) -> None:
    """Accept an envelope as made with this one key for this digest, whatever the day; bytes are Ed25519's.

    FILE_SIGNATURE with why: none there, another file's, another key's, wrong; FILE_ALGORITHM.
    """
    if public is None:
        raise FILE_SIGNATURE(name=name, why="no public key of the sender is known")
    if envelope is None:
        raise FILE_SIGNATURE(name=name, why="there is none")
    key = PublicKey(ED25519, public) if isinstance(public, bytes) else public
    body = _parsed(name, envelope)
    if body["algorithm"] != key.algorithm:
        raise FILE_ALGORITHM(name=name, found=repr(body["algorithm"][:60]), wanted=key.algorithm)
    for field, wanted in (("file", name), ("key", key.id)):
        if body[field] != wanted:
            raise FILE_SIGNATURE(name=name, why=f"{field} is {body[field][:60]!r}, not {wanted!r}")
    if body["digest"] != digest:
        raise FILE_SIGNATURE(name=name, why="the file has other content")
    try:
        signature = bytes.fromhex(body["signature"])
    except ValueError:
        signature = b""
    if not ALGORITHMS[key.algorithm].verifies(key.raw, signed_bytes(name, digest), signature):
        raise FILE_SIGNATURE(name=name, why="it was not made with the sender's key")


def _parsed(name: str, envelope: bytes) -> dict[str, str]:
    body = _object(envelope)
    if body is None:
        raise FILE_SIGNATURE(name=name, why="it is no signature file")
    return body


def _object(envelope: bytes) -> dict[str, str] | None:
    """An envelope's fields, or None when it is none; what else stands in it is left alone."""
    try:
        body = json.loads(envelope[:SIGNATURE_BYTES_MAX])
    except (ValueError, RecursionError):
        return None
    whole = isinstance(body, dict) and all(isinstance(body.get(field), str) for field in FIELDS)
    return body if whole else None
