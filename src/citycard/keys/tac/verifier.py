# SPDX-License-Identifier: Apache-2.0
"""The verifier of TACs: from columns of records to verdicts, a bounded number of records at a time.

The key of a card is diversified once for each run of neighbouring records of the same card, so records that
come sorted or grouped by card cost a third of those that do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from citycard.core.crypto import FACTOR_SIZE, SUITES
from citycard.core.problem import Problem
from citycard.keys.tac.columns import TacBatch, TacColumns
from citycard.keys.tac.custody import U32, Bools, CardBatch, CardKeys, Index, KeyPath, as_bytes
from citycard.keys.tac.engine import Chosen, Engine, derive_each, engine, runs
from citycard.keys.tac.rows import batch_of_rows

if TYPE_CHECKING:
    from citycard.keys.vault import TacRow, TacTuple, Vault

CHUNK_RECORDS: Final = 65_536  # card keys are lent for so many records; their columns stay in the cache
ROWS_MAX: Final = 8_192  # rows prepared together; bounds the memory of one call


class TacVerifier:
    """Verifies TACs with the keys of a vault; also a `TacChecker`. Serves many threads at once.

    `sealed`: every TAC is computed by the vault itself, record by record, and no key is lent.
    A record whose key is unknown or whose values do not fit is False, never an error.
    """

    def __init__(self, vault: Vault, name: str = "tac", *, sealed: bool = False) -> None:
        self._vault = vault
        self._name = name
        self._sealed = sealed
        self._seen = 0

    def __repr__(self) -> str:
        return f"<TAC verifier over {self._vault!r}>"

    def __call__(self, rows: Iterable[TacRow | TacTuple]) -> list[bool]:
        """Verdicts of rows in order: for few records. See `TacChecker`."""
        verdicts: list[bool] = []
        source = iter(rows)
        while chunk := list(islice(source, ROWS_MAX)):
            kept, batch = batch_of_rows(chunk)
            found = np.zeros(len(chunk), bool)
            found[kept] = self.verify_batch(batch)
            verdicts += found.tolist()
        return verdicts

    def verify(self, columns: TacColumns) -> Bools:
        """Verdicts of tap records in order, as an array of bool."""
        verdicts = np.zeros(len(columns), bool)
        for start in range(0, len(columns), CHUNK_RECORDS):
            chunk = columns.part(slice(start, start + CHUNK_RECORDS))
            verdicts[start : start + CHUNK_RECORDS] = self.verify_batch(chunk.batch()) & chunk.sound()
        return verdicts

    def verify_batch(self, batch: TacBatch) -> Bools:
        """Verdicts of prepared records in order; `ValueError` when a message exceeds its column."""
        found, known = self.tacs(batch)
        verdicts: Bools = known & (found == batch.tac)
        return verdicts

    def tacs(self, batch: TacBatch) -> tuple[U32, Bools]:
        """(the right TACs as numbers, which records have a key): a laboratory signs its records with them."""
        if len(batch) and not 0 <= batch.lengths.min() <= batch.lengths.max() <= batch.messages.shape[1]:
            raise ValueError("a message is longer than its column")
        if self._sealed:
            return self._asked(batch)
        found, known = np.zeros(len(batch), np.uint32), np.zeros(len(batch), bool)
        self._seen += len(batch)  # many small calls are many records as well
        work = engine(len(batch), self._seen)
        for start in range(0, len(batch), CHUNK_RECORDS):
            rows = slice(start, start + CHUNK_RECORDS)
            found[rows], known[rows] = self._computed(batch.part(rows), work)
        return found, known

    def _computed(self, batch: TacBatch, work: Engine) -> tuple[U32, Bools]:
        """With keys that the vault lends."""
        heads, card = runs(batch.which, *batch.factors.T)
        suites = np.array([path.suite for path in batch.paths], np.intp)
        wanted = CardBatch(batch.paths, batch.which[heads], batch.factors[heads, 0])
        with ExitStack() as lent:
            keys = lent.enter_context(self._vault.card_tac_keys(self._name, wanted))
            for level in range(1, batch.factors.shape[1]):
                each = np.arange(len(heads))
                deeper = derive_each(work, suites[wanted.which], keys, each, batch.factors[heads, level])
                keys = lent.enter_context(deeper)
            return _macs(batch, suites, keys, card, work), keys.known[card]

    def _asked(self, batch: TacBatch) -> tuple[U32, Bools]:
        """By the vault alone."""
        found, known = np.zeros(len(batch), np.uint32), np.zeros(len(batch), bool)
        for at, (number, size) in enumerate(zip(batch.which.tolist(), batch.lengths.tolist(), strict=True)):
            raw = as_bytes(batch.factors[at])
            below = [raw[i : i + FACTOR_SIZE] for i in range(0, len(raw), FACTOR_SIZE)]
            tac = self._vault_tac(batch.paths[number], below, batch.messages[at, :size].tobytes())
            if tac is not None:
                found[at], known[at] = int.from_bytes(tac, "big"), True
        return found, known

    def _vault_tac(self, path: KeyPath, below: list[bytes], message: bytes) -> bytes | None:
        try:
            return self._vault.tac(
                self._name, path.version, (*path.factors, *below), message, suite=path.suite
            )
        except Problem as problem:
            if problem.code != "KEY_MISSING":
                raise
            return None


def _macs(batch: TacBatch, suites: Index, keys: CardKeys, card: Index, work: Engine) -> U32:
    """The TACs of all records whose key is known, by suite and length of message."""
    found = np.zeros(len(batch), np.uint32)
    known = keys.known[card]
    present = set(suites.tolist()) & SUITES.keys()
    for suite in present:
        of_suite = known if len(present) == 1 else known & (suites[batch.which] == suite)
        for length in np.flatnonzero(np.bincount(batch.lengths)).tolist():
            rows = np.flatnonzero(of_suite & (batch.lengths == length))
            if len(rows):
                found[rows] = work.tac(suite, keys, card[rows], Chosen(batch.messages, rows, length))
    return found
