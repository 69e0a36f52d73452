# SPDX-License-Identifier: Apache-2.0
"""The keys of the card on the bench, as far as a vault lends them: MACs and TACs, never a key.

The factors that lead from the scheme's root keys to this card are read from the card itself (EF15).
"""

from __future__ import annotations

from dataclasses import dataclass

from citycard.keys import KeyName, Vault


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
