# SPDX-License-Identifier: Apache-2.0
"""The file of a security module (PSAM, load SAM): the keys its role needs, under the module's own passphrase.

    role 1 | serial 10 | terminal 6 | entries 2 | entry ...
    entry: name 16 | version 1 | suite 1 | created 7 | check value 3 | levels 1 | factor 8 ... | key 16

Sealed as a vault file is (`envelope`), with a magic of its own. What is in it was lent by the vault: the keys
of the issuers a PSAM serves and of its own terminal, never a root key. So a stolen module gives away no more
than those, and a vault whose roots cannot leave their token issues modules like any other.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from citycard.core.calendar import bcd_datetime, from_bcd_datetime
from citycard.core.crypto import FACTOR_SIZE, KEY_SIZE, SUITES
from citycard.core.problem import declare
from citycard.keys.counters import CounterStore
from citycard.keys.durable import create_file
from citycard.keys.envelope import NONCE_SIZE, SALT_SIZE, STRONG, Cost, Lock, seal, unseal
from citycard.keys.hierarchy import LEVELS_MAX, terminal_factor
from citycard.keys.load_sam import LoadSam
from citycard.keys.memory_vault import Held, LentVault, MemoryVault
from citycard.keys.psam import Psam
from citycard.keys.secret import KeyBytes
from citycard.keys.vault import VAULT_DAMAGED, VAULT_EXISTS, VAULT_MISSING, Branch, KeyInfo, KeyName, Vault

MAGIC: Final = b"CITYSAMS"
SUFFIX: Final = ".sam"
HEAD: Final = struct.Struct(">B10s6sH")
ENTRY: Final = struct.Struct(">16sBB7s3sB")
PSAM, LOAD = "psam", "load"
ROLES: Final = (PSAM, LOAD)
ISSUER_KEYS: Final = {PSAM: (KeyName.PURCHASE, KeyName.MAINTENANCE), LOAD: (KeyName.LOAD, KeyName.TAC)}

SAM_OTHER = declare(
    "SAM_OTHER",
    "{path} is the file of a {found} and a {wanted} is needed.",
    "{path} 是 {found} 模块的文件，此处需要 {wanted} 模块。",
)


@dataclass(frozen=True, slots=True)
class SamHead:
    """Which module: its role, its serial (10 bytes), the terminal it is for (6 bytes)."""

    role: str
    serial: bytes
    terminal: bytes


def branches(vault: Vault, role: str, terminal: bytes, issuers: Iterable[bytes]) -> list[Branch]:
    """What a module of that role is lent: every version of its keys, below its issuers and its terminal."""
    held = vault.keys()
    found = [
        Branch(info.name, info.version, info.suite, (issuer,))
        for issuer in sorted(issuers)
        for info in held
        if info.name in ISSUER_KEYS[role]
    ]
    if role == PSAM:
        own = (terminal_factor(terminal),)
        found += [
            Branch(info.name, info.version, info.suite, own) for info in held if info.name == KeyName.BATCH
        ]
    return found


def write(
    path: Path,
    head: SamHead,
    lent: Vault,
    passphrase: str,
    *,
    cost: Cost = STRONG,
    random: Callable[[int], bytes] = os.urandom,
) -> None:
    """A new file (mode 0600) of a vault that `Vault.lend` gave. VAULT_EXISTS."""
    assert isinstance(lent, MemoryVault)
    secret = KeyBytes(passphrase.encode("utf-8", "surrogateescape"))
    del passphrase
    entries = [
        _entry(lent._held[key_id].info, factors, key) for (key_id, factors), key in lent._branches.items()
    ]
    body = HEAD.pack(ROLES.index(head.role), head.serial, head.terminal, len(entries))
    lock = Lock.make(secret, cost, random(SALT_SIZE))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        create_file(path, seal(lock, KeyBytes(body + b"".join(entries)), random(NONCE_SIZE), MAGIC))
    except FileExistsError:
        raise VAULT_EXISTS(path=path) from None


def read(path: Path, passphrase: str) -> tuple[SamHead, LentVault]:
    """The module. VAULT_MISSING, VAULT_DAMAGED, VAULT_PASSPHRASE, naming the file."""
    secret = KeyBytes(passphrase.encode("utf-8", "surrogateescape"))
    del passphrase
    try:
        data = path.read_bytes()
    except OSError:
        raise VAULT_MISSING(path=path) from None
    _, body = unseal(data, secret, path, MAGIC)
    try:
        return _unpacked(body)
    except (struct.error, ValueError, KeyError, IndexError):
        raise VAULT_DAMAGED(path=path, what="it holds an entry that is not understood") from None


def open_psam(path: Path, passphrase: str, counter: CounterStore) -> Psam:
    """The PSAM in a file. SAM_OTHER, and what `read` raises."""
    head, vault = read(path, passphrase)
    if head.role != PSAM:
        raise SAM_OTHER(path=path, found=head.role, wanted=PSAM)
    newest = max(info.version for info in vault.keys())  # noqa: SIM118
    return Psam(vault, head.terminal, counter, newest, serial=head.serial)


def open_load_sam(path: Path, passphrase: str) -> LoadSam:
    """The load SAM in a file. SAM_OTHER, and what `read` raises."""
    head, vault = read(path, passphrase)
    if head.role != LOAD:
        raise SAM_OTHER(path=path, found=head.role, wanted=LOAD)
    return LoadSam(vault)


def _entry(info: KeyInfo, factors: tuple[bytes, ...], key: KeyBytes) -> bytes:
    name, value = info.name.encode("ascii"), bytes.fromhex(info.check_value)
    head = ENTRY.pack(name, info.version, info.suite, bcd_datetime(info.created), value, len(factors))
    return head + b"".join(factors) + key


def _unpacked(body: KeyBytes) -> tuple[SamHead, LentVault]:
    role, serial, terminal, count = HEAD.unpack_from(body)
    held: dict[tuple[str, int, int], Held] = {}
    lent: dict[tuple[tuple[str, int, int], tuple[bytes, ...]], KeyBytes] = {}
    at = HEAD.size
    for _ in range(count):
        name, version, suite, created, value, levels = ENTRY.unpack_from(body, at)
        at += ENTRY.size
        end = at + FACTOR_SIZE * levels
        if not 1 <= levels <= LEVELS_MAX or end + KEY_SIZE > len(body) or suite not in SUITES:
            raise ValueError("an entry is cut")
        key_id = (KeyName(name.rstrip(b"\x00").decode("ascii")).value, version, suite)
        factors = tuple(bytes(body[start : start + FACTOR_SIZE]) for start in range(at, end, FACTOR_SIZE))
        moment = from_bcd_datetime(created) or datetime.min
        held[key_id] = Held(KeyInfo(*key_id, value.hex().upper(), moment), KeyBytes())
        lent[key_id, factors] = body[end : end + KEY_SIZE]
        at = end + KEY_SIZE
    if at != len(body):
        raise ValueError("there is more than the entries")
    return SamHead(ROLES[role], serial, terminal), LentVault(held=held, branches=lent, sealed=True)
