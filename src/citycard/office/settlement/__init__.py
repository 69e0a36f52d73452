# SPDX-License-Identifier: Apache-2.0
"""Settlement: what clearing is told, what it answers, and the payments that follow.

export       the scheme's reference tables, frozen for a business date
withdraw     takes them back when clearing refuses what they say
post_run     clearing's answer, checked, stored and posted to the ledger; closes the business date
settle       the payments between participants and the settlement bank
close_month  fees made up to what a month's volume came to
reconcile    whether the books agree with themselves and with the cards
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from citycard.office.settlement.closing import Closed, close_month
    from citycard.office.settlement.outward import export, withdraw
    from citycard.office.settlement.payments import Settlement, settle
    from citycard.office.settlement.posting import Posting, post_run
    from citycard.office.settlement.reconciliation import Reconciliation, reconcile

_HOMES = {
    "Closed": "closing",
    "close_month": "closing",
    "export": "outward",
    "Settlement": "payments",
    "settle": "payments",
    "Posting": "posting",
    "post_run": "posting",
    "Reconciliation": "reconciliation",
    "reconcile": "reconciliation",
    "withdraw": "outward",
}
__all__ = [
    "Closed",
    "Posting",
    "Reconciliation",
    "Settlement",
    "close_month",
    "export",
    "post_run",
    "reconcile",
    "settle",
    "withdraw",
]


def __getattr__(name: str) -> Any:
    """Loads on first use: Django imports this package before its models may be."""
    if name in _HOMES:
        return getattr(import_module(f"citycard.office.settlement.{_HOMES[name]}"), name)
    raise AttributeError(name)
