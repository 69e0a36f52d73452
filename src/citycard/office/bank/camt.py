# SPDX-License-Identifier: Apache-2.0
"""Reads statements of an account as ISO 20022 camt.053.001.08 (BankToCustomerStatement).

Booked entries count; an entry that lists several transactions with their amounts becomes one movement each.
Whatever is not such a message raises `ValueError` with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final
from xml.etree import ElementTree as ET

from citycard.office.bank.schema import CAMT

NAMESPACE: Final = f"urn:iso:std:iso:20022:tech:xsd:{CAMT}"
SIZE_MAX: Final = 64 * 1024 * 1024  # a million entries; more is no day of a scheme
AMOUNT: Final = re.compile(r"([0-9]{1,13})(?:\.([0-9]{1,5}))?")
CURRENCY: Final = "CNY"
OPENING: Final = ("OPBD", "PRCD")  # booked when it opens, or closed before
CLOSING: Final = ("CLBD",)
NAME_MAX, REF_MAX, ACCOUNT_MAX, TEXT_MAX = 140, 35, 34, 200
NOT_PROVIDED: Final = "NOTPROVIDED"  # what banks write where the payer gave no id


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement of money on the account."""

    credit: bool
    amount_fen: int
    booked_on: date
    reversal: bool = False
    end_to_end: str = ""
    bank_ref: str = ""
    text: str = ""
    party: str = ""
    party_account: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement: balances as the account's owner sees them, money held is positive."""

    id: str
    account: str
    opening_fen: int
    closing_fen: int
    ends_on: date
    movements: tuple[Movement, ...]

    @property
    def sum_fen(self) -> int:
        """Opening balance and all movements."""
        moved = sum(one.amount_fen if one.credit else -one.amount_fen for one in self.movements)
        return self.opening_fen + moved


class _NoDoctype(ET.TreeBuilder):
    """Refuses document types, and with them every entity a file might bring along."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it has a document type, which messages do not have")


def read(content: bytes) -> list[Statement]:
    """The statements of a message; `ValueError` says what is wrong."""
    if len(content) > SIZE_MAX:
        raise ValueError(f"it has more than {SIZE_MAX} bytes")
    try:
        root = ET.fromstring(content, ET.XMLParser(target=_NoDoctype()))
    except (ET.ParseError, LookupError) as fault:
        raise ValueError(f"it is no XML: {fault}") from None
    if root.tag != f"{{{NAMESPACE}}}Document":
        raise ValueError(f"it is {root.tag[:100]}")
    found = [_statement(one) for one in root.iterfind("./{*}BkToCstmrStmt/{*}Stmt")]
    if not found:
        raise ValueError("there is no statement in it")
    return found


def _statement(node: ET.Element) -> Statement:
    name = _needed(node, "Id")
    if len(name) > REF_MAX:
        raise ValueError(f"the statement's Id has more than {REF_MAX} characters")
    account = _text(node, "Acct/Id/IBAN") or _needed(node, "Acct/Id/Othr/Id")
    opening, _ = _balance(node, OPENING, name)
    closing, ends_on = _balance(node, CLOSING, name)
    moves = tuple(one for entry in node.iterfind("{*}Ntry") for one in _movements(entry))
    return Statement(name, account, opening, closing, ends_on, moves)


def _balance(node: ET.Element, codes: tuple[str, ...], name: str) -> tuple[int, date]:
    for balance in node.iterfind("{*}Bal"):
        if _text(balance, "Tp/CdOrPrtry/Cd") in codes:
            fen = _amount(balance)
            on = _day(_text(balance, "Dt/Dt") or _needed(balance, "Dt/DtTm"))
            return (fen if _credit(balance) else -fen), on
    raise ValueError(f"statement {name} has no balance {' or '.join(codes)}")


def _movements(entry: ET.Element) -> Iterator[Movement]:
    if _text(entry, "Sts/Cd") != "BOOK":
        return
    details = entry.findall("{*}NtryDtls/{*}TxDtls")
    amounts = [_amount(one) for one in details if one.find("{*}Amt") is not None]
    if len(details) > 1 and len(amounts) == len(details) and sum(amounts) == _amount(entry):
        for one in details:
            yield _movement(entry, one, _amount(one))
    else:
        yield _movement(entry, details[0] if len(details) == 1 else None, _amount(entry))


def _movement(entry: ET.Element, detail: ET.Element | None, amount_fen: int) -> Movement:
    credit = _credit(entry)
    one = entry if detail is None else detail
    side = "Dbtr" if credit else "Cdtr"
    account = _text(one, f"RltdPties/{side}Acct/Id/IBAN") or _text(one, f"RltdPties/{side}Acct/Id/Othr/Id")
    end_to_end = _text(one, "Refs/EndToEndId")
    words = [node.text or "" for node in one.iterfind("{*}RmtInf/{*}Ustrd")] or [_text(entry, "AddtlNtryInf")]
    return Movement(
        credit,
        amount_fen,
        _day(_text(entry, "BookgDt/Dt") or _needed(entry, "BookgDt/DtTm")),
        _text(entry, "RvslInd") in ("true", "1") or one.find("{*}RtrInf") is not None,
        "" if end_to_end == NOT_PROVIDED else end_to_end[:REF_MAX],
        (_text(one, "Refs/AcctSvcrRef") or _text(entry, "AcctSvcrRef") or _text(entry, "NtryRef"))[:REF_MAX],
        " ".join(words)[:TEXT_MAX],
        _text(one, f"RltdPties/{side}/Pty/Nm")[:NAME_MAX],
        account[:ACCOUNT_MAX],
    )


def _credit(node: ET.Element) -> bool:
    word = _needed(node, "CdtDbtInd")
    if word not in ("CRDT", "DBIT"):
        raise ValueError(f"CdtDbtInd is {word[:20]!r}")
    return word == "CRDT"


def _amount(node: ET.Element) -> int:
    found = node.find("{*}Amt")
    text = "" if found is None else (found.text or "").strip()
    whole = AMOUNT.fullmatch(text)
    if found is None or whole is None or found.get("Ccy") != CURRENCY:
        currency = "" if found is None else found.get("Ccy", "")
        raise ValueError(f"an amount is {text[:20]!r} {currency[:3]}, not yuan")
    fen = (whole[2] or "").ljust(2, "0")
    if fen[2:].strip("0"):
        raise ValueError(f"the amount {text} is no whole number of fen")
    return int(whole[1]) * 100 + int(fen[:2])


def _day(text: str) -> date:
    return date.fromisoformat(text[:10])


def _text(node: ET.Element, path: str) -> str:
    found = node.find("/".join(f"{{*}}{tag}" for tag in path.split("/")))
    return "" if found is None else (found.text or "").strip()


def _needed(node: ET.Element, path: str) -> str:
    found = _text(node, path)
    if not found:
        raise ValueError(f"{path} is missing")
    return found
