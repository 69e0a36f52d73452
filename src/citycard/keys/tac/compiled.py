# SPDX-License-Identifier: Apache-2.0
"""The engine over the compiled kernels, and their loading.

What holds key material here is wiped before a call ends.
"""

from __future__ import annotations

import fcntl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from citycard.core.crypto import SM4_SUITE, TRIPLE_DES
from citycard.keys.tac import des, sm4
from citycard.keys.tac.custody import ONES, U64, CardKeys, Index

SM4_RECORDS: Final = 2_048  # round keys of so many cards stay in the second cache
SILENCE_SECONDS: Final = 2.0  # what takes longer says that it is at work
LOCK_NAME: Final = "citycard-tac.lock"
NOTICE: Final = (
    "Compiling the TAC kernels; this happens once on a machine and takes some ten seconds."
    " 正在编译 TAC 校验内核，每台机器只需一次，约十秒。"
)


class Compiled:
    """See `Engine`; each suite is compiled, or loaded from its cache, when it is first needed."""

    def __init__(self) -> None:
        self._loaded: set[int] = set()
        self._loading = threading.Lock()

    def derive(self, suite: int, keys: CardKeys, which: Index, factors: U64) -> CardKeys:
        """See `Engine`."""
        self._load(suite)
        return CardKeys(DERIVE[suite](keys.words, which, factors), keys.known[which])

    def tac(
        self, suite: int, keys: CardKeys, which: Index, messages: NDArray[np.uint8], length: int
    ) -> NDArray[np.uint32]:
        """See `Engine`."""
        self._load(suite)
        return MACS[suite](keys.words, which, messages, length)

    def _load(self, suite: int) -> None:
        if suite in self._loaded:
            return
        with self._loading, notice(NOTICE), alone(Path(des.mac.stats.cache_path)):  # type: ignore[attr-defined]
            one, none = np.zeros((1, 2), np.uint64), np.zeros(1, np.intp)
            DERIVE[suite](one, none, np.zeros(1, np.uint64))
            MACS[suite](one, none, np.zeros((1, 8), np.uint8), 0)
            self._loaded.add(suite)


def _des_derive(keys: U64, which: Index, factors: U64) -> U64:
    left, right = keys[:, 0][which], keys[:, 1][which]
    derived = np.empty((2, len(which)), np.uint64)
    des.derive(left, right, np.ascontiguousarray(factors), derived)
    words = np.ascontiguousarray(derived.T)
    for used in (left, right, derived):
        used.fill(0)
    return words


def _des_macs(keys: U64, which: Index, messages: NDArray[np.uint8], length: int) -> NDArray[np.uint32]:
    blocks = padded(messages, length, TRIPLE_DES.block)
    folded = keys[:, 0] ^ keys[:, 1]
    each = folded[which]
    macs = np.empty(len(which), np.uint64)
    des.mac(each, blocks, macs)
    for used in (folded, each):
        used.fill(0)
    return (macs >> np.uint64(32)).astype(np.uint32)


def _sm4_derive(keys: U64, which: Index, factors: U64) -> U64:
    round_keys = np.empty((len(keys), sm4.ROUNDS), np.uint32)
    sm4.schedule(np.ascontiguousarray(keys), round_keys)
    blocks = np.stack((factors, factors ^ ONES), axis=1)
    words = np.empty((len(which), 2), np.uint64)
    sm4.chain(round_keys, which, blocks, words)
    round_keys.fill(0)
    return words


def _sm4_macs(keys: U64, which: Index, messages: NDArray[np.uint8], length: int) -> NDArray[np.uint32]:
    blocks = np.ascontiguousarray(padded(messages, length, SM4_SUITE.block).T)
    last = np.empty((len(which), 2), np.uint64)
    round_keys = np.empty((min(SM4_RECORDS, len(keys)), sm4.ROUNDS), np.uint32)
    for start in range(0, len(which), SM4_RECORDS):
        rows = slice(start, start + SM4_RECORDS)
        cards = which[rows]
        first = cards[0]
        sm4.schedule(keys[first : cards[-1] + 1], round_keys)
        sm4.chain(round_keys, cards - first, blocks[rows], last[rows])
    round_keys.fill(0)
    return (last[:, 0] >> np.uint64(32)).astype(np.uint32)


DERIVE: Final = {TRIPLE_DES.id: _des_derive, SM4_SUITE.id: _sm4_derive}
MACS: Final = {TRIPLE_DES.id: _des_macs, SM4_SUITE.id: _sm4_macs}


def padded(messages: NDArray[np.uint8], length: int, block: int) -> U64:
    """Messages of one length, padded 80 00... to whole blocks, as numbers: (words, n)."""
    size = (length // block + 1) * block
    if messages.shape[1] < size or messages.shape[1] % 8 or not messages.flags.c_contiguous:
        wide = np.zeros((len(messages), size), np.uint8)
        wide[:, :length] = messages[:, :length]
        messages = wide
    words: U64 = messages.view(">u8")[:, : size // 8].T.astype(np.uint64, order="C")
    at, free = length // 8, 8 * (8 - length % 8)  # the word with the 80, and its bits from there on
    words[at] = words[at] >> np.uint64(free) << np.uint64(free) if free < 64 else 0
    words[at] |= np.uint64(1 << free - 1)
    words[at + 1 :] = 0
    return words


@contextmanager
def notice(text: str) -> Iterator[None]:
    """Say on standard error that something is under way, if it takes long."""
    timer = threading.Timer(SILENCE_SECONDS, lambda: print(text, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time fills a cache folder; where none can be written there is nothing to guard."""
    file: Any = None
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_NAME).open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if file is not None:
            file.close()


COMPILED: Final = Compiled()
