# SPDX-License-Identifier: Apache-2.0
"""Writes payment instructions as ISO 20022 pain.001.001.09 (CustomerCreditTransferInitiation).

One PmtInf for each account that pays: the settlement account for what participants are owed, and the account
of each participant that owes and has agreed to be debited. The same instructions always give the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Final
from xml.etree import ElementTree as ET

from citycard.office.bank import reading
from citycard.office.bank.schema import PAIN

NAMESPACE: Final = f"urn:iso:std:iso:20022:tech:xsd:{PAIN}"
IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
BIC: Final = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?")
CLEARING_SYSTEM: Final = "CNAPS"  # China National Advanced Payment System: codes of 12 digits
NAME_MAX, TEXT_MAX = 140, 140


@dataclass(frozen=True, slots=True)
class Account:
    """A bank account: holder, number, and the bank by its BIC or its code in the clearing system."""

    holder: str
    number: str
    bank: str


@dataclass(frozen=True, slots=True)
class Instruction:
    """One credit transfer."""

    end_to_end: str
    payer: Account
    payee: Account
    amount_fen: int
    text: str


def document(
    message_id: str, made_at: datetime, initiator: str, value_on: date, instructions: Sequence[Instruction]
) -> bytes:
    """The message; `instructions` of one payer stand together in the order given."""
    root = ET.Element("Document", xmlns=NAMESPACE)
    message = _add(root, "CstmrCdtTrfInitn")
    header = _add(message, "GrpHdr")
    _add(header, "MsgId", message_id)
    _add(header, "CreDtTm", made_at.isoformat(timespec="seconds"))
    _totals(header, instructions)
    _add(_add(header, "InitgPty"), "Nm", initiator[:NAME_MAX])
    ordered = sorted(instructions, key=lambda one: one.payer.number)  # stable: order within is kept
    for number, (_, group) in enumerate(groupby(ordered, key=lambda one: one.payer), start=1):
        _block(message, f"{message_id}-{number}"[-35:], value_on, list(group))
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="UTF-8", xml_declaration=True)) + b"\n"


@dataclass(frozen=True, slots=True)
class Block:
    """What a message asks of one paying account: transfers in fen by end-to-end id."""

    id: str
    payer: str
    transfers: dict[str, int]


def read(content: bytes) -> tuple[str, list[Block]]:
    """A message's id and blocks, as a bank reads them; `ValueError` when it contradicts itself.

    Counts and control sums have to be those of the transfers, ids occur once, amounts are in yuan.
    """
    message = reading.document(content, PAIN).find("./{*}CstmrCdtTrfInitn")
    header = None if message is None else message.find("{*}GrpHdr")
    if message is None or header is None:
        raise ValueError("GrpHdr is missing")
    blocks = [_read_block(one) for one in message.iterfind("{*}PmtInf")]
    transfers = [pair for block in blocks for pair in block.transfers.items()]
    names = [name for name, _ in transfers]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"end-to-end id {twice[0]} stands in it twice")
    _agree(header, len(transfers), sum(fen for _, fen in transfers))
    return reading.name(header, "MsgId"), blocks


def _read_block(node: ET.Element) -> Block:
    transfers: dict[str, int] = {}
    for one in node.iterfind("{*}CdtTrfTxInf"):
        name = reading.name(one, "PmtId/EndToEndId")
        if name in transfers:
            raise ValueError(f"end-to-end id {name} stands in it twice")
        transfers[name] = reading.amount(one, "Amt/InstdAmt")
    _agree(node, len(transfers), sum(transfers.values()))
    return Block(reading.name(node, "PmtInfId"), reading.account(node, "DbtrAcct"), transfers)


def _agree(node: ET.Element, count: int, sum_fen: int) -> None:
    number, total = reading.text(node, "NbOfTxs"), reading.text(node, "CtrlSum")
    if number and number != str(count):
        raise ValueError(f"NbOfTxs is {number[:15]}, there are {count} transfers")
    if total and reading.fen(total) != sum_fen:
        raise ValueError(f"CtrlSum is {total[:20]}, the transfers add up to {decimal(sum_fen)}")


def decimal(amount_fen: int) -> str:
    """An amount as the message writes it: yuan with two decimals."""
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


def _block(message: ET.Element, block_id: str, value_on: date, group: list[Instruction]) -> None:
    block = _add(message, "PmtInf")
    _add(block, "PmtInfId", block_id)
    _add(block, "PmtMtd", "TRF")
    _totals(block, group)
    _add(_add(block, "ReqdExctnDt"), "Dt", value_on.isoformat())
    payer = group[0].payer
    _party(block, "Dbtr", payer)
    _account(block, "DbtrAcct", payer)
    _agent(block, "DbtrAgt", payer)
    _add(block, "ChrgBr", "SLEV")
    for one in group:
        transfer = _add(block, "CdtTrfTxInf")
        ids = _add(transfer, "PmtId")
        _add(ids, "InstrId", one.end_to_end)
        _add(ids, "EndToEndId", one.end_to_end)
        _add(_add(transfer, "Amt"), "InstdAmt", decimal(one.amount_fen)).set("Ccy", "CNY")
        _agent(transfer, "CdtrAgt", one.payee)
        _party(transfer, "Cdtr", one.payee)
        _account(transfer, "CdtrAcct", one.payee)
        _add(_add(transfer, "RmtInf"), "Ustrd", one.text[:TEXT_MAX])


def _totals(to: ET.Element, instructions: Sequence[Instruction]) -> None:
    _add(to, "NbOfTxs", str(len(instructions)))
    _add(to, "CtrlSum", decimal(sum(one.amount_fen for one in instructions)))


def _party(to: ET.Element, tag: str, account: Account) -> None:
    _add(_add(to, tag), "Nm", account.holder[:NAME_MAX])


def _account(to: ET.Element, tag: str, account: Account) -> None:
    holder = _add(to, tag)
    number = _add(holder, "Id")
    if IBAN.fullmatch(account.number):
        _add(number, "IBAN", account.number)
    else:
        _add(_add(number, "Othr"), "Id", account.number)
    _add(holder, "Ccy", "CNY")


def _agent(to: ET.Element, tag: str, account: Account) -> None:
    bank = _add(_add(to, tag), "FinInstnId")
    if BIC.fullmatch(account.bank):
        _add(bank, "BICFI", account.bank)
        return
    member = _add(bank, "ClrSysMmbId")
    _add(_add(member, "ClrSysId"), "Cd", CLEARING_SYSTEM)
    _add(member, "MmbId", account.bank)


def _add(to: ET.Element, tag: str, text: str | None = None) -> ET.Element:
    made = ET.SubElement(to, tag)
    made.text = text
    return made
