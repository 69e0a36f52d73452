# SPDX-License-Identifier: Apache-2.0
"""The vault in memory: all key operations of the soft vault, and the whole of a security module's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, NoReturn, SupportsIndex

from citycard.core.crypto import FACTOR_SIZE, KEY_SIZE, SUITES, TRIPLE_DES, Suite
from citycard.keys import vault as port
from citycard.keys.chain import Chain, session_chain, tac_chain
from citycard.keys.hierarchy import KeyId, checked, derivation
from citycard.keys.secret import KeyBytes, refuse_pickle
from citycard.keys.vault import KeyInfo, KeyName, KeyRef, SuiteChoice, Usage
from citycard.keys.wrapping import wrap_key

if TYPE_CHECKING:
    from citycard.keys.tac import CardBatch, CardKeys, KeyPath, TacVerifier

SIZES: Final = (4, 8)  # MAC sizes in use: on cards, and on batches
DRAWS_MAX: Final = 8  # a source that draws equal halves this often is no source of randomness

Clock = Callable[[], datetime]
Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Held:
    """A root key and what is told of it."""

    info: KeyInfo
    key: KeyBytes


Keys = Mapping[KeyId, Held]


class PurseSession:
    """MACs under one session key; see `vault.Session`."""

    __slots__ = ("_chain", "_name")

    def __init__(self, name: str, chain: Chain) -> None:
        self._name = name
        self._chain = chain

    def mac(self, message: bytes) -> bytes:
        """The 4-byte MAC of a message."""
        return self._chain.mac(message)

    def __repr__(self) -> str:
        return f"<session under {self._name}>"

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        refuse_pickle(self)


class MemoryVault:
    """A `Vault` that forgets its keys when the process ends; sealed ones take no new keys."""

    def __init__(
        self,
        *,
        clock: Clock = datetime.now,
        random: Random = os.urandom,
        held: Keys | None = None,
        sealed: bool = False,
    ) -> None:
        self._clock = clock
        self._random = random
        self._held: Keys = dict(held or {})
        self._sealed = sealed
        self._derive = derivation(self._root)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._held)} keys>"

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        refuse_pickle(self)

    def generate(
        self,
        name: str,
        suite: SuiteChoice,
        version: int = 1,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> KeyInfo:
        """Make a root key; see `Vault`. The transport key is the card maker's and is only imported."""
        if port.key_name(name) is KeyName.TRANSPORT:
            raise port.KEY_INVALID(name=name, why="it is the card maker's and is imported")
        for _ in range(DRAWS_MAX):
            key = KeyBytes(self._random(KEY_SIZE))
            if not is_weak(key):
                return self._add(name, suite, version, key, not_before, not_after)
        raise port.KEY_INVALID(name=name, why="the source of randomness draws weak keys only")

    def import_key(self, name: str, suite: SuiteChoice, version: int, key: bytes) -> KeyInfo:
        """Take in a key made elsewhere; see `Vault`."""
        secret = KeyBytes(key)
        del key
        if len(secret) != KEY_SIZE:
            raise port.KEY_INVALID(name=name, why=f"it has {len(secret)} bytes and not {KEY_SIZE}")
        if is_weak(secret) and port.key_name(name) is not KeyName.TRANSPORT:
            raise port.KEY_INVALID(name=name, why="its halves are equal, which makes it single DES")
        return self._add(name, suite, version, secret, None, None)

    def _add(
        self,
        name: str,
        suite: SuiteChoice,
        version: int,
        key: KeyBytes,
        not_before: datetime | None,
        not_after: datetime | None,
    ) -> KeyInfo:
        key_id = (port.key_name(name).value, version, port.algorithm(suite))
        if not 1 <= version <= port.VERSION_MAX:
            raise port.KEY_INVALID(name=name, why=f"its version is {version}, not 1 to {port.VERSION_MAX}")
        if key_id in self._held:
            raise port.KEY_EXISTS(name=name, version=version, suite=SUITES[key_id[2]].name)
        created = self._clock().replace(microsecond=0)
        check_value = SUITES[key_id[2]].check_value(key).hex().upper()
        info = KeyInfo(*key_id, check_value, created, not_before, not_after)
        self._replace({**self._held, key_id: Held(info, key)})
        return info

    def retire(self, name: str, version: int, not_after: datetime, *, suite: int | None = None) -> KeyInfo:
        """See `Vault`."""
        key_id = self._key_id(name, version, suite)
        held = self._held[key_id]
        info = replace(held.info, not_after=not_after.replace(microsecond=0))
        self._replace({**self._held, key_id: Held(info, held.key)})
        return info

    def _replace(self, held: Keys) -> None:
        """Take on a new set of keys, all or nothing."""
        if self._sealed:
            raise port.VAULT_SEALED()
        self._held = held

    def keys(self) -> list[KeyInfo]:
        """See `Vault`."""
        return [self._held[key_id].info for key_id in sorted(self._held)]

    def current(self, name: str, at: datetime, *, suite: int | None = None) -> KeyInfo:
        """See `Vault`."""
        wanted = port.key_name(name)
        found = [
            info
            for info in self.keys()
            if info.name == wanted and info.in_force(at) and suite in (None, info.suite)
        ]
        if not found:
            raise port.KEY_MISSING(name=name, version=f"in force on {at:%Y-%m-%d}", suite=_suite_text(suite))
        return max(found, key=lambda info: (info.version, -info.suite))

    def only(self, *names: str) -> MemoryVault:
        """See `Vault`."""
        wanted = {port.key_name(name).value for name in names}
        held = {key_id: held for key_id, held in self._held.items() if key_id[0] in wanted}
        return MemoryVault(clock=self._clock, random=self._random, held=held, sealed=True)

    def session(
        self, name: str, version: int, factors: Sequence[bytes], variable: bytes, *, suite: int | None = None
    ) -> PurseSession:
        """See `Vault`."""
        cipher, key = self._key(name, version, factors, suite, Usage.SESSION)
        if len(variable) != FACTOR_SIZE:
            raise ValueError(f"a session variable has {FACTOR_SIZE} bytes, this has {len(variable)}")
        session = KeyBytes(cipher.session_key(key, variable))
        return PurseSession(f"{name} version {version}", session_chain(cipher, session))

    def tac(
        self, name: str, version: int, factors: Sequence[bytes], message: bytes, *, suite: int | None = None
    ) -> bytes:
        """See `Vault`."""
        cipher, key = self._key(name, version, factors, suite, Usage.TAC)
        return tac_chain(cipher, key).mac(message)

    def message_mac(
        self,
        name: str,
        version: int,
        factors: Sequence[bytes],
        message: bytes,
        challenge: bytes,
        *,
        size: int = 4,
        suite: int | None = None,
    ) -> bytes:
        """See `Vault`."""
        cipher, key = self._key(name, version, factors, suite, Usage.MESSAGE)
        if size not in SIZES:
            raise ValueError(f"a message MAC has 4 or 8 bytes, not {size}")
        return cipher.message_mac(key, message, _iv(cipher, challenge), size)

    def wrap_card_key(
        self,
        name: str,
        version: int,
        factors: Sequence[bytes],
        under: KeyRef | tuple[str, int, Sequence[bytes]],
        record_head: bytes,
        header: bytes,
        challenge: bytes,
        *,
        suite: int | None = None,
    ) -> tuple[bytes, bytes]:
        """See `Vault`."""
        if not factors:
            raise port.KEY_USAGE(name=name, usage="leaving the vault undiversified")
        _, key = self._key(name, version, factors, suite, Usage.LOAD_INTO_CARD)
        info, at = self._held[self._key_id(name, version, suite)].info, self._clock()
        if not info.in_force(at):
            raise port.KEY_RETIRED(name=name, version=version, suite=info.suite_name, at=f"{at:%Y-%m-%d}")
        wrap = KeyRef(*under)
        cipher, wrapping = self._key(wrap.name, wrap.version, wrap.factors, wrap.suite, Usage.WRAP)
        return wrap_key(cipher, wrapping, record_head, key, header, _iv(cipher, challenge))

    def external_authentication(
        self, name: str, version: int, factors: Sequence[bytes], challenge: bytes, *, suite: int | None = None
    ) -> bytes:
        """See `Vault`."""
        cipher, key = self._key(name, version, factors, suite, Usage.AUTHENTICATE)
        return cipher.encrypt(key, _iv(cipher, challenge).ljust(cipher.block, b"\x00"))

    def tac_checker(self, name: str = KeyName.TAC) -> TacVerifier:
        """See `Vault`."""
        from citycard.keys.tac import TacVerifier

        _permit(name, Usage.TAC)
        return TacVerifier(self, name)

    def card_tac_keys(self, name: str, cards: CardBatch) -> CardKeys:
        """See `Vault`. The issuers' keys are copied for the time of the call and wiped."""
        from citycard.keys.tac.lending import derive_cards

        _permit(name, Usage.TAC)

        def issuer_key(path: KeyPath) -> KeyBytes | None:
            key_id = (str(name), path.version, path.suite)
            return self._derive(key_id, checked(path.factors)) if key_id in self._held else None

        return derive_cards(cards, issuer_key)

    def _root(self, key_id: KeyId) -> tuple[Suite, KeyBytes]:
        return SUITES[key_id[2]], self._held[key_id].key

    def _key_id(self, name: str, version: int, suite: int | None) -> KeyId:
        if suite is not None:
            key_id = (name, version, suite)
            if key_id in self._held:
                return key_id
        else:
            for number in SUITES:
                key_id = (name, version, number)
                if key_id in self._held:
                    return key_id
        port.key_name(name)
        raise port.KEY_MISSING(name=name, version=version, suite=_suite_text(suite))

    def _key(
        self, name: str, version: int, factors: Sequence[bytes], suite: int | None, usage: Usage
    ) -> tuple[Suite, KeyBytes]:
        _permit(name, usage)
        key_id = self._key_id(name, version, suite)
        return SUITES[key_id[2]], self._derive(key_id, checked(factors))


def is_weak(key: bytes) -> bool:
    """Whether both halves are the same DES key: that is single DES, and its TAC key is zero."""
    return bytes(byte & 0xFE for byte in key[:8]) == bytes(byte & 0xFE for byte in key[8:])


def _permit(name: str, usage: Usage) -> None:
    if usage not in port.USAGES[port.key_name(name)]:
        raise port.KEY_USAGE(name=name, usage=usage.value)


def _iv(cipher: Suite, challenge: bytes) -> bytes:
    if not 4 <= len(challenge) <= cipher.block:
        raise ValueError(f"a challenge for {cipher.name} has 4 to {cipher.block} bytes, not {len(challenge)}")
    return challenge


def _suite_text(suite: int | None) -> str:
    if suite is None:
        return "any suite"
    return SUITES[suite].name if suite in SUITES else f"algorithm {suite}"


assert TRIPLE_DES.id == min(SUITES), "the lowest algorithm id, meant when no suite is named, is 3DES"
