# SPDX-License-Identifier: Apache-2.0
"""The engine over the compiled kernels, and their loading.

What holds key material here is wiped before a call ends.
"""

from __future__ import annotations

import fcntl
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np

from citycard.core.crypto import SM4_SUITE, TRIPLE_DES
from citycard.keys.tac import des, sm4
from citycard.keys.tac.custody import ONES, U32, U64, CardKeys, Index
from citycard.keys.tac.engine import Chosen, runs
from citycard.keys.tac.words import as_raw_words, padding

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

    def tac(self, suite: int, keys: CardKeys, which: Index, chosen: Chosen) -> U32:
        """See `Engine`."""
        self._load(suite)
        return MACS[suite](keys.words, which, chosen)

    def _load(self, suite: int) -> None:
        if suite in self._loaded:
            return
        folder: str | None = des.macs.stats.cache_path  # type: ignore[attr-defined]
        with self._loading, notice(NOTICE), alone(folder):
            try:
                _once(suite)
            except Exception:  # a damaged cache file fails in as many ways as unpickling does
                if folder is None:
                    raise
                forget(Path(folder))
                _once(suite)
            self._loaded.add(suite)


def _once(suite: int) -> None:
    """Call each kernel of a suite with one record, which compiles it or loads it from its cache."""
    one, none = np.zeros((1, 2), np.uint64), np.zeros(1, np.intp)
    DERIVE[suite](one, none, np.zeros(1, np.uint64))
    MACS[suite](one, none, Chosen(np.zeros((1, 16), np.uint8), none, 0))


def _des_derive(keys: U64, which: Index, factors: U64) -> U64:
    return des.derive(keys, which, factors)


def _des_macs(keys: U64, which: Index, chosen: Chosen) -> U32:
    rules = padding(chosen.length, TRIPLE_DES.block)
    return des.macs(keys, which, as_raw_words(chosen.messages, 8 * len(rules)), chosen.rows, rules)


def _sm4_derive(keys: U64, which: Index, factors: U64) -> U64:
    round_keys = sm4.schedule(keys)
    blocks = np.stack((factors, factors ^ ONES), axis=1).byteswap()
    whole = padding(SM4_SUITE.block, SM4_SUITE.block)[:2]
    derived = sm4.chain(round_keys, which, blocks, np.arange(len(which)), whole)
    round_keys.fill(0)
    return derived


def _sm4_macs(keys: U64, which: Index, chosen: Chosen) -> U32:
    rules = padding(chosen.length, SM4_SUITE.block)
    messages = as_raw_words(chosen.messages, 8 * len(rules))
    found = np.empty(len(which), np.uint32)
    for start in range(0, len(which), SM4_RECORDS):
        part = slice(start, start + SM4_RECORDS)
        heads, of_head = runs(which[part])
        own = keys[which[part][heads]]
        round_keys = sm4.schedule(own)
        last = sm4.chain(round_keys, of_head, messages, chosen.rows[part], rules)
        found[part] = last[:, 0] >> np.uint64(32)
        own.fill(0)
        round_keys.fill(0)
    return found


DERIVE: Final = {TRIPLE_DES.id: _des_derive, SM4_SUITE.id: _sm4_derive}
MACS: Final = {TRIPLE_DES.id: _des_macs, SM4_SUITE.id: _sm4_macs}


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
def alone(folder: str | None) -> Iterator[None]:
    """One process at a time fills a cache folder; where none can be written there is nothing to guard."""
    with ExitStack() as held:
        if folder is not None:
            with suppress(OSError):
                Path(folder).mkdir(parents=True, exist_ok=True)
                file = held.enter_context((Path(folder) / LOCK_NAME).open("w"))
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def forget(folder: Path) -> None:
    """Remove what was compiled, so that it is compiled anew. The folder is of this package alone."""
    for file in folder.glob("*.nb[ic]"):
        file.unlink(missing_ok=True)


COMPILED: Final = Compiled()
