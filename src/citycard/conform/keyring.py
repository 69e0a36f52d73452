# SPDX-License-Identifier: Apache-2.0
"""The keys of the card on the bench: MACs and TACs that a vault lends, or the keys of a test card themselves.

A `Keyring` stands for a vault: no key leaves it, and the factors that lead from the scheme's root keys to
the card are read from the card itself (EF15). `LabKeys` are keys made for one specimen, which the laboratory
holds in clear; a key that neither has makes its cases "not run".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from citycard.conform.model import NotRun
from citycard.core.crypto import TRIPLE_DES, Suite, pad80_if_ragged
from citycard.core.gp.keys import KeySet
from citycard.core.purse import pin_mac
from citycard.keys import KeyName, Vault


class Keys(Protocol):
    """What every catalogue of purses asks of the card's keys."""

    def session_mac(self, name: str, version: int, algorithm: int, variable: bytes, message: bytes) -> bytes:
        """MAC1, MAC2 or MAC3 under the session key of an 8-byte variable."""
        ...

    def tac(self, version: int, algorithm: int, message: bytes) -> bytes:
        """The TAC of a message."""
        ...

    def message_mac(self, message: bytes, challenge: bytes, version: int = 1, algorithm: int = 0) -> bytes:
        """Secure-messaging MAC under the maintenance key."""
        ...

    def authentication(self, challenge: bytes, version: int = 1, algorithm: int = 0) -> bytes:
        """The challenge enciphered under the control key."""
        ...


@dataclass(frozen=True, slots=True)
class Keyring:
    """A vault and the path to one card's keys in it."""

    vault: Vault
    factors: tuple[bytes, ...]

    def session_mac(self, name: str, version: int, algorithm: int, variable: bytes, message: bytes) -> bytes:
        """MAC1 or MAC2 under the session key of an 8-byte variable; `name` purchase or load."""
        return self.vault.session(name, version, self.factors, variable, suite=algorithm).mac(message)

    def tac(self, version: int, algorithm: int, message: bytes) -> bytes:
        """The TAC of a message."""
        return self.vault.tac(KeyName.TAC, version, self.factors, message, suite=algorithm)

    def message_mac(self, message: bytes, challenge: bytes, version: int = 1, algorithm: int = 0) -> bytes:
        """Secure-messaging MAC under the maintenance key."""
        name = KeyName.MAINTENANCE
        return self.vault.message_mac(name, version, self.factors, message, challenge, suite=algorithm)

    def authentication(self, challenge: bytes, version: int = 1, algorithm: int = 0) -> bytes:
        """The challenge enciphered under the control key."""
        name = KeyName.CONTROL
        return self.vault.external_authentication(name, version, self.factors, challenge, suite=algorithm)


@dataclass(frozen=True, slots=True)
class LabKeys:
    """The keys of one specimen by the names its profile gives them, and its key sets by version."""

    values: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    suite: Suite = TRIPLE_DES
    sets: Mapping[int, KeySet] = field(default_factory=dict)

    def session_mac(self, name: str, version: int, algorithm: int, variable: bytes, message: bytes) -> bytes:
        """See `Keys`."""
        return self.suite.session_mac(self.suite.session_key(self.value(name), variable), message)

    def tac(self, version: int, algorithm: int, message: bytes) -> bytes:
        """See `Keys`."""
        return self.suite.tac(self.value("tac"), message)

    def message_mac(self, message: bytes, challenge: bytes, version: int = 1, algorithm: int = 0) -> bytes:
        """See `Keys`."""
        return self.mac_under("maintenance", message, challenge)

    def mac_under(self, name: str, message: bytes, challenge: bytes) -> bytes:
        """Secure-messaging MAC under a key."""
        return self.suite.message_mac(self.value(name), message, challenge)

    def authentication(self, challenge: bytes, version: int = 1, algorithm: int = 0) -> bytes:
        """See `Keys`."""
        return self.encrypt("control", challenge.ljust(self.suite.block, b"\x00"))

    def encrypt(self, name: str, data: bytes) -> bytes:
        """Whole blocks enciphered under a key."""
        return self.suite.encrypt(self.value(name), data)

    def decrypt(self, name: str, data: bytes) -> bytes:
        """Inverse of `encrypt`."""
        return self.suite.decrypt(self.value(name), data)

    def enciphered(self, name: str, data: bytes) -> bytes:
        """Data as a secure message carries them: length, data, padding, enciphered (facts 1.7)."""
        return self.encrypt(name, pad80_if_ragged(bytes((len(data),)) + data, self.suite.block))

    def pin_mac(self, pin: bytes) -> bytes:
        """RELOAD PIN's MAC."""
        return pin_mac(self.suite, self.value("pin_reload"), pin)

    def value(self, name: str) -> bytes:
        """A key; `NotRun` when the laboratory was not given it."""
        try:
            return self.values[name]
        except KeyError:
            raise NotRun(f"it needs the card's key {name}", f"需要卡片密钥 {name}") from None

    def set_of(self, version: int) -> KeySet:
        """A key set; `NotRun` when the laboratory was not given it."""
        if version not in self.sets:
            raise NotRun(f"it needs key set {version:02X}", f"需要密钥组 {version:02X}")
        return self.sets[version]
