# SPDX-License-Identifier: Apache-2.0
"""A month is closed: fees made up to the tier its volume reached, once, and again for taps that came late."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from citycard.core import fees, tables
from citycard.core.money import share_of, split_fen
from citycard.core.problem import Problem
from citycard.office import audit, ledger, settlement
from citycard.office.participants.models import Contract, Participant
from citycard.office.settlement.closing import close_month, explain
from citycard.office.settlement.models import (
    FeeAdjustment,
    MonthClosing,
    PositionRow,
    RevenueRow,
    SettlementRun,
)
from citycard.office.settlement.monthly import month_of
from tests.office_ledger.conftest import ANN, BUS, ISSUER, METRO, City, clearing_says, give, verdict

MARCH = date(2026, 3, 1)
LAST, APRIL = date(2026, 3, 31), date(2026, 4, 1)
SCHEME = "1900990000000001"
TIERS = "10000..50000:80:0 50000..:50:0"


@pytest.fixture
def contract(city: City) -> Contract:
    """Buses pay 1 %: half to the issuer, a fifth back to them, the rest to the scheme; less from 100 yuan."""
    Participant.objects.create(id=SCHEME, name_en="Scheme", name_zh="中心", roles=["scheme"])
    give(ANN, 10_000_000)
    made = Contract(
        contract="bus", service=1, valid_from=date(2026, 1, 1), charge_bp=100, acquirer_bp=20, issuer_bp=50,
        concession_payer="acquirer", transfer_payer="acquirer", volume_tiers=TIERS,
    )  # fmt: skip
    made.full_clean()
    made.save()
    return made


class Buses:
    """Days of bus rides as clearing answers of them, their fees charged by the contract's own rate."""

    def __init__(self, city: City) -> None:
        self.city = city
        self.counter = 0
        self.fees: Counter[date] = Counter()

    def day(
        self, on: date, rides: list[int], business_date: date | None = None, *, told: bool = True
    ) -> None:
        """A date cleared, posted and settled; `business_date` where the rides were older."""
        of = business_date or on
        rows = []
        for fen in rides:
            self.counter += 1
            rows.append(verdict(self.counter, ANN, fen, business_date=of, settled_on=on))
        turnover = sum(rides)
        parts = [split_fen(share_of(fen, 100), [50, 20, 30]) for fen in rides]
        issuer, acquirer, scheme = (sum(column) for column in zip(*parts, strict=True))
        shares = [
            (ISSUER, BUS, "fare", -turnover),
            (BUS, ISSUER, "fare", turnover - issuer - acquirer - scheme),
            (ISSUER, BUS, "issuer_fee", issuer),
            (BUS, ISSUER, "acquirer_fee", acquirer),
            (SCHEME, BUS, "scheme_fee", scheme),
        ]
        revenue = [
            {"participant": who, "service": 1, "counterparty": other, "cause": cause, "taps": len(rides),
             "amount_fen": fen}
            for who, other, cause, fen in shares if fen
        ]  # fmt: skip
        nets: Counter[str] = Counter()
        for row in revenue:
            nets[str(row["participant"])] += int(str(row["amount_fen"]))
        positions = [
            {"participant": who, "receivable_fen": max(fen, 0), "payable_fen": max(-fen, 0), "net_fen": fen}
            for who, fen in nets.items()
        ]
        clearing_says(self.city.home, rows, on, revenue=revenue, positions=positions)
        if told:
            volume = {
                "contract": "bus", "service": 1, "acquirer": BUS, "issuer": ISSUER, "scheme": SCHEME,
                "business_date": of, "taps": len(rides), "amount_fen": turnover, "issuer_fen": issuer,
                "acquirer_fen": acquirer, "scheme_fen": scheme,
            }  # fmt: skip
            path = self.city.home / "exchange" / on.isoformat() / "out" / "volumes.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                tables.VOLUMES.write([volume], file)
        settlement.post_run(on)
        settlement.settle(on)
        self.fees[of] += issuer + acquirer + scheme


def refusal(act: Any) -> str:
    with pytest.raises(Problem) as told:
        act()
    assert told.value.text("zh") != told.value.text("en")
    return told.value.code


