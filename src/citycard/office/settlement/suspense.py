# SPDX-License-Identifier: Apache-2.0
"""Suspense: purchases a card's account could not carry, and their return once it can.

A purchase may be cleared before the load that paid for it is proven, when the load's record is late. Its
TAC proves it, so the acquirer is paid and the card's debt waits on `suspense:{issuer}`, by card.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Final

from citycard.core.ledger import Transfer
from citycard.office import ledger
from citycard.office.ledger import chart
from citycard.office.ledger.models import LedgerTransfer

TAKEN: Final = "suspense"
RELEASED: Final = "suspense_release"


def outstanding() -> dict[str, int]:
    """Fen each card still owes to suspense; cards that owe nothing are left out."""
    owed: Counter[str] = Counter()
    moves = LedgerTransfer.objects.filter(code__in=(TAKEN, RELEASED)).values_list("code", "ref", "amount_fen")
    for code, pan, amount in moves:
        owed[pan] += amount if code == TAKEN else -amount
    return {pan: fen for pan, fen in owed.items() if fen}


def release(settle_on: date) -> int:
    """Take from accounts that can carry it now what they owe; returns the fen that came back."""
    steps = []
    for pan, owed in sorted(outstanding().items()):
        account = ledger.account(chart.card(pan))
        amount = min(owed, max(0, account.free_fen)) if account else 0
        if amount:
            to = chart.suspense(_issuer(pan))
            name = f"settle:{settle_on}:release:{pan}"
            steps.append(
                Transfer(name, chart.card(pan), to, amount, RELEASED, business_date=settle_on, ref=pan)
            )
    ledger.post_or_fail(steps)
    return sum(step.amount_fen for step in steps)


def _issuer(pan: str) -> str:
    taken = LedgerTransfer.objects.filter(code=TAKEN, ref=pan).values_list("debit_id", flat=True).first()
    assert taken is not None
    return str(taken).partition(":")[2]
