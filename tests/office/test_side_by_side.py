# SPDX-License-Identifier: Apache-2.0
"""Several people at once: no number twice, no card to two holders, one unbroken log; many cards quickly."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from citycard.office import audit, ledger
from citycard.office.cards import hotlist, personalise, verbs
from tests.office.conftest import CLERK, CUSTODIAN, ISSUER, StillClock, new_stock, open_issuer, person


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run each call in a thread with its own connection."""

    def run(call: Callable[[], Any]) -> Any:
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.django_db(transaction=True)
def test_people_at_several_counters(still: StillClock) -> None:
    open_issuer()
    orders = together(*[lambda: personalise.order(ISSUER, 20, CUSTODIAN)] * 4)
    numbers = [card.pan for order in orders for card in order]
    assert len(set(numbers)) == 80

    (pan,) = new_stock()
    holders = [person("Li"), person("Wu"), person("Ye")]
    answers = together(*[lambda holder=holder: verbs.issue(pan, CLERK, holder) for holder in holders])
    assert sorted(getattr(answer, "code", "OK") for answer in answers) == [
        "OK",
        "WRONG_STATUS",
        "WRONG_STATUS",
    ]
    assert ledger.balance(f"deposit:{ISSUER}") == 2000

    pans = new_stock(4)
    verbs.issue_many([(one, holders[0]) for one in pans], CLERK)
    together(*[lambda one=one: verbs.report_loss(one, CLERK) for one in pans])
    assert [len(hotlist.at_version(version)) for version in range(5)] == [0, 1, 2, 3, 4]
    assert audit.verify().ok


@pytest.mark.django_db
def test_issuing_many_cards_asks_the_database_per_batch_not_per_card(still: StillClock) -> None:
    open_issuer()
    asked = []
    for count in (10, 200):
        pans = new_stock(count)
        with CaptureQueriesContext(connection) as queries:
            answers = verbs.issue_many([(pan, None) for pan in pans], CLERK)
        assert all(isinstance(answer, verbs.Done) for answer in answers)
        asked.append(len(queries))
    assert asked[1] < 2 * asked[0], asked
    assert audit.verify().ok
