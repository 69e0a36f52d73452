# SPDX-License-Identifier: Apache-2.0
"""Settlement terms: cycles and holidays, least payments, limits that alarm or hold, deposits that cover."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citycard.office import ledger, settlement
from citycard.office.bank import matching, orders, standing, statements
from citycard.office.bank.models import BankEntry, PaymentOrder, State
from citycard.office.intake.models import Alarm
from citycard.office.participants.models import SchemeSetting, SettlementTerms
from citycard.office.settlement import limits
from citycard.office.settlement.models import Payment, PositionRow
from citycard.office.settlement.monthly import month_of
from tests.office_ledger.bank import Bank, Move
from tests.office_ledger.conftest import ANN, BUS, DAY, ISSUER, METRO, City, clearing_says, give, verdict
from tests.office_ledger.test_bank import bank_accounts

CARD_FEN = 90_000


def ride(city: City, days: int, bus_fen: int = 500, metro_fen: int = 300) -> Iterator[date]:
    """Ann rides bus and metro on each of some days; every date is posted and settled."""
    held = CARD_FEN
    give(ANN, CARD_FEN)
    for number in range(days):
        on = DAY + timedelta(days=number)
        counter = 2 * number + 1
        clearing_says(
            city.home,
            [
                verdict(counter, ANN, bus_fen, balance_before_fen=held, settled_on=on),
                verdict(
                    counter + 1,
                    ANN,
                    metro_fen,
                    balance_before_fen=held - bus_fen,
                    acquirer=METRO,
                    settled_on=on,
                ),
            ],
            on,
        )
        held -= bus_fen + metro_fen
        settlement.post_run(on)
        settlement.settle(on)
        yield on


def paid(participant: str) -> list[tuple[date, int]]:
    rows = Payment.objects.filter(payee=participant).order_by("run_id")
    return [(one.run_id, one.amount_fen) for one in rows]


def test_each_participant_is_settled_on_its_own_days(city: City) -> None:
    """Monday 2 March to Monday 9 March 2026; banks rest at weekends, and on Wednesday the 4th."""
    SchemeSetting.objects.create(key="workdays", value={"rest_days": [6, 7], "holidays": ["2026-03-04"]})
    SettlementTerms.objects.create(participant_id=BUS, lag_days=1)
    SettlementTerms.objects.create(participant_id=METRO, period="weekly", weekday=5)
    for _ in ride(city, 8):
        pass
    d = [DAY + timedelta(days=n) for n in range(8)]
    # Monday is due on Tuesday, Tuesday on Thursday, for Wednesday is a holiday; its own date ends on Thursday
    assert paid(BUS) == [(d[1], 500), (d[3], 500), (d[4], 1000), (d[7], 500)]
    assert paid(METRO) == [(d[4], 1500)]
    assert ledger.balance(f"position:{BUS}") == 500 * 8 - 2500
    assert ledger.balance(f"position:{METRO}") == 300 * 3
    carried = PositionRow.objects.filter(payment=None, participant=METRO)
    assert [row.run_id for row in carried.order_by("run_id")] == d[5:]
    assert settlement.reconcile().ledger_balanced


def test_small_sums_are_carried_until_they_are_worth_a_payment(city: City) -> None:
    SettlementTerms.objects.create(participant_id=METRO, minimum_fen=1_000)
    days = list(ride(city, 5))
    assert paid(METRO) == [(days[3], 1200)]
    assert [one.state for one in standing.of_date(settlement_run(days[4])) if one.participant == METRO] == [
        "carried"
    ]
    payment = Payment.objects.get(payee=METRO)
    assert payment.positions.count() == 4
    assert sum(row.net_fen for row in payment.positions.all()) == 1200


def settlement_run(on: date) -> settlement.models.SettlementRun:
    from citycard.office.settlement.models import SettlementRun

    return SettlementRun.objects.get(pk=on)


def test_a_limit_alarms_and_holds_until_an_officer_releases(city: City) -> None:
    bank_accounts()
    SettlementTerms.objects.create(participant_id=BUS, limit_fen=900, hold_over_limit=True)
    SettlementTerms.objects.create(participant_id=METRO, limit_fen=500)
    days = list(ride(city, 2))
    assert sorted(Alarm.objects.filter(code="POSITION_LIMIT").values_list("subject", flat=True)) == [
        BUS,
        METRO,
    ]
    first = orders.order(days[0], "kim")
    assert [one.payment.payee for one in first.held] == [BUS]
    (held,) = first.held
    assert held.pk not in first.files[0].content
    orders.release(held.pk, "kim")
    again = orders.order(days[0], "kim")
    assert len(again.files) == 2
    assert held.pk in again.files[1].content
    bank = Bank()
    for file in again.files:
        statements.take(bank.answer(file.content, DAY), file.id, "kim")
    assert {one.participant: one.open_fen for one in limits.exposures()} == {BUS: 500, METRO: 300}
    assert not orders.order(days[1], "kim").held


def test_a_deposit_covers_a_debt_and_its_lack_is_told_once_a_month(city: City) -> None:
    bank_accounts()
    SettlementTerms.objects.create(participant_id=ISSUER, limit_fen=100, deposit_fen=1_000, period="monthly")
    days = list(ride(city, 2))
    assert Alarm.objects.get(code="DEPOSIT_SHORT").seen == 2
    assert Alarm.objects.filter(code="POSITION_LIMIT").count() == 2
    bank = Bank()
    statements.take(bank.says(days[1], Move("10.00", text="deposit")), "1.xml", "kim")
    assert limits.exposures()[0].over_fen == 1500
    matching.match_guarantee(BankEntry.objects.get().pk, ISSUER, "kim")
    (found,) = limits.exposures()
    assert (found.open_fen, found.uncovered_fen, found.over_fen, found.deposit_short_fen) == (
        -1600,
        600,
        500,
        0,
    )


def test_a_month_adds_up_to_its_days(city: City) -> None:
    bank_accounts()
    days = list(ride(city, 3))
    (file,) = orders.order(days[0], "kim").files
    statements.take(Bank().answer(file.content, days[0]), "1.xml", "kim")
    found = month_of(DAY.replace(day=1))
    assert (found.first, found.last) == (date(2026, 3, 1), date(2026, 3, 31))
    assert found.days[BUS] == [(days[0], 500, 0, 500), (days[1], 500, 0, 0), (days[2], 500, 0, 0)]
    assert found.days[ISSUER][0] == (days[0], 0, 800, -800)
    assert sum(row["amount_fen"] for row in found.revenue) == 0
    assert month_of(date(2026, 2, 1)).days == {}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    terms=st.lists(
        st.tuples(st.sampled_from(["daily", "weekly", "monthly"]), st.integers(0, 3), st.integers(0, 3_000)),
        min_size=3, max_size=3,
    ),
    rest=st.sets(st.integers(1, 7), max_size=6),
)  # fmt: skip
def test_whatever_the_terms_no_fen_is_lost_or_paid_twice(
    city: City, terms: list[tuple[str, int, int]], rest: set[int]
) -> None:
    from django.db import transaction

    with transaction.atomic():
        SchemeSetting.objects.create(key="workdays", value={"rest_days": sorted(rest)})
        for name, (period, lag, least) in zip((ISSUER, BUS, METRO), terms, strict=True):
            SettlementTerms.objects.create(
                participant_id=name, period=period, lag_days=lag, minimum_fen=least
            )
        for on in ride(city, 6):
            settlement.settle(on)
        for name in (ISSUER, BUS, METRO):
            rows = PositionRow.objects.filter(participant=name)
            waiting = sum(row.net_fen for row in rows.filter(payment=None))
            assert ledger.balance(f"position:{name}") == waiting
            for payment in Payment.objects.filter(payer=name) | Payment.objects.filter(payee=name):
                taken = sum(row.net_fen for row in payment.positions.all())
                assert abs(taken) == payment.amount_fen >= SettlementTerms.objects.get(pk=name).minimum_fen
                assert (taken < 0) == payment.collects
        on_the_way = sum(-p.amount_fen if p.collects else p.amount_fen for p in Payment.objects.all())
        assert ledger.balance("bank:settlement") == on_the_way
        assert ledger.trial_balance().balanced
        assert not PaymentOrder.objects.exclude(state=State.MADE).exists()
        transaction.set_rollback(True)
