# SPDX-License-Identifier: Apache-2.0
"""Looks over a payment file on its way to the bank: is it still what this office ordered, and to be paid?

The file lies outside the office between `citycard pay` and the bank's door; what was changed there is found.
"""

from __future__ import annotations

from dataclasses import dataclass

from citycard.office.bank import pain, problems, schema
from citycard.office.bank.models import PaymentFile, State, masked

PAYABLE = (State.MADE, State.SENT)


@dataclass(frozen=True, slots=True)
class Checked:
    """A payment file that is as ordered."""

    message: str
    state: str
    transfers: int
    sum_fen: int
    validated: bool


def check(content: bytes, name: str) -> Checked:
    """Hold a payment file against what was ordered; PAYMENT_FILE_WRONG with the first difference."""
    try:
        validated = schema.available(schema.PAIN)
        message, blocks = pain.read(content)
        if validated and (why := schema.fault(schema.PAIN, content)):
            raise ValueError(why)
        file = PaymentFile.objects.filter(pk=message).first()
        if file is None:
            raise ValueError(f"this office made no message {message}")
        _as_ordered(blocks, pain.read(file.content.encode())[1])
        if content.split() != file.content.encode().split():
            raise ValueError("parties, dates or texts in it are not those that were written")
        if file.state not in PAYABLE:
            raise ValueError(f"it is {file.state} already")
    except ValueError as fault:
        raise problems.PAYMENT_FILE_WRONG(file=name, why=fault) from None
    return Checked(file.id, file.state, file.orders_count, file.sum_fen, validated)


def _as_ordered(found: list[pain.Block], ordered: list[pain.Block]) -> None:
    """`ValueError` with the first account, transfer or amount that was not ordered."""
    wanted = {block.payer: block.transfers for block in ordered}
    for block in found:
        transfers = wanted.pop(block.payer, None)
        if transfers is None:
            raise ValueError(f"account {masked(block.payer)} is to pay in it, which was not ordered")
        for name, fen in block.transfers.items():
            if transfers.get(name) != fen:
                amount = pain.decimal(transfers[name]) if name in transfers else "nothing"
                raise ValueError(f"{name} asks for {pain.decimal(fen)}, ordered is {amount}")
        if missing := sorted(transfers.keys() - block.transfers.keys()):
            raise ValueError(f"{missing[0]} is missing")
    if wanted:
        raise ValueError(f"the payments of account {masked(sorted(wanted)[0])} are missing")
