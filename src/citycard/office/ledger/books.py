# SPDX-License-Identifier: Apache-2.0
"""Posts to the ledger: gather under lock, let the pure rules decide, apply, all in one transaction.

What is already recorded is read after the accounts are locked, so the second of two equal postings sees the
first.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from django.db import DatabaseError, transaction
from django.db.models import Sum

from citycard.core import ledger
from citycard.core.ledger import Account, Result, Transfer
from citycard.core.problem import declare
from citycard.office import clock
from citycard.office.ledger import bulk, chart, rows
from citycard.office.ledger.models import LedgerAccount

ROWS_PER_INSERT: Final = 1000  # Django takes fewer where a database takes fewer parameters
RACES_MAX: Final = 3  # two posters with one transfer id: the loser looks again

LEDGER_REFUSED = declare(
    "LEDGER_REFUSED",
    "The ledger refused transfer {transfer}: {why} ({result}). Nothing of this posting was kept.",
    "账本拒绝转账 {transfer}：{why}（{result}）。本次入账未保留任何内容。",
)


def open_accounts(wanted: Iterable[str | Account]) -> list[Result]:
    """Open accounts by id (kind and limits from the chart) or as given; EXISTS when they are there."""
    accounts = [chart.described(item) if isinstance(item, str) else item for item in wanted]
    with transaction.atomic():
        known = rows.accounts({account.id for account in accounts}, lock=False)
        outcome = ledger.open_accounts(known, accounts)
        at = clock.now()
        LedgerAccount.objects.bulk_create(
            [
                LedgerAccount(id=a.id, kind=a.kind, flags=int(a.flags), opened_at=at)
                for a in outcome.accounts.values()
            ],
            batch_size=ROWS_PER_INSERT,
            ignore_conflicts=True,  # another process may open the same one at the same moment
        )
    return outcome.results


def post(transfers: Sequence[Transfer]) -> list[Result]:
    """Post a batch; a result per transfer, in order. Durable, with any outer transaction, when it returns."""
    if not transfers:
        return []
    with _collector_paused():
        if bulk.suits(transfers) and (results := bulk.post(transfers, clock.now())) is not None:
            return results
    for attempt in range(RACES_MAX):
        try:
            with transaction.atomic(), _collector_paused():
                return _post(transfers)
        except DatabaseError as error:
            if attempt == RACES_MAX - 1 or not rows.lost_race(error):
                raise
    raise AssertionError("unreachable")


def post_or_fail(transfers: Sequence[Transfer]) -> list[Result]:
    """Post a batch that must go through as a whole (each OK or EXISTS), else nothing: LEDGER_REFUSED."""
    with transaction.atomic():
        results = post(transfers)
        refused = [pair for pair in zip(transfers, results, strict=True) if not pair[1].done]
        if refused:
            told = [pair for pair in refused if pair[1] is not Result.LINKED_EVENT_FAILED] or refused
            transfer, result = told[0]
            raise LEDGER_REFUSED(transfer=transfer.id, why=result.title(), result=result.code)
    return results


def account(account_id: str) -> Account | None:
    """An account as it stands, or None."""
    return rows.accounts({account_id}, lock=False).get(account_id)


def balance(account_id: str) -> int:
    """Posted credits less posted debits in fen; 0 for an account that was never opened."""
    found = account(account_id)
    return found.balance_fen if found else 0


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """Sums per kind of account, and whether debits equal credits, posted and pending."""

    kinds: dict[str, dict[str, int]]

    def total(self, column: str) -> int:
        """A column summed over all kinds."""
        return sum(row[column] for row in self.kinds.values())

    @property
    def balanced(self) -> bool:
        """Debits equal credits."""
        return self.total("debits_posted") == self.total("credits_posted") and self.total(
            "debits_pending"
        ) == self.total("credits_pending")


def trial_balance() -> TrialBalance:
    """The whole ledger in one look, taken in one statement."""
    sums = (Sum(name) for name in rows.SUMS)
    found = LedgerAccount.objects.order_by("kind").values_list("kind").annotate(*sums)
    return TrialBalance({kind: dict(zip(rows.SUMS, map(int, sums), strict=True)) for kind, *sums in found})


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No search for cyclic garbage meanwhile: a posting makes thousands of values and not one cycle.

    The search would look through the whole process several times, for more than a third of the time.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _post(transfers: Sequence[Transfer]) -> list[Result]:
    pending_ids = {t.pending_id for t in transfers if t.pending_id}
    pending = rows.entries(pending_ids)
    accounts = rows.accounts(ledger.accounts_named(transfers, pending), lock=True)
    known = rows.entries({t.id for t in transfers} | pending_ids)
    outcome = ledger.apply(accounts, known, transfers)
    rows.add_entries([entry for name, entry in outcome.entries.items() if name not in known], clock.now())
    rows.end_entries(entry for name, entry in outcome.entries.items() if name in known)
    rows.set_sums(outcome.accounts.values())
    return outcome.results
