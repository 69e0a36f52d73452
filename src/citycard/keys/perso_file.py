# SPDX-License-Identifier: Apache-2.0
"""The personalisation data file (个人化数据文件): what goes onto each card of an order, for one vault's eyes.

    magic 8 | version 2 | head length 4 | head (JSON) | entry ... | HMAC-SHA256 of all before it, 32

The head is readable: which order, how many cards, of which kind. Each entry is length 4 and an AES-256-GCM
cipher whose nonce is its number and whose additional data is the digest of the head, so that an entry cannot
be moved, left out or taken into another file. The file key is drawn for each file, wrapped by the vault
(`Vault.protect`) and split by HKDF into one that enciphers and one that authenticates. No card key is in the
file: keys go from the vault into the card.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from citycard.core.dialogue.personalise import KeySlot
from citycard.core.problem import declare
from citycard.keys.secret import KeyBytes
from citycard.keys.vault import Vault

MAGIC: Final = b"CITYPERS"
VERSION: Final = 1
START: Final = struct.Struct(">8sHI")
SIZE: Final = struct.Struct(">I")
MAC_SIZE: Final = 32
KEY_SIZE: Final = 32
HEAD_MAX: Final = 4096
ENTRY_MAX: Final = 65_536
CARDS_MAX: Final = 100_000  # of one file, as of one order
SUFFIX: Final = ".ccp"

PERSO_DAMAGED = declare(
    "PERSO_DAMAGED",
    "The personalisation data {path} is damaged, altered or no such file: {what}. Make it anew "
    "from its order.",
    "个人化数据 {path} 已损坏、被改动或不是此类文件（{what}）；请根据订单重新生成。",
)
PERSO_VERSION = declare(
    "PERSO_VERSION",
    "The personalisation data {path} has format version {found}; this citycard reads {known}.",
    "个人化数据 {path} 的格式版本为 {found}，本程序只支持 {known}。",
)


@dataclass(frozen=True, slots=True)
class PersoHead:
    """What anybody may know of the file; `algorithm` and `key_version` are those of all its cards."""

    order: str
    issuer: str
    profile: str
    count: int
    algorithm: int
    key_version: int
    made_at: str


@dataclass(frozen=True, slots=True)
class PersoEntry:
    """One card: its number, the contents of its files by SFI, and the keys it gets, by name."""

    pan: str
    files: dict[int, bytes]
    slots: tuple[KeySlot, ...]


@dataclass(frozen=True, slots=True)
class PersoFile:
    """A file that was opened: authentic as a whole."""

    head: PersoHead
    entries: tuple[PersoEntry, ...]
    digest: str


def write(
    vault: Vault, head: PersoHead, entries: Sequence[PersoEntry], random: Callable[[int], bytes]
) -> bytes:
    """The file's bytes."""
    assert head.count == len(entries) <= CARDS_MAX
    key = KeyBytes(random(KEY_SIZE))
    wrapped = base64.b64encode(vault.protect(key, _context(head.order))).decode()
    said = json.dumps({**asdict(head), "key": wrapped}, ensure_ascii=False, sort_keys=True).encode()
    body = START.pack(MAGIC, VERSION, len(said)) + said
    cipher, about = AESGCM(_part(key, b"encipher")), hashlib.sha256(body).digest()
    parts = [body]
    for number, entry in enumerate(entries):
        sealed = cipher.encrypt(_nonce(number), _plain(entry), about)
        parts += (SIZE.pack(len(sealed)), sealed)
    whole = b"".join(parts)
    return whole + hmac.digest(_part(key, b"authenticate"), whole, "sha256")


def read(vault: Vault, data: bytes, path: Path) -> PersoFile:
    """The file opened. PERSO_DAMAGED, PERSO_VERSION, and VAULT_FOREIGN when another vault made it."""
    head, wrapped, start = _head(data, path)
    key = KeyBytes(vault.unprotect(wrapped, _context(head.order)))
    whole, mac = data[:-MAC_SIZE], data[-MAC_SIZE:]
    if not hmac.compare_digest(hmac.digest(_part(key, b"authenticate"), whole, "sha256"), mac):
        raise PERSO_DAMAGED(path=path, what="its MAC does not fit")
    cipher, about = AESGCM(_part(key, b"encipher")), hashlib.sha256(whole[:start]).digest()
    entries: list[PersoEntry] = []
    while start < len(whole):
        if start + SIZE.size > len(whole) or len(entries) >= head.count:
            raise PERSO_DAMAGED(path=path, what="its entries are cut")
        (size,) = SIZE.unpack_from(whole, start)
        sealed = whole[start + SIZE.size : start + SIZE.size + size]
        try:
            entries.append(_entry(cipher.decrypt(_nonce(len(entries)), sealed, about)))
        except (InvalidTag, ValueError, KeyError, TypeError):
            raise PERSO_DAMAGED(path=path, what=f"entry {len(entries) + 1} does not open") from None
        start += SIZE.size + size
    if len(entries) != head.count:
        raise PERSO_DAMAGED(path=path, what=f"it has {len(entries)} entries, not {head.count}")
    return PersoFile(head, tuple(entries), hashlib.sha256(data).hexdigest())


def _head(data: bytes, path: Path) -> tuple[PersoHead, bytes, int]:
    """The head, the wrapped key, and where the entries begin."""
    if len(data) < START.size + MAC_SIZE or not data.startswith(MAGIC):
        raise PERSO_DAMAGED(path=path, what="it does not begin as one")
    _, version, size = START.unpack_from(data)
    if version != VERSION:
        raise PERSO_VERSION(path=path, found=version, known=VERSION)
    if size > min(HEAD_MAX, len(data) - START.size - MAC_SIZE):
        raise PERSO_DAMAGED(path=path, what="its head is cut")
    start = START.size + size
    try:
        said: dict[str, Any] = json.loads(data[START.size : start])
        wrapped = base64.b64decode(said.pop("key"), validate=True)
        head = PersoHead(**said)
        for field in fields(PersoHead):
            if type(said[field.name]).__name__ != field.type:
                raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PERSO_DAMAGED(path=path, what="its head is not understood") from None
    return head, wrapped, start


def _plain(entry: PersoEntry) -> bytes:
    said = {
        "pan": entry.pan,
        "files": {f"{sfi:02X}": content.hex() for sfi, content in entry.files.items()},
        "slots": [[slot.name, slot.type, slot.id, slot.version, slot.algorithm] for slot in entry.slots],
    }
    plain = json.dumps(said, separators=(",", ":")).encode()
    assert len(plain) <= ENTRY_MAX
    return plain


def _entry(plain: bytes) -> PersoEntry:
    said = json.loads(plain)
    files = {int(sfi, 16): bytes.fromhex(content) for sfi, content in said["files"].items()}
    return PersoEntry(said["pan"], files, tuple(KeySlot(*slot) for slot in said["slots"]))


def _context(order: str) -> bytes:
    return f"perso data of {order}".encode("utf-8", "replace")


def _part(key: KeyBytes, purpose: bytes) -> KeyBytes:
    """One purpose's key of the file key: HKDF-Expand (RFC 5869) of one block."""
    return KeyBytes(hmac.digest(key, b"citycard perso " + purpose + b"\x01", "sha256"))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
