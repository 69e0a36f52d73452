# SPDX-License-Identifier: Apache-2.0
"""The ledger: accounts, transfers and the trial balance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from citycard.office import ledger
from citycard.office.console import labels
from citycard.office.console.access import Text
from citycard.office.ledger.models import LedgerAccount, LedgerTransfer

COLUMNS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")


@dataclass(frozen=True, slots=True)
class KindLine:
    """A line of the trial balance."""

    kind: str
    text: Text
    debits_fen: int
    credits_fen: int
    pending_debits_fen: int
    pending_credits_fen: int

    @property
    def balance_fen(self) -> int:
        """Credits less debits."""
        return self.credits_fen - self.debits_fen


def trial() -> dict[str, Any]:
    """The trial balance with its totals."""
    found = ledger.trial_balance()
    lines = [
        KindLine(kind, labels.ACCOUNTS.get(kind, kind), *(row[column] for column in COLUMNS))
        for kind, row in found.kinds.items()
    ]
    total = KindLine("", "", *(found.total(column) for column in COLUMNS))
    return {"lines": lines, "total": total, "balanced": found.balanced}


def accounts(kind: str, text: str) -> QuerySet[LedgerAccount]:
    """Accounts by kind and part of the id."""
    query = LedgerAccount.objects.order_by("id")
    if kind:
        query = query.filter(kind=kind)
    return query.filter(id__contains=text) if text else query


def transfers(account: str = "") -> QuerySet[LedgerTransfer]:
    """Transfers, newest first; of one account when named."""
    query = LedgerTransfer.objects.order_by("-recorded_at", "id")
    return query.filter(Q(debit=account) | Q(credit=account)) if account else query


def with_words(rows: list[LedgerTransfer]) -> list[dict[str, Any]]:
    """Transfers with their code in words."""
    return [{"row": row, "text": labels.TRANSFERS.get(row.code, row.code)} for row in rows]
