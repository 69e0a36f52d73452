# SPDX-License-Identifier: Apache-2.0
"""Many CBC-MACs under one key with one cipher context.

Setting up a context costs ten times what enciphering a purse message costs. A CBC chain is brought back
to its zero IV by xoring the last cipher block into the first block of the next message, so one context
serves MAC1 and MAC2 of a session, or all TACs of a card. Gives exactly `Suite.session_mac` (facts 2.4).
"""

from __future__ import annotations

from typing import Final, NoReturn, Protocol, SupportsIndex

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

from citycard.core.crypto import SM4_SUITE, TRIPLE_DES, ZERO8, ZERO16, Suite
from citycard.keys.secret import KeyBytes, refuse_pickle

PAD8: Final = tuple(b"\x80" + bytes(7 - length) for length in range(8))
PAD16: Final = tuple(b"\x80" + bytes(15 - length) for length in range(16))


class Chain(Protocol):
    """MACs under one key; for one thread at a time."""

    def mac(self, message: bytes) -> bytes:
        """The 4-byte MAC of a message."""
        ...


def session_chain(suite: Suite, session: bytes) -> Chain:
    """The chain of a session key."""
    return _Des(session) if suite.id == TRIPLE_DES.id else _Sm4(session)


def tac_chain(suite: Suite, key: bytes) -> Chain:
    """The chain of a card's TAC key: 3DES folds its halves, SM4 takes it whole (facts 2.4, 2.6)."""
    return _Des(folded(key)) if suite.id == TRIPLE_DES.id else _Sm4(key)


def folded(key: bytes) -> KeyBytes:
    """Left half xor right half."""
    whole = int.from_bytes(key, "big")
    return KeyBytes((whole >> 64 ^ whole & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "big"))


class _Des:
    __slots__ = ("_cipher", "_last")

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(TripleDES(key * 3), ZERO8).encryptor()
        self._last = 0

    def mac(self, message: bytes) -> bytes:
        padded = message + PAD8[len(message) & 7]
        size = len(padded)
        chained = int.from_bytes(padded, "big") ^ self._last << 8 * size - 64
        block = self._cipher.update(chained.to_bytes(size, "big"))[-8:]
        self._last = int.from_bytes(block, "big")
        return block[:4]

    def __repr__(self) -> str:
        return "<chain>"

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        refuse_pickle(self)


class _Sm4(_Des):
    __slots__ = ()

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(SM4(key), ZERO16).encryptor()
        self._last = 0

    def mac(self, message: bytes) -> bytes:
        padded = message + PAD16[len(message) & 15]
        size = len(padded)
        chained = int.from_bytes(padded, "big") ^ self._last << 8 * size - 128
        block = self._cipher.update(chained.to_bytes(size, "big"))[-16:]
        self._last = int.from_bytes(block, "big")
        return block[:4]


assert {TRIPLE_DES.id, SM4_SUITE.id} == {0, 1}, "a third suite needs a chain of its own here"
