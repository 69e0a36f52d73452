# SPDX-License-Identifier: Apache-2.0
"""Notifications and status reports of the bank: every movement once, whatever tells of it first and how often."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from citycard.core.problem import Problem
from citycard.office import ledger
from citycard.office.bank import camt, checking, messages, orders, pain, schema, status
from citycard.office.bank.models import BankEntry, BankMessage, PaymentFile, PaymentOrder, Purpose, State
from citycard.office.intake.models import Alarm
from citycard.office.ledger.models import LedgerAccount
from citycard.office.settlement.models import Payment
from tests.office_ledger.bank import OURS, Bank, Move, report
from tests.office_ledger.conftest import BUS, DAY, City
from tests.office_ledger.test_bank import (
    FROM_ISSUER,
    NUMBERS,
    TO_BUS,
    TO_METRO,
    held_at_bank,
    in_transit,
    settled,
    states,
)
from tests.support import parts

__all__ = ["settled"]
NOTIFIED = "notified:settlement"
PAID = (
    Move("-5.00", TO_BUS, ref="A1"),
    Move("-3.00", TO_METRO, ref="A2"),
    Move("8.00", FROM_ISSUER, ref="A3"),
)


US, THEM = pain.Account("清分中心", OURS, "102100099996"), pain.Account("公交", "6222001", "102100099996")
MADE = pain.document(
    "CITYCARD-1",
    datetime(2026, 3, 2, 9, 0),
    "清分中心",
    DAY,
    [pain.Instruction("X", US, THEM, 500, "清算款")],
)


def sound(bank: Bank) -> bool:
    """The books balance, hold what statements say, and have on their way what payments say."""
    return (
        ledger.trial_balance().balanced
        and held_at_bank() == bank.held_fen
        and ledger.balance("bank:settlement") == in_transit()
    )


def take(content: bytes) -> messages.Taken:
    return messages.take(content, "bank.xml", "kim")


def refused(content: bytes) -> str:
    with pytest.raises(Problem) as told:
        take(content)
    assert told.value.text("zh") != told.value.text("en")
    return told.value.code


def ordered() -> PaymentFile:
    return orders.order(DAY, "kim").files[-1]


def test_a_notified_movement_counts_once(settled: City) -> None:
    ordered()
    bank = Bank()
    told = take(bank.notifies(DAY, "N1", PAID[0], PAID[2]))
    assert (told.entries, told.matched, told.left) == (2, 2, 0)
    assert states() == {TO_BUS: State.EXECUTED, TO_METRO: State.MADE, FROM_ISSUER: State.EXECUTED}
    assert (held_at_bank(), ledger.balance(NOTIFIED)) == (0, -300)  # no statement has said it yet
    again = take(bank.notifies(DAY, "N2", PAID[0]))
    assert (again.entries, again.noticed) == (0, 1)
    day = take(bank.says(DAY, *PAID))
    assert (day.entries, day.matched, day.noticed) == (1, 1, 2)
    assert (BankEntry.objects.count(), ledger.balance(NOTIFIED)) == (3, 0)
    assert take(bank.notifies(DAY, "N3", *PAID)).entries == 0  # late
    assert sound(bank)


def test_what_is_told_of_a_message_is_of_its_kind(settled: City) -> None:
    file, bank = ordered(), Bank()
    notice = take(bank.notifies(DAY, "N1", *PAID)).as_json()
    word = take(report("R1", file.content, "ACSP")).as_json()
    day = take(bank.says(DAY, *PAID)).as_json()
    assert (notice["message"], notice["entries"], notice["left"]) == (schema.NOTICE, 3, 0)
    assert (word["names"], word["accepted"], "entries" in word) == (["R1"], 3, False)
    assert (day["statements"], day["noticed"], day["closing_fen"]) == (["S1"], 3, 0)


def test_a_movement_without_any_reference_is_left_to_its_statement(settled: City) -> None:
    bank = Bank()
    assert take(bank.notifies(DAY, "N1", Move("9.00"))).left == 1
    assert not BankEntry.objects.exists()
    assert take(bank.says(DAY, Move("9.00"))).entries == 1


@pytest.mark.parametrize("notice_first", [True, False])
def test_an_entry_as_a_whole_and_its_transactions_are_one(settled: City, notice_first: bool) -> None:
    ordered()
    bank = Bank()
    inside = (Move("-5.00", TO_BUS), Move("-3.00", TO_METRO))
    files = [
        bank.notifies(DAY, "N1", Move("-8.00", ref="B1", parts=inside)),
        bank.says(DAY, Move("-8.00", ref="B1")),
    ]
    for content in files if notice_first else reversed(files):
        take(content)
    assert states() == {TO_BUS: State.EXECUTED, TO_METRO: State.EXECUTED, FROM_ISSUER: State.MADE}
    assert [one.signed_fen for one in BankEntry.objects.order_by("amount_fen")] == [-300, -500]
    assert ledger.balance("unallocated:settlement") == ledger.balance(NOTIFIED) == 0
    assert sound(bank)


def test_a_return_that_comes_before_its_payment_waits_for_it(settled: City) -> None:
    ordered()
    bank = Bank()
    back = Move("5.00", TO_BUS, "account closed", reversal=True, ref="A9")
    assert take(bank.notifies(DAY, "N1", back)).matched == 0
    assert states()[TO_BUS] == State.MADE
    take(bank.says(DAY, PAID[0], back))
    assert states()[TO_BUS] == State.REJECTED
    assert not BankEntry.objects.filter(purpose=Purpose.OPEN).exists()
    assert (ledger.balance("unallocated:settlement"), orders.order(DAY, "kim").new) == (0, 1)
    assert sound(bank)


def test_a_rejected_payment_is_paid_again_and_never_twice(settled: City) -> None:
    first = ordered()
    told = take(report("R1", first.content, "PART", {TO_BUS: "RJCT AC04", TO_METRO: "ACSP"}))
    assert (told.accepted, told.rejected, told.repeated) == (1, 1, False)
    assert states() == {TO_BUS: State.REJECTED, TO_METRO: State.SENT, FROM_ISSUER: State.SENT}
    assert PaymentOrder.objects.get(pk=TO_BUS).why == "AC04"
    assert take(report("R1", first.content, "PART", {TO_BUS: "RJCT AC04", TO_METRO: "ACSP"})).repeated
    second = ordered()
    assert (second.orders_count, second.sum_fen) == (1, 500)
    bank = Bank()
    take(bank.answer(second.content, DAY))
    assert take(report("R2", first.content, "", {TO_BUS: "RJCT AC04"})).rejected == 0
    assert orders.order(DAY, "kim").new == 0
    take(
        bank.says(DAY, Move("-5.00", TO_BUS, ref="LATE"))
    )  # the bank pays what it rejected, as the second time
    assert BankEntry.objects.get(purpose=Purpose.OPEN).why == "state"
    assert states()[TO_BUS] == State.REJECTED
    assert (Payment.objects.get(payee=BUS).paid_fen, ledger.balance("unallocated:settlement")) == (500, -500)
    assert sound(bank)


def test_what_the_bank_moved_is_stronger_than_what_it_reports(settled: City) -> None:
    file = ordered()
    bank = Bank()
    take(report("R1", file.content, "RJCT"))
    assert set(states().values()) == {State.REJECTED}
    assert PaymentFile.objects.get().state == State.REJECTED
    take(bank.says(DAY, *PAID))
    assert set(states().values()) == {State.EXECUTED}
    assert orders.order(DAY, "kim").new == 0
    assert Alarm.objects.filter(code="PAYMENT_CONTRADICTED").count() == 3
    assert take(report("R2", file.content, "", {TO_BUS: "CANC"})).contradicted == 0  # RJCT was said already
    assert sound(bank)


def test_a_payment_called_settled_is_not_opened_by_a_rejection(settled: City) -> None:
    file = ordered()
    take(report("R1", file.content, "ACSC"))
    assert take(report("R2", file.content, "", {TO_BUS: "RJCT"})).contradicted == 1
    assert set(states().values()) == {State.SENT}
    assert orders.order(DAY, "kim").new == 0


@pytest.mark.parametrize("version", ["03", "10", "12"])
def test_reports_that_cannot_be_right_are_refused_whole(settled: City, version: str) -> None:
    file = ordered()
    good = report("R1", file.content, "ACCP", version=version)
    unknown = f"{DAY:%Y%m%d}-{BUS}-07"
    wrong = {
        "REPORT_UNKNOWN": [good.replace(file.id.encode() + b"</OrgnlMsgId>", b"CITYCARD-1</OrgnlMsgId>")],
        "REPORT_UNFIT": [
            report("R2", file.content, "", {unknown: "RJCT"}, version),
            report("R2", file.content, "ACCP", version=version, totals="<OrgnlNbOfTxs>4</OrgnlNbOfTxs>"),
            report("R2", file.content, "ACCP", version=version, totals="<OrgnlCtrlSum>16.01</OrgnlCtrlSum>"),
            good.replace(b"-1</OrgnlPmtInfId>", b"-9</OrgnlPmtInfId>"),
        ],
        "BANK_MESSAGE_INVALID": [
            good.replace(b"pain.001.001.09</Orgnl", b"pain.008.001.08</Orgnl"),
            good.replace(b"OrgnlGrpInfAndSts", b"OrgnlGrpInf"),
        ],
        "BANK_MESSAGE_VERSION": [good.replace(b"pain.002.001." + version.encode(), b"pain.002.001.02")],
        "BANK_MESSAGE_UNKNOWN": [file.content.encode(), b"<html/>", b"", b"PK", good[:-20]],
    }
    for code, contents in wrong.items():
        for content in contents:
            assert refused(content) == code
    assert (set(states().values()), BankMessage.objects.count()) == ({State.MADE}, 0)
    take(good)
    assert refused(report("R1", file.content, "RJCT", version=version)) == "BANK_MESSAGE_OTHERWISE"
    assert Alarm.objects.filter(code="STATEMENT_OTHERWISE").count() == 1
    assert set(states().values()) == {State.SENT}


def test_notifications_that_cannot_be_right_are_refused_whole(settled: City) -> None:
    bank = Bank()
    good = bank.notifies(DAY, "N1", Move("1.00", "X", ref="A"))
    currency = good.replace(b"</Id></Othr></Id></Acct>", b"</Id></Othr></Id><Ccy>USD</Ccy></Acct>")
    doubled = good.replace(
        b"<Ntfctn>", good[good.index(b"<Ntfctn>") : good.index(b"</BkToCstmr")] + b"<Ntfctn>"
    )
    summed = good.replace(
        b"</Acct><Ntry>", b"</Acct><TxsSummry><TtlNtries><Sum>1.01</Sum></TtlNtries></TxsSummry><Ntry>"
    )
    wrong = [
        ("BANK_FILE_ACCOUNT", Bank(account="6222999").notifies(DAY, "N1", Move("1.00", "X"))),
        ("BANK_MESSAGE_INVALID", good.replace(b'"CNY"', b'"USD"')),
        ("BANK_MESSAGE_INVALID", currency),
        ("BANK_MESSAGE_INVALID", doubled),
        ("BANK_MESSAGE_INVALID", summed),
        ("BANK_MESSAGE_VERSION", good.replace(b"054.001.08", b"054.001.02")),
    ]  # fmt: skip
    for code, content in wrong:
        assert refused(content) == code
    assert not BankEntry.objects.exists()
    take(good)
    assert refused(bank.notifies(DAY, "N1", Move("2.00", "X", ref="A"))) == "BANK_MESSAGE_OTHERWISE"
    assert take(good).repeated


def test_messages_conform_to_the_schemas_of_iso_20022(settled: City) -> None:
    wanted = (schema.NOTICE, "pain.002.001.03", "pain.002.001.12")
    parts.need(all(map(schema.available, wanted)) or None, "the extra `bank`", "install citycard[bank]")
    file = ordered()
    assert take(Bank().notifies(DAY, "N1", *PAID)).validated
    assert take(report("R1", file.content, "", {TO_BUS: "ACSC"}, "03")).validated
    assert take(report("R2", file.content, "ACCP", version="12")).validated
    assert not take(report("R3", file.content, "ACCP", version="10")).validated  # no schema comes along


def test_a_payment_file_is_looked_over_before_it_is_sent(settled: City) -> None:
    file = ordered()
    good = file.content
    assert checking.check(good.encode(), "f.xml").sum_fen == 1600
    assert (
        checking.check(good.replace("\n", "\r\n").encode(), "f.xml").transfers == 3
    )  # another system's line ends
    total = "<CtrlSum>16.00</CtrlSum>"
    moved = good.replace(">5.00</Inst", ">5.01</Inst").replace(">3.00</Inst", ">2.99</Inst")
    wrong = {
        "it is pain.001.001.03": good.replace("pain.001.001.09", "pain.001.001.03"),
        "USD, not yuan": good.replace('Ccy="CNY"', 'Ccy="USD"', 1),
        "held in USD": good.replace("<Ccy>CNY", "<Ccy>USD", 1),
        "which was not ordered": good.replace(OURS, "6222999900001111"),
        "CtrlSum is 16.01": good.replace(total, "<CtrlSum>16.01</CtrlSum>"),
        "NbOfTxs is 4": good.replace("<NbOfTxs>3", "<NbOfTxs>4"),
        "asks for 5.01, ordered is 5.00": moved,
        "stands in it twice": good.replace(TO_METRO, TO_BUS),
        "made no message": good.replace("<MsgId>CITYCARD", "<MsgId>CITY"),
        "not those that were written": good.replace(NUMBERS[BUS], "6222999900001111"),
        "it is no XML": good[:-9],
    }
    for why, content in wrong.items():
        with pytest.raises(Problem) as told:
            checking.check(content.encode(), "f.xml")
        assert (told.value.code, why in told.value.text()) == ("PAYMENT_FILE_WRONG", True), told.value.text()
    take(Bank().answer(good, DAY))
    with pytest.raises(Problem, match="executed already"):
        checking.check(good.encode(), "f.xml")


def test_statements_out_of_their_row_are_refused(settled: City) -> None:
    bank = Bank()
    take(bank.says(DAY, Move("1.00"), numbered=True))
    second, third = (bank.says(DAY, Move(yuan), numbered=True) for yuan in ("-1.00", "1.00"))
    assert refused(third.replace(b"<ElctrncSeqNb>3</ElctrncSeqNb>", b"")) == "BANK_STATEMENT_GAP"
    fourth = bank.says(DAY, Move("2.00"), opening=100, numbered=True)  # its balance fits by chance
    assert refused(fourth) == "BANK_STATEMENT_SEQUENCE"
    twice = second.replace(b"</Stmt>", b"</Stmt>" + second[second.index(b"<Stmt>") : second.index(b"</BkTo")])
    assert refused(twice) == "BANK_FILE_INVALID"
    assert refused(second.replace(b"camt.053.001.08", b"camt.053.001.02")) == "BANK_MESSAGE_VERSION"
    take(second)
    take(third)
    assert held_at_bank() == 100


WORDS = st.lists(st.sampled_from(("PDNG", "ACSP", "RJCT AC04", "ACSC")), max_size=3)
MOVED = st.sampled_from(((), ("pay",), ("pay", "pay"), ("pay", "return"), ("pay", "return", "pay")))


SAMPLES = {
    "camt.053": (Bank().says(DAY, *PAID, numbered=True), camt.read),
    "camt.054": (Bank().notifies(DAY, "N1", *PAID), camt.notifications),
    "pain.001": (MADE, pain.read),
    "pain.002": (
        report("R", MADE.decode(), "PART", {"X": "RJCT AC04"}),
        lambda content: status.read(content, "pain.002.001.12"),
    ),
}


@settings(max_examples=120, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(SAMPLES)))
def test_a_damaged_message_is_read_or_is_wrong_and_nothing_else(data: st.DataObject, kind: str) -> None:
    good, read = SAMPLES[kind]
    read(good)
    at = data.draw(st.integers(0, len(good) - 1))
    end = at + data.draw(st.integers(0, 20))
    put = data.draw(st.one_of(st.binary(max_size=12), st.text(max_size=12).map(str.encode)))
    try:
        read(good[:at] + put + good[end:])
    except ValueError as told:
        assert str(told)


class _Undo(Exception):
    pass


def _moves(name: str, yuan: str, what: tuple[str, ...], refs: bool) -> list[Move]:
    back = yuan.removeprefix("-") if yuan.startswith("-") else f"-{yuan}"
    return [
        Move(back if one == "return" else yuan, name, "back" if one == "return" else "", reversal=one == "return",
             ref=f"{name[9:20]}{number}" if refs else "")
        for number, one in enumerate(what)
    ]  # fmt: skip


def _outcome(files: list[bytes]) -> list[Any]:
    """What stands in the books after these files; a statement out of its row is brought again."""
    found: list[Any] = []
    try:
        with transaction.atomic():
            waiting = files
            while waiting:
                left = []
                for content in waiting:
                    try:
                        take(content)
                    except Problem as problem:
                        assert problem.code in ("BANK_STATEMENT_GAP", "BANK_STATEMENT_SEQUENCE")
                        left.append(content)
                assert len(left) < len(waiting)
                waiting = left
            entries = BankEntry.objects.values_list(
                "credit", "amount_fen", "end_to_end", "purpose", "order", "why"
            )
            found += [
                sorted(PaymentOrder.objects.values_list("pk", "state", "told", "why")),
                sorted(PaymentFile.objects.values_list("pk", "state")),
                sorted(Payment.objects.values_list("payer", "payee", "paid_fen")),
                sorted((one.id, one.balance_fen) for one in LedgerAccount.objects.all()),
                sorted(map(str, entries)),
                BankEntry.objects.filter(statement=None).count(),
                ledger.balance("bank:settlement") == in_transit(),
                orders.order(DAY, "kim").new,
            ]
            raise _Undo
    except _Undo:
        return found


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking a pile of files takes minutes
)
@given(data=st.data())
def test_any_order_and_any_repetition_of_the_banks_files_gives_the_same(
    settled: City, data: st.DataObject
) -> None:
    if not PaymentFile.objects.exists():
        ordered()
        take(Bank().says(DAY, name="FIRST", numbered=True))  # the first one ever may open with anything
    file = PaymentFile.objects.get()
    bank, files = Bank(statements=1), []
    with_refs = data.draw(st.booleans(), "references")
    moves = _moves(FROM_ISSUER, "8.00", data.draw(MOVED), with_refs)
    if data.draw(st.booleans(), "bulk"):
        inside = (Move("-5.00", TO_BUS), Move("-3.00", TO_METRO))
        moves.append(Move("-8.00", ref="BULK"))
        files.append(bank.notifies(DAY, "BULK", Move("-8.00", ref="BULK", parts=inside)))
    else:
        moves += _moves(TO_BUS, "-5.00", data.draw(MOVED), with_refs)
    moves = data.draw(st.permutations(moves))
    cut = data.draw(st.integers(0, len(moves)), "days")
    days = [one for one in (moves[:cut], moves[cut:]) if one]
    files += [bank.says(DAY, *one, numbered=True) for one in days]
    for number in range(data.draw(st.integers(0, 3), "notifications")):
        some = [one for one in moves if data.draw(st.booleans())]
        files.append(bank.notifies(DAY, f"N{number}", *some))
    for name in (FROM_ISSUER, TO_BUS):
        for number, word in enumerate(data.draw(WORDS)):
            files.append(report(f"{name}{number}", file.content, "", {name: word}))
    wanted = _outcome(files)
    assert wanted[5:7] == [0, True] or not files
    shuffled = data.draw(st.permutations([*files, *(one for one in files if data.draw(st.booleans()))]))
    assert _outcome(shuffled) == wanted
