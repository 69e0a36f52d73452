# SPDX-License-Identifier: Apache-2.0
"""The key ceremony (密钥仪式): makes every root key of a scheme and tells their check values.

Either the vault draws each key itself (`scheme_ceremony`), or a root secret that custodians hold in
components (`shares`) gives them all (`keys_of_secret`), so that the custodians together can make the same
keys again in another vault. From the secret to a key: HKDF-Expand (RFC 5869, SHA-256) over name, version and
suite, which are bound into the key.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from citycard.core.crypto import KEY_SIZE, SUITES, TRIPLE_DES
from citycard.keys.memory_vault import is_weak
from citycard.keys.secret import KeyBytes
from citycard.keys.vault import KeyInfo, KeyName, SuiteChoice, Vault, algorithm

APART: Final = (
    KeyName.TRANSPORT,
    KeyName.STORAGE,
)  # the card maker's; only for schemes with M1 cards or tickets
ROOTS: Final = tuple(name for name in KeyName if name not in APART)


def scheme_ceremony(
    vault: Vault, suites: Iterable[SuiteChoice] = (TRIPLE_DES,), version: int = 1
) -> list[KeyInfo]:
    """Generate each root key of the scheme in each suite; what exists is kept, so a ceremony that was
    interrupted is done again. Returns all keys of that version."""
    chosen = [algorithm(suite) for suite in suites]
    before = vault.keys()
    there = {(info.name, info.suite) for info in before if info.version == version}
    for name in ROOTS:
        for suite in chosen:
            if (name.value, suite) not in there:
                vault.generate(name, suite, version)
    return _of(vault, chosen, version)


def keys_of_secret(
    vault: Vault,
    secret: KeyBytes,
    suites: Iterable[SuiteChoice] = (TRIPLE_DES,),
    version: int = 1,
    *,
    not_before: datetime | None = None,
) -> list[KeyInfo]:
    """The same with the keys that the root secret gives; what exists is kept."""
    chosen = [algorithm(suite) for suite in suites]
    before = vault.keys()
    there = {(info.name, info.suite) for info in before if info.version == version}
    for name in ROOTS:
        for suite in chosen:
            if (name.value, suite) not in there:
                vault.import_key(name, suite, version, root_key(secret, name, version, suite), not_before)
    return _of(vault, chosen, version)


def root_key(secret: KeyBytes, name: str, version: int, suite: int) -> KeyBytes:
    """The key of that name, version and suite; a weak one, should it ever come, is passed over."""
    for attempt in range(256):
        about = f"citycard root key|{name}|{version}|{SUITES[suite].name}|{attempt}".encode()
        key = KeyBytes(hmac.digest(secret, about + b"\x01", "sha256")[:KEY_SIZE])
        if not is_weak(key):
            return key
    raise AssertionError("no secret gives 256 weak keys in a row")


def roll_over(vault: Vault, start: datetime, *, secret: KeyBytes | None = None) -> list[KeyInfo]:
    """A new version of every root key for cards made from `start` on; until then new cards get the old one.

    Old versions stay and serve the cards that have them. A roll-over that was interrupted is finished.
    """
    before = [info for info in vault.keys() if info.name != KeyName.TRANSPORT]  # noqa: SIM118
    begun = [info for info in before if info.not_before == start]
    version = begun[0].version if begun else max(info.version for info in before) + 1
    suites = sorted({info.suite for info in before})
    there = {(info.name, info.suite) for info in before if info.version == version}
    for name in ROOTS:
        for suite in suites:
            if (name.value, suite) in there:
                continue
            if secret is None:
                vault.generate(name, suite, version, not_before=start)
            else:
                vault.import_key(name, suite, version, root_key(secret, name, version, suite), start)
    for info in before:
        if info.version < version and (info.not_after is None or info.not_after > start):
            vault.retire(info.name, info.version, start, suite=info.suite)
    return _of(vault, suites, version)


def _of(vault: Vault, suites: list[int], version: int) -> list[KeyInfo]:
    after = vault.keys()
    return [
        info
        for info in after
        if info.version == version and info.suite in suites and info.name != KeyName.TRANSPORT
    ]
