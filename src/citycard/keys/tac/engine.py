# SPDX-License-Identifier: Apache-2.0
"""The two ways to compute many TACs: with `core.crypto` card by card, or with the compiled kernels.

Both give the same. The kernels take a moment to load and, once on each machine, some ten seconds to
compile; so a handful of records never calls for them.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from citycard.core.crypto import KEY_SIZE, SUITES
from citycard.keys.chain import tac_chain
from citycard.keys.secret import KeyBytes
from citycard.keys.tac.custody import U64, CardKeys, Index, as_bytes, as_words, factor_blocks


class Engine(Protocol):
    """All arrays in the order of the records or cards; a key is two numbers (n, 2)."""

    def derive(self, suite: int, keys: CardKeys, which: Index, factors: U64) -> CardKeys:
        """One level down: the key of card i under `keys[which[i]]` by `factors[i]`."""
        ...

    def tac(
        self, suite: int, keys: CardKeys, which: Index, messages: NDArray[np.uint8]
    ) -> NDArray[np.uint32]:
        """The TAC of message i, all of one length, under the card key `keys[which[i]]`."""
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

    def tac(
        self, suite: int, keys: CardKeys, which: Index, messages: NDArray[np.uint8]
    ) -> NDArray[np.uint32]:
        """See `Engine`."""
        secrets, raw, width = KeyBytes(as_bytes(keys.words)), messages.tobytes(), messages.shape[1]
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
    return SCALAR


def derive_each(work: Engine, suites: Index, keys: CardKeys, which: Index, factors: U64) -> CardKeys:
    """`Engine.derive` where the suite is another from key to key: `suites[k]` is that of `keys` number k."""
    derived = CardKeys(np.zeros((len(which), 2), np.uint64), keys.known[which])
    for suite in SUITES:
        rows = np.flatnonzero(derived.known & (suites[which] == suite))
        if len(rows):
            with work.derive(suite, keys, which[rows], factors[rows]) as part:
                derived.words[rows] = part.words
    return derived
