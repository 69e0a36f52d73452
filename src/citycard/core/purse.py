# SPDX-License-Identifier: Apache-2.0
"""The electronic purse's arithmetic: what MAC1, MAC2, MAC3 and TAC cover, in one place.

Card, PSAM, load SAM, office and clearing all build these byte strings here and nowhere else.
Amounts are fen; terminal numbers 6 bytes; serials (ATC) 0..65535. Source: PBOC ED/EP by way of card facts
sections 1.2 and 1.3.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from citycard.core.crypto import Suite

LOAD_TAIL: Final = b"\x80\x00"  # takes the place of the terminal serial in load session keys
BALANCE_MAX: Final = 0xFFFFFF  # T-Union: cap + overdraft limit <= FFFFFF (facts 1.4)
ATC_MAX: Final = 0xFFFF


class Txn(IntEnum):
    """Transaction type byte (交易类型标识, facts 1.2)."""

    ED_LOAD = 0x01
    EP_LOAD = 0x02
    UNLOAD = 0x03
    CASH = 0x04
    ED_PURCHASE = 0x05
    EP_PURCHASE = 0x06
    OVERDRAFT = 0x07
    COMPOSITE = 0x09


PURCHASES: Final = frozenset({Txn.ED_PURCHASE, Txn.EP_PURCHASE, Txn.COMPOSITE, Txn.CASH})
LOADS: Final = frozenset({Txn.ED_LOAD, Txn.EP_LOAD})


def u32(value: int) -> bytes:
    """Four bytes, most significant first."""
    return value.to_bytes(4, "big")


def u24(value: int) -> bytes:
    """Three bytes, most significant first: overdraft limits."""
    return value.to_bytes(3, "big")


def load_variable(rand: bytes, atc: int) -> bytes:
    """Session-key variable of load, unload and overdraft change."""
    return rand + atc.to_bytes(2, "big") + LOAD_TAIL


def purchase_variable(rand: bytes, atc: int, terminal_txn: int) -> bytes:
    """Session-key variable of purchase, composite purchase and cash."""
    return rand + atc.to_bytes(2, "big") + (terminal_txn & 0xFFFF).to_bytes(2, "big")


def load_mac1(balance_fen: int, amount_fen: int, txn: int, terminal: bytes) -> bytes:
    """Card to host: this much is on me, this much shall be added."""
    return u32(balance_fen) + u32(amount_fen) + bytes((txn,)) + terminal


def load_mac2(amount_fen: int, txn: int, terminal: bytes, moment: bytes) -> bytes:
    """Host to card: add it. `moment` is BCD date4 and time3."""
    return u32(amount_fen) + bytes((txn,)) + terminal + moment


def load_tac(
    balance_after_fen: int, atc: int, amount_fen: int, txn: int, terminal: bytes, moment: bytes
) -> bytes:
    """Card's receipt of a load; `atc` is the online counter before its increment."""
    return (
        u32(balance_after_fen) + atc.to_bytes(2, "big") + u32(amount_fen) + bytes((txn,)) + terminal + moment
    )


def purchase_mac1(amount_fen: int, txn: int, terminal: bytes, moment: bytes) -> bytes:
    """PSAM to card: debit this much."""
    return u32(amount_fen) + bytes((txn,)) + terminal + moment


def purchase_mac2(amount_fen: int) -> bytes:
    """Card to PSAM: debited."""
    return u32(amount_fen)


def purchase_tac(amount_fen: int, txn: int, terminal: bytes, terminal_txn: int, moment: bytes) -> bytes:
    """Card's receipt of a purchase, for the issuer to verify at clearing."""
    return u32(amount_fen) + bytes((txn,)) + terminal + u32(terminal_txn) + moment


def overdraft_mac1(balance_fen: int, limit_fen: int, terminal: bytes) -> bytes:
    """Card to host: this much is on me and this is my overdraft limit."""
    return u32(balance_fen) + u24(limit_fen) + bytes((Txn.OVERDRAFT,)) + terminal


def overdraft_mac2(limit_fen: int, terminal: bytes, moment: bytes) -> bytes:
    """Host to card: this is your new limit."""
    return u24(limit_fen) + bytes((Txn.OVERDRAFT,)) + terminal + moment


def overdraft_tac(balance_after_fen: int, atc: int, limit_fen: int, terminal: bytes, moment: bytes) -> bytes:
    """Card's receipt of a new limit; the balance includes it, `atc` is the counter before its increment."""
    head = u32(balance_after_fen) + atc.to_bytes(2, "big") + u24(limit_fen)
    return head + bytes((Txn.OVERDRAFT,)) + terminal + moment


def pin_mac(suite: Suite, key: bytes, pin: bytes) -> bytes:
    """RELOAD PIN's MAC, over the PIN alone: a 16-byte DES key with its halves folded, IV 0 (facts 1.4)."""
    return suite.session_mac(key, pin) if len(key) == suite.block else suite.tac(key, pin)
