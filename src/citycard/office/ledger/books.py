# SPDX-License-Identifier: Apache-2.0
"""Posts to the ledger: gather under lock, let the pure rules decide, apply, all in one transaction.

Accounts are locked in the order of their ids, so two posters never wait for each other in a circle. What is
already recorded is read after the locks are held, so the second of two equal postings sees the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import IntegrityError, connection, transaction
from django.db.models import Sum

from citycard.core import ledger
from citycard.core.ledger import Account, AccountFlag, Entry, Flag, Outcome, Result, Stage, Transfer
from citycard.core.problem import declare
from citycard.office import clock
from citycard.office.ledger import chart
from citycard.office.ledger.models import LedgerAccount, LedgerTransfer

CHUNK: Final = 900  # SQLite builds that take no more than 999 parameters in one statement exist
ROWS_PER_INSERT: Final = 1000  # Django takes fewer where a database takes fewer parameters
RACES_MAX: Final = 3  # two posters with one transfer id and different accounts: the loser looks again
SUMS: Final = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
TRANSFER_COLUMNS: Final = (
    *("id", "debit_id", "credit_id", "amount_fen", "code"),
    *("flags", "pending_id", "business_date", "ref", "stage"),
)

LEDGER_REFUSED = declare(
    "LEDGER_REFUSED",
    "The ledger refused transfer {transfer}: {why} ({result}). Nothing of this posting was kept.",
    "账本拒绝转账 {transfer}：{why}（{result}）。本次入账未保留任何内容。",
)


def open_accounts(wanted: Iterable[str | Account]) -> list[Result]:
    """Open accounts by id (kind and limits from the chart) or as given; EXISTS when they are there."""
    accounts = [chart.described(item) if isinstance(item, str) else item for item in wanted]
    with transaction.atomic():
        known = _accounts({account.id for account in accounts}, lock=False)
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
    for attempt in range(RACES_MAX):
        try:
            with transaction.atomic():
                return _post(transfers)
        except IntegrityError:
            if attempt == RACES_MAX - 1:
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
    return _accounts({account_id}, lock=False).get(account_id)


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
    rows = LedgerAccount.objects.order_by("kind").values_list("kind").annotate(*(Sum(name) for name in SUMS))
    return TrialBalance({kind: dict(zip(SUMS, map(int, sums), strict=True)) for kind, *sums in rows})


def _post(transfers: Sequence[Transfer]) -> list[Result]:
    pending_ids = {t.pending_id for t in transfers if t.pending_id}
    pending = _entries(pending_ids)
    accounts = _accounts(ledger.accounts_named(transfers, pending), lock=True)
    known = _entries({t.id for t in transfers} | pending_ids)
    outcome = ledger.apply(accounts, known, transfers)
    _save(outcome, known)
    return outcome.results


def _accounts(ids: set[str], *, lock: bool) -> dict[str, Account]:
    found: dict[str, Account] = {}
    for chunk in _chunks(sorted(ids)):
        rows = LedgerAccount.objects.filter(id__in=chunk).order_by("id")
        if lock:
            rows = rows.select_for_update()
        for name, kind, flags, *sums in rows.values_list("id", "kind", "flags", *SUMS):
            found[name] = Account(name, kind, AccountFlag(flags), *sums)
    return found


def _entries(ids: set[str]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for chunk in _chunks(sorted(ids)):
        rows = LedgerTransfer.objects.filter(id__in=chunk).order_by()
        for row in rows.values_list(*TRANSFER_COLUMNS):
            name, debit, credit, amount, code, flags, pending_id, business_date, ref, stage = row
            transfer = Transfer(
                name, debit, credit, amount, code, Flag(flags), pending_id, business_date, ref
            )
            found[name] = Entry(transfer, Stage(stage))
    return found


def _save(outcome: Outcome, known: dict[str, Entry]) -> None:
    at = clock.now()
    new = [entry for name, entry in outcome.entries.items() if name not in known]
    LedgerTransfer.objects.bulk_create([_row(entry, at) for entry in new], batch_size=ROWS_PER_INSERT)
    ended = [(entry.stage.value, name) for name, entry in outcome.entries.items() if name in known]
    with connection.cursor() as cursor:
        if ended:
            cursor.executemany(f"UPDATE {LedgerTransfer._meta.db_table} SET stage = %s WHERE id = %s", ended)
        if outcome.accounts:
            columns = ", ".join(f"{name} = %s" for name in SUMS)
            cursor.executemany(
                f"UPDATE {LedgerAccount._meta.db_table} SET {columns} WHERE id = %s",
                [(*(getattr(a, name) for name in SUMS), a.id) for a in outcome.accounts.values()],
            )


def _row(entry: Entry, at: datetime) -> LedgerTransfer:
    t = entry.transfer
    return LedgerTransfer(
        id=t.id,
        debit_id=t.debit,
        credit_id=t.credit,
        amount_fen=t.amount_fen,
        code=t.code,
        flags=int(t.flags),
        pending_id=t.pending_id,
        business_date=t.business_date,
        ref=t.ref,
        stage=entry.stage.value,
        recorded_at=at,
    )


def _chunks(ids: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(ids), CHUNK):
        yield ids[at : at + CHUNK]
