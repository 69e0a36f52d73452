# SPDX-License-Identifier: Apache-2.0
"""The ledger in SQL: two tables, accounts and transfers, ruled by `citycard.core.ledger`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from citycard.office.ledger.books import (
        TrialBalance,
        account,
        balance,
        open_accounts,
        post,
        post_or_fail,
        trial_balance,
    )

__all__ = ["TrialBalance", "account", "balance", "open_accounts", "post", "post_or_fail", "trial_balance"]


def __getattr__(name: str) -> Any:
    """Loads the books on first use: Django imports this package before its models may be."""
    if name in __all__:
        return getattr(import_module("citycard.office.ledger.books"), name)
    raise AttributeError(name)
