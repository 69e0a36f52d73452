# SPDX-License-Identifier: Apache-2.0
"""Detached signatures of exchange files: Ed25519 over the file's name and its digest.

The signature stands in a file of its own beside the one it is for, `{name}.sig`, as one JSON object. It
covers the name, so that a file cannot be passed off under another number. Public keys are exchanged between
members beforehand, 32 bytes in hex; the private key never comes here (`citycard.keys.partner`).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from citycard.core.problem import declare

ALGORITHM: Final = "Ed25519"
SUFFIX: Final = ".sig"
SIGNATURE_BYTES_MAX: Final = 4096
PURPOSE: Final = b"citycard exchange file v1\n"

FILE_SIGNATURE = declare(
    "FILE_SIGNATURE",
    "The signature of {name} does not verify: {why}. The file was set aside; ask the sender for it again.",
    "{name} 的签名验证失败：{why}。文件已隔离，请发送方重发。",
)


def signed_bytes(name: str, digest: str) -> bytes:
    """What is signed: the purpose, the name, and the file's SHA-256."""
    return PURPOSE + f"{name}\n{digest}\n".encode()


def fingerprint(public: bytes) -> str:
    """Sixteen hex digits by which people compare a public key."""
    return hashlib.sha256(public).hexdigest()[:16]


def envelope(name: str, digest: str, public: bytes, signature: bytes) -> bytes:
    """The content of the signature's file."""
    body = {
        "algorithm": ALGORITHM,
        "file": name,
        "digest": digest,
        "key": fingerprint(public),
        "signature": signature.hex(),
    }
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def verify(name: str, digest: str, envelope: bytes | None, public: bytes | None) -> None:
    """Accept, or raise FILE_SIGNATURE with why: none there, another file's, another key's, wrong."""
    if public is None:
        raise FILE_SIGNATURE(name=name, why="no public key of the sender is known")
    if envelope is None:
        raise FILE_SIGNATURE(name=name, why="there is none")
    body = _parsed(name, envelope)
    for field, wanted in (("algorithm", ALGORITHM), ("file", name), ("key", fingerprint(public))):
        if body.get(field) != wanted:
            raise FILE_SIGNATURE(name=name, why=f"{field} is {str(body.get(field))[:60]!r}, not {wanted!r}")
    if body.get("digest") != digest:
        raise FILE_SIGNATURE(name=name, why="the file has other content")
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
        key.verify(bytes.fromhex(str(body.get("signature"))), signed_bytes(name, digest))
    except (InvalidSignature, ValueError):
        raise FILE_SIGNATURE(name=name, why="it was not made with the sender's key") from None


def _parsed(name: str, envelope: bytes) -> dict[str, Any]:
    try:
        body = json.loads(envelope[:SIGNATURE_BYTES_MAX])
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise FILE_SIGNATURE(name=name, why="it is no signature file")
    return body