def test_a_month_is_made_up_once_and_late_taps_by_a_further_closing(city: City, contract: Contract) -> None:
    buses = Buses(city)
    buses.day(date(2026, 3, 2), [199] * 30)
    buses.day(date(2026, 3, 20), [251] * 30)
    assert refusal(lambda: close_month(MARCH, "kim")) == "MONTH_NOT_OVER"
    assert refusal(lambda: explain(MARCH)) == "MONTH_NOT_OVER"
    buses.day(LAST, [500] * 2)

    before = {name: ledger.balance(f"position:{name}") for name in (BUS, ISSUER, SCHEME)}
    told = explain(MARCH)
    assert not MonthClosing.objects.exists()
    assert told.closing is None
    (line,) = told.lines
    turnover = 30 * 199 + 30 * 251 + 1000
    due = share_of(turnover, 80)
    assert (line.month.taps, line.month.turnover_fen, str(line.made.tier)) == (
        62,
        turnover,
        "10000..50000:80:0",
    )
    assert line.made.due.total_fen == due
    assert line.rebate_fen == sum(buses.fees.values()) - due > 0

    done = close_month(MARCH, "kim")
    assert (str(done.closing), done.repeated, done.revenue) == ("2026-03/1", False, told.revenue)
    after = {name: ledger.balance(f"position:{name}") - before[name] for name in before}
    assert sum(after.values()) == 0
    assert after == {row.participant_id: row.net_fen for row in PositionRow.objects.exclude(closing=None)}
    assert after[BUS] > 0 > after[ISSUER]
    assert ledger.balance("clearing:2026-03-fees-1") == 0
    assert close_month(MARCH, "kim").repeated
    assert MonthClosing.objects.count() == 1

    contract.volume_tiers = "0..:10:0"  # changes nothing in a month that was closed
    contract.save()
    assert close_month(MARCH, "kim").repeated
    buses.day(APRIL, [400] * 100, business_date=LAST)  # the next tier
    again = close_month(MARCH, "kim")
    assert str(again.closing) == "2026-03/2"
    assert sum(buses.fees.values()) + sum(
        FeeAdjustment.objects.values_list("difference_fen", flat=True)
    ) == share_of(turnover + 40_000, 50)
    assert close_month(MARCH, "kim").repeated
    assert settlement.reconcile().ledger_balanced
    assert not settlement.reconcile().clearing_open
    assert audit.verify().ok

    # paid with the next settlement, each fen once
    buses.day(date(2026, 4, 2), [100])
    assert not PositionRow.objects.filter(payment=None).exclude(net_fen=0).exists()
    assert [ledger.balance(f"position:{name}") for name in (BUS, ISSUER, SCHEME)] == [0, 0, 0]


def test_the_report_of_the_month_holds_its_adjustments_and_those_of_no_other(
    city: City, contract: Contract
) -> None:
    from citycard.cli.bank import write_month

    buses = Buses(city)
    for on in (date(2026, 3, 2), LAST, date(2026, 4, 1)):
        buses.day(on, [300] * 40)
    close_month(MARCH, "kim")  # booked on the first of April
    march, april = month_of(MARCH), month_of(APRIL)
    assert [len(one.adjusted(BUS)) for one in (march, april)] == [1, 0]
    assert not march.adjusted(METRO)
    for found in (march, april):
        for name in (BUS, ISSUER, SCHEME):
            earned = sum(row["amount_fen"] for row in found.revenue if row["participant"] == name)
            assert earned == sum(r - p for _, r, p, _ in found.days[name])
        assert sum(row["amount_fen"] for row in found.revenue) == 0
    (rebate,) = [row for row in march.revenue if row["participant"] == BUS and row["cause"] == "volume_fee"]
    assert rebate["taps"] == 80
    for name in (BUS, ISSUER, SCHEME):
        told_fen = sum(one.moved[name] for one in march.adjusted(name))
        assert told_fen == sum(
            row["amount_fen"]
            for row in march.revenue
            if row["participant"] == name and row["cause"] == "volume_fee"
        )
    assert sum(march.adjustments[0].moved.values()) == 0
    write_month(march, city.home / "reports", lambda done, total: None)
    told = (city.home / "reports" / f"{BUS}.csv").read_text("utf-8-sig")
    assert "Volume tier adjustment 阶梯费率调整" in told
    assert "bus,Bus 公交," in told
    assert "from 100.00 below 500.00 yuan 元: 0.80 %" in told
    assert "240.00,2.40,1.92,0.00,-0.48," in told
    assert (city.home / "reports" / f"{BUS}.pdf").read_bytes().startswith(b"%PDF")


