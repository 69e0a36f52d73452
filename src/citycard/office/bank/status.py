# SPDX-License-Identifier: Apache-2.0
"""Reads payment status reports (pain.002, CustomerPaymentStatusReport): the bank's word on a payment file.

A status stands for the whole message, for one paying account's block of it, or for one transfer; the closer
word counts. `ValueError` says why something is no such report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from citycard.office.bank import reading

REJECTING: Final = ("CANC", "RJCT")  # it will not be paid
SETTLED: Final = ("ACSC", "ACCC")  # it was: on the payer's side, on the payee's side
PARTLY: Final = ("PART", "PATC")  # of a message or block: see the transfers
# What may follow what. Settled comes last: a payment once called settled is never taken for open again.
ORDER: Final = (
    "", "RCVD", "PDNG", "BLCK", "ACTC", "ACFC", "ACCP", "ACSP", "ACWC", "ACWP", *REJECTING, *SETTLED,
)  # fmt: skip
WHY_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A status with its reason, of a transfer or of all that is not told of more closely."""

    name: str  # end-to-end id; of a block its id
    status: str
    why: str
    amount_fen: int | None = None  # where the bank repeats it
    count: int | None = None
    sum_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """What is said of one paying account's part."""

    whole: Line
    transfers: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A report about one message of ours."""

    id: str
    whole: Line  # its name is the id of our message
    blocks: tuple[Block, ...]


def read(content: bytes, message: str) -> Report:
    """The report in a message of this version."""
    root = reading.document(content, message).find("./{*}CstmrPmtStsRpt")
    header = None if root is None else root.find("{*}GrpHdr")
    group = None if root is None else root.find("{*}OrgnlGrpInfAndSts")
    if root is None or header is None or group is None:
        raise ValueError("GrpHdr or OrgnlGrpInfAndSts is missing")
    about = reading.needed(group, "OrgnlMsgNmId")
    if not about.startswith("pain.001"):
        raise ValueError(f"it is about a {about[:35]}, not about a payment file")
    blocks = tuple(_block(one) for one in root.iterfind("{*}OrgnlPmtInfAndSts"))
    return Report(reading.name(header, "MsgId"), _whole(group, "OrgnlMsgId", "GrpSts"), blocks)


def rank(status: str) -> tuple[int, str]:
    """The later of two words about one payment is the one with the higher rank, whichever came first."""
    return (ORDER.index(status) if status in ORDER else 0, status)


def _block(node: ET.Element) -> Block:
    transfers = []
    for one in node.iterfind("{*}TxInfAndSts"):
        name = reading.text(one, "OrgnlEndToEndId") or reading.name(one, "OrgnlInstrId")
        told = one.find("{*}OrgnlTxRef/{*}Amt/{*}InstdAmt")
        amount = None if told is None else reading.amount(one, "OrgnlTxRef/Amt/InstdAmt")
        transfers.append(Line(name, reading.text(one, "TxSts"), _why(one), amount))
    return Block(_whole(node, "OrgnlPmtInfId", "PmtInfSts"), tuple(transfers))


def _whole(node: ET.Element, name: str, status: str) -> Line:
    number, total = reading.text(node, "OrgnlNbOfTxs"), reading.text(node, "OrgnlCtrlSum")
    return Line(
        reading.name(node, name),
        reading.text(node, status),
        _why(node),
        count=reading.count(number) if number else None,
        sum_fen=reading.fen(total) if total else None,
    )


def _why(node: ET.Element) -> str:
    words = []
    for one in node.iterfind("{*}StsRsnInf"):
        words.append(reading.text(one, "Rsn/Cd") or reading.text(one, "Rsn/Prtry"))
        words += [(more.text or "").strip() for more in one.iterfind("{*}AddtlInf")]
    return " ".join(word for word in words if word)[:WHY_MAX]
