# SPDX-License-Identifier: Apache-2.0
"""The cast of the storage cards' tests: keys, an issued M1 card, orders, and a fuse that tears cards away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from citycard.core.dialogue import m1 as dialogue
from citycard.core.dialogue.exchange import converse
from citycard.core.dialogue.m1 import M1Order, M1View
from citycard.core.purse import Txn
from citycard.core.storage import ClassicCard
from citycard.keys import MemoryVault
from citycard.keys.storage import StorageSam

ISSUER = bytes.fromhex("01011000FFFFFFFF")
PAN = "03105170070104791381"
UID = bytes.fromhex("DEADBEEF")
NOON = datetime(2026, 3, 2, 12)
ROOT = bytes.fromhex("5354304752454B455954455354303132")  # a test key


def sam(key: bytes = ROOT) -> StorageSam:
    vault = MemoryVault(clock=lambda: NOON)
    vault.import_key("storage", 0, 1, key)
    return StorageSam(vault, ISSUER)


KEYS = sam()


def issued(balance_fen: int = 0, uid: bytes = UID) -> ClassicCard:
    card = ClassicCard.blank(uid)
    card.power_on()
    view = run(
        card,
        dialogue.issue(KEYS, pan=PAN, issuer=ISSUER, valid_until=date(2030, 12, 31), balance_fen=balance_fen),
    )
    assert isinstance(view, M1View)
    return card


def run(card: ClassicCard, conversation):
    return converse(conversation, {"card": card.process})


def order(amount_fen: int, txn: Txn = Txn.EP_PURCHASE, at: datetime = NOON, terminal: int = 1) -> M1Order:
    return M1Order(txn, amount_fen, terminal.to_bytes(6, "big"), at)


def view_of(card: ClassicCard) -> M1View:
    view = run(card, dialogue.read_purse(KEYS))
    assert isinstance(view, M1View), view
    return view


@dataclass
class Cutter:
    """A fuse that blows at the n-th cell write."""

    cut: int
    left: bytes | str
    writes: int = 0

    def __call__(self, address: int, old: bytes, new: bytes) -> bytes | None:
        self.writes += 1
        if self.writes - 1 != self.cut:
            return None
        if isinstance(self.left, bytes):
            return self.left
        return {"old": old, "new": new, "half": new[:4] + old[4:], "blank": b"\xff" * 8}[self.left]