def test_a_month_is_explained_and_closed_by_command(
    city: City, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    from citycard.cli import app, operate

    monkeypatch.setattr(operate, "ready", lambda home: None)  # the office of this test is

    def told(*words: str) -> str:
        done = CliRunner().invoke(app, ["month", *words, "--home", str(city.home)])
        if isinstance(done.exception, Problem):
            return done.exception.code
        assert done.exit_code == 0, done.output
        return done.stdout

    assert told("close", "2026-13") == "MONTH_INVALID"
    assert told("close", "2026-03", "--dry-run") == "MONTH_NOT_OVER"
    Buses(city).day(LAST, [300] * 40)
    plain = json.loads(told("close", "2026-03", "--dry-run", "--json"))
    (pair,) = plain["pairs"]
    assert (pair["tier"], pair["turnover_fen"], pair["charged_fen"], pair["due_fen"]) == (
        "10000..50000:80:0", 12_000, 120, 96,
    )  # fmt: skip
    assert (plain["posted"], sum(row["amount_fen"] for row in plain["revenue"])) == (False, 0)
    assert told("show", "2026-03", "--participant", "nobody") == "MONTH_PARTICIPANT_UNKNOWN"
    assert "0 pairs" in told("show", "2026-03", "--participant", METRO)
    assert "from 100.00 below 500.00 yuan 元: 0.80 %" in told("show", "2026-03", "--participant", BUS)
    assert "posted as 2026-03/1" in told("close", "2026-03")
    assert json.loads(told("close", "2026-03", "--json"))["repeated"] is True


def test_tiers_of_a_scheme_file_reach_the_contract(city: City) -> None:
    from citycard.blueprints import load_scheme
    from citycard.office.participants.scheme import install_scheme

    install_scheme(load_scheme("city"))
    made = Contract.objects.get(pk="retail")
    assert made.volume_tiers == "10000000..50000000:100:0 50000000..:80:0"
    assert Contract.objects.get(pk="bus").volume_tiers is None
    made.full_clean()


def test_a_month_that_cannot_be_told_is_refused(city: City, contract: Contract) -> None:
    buses = Buses(city)
    buses.day(date(2026, 3, 2), [200] * 3, told=False)
    buses.day(LAST, [200] * 3)
    assert refusal(lambda: close_month(MARCH, "kim")) == "VOLUMES_UNTOLD"
    contract.valid_from = date(2026, 3, 3)
    contract.save()
    Contract.objects.filter(pk="bus").update(volume_tiers="0..100:1:0 120..:1:0")
    assert refusal(lambda: close_month(MARCH, "kim")) == "VOLUME_TIERS_GAP"
    Contract.objects.filter(pk="bus").delete()
    assert refusal(lambda: close_month(MARCH, "kim")) == "VOLUME_CONTRACT_GONE"
    assert not MonthClosing.objects.exists()
    contract.volume_tiers = "0..100:80:0 90..:60:0"
    with translation.override("en"), pytest.raises(ValidationError, match="overlap"):
        contract.clean()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"acquirer": "1100000000000099"}, "is no participant"),
        ({"amount_fen": 601}, "volumes say 601 fen"),
        ({"scheme_fen": 1}, "volumes hold 1 fen of scheme_fee"),
    ],
)
def test_volumes_that_contradict_the_date_are_not_posted(
    city: City, contract: Contract, change: dict[str, Any], why: str
) -> None:
    buses = Buses(city)
    with pytest.MonkeyPatch.context() as patch:
        real = type(tables.VOLUMES).write

        def write(table: Any, rows: Any, to: Any) -> int:
            rows = [row | change for row in rows] if table is tables.VOLUMES else rows
            return real(table, rows, to)

        patch.setattr(type(tables.VOLUMES), "write", write)
        with pytest.raises(Problem, match=why) as told:
            buses.day(date(2026, 3, 2), [200] * 3)
    assert told.value.code == "CLEARING_INCONSISTENT"
    assert not SettlementRun.objects.exists()


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    days=st.lists(st.lists(st.integers(1, 900), min_size=1, max_size=12), min_size=1, max_size=3),
    late=st.lists(st.integers(1, 900), min_size=1, max_size=40),
    by=st.sampled_from(["amount", "taps"]),
    starts=st.tuples(st.integers(0, 9), st.integers(10, 40)),
)
def test_whatever_the_volume_the_fee_is_the_tiers_and_positions_add_up(
    city: City,
    contract: Contract,
    days: list[list[int]],
    late: list[int],
    by: str,
    starts: tuple[int, int],
) -> None:
    from django.db import transaction

    low, high = (n * (500 if by == "amount" else 1) for n in starts)
    with transaction.atomic():
        Contract.objects.filter(pk="bus").update(
            volume_by=by, volume_tiers=f"{low}..{high}:70:1 {high}..:30:0"
        )
        assert not fees.faults(Contract.objects.get(pk="bus").terms)
        buses, seen = Buses(city), list[int]()
        for number, rides in enumerate(days):
            buses.day(LAST - timedelta(days=len(days) - 1 - number), rides)
            seen += rides
        for rides in ([], late):
            if rides:
                buses.day(APRIL, rides, business_date=LAST)
                seen += rides
            close_month(MARCH, "kim")
            volume = sum(seen) if by == "amount" else len(seen)
            fee = sum(buses.fees.values())
            if volume >= low:
                fee = min(sum(seen), share_of(sum(seen), 70) + len(seen))
            if volume >= high:
                fee = share_of(sum(seen), 30)
            told = RevenueRow.objects.all()
            kept = sum(row.amount_fen for row in told.exclude(cause="fare"))
            fares = sum(row.amount_fen for row in told.filter(cause="fare", participant=BUS))
            rebate = sum(row.difference_fen for row in FeeAdjustment.objects.all())
            assert sum(buses.fees.values()) + rebate == fee
            assert kept + fares == sum(seen)  # what the holders paid, to the fen
            assert sum(row.amount_fen for row in told) == 0
            assert sum(row.net_fen for row in PositionRow.objects.all()) == 0
        assert ledger.trial_balance().balanced
        transaction.set_rollback(True)
