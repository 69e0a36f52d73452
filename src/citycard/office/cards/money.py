# SPDX-License-Identifier: Apache-2.0
"""What the verbs move in the ledger: deposits, fees, refunds, and the balance of a card that is replaced.

    issue     counter -> deposit (taken for the card), counter -> fees
    replace   card:old -> due:new (owed, not yet on the new chip), counter -> fees
    refund    card -> counter (paid out), counter -> float (the float pays the counter back),
              deposit -> counter, counter -> fees

`due:{pan}` holds what a replaced card's holder is owed until it is written onto the new chip by an ordinary
load (float -> card). `funded` then pays that load out of `due` instead of cash, so that at every moment a
card's account equals its chip and the float equals all cards' balances and dues together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from citycard.core.ledger import Account, AccountFlag, Flag, Result, Transfer
from citycard.office import ledger

DUE: Final = "due"
Step = tuple[str, str, int, str]  # (debit, credit, amount in fen, code); amount 0 is left out


def card(pan: str) -> str:
    """The account of a card's balance."""
    return f"card:{pan}"


def due(pan: str) -> str:
    """The account of money owed to a card's holder that its chip does not hold yet."""
    return f"{DUE}:{pan}"


def issuer_accounts(issuer: str) -> list[str]:
    """The accounts an issuer's cards need."""
    return [f"{kind}:{issuer}" for kind in ("float", "deposit", "fees", "counter")]


def open_issuer(issuer: str) -> None:
    """Open an issuer's accounts; harmless when they are open."""
    ledger.open_accounts(issuer_accounts(issuer))


def open_cards(pans: Iterable[str]) -> None:
    """Open the balance accounts of new cards; harmless when they are open."""
    ledger.open_accounts([card(pan) for pan in pans])


def open_due(pan: str) -> None:
    """Open the account of money not yet on a card's chip; harmless when it is open."""
    ledger.open_accounts([Account(due(pan), DUE, AccountFlag.DEBITS_MUST_NOT_EXCEED_CREDITS)])


def preload_steps(pan: str, issuer: str, balance_fen: int) -> list[Step]:
    """A card left personalisation with money on it."""
    return [(f"float:{issuer}", card(pan), balance_fen, "preload")]


def issue_steps(issuer: str, deposit_fen: int, fee_fen: int) -> list[Step]:
    """The holder pays deposit and fee at the counter."""
    return [
        (f"counter:{issuer}", f"deposit:{issuer}", deposit_fen, "deposit"),
        (f"counter:{issuer}", f"fees:{issuer}", fee_fen, "issue_fee"),
    ]


def fee_steps(issuer: str, fee_fen: int, code: str) -> list[Step]:
    """The holder pays a fee at the counter."""
    return [(f"counter:{issuer}", f"fees:{issuer}", fee_fen, code)]


def replace_steps(pans: tuple[str, str], issuer: str, owed: tuple[int, int], fee_fen: int) -> list[Step]:
    """The old card's balance, and what was still due to it, become due to the new one (`pans`: old, new)."""
    old, new = pans
    return [
        (card(old), due(new), owed[0], "replace"),
        (due(old), due(new), owed[1], "replace_due"),
        (f"counter:{issuer}", f"fees:{issuer}", fee_fen, "replace_fee"),
    ]


def funded_steps(pan: str, issuer: str, amount_fen: int) -> list[Step]:
    """A load onto a new card's chip is paid out of what is due to it."""
    return [(due(pan), f"float:{issuer}", amount_fen, "due_load")]


def unload_steps(pan: str, issuer: str, balance_fen: int) -> list[Step]:
    """A card that was never issued is destroyed with the money it was personalised with."""
    return [(card(pan), f"float:{issuer}", balance_fen, "unload")]


def refund_steps(pan: str, issuer: str, owed: tuple[int, int], deposit_fen: int, fee_fen: int) -> list[Step]:
    """The counter pays out `owed` (card's balance, money due) and deposit, less a fee."""
    balance_fen, due_fen = owed
    return [
        (card(pan), f"counter:{issuer}", balance_fen, "refund"),
        (due(pan), f"counter:{issuer}", due_fen, "refund_due"),
        (f"counter:{issuer}", f"float:{issuer}", balance_fen + due_fen, "refund_float"),
        (f"deposit:{issuer}", f"counter:{issuer}", deposit_fen, "deposit_back"),
        (f"counter:{issuer}", f"fees:{issuer}", fee_fen, "refund_fee"),
    ]


def chain(name: str, steps: Sequence[Step], business: date) -> list[Transfer]:
    """Steps as linked transfers, all or none; their ids are `{name}:{code}`."""
    transfers = [
        Transfer(f"{name}:{code}", debit, credit, amount, code, Flag.LINKED, business_date=business, ref=name)
        for debit, credit, amount, code in steps
        if amount
    ]
    if transfers:
        transfers[-1] = replace(transfers[-1], flags=Flag(0))
    return transfers


def post_chains(chains: Sequence[Sequence[Transfer]]) -> list[Result]:
    """Post each chain by itself in one go; one result per chain: OK, EXISTS, or the cause of its refusal."""
    results = iter(ledger.post([transfer for one in chains for transfer in one]))
    verdicts = []
    for one in chains:
        told = [next(results) for _ in one]
        causes = [result for result in told if not result.done]
        real = [result for result in causes if result is not Result.LINKED_EVENT_FAILED]
        verdicts.append((real or causes or [told[0] if told else Result.OK])[0])
    return verdicts


def balance(pan: str) -> int:
    """What a card's account owes its holder, in fen."""
    return ledger.balance(card(pan))


def owed(pan: str) -> tuple[int, int]:
    """What a card's holder may be paid: the account's free balance, and money not yet on the chip."""
    account = ledger.account(card(pan))
    return (account.free_fen if account else 0), ledger.balance(due(pan))
