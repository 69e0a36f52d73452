# SPDX-License-Identifier: Apache-2.0
"""The two ways to compute many TACs: with `core.crypto` card by card, or with the compiled kernels.

Both give the same. The kernels take a moment to load and, once on each machine, some ten seconds to
compile; so a handful of records never calls for them.
"""

from __future__ import annotations

import sys
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from citycard.core.crypto import KEY_SIZE, SUITES
from citycard.keys.chain import tac_chain
from citycard.keys.secret import KeyBytes
from citycard.keys.tac.custody import U32, U64, CardKeys, Index, as_bytes, as_words, factor_blocks

COLD_RECORDS: Final = 50_000  # fewer are done before the kernels are loaded
WARM_RECORDS: Final = 500  # fewer are done before the kernels, which work in thousands, have warmed up


class Chosen(NamedTuple):
    """Some messages of one length: the first `length` bytes of `messages[rows[i]]`."""

    messages: NDArray[np.uint8]
    rows: Index
    length: int


class Engine(Protocol):
    """All arrays in the order of the records or cards; a key is two numbers (n, 2)."""

    def derive(self, suite: int, keys: CardKeys, which: Index, factors: U64) -> CardKeys:
        """One level down: the key of card i under `keys[which[i]]` by `factors[i]`."""
        ...

    def tac(self, suite: int, keys: CardKeys, which: Index, chosen: Chosen) -> U32:
        """The TAC of each chosen message, as a number, under the card key `keys[which[i]]`."""
        ...


class Scalar:
    """By `core.crypto`, in a loop."""

    def derive(self, suite: int, keys: CardKeys, which: Index, factors: U64) -> CardKeys:
        """See `Engine`."""
        cipher = SUITES[suite]
        derived = CardKeys(np.zeros((len(which), 2), np.uint64), keys.known[which])
        for number in np.unique(which).tolist():
            rows = np.flatnonzero(which == number)
            key = KeyBytes(as_bytes(keys.words[number]))
            derived.words[rows] = as_words(KeyBytes(cipher.encrypt(key, factor_blocks(factors[rows]))), 2)
        return derived

    def tac(self, suite: int, keys: CardKeys, which: Index, chosen: Chosen) -> U32:
        """See `Engine`."""
        secrets, width = KeyBytes(as_bytes(keys.words)), chosen.length
        raw = chosen.messages[chosen.rows, :width].tobytes()
        macs = bytearray()
        last, chain = -1, None
        for at, number in enumerate(which.tolist()):
            if chain is None or number != last:
                last = number
                chain = tac_chain(SUITES[suite], secrets[number * KEY_SIZE : (number + 1) * KEY_SIZE])
            macs += chain.mac(raw[at * width : (at + 1) * width])
        return np.frombuffer(macs, ">u4").astype(np.uint32)


SCALAR: Final = Scalar()


def engine(records: int, seen: int = 0) -> Engine:
    """The engine for so many records in a call, `seen` being all that the caller has brought so far."""
    loaded = sys.modules.get("citycard.keys.tac.compiled")
    if max(records, seen) < COLD_RECORDS and (loaded is None or records < WARM_RECORDS):
        return SCALAR
    from citycard.keys.tac.compiled import COMPILED

    return COMPILED


def derive_each(work: Engine, suites: Index, keys: CardKeys, which: Index, factors: U64) -> CardKeys:
    """`Engine.derive` where the suite is another from key to key: `suites[k]` is that of `keys` number k."""
    present = np.unique(suites[keys.known]).tolist()
    if len(present) == 1:  # keys that are not known are zeros and what comes of them is not looked at
        return work.derive(present[0], keys, which, factors)
    derived = CardKeys(np.zeros((len(which), 2), np.uint64), keys.known[which])
    for suite in present:
        rows = np.flatnonzero(derived.known & (suites[which] == suite))
        with work.derive(suite, keys, which[rows], factors[rows]) as part:
            derived.words[rows] = part.words
    return derived


def runs(*columns: NDArray[Any]) -> tuple[Index, Index]:
    """(the first row of each run of rows that are the same in all columns, the run of each row)."""
    new = np.zeros(len(columns[0]), bool)
    new[:1] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(new), np.cumsum(new) - 1
