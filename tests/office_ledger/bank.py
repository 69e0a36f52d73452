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
    ref: str = ""  # the bank's own
    parts: tuple[Move, ...] = ()  # transactions of one entry


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

    def says(
        self,
        on: date,
        *moves: Move,
        name: str = "",
        opening: int | None = None,
        off: int = 0,
        numbered: bool = False,
    ) -> bytes:
        """A statement of these movements; `opening` and `off` make it a wrong one."""
        self.statements += 1
        before = self.held_fen if opening is None else opening
        self.held_fen = before + sum(round(float(m.yuan) * 100) for m in moves)
        entries = _entries(on, moves)
        number = f"<ElctrncSeqNb>{self.statements}</ElctrncSeqNb>" if numbered else ""
        made = f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>
<GrpHdr><MsgId>M{self.statements}</MsgId><CreDtTm>{on}T23:00:00</CreDtTm></GrpHdr>
<Stmt><Id>{name or f"S{self.statements}"}</Id>{number}<Acct><Id><Othr><Id>{self.account}</Id></Othr></Id></Acct>
{_balance("OPBD", before, on)}{_balance("CLBD", self.held_fen + off, on)}{entries}</Stmt>
</BkToCstmrStmt></Document>""".encode()
        self.said.append(made)
        return made

    def notifies(self, on: date, name: str, *moves: Move) -> bytes:
        """A notification (camt.054) of these movements, which some statement will hold."""
        return f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"><BkToCstmrDbtCdtNtfctn>
<GrpHdr><MsgId>M-{name}</MsgId><CreDtTm>{on}T12:00:00</CreDtTm></GrpHdr>
<Ntfctn><Id>{name}</Id><Acct><Id><Othr><Id>{self.account}</Id></Othr></Id></Acct>{_entries(on, moves)}</Ntfctn>
</BkToCstmrDbtCdtNtfctn></Document>""".encode()


def report(
    name: str, file: str, status: str = "", lines: dict[str, str] | None = None, version: str = "12",
    totals: str = "",
) -> bytes:  # fmt: skip
    """A status report (pain.002) on a payment file: of the whole, and of transfers as `RJCT AC04`."""
    root = ET.fromstring(file.encode())
    asked = {
        block.findtext("{*}PmtInfId") or "": [
            one.findtext("{*}PmtId/{*}EndToEndId") or "" for one in block.iterfind("{*}CdtTrfTxInf")
        ]
        for block in root.iterfind(".//{*}PmtInf")
    }
    told = dict(lines or {})
    blocks = ""
    for block, names in asked.items():
        inside = "".join(_word(one, told.pop(one)) for one in names if one in told)
        blocks += f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>{block}</OrgnlPmtInfId>{inside}</OrgnlPmtInfAndSts>"
    if told:  # about payments that are in no block
        inside = "".join(_word(one, word) for one, word in told.items())
        blocks = blocks.replace("</OrgnlPmtInfAndSts>", f"{inside}</OrgnlPmtInfAndSts>", 1)
    group = f"<GrpSts>{status}</GrpSts>" if status else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.{version}"><CstmrPmtStsRpt>
<GrpHdr><MsgId>{name}</MsgId><CreDtTm>2026-03-03T09:00:00</CreDtTm></GrpHdr>
<OrgnlGrpInfAndSts><OrgnlMsgId>{root.findtext(".//{*}MsgId")}</OrgnlMsgId>
<OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>{totals}{group}</OrgnlGrpInfAndSts>{blocks}
</CstmrPmtStsRpt></Document>""".encode()


def _word(name: str, word: str) -> str:
    status, _, reason = word.partition(" ")
    why = f"<StsRsnInf><Rsn><Cd>{reason}</Cd></Rsn></StsRsnInf>" if reason else ""
    return f"<TxInfAndSts><OrgnlEndToEndId>{name}</OrgnlEndToEndId><TxSts>{status}</TxSts>{why}</TxInfAndSts>"


def _entries(on: date, moves: tuple[Move, ...]) -> str:
    return "".join(_entry(number, move, on) for number, move in enumerate(moves, start=1))


def _balance(code: str, fen: int, on: date) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="CNY">{abs(fen) / 100:.2f}</Amt><CdtDbtInd>{"CRDT" if fen >= 0 else "DBIT"}</CdtDbtInd>'
        f"<Dt><Dt>{on}</Dt></Dt></Bal>"
    )


def _entry(number: int, move: Move, on: date) -> str:
    credit = not move.yuan.startswith("-")
    reversal = "<RvslInd>true</RvslInd>" if move.reversal else ""
    ref = f"<AcctSvcrRef>{move.ref}</AcctSvcrRef>" if move.ref else ""
    details = "".join(_detail(one, credit, bool(move.parts)) for one in move.parts or (move,))
    return (
        f'<Ntry><NtryRef>N{number}</NtryRef><Amt Ccy="CNY">{move.yuan.lstrip("-")}</Amt>'
        f"<CdtDbtInd>{'CRDT' if credit else 'DBIT'}</CdtDbtInd>{reversal}<Sts><Cd>BOOK</Cd></Sts>"
        f"<BookgDt><Dt>{on}</Dt></BookgDt>{ref}<BkTxCd/><NtryDtls>{details}</NtryDtls></Ntry>"
    )


def _detail(move: Move, credit: bool, part: bool) -> str:
    side = "Dbtr" if credit else "Cdtr"
    party = (
        f"<RltdPties><{side}Acct><Id><Othr><Id>{move.account}</Id></Othr></Id></{side}Acct></RltdPties>"
        if move.account
        else ""
    )
    text = f"<RmtInf><Ustrd>{move.text}</Ustrd></RmtInf>" if move.text else ""
    amount = (
        f'<Amt Ccy="CNY">{move.yuan.lstrip("-")}</Amt><CdtDbtInd>{"CRDT" if credit else "DBIT"}</CdtDbtInd>'
        if part
        else ""
    )
    return f"<TxDtls><Refs><EndToEndId>{move.end_to_end}</EndToEndId></Refs>{amount}{party}{text}</TxDtls>"
