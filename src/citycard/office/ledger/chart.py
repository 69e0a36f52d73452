# SPDX-License-Identifier: Apache-2.0
"""The chart of accounts: what an account is called, what kind it is and what it forbids.

An account's id is its kind, a colon, and whose it is. Signs: a credit balance is owed by the scheme, a debit
balance is held by it. A load debits `float` and credits `card`; a purchase goes the other way; on a clearing
day `position` and `clearing` face each other, and settlement clears positions against `bank:settlement`. What
the bank then really moves goes from there to `cash:settlement`, statement by statement; what a notification
told of earlier waits on `notified:settlement` for its statement.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from citycard.core.ledger import NO_LIMIT, Account, AccountFlag

BANK: Final = "bank:settlement"
CASH: Final = "cash:settlement"
NOTIFIED: Final = "notified:settlement"
UNALLOCATED: Final = "unallocated:settlement"
OWN: Final = "own:settlement"
KINDS: Final[dict[str, AccountFlag]] = {
    "card": AccountFlag.DEBITS_MUST_NOT_EXCEED_CREDITS,  # owed to the holder
    "purses": NO_LIMIT,  # owed to all holders of an issuer together, where cards have no account each
    "deposit": AccountFlag.DEBITS_MUST_NOT_EXCEED_CREDITS,  # owed to holders for their cards
    "due": AccountFlag.DEBITS_MUST_NOT_EXCEED_CREDITS,  # owed to a holder, not on the chip yet
    "float": NO_LIMIT,  # funds the issuer holds against its cards
    "counter": NO_LIMIT,  # cash at the issuer's counter
    "fees": NO_LIMIT,  # earned by the issuer
    "position": NO_LIMIT,  # what the scheme owes a participant
    "clearing": NO_LIMIT,  # of one business date; ends at zero
    "suspense": NO_LIMIT,  # what clearing proved and a card's account cannot carry, to be looked into
    "bank": NO_LIMIT,  # ordered and not yet moved: payments to participants less payments by them
    "cash": NO_LIMIT,  # held at the bank: what its statements say
    "notified": NO_LIMIT,  # moved by the bank as a notification says; its statement is still to come
    "unallocated": NO_LIMIT,  # moved by the bank and not matched with anything yet
    "own": NO_LIMIT,  # the scheme's own money at the bank
    "guarantee": AccountFlag.DEBITS_MUST_NOT_EXCEED_CREDITS,  # owed to a participant: its deposit
}


def card(pan: str) -> str:
    """The account owed to the holder of a card."""
    return f"card:{pan}"


def purses_of(issuer: str) -> str:
    """The account owed to all holders of an issuer's cards, where cards have none of their own."""
    return f"purses:{issuer}"


def float_of(issuer: str) -> str:
    """The funds an issuer holds against its cards."""
    return f"float:{issuer}"


def position(participant: str) -> str:
    """What the scheme owes a participant (or is owed, when in debit)."""
    return f"position:{participant}"


def clearing(business_date: date) -> str:
    """The other side of all positions of a business date."""
    return f"clearing:{business_date.isoformat()}"


def closing(month: date, number: int) -> str:
    """The other side of all positions of a month's closing."""
    return f"clearing:{month:%Y-%m}-fees-{number}"


def suspense(issuer: str) -> str:
    """Proven purchases of an issuer's cards beyond what their accounts hold."""
    return f"suspense:{issuer}"


def guarantee(participant: str) -> str:
    """The guarantee deposit of a participant."""
    return f"guarantee:{participant}"


def described(account_id: str) -> Account:
    """The empty account an id stands for; `ValueError` when its kind is not in the chart."""
    kind, _, whose = account_id.partition(":")
    if kind not in KINDS or not whose:
        raise ValueError(f"{account_id!r} is in no chart: kinds are {', '.join(KINDS)}")
    return Account(account_id, kind, KINDS[kind])
