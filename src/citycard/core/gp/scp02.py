# SPDX-License-Identifier: Apache-2.0
"""Secure Channel Protocol 02, variants i=15 and i=55: 3DES session keys, retail MACs chained by their ICV.

Explicit initiation, three keys, C-MAC on the modified command, ICV enciphered for all but the first MAC.
With i=55 the card's challenge follows from the session (a MAC over the domain's AID), with i=15 it is
random. Neither has response MACs. Card Specification 2.3 Appendix E; card facts 7.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from citycard.core.apdu import Command
from citycard.core.crypto import TRIPLE_DES, pad80, same
from citycard.core.gp.channel import (
    C_DECRYPTION,
    C_MAC,
    CHALLENGE_SIZE,
    MAC_SIZE,
    SECURE_BIT,
    Told,
    mac_input,
)
from citycard.core.gp.cipher import DES_BLOCK, des_decrypt, des_encrypt, unpad80
from citycard.core.gp.keys import KeySet

PROTOCOL: Final = 0x02
VARIANTS: Final = (0x15, 0x55)
PSEUDO_RANDOM: Final = 0x40
LEVELS: Final = (0x00, C_MAC, C_MAC | C_DECRYPTION)
ANSWER_SIZE: Final = 28
CARD_CHALLENGE_SIZE: Final = 6
SEQUENCE_MAX: Final = 0xFFFF
S_ENC, S_MAC, S_DEK = b"\x01\x82", b"\x01\x01", b"\x01\x81"


class Scp02:
    """One session: made by both ends from the static keys, the sequence counter and both challenges."""

    key_block = DES_BLOCK
    __slots__ = ("_card", "_dek", "_enc", "_host", "_icv", "_mac", "_sequence", "level")

    def __init__(self, keys: KeySet, sequence: bytes, host: bytes, card: bytes = b"") -> None:
        self._enc = _session_key(keys.enc, S_ENC, sequence)
        self._mac = _session_key(keys.mac, S_MAC, sequence)
        self._dek = _session_key(keys.dek, S_DEK, sequence)
        self._sequence, self._host, self._card = sequence, host, card
        self._icv = bytes(DES_BLOCK)
        self.level = 0

    def __repr__(self) -> str:
        return f"<SCP02 session, level {self.level:02X}>"

    @property
    def session_keys(self) -> tuple[bytes, bytes, bytes]:
        """S-ENC, S-MAC and S-DEK: secrets."""
        return self._enc, self._mac, self._dek

    def pseudo_random(self, aid: bytes) -> bytes:
        """Take and give the card challenge that follows from this session for the domain's AID (i=55)."""
        self._card = TRIPLE_DES.message_mac(self._mac, aid, bytes(DES_BLOCK), CARD_CHALLENGE_SIZE)
        return self._card

    def card_cryptogram(self) -> bytes:
        """See `Channel`."""
        return self._cryptogram(self._host + self._sequence + self._card)

    def host_cryptogram(self) -> bytes:
        """See `Channel`."""
        return self._cryptogram(self._sequence + self._card + self._host)

    def _cryptogram(self, message: bytes) -> bytes:
        return des_encrypt(self._enc, pad80(message))[-DES_BLOCK:]

    def mac(self, command: Command, data: bytes) -> bytes:
        """The next C-MAC of the chain over a command with this plain data."""
        icv = self._icv
        if any(icv):
            icv = TRIPLE_DES.encrypt(self._mac[:8], icv)
        self._icv = TRIPLE_DES.message_mac(self._mac, mac_input(command, data), icv, MAC_SIZE)
        return self._icv

    def wrap(self, command: Command) -> Command:
        """See `Channel`. The MAC covers the plain data; enciphering comes after."""
        if not self.level & C_MAC:
            return command
        data, mac = command.data, self.mac(command, command.data)
        if self.level & C_DECRYPTION and data:
            data = des_encrypt(self._enc, pad80(data))
        return replace(command, cla=command.cla | SECURE_BIT, data=data + mac)

    def unwrap(self, command: Command) -> Command | None:
        """See `Channel`."""
        if not self.level & C_MAC:
            return command
        body, mac = command.data[:-MAC_SIZE], command.data[-MAC_SIZE:]
        if len(mac) < MAC_SIZE:
            return None
        data: bytes | None = body
        if self.level & C_DECRYPTION and body:
            data = unpad80(des_decrypt(self._enc, body)) if len(body) % DES_BLOCK == 0 else None
        if data is None or not same(self.mac(command, data), mac):
            return None
        return replace(command, cla=command.cla & ~SECURE_BIT, data=data)

    def seal_answer(self, data: bytes, sw: int) -> bytes:
        """See `Channel`: answers go as they are."""
        return data

    def open_answer(self, data: bytes, sw: int) -> bytes | None:
        """See `Channel`."""
        return data

    def encrypt_key(self, key: bytes) -> bytes:
        """See `Channel`: ECB under the session's DEK."""
        return TRIPLE_DES.encrypt(self._dek, key + bytes(-len(key) % DES_BLOCK))

    def decrypt_key(self, cipher: bytes) -> bytes:
        """See `Channel`."""
        return TRIPLE_DES.decrypt(self._dek, cipher)


def parse(raw: bytes) -> Told | None:
    """The answer to INITIALIZE UPDATE, None when it is not SCP02's."""
    if len(raw) != ANSWER_SIZE or raw[11] != PROTOCOL:
        return None
    return Told(raw[:10], raw[10], PROTOCOL, 0, raw[12:14], raw[14:20], raw[20:28])


def answer(told: Told) -> bytes:
    """The bytes of an answer to INITIALIZE UPDATE."""
    head = told.diversification + bytes((told.key_version, PROTOCOL))
    return head + told.sequence + told.challenge + told.cryptogram


def _session_key(key: bytes, constant: bytes, sequence: bytes) -> bytes:
    return des_encrypt(key, constant + sequence + bytes(12))


assert CARD_CHALLENGE_SIZE + 2 == CHALLENGE_SIZE
