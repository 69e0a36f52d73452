# SPDX-License-Identifier: Apache-2.0
"""Posts a large batch of plain transfers at the price of few statements: rows in, sums out, no value per row.

Rules, verdicts and tables are those of `books`, and what is not simple here is left to it: `post` answers
None when an id is recorded already or another poster was in the way, with nothing changed.

On PostgreSQL a poster that is in no other transaction records its transfers first, all of them, and only
then locks the accounts, reads and judges them, and takes out again what was refused: whoever waits for the
accounts waits for the judging alone, not for the recording, which costs most. Nobody sees a transfer before
the commit.

Holding recorded ids while waiting for the accounts can close a circle with a poster that has the accounts
and wants one of these ids. So this one waits shorter than the server takes to look for such circles, and
lets go; and it records in the order of ids, so that two like it never meet in a circle. Should the server
find one nevertheless, whichever poster it picks begins again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final

from django.db import DatabaseError, connection, transaction

from citycard.core.ledger import CREDITS_POSTED, DEBITS_POSTED, Result, Transfer
from citycard.core.ledger_plain import Standing, apply_plain, is_plain
from citycard.office.ledger import rows

LEAST: Final = 256  # transfers; below, locking single accounts keeps out fewer others
WAIT_MS: Final = 500  # half of PostgreSQL's deadlock_timeout
PROBES: Final = (
    16  # ids looked up before; a repeated batch shows by them, a single repeated id by its conflict
)


class _Otherwise(Exception):
    """Not as simple as it looked: the transaction is given up."""


def suits(batch: Sequence[Transfer]) -> bool:
    """Whether `post` may be tried."""
    return len(batch) >= LEAST and is_plain(batch)


def post(batch: Sequence[Transfer], at: datetime) -> list[Result] | None:
    """Post a batch that suits; a result per transfer, or None when `books` must do it."""
    early = rows.postgres() and not connection.in_atomic_block
    if early and _repeated(batch):
        return None
    try:
        with transaction.atomic():
            return _recorded_first(batch, at) if early else _judged_first(batch, at)
    except _Otherwise:
        return None
    except DatabaseError as error:
        if rows.lost_race(error):
            return None
        raise


def _recorded_first(batch: Sequence[Transfer], at: datetime) -> list[Result]:
    rows.wait_at_most(WAIT_MS)
    rows.add_plain(sorted(batch, key=attrgetter("id")), at)
    results = _judged(batch)
    rows.take_out([t.id for t, result in zip(batch, results, strict=True) if result is not Result.OK])
    return results


def _judged_first(batch: Sequence[Transfer], at: datetime) -> list[Result]:
    results = _judged(batch, look=True)
    rows.add_plain([t for t, result in zip(batch, results, strict=True) if result is Result.OK], at)
    return results


def _judged(batch: Sequence[Transfer], *, look: bool = False) -> list[Result]:
    """Lock, read, judge and write the accounts; if asked, see first whether the batch was posted before."""
    rows.lock_all_accounts()
    if look and _repeated(batch):
        raise _Otherwise
    found = rows.standings({t.debit for t in batch} | {t.credit for t in batch})
    accounts: dict[str, Standing] = {name: standing for name, _, *standing in found}
    results = apply_plain(accounts, batch)
    changed = [
        (place, after[DEBITS_POSTED], after[CREDITS_POSTED])
        for (_, place, _, debits, _, credits, _), after in zip(found, accounts.values(), strict=True)
        if after[DEBITS_POSTED] != debits or after[CREDITS_POSTED] != credits
    ]
    if rows.set_posted(changed) != len(changed):
        raise _Otherwise
    return results


def _repeated(batch: Sequence[Transfer]) -> bool:
    """Whether this looks like a batch that was posted before."""
    return rows.any_recorded(batch[:: len(batch) // PROBES])
