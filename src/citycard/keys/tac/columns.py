# SPDX-License-Identifier: Apache-2.0
"""Records as columns: what their TACs cover, built for all of them at once.

`TacColumns` are the fields of tap records, `TacBatch` is what remains of them for a verifier: a path in the
key tree, card factors, message bytes, TAC. Anything that has a TAC of its own can make a `TacBatch`. The
messages are those of `core.purse` (facts 1.3); the tests hold them against it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from citycard.core.record import Kind
from citycard.keys.tac.custody import U32, U64, Bools, Index, KeyPath

Array = NDArray[Any]

U32_MAX: Final = 0xFFFF_FFFF
ISSUER_SIZE: Final = 8
PAN_SIZE: Final = 10  # two bytes, then the card's factor
FACTOR_AT: Final = 2
MESSAGE_SIZE: Final = 32  # a load's 24 bytes and their padding
PURCHASE_SIZE: Final = 22
LOAD_SIZE: Final = 24
SLOT_BITS_MAX: Final = 16
HEX_BITS: Final = 0x8888_8888_8888_8888
MIX: Final = 0x9E3779B97F4A7C15

# Where the fields of a message stand: amount4 type1 terminal6 serial4 moment7, and
# balance4 counter2 amount4 type1 terminal6 moment7.
PURCHASE: Final = np.dtype(
    {
        "names": ["amount", "txn", "terminal", "serial", "moment"],
        "formats": [">u4", "u1", "V6", ">u4", "V7"],
        "offsets": [0, 4, 5, 11, 15],
        "itemsize": MESSAGE_SIZE,
    }
)
LOAD: Final = np.dtype(
    {
        "names": ["balance", "counter", "amount", "txn", "terminal", "moment"],
        "formats": [">u4", ">u2", ">u4", "u1", "V6", "V7"],
        "offsets": [0, 4, 6, 10, 11, 17],
        "itemsize": MESSAGE_SIZE,
    }
)


@dataclass(frozen=True, slots=True)
class TacBatch:
    """n records ready for verification.

    Record i was made by the card at `paths[which[i]]` and then `factors[i, 0]`, `factors[i, 1]`...; its TAC
    `tac[i]` (four bytes as a number) covers `messages[i, :lengths[i]]`.
    """

    paths: tuple[KeyPath, ...]
    which: Index
    factors: U64  # (n, levels below the path): the 8 bytes of each factor, most significant first
    messages: NDArray[np.uint8]  # (n, longest)
    lengths: NDArray[np.integer[Any]]
    tac: U32

    def __len__(self) -> int:
        return len(self.tac)

    def part(self, rows: slice) -> TacBatch:
        """Some of the records."""
        return TacBatch(
            self.paths,
            self.which[rows],
            self.factors[rows],
            self.messages[rows],
            self.lengths[rows],
            self.tac[rows],
        )


@dataclass(frozen=True, slots=True)
class TacColumns:
    """The fields of n tap records that matter to their TACs, an array each, as in `core.record.RECORD`.

    Bytes are (n, size) arrays of uint8, numbers any integer arrays; views into wider records will do.
    `balance_after_fen` counts for loads only.
    """

    issuer: Array  # (n, 8)
    pan: Array  # (n, 10), BCD
    key_version: Array
    algorithm: Array
    kind: Array
    txn: Array
    amount_fen: Array
    terminal: Array  # (n, 6)
    terminal_txn: Array
    moment: Array  # (n, 7)
    counter: Array
    balance_after_fen: Array
    tac: Array  # (n, 4)

    @classmethod
    def of_wire(cls, wire: Array) -> TacColumns:
        """Of a structured array with the fields of `core.record.RECORD`, all but numbers as (size,)u1."""
        before, amount = wire["balance_before_fen"].astype(np.int64), wire["amount_fen"].astype(np.int64)
        after = np.where(wire["kind"] == Kind.LOAD, before + amount, before - amount)
        same = {f.name: wire[f.name] for f in fields(cls) if f.name not in ("moment", "balance_after_fen")}
        return cls(**same, moment=wire["tapped_at"], balance_after_fen=after)

    def __len__(self) -> int:
        return len(self.tac)

    def part(self, rows: slice) -> TacColumns:
        """Some of the records."""
        return TacColumns(*(getattr(self, f.name)[rows] for f in fields(self)))

    def sound(self) -> Bools:
        """Which records a card could have made at all: the others have no message."""
        load: Bools = self.kind == Kind.LOAD
        good: Bools = load | (self.kind == Kind.PURCHASE)
        good &= _within(self.amount_fen, U32_MAX) & _within(self.txn, 0xFF)
        good &= ~load | (_within(self.balance_after_fen, U32_MAX) & _within(self.counter, 0xFFFF))
        good &= load | _within(self.terminal_txn, U32_MAX)
        good &= _within(self.key_version, 0xFF) & _within(self.algorithm, 0xFF)
        good &= _decimal(self.pan)
        return good

    def batch(self) -> TacBatch:
        """The records for a verifier; of those that are not `sound` nothing is to be believed."""
        issuer = _numbers(self.issuer)
        kinds = self.key_version.astype(np.uint64) << np.uint64(8) | self.algorithm.astype(np.uint64)
        firsts, which = distinct(issuer, kinds)
        paths = tuple(
            KeyPath(kind >> 8, kind & 0xFF, (number.to_bytes(ISSUER_SIZE, "big"),))
            for number, kind in zip(issuer[firsts].tolist(), kinds[firsts].tolist(), strict=True)
        )
        load = self.kind == Kind.LOAD
        return TacBatch(
            paths,
            which,
            _numbers(self.pan[:, FACTOR_AT:]).reshape(-1, 1),
            self._messages(load),
            np.where(load, LOAD_SIZE, PURCHASE_SIZE),
            _items(self.tac, ">u4").astype(np.uint32),
        )

    def _messages(self, load: Bools) -> NDArray[np.uint8]:
        raw = np.zeros((len(self), MESSAGE_SIZE), np.uint8)
        message: Array = raw.view(PURCHASE).reshape(-1)
        message["amount"], message["txn"] = self.amount_fen, self.txn
        message["terminal"], message["moment"] = _items(self.terminal, "V6"), _items(self.moment, "V7")
        message["serial"] = self.terminal_txn
        loads = np.flatnonzero(load)
        if len(loads):
            message = np.zeros(len(loads), LOAD)
            message["balance"], message["counter"] = self.balance_after_fen[loads], self.counter[loads]
            message["amount"], message["txn"] = self.amount_fen[loads], self.txn[loads]
            message["terminal"], message["moment"] = (
                _items(self.terminal, "V6")[loads],
                _items(self.moment, "V7")[loads],
            )
            raw[loads] = message.view(np.uint8).reshape(-1, MESSAGE_SIZE)
        return raw


def distinct(a: U64, b: U64) -> tuple[Index, Index]:
    """(a row of each distinct pair, the number of every row's pair), without sorting.

    Pairs fall into slots by a hash; a row whose slot went to another pair is tried again with another hash.
    """
    which = np.full(len(a), -1, np.intp)
    firsts: list[Index] = []
    count, multiplier = 0, MIX
    bits = min(SLOT_BITS_MAX, len(a).bit_length() + 2)
    rest: Index = np.arange(len(a))
    while len(rest):
        left, right = a[rest], b[rest]
        slot = ((left ^ right * np.uint64(MIX)) * np.uint64(multiplier)) >> np.uint64(64 - bits)
        owner = np.full(1 << bits, -1, np.intp)
        owner[slot] = np.arange(len(rest))
        mine = owner[slot]
        settled = (left[mine] == left) & (right[mine] == right)
        used = np.flatnonzero(owner >= 0)
        rank = np.zeros(1 << bits, np.intp)
        rank[used] = np.arange(count, count + len(used))
        which[rest[settled]] = rank[slot[settled]]
        firsts.append(rest[owner[used]])
        count += len(used)
        rest = rest[~settled]
        multiplier = multiplier * MIX & 0xFFFF_FFFF_FFFF_FFFF
    return (np.concatenate(firsts) if firsts else rest), which


def _within(numbers: Array, most: int) -> Bools:
    """Which are between 0 and the most; free where the type already says so."""
    info = np.iinfo(numbers.dtype)
    if info.min >= 0 and info.max <= most:
        return np.ones(len(numbers), bool)
    return np.logical_and(numbers >= 0, numbers <= most)


def _decimal(pan: Array) -> Bools:
    """Which PANs have decimal digits only: no half byte with its top bit and one of the next two set."""
    low, high = _items(pan[:, FACTOR_AT:], "u8"), _items(pan[:, :FACTOR_AT], "u2")
    good: Bools = low & (low << np.uint64(1) | low << np.uint64(2)) & np.uint64(HEX_BITS) == 0
    good &= high & (high << np.uint16(1) | high << np.uint16(2)) & np.uint16(HEX_BITS & 0xFFFF) == 0
    return good


def _numbers(raw: Array) -> U64:
    """(n, 8) bytes -> n numbers, most significant byte first."""
    return _items(raw, ">u8").astype(np.uint64)


def _items(raw: Array, kind: str) -> Array:
    """(n, size) bytes -> n items of that size, in place where the bytes of a row lie side by side."""
    rows = raw if raw.strides[1] == 1 else np.ascontiguousarray(raw)
    items: Array = rows.view(kind)[:, 0]
    return items
