# SPDX-License-Identifier: Apache-2.0
"""Large plain batches take a shorter way: the same verdicts, the same rows, whoever else is posting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from django.db import connection, transaction

from citycard.core.ledger import Flag, Result, Transfer
from citycard.office import ledger
from citycard.office.ledger import books, bulk, rows
from citycard.office.ledger.models import LedgerAccount, LedgerTransfer

CARDS = [f"card:{n}" for n in range(300)]
MANY = 600
ODD = (
    "tab\tin it",
    "line\nin it",
    "back\\slash",
    "\\N",
    "\\.",
    'quo"te',
    "{a,b}",
    "回车\r",
    "' OR 1",
    "NULL",
)


def loads(who: str, count: int = MANY, fen: int = 3) -> list[Transfer]:
    return [Transfer(f"{who}:{n}", "float:i", CARDS[n % len(CARDS)], fen, "load") for n in range(count)]


@pytest.fixture
def accounts(db: None) -> None:
    ledger.open_accounts(["float:i", *CARDS])


@pytest.fixture
def careful(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that went the long way."""
    taken: list[int] = []
    post = books._post

    def count(transfers: list[Transfer]) -> list[Result]:
        taken.append(len(transfers))
        return post(transfers)

    monkeypatch.setattr(books, "_post", count)
    return taken


def kept() -> list[dict[str, Any]]:
    return [*LedgerTransfer.objects.order_by("id").values(), *LedgerAccount.objects.order_by("id").values()]


@pytest.mark.parametrize(
    "nested",
    [
        pytest.param(True, marks=pytest.mark.django_db, id="in a transaction"),
        pytest.param(False, marks=pytest.mark.django_db(transaction=True), id="alone"),
    ],
)
def test_the_short_way_leaves_what_the_long_way_leaves(
    nested: bool, still: Any, careful: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every sign a text may hold, dates and none, and refusals of each kind among thousands of good ones."""
    ledger.open_accounts(["float:i", *CARDS])
    batch = [
        replace(one, ref=ODD[n % len(ODD)], business_date=date(2026, 3, 2) if n % 3 else None)
        for n, one in enumerate(loads("a"))
    ]
    batch += [Transfer(f"odd {sign}", "float:i", CARDS[0], 5, sign, ref=sign) for sign in ODD]
    batch[7] = Transfer("too much", CARDS[7], "float:i", 10**9, "purchase")
    batch[8] = Transfer("nobody", "float:i", "card:nobody", 1, "load")
    batch[9] = Transfer("nothing", "float:i", CARDS[9], 0, "load")

    def play() -> tuple[list[Result], list[dict[str, Any]]]:
        assert connection.in_atomic_block == nested
        return ledger.post(batch), kept()

    results, state = play()
    assert not careful
    assert sum(result is Result.OK for result in results) == len(batch) - 3
    LedgerTransfer.objects.all().delete()
    LedgerAccount.objects.update(debits_posted=0, credits_posted=0)
    monkeypatch.setattr(bulk, "suits", lambda batch: False)
    assert play() == (results, state)
    assert careful == [len(batch)]


def test_repeats_are_answered_as_ever(accounts: None, careful: list[int]) -> None:
    first = loads("a")
    assert set(ledger.post(first)) == {Result.OK}
    assert not careful
    assert set(ledger.post(first)) == {Result.EXISTS}
    # One id in the middle is taken, by other content; the probes do not meet it.
    mixed = loads("b")
    mixed[401] = replace(first[0], amount_fen=4)
    results = ledger.post(mixed)
    assert results.pop(401) is Result.EXISTS_WITH_DIFFERENT_AMOUNT
    assert set(results) == {Result.OK}
    assert careful == [MANY, MANY]
    assert ledger.balance("float:i") == -3 * (2 * MANY - 1)
    assert ledger.trial_balance().balanced


def test_what_is_not_plain_goes_the_long_way(accounts: None, careful: list[int]) -> None:
    batch = loads("a")
    batch[0] = replace(batch[0], flags=Flag.LINKED)
    assert set(ledger.post(batch)) == {Result.OK}
    assert set(ledger.post(loads("b", bulk.LEAST - 1))) == {Result.OK}
    assert careful == [MANY, bulk.LEAST - 1]


def test_an_account_moved_under_its_feet_is_seen(
    accounts: None, careful: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accounts are found again by place; if one is not there, nothing of the short way stays."""
    find = rows.standings

    def elsewhere(ids: set[str]) -> Any:
        *found, (name, _, *standing) = find(ids)
        nowhere: rows.Place = "(0,999)" if rows.postgres() else -1
        return [*found, (name, nowhere, *standing)]

    monkeypatch.setattr(rows, "standings", elsewhere)
    assert set(ledger.post(loads("a"))) == {Result.OK}
    assert careful == [MANY]
    assert ledger.balance("float:i") == -3 * MANY
    assert ledger.trial_balance().balanced


@pytest.mark.django_db(transaction=True)
def test_large_posters_side_by_side(careful: list[int]) -> None:
    """Five threads, some with the same batches in other orders, and small ones between: each id counts once."""
    ledger.open_accounts(["float:i", *CARDS])
    shared = loads("shared")
    jobs: list[list[list[Transfer]]] = [
        [loads("one"), shared],
        [shared[::-1], loads("two")],
        [loads("three"), shared[100:] + shared[:100]],
        [[one] for one in shared[:40]],
        [loads(f"four:{n}", 20) for n in range(10)],
    ]
    run_all([lambda job=job: [ledger.post(batch) for batch in job] for job in jobs])  # type: ignore[misc]
    assert LedgerTransfer.objects.count() == 4 * MANY + 200
    assert ledger.balance("float:i") == -3 * (4 * MANY + 200)
    assert ledger.trial_balance().balanced


@pytest.mark.server
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("wait_ms", "pause_s", "tries"),
    [
        pytest.param(bulk.WAIT_MS, 0, 1, id="the large one lets go"),
        pytest.param(9000, 0, 1, id="the server picks the large one"),
        pytest.param(9000, 0.6, 2, id="the server picks the small one"),
    ],
)
def test_who_holds_the_accounts_is_not_waited_for_in_a_circle(
    careful: list[int], monkeypatch: pytest.MonkeyPatch, wait_ms: int, pause_s: float, tries: int
) -> None:
    """One transaction has the accounts and then wants an id that a large poster has recorded and not settled."""
    ledger.open_accounts(["float:i", *CARDS])
    lock = rows.lock_all_accounts
    monkeypatch.setattr(bulk, "WAIT_MS", wait_ms)
    monkeypatch.setattr(rows, "lock_all_accounts", lambda: (time.sleep(pause_s), lock()))
    batch = loads("a")
    has, goes_on = threading.Event(), threading.Event()

    def first() -> None:
        with transaction.atomic():
            ledger.post([Transfer("before", "float:i", CARDS[0], 1, "load")])
            has.set()
            assert goes_on.wait(10)
            time.sleep(0.2)  # the other one has recorded its transfers and waits for the accounts
            assert ledger.post(batch[5:6]) == [Result.OK]

    def second() -> None:
        assert has.wait(10)
        goes_on.set()
        results = ledger.post(batch)
        assert (results.count(Result.OK), results[5]) == (MANY - 1, Result.EXISTS)

    run_all([first, second])
    assert (careful.count(1), careful.count(MANY)) == (1 + tries, 1)
    assert ledger.balance("float:i") == -3 * MANY - 1


def run_all(works: list[Callable[[], Any]]) -> None:
    """Each in a thread with a connection of its own; what one raises is raised here."""
    faults: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as fault:
            faults.append(fault)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
