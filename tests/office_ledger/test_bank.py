# SPDX-License-Identifier: Apache-2.0
"""From positions to the bank and back: orders, files, statements, matching, and books that equal the bank's."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from citycard.core.problem import Problem
from citycard.office import ledger, settlement
from citycard.office.audit.models import AuditEntry
from citycard.office.bank import matching, orders, schema, statements
from citycard.office.bank.models import BankAccount, BankEntry, PaymentFile, PaymentOrder, Purpose, State
from citycard.office.intake.models import Alarm
from citycard.office.ledger.models import LedgerTransfer
from citycard.office.participants.models import Participant
from citycard.office.settlement.models import Payment
from tests.office_ledger.bank import OURS, Bank, Move
from tests.office_ledger.conftest import ANN, BUS, DAY, ISSUER, METRO, City, clearing_says, give, verdict
from tests.support import parts

SCHEME = "1900990000000001"
NUMBERS = {
    SCHEME: OURS,
    ISSUER: "6222000000000000011",
    BUS: "6222000000000000022",
    METRO: "6222000000000000033",
}
TO_BUS, TO_METRO = f"{DAY:%Y%m%d}-{BUS}-01", f"{DAY:%Y%m%d}-{METRO}-01"
FROM_ISSUER = f"{DAY:%Y%m%d}-{ISSUER}-01"


def bank_accounts() -> None:
    """Everybody has an account, the scheme the settlement account; the issuer has given a mandate."""
    Participant.objects.filter(pk=ISSUER).update(roles=["issuer"])
    Participant.objects.create(id=SCHEME, name_en="Scheme", name_zh="清分中心", roles=["scheme"])
    for name, number in NUMBERS.items():
        BankAccount.objects.create(
            participant_id=name,
            holder=f"账户 {name}",
            number=number,
            bank="102100099996",
            mandate=name == ISSUER,
        )


@pytest.fixture
def settled(city: City) -> City:
    """The issuer owes 8 yuan, the bus is owed 5, the metro 3; all have accounts, the issuer a mandate."""
    bank_accounts()
    give(ANN, 5000)
    clearing_says(
        city.home,
        [
            verdict(1, ANN, 500, balance_before_fen=5000),
            verdict(2, ANN, 300, balance_before_fen=4500, acquirer=METRO),
        ],
    )
    settlement.post_run(DAY)
    settlement.settle(DAY)
    return city


def states() -> dict[str, str]:
    return dict(PaymentOrder.objects.order_by("pk").values_list("end_to_end", "state"))


def held_at_bank() -> int:
    return -ledger.balance("cash:settlement")


def in_transit() -> int:
    """What is ordered and not moved, as the payments say it."""
    return sum(-p.open_fen if p.collects else p.open_fen for p in Payment.objects.all())


def sound(bank: Bank) -> bool:
    """The books balance, hold what the bank says, and have on their way what payments say."""
    return (
        ledger.trial_balance().balanced
        and held_at_bank() == bank.held_fen
        and ledger.balance("bank:settlement") == in_transit()
    )


def test_the_whole_way_to_the_bank_and_back(settled: City) -> None:
    made = orders.order(DAY, "kim")
    assert states() == {TO_BUS: State.MADE, TO_METRO: State.MADE, FROM_ISSUER: State.MADE}
    (file,) = made.files
    assert (file.orders_count, file.sum_fen, file.state) == (3, 1600, State.MADE)
    orders.move_file(file.id, orders.SEND, "kim")
    assert set(states().values()) == {State.SENT}

    bank = Bank()
    done = statements.take(bank.answer(file.content, DAY), "answer.xml", "kim")
    assert (done.entries, done.matched, done.closing_fen, done.repeated) == (3, 3, 0, False)
    assert set(states().values()) == {State.EXECUTED}
    assert PaymentFile.objects.get().state == State.EXECUTED
    assert all(payment.open_fen == 0 for payment in Payment.objects.all())
    assert sound(bank)
    assert settlement.reconcile().sound


def test_what_the_scheme_earns_stays_on_the_settlement_account(settled: City) -> None:
    Participant.objects.filter(pk=SCHEME).update(roles=[])
    Participant.objects.filter(pk=METRO).update(roles=["scheme", "acquirer"])
    BankAccount.objects.filter(pk=SCHEME).delete()
    BankAccount.objects.filter(pk=METRO).update(number=OURS)
    (file,) = orders.order(DAY, "kim").files
    assert (file.orders_count, states()[TO_METRO]) == (2, State.EXECUTED)
    assert TO_METRO not in file.content
    bank = Bank()
    statements.take(bank.answer(file.content, DAY), "answer.xml", "kim")
    assert (bank.held_fen, ledger.balance("own:settlement")) == (300, 300)
    assert sound(bank)


def test_files_conform_to_the_schemas_of_iso_20022(settled: City) -> None:
    there = schema.available(schema.PAIN) and schema.available(schema.CAMT)
    parts.need(there or None, "the extra `bank`", "install citycard[bank]")
    (file,) = orders.order(DAY, "kim").files
    assert file.validated
    assert schema.fault(schema.PAIN, file.content.encode()) is None
    assert "CtrlSum" in (schema.fault(schema.PAIN, file.content.replace("16.00", "16,00").encode()) or "")
    done = statements.take(Bank().answer(file.content, DAY), "answer.xml", "kim")
    assert done.validated
    payers = [
        block.findtext("{*}DbtrAcct/{*}Id/{*}Othr/{*}Id")
        for block in ET.fromstring(file.content.encode()).iterfind(".//{*}PmtInf")
    ]
    assert payers == [OURS, NUMBERS[ISSUER]]


def test_again_changes_nothing(settled: City) -> None:
    bank = Bank()
    (file,) = orders.order(DAY, "kim").files
    answer = bank.answer(file.content, DAY)
    statements.take(answer, "answer.xml", "kim")

    def everything() -> list[Any]:
        kept = (PaymentOrder, PaymentFile, BankEntry, LedgerTransfer, Payment, Alarm)
        return [list(model.objects.order_by("pk").values()) for model in kept]

    before = everything()
    assert orders.order(DAY, "kim").new == 0
    assert statements.take(answer, "again.xml", "kim").repeated
    assert everything() == before


def test_without_a_mandate_the_payment_is_waited_for_and_found_by_its_text_or_its_account(
    settled: City,
) -> None:
    BankAccount.objects.update(mandate=False)
    made = orders.order(DAY, "kim")
    assert [one.end_to_end for one in made.awaited] == [FROM_ISSUER]
    assert FROM_ISSUER not in made.files[0].content
    bank = Bank()
    statements.take(bank.says(DAY, Move("-3.00", account=NUMBERS[METRO])), "1.xml", "kim")
    statements.take(bank.says(DAY, Move("8.00", text=f"Payment {FROM_ISSUER}, thank you")), "2.xml", "kim")
    assert states() == {TO_BUS: State.MADE, TO_METRO: State.EXECUTED, FROM_ISSUER: State.EXECUTED}
    assert sound(bank)


ODD = [
    (Move("8.00", "SOMETHING-ELSE"), matching.UNKNOWN),
    (Move("8.00"), matching.UNKNOWN),
    (Move("7.99", FROM_ISSUER), matching.TOO_LITTLE),
    (Move("8.01", FROM_ISSUER), matching.TOO_MUCH),
    (Move("-8.00", FROM_ISSUER), matching.DIRECTION),
    (Move("5.00", TO_BUS), matching.DIRECTION),
    (Move("8.00", FROM_ISSUER, text=f"also {TO_BUS}"), matching.AMBIGUOUS),
    (Move("7.00", account=NUMBERS[ISSUER]), matching.UNKNOWN),
]


@pytest.mark.parametrize(("move", "why"), ODD, ids=[f"{why}-{m.yuan}" for m, why in ODD])
def test_what_does_not_fit_exactly_is_left_to_a_person(settled: City, move: Move, why: str) -> None:
    orders.order(DAY, "kim")
    bank = Bank()
    done = statements.take(bank.says(DAY, move), "odd.xml", "kim")
    entry = BankEntry.objects.get()
    assert (done.unmatched, entry.purpose, entry.why) == (1, Purpose.OPEN, why)
    assert set(states().values()) == {State.MADE}
    assert ledger.balance("unallocated:settlement") == entry.signed_fen
    assert sound(bank)


def test_the_bank_pays_twice_and_the_second_stays_open(settled: City) -> None:
    orders.order(DAY, "kim")
    bank = Bank()
    statements.take(bank.says(DAY, Move("-5.00", TO_BUS), Move("-5.00", TO_BUS)), "twice.xml", "kim")
    assert [e.why for e in BankEntry.objects.order_by("number")] == ["", matching.DUPLICATE]
    assert ledger.balance("unallocated:settlement") == -500
    statements.take(bank.says(DAY, Move("5.00", text="paid twice, sorry")), "back.xml", "kim")
    assert ledger.balance("unallocated:settlement") == 0
    assert sound(bank)


def test_a_part_is_matched_by_hand_and_the_rest_by_itself(settled: City) -> None:
    orders.order(DAY, "kim")
    bank = Bank()
    statements.take(bank.says(DAY, Move("6.00", FROM_ISSUER)), "part.xml", "kim")
    entry = BankEntry.objects.get()
    assert [one.end_to_end for one in matching.fitting(entry)] == [FROM_ISSUER]
    with pytest.raises(Problem, match="direction"):
        matching.match_order(entry.pk, TO_BUS, "kim")
    matching.match_order(entry.pk, FROM_ISSUER, "kim")
    assert (states()[FROM_ISSUER], Payment.objects.get(payer=ISSUER).open_fen) == (State.MADE, 200)
    with pytest.raises(Problem):
        matching.match_order(entry.pk, FROM_ISSUER, "kim")
    with pytest.raises(Problem):
        orders.reject_order(FROM_ISSUER, "kim", "no money")  # part of it is there
    statements.take(bank.says(DAY, Move("2.00", FROM_ISSUER)), "rest.xml", "kim")
    assert states()[FROM_ISSUER] == State.EXECUTED
    assert AuditEntry.objects.filter(verb="match_bank_entry", actor="kim").count() == 1
    assert sound(bank)


def test_a_returned_payment_is_ordered_again(settled: City) -> None:
    (file,) = orders.order(DAY, "kim").files
    bank = Bank()
    statements.take(bank.answer(file.content, DAY), "1.xml", "kim")
    statements.take(bank.says(DAY, Move("5.00", TO_BUS, "account closed", reversal=True)), "2.xml", "kim")
    assert (states()[TO_BUS], Payment.objects.get(payee=BUS).open_fen) == (State.REJECTED, 500)
    assert Alarm.objects.get(code="PAYMENT_RETURNED").subject == BUS
    assert sound(bank)
    again = orders.order(DAY, "kim")
    assert (again.new, len(again.files)) == (1, 2)
    statements.take(bank.answer(again.files[1].content, DAY), "3.xml", "kim")
    assert states()[TO_BUS[:-2] + "02"] == State.EXECUTED
    assert sound(bank)
    assert bank.held_fen == 0


def test_a_file_the_bank_refused_is_made_anew(settled: City) -> None:
    (file,) = orders.order(DAY, "kim").files
    orders.move_file(file.id, orders.SEND, "kim")
    orders.move_file(file.id, orders.REJECT, "kim", "signature")
    with pytest.raises(Problem):
        orders.move_file(file.id, orders.SEND, "kim")
    again = orders.order(DAY, "kim")
    assert [one.state for one in again.files] == [State.REJECTED, State.MADE]
    assert again.files[1].sum_fen == file.sum_fen


def test_deposits_and_own_money_are_matched_by_hand(settled: City) -> None:
    bank = Bank(held_fen=100_000)
    statements.take(
        bank.says(DAY, Move("250.00", text="deposit"), Move("-0.50", text="charges")), "1.xml", "kim"
    )
    deposit, charges = BankEntry.objects.order_by("number")
    matching.match_guarantee(deposit.pk, BUS, "kim")
    matching.match_own(charges.pk, "kim")
    assert ledger.balance(f"guarantee:{BUS}") == 25_000
    assert ledger.balance("own:settlement") == 99_950
    assert ledger.balance("unallocated:settlement") == 0
    statements.take(bank.says(DAY, Move("-300.00", text="deposit back")), "2.xml", "kim")
    with pytest.raises(Problem):  # more than was paid in
        matching.match_guarantee(BankEntry.objects.get(purpose=Purpose.OPEN).pk, BUS, "kim")
    assert sound(bank)


def test_statements_that_cannot_be_right_are_refused_whole(settled: City) -> None:
    bank = Bank()
    first = bank.says(DAY, Move("1.00"), name="ONE")
    statements.take(first, "1.xml", "kim")
    before = LedgerTransfer.objects.count()
    good = {"held_fen": 100, "statements": 1}
    wrong = {
        "BANK_STATEMENT_OTHERWISE": Bank().says(DAY, Move("2.00"), name="ONE"),
        "BANK_STATEMENT_GAP": Bank(**good).says(DAY, Move("2.00"), opening=900),
        "BANK_STATEMENT_SUMS": Bank(**good).says(DAY, Move("2.00"), off=1),
        "BANK_FILE_ACCOUNT": Bank(**good, account="6222999").says(DAY, Move("2.00")),
        "BANK_FILE_INVALID": first[:-30],
    }
    wrong_files = [
        *wrong.items(),
        ("BANK_FILE_INVALID", first.replace(b'"CNY"', b'"USD"')),
        ("BANK_FILE_INVALID", first.replace(b"1.00", b"1.005")),
        ("BANK_FILE_INVALID", first.replace(b"CLBD", b"ITBD")),
        ("BANK_FILE_INVALID", first.replace(b"<Document", b'<!DOCTYPE a [<!ENTITY b "c">]><Document', 1)),
        ("BANK_FILE_INVALID", b""),
    ]  # fmt: skip
    for code, content in wrong_files:
        with pytest.raises(Problem) as told:
            statements.take(content, "wrong.xml", "kim")
        assert told.value.code == code
        assert told.value.text("zh") != told.value.text("en")
    assert LedgerTransfer.objects.count() == before
    assert Alarm.objects.filter(code="STATEMENT_OTHERWISE").count() == 1


def test_no_file_without_accounts_or_before_settlement(city: City) -> None:
    with pytest.raises(Problem, match="settled"):
        orders.order(DAY, "kim")


def test_a_missing_account_is_named_and_nothing_is_made(settled: City) -> None:
    BankAccount.objects.filter(pk=BUS).delete()
    with pytest.raises(Problem, match=BUS):
        orders.order(DAY, "kim")
    assert not PaymentOrder.objects.exists()
