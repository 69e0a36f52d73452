# SPDX-License-Identifier: Apache-2.0
"""A business date from export to payments: checked, posted once, closed, settled to zero."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from citycard.core import tables
from citycard.core.problem import Problem
from citycard.core.record import Kind
from citycard.office import ledger, settlement
from citycard.office.cards.models import Card
from citycard.office.intake import loads
from citycard.office.intake.models import Alarm, Load
from citycard.office.ledger import balance
from citycard.office.ledger.models import LedgerAccount, LedgerTransfer
from citycard.office.participants.models import Contract, Line, Tariff, Terminal
from citycard.office.settlement import suspense
from citycard.office.settlement.models import Movement, Payment, PositionRow, SettlementRun, Tap
from tests.office_ledger.conftest import (
    ANN,
    BOB,
    BUS,
    DAY,
    EVE,
    GATE,
    ISSUER,
    METRO,
    NOON,
    TILL,
    City,
    Purse,
    clearing_says,
    give,
    verdict,
)


def state() -> dict[str, Any]:
    """Everything a posting or settlement may change."""
    kept = (SettlementRun, PositionRow, Movement, Tap, Payment, LedgerTransfer, LedgerAccount, Alarm)
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in kept}


def balances(*names: str) -> list[int]:
    return [ledger.balance(name) for name in names]


@pytest.fixture
def day(city: City) -> City:
    """Ann rides the bus twice and the metro once, bob once; one record is held back, one refused."""
    give(ANN, 5000)
    give(BOB, 900)
    clearing_says(
        city.home,
        [
            verdict(1, ANN, 200, balance_before_fen=5000),
            verdict(2, ANN, 200, balance_before_fen=4800),
            verdict(3, ANN, 400, balance_before_fen=4600, acquirer=METRO),
            verdict(4, BOB, 300, balance_before_fen=900),
            verdict(5, BOB, 100, "suspended", "COUNTER_GAP", balance_before_fen=500),
            verdict(6, BOB, 100, "rejected", "TAC_MISMATCH", balance_before_fen=500),
        ],
    )
    return city


def test_a_day_is_posted_settled_and_adds_up(day: City) -> None:
    posting = settlement.post_run(DAY)
    assert (posting.taps, posting.accepted, posting.suspended, posting.rejected) == (6, 4, 1, 1)
    assert (posting.charged_fen, posting.suspense_fen, posting.repeated) == (1100, 0, False)
    assert posting.reasons == {"OK": 4, "COUNTER_GAP": 1, "TAC_MISMATCH": 1}
    assert balances(f"card:{ANN}", f"card:{BOB}", f"clearing:{DAY}") == [4200, 600, 0]
    assert balances(*(f"position:{p}" for p in (ISSUER, BUS, METRO))) == [-1100, 700, 400]
    assert Tap.objects.filter(pan=ANN).count() == 3

    done = settlement.settle(DAY)
    assert done.payments == [
        (ISSUER, "bank:settlement", 1100),
        ("bank:settlement", BUS, 700),
        ("bank:settlement", METRO, 400),
    ]
    assert done.paid_fen == 1100
    assert balances(*(f"position:{p}" for p in (ISSUER, BUS, METRO)), "bank:settlement") == [0, 0, 0, 0]
    found = settlement.reconcile()
    assert found.sound
    assert (found.cards, found.cards_match, found.positions_sum_fen) == (3, True, 0)


def test_twice_changes_nothing(day: City) -> None:
    settlement.post_run(DAY)
    settlement.settle(DAY)
    before = state()
    day.still.forward(hours=5)
    assert settlement.post_run(DAY).repeated
    assert settlement.settle(DAY).repeated
    assert state() == before


KILLS = ["_store_rows", "_open_accounts", "_post_loads", "_post_purchases", "position_transfers"]


@pytest.mark.parametrize("place", KILLS)
def test_killed_anywhere_and_run_again_gives_the_same(
    day: City, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    before = state()
    with monkeypatch.context() as patch:
        patch.setattr(f"citycard.office.settlement.posting.{place}", _die)
        with pytest.raises(KeyboardInterrupt):
            settlement.post_run(DAY)
    assert state() == before
    assert settlement.post_run(DAY).charged_fen == 1100
    assert balances(f"card:{ANN}", f"clearing:{DAY}") == [4200, 0]


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_closed_date_refuses_another_answer_but_not_another_order_of_rows(day: City) -> None:
    settlement.post_run(DAY)
    before = state()
    path = day.home / "exchange" / DAY.isoformat() / "out" / "verdicts.csv"
    title, header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([title, header, *reversed(rows), ""]))
    assert settlement.post_run(DAY).repeated
    clearing_says(day.home, [verdict(1, ANN, 200)])
    with pytest.raises(Problem) as told:
        settlement.post_run(DAY)
    assert told.value.code == "BUSINESS_DATE_OTHERWISE"
    assert state() == before


ZERO = {"receivable_fen": 0, "payable_fen": 0, "net_fen": 0}
LIES: dict[str, tuple[dict[str, Any], str]] = {
    "positions do not add up": (
        {"positions": [{"participant": BUS, "receivable_fen": 5, "payable_fen": 0, "net_fen": 5}]},
        "add up to 5 fen",
    ),
    "a net is not its difference": (
        {"positions": [{"participant": BUS, "receivable_fen": 5, "payable_fen": 0, "net_fen": 0}]},
        "not receivable less payable",
    ),
    "positions are not the revenue": ({"positions": []}, "revenue of"),
    "movements are not the taps": ({"movements": []}, "the verdicts say 1000 fen in 1"),
    "a stranger": ({"positions": [{"participant": "f" * 16, **ZERO}]}, "no participant"),
    "nobody owes the fares": ({"positions": [], "revenue": []}, "moved 1000 fen"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_contradicts_itself_is_refused(city: City, lie: str) -> None:
    other, why = LIES[lie]
    clearing_says(city.home, [verdict(1, ANN, 1000)], **other)
    before = state()
    with pytest.raises(Problem) as told:
        settlement.post_run(DAY)
    assert told.value.code == "CLEARING_INCONSISTENT"
    assert why in str(told.value)
    assert state() == before


def test_an_answer_that_is_missing_or_spoiled_is_refused(city: City) -> None:
    with pytest.raises(Problem) as told:
        settlement.post_run(DAY)
    assert told.value.code == "CLEARING_MISSING"
    clearing_says(city.home, [])
    path = city.home / "exchange" / DAY.isoformat() / "out" / "positions.csv"
    path.write_text("# positions v9\n")
    with pytest.raises(Problem) as told:
        settlement.post_run(DAY)
    assert told.value.code == "CLEARING_UNREADABLE"
    with pytest.raises(Problem) as told:
        settlement.settle(DAY)
    assert told.value.code == "NOT_POSTED"


def test_a_day_without_taps_is_a_day(city: City) -> None:
    clearing_says(city.home, [])
    assert settlement.post_run(DAY).taps == 0
    assert settlement.settle(DAY).payments == []
    assert settlement.reconcile().sound


def test_what_an_account_cannot_carry_goes_to_suspense_and_is_alarmed(city: City) -> None:
    give(ANN, 150)
    clearing_says(city.home, [verdict(1, ANN, 200), verdict(2, EVE, 300)])
    assert settlement.post_run(DAY).suspense_fen == 350
    assert balances(f"card:{ANN}", f"card:{EVE}", f"suspense:{ISSUER}") == [0, 0, -350]
    assert {(alarm.code, alarm.subject) for alarm in Alarm.objects.all()} == {
        ("LEDGER_SUSPENSE", ANN),
        ("LEDGER_SUSPENSE", EVE),
    }
    found = settlement.reconcile()
    assert found.suspense_fen == 350
    assert found.ledger_balanced
    assert not found.sound


def _load(city: City, card: Purse, fen: int = 3000) -> Load:
    ask = loads.Ask(card.pan, ISSUER, f"r{card.online}", bytes.fromhex(card.init_load(fen)), fen)
    return loads.authorise(Terminal.objects.get(pk=TILL), ask)


def _load_record(load: Load, sequence: int = 9, **more: Any) -> dict[str, Any]:
    return verdict(
        sequence, load.card_id, load.amount_fen, kind=int(Kind.LOAD), counter=load.counter, tapped_at=load.at,
        balance_before_fen=load.balance_before_fen, **more,
    )  # fmt: skip


def test_a_load_record_posts_the_load_that_nobody_confirmed(city: City) -> None:
    load = _load(city, Purse(city.vault))
    clearing_says(city.home, [_load_record(load)])
    assert settlement.post_run(DAY).loaded_fen == 3000
    load.refresh_from_db()
    assert (load.status, load.ended_how) == ("posted", "record")
    assert balances(f"card:{ANN}", f"position:{ISSUER}", f"position:{BUS}") == [3000, 3000, -3000]
    assert settlement.reconcile().cards_match
    assert not Alarm.objects.exists()


def test_a_confirmed_load_is_not_posted_again_by_its_record(city: City) -> None:
    card = Purse(city.vault)
    load = _load(city, card)
    tac = bytes.fromhex(card.credit(3000, load.at))
    loads.confirm(Terminal.objects.get(pk=TILL), load.id, tac, 3000)
    found = settlement.reconcile()
    assert (found.cards_match, found.under_way[0].explained_fen) == (True, 3000), (
        "its record is still to come"
    )
    clearing_says(city.home, [_load_record(load)])
    settlement.post_run(DAY)
    assert ledger.balance(f"card:{ANN}") == 3000
    assert not settlement.reconcile().under_way


def test_a_load_this_office_never_allowed_is_booked_and_alarmed(city: City) -> None:
    load = _load(city, Purse(city.vault))
    clearing_says(city.home, [_load_record(load, counter_note=0) | {"counter": 99}])
    settlement.post_run(DAY)
    assert Alarm.objects.get().code == "LOAD_UNKNOWN"
    assert ledger.balance(f"card:{ANN}") == 3000
    load.refresh_from_db()
    assert load.status == "pending"


def test_what_clearing_holds_back_explains_a_card_until_it_comes(city: City) -> None:
    give(ANN, 5000)
    held = verdict(1, ANN, 200, "suspended", "COUNTER_GAP", balance_before_fen=5000)
    clearing_says(city.home, [held, verdict(2, ANN, 300, balance_before_fen=4800)])
    settlement.post_run(DAY)
    (one,) = settlement.reconcile().under_way
    assert (one.pan, one.account_fen, one.seen_fen, one.explained_fen) == (ANN, 4700, 4500, 200)

    tomorrow = DAY + timedelta(days=1)
    clearing_says(
        city.home,
        [held | {"verdict": "accepted", "reason": "OK", "settled_on": tomorrow}],
        settle_on=tomorrow,
    )
    settlement.post_run(tomorrow)
    found = settlement.reconcile()
    assert (found.cards_match, found.under_way, found.unexplained) == (True, [], [])


def test_a_load_the_card_holds_and_has_not_proven_yet_is_under_way(city: City) -> None:
    _load(city, Purse(city.vault))
    later = NOON + timedelta(minutes=30)
    clearing_says(city.home, [verdict(1, ANN, 200, balance_before_fen=3000, tapped_at=later)])
    assert settlement.post_run(DAY).suspense_fen == 200  # its account has no money yet
    assert suspense.outstanding() == {ANN: 200}
    give(ANN, 3000)
    assert suspense.release(DAY) == 200
    assert suspense.outstanding() == {}
    assert balance(f"card:{ANN}") == 2800


def test_a_pending_load_that_the_card_already_shows_is_under_way(city: City) -> None:
    give(ANN, 5000)
    _load(city, Purse(city.vault, balance_fen=5000))
    later = NOON + timedelta(minutes=30)
    clearing_says(city.home, [verdict(1, ANN, 200, balance_before_fen=8000, tapped_at=later)])
    settlement.post_run(DAY)
    found = settlement.reconcile()
    (one,) = found.under_way
    assert (one.account_fen, one.seen_fen, one.explained_fen) == (4800, 7800, -3000)
    assert found.cards_match


def test_a_card_nobody_can_explain_is_a_finding(city: City) -> None:
    give(ANN, 5000)
    Card.objects.filter(pk=ANN).update(personalised_fen=4000)
    (one,) = settlement.reconcile().unexplained
    assert (one.pan, one.unexplained_fen) == (ANN, 1000)


def test_the_tables_for_clearing_are_frozen_when_first_written(city: City) -> None:
    Line.objects.create(number=7, service=1, operator_id=BUS, name_en="Seven", name_zh="七路")
    Tariff.objects.create(
        service=1, version=1, valid_from=date(2026, 1, 1), config={"flat_fen": 200, "名": 1}
    )
    Contract.objects.create(
        contract="bus", service=1, acquirer_id=BUS, valid_from=date(2026, 1, 1), charge_bp=30, acquirer_bp=0,
        issuer_bp=30, concession_payer="acquirer", transfer_payer="issuer",
    )  # fmt: skip
    folder = settlement.export(DAY)
    assert folder == city.home / "exchange" / DAY.isoformat() / "in"
    read = {}
    for table in tables.TO_CLEARING:
        with (folder / f"{table.name}.csv").open(encoding="utf-8", newline="") as file:
            read[table.name] = list(table.read(file))
    assert [row["terminal"] for row in read["terminals"]] == [TILL, GATE]
    assert {row["pan"]: row["status"] for row in read["cards"]} == {ANN: "active", BOB: "active", EVE: "lost"}
    assert read["participants"][0]["roles"] == "issuer scheme"
    assert (read["contracts"][0]["issuer"], read["contracts"][0]["acquirer"]) == (None, BUS)
    assert read["lines"][0]["operator"] == BUS

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    Card.objects.create(pan="03109900010000000044", issuer_id=ISSUER, status="active", status_at=NOON)
    assert settlement.export(DAY) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "03109900010000000044" in (settlement.export(DAY + timedelta(days=1)) / "cards.csv").read_text()


def test_tables_that_clearing_refused_are_written_anew_and_those_it_answered_stay(city: City) -> None:
    folder = settlement.export(DAY)
    Card.objects.create(pan="03109900010000000044", issuer_id=ISSUER, status="active", status_at=NOON)
    settlement.withdraw(DAY)
    told = (settlement.export(DAY) / "cards.csv").read_bytes()
    assert b"03109900010000000044" in told
    (folder.parent / "out").mkdir()
    Card.objects.filter(pan="03109900010000000044").delete()
    settlement.withdraw(DAY)
    assert (settlement.export(DAY) / "cards.csv").read_bytes() == told
