# SPDX-License-Identifier: Apache-2.0
"""The ledger's rules for a large batch of plain transfers, over bare sums instead of values.

Nearly every transfer of a large batch is a simple one that is simply allowed, and to see that takes four
additions. Those are made here, without a value per account and per record; whatever is not plainly allowed is
given to `ledger.apply`, transfer by transfer, so that every refusal has one source. A test holds the two
against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from citycard.core.ledger import (
    CREDITS_POSTED,
    DEBITS_POSTED,
    PLAIN,
    Account,
    AccountFlag,
    Result,
    Transfer,
    apply,
)
from citycard.core.money import FEN_MAX

FLAGS: Final = 4  # after the four sums
Standing = list[int]  # an account: its four sums in the order of the fields of `Account`, and its flags
_NO_OVERDRAFT, _NO_EXCESS = (int(flag) for flag in AccountFlag)


def is_plain(batch: Sequence[Transfer]) -> bool:
    """Whether these are plain transfers, each with an id of its own."""
    if len({t.id for t in batch}) != len(batch):
        return False
    return all(t.flags is PLAIN and not t.pending_id for t in batch)


def apply_plain(accounts: Mapping[str, Standing], batch: Sequence[Transfer]) -> list[Result]:
    """Judge a plain batch of which no id is recorded yet, in order, and add what is allowed to `accounts`.

    `accounts` must hold every existing account the batch names. Results and sums are those of `apply`.
    """
    find = accounts.get
    results = []
    for transfer in batch:
        debit, credit, amount = find(transfer.debit), find(transfer.credit), transfer.amount_fen
        if debit is not None and credit is not None and debit is not credit and amount:
            debit_pending, debits, _, has, debit_limit = debit
            _, owed, credit_pending, credits, credit_limit = credit
            debits += amount
            credits += amount
            if (
                debit_pending + debits <= FEN_MAX
                and credit_pending + credits <= FEN_MAX
                and not (debit_limit & _NO_OVERDRAFT and debit_pending + debits > has)
                and not (credit_limit & _NO_EXCESS and credit_pending + credits > owed)
            ):
                debit[DEBITS_POSTED] = debits
                credit[CREDITS_POSTED] = credits
                results.append(Result.OK)
                continue
        results.append(_judged(accounts, transfer))
    return results


def _judged(accounts: Mapping[str, Standing], transfer: Transfer) -> Result:
    """The verdict of the rules themselves."""
    named = {name: accounts[name] for name in (transfer.debit, transfer.credit) if name in accounts}
    outcome = apply({name: _account(name, found) for name, found in named.items()}, {}, [transfer])
    for name, after in outcome.accounts.items():
        accounts[name][DEBITS_POSTED], accounts[name][CREDITS_POSTED] = (
            after.debits_posted,
            after.credits_posted,
        )
    return outcome.results[0]


def _account(name: str, standing: Standing) -> Account:
    *sums, flags = standing
    return Account(name, "any", AccountFlag(flags), *sums)  # no rule looks at the kind
