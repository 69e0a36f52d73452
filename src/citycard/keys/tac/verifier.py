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

from citycard.core.crypto import SUITES
from citycard.core.problem import Problem
from citycard.keys.tac.columns import TacBatch, TacColumns
from citycard.keys.tac.custody import Bools, CardBatch, CardKeys, Index, KeyPath, as_bytes
from citycard.keys.tac.engine import Engine, derive_each, engine
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
        work = self._engine(len(columns))
        for start in range(0, len(columns), CHUNK_RECORDS):
            chunk = columns.part(slice(start, start + CHUNK_RECORDS))
            rows = np.flatnonzero(chunk.sound())
            verdicts[start + rows] = self._judge(chunk.batch(rows), work)
        return verdicts

    def verify_batch(self, batch: TacBatch) -> Bools:
        """Verdicts of prepared records in order; `ValueError` when a message exceeds its column."""
        if len(batch) and not 0 <= batch.lengths.min() <= batch.lengths.max() <= batch.messages.shape[1]:
            raise ValueError("a message is longer than its column")
        verdicts = np.zeros(len(batch), bool)
        work = self._engine(len(batch))
        for start in range(0, len(batch), CHUNK_RECORDS):
            rows = slice(start, start + CHUNK_RECORDS)
            verdicts[rows] = self._judge(batch.part(rows), work)
        return verdicts

    def _engine(self, records: int) -> Engine:
        """Many small calls are many records as well."""
        self._seen += records
        return engine(records, self._seen)

    def _judge(self, batch: TacBatch, work: Engine) -> Bools:
        if not len(batch):
            return np.zeros(0, bool)
        if self._sealed:
            return self._asked(batch)
        heads, card = runs(batch)
        suites = np.array([path.suite for path in batch.paths], np.intp)
        wanted = CardBatch(batch.paths, batch.which[heads], batch.factors[heads, 0])
        with ExitStack() as lent:
            keys = lent.enter_context(self._vault.card_tac_keys(self._name, wanted))
            for level in range(1, batch.factors.shape[1]):
                each = np.arange(len(heads))
                deeper = derive_each(work, suites[wanted.which], keys, each, batch.factors[heads, level])
                keys = lent.enter_context(deeper)
            return _compare(batch, suites[batch.which], keys, card, work)

    def _asked(self, batch: TacBatch) -> Bools:
        """Verdicts by the vault alone."""
        verdicts = []
        sizes = batch.lengths.tolist()
        for at, (number, tac) in enumerate(zip(batch.which.tolist(), batch.tac.tolist(), strict=True)):
            path = batch.paths[number]
            raw = as_bytes(batch.factors[at])
            below = [raw[i : i + 8] for i in range(0, len(raw), 8)]
            message = batch.messages[at, : sizes[at]].tobytes()
            verdicts.append(self._vault_tac(path, below, message) == tac.to_bytes(4, "big"))
        return np.array(verdicts, bool)

    def _vault_tac(self, path: KeyPath, below: list[bytes], message: bytes) -> bytes | None:
        try:
            return self._vault.tac(
                self._name, path.version, (*path.factors, *below), message, suite=path.suite
            )
        except Problem as problem:
            if problem.code != "KEY_MISSING":
                raise
            return None


def runs(batch: TacBatch) -> tuple[Index, Index]:
    """(the first record of every run of one card's records, the run of each record)."""
    new = np.ones(len(batch), bool)
    new[1:] = batch.which[1:] != batch.which[:-1]
    for level in batch.factors.T:
        new[1:] |= level[1:] != level[:-1]
    return np.flatnonzero(new), np.cumsum(new) - 1


def _compare(batch: TacBatch, suites: Index, keys: CardKeys, card: Index, work: Engine) -> Bools:
    """Group the records by suite and length of message, compute, compare."""
    verdicts = np.zeros(len(batch), bool)
    known = keys.known[card]
    for suite in SUITES:
        of_suite = known & (suites == suite)
        for length in np.unique(batch.lengths[of_suite]).tolist():
            rows = np.flatnonzero(of_suite & (batch.lengths == length))
            found = work.tac(suite, keys, card[rows], batch.messages[rows, :length])
            verdicts[rows] = found == batch.tac[rows]
    return verdicts
