# SPDX-License-Identifier: Apache-2.0
"""A purse as it lies in its file: money, counters, and the proof of its last transaction.

Amounts are fen. `Body.balance_fen` is what the holder owns, less than nothing when overdrawn; commands tell
the available balance, which is that and the overdraft limit. It stays within 0 and cap plus limit.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from citycard.core.card.atomic import Memory
from citycard.core.card.files import File
from citycard.core.crypto import MAC_SIZE

BODY: Final = struct.Struct(">iHHIIBxH4s4s4x")
ED, EP, SECOND = 1, 2, 3  # SFIs of the purses
NO_CAP: Final = 0x7E00_0000  # of a purse created without one: with any limit its balance fits 31 bits
NO_LOAD_LOG: Final = 0xFF  # in a purse's SM byte, which holds the SFI of its load log
NO_MAC: Final = bytes(MAC_SIZE)


class Body(NamedTuple):
    """The purse as it lies in its file: money, counters, and the proof of the last transaction."""

    balance_fen: int  # owned; negative when overdrawn
    online: int  # counter of loads and their like (联机交易序号): the serial the next one will have
    offline: int  # counter of purchases (脱机交易序号)
    cap_fen: int
    overdraft_fen: int  # overdraft limit; 0 until overdraft is granted
    proof_txn: int  # type of the last transaction, 0 before the first
    proof_serial: int  # its counter plus one, as GET TRANSACTION PROVE asks for it
    proof_mac: bytes
    proof_tac: bytes

    @property
    def available_fen(self) -> int:
        """What can be spent: the balance that commands tell."""
        return self.balance_fen + self.overdraft_fen

    def after_online(
        self, txn: int, balance_fen: int, limit_fen: int, mac: bytes = NO_MAC, tac: bytes = NO_MAC
    ) -> Body:
        """The purse after a load, an unload or a change of its limit, with the proof of it."""
        serial = self.online + 1
        return Body(balance_fen, serial, self.offline, self.cap_fen, limit_fen, txn, serial, mac, tac)

    def after_offline(self, txn: int, balance_fen: int, mac: bytes, tac: bytes) -> Body:
        """The purse after a purchase, with the proof of it."""
        serial = self.offline + 1
        return Body(balance_fen, self.online, serial, self.cap_fen, self.overdraft_fen, txn, serial, mac, tac)


def new_body(cap_fen: int) -> Body:
    """An empty purse with this cap."""
    return Body(0, 0, 0, cap_fen, 0, 0, 0, NO_MAC, NO_MAC)


def read_body(memory: Memory, purse: File) -> Body:
    """The purse's body from the cells."""
    return Body._make(memory.unpack(BODY, purse.body))
