# SPDX-License-Identifier: Apache-2.0
"""A city too large for its database: clearing tells exceptions and totals, and the books still add up."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from citycard.core import tables
from citycard.core.problem import Problem
from citycard.office import ledger, settlement
from citycard.office.intake import loads
from citycard.office.intake.models import Load
from citycard.office.settlement.models import Tap
from tests.office_ledger.conftest import (
    ANN,
    BOB,
    BUS,
    DAY,
    ISSUER,
    METRO,
    City,
    Purse,
    clearing_says,
    verdict,
)
from tests.office_ledger.test_settlement import _load, _load_record


def in_brief(city: City, rows: list[dict[str, Any]]) -> None:
    """The same answer as clearing gives it of a large city."""
    clearing_says(city.home, rows)
    folder = city.home / "exchange" / DAY.isoformat() / "out"
    (folder / "movements.csv").unlink()
    taps: Counter[tuple[Any, ...]] = Counter()
    fen: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        accepted = row["verdict"] == "accepted"
        parties = (row["issuer"], row["acquirer"], row["service"]) if accepted else ("", "", 0)
        key = (row["verdict"], row["reason"], *parties, row["kind"])
        taps[key] += 1
        fen[key] += row["amount_fen"]
    totals = [dict(zip(tables.TOTALS.names, (*key, taps[key], fen[key]), strict=True)) for key in taps]
    accepted_loads = [row for row in rows if row["verdict"] == "accepted" and row["kind"] == 2]
    exceptions = [row for row in rows if row["verdict"] != "accepted"]
    for table, found in (
        (tables.TOTALS, totals), (tables.LOADS, accepted_loads), (tables.VERDICTS, exceptions)
    ):  # fmt: skip
        with (folder / f"{table.name}.csv").open("w", encoding="utf-8", newline="") as file:
            table.write(found, file)


def test_issuers_have_one_account_for_all_cards_and_only_exceptions_are_stored(city: City) -> None:
    rows = [
        verdict(1, ANN, 200), verdict(2, BOB, 300), verdict(3, BOB, 400, acquirer=METRO),
        verdict(4, BOB, 100, "suspended", "COUNTER_GAP"), verdict(5, ANN, 50, "rejected", "TAC_MISMATCH"),
    ]  # fmt: skip
    in_brief(city, rows)
    posting = settlement.post_run(DAY)
    assert (posting.taps, posting.accepted, posting.suspended, posting.rejected) == (5, 3, 1, 1)
    assert posting.charged_fen == 900
    assert sorted(Tap.objects.values_list("reason", flat=True)) == ["COUNTER_GAP", "TAC_MISMATCH"]
    names = (
        f"purses:{ISSUER}",
        f"position:{ISSUER}",
        f"position:{BUS}",
        f"position:{METRO}",
        f"clearing:{DAY}",
    )
    assert [ledger.balance(name) for name in names] == [-900, -900, 500, 400, 0]
    assert ledger.trial_balance().balanced
    assert settlement.post_run(DAY).repeated
    assert settlement.settle(DAY).paid_fen == 900


def test_a_load_the_office_was_asked_for_is_credited_once(city: City) -> None:
    card = Purse(city.vault)
    load = _load(city, card)
    in_brief(city, [_load_record(load), verdict(7, BOB, 5000, kind=2)])
    settlement.post_run(DAY)
    load.refresh_from_db()
    assert load.status == Load.Status.POSTED
    assert ledger.balance(f"card:{ANN}") == load.amount_fen
    assert ledger.balance(f"purses:{ISSUER}") == 5000
    assert loads.waiting().count() == 0


def test_totals_that_contradict_revenue_are_refused(city: City) -> None:
    in_brief(city, [verdict(1, ANN, 200)])
    path = city.home / "exchange" / DAY.isoformat() / "out" / "totals.csv"
    path.write_text(path.read_text().replace(",200\n", ",201\n"))
    with pytest.raises(Problem) as told:
        settlement.post_run(DAY)
    assert told.value.code == "CLEARING_INCONSISTENT"
