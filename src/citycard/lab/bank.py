# SPDX-License-Identifier: Apache-2.0
"""The settlement bank of a simulated city: takes payment files, moves money, and says so in statements.

What the bank does by seed: pays late, rejects, pays and takes back, and its statements come twice or cut
short. Participants without a mandate pay by themselves, naming the payment in one way or another. Every
evening the office orders what is due and reads what the bank says; it may die between any two statements.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from random import Random
from typing import Any, Final
from xml.etree import ElementTree as ET

from citycard.core.problem import Problem
from citycard.lab import desk
from citycard.lab.faults import DeathTimer, Faults, Killed

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
OURS: Final = "6222000000000000001"
CODE: Final = "102100099996"  # of a made-up branch in the national clearing system
BY: Final = "lab"
STATEMENTS: Final = 60  # of ordering or importing, about: when the office dies in it
EVENINGS_MAX: Final = 4  # until even what was rejected, returned and late is paid


@dataclass(frozen=True, slots=True)
class Move:
    """A movement on the settlement account; money in is positive."""

    fen: int
    end_to_end: str = ""
    text: str = ""
    account: str = ""
    reversal: bool = False


@dataclass(slots=True)
class Bank:
    """The bank and what it has promised; `moved` is what truly moved for each order."""

    faults: Faults
    random: Random
    held_fen: int = 0
    statements: int = 0
    coming: list[Move] = field(default_factory=list)  # executed another day
    moved: Counter[str] = field(default_factory=Counter)
    taken: set[str] = field(default_factory=set)  # files
    death: DeathTimer = field(default_factory=DeathTimer)

    def open_accounts(self) -> None:
        """Everybody has an account here; who has given a mandate, the dice say."""
        from citycard.office.bank.models import BankAccount
        from citycard.office.bank.orders import scheme_id
        from citycard.office.participants.models import Participant

        us = scheme_id()
        for number, one in enumerate(Participant.objects.order_by("id"), start=2):
            account = OURS if one.pk == us else f"{int(OURS) - 1 + number}"
            mandate = self.random.random() < 0.7
            told = {"holder": one.name_zh, "number": account, "bank": CODE, "mandate": mandate}
            BankAccount.objects.update_or_create(participant=one, defaults=told)

    def evening(self, day: date) -> None:
        """Order what is due, let the bank work, and read its statement."""
        self._alive(lambda: self._order(day))
        moves, self.coming = self.coming, []
        for move in self._asked(day, {one.end_to_end for one in moves}):
            if self.faults.strikes("bank_late"):
                self.coming.append(move)
            else:
                moves.append(move)
        for move in moves:
            self.moved[move.end_to_end] += move.fen
            if not move.reversal and self.faults.strikes("bank_returns"):
                self.coming.append(Move(-move.fen, move.end_to_end, "退汇", reversal=True))
        self._tell(day, moves)

    def settled(self, day: date) -> bool:
        """Evenings until nothing is open any more; whether that came to pass."""
        from citycard.office.settlement.models import Payment

        for _ in range(EVENINGS_MAX):
            self.evening(day)
            if not self.coming and all(not one.open_fen for one in Payment.objects.all()):
                return True
        return False

    def _order(self, day: date) -> None:
        from citycard.office.bank import orders
        from citycard.office.bank.models import State

        for file in orders.order(day, BY).files:
            if file.state == State.MADE:
                orders.move_file(file.id, orders.SEND, BY)

    def _asked(self, day: date, under_way: set[str]) -> list[Move]:
        """What new files and participants themselves ask the bank for; some of it is rejected."""
        from citycard.office.bank.models import BankAccount, PaymentFile, PaymentOrder, State

        moves = []
        for file in PaymentFile.objects.filter(settle_on__lte=day).exclude(pk__in=self.taken):
            self.taken.add(file.pk)
            for move in instructions(file.content):
                if self.faults.strikes("bank_rejects"):
                    self._alive(lambda name=move.end_to_end: _reject(name))  # type: ignore[misc]
                else:
                    moves.append(move)
        for one in PaymentOrder.objects.filter(state=State.AWAITED).select_related("payment"):
            if one.end_to_end in under_way:
                continue
            account = BankAccount.objects.get(pk=one.payment.participant).number
            named = self.random.random() < 0.5
            text = f"清算款 {one.end_to_end}" if named else ""
            moves.append(Move(one.payment.open_fen, one.end_to_end, text, account))
        return moves

    def _tell(self, day: date, moves: list[Move]) -> None:
        """The statement of the day, which may come cut short first, and twice."""
        from citycard.office.bank import statements

        self.statements += 1
        before, self.held_fen = self.held_fen, self.held_fen + sum(move.fen for move in moves)
        content = statement(f"S{self.statements}", day, before, moves)
        if self.faults.strikes("statement_cut"):
            cut = content[: self.random.randrange(len(content) - 20)]
            assert _refusal(cut) == "BANK_FILE_INVALID", f"a statement cut short: {_refusal(cut)}"
        self._alive(lambda: statements.take(content, "statement.xml", BY))
        if self.faults.strikes("statement_twice"):
            assert statements.take(content, "again.xml", BY).repeated

    def _alive(self, work: Callable[[], Any]) -> None:
        """Do something in the office; killed in it, it is done again."""
        if self.faults.strikes("kill_bank"):
            self.death.arm(self.random.randrange(STATEMENTS))
            try:
                with desk.mortal(self.death):
                    work()
                return
            except Killed:
                pass
            finally:
                self.death.disarm()
        work()


def _refusal(content: bytes) -> str:
    """Why a statement is not taken, by its code; empty: it was."""
    from citycard.office.bank import statements

    try:
        statements.take(content, "cut.xml", BY)
    except Problem as problem:
        return problem.code
    return ""


def _reject(end_to_end: str) -> None:
    from citycard.office.bank import orders
    from citycard.office.bank.models import PaymentOrder, State

    if PaymentOrder.objects.get(pk=end_to_end).state != State.REJECTED:  # killed after it was noted
        orders.reject_order(end_to_end, BY, "AC04")


def instructions(content: str) -> list[Move]:
    """What a payment file (pain.001) asks for, as movements on the settlement account."""
    moves = []
    for block in ET.fromstring(content.encode()).iterfind(".//{*}PmtInf"):
        sign = -1 if block.findtext("{*}DbtrAcct/{*}Id/{*}Othr/{*}Id") == OURS else 1
        for one in block.iterfind("{*}CdtTrfTxInf"):
            yuan, _, cents = (one.findtext("{*}Amt/{*}InstdAmt") or "").partition(".")
            name = one.findtext("{*}PmtId/{*}EndToEndId") or ""
            moves.append(Move(sign * (int(yuan) * 100 + int(cents)), name))
    return moves


def statement(name: str, day: date, before_fen: int, moves: list[Move]) -> bytes:
    """A statement (camt.053) of the settlement account."""
    after_fen = before_fen + sum(move.fen for move in moves)
    entries = "".join(_entry(number, move, day) for number, move in enumerate(moves, start=1))
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{NAMESPACE}"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>M{name}</MsgId><CreDtTm>{day}T23:55:00</CreDtTm></GrpHdr>"
        f"<Stmt><Id>{name}</Id><Acct><Id><Othr><Id>{OURS}</Id></Othr></Id></Acct>"
        f"{_balance('OPBD', before_fen, day)}{_balance('CLBD', after_fen, day)}{entries}</Stmt>"
        "</BkToCstmrStmt></Document>"
    ).encode()


def _amount(fen: int) -> str:
    whole, cents = divmod(abs(fen), 100)
    sign = "CRDT" if fen >= 0 else "DBIT"
    return f'<Amt Ccy="CNY">{whole}.{cents:02d}</Amt><CdtDbtInd>{sign}</CdtDbtInd>'


def _balance(code: str, fen: int, day: date) -> str:
    return f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{_amount(fen)}<Dt><Dt>{day}</Dt></Dt></Bal>"


def _entry(number: int, move: Move, day: date) -> str:
    side = "Dbtr" if move.fen > 0 else "Cdtr"
    account = f"<Id><Othr><Id>{move.account}</Id></Othr></Id>"
    party = f"<RltdPties><{side}Acct>{account}</{side}Acct></RltdPties>" if move.account else ""
    named = "NOTPROVIDED" if move.account else move.end_to_end  # who pays by hand fills in no such field
    text = f"<RmtInf><Ustrd>{move.text}</Ustrd></RmtInf>" if move.text else ""
    return (
        f"<Ntry><NtryRef>N{number}</NtryRef>{_amount(move.fen)}"
        f"{'<RvslInd>true</RvslInd>' if move.reversal else ''}<Sts><Cd>BOOK</Cd></Sts>"
        f"<BookgDt><Dt>{day}</Dt></BookgDt><BkTxCd/><NtryDtls><TxDtls>"
        f"<Refs><EndToEndId>{named}</EndToEndId></Refs>{party}{text}</TxDtls></NtryDtls></Ntry>"
    )
