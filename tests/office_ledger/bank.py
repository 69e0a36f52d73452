# SPDX-License-Identifier: Apache-2.0
"""A bank for these stories: it answers a payment file with a statement, or says what it is told to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from xml.etree import ElementTree as ET

OURS = "6222000000000000001"


@dataclass(frozen=True)
class Move:
    """A movement: signed yuan as text, and what names it."""

    yuan: str
    end_to_end: str = "NOTPROVIDED"
    text: str = ""
    account: str = ""
    reversal: bool = False


@dataclass
class Bank:
    """The settlement account as the bank keeps it, in fen."""

    held_fen: int = 0
    statements: int = 0
    account: str = OURS
    said: list[bytes] = field(default_factory=list)

    def answer(self, payment_file: str, on: date) -> bytes:
        """Everything a payment file asks for, done."""
        root = ET.fromstring(payment_file.encode())
        moves = []
        for block in root.iterfind(".//{*}PmtInf"):
            ours = block.findtext("{*}DbtrAcct/{*}Id/{*}Othr/{*}Id") == self.account
            for one in block.iterfind("{*}CdtTrfTxInf"):
                yuan = one.findtext("{*}Amt/{*}InstdAmt") or ""
                name = one.findtext("{*}PmtId/{*}EndToEndId") or ""
                moves.append(Move(f"-{yuan}" if ours else yuan, name))
        return self.says(on, *moves)

    def says(self, on: date, *moves: Move, name: str = "", opening: int | None = None, off: int = 0) -> bytes:
        """A statement of these movements; `opening` and `off` make it a wrong one."""
        self.statements += 1
        before = self.held_fen if opening is None else opening
        self.held_fen = before + sum(round(float(m.yuan) * 100) for m in moves)
        entries = "".join(_entry(number, move, on) for number, move in enumerate(moves, start=1))
        made = f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>
<GrpHdr><MsgId>M{self.statements}</MsgId><CreDtTm>{on}T23:00:00</CreDtTm></GrpHdr>
<Stmt><Id>{name or f"S{self.statements}"}</Id><Acct><Id><Othr><Id>{self.account}</Id></Othr></Id></Acct>
{_balance("OPBD", before, on)}{_balance("CLBD", self.held_fen + off, on)}{entries}</Stmt>
</BkToCstmrStmt></Document>""".encode()
        self.said.append(made)
        return made


def _balance(code: str, fen: int, on: date) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="CNY">{abs(fen) / 100:.2f}</Amt><CdtDbtInd>{"CRDT" if fen >= 0 else "DBIT"}</CdtDbtInd>'
        f"<Dt><Dt>{on}</Dt></Dt></Bal>"
    )


def _entry(number: int, move: Move, on: date) -> str:
    credit = not move.yuan.startswith("-")
    side = "Dbtr" if credit else "Cdtr"
    party = (
        f"<RltdPties><{side}Acct><Id><Othr><Id>{move.account}</Id></Othr></Id></{side}Acct></RltdPties>"
        if move.account
        else ""
    )
    text = f"<RmtInf><Ustrd>{move.text}</Ustrd></RmtInf>" if move.text else ""
    reversal = "<RvslInd>true</RvslInd>" if move.reversal else ""
    return (
        f'<Ntry><NtryRef>N{number}</NtryRef><Amt Ccy="CNY">{move.yuan.lstrip("-")}</Amt>'
        f"<CdtDbtInd>{'CRDT' if credit else 'DBIT'}</CdtDbtInd>{reversal}<Sts><Cd>BOOK</Cd></Sts>"
        f"<BookgDt><Dt>{on}</Dt></BookgDt><BkTxCd/><NtryDtls><TxDtls><Refs><EndToEndId>{move.end_to_end}"
        f"</EndToEndId></Refs>{party}{text}</TxDtls></NtryDtls></Ntry>"
    )
