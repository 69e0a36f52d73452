# SPDX-License-Identifier: Apache-2.0
"""The ledger in SQL: what the pure rules decide is what the tables hold, for one and for thousands."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from django.db import connection

from citycard.core.ledger import Flag, Result, Transfer
from citycard.core.problem import Problem
from citycard.office import ledger
from citycard.office.ledger import rows
from citycard.office.ledger.models import LedgerTransfer

MANY = 5000


def order(
    name: str, debit: str = "float:i", credit: str = "card:a", fen: int = 100, **more: object
) -> Transfer:
    return Transfer(name, debit, credit, fen, "test", **more)  # type: ignore[arg-type]


@pytest.fixture
def accounts(db: None) -> None:
    assert ledger.open_accounts(["float:i", "card:a", "card:b"]) == [Result.OK] * 3


def test_posting_is_kept_and_repeating_it_is_harmless(accounts: None) -> None:
    batch = [
        order("1"),
        order("2", "card:a", "card:b", 101),
        order("3", fen=50, flags=Flag.PENDING),
        order("4", "", "", 0, flags=Flag.POST_PENDING, pending_id="3"),
    ]
    assert ledger.post(batch) == [Result.OK, Result.EXCEEDS_CREDITS, Result.OK, Result.OK]
    assert ledger.post(batch) == [Result.EXISTS, Result.OK, Result.EXISTS, Result.EXISTS]
    assert [ledger.balance(name) for name in ("float:i", "card:a", "card:b", "card:none")] == [
        -150,
        49,
        101,
        0,
    ]
    assert LedgerTransfer.objects.get(pk="3").stage == "posted"
    assert ledger.open_accounts(["card:a"]) == [Result.EXISTS]
    assert ledger.trial_balance().balanced


def test_all_or_nothing_when_asked_for(accounts: None) -> None:
    with pytest.raises(Problem) as told:
        ledger.post_or_fail([order("1"), order("2", "card:b", "card:a")])
    assert told.value.code == "LEDGER_REFUSED"
    assert "EXCEEDS_CREDITS" in str(told.value)
    assert not LedgerTransfer.objects.exists()
    with pytest.raises(Problem):  # a chain that is only half known
        ledger.post_or_fail([order("3"), order("4", flags=Flag.LINKED), order("3", fen=7)])
    assert ledger.balance("card:a") == 0


def test_who_loses_the_race_for_an_id_looks_again(accounts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another poster records the same id after this one has looked and before it writes."""
    ledger.post([order("1")])
    look, looks = rows.entries, iter((False, False))
    monkeypatch.setattr(rows, "entries", lambda ids: look(ids) if next(looks, True) else {})
    assert ledger.post([order("1")]) == [Result.EXISTS]
    assert ledger.balance("card:a") == 100


def test_a_name_outside_the_chart_is_a_mistake(db: None) -> None:
    with pytest.raises(ValueError, match="no chart"):
        ledger.open_accounts(["cards:a"])


def test_thousands_at_once(db: None) -> None:
    cards = [f"card:{n}" for n in range(500)]
    ledger.open_accounts(["float:i", *cards])
    batch = [order(f"t{n}", credit=cards[n % len(cards)], fen=1 + n % 7) for n in range(MANY)]
    assert set(ledger.post(batch)) == {Result.OK}
    assert set(ledger.post(batch)) == {Result.EXISTS}
    book = ledger.trial_balance()
    assert (
        book.kinds["card"]["credits_posted"]
        == book.kinds["float"]["debits_posted"]
        == sum(t.amount_fen for t in batch)
    )
    assert book.balanced


@pytest.mark.django_db(transaction=True)
def test_posters_side_by_side_lose_nothing() -> None:
    """Four threads post overlapping batches in opposite orders; every id counts once."""
    ledger.open_accounts(["float:i", "card:a", "card:b"])
    batch = [order(f"t{n}", credit="card:a" if n % 2 else "card:b", fen=1) for n in range(60)]
    faults: list[BaseException] = []

    def work(mine: list[Transfer]) -> None:
        try:
            for at in range(0, len(mine), 6):
                assert all(result.done for result in ledger.post(mine[at : at + 6]))
        except BaseException as fault:
            faults.append(fault)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(batch[::step],)) for step in (1, -1, 1, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert (ledger.balance("card:a"), ledger.balance("card:b")) == (30, 30)
    assert LedgerTransfer.objects.count() == 60
    _race_for_one_id()


@pytest.mark.django_db(transaction=True)
def test_a_large_posting_and_small_ones_take_turns() -> None:
    """One thread posts to more accounts than are locked one by one, others to a few of the same."""
    many = [f"card:{n}" for n in range(rows.LOCKED_ONE_BY_ONE + 100)]
    ledger.open_accounts(["float:i", *many])
    faults: list[BaseException] = []

    def work(who: str, cards: list[str], times: int) -> None:
        try:
            for turn in range(times):
                batch = [order(f"{who}:{turn}:{card}", credit=card, fen=1) for card in cards]
                assert set(ledger.post(batch)) == {Result.OK}
        except BaseException as fault:
            faults.append(fault)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=work, args=job)
        for job in (("large", many, 3), ("one", many[:5], 20), ("two", many[4::-1], 20))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert ledger.balance(many[0]) == 43
    assert ledger.balance(many[-1]) == 3
    assert ledger.balance("float:i") == -(3 * len(many) + 2 * 20 * 5)
    assert ledger.trial_balance().balanced


def _race_for_one_id() -> None:
    """Two threads race one id between different accounts: the loser is told, not crashed."""
    ledger.open_accounts(["float:j", "card:c", "card:d"])
    results: list[Result] = []
    gate = threading.Barrier(2)

    def work(transfer: Transfer) -> None:
        gate.wait()
        results.extend(ledger.post([transfer]))
        connection.close()

    one = order("same", credit="card:c")
    threads = [
        threading.Thread(target=work, args=(t,))
        for t in (one, replace(one, debit="float:j", credit="card:d"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.name for result in results) == ["EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT", "OK"]
    assert ledger.balance("card:c") + ledger.balance("card:d") == 100
