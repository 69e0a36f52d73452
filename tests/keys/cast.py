# SPDX-License-Identifier: Apache-2.0
"""The people of these stories: a scheme's vault with known keys, one card, one terminal."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from citycard.core.crypto import SUITES, diversify
from citycard.keys import KeyName, MemoryVault

ISSUER = bytes.fromhex("01011000FFFFFFFF")
PAN = "03105170070104791381"
SERIAL = bytes.fromhex(PAN)[2:]
FACTORS = (ISSUER, SERIAL)
TERMINAL = bytes.fromhex("310001050306")
MOMENT = bytes.fromhex("20240115083000")
NOON = datetime(2024, 1, 15, 12)


def known_key(name: str, suite: int = 0, version: int = 1) -> bytes:
    """A key the test knows: what the vault holds under that name."""
    return hashlib.sha256(f"{name} {suite} {version}".encode()).digest()[:16]


def known_vault(suites: tuple[int, ...] = (0, 1)) -> MemoryVault:
    """A vault in which every key is the known one."""
    vault = MemoryVault(clock=lambda: NOON, random=seeded(1))
    for name in KeyName:
        for suite in suites:
            vault.import_key(name, suite, 1, known_key(name, suite))
    return vault


def card_key(name: str, suite: int = 0, factors: tuple[bytes, ...] = FACTORS) -> bytes:
    """The card's key under a known root."""
    return diversify(SUITES[suite], known_key(name, suite), factors)


def seeded(seed: int) -> Callable[[int], bytes]:
    """Randomness that repeats."""
    return random.Random(seed).randbytes


@dataclass
class Purse:
    """The other side of a purchase, computed straight from core.crypto."""

    suite: int = 0
    counter: int = 7
    rand: bytes = bytes.fromhex("A1B2C3D4")
    amount_fen: int = 200
    mac: Callable[[bytes], bytes] = field(init=False)

    def init_sam(self, txn: int = 9) -> bytes:
        """The 8070 a terminal sends for this purse."""
        data = self.rand + self.counter.to_bytes(2, "big") + self.amount_fen.to_bytes(4, "big")
        data += bytes((txn,)) + MOMENT + bytes((1, self.suite)) + SERIAL + ISSUER
        return bytes.fromhex("80700000") + bytes((len(data),)) + data + b"\x08"

    def answers(self, response: bytes, txn: int = 9) -> bytes:
        """Check the SAM's MAC1 as the card would; give MAC2."""
        assert response[8:] == b"\x90\x00"
        cipher = SUITES[self.suite]
        variable = self.rand + self.counter.to_bytes(2, "big") + response[2:4]
        session = cipher.session_key(card_key("purchase", self.suite), variable)
        message = self.amount_fen.to_bytes(4, "big") + bytes((txn,)) + TERMINAL + MOMENT
        assert cipher.session_mac(session, message) == response[4:8]
        return cipher.session_mac(session, self.amount_fen.to_bytes(4, "big"))
