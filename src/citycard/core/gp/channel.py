# SPDX-License-Identifier: Apache-2.0
"""What SCP02 and SCP03 have in common: levels of security, and one shape for both ends of a channel.

A channel object stands for one session. The off-card end calls `wrap` and `open_answer`, the card's end
`unwrap` and `seal_answer`; both compute with the same methods, so each is the other's test.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from citycard.core.apdu import Command

C_MAC: Final = 0x01
C_DECRYPTION: Final = 0x02
R_MAC: Final = 0x10
R_ENCRYPTION: Final = 0x20
SECURE_BIT: Final = 0x04  # CLA: GlobalPlatform's secure messaging
MAC_SIZE: Final = 8
CHALLENGE_SIZE: Final = 8
CRYPTOGRAM_SIZE: Final = 8
WARNINGS: Final = (0x62, 0x63)


class Told(NamedTuple):
    """The card's answer to INITIALIZE UPDATE taken apart; `challenge` is what both cryptograms cover."""

    diversification: bytes
    key_version: int
    protocol: int  # 02 or 03
    i: int  # the protocol's variant; SCP02 does not tell it: 0
    sequence: bytes
    challenge: bytes
    cryptogram: bytes


class Channel(Protocol):
    """One secure channel session, from either end."""

    level: int
    key_block: int  # keys are enciphered in blocks of this size

    def card_cryptogram(self) -> bytes:
        """What proves the card."""
        ...

    def host_cryptogram(self) -> bytes:
        """What proves the host."""
        ...

    def mac(self, command: Command, data: bytes) -> bytes:
        """The next C-MAC of the session: over a command's header and this data."""
        ...

    def wrap(self, command: Command) -> Command:
        """A command as the session's level wants it."""
        ...

    def unwrap(self, command: Command) -> Command | None:
        """The plain command, None when its MAC or its padding is wrong; then the session is over."""
        ...

    def seal_answer(self, data: bytes, sw: int) -> bytes:
        """The card's answer data as the level wants it."""
        ...

    def open_answer(self, data: bytes, sw: int) -> bytes | None:
        """The plain answer data, None when its MAC or its padding is wrong."""
        ...

    def encrypt_key(self, key: bytes) -> bytes:
        """A key enciphered for PUT KEY or STORE DATA, in whole blocks."""
        ...

    def decrypt_key(self, cipher: bytes) -> bytes:
        """Inverse of `encrypt_key`; the padding stays."""
        ...


def secured(sw: int) -> bool:
    """Whether an answer with this status word carries a response MAC (Amendment D 6.2.5)."""
    return sw == 0x9000 or sw >> 8 in WARNINGS


def mac_input(command: Command, data: bytes) -> bytes:
    """Header with the secure-messaging bit on channel 0, Lc that counts the MAC, data."""
    size = len(data) + MAC_SIZE
    lc = bytes((size,)) if size <= 0xFF else b"\x00" + size.to_bytes(2, "big")
    return bytes((command.cla | SECURE_BIT, command.ins, command.p1, command.p2)) + lc + data


def authentication(channel: Channel, level: int) -> Command:
    """EXTERNAL AUTHENTICATE for a level: the host's cryptogram and the first C-MAC of the session."""
    cryptogram = channel.host_cryptogram()
    plain = Command(0x80 | SECURE_BIT, 0x82, level, 0x00, cryptogram)
    return replace(plain, data=cryptogram + channel.mac(plain, cryptogram))
