# SPDX-License-Identifier: Apache-2.0
"""A date on which the hub's positions and our books differ: seen with its taps, paid by two people, never twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from citycard.core.problem import Problem
from citycard.office import ledger
from citycard.office.audit.models import AuditEntry
from citycard.office.ledger.models import LedgerTransfer
from citycard.office.partners import held
from citycard.office.partners.reconcile import reconcile
from citycard.office.staff.roles import Actor, Role
from tests.interop.conftest import (
    BUS,
    DAY,
    EAST,
    HUB,
    ISSUERS,
    PARTICIPANTS,
    WEST,
    Place,
    cleared,
    detail,
    record,
)
from tests.interop.test_partners_office import OWN_PAN, came

KIM = Actor("kim", frozenset({Role.CLEARING_OFFICER}))
LEE = Actor("lee", frozenset({Role.ADMINISTRATOR}))
CLERK = Actor("lin", frozenset({Role.CLERK}))
HUB_AT, OWN_AT = f"position:{PARTICIPANTS[HUB]}", f"position:{ISSUERS[WEST]}"


BP = {
    "settled_on": DAY, "member_org": WEST, "counterparty_org": HUB, "net_fen": -179, "taps": 1,
    "amount_fen": 180, "fee_fen": 2, "issuer_share_fen": 1, "acquirer_share_fen": 0,
}  # fmt: skip


@pytest.fixture
def west_differs(west: Place) -> Place:
    """Two taps of our cards cleared: by our books we owe 277 fen; the hub says 179, for it has one of them."""
    rows = []
    for serial, fen in ((71, 180), (72, 99)):
        row = cleared(
            detail(record(OWN_PAN, fen, issuer=ISSUERS[WEST], sequence=serial), serial, EAST, WEST), serial
        )
        rows.append(row)
    assert came(west[HUB].file("CL", rows)) == "taken"
    assert came(west[HUB].file("BP", [BP | {"counterparty_org": EAST}, BP])) == "taken"
    return west


def code(act: Any, *words: Any, **more: Any) -> str:
    before = LedgerTransfer.objects.count()
    with pytest.raises(Problem) as told:
        act(*words, **more)
    assert told.value.text("zh") != told.value.text("en")
    assert LedgerTransfer.objects.count() == before
    return told.value.code


def balances() -> tuple[int, int, int]:
    assert ledger.trial_balance().balanced
    return ledger.balance(HUB_AT), ledger.balance(OWN_AT), ledger.balance("bank:settlement")


def test_the_difference_is_told_with_its_taps(west_differs: Place) -> None:
    found = held.difference(DAY)
    assert (found.hold.told_fen, found.hold.ours_fen, found.hold.agreed_fen) == (-179, -277, -179)
    assert found.difference_fen == 98
    (line,) = found.lines
    assert (line.org, line.told, line.ours) == (EAST, (1, 180, -179), (2, 279, -277))
    assert [tap.serial for tap in found.taps] == [71, 72]
    assert code(held.difference, DAY.replace(day=9)) == "HOLD_UNKNOWN"


def test_what_both_agree_on_is_paid_and_the_rest_carried(west_differs: Place) -> None:
    done = held.pay_agreed(DAY, KIM, LEE, "tap 72 is disputed")
    assert (done.state, done.paid_fen, done.disputed_fen) == ("partly", -179, -98)
    assert balances() == (98, -98, 0)  # the rest stays where it was, with nothing on its way
    assert code(held.pay_agreed, DAY, KIM, LEE, "again") == "HOLD_STATE"
    assert came(west_differs[HUB].file("BP", [BP])) == "taken"
    assert balances() == (98, -98, 0)
    assert code(held.pay_ours, DAY, KIM, LEE, "they gave way") == "HOLD_UNADJUSTED"
    assert reconcile().differing == [str(DAY)]
    assert held.pay_ours(DAY, LEE, KIM, "letter of 9 March", accepted=True).state == "paid"
    assert (reconcile().differing, reconcile().decided, reconcile().agrees) == ([], [str(DAY)], True)
    assert balances() == (0, 0, 0)
    assert code(held.pay_ours, DAY, KIM, LEE, "again", accepted=True) == "HOLD_STATE"
    assert list(
        AuditEntry.objects.filter(verb__startswith="pay_").order_by("number").values_list("verb", "actor")
    ) == [
        ("pay_agreed", "kim"),
        ("pay_ours", "lee"),
    ]


def test_ours_is_paid_when_an_adjustment_makes_up_the_difference(west_differs: Place) -> None:
    """The tap the hub does not have is given back by AD on a later date: then this date is paid as booked."""
    from datetime import timedelta

    from citycard.office.partners import books, taps
    from citycard.office.partners.models import ExchangedTap

    later = DAY + timedelta(days=1)
    tap = ExchangedTap.objects.get(serial=72)
    assert code(held.pay_ours, DAY, KIM, LEE, "not yet") == "HOLD_UNADJUSTED"
    books.post_adjustment(1, tap, taps.parts(tap), later)
    assert held.difference(DAY).explained_fen == 98
    assert held.pay_ours(DAY, KIM, LEE, "adjustment 1").paid_fen == -277
    assert balances() == (-98, 98, 0)  # the adjustment is of its own date
    books.pay(later)
    assert balances() == (0, 0, 0)


def test_a_date_that_was_held_is_never_paid_by_itself(west_differs: Place) -> None:
    """The hub tells its position again when our books have come to it: people have paid that already."""
    from citycard.office.partners import books, taps
    from citycard.office.partners.models import ExchangedTap

    held.pay_agreed(DAY, KIM, LEE, "179 is certain")
    tap = ExchangedTap.objects.get(serial=72)
    books.post_adjustment(1, tap, taps.parts(tap), DAY)  # now ours is 179 as well
    assert balances() == (0, 0, 0)
    assert came(west_differs[HUB].file("BP", [BP])) == "taken"
    assert balances() == (0, 0, 0)
    assert held.pay_ours(DAY, KIM, LEE, "nothing is left").state == "paid"
    assert balances() == (0, 0, 0)


def test_nothing_is_paid_without_two_fit_people_and_a_reason(west_differs: Place) -> None:
    for first, second in ((KIM, KIM), (KIM, CLERK), (CLERK, LEE)):
        assert code(held.pay_agreed, DAY, first, second, "x") == "HOLD_PEOPLE"
    assert code(held.pay_agreed, DAY, KIM, LEE, " ") == "HOLD_WORDS"
    held.ExchangeHold.objects.update(told_fen=179)
    assert code(held.pay_agreed, DAY, KIM, LEE, "opposite signs") == "HOLD_STATE"


def test_the_part_not_paid_is_shared_by_those_on_its_side(west: Place) -> None:
    """Ours are owed 300 and owe 100; the hub admits 120 of 200: the creditor waits for 80, the debtor pays."""
    from citycard.core.ledger import Transfer

    other = f"position:{BUS}"
    ledger.open_accounts([HUB_AT, OWN_AT, other])
    ledger.post_or_fail([
        Transfer("a", HUB_AT, other, 300, "exchange", business_date=DAY),
        Transfer("b", OWN_AT, HUB_AT, 100, "exchange", business_date=DAY),
    ])  # fmt: skip
    held.hold(DAY, 120, 200)
    held.pay_agreed(DAY, KIM, LEE, "120 is certain")
    assert (ledger.balance(HUB_AT), ledger.balance(other), ledger.balance(OWN_AT)) == (-80, 80, 0)
    held.pay_ours(DAY, KIM, LEE, "they gave way", accepted=True)
    assert [ledger.balance(one) for one in (HUB_AT, other, OWN_AT, "bank:settlement")] == [0, 0, 0, 0]


def test_two_people_sign_in_at_the_command_line(west_differs: Place, home: Any, monkeypatch: Any) -> None:
    from citycard.cli import app
    from citycard.office import setup
    from citycard.office.staff import people

    monkeypatch.setattr(setup, "setup", lambda home: home)
    for name in ("kim", "lee"):
        people.create(name, f"a password of {name}", Role.CLEARING_OFFICER)

    def call(*words: str, text: str = "") -> Any:
        return CliRunner().invoke(app, ["partners", *words, "--home", str(home), "--json"], input=text)

    (row,) = json.loads(call("held").stdout)
    assert (row["date"], row["agreed_fen"], row["state"]) == (str(DAY), -179, "held")
    told = json.loads(call("difference", "--date", str(DAY)).stdout)
    assert [tap["serial"] for tap in told["taps"]] == [71, 72]
    pay = ("pay-held", "--date", str(DAY), "--how", "agreed", "--words", "72 is disputed", "--by", "kim",
           "--second", "lee", "--stdin")  # fmt: skip
    wrong = call(*pay, text="a password of kim\nanother\n")
    assert isinstance(wrong.exception, Problem)
    assert (wrong.exception.code, balances()) == ("NOT_SIGNED_IN", (277, -277, 0))
    done = call(*pay, text="a password of kim\na password of lee\n")
    assert done.exit_code == 0, (done.output, done.exception)
    assert json.loads(done.stdout)["paid_fen"] == -179
