# SPDX-License-Identifier: Apache-2.0
"""Cipher suites of the purse: 3DES and SM4 behind one small interface.

Everything a purse does with a key is a method here: diversify, derive a session key, MAC a session
message, compute a TAC, MAC and encrypt a secure message, show a check value. Callers pass the suite that
the card's algorithm id names and never see a block cipher.

Sources: card facts section 2 (PBOC purse, FMCOS, T-Union). The SM4 session key, MAC and TAC rules are a
working assumption, unpublished and unverified (facts 2.6, 10.1): `Sm4.verified` is False.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Final, Protocol

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

KEY_SIZE: Final = 16
FACTOR_SIZE: Final = 8
MAC_SIZE: Final = 4
ECB: Final = modes.ECB()
ZERO8: Final = modes.CBC(bytes(8))
ZERO16: Final = modes.CBC(bytes(16))


def pad80(data: bytes, block: int = 8) -> bytes:
    """ISO/IEC 9797-1 padding method 2: always one 80, then 00 to the block."""
    return data + b"\x80" + bytes(-(len(data) + 1) % block)


def pad80_if_ragged(data: bytes, block: int) -> bytes:
    """The enciphering pad of FMCOS (facts 1.7): 80 00... only when not aligned already."""
    return pad80(data, block) if len(data) % block else data


def xor(a: bytes, b: bytes) -> bytes:
    """Bytewise exclusive or of two strings of one length."""
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(len(a), "big")


def same(a: bytes, b: bytes) -> bool:
    """Constant-time equality, for MACs and cryptograms."""
    return hmac.compare_digest(a, b)


class Suite(Protocol):
    """What the purse needs of a cipher. Keys are 16 bytes, MACs 4 bytes, factors 8 bytes."""

    id: int
    name: str
    block: int
    verified: bool

    def encrypt(self, key: bytes, data: bytes) -> bytes:
        """ECB over whole blocks."""
        ...

    def decrypt(self, key: bytes, data: bytes) -> bytes:
        """Inverse of `encrypt`."""
        ...

    def diversify(self, key: bytes, factor: bytes) -> bytes:
        """One level down the key tree (facts 2.2)."""
        ...

    def session_key(self, key: bytes, variable: bytes) -> bytes:
        """Session key from the 8-byte variable rand4, ATC2, and low 2 of the terminal serial or 8000."""
        ...

    def session_mac(self, session: bytes, message: bytes) -> bytes:
        """MAC1, MAC2 or MAC3 under a session key (facts 2.4)."""
        ...

    def tac(self, key: bytes, message: bytes) -> bytes:
        """Transaction authorisation code under the card's TAC key (facts 2.4)."""
        ...

    def message_mac(self, key: bytes, message: bytes, challenge: bytes, size: int = MAC_SIZE) -> bytes:
        """Secure-messaging MAC (facts 1.7), its left `size` bytes; a challenge of 4 or 8 bytes is the IV."""
        ...

    def check_value(self, key: bytes) -> bytes:
        """First three bytes of the encrypted zero block: tells keys apart and tells nothing of them."""
        ...


class TripleDes:
    """International suite: two-key EDE, single-DES session keys (facts 2.2 to 2.4, all verified)."""

    id = 0x00
    name = "3DES"
    block = 8
    verified = True

    def encrypt(self, key: bytes, data: bytes) -> bytes:
        return _des(key, ECB).encryptor().update(data)

    def decrypt(self, key: bytes, data: bytes) -> bytes:
        return _des(key, ECB).decryptor().update(data)

    def diversify(self, key: bytes, factor: bytes) -> bytes:
        return _des(key, ECB).encryptor().update(factor + xor(factor, b"\xff" * FACTOR_SIZE))

    def session_key(self, key: bytes, variable: bytes) -> bytes:
        return _des(key, ECB).encryptor().update(variable)

    def session_mac(self, session: bytes, message: bytes) -> bytes:
        return _des(session, ZERO8).encryptor().update(pad80(message))[-8:-4]

    def tac(self, key: bytes, message: bytes) -> bytes:
        return self.session_mac(xor(key[:8], key[8:]), message)

    def message_mac(self, key: bytes, message: bytes, challenge: bytes, size: int = MAC_SIZE) -> bytes:
        """Retail MAC, ISO/IEC 9797-1 algorithm 3; an 8-byte key gives plain DES-CBC-MAC."""
        iv = modes.CBC(challenge.ljust(8, b"\x00"))
        last = _des(key[:8], iv).encryptor().update(pad80(message))[-8:]
        if len(key) == KEY_SIZE:
            last = _des(key[:8], ECB).encryptor().update(_des(key[8:], ECB).decryptor().update(last))
        return last[:size]

    def check_value(self, key: bytes) -> bytes:
        return self.encrypt(key, bytes(8))[:3]


class Sm4:
    """Chinese suite. Diversification and secure messaging from one source, the rest assumed (facts 2.6)."""

    id = 0x01
    name = "SM4"
    block = 16
    verified = False

    def encrypt(self, key: bytes, data: bytes) -> bytes:
        return Cipher(SM4(key), ECB).encryptor().update(data)

    def decrypt(self, key: bytes, data: bytes) -> bytes:
        return Cipher(SM4(key), ECB).decryptor().update(data)

    def diversify(self, key: bytes, factor: bytes) -> bytes:
        return self.encrypt(key, factor + xor(factor, b"\xff" * FACTOR_SIZE))

    def session_key(self, key: bytes, variable: bytes) -> bytes:
        """Unverified profile: the variable, padded 80 00... to one SM4 block."""
        return self.encrypt(key, pad80(variable, 16))

    def session_mac(self, session: bytes, message: bytes) -> bytes:
        return Cipher(SM4(session), ZERO16).encryptor().update(pad80(message, 16))[-16:-12]

    def tac(self, key: bytes, message: bytes) -> bytes:
        """Unverified profile: the whole 16-byte key, for there are no DES halves to fold."""
        return self.session_mac(key, message)

    def message_mac(self, key: bytes, message: bytes, challenge: bytes, size: int = MAC_SIZE) -> bytes:
        iv = modes.CBC(challenge.ljust(16, b"\x00"))
        return Cipher(SM4(key), iv).encryptor().update(pad80(message, 16))[-16:][:size]

    def check_value(self, key: bytes) -> bytes:
        return self.encrypt(key, bytes(16))[:3]


def _des(key: bytes, mode: modes.ECB | modes.CBC) -> Cipher[modes.ECB | modes.CBC]:
    """Single DES for 8 bytes, two-key EDE for 16; the library wants 24 (K, K, K or K1, K2, K1)."""
    return Cipher(TripleDES(key * 3 if len(key) == 8 else key + key[:8]), mode)


TRIPLE_DES: Final = TripleDes()
SM4_SUITE: Final = Sm4()
SUITES: Final[dict[int, Suite]] = {TRIPLE_DES.id: TRIPLE_DES, SM4_SUITE.id: SM4_SUITE}


def suite_named(name: str) -> Suite:
    """The suite called `3DES` or `SM4`; `ValueError` names the choices."""
    for suite in SUITES.values():
        if suite.name == name:
            return suite
    raise ValueError(f"unknown cipher suite {name!r}: choose 3DES or SM4")


def diversify(suite: Suite, key: bytes, factors: Iterable[bytes]) -> bytes:
    """Any number of levels, in order root to issuer to card (facts 2.2)."""
    for factor in factors:
        if len(factor) != FACTOR_SIZE:
            raise ValueError(f"a diversification factor has {FACTOR_SIZE} bytes, this has {len(factor)}")
        key = suite.diversify(key, factor)
    return key
