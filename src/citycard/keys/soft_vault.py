# SPDX-License-Identifier: Apache-2.0
"""The soft vault: all keys of a scheme in one enciphered file under a passphrase.

The body is the storage key (a length byte and, once it was needed, 32 bytes) and an entry per key; files of
version 1 have the entries only. The file is read once when opened; every change writes a new file in its
place before it counts, and is refused when another program changed the file meanwhile. Form of the file:
`envelope`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from citycard.core.calendar import bcd_datetime, from_bcd_datetime
from citycard.core.crypto import KEY_SIZE, SUITES
from citycard.keys import vault as port
from citycard.keys.durable import create_file, replace_file
from citycard.keys.envelope import NONCE_SIZE, SALT_SIZE, STRONG, Cost, Lock, seal, unseal, version_of
from citycard.keys.hierarchy import KeyId
from citycard.keys.memory_vault import STORAGE_SIZE, Clock, Held, Keys, MemoryVault, Random
from citycard.keys.secret import KeyBytes
from citycard.keys.vault import KeyInfo

FILE_NAME: Final = "vault.ccv"
ENTRY: Final = struct.Struct(">16sBB7s7s7s16s")  # name, version, suite, created, not before, not after, key


class SoftVault(MemoryVault):
    """A `Vault` in one file; made by `create` or `open`, never directly."""

    def __init__(
        self,
        path: Path,
        lock: Lock,
        digest: bytes,
        held: Keys,
        storage: KeyBytes | None,
        *,
        clock: Clock,
        random: Random,
    ) -> None:
        super().__init__(clock=clock, random=random, held=held)
        self._storage = storage
        self.path = path
        self._lock = lock
        self._digest = digest

    @classmethod
    def create(
        cls,
        path: Path,
        passphrase: str,
        *,
        cost: Cost = STRONG,
        clock: Clock = datetime.now,
        random: Random = os.urandom,
    ) -> SoftVault:
        """A new empty vault (mode 0600). VAULT_EXISTS, VAULT_UNREADABLE, VAULT_PASSPHRASE_EMPTY."""
        secret = _given(passphrase)
        del passphrase
        if path.exists():
            raise port.VAULT_EXISTS(path=path)
        lock = Lock.make(secret, cost, random(SALT_SIZE))
        data = seal(lock, _pack({}, None), random(NONCE_SIZE))
        with _files_of(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                create_file(path, data)
            except FileExistsError:
                raise port.VAULT_EXISTS(path=path) from None
        return cls(path, lock, hashlib.sha256(data).digest(), {}, None, clock=clock, random=random)

    @classmethod
    def open(
        cls, path: Path, passphrase: str, *, clock: Clock = datetime.now, random: Random = os.urandom
    ) -> SoftVault:
        """The vault at `path`.

        VAULT_MISSING, VAULT_DAMAGED, VAULT_VERSION, VAULT_PASSPHRASE, VAULT_UNREADABLE.
        """
        secret = _given(passphrase)
        del passphrase
        with _files_of(path):
            data = path.read_bytes()
        lock, body = unseal(data, secret, path)
        storage, entries = _opened(body, version_of(data), path)
        held = _unpack(entries, path)
        return cls(path, lock, hashlib.sha256(data).digest(), held, storage, clock=clock, random=random)

    def change_passphrase(self, new: str) -> None:
        """Seal the file anew under another passphrase and salt, at the same cost. VAULT_PASSPHRASE_EMPTY."""
        secret = _given(new)
        del new
        self._write(self._held, Lock.make(secret, self._lock.cost, self._random(SALT_SIZE)))

    def _replace(self, held: Keys) -> None:
        self._write(held, self._lock)
        super()._replace(held)

    def _keep_storage(self, key: KeyBytes) -> None:
        before, self._storage = self._storage, key
        try:
            self._write(self._held, self._lock)
        except BaseException:
            self._storage = before  # nothing may be protected under a key that is not on disk
            raise

    def _write(self, held: Keys, lock: Lock) -> None:
        data = seal(lock, _pack(held, self._storage), self._random(NONCE_SIZE))
        with _files_of(self.path), _alone(self.path):
            if hashlib.sha256(self.path.read_bytes()).digest() != self._digest:
                raise port.VAULT_CHANGED(path=self.path)
            replace_file(self.path, data)
        self._lock = lock
        self._digest = hashlib.sha256(data).digest()


def _given(passphrase: str) -> KeyBytes:
    """The passphrase as bytes that do not print, so that no traceback shows it."""
    if not passphrase:
        raise port.VAULT_PASSPHRASE_EMPTY()
    return KeyBytes(passphrase.encode("utf-8", "surrogateescape"))


@contextmanager
def _files_of(path: Path) -> Iterator[None]:
    """Turn the system's errors into problems."""
    try:
        yield
    except FileNotFoundError:
        raise port.VAULT_MISSING(path=path) from None
    except OSError as problem:
        raise port.VAULT_UNREADABLE(path=path, why=problem.strerror) from None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other programs from changing the file meanwhile."""
    with path.with_name(path.name + ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pack(held: Keys, storage: KeyBytes | None) -> KeyBytes:
    entries = (_entry(held[key_id]) for key_id in sorted(held))
    return KeyBytes(b"".join((bytes((len(storage or b""),)), storage or b"", *entries)))


def _opened(body: KeyBytes, version: int, path: Path) -> tuple[KeyBytes | None, KeyBytes]:
    """The storage key, if there is one yet, and the entries."""
    if version == 1:
        return None, body
    size = body[0] if body else 0
    if not body or size not in (0, STORAGE_SIZE) or len(body) < 1 + size:
        raise port.VAULT_DAMAGED(path=path, what="its storage key is cut")
    return body[1 : 1 + size] or None, body[1 + size :]


def _entry(held: Held) -> bytes:
    info = held.info
    moments = [_moment(at) for at in (info.created, info.not_before, info.not_after)]
    return ENTRY.pack(info.name.encode("ascii"), info.version, info.suite, *moments, held.key)


def _moment(at: datetime | None) -> bytes:
    return bytes(7) if at is None else bcd_datetime(at)


def _unpack(body: KeyBytes, path: Path) -> dict[KeyId, Held]:
    if len(body) % ENTRY.size:
        raise port.VAULT_DAMAGED(path=path, what="its entries are cut")
    entries = [body[at : at + ENTRY.size] for at in range(0, len(body), ENTRY.size)]
    held = [_held(entry, path) for entry in entries]
    return {(one.info.name, one.info.version, one.info.suite): one for one in held}


def _held(entry: KeyBytes, path: Path) -> Held:
    """One entry; the file is authentic here, so a misfit means another program's idea of this version."""
    key = entry[-KEY_SIZE:]
    name, version, suite, *moments = ENTRY.unpack(entry)[:6]
    try:
        kind = port.KeyName(name.rstrip(b"\x00").decode("ascii")).value
        check_value = SUITES[suite].check_value(key).hex().upper()
        created, not_before, not_after = (from_bcd_datetime(moment) for moment in moments)
    except (ValueError, KeyError):
        raise port.VAULT_DAMAGED(path=path, what="it holds an entry that is not understood") from None
    return Held(
        KeyInfo(kind, version, suite, check_value, created or datetime.min, not_before, not_after), key
    )
