# SPDX-License-Identifier: Apache-2.0
"""What passes between a vault and the bulk verification: which card keys are wanted, and the keys, lent.

Bulk verification computes TACs in the process, so the TAC keys of the cards at hand leave the vault for the
time of one chunk and are wiped after it. That is all that is lent: no root, no issuer's key, no key that
moves money. Where even that is too much, the verifier is made `sealed` and asks `Vault.tac` record by
record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from citycard.core.crypto import KEY_SIZE
from citycard.keys.secret import refuse_pickle

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
Index = NDArray[np.intp]
Bools = NDArray[np.bool_]

ONES: Final = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


class KeyPath(NamedTuple):
    """Where the keys of a group of cards hang in the tree: a root, and the factors down to their issuer."""

    version: int
    suite: int
    factors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CardBatch:
    """Cards whose TAC keys are wanted: card i has the 8-byte factor `factors[i]` below `paths[which[i]]`."""

    paths: tuple[KeyPath, ...]
    which: Index
    factors: U64  # the 8 bytes of the factor as a number, most significant first

    def __len__(self) -> int:
        return len(self.factors)


class CardKeys:
    """Lent keys, two 64-bit numbers for each card that is `known`; wiped on leaving the `with`."""

    __slots__ = ("known", "words")

    def __init__(self, words: U64, known: Bools) -> None:
        self.words = words
        self.known = known

    def __enter__(self) -> CardKeys:
        return self

    def __exit__(self, *_: object) -> None:
        self.words.fill(0)

    def __repr__(self) -> str:
        return "<card keys>"

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        refuse_pickle(self)


def diversify_each(cards: CardBatch, encrypt: Callable[[KeyPath, bytes], bytes | None]) -> CardKeys:
    """The keys of cards through one ECB call for each path, which is how a security module does it.

    `encrypt` enciphers whole blocks under the key at the end of a path, or gives None when there is no such
    key. It is called with 16 bytes for each card: the factor and its complement (facts 2.2, 2.6).
    """
    keys = CardKeys(np.zeros((len(cards), 2), np.uint64), np.zeros(len(cards), bool))
    for number, path in enumerate(cards.paths):
        rows = np.flatnonzero(cards.which == number)
        if not len(rows):
            continue
        derived = encrypt(path, factor_blocks(cards.factors[rows]))
        if derived is not None:
            keys.words[rows] = as_words(derived, 2)
            keys.known[rows] = True
        del derived
    return keys


def factor_blocks(factors: U64) -> bytes:
    """Factor and complement of every card, 16 bytes each: what diversification enciphers."""
    blocks = np.empty((len(factors), 2), ">u8")
    blocks[:, 0], blocks[:, 1] = factors, factors ^ ONES
    return blocks.tobytes()


def as_words(raw: bytes, width: int) -> U64:
    """Bytes as rows of so many 64-bit numbers, most significant byte first."""
    return np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, width)


def as_bytes(words: NDArray[Any]) -> bytes:
    """The inverse of `as_words`."""
    return words.astype(">u8").tobytes()


assert KEY_SIZE == 16, "a key is two 64-bit numbers here"
