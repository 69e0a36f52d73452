# SPDX-License-Identifier: Apache-2.0
"""The engine over the compiled kernels, and their loading.

What holds key material here is wiped before a call ends.
"""

from __future__ import annotations

import fcntl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from citycard.core.crypto import SM4_SUITE, SUITES, TRIPLE_DES
from citycard.keys.tac import des, sm4
from citycard.keys.tac.custody import U32, U64, CardKeys, Index
from citycard.keys.tac.engine import Chosen
from citycard.keys.tac.words import as_raw_words, padding

SILENCE_SECONDS: Final = 2.0  # what takes longer says that it is at work
LOCK_NAME: Final = "citycard-tac.lock"
NOTICE: Final = (
    "Compiling the TAC kernel of {name}; this happens once on a machine and takes some seconds."
    " 正在编译 {name} 的 TAC 校验内核，每台机器只需一次，约需数秒。"
)


class Kernel(NamedTuple):
    """The compiled functions of a suite; see there."""

    derive: Callable[[U64, Index, U64], U64]
    macs: Callable[[U64, Index, U64, Index, U64], U32]


KERNELS: Final = {TRIPLE_DES.id: Kernel(des.derive, des.macs), SM4_SUITE.id: Kernel(sm4.derive, sm4.macs)}


class Compiled:
    """See `Engine`; each suite is compiled, or loaded from its cache, when it is first needed."""

    def __init__(self) -> None:
        self._loaded: set[int] = set()
        self._loading = threading.Lock()

    def derive(self, suite: int, keys: CardKeys, which: Index, factors: U64) -> CardKeys:
        """See `Engine`."""
        self._load(suite)
        return CardKeys(KERNELS[suite].derive(keys.words, which, factors), keys.known[which])

    def tac(self, suite: int, keys: CardKeys, which: Index, chosen: Chosen) -> U32:
        """See `Engine`."""
        self._load(suite)
        rules = padding(chosen.length, SUITES[suite].block)
        messages = as_raw_words(chosen.messages, 8 * len(rules))
        return KERNELS[suite].macs(keys.words, which, messages, chosen.rows, rules)

    def _load(self, suite: int) -> None:
        if suite in self._loaded:
            return
        folder: str | None = des.macs.stats.cache_path  # type: ignore[attr-defined]
        with self._loading, notice(NOTICE.format(name=SUITES[suite].name)), alone(folder):
            try:
                _once(KERNELS[suite])
            except Exception:  # a damaged cache file fails in as many ways as unpickling does
                if folder is None:
                    raise
                forget(Path(folder))
                _once(KERNELS[suite])
            self._loaded.add(suite)


def _once(kernel: Kernel) -> None:
    """Call what is compiled with one record, which compiles it or loads it from its cache."""
    one, none = np.zeros((1, 2), np.uint64), np.zeros(1, np.intp)
    kernel.derive(one, none, np.zeros(1, np.uint64))
    kernel.macs(one, none, np.zeros((1, 2), np.uint64), none, padding(0, SM4_SUITE.block))


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
