# SPDX-License-Identifier: Apache-2.0
"""A stolen PSAM: what it made before stands, what it made after is rejected, and its place among the reasons."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

from citycard.core.refusal import Reason
from tests.clearing.world import BUS_TERMINAL, DAY, METRO_TERMINAL, SHOP, SHOP_TERMINAL, World, signed

NOON = datetime.combine(DAY, time(12))


@pytest.fixture
def city(tmp_path: Path) -> World:
    return World(tmp_path)


def test_records_from_then_on_are_rejected(city: World) -> None:
    city.sams = [{"terminal": BUS_TERMINAL, "distrusted_at": NOON}]
    before = city.tap("A", 200)
    elsewhere = city.tap("B", 300, METRO_TERMINAL)
    city.clock = NOON - timedelta(minutes=1)
    after, loaded = city.tap("C", 400), city.load("C", 900)
    forged = replace(signed(city.tap("D", 500)), tac=b"none")
    other = signed(replace(city.tap("E", 600), acquirer=bytes.fromhex(SHOP)))
    city.upload(before, after, forged, other)
    city.upload(elsewhere)
    city.upload(loaded)
    report = city.clear()
    told = city.verdicts()
    assert [told[f"{BUS_TERMINAL}-{n:010d}"] for n in (1, 2, 3, 4)] == [
        "OK", "SAM_HOTLISTED", "SAM_HOTLISTED", "ACQUIRER_MISMATCH",
    ]  # fmt: skip
    assert told[f"{METRO_TERMINAL}-0000000001"] == told[f"{SHOP_TERMINAL}-0000000001"] == "OK"
    assert (report.charged_fen, report.rejected_fen) == (500, 1500)
    assert sum(city.net().values()) == 0


def test_the_card_goes_on(city: World) -> None:
    """The debit happened on the card, so its next tap elsewhere leaves no gap and waits for nothing."""
    city.sams = [{"terminal": BUS_TERMINAL, "distrusted_at": NOON}]
    city.clock = NOON
    stolen, next_ = city.tap("A", 200), city.tap("A", 300, METRO_TERMINAL)
    city.upload(stolen)
    city.upload(next_)
    city.clear()
    assert set(city.verdicts().values()) == {"SAM_HOTLISTED", "OK"}


def test_an_export_of_an_older_office_has_no_such_table(city: World) -> None:
    city.upload(city.tap("A", 200))
    city.export(DAY)
    (city.home / "exchange" / DAY.isoformat() / "in" / "sams.csv").unlink()
    from citycard.clearing import run
    from tests.clearing.world import fake_checker

    assert run(city.home, DAY, fake_checker, city.calendar, rules=city.rules).charged_fen == 200
    assert Reason.SAM_HOTLISTED.number == 19
