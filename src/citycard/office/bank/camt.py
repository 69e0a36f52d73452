# SPDX-License-Identifier: Apache-2.0
"""Reads what a bank says moved on an account: statements (camt.053) and notifications (camt.054), version 08.

A statement (BankToCustomerStatement) has balances and every booked entry of its time; a notification
(BankToCustomerDebitCreditNotification) tells of some entries earlier. Booked entries count; an entry that
lists several transactions with their amounts becomes one movement each. Whatever is not such a message raises
`ValueError` with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final
from xml.etree import ElementTree as ET

from citycard.office.bank import reading
from citycard.office.bank.reading import ACCOUNT_MAX, NAME_MAX, REF_MAX, SIZE_MAX, TEXT_MAX
from citycard.office.bank.schema import CAMT, NOTICE

__all__ = ["SIZE_MAX", "Movement", "Notification", "Statement", "notifications", "read"]
OPENING: Final = ("OPBD", "PRCD")  # booked when it opens, or closed before
CLOSING: Final = ("CLBD",)
NOT_PROVIDED: Final = "NOTPROVIDED"  # what banks write where the payer gave no id


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement of money on the account; those of one entry have the same `entry` and `entry_ref`."""

    credit: bool
    amount_fen: int
    booked_on: date
    reversal: bool = False
    end_to_end: str = ""
    bank_ref: str = ""
    text: str = ""
    party: str = ""
    party_account: str = ""
    entry: int = 0
    entry_ref: str = ""  # the servicer's reference of the whole entry (AcctSvcrRef)
    servicer_ref: str = ""  # of this movement; the entry's where it has none of its own

    @property
    def signed_fen(self) -> int:
        """Money in is positive."""
        return self.amount_fen if self.credit else -self.amount_fen


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement: balances as the account's owner sees them, money held is positive."""

    id: str
    account: str
    opening_fen: int
    closing_fen: int
    ends_on: date
    movements: tuple[Movement, ...]
    sequence: int | None = None  # where the bank numbers its statements

    @property
    def sum_fen(self) -> int:
        """Opening balance and all movements."""
        return self.opening_fen + sum(one.signed_fen for one in self.movements)


@dataclass(frozen=True, slots=True)
class Notification:
    """Movements told of before the statement that will hold them."""

    id: str
    account: str
    movements: tuple[Movement, ...]


def read(content: bytes) -> list[Statement]:
    """The statements of a camt.053 message; `ValueError` says what is wrong."""
    root = reading.document(content, CAMT)
    found = [_statement(one) for one in root.iterfind("./{*}BkToCstmrStmt/{*}Stmt")]
    if not found:
        raise ValueError("there is no statement in it")
    _once([one.id for one in found])
    return found


def notifications(content: bytes) -> list[Notification]:
    """The notifications of a camt.054 message; `ValueError` says what is wrong."""
    root = reading.document(content, NOTICE)
    found = [
        Notification(reading.name(one, "Id"), reading.account(one), _all_movements(one))
        for one in root.iterfind("./{*}BkToCstmrDbtCdtNtfctn/{*}Ntfctn")
    ]
    if not found:
        raise ValueError("there is no notification in it")
    _once([one.id for one in found])
    return found


def _once(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(names) > 1 else []
    if twice:
        raise ValueError(f"{twice[0]} stands in it twice")


def _statement(node: ET.Element) -> Statement:
    name = reading.name(node, "Id")
    account = reading.account(node)
    opening, _ = _balance(node, OPENING, name)
    closing, ends_on = _balance(node, CLOSING, name)
    number = reading.text(node, "ElctrncSeqNb") or reading.text(node, "LglSeqNb")
    sequence = reading.count(number) if number else None
    return Statement(name, account, opening, closing, ends_on, _all_movements(node), sequence)


def _balance(node: ET.Element, codes: tuple[str, ...], name: str) -> tuple[int, date]:
    for balance in node.iterfind("{*}Bal"):
        if reading.text(balance, "Tp/CdOrPrtry/Cd") in codes:
            fen = reading.amount(balance)
            on = reading.day(reading.text(balance, "Dt/Dt") or reading.needed(balance, "Dt/DtTm"))
            return (fen if reading.credit(balance) else -fen), on
    raise ValueError(f"statement {name} has no balance {' or '.join(codes)}")


def _all_movements(node: ET.Element) -> tuple[Movement, ...]:
    entries = node.findall("{*}Ntry")
    _agree_with_summary(node, entries)
    return tuple(one for number, entry in enumerate(entries) for one in _movements(entry, number))


def _agree_with_summary(node: ET.Element, entries: list[ET.Element]) -> None:
    """Where the bank adds its entries up (TxsSummry), the sums have to be those of the entries."""
    for path, wanted in (("TtlNtries", None), ("TtlCdtNtries", True), ("TtlDbtNtries", False)):
        counted = [one for one in entries if wanted is None or reading.credit(one) is wanted]
        number = reading.text(node, f"TxsSummry/{path}/NbOfNtries")
        if number and reading.count(number) != len(counted):
            raise ValueError(f"{path} counts {number[:15]} entries, there are {len(counted)}")
        total = reading.text(node, f"TxsSummry/{path}/Sum")
        if total and reading.fen(total) != (sum_fen := sum(reading.amount(one) for one in counted)):
            raise ValueError(f"{path} adds up to {total[:20]}, the entries to {sum_fen} fen")


def _movements(entry: ET.Element, number: int) -> Iterator[Movement]:
    if reading.text(entry, "Sts/Cd") != "BOOK":
        return
    details = entry.findall("{*}NtryDtls/{*}TxDtls")
    amounts = [reading.amount(one) for one in details if one.find("{*}Amt") is not None]
    if len(details) > 1 and len(amounts) == len(details) and sum(amounts) == reading.amount(entry):
        for one in details:
            yield _movement(entry, one, reading.amount(one), number)
    else:
        yield _movement(entry, details[0] if len(details) == 1 else None, reading.amount(entry), number)


def _movement(entry: ET.Element, detail: ET.Element | None, amount_fen: int, number: int) -> Movement:
    text = reading.text
    credit = reading.credit(entry)
    one = entry if detail is None else detail
    side = "Dbtr" if credit else "Cdtr"
    account = text(one, f"RltdPties/{side}Acct/Id/IBAN") or text(one, f"RltdPties/{side}Acct/Id/Othr/Id")
    end_to_end = text(one, "Refs/EndToEndId")
    words = [node.text or "" for node in one.iterfind("{*}RmtInf/{*}Ustrd")] or [text(entry, "AddtlNtryInf")]
    entry_ref = text(entry, "AcctSvcrRef")[:REF_MAX]
    servicer_ref = text(one, "Refs/AcctSvcrRef")[:REF_MAX] or entry_ref
    return Movement(
        credit,
        amount_fen,
        reading.day(text(entry, "BookgDt/Dt") or reading.needed(entry, "BookgDt/DtTm")),
        text(entry, "RvslInd") in ("true", "1") or one.find("{*}RtrInf") is not None,
        "" if end_to_end == NOT_PROVIDED else end_to_end[:REF_MAX],
        (servicer_ref or text(entry, "NtryRef"))[:REF_MAX],
        " ".join(words)[:TEXT_MAX],
        text(one, f"RltdPties/{side}/Pty/Nm")[:NAME_MAX],
        account[:ACCOUNT_MAX],
        number,
        entry_ref,
        servicer_ref,
    )
