# SPDX-License-Identifier: Apache-2.0
"""Secure Channel Protocol 03 (AES), S8 mode: chained CMACs both ways, enciphered commands and answers.

Variants: i=00 commands only, i=20 with response MACs, i=60 with enciphered answers as well, plus 10 for a
card challenge that follows from the sequence counter (i=70). GlobalPlatform Card Specification Amendment D;
card facts 7.2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from citycard.core.apdu import Command
from citycard.core.crypto import pad80, same
from citycard.core.gp.channel import (
    C_DECRYPTION,
    C_MAC,
    CHALLENGE_SIZE,
    MAC_SIZE,
    R_ENCRYPTION,
    R_MAC,
    SECURE_BIT,
    Told,
    mac_input,
    secured,
)
from citycard.core.gp.cipher import AES_BLOCK, aes_decrypt, aes_encrypt, cmac, unpad80
from citycard.core.gp.keys import KeySet

PROTOCOL: Final = 0x03
PSEUDO_RANDOM, R_MACS, R_ENCS = 0x10, 0x20, 0x60  # bits of i
VARIANTS: Final = (0x00, 0x10, 0x20, 0x30, 0x60, 0x70)
ANSWER_SIZE: Final = 29
SEQUENCE_SIZE: Final = 3
SEQUENCE_MAX: Final = 0xFFFFFF
CARD_CRYPTOGRAM, HOST_CRYPTOGRAM, CARD_CHALLENGE, S_ENC, S_MAC, S_RMAC = 0x00, 0x01, 0x02, 0x04, 0x06, 0x07


def levels(i: int) -> tuple[int, ...]:
    """The security levels EXTERNAL AUTHENTICATE may ask of a variant (Amendment D 7.1.2)."""
    found = [0x00, C_MAC, C_MAC | C_DECRYPTION]
    if i & R_MACS:
        found += [C_MAC | R_MAC, C_MAC | C_DECRYPTION | R_MAC]
    if i & R_ENCS == R_ENCS:
        found.append(C_MAC | C_DECRYPTION | R_MAC | R_ENCRYPTION)
    return tuple(found)


def derive(key: bytes, constant: int, context: bytes, size: int) -> bytes:
    """The key derivation of Amendment D 4.1.5: SP 800-108 counter mode with CMAC; `size` in bytes."""
    label = bytes(11) + bytes((constant,)) + b"\x00" + (size * 8).to_bytes(2, "big")
    blocks = range(1, -(-size // AES_BLOCK) + 1)
    return b"".join(cmac(key, label, bytes((number,)), context) for number in blocks)[:size]


def pseudo_random(keys: KeySet, sequence: bytes, aid: bytes) -> bytes:
    """The card challenge that follows from the sequence counter for the domain's AID."""
    return derive(keys.enc, CARD_CHALLENGE, sequence + aid, CHALLENGE_SIZE)


class Scp03:
    """One session: made by both ends from the static keys and both challenges."""

    key_block = AES_BLOCK
    __slots__ = ("_chain", "_context", "_counter", "_dek", "_enc", "_mac", "_rmac", "level")

    def __init__(self, keys: KeySet, host: bytes, card: bytes) -> None:
        self._context = host + card
        size = len(keys.enc)
        self._enc = derive(keys.enc, S_ENC, self._context, size)
        self._mac = derive(keys.mac, S_MAC, self._context, size)
        self._rmac = derive(keys.mac, S_RMAC, self._context, size)
        self._dek = keys.dek  # static: Amendment D knows no session DEK
        self._chain = bytes(AES_BLOCK)
        self._counter = 0
        self.level = 0

    def __repr__(self) -> str:
        return f"<SCP03 session, level {self.level:02X}>"

    def card_cryptogram(self) -> bytes:
        """See `Channel`."""
        return derive(self._mac, CARD_CRYPTOGRAM, self._context, 8)

    def host_cryptogram(self) -> bytes:
        """See `Channel`."""
        return derive(self._mac, HOST_CRYPTOGRAM, self._context, 8)

    def mac(self, command: Command, data: bytes) -> bytes:
        """The next C-MAC of the chain over a command with this data as it goes over the wire."""
        self._chain = cmac(self._mac, self._chain, mac_input(command, data))
        return self._chain[:MAC_SIZE]

    def wrap(self, command: Command) -> Command:
        """See `Channel`. Data is enciphered first, the MAC covers the cipher."""
        if not self.level & C_MAC:
            return command
        self._counter += 1
        data = command.data
        if self.level & C_DECRYPTION and data:
            data = aes_encrypt(self._enc, pad80(data, AES_BLOCK), self._iv())
        return replace(command, cla=command.cla | SECURE_BIT, data=data + self.mac(command, data))

    def unwrap(self, command: Command) -> Command | None:
        """See `Channel`."""
        if not self.level & C_MAC:
            return command
        body, mac = command.data[:-MAC_SIZE], command.data[-MAC_SIZE:]
        if len(mac) < MAC_SIZE or not same(self.mac(command, body), mac):
            return None
        self._counter += 1
        data: bytes | None = body
        if self.level & C_DECRYPTION and body:
            whole = len(body) % AES_BLOCK == 0
            data = unpad80(aes_decrypt(self._enc, body, self._iv())) if whole else None
        return None if data is None else replace(command, cla=command.cla & ~SECURE_BIT, data=data)

    def seal_answer(self, data: bytes, sw: int) -> bytes:
        """See `Channel`."""
        if not self.level & R_MAC or not secured(sw):
            return data
        if self.level & R_ENCRYPTION and data:
            data = aes_encrypt(self._enc, pad80(data, AES_BLOCK), self._iv(0x80))
        return data + self._answer_mac(data, sw)

    def open_answer(self, data: bytes, sw: int) -> bytes | None:
        """See `Channel`."""
        if not self.level & R_MAC or not secured(sw):
            return data
        body, mac = data[:-MAC_SIZE], data[-MAC_SIZE:]
        if len(mac) < MAC_SIZE or not same(self._answer_mac(body, sw), mac):
            return None
        if not self.level & R_ENCRYPTION or not body:
            return body
        return unpad80(aes_decrypt(self._enc, body, self._iv(0x80))) if len(body) % AES_BLOCK == 0 else None

    def _answer_mac(self, data: bytes, sw: int) -> bytes:
        return cmac(self._rmac, self._chain, data, sw.to_bytes(2, "big"))[:MAC_SIZE]

    def _iv(self, lead: int = 0x00) -> bytes:
        return aes_encrypt(self._enc, bytes((lead,)) + self._counter.to_bytes(15, "big"))

    def encrypt_key(self, key: bytes) -> bytes:
        """See `Channel`: CBC with IV 0 under the static DEK."""
        return aes_encrypt(self._dek, key + bytes(-len(key) % AES_BLOCK))

    def decrypt_key(self, cipher: bytes) -> bytes:
        """See `Channel`."""
        return aes_decrypt(self._dek, cipher)


def parse(raw: bytes) -> Told | None:
    """The answer to INITIALIZE UPDATE, None when it is not SCP03's in S8 mode."""
    if len(raw) not in (ANSWER_SIZE, ANSWER_SIZE + SEQUENCE_SIZE) or raw[11] != PROTOCOL:
        return None
    return Told(raw[:10], raw[10], PROTOCOL, raw[12], raw[29:], raw[13:21], raw[21:29])


def answer(told: Told) -> bytes:
    """The bytes of an answer to INITIALIZE UPDATE."""
    head = told.diversification + bytes((told.key_version, PROTOCOL, told.i))
    return head + told.challenge + told.cryptogram + told.sequence
