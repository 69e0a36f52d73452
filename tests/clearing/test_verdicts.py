# SPDX-License-Identifier: Apache-2.0
"""Stories of taps: delivered twice, late, early, forged, torn from their order; and what becomes of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from citycard.clearing import Rules
from citycard.core.calendar import Calendar
from citycard.core.interop.evidence import AWAY
from citycard.core.record import Flag, TapRecord
from tests.clearing.world import (
    BUS,
    BUS_TERMINAL,
    DAY,
    ISSUER,
    METRO_TERMINAL,
    OTHER_ISSUER,
    SHOP,
    World,
    contract,
    signed,
)

ONE = timedelta(days=1)


@pytest.fixture
def city(tmp_path: Path) -> World:
    return World(tmp_path)


def on(world: World, day: Any, hour: int = 8) -> None:
    """Set the world's clock to an hour of a business date."""
    world.clock = datetime.combine(day, time(hour))


# One record by itself


def test_reasons_in_their_order(city: World) -> None:
    """Each record fails one check, and the first check it fails is the one told."""
    stories: list[tuple[str, TapRecord]] = []

    def say(reason: str, **more: Any) -> None:
        record = city.tap(f"card of {reason} {len(stories)}", 200)
        forged = more.pop("forged", False)
        record = replace(record, **more)
        stories.append((reason, record if forged else signed(record)))

    other = bytes.fromhex(SHOP)
    say("OK")
    say("OK", list_fen=300, concession_fen=60, transfer_fen=50, surcharge_fen=10)
    say("TEST_RECORD", flags=int(Flag.TEST), forged=True, tac=bytes(4))
    say("UNKNOWN_TERMINAL", terminal=bytes.fromhex("99ffffffffff"))
    say("ACQUIRER_MISMATCH", acquirer=other)
    say("UNKNOWN_ISSUER", issuer=bytes.fromhex("02001111ffffffff"))
    say("UNKNOWN_CARD", pan="03199009999999999999")
    say("UNKNOWN_CARD", issuer=bytes.fromhex(OTHER_ISSUER))  # a card of another issuer
    say("TAC_MISMATCH", amount_fen=100, list_fen=100, forged=True)
    say("TAC_MISMATCH", tac=bytes(4), forged=True)
    say("AMOUNT_INCONSISTENT", list_fen=210)
    say(
        "AMOUNT_INCONSISTENT", list_fen=100, concession_fen=200, surcharge_fen=300
    )  # adds up, and is nonsense
    say("OVER_LIMIT", amount_fen=50_001, list_fen=50_001)
    say("FROM_THE_FUTURE", tapped_at=city.clock + 3 * ONE)
    say("FROM_THE_FUTURE", tapped_at=city.clock + 30 * ONE)
    say("TOO_LATE", tapped_at=city.clock - 8 * ONE)
    city.rules = replace(city.rules, limits_fen={1: 50_000})
    city.upload(*[record for _, record in stories], terminal=BUS_TERMINAL)
    report = city.clear()
    found = {row["tap"]: row for row in city.out("verdicts")}
    assert [(found[record.id]["reason"]) for _, record in stories] == [reason for reason, _ in stories]
    waiting = [row["tapped_at"] for row in found.values() if row["verdict"] == "suspended"]
    assert waiting == [stories[13][1].tapped_at]  # soon due; thirty days ahead is a wrong clock
    assert report.verdicts == {"accepted": 2, "rejected": 13, "suspended": 1}
    assert sum(report.reasons.values()) == len(stories)


def test_a_malformed_record_is_a_row_with_its_batch_and_position(city: World) -> None:
    good = city.tap()
    bad = b"\x09" + good.encode()[1:]
    digest = city.upload(good, bad, terminal=BUS_TERMINAL)
    city.clear()
    rows = {row["position"]: row for row in city.out("verdicts")}
    assert (rows[0]["reason"], rows[1]["reason"], rows[1]["verdict"]) == ("OK", "MALFORMED", "rejected")
    assert rows[1]["batch"] == digest
    assert rows[1]["tap"] == f"{good.id}~{digest[:16]}.1"


def test_a_load_is_owed_by_the_retailer_even_when_the_card_is_listed(city: World) -> None:
    load = city.load("A", 5_000, hotlist_version=9)
    city.hotlist = [listing(city, "A", version=1, at=load.tapped_at - ONE)]
    city.upload(load)
    report = city.clear()
    assert (report.loaded_fen, city.net()) == (5_000, {SHOP: -5_000, ISSUER: 5_000})


# Delivered more than once


def test_the_same_record_again_is_a_duplicate_and_its_money_counts_once(city: World) -> None:
    tap = city.tap("A", 200)
    city.upload(tap)
    city.upload(tap)
    report = city.clear()
    assert (report.reasons, report.charged_fen) == ({"OK": 1, "DUPLICATE": 1}, 200)
    assert report.rejected_fen == 0
    city.upload(tap, city.tap("A", 300))  # and once more the next day, beside a new one
    report = city.clear(DAY + ONE)
    assert (report.reasons, report.charged_fen) == ({"OK": 1, "DUPLICATE": 1}, 300)


def test_other_content_under_the_same_number_is_an_alarm(city: World) -> None:
    tap = city.tap("A", 200)
    forged = signed(replace(tap, amount_fen=100, list_fen=100, counter=5))
    city.upload(tap)
    city.clear()
    city.upload(forged)
    report = city.clear(DAY + ONE)
    assert report.reasons == {"CONTENT_CONFLICT": 1}


def test_of_two_contents_in_one_run_the_one_whose_tac_verifies_stands(city: World) -> None:
    tap = city.tap("A", 200)
    for fen in range(100, 110):
        city.upload(replace(tap, amount_fen=fen, list_fen=fen))  # the TAC does not cover this
    city.upload(tap)
    report = city.clear()
    assert report.reasons == {"OK": 1, "CONTENT_CONFLICT": 10}
    assert (report.charged_fen, city.verdicts()[tap.id]) == (200, "OK")


def test_a_rejected_record_may_come_again_corrected(city: World) -> None:
    tap = city.tap("A", 200)
    city.upload(replace(tap, amount_fen=900, list_fen=900))
    assert city.clear().reasons == {"TAC_MISMATCH": 1}
    city.upload(tap)
    assert city.clear(DAY + ONE).reasons == {"OK": 1}


def test_a_terminal_registered_late_has_its_records_taken_when_sent_again(city: World) -> None:
    known = city.terminals.pop(BUS_TERMINAL)
    tap = city.tap("A", 200, BUS_TERMINAL)
    city.upload(tap)
    assert city.clear().reasons == {"UNKNOWN_TERMINAL": 1}
    city.terminals[BUS_TERMINAL] = known
    city.upload(tap)
    assert city.clear(DAY + ONE).reasons == {"OK": 1}


# The day and the list


def test_a_late_tap_is_settled_on_the_current_date_within_the_window(city: World) -> None:
    late, too_late = city.tap("A", 200), city.tap("B", 300)
    now = DAY + 7 * ONE
    too_late = signed(replace(too_late, tapped_at=too_late.tapped_at - ONE))
    city.upload(late, too_late, terminal=BUS_TERMINAL)
    city.clear(now)
    rows = {row["tap"]: row for row in city.out("verdicts", now)}
    assert rows[late.id]["reason"] == "OK"
    assert (rows[late.id]["business_date"], rows[late.id]["settled_on"]) == (DAY, now)
    assert rows[too_late.id]["reason"] == "TOO_LATE"


def test_a_tap_after_the_cut_off_waits_for_its_own_date(city: World) -> None:
    before = city.tap("A", 200, tapped_at=datetime.combine(DAY + ONE, time(1, 59)))
    after = city.tap("A", 300, tapped_at=datetime.combine(DAY + ONE, time(2, 0)))
    city.upload(before, after)
    assert city.clear().verdicts == {"accepted": 1, "suspended": 1}
    report = city.clear(DAY + ONE)
    assert (report.verdicts, report.charged_fen) == ({"accepted": 1}, 300)


def listing(
    city: World, name: str, version: int, at: datetime, until: datetime | None = None
) -> dict[str, Any]:
    """A row of the hotlist."""
    pan = city.card(name).pan
    return {"pan": pan, "version": version, "reason": "lost", "listed_at": at, "delisted_at": until}


@pytest.mark.parametrize(
    ("told", "terminal_version", "listed_for", "delisted_for"),
    [
        ("HOTLISTED", 5, 60, None),  # the terminal held the list: it should have refused
        ("OK", 4, 60, None),  # it had not got it yet: the issuer's loss
        ("OK", 5, -60, None),  # tapped before the card was reported
        ("OK", 9, 60, 10),  # delisted by then
        ("HOTLISTED", 9, 60, -10),
    ],
)
def test_hotlist(
    city: World, told: str, terminal_version: int, listed_for: int, delisted_for: int | None
) -> None:
    tap = city.tap("A", 200, hotlist_version=terminal_version)
    until = None if delisted_for is None else tap.tapped_at - timedelta(minutes=delisted_for)
    city.hotlist = [listing(city, "A", 5, tap.tapped_at - timedelta(minutes=listed_for), until)]
    city.upload(tap)
    city.clear()
    assert city.verdicts() == {tap.id: told}


def test_a_hotlisted_tap_is_still_part_of_its_cards_story(city: World) -> None:
    first = city.tap("A", 200, hotlist_version=5)
    second = city.tap("A", 300)
    city.hotlist = [listing(city, "A", 5, first.tapped_at - ONE, first.tapped_at + timedelta(seconds=1))]
    city.upload(first, second)
    city.clear()
    assert city.verdicts() == {first.id: "HOTLISTED", second.id: "OK"}


# A card's records against each other


def test_a_gap_makes_its_neighbour_wait_until_the_missing_record_comes(city: World) -> None:
    first, missing, after, later = (city.tap("A", fen) for fen in (100, 200, 300, 400))
    city.upload(first, after, later)
    assert city.clear().reasons == {"OK": 2, "COUNTER_GAP": 1}
    assert city.verdicts()[after.id] == "COUNTER_GAP"
    city.upload(missing)
    report = city.clear(DAY + ONE)
    assert city.verdicts(DAY + ONE) == {missing.id: "OK", after.id: "OK"}
    assert report.charged_fen == 500


def test_a_gap_that_is_never_filled_is_accepted_when_the_window_ends(city: World) -> None:
    city.calendar = Calendar(late_days=2)
    first, _, after = (city.tap("A", fen) for fen in (100, 200, 300))
    city.upload(first, after)
    for n, reasons in enumerate(
        ({"OK": 1, "COUNTER_GAP": 1}, {"COUNTER_GAP": 1}, {"COUNTER_GAP": 1}, {"OK": 1})
    ):
        assert city.clear(DAY + n * ONE).reasons == reasons
    on(city, DAY + 4 * ONE)
    city.upload(city.tap("A", 100))  # the card goes on as if nothing had been
    assert city.clear(DAY + 4 * ONE).reasons == {"OK": 1}


def test_a_gap_of_several_is_filled_from_anywhere(city: World) -> None:
    taps = [city.tap("A", 100 + n) for n in range(6)]
    city.upload(taps[0], taps[5])
    city.clear()
    city.upload(taps[3])
    assert city.clear(DAY + ONE).reasons == {"COUNTER_GAP": 2}
    city.upload(taps[4], taps[1])
    city.clear(DAY + 2 * ONE)
    found = city.verdicts(DAY + 2 * ONE)
    assert found == {taps[1].id: "OK", taps[3].id: "COUNTER_GAP", taps[4].id: "OK", taps[5].id: "OK"}
    city.upload(taps[2])
    assert city.clear(DAY + 3 * ONE).reasons == {"OK": 2}


@pytest.mark.parametrize("together", [True, False])
def test_a_counter_used_twice_is_rejected(city: World, together: bool) -> None:
    first = city.tap("A", 200)
    again = signed(replace(city.tap("A", 300, METRO_TERMINAL), counter=first.counter))
    city.upload(first)
    if not together:
        city.clear()
    city.upload(again)
    day = DAY if together else DAY + ONE
    city.clear(day)
    assert city.verdicts(day)[again.id] == "COUNTER_REUSED"


def test_loads_explain_a_balance_whatever_the_clocks_say(city: World) -> None:
    """The shop's clock is an hour ahead; two loads and a free entry lie between two rides."""
    ride = city.tap("A", 200)
    hour = timedelta(hours=1)
    one, two = (city.load("A", fen, tapped_at=city.clock + hour) for fen in (5_000, 2_000))
    entry = city.tap("A", 0, METRO_TERMINAL)
    last = city.tap("A", 400)
    city.upload(ride, last, terminal=BUS_TERMINAL)
    city.upload(one, two)
    city.upload(entry)
    assert city.clear().reasons == {"OK": 5}


def test_a_load_of_last_month_explains_todays_balance(city: World) -> None:
    city.upload(city.tap("A", 200))
    city.upload(city.load("A", 5_000))
    city.clear()
    later = DAY + 30 * ONE
    on(city, later)
    city.upload(city.tap("A", 300))
    assert city.clear(later).reasons == {"OK": 1}


def test_a_balance_without_its_load_waits_for_it(city: World) -> None:
    ride, load, next_ride = city.tap("A", 200), city.load("A", 5_000), city.tap("A", 300)
    city.upload(ride, next_ride)
    city.clear()
    assert city.verdicts()[next_ride.id] == "BALANCE_MISMATCH"
    city.upload(load)
    assert city.clear(DAY + ONE).reasons == {"OK": 2}


@pytest.mark.parametrize(("accept", "end"), [(True, "accepted"), (False, "rejected")])
def test_a_balance_never_explained_ends_as_the_scheme_chose(city: World, accept: bool, end: str) -> None:
    city.rules = Rules(sheets=False, accept_unexplained=accept)
    first = city.tap("A", 200)
    city.card("A").balance_fen += 77  # nobody loaded this
    odd, after = city.tap("A", 300), city.tap("A", 400)
    city.upload(first, odd, after)
    assert city.clear().reasons == {"OK": 2, "BALANCE_MISMATCH": 1}
    later = DAY + 8 * ONE
    assert city.clear(later).verdicts == {end: 1}
    on(city, later + ONE)
    city.upload(city.tap("A", 100))
    assert city.clear(later + ONE).reasons == {"OK": 1}


def test_the_first_balance_is_the_personalised_one(city: World) -> None:
    city.card("A", 10_000).balance_fen = 9_000
    tap = city.tap("A", 200)
    city.upload(tap)
    assert city.clear().reasons == {"BALANCE_MISMATCH": 1}


def test_a_card_whose_chip_counts_from_one(city: World) -> None:
    counters = city.card("A").counters
    for kind in counters:
        counters[kind] = 1
    city.upload(city.tap("A", 200), city.tap("A", 100))
    city.upload(city.load("A", 500))
    assert city.clear().reasons == {"OK": 3}


def test_a_first_record_that_comes_late_has_its_counter_free(city: World) -> None:
    first, second = city.tap("A", 0), city.tap("A", 100)
    city.upload(second)
    assert city.clear().reasons == {"OK": 1}
    city.upload(first)
    assert city.clear(DAY + ONE).reasons == {"OK": 1}


def test_a_tap_no_contract_covers_waits_until_one_does(city: World) -> None:
    city.contracts = [contract("from tomorrow", acquirer=BUS, valid_from=DAY + ONE)]
    tap, after = city.tap("A", 200), city.tap("A", 300)
    city.upload(tap, after)
    assert city.clear().reasons == {"NO_CONTRACT": 2}
    assert city.clear(DAY + ONE).reasons == {"NO_CONTRACT": 2}  # the rate of the day of the tap counts
    assert city.clear(DAY + 20 * ONE).reasons == {"NO_CONTRACT": 2}  # and it is never lost
    city.contracts = [contract()]
    report = city.clear(DAY + 21 * ONE)
    assert (report.reasons, report.charged_fen) == ({"OK": 2}, 500)


def test_another_window_and_cut_off(city: World) -> None:
    city.calendar = Calendar(cut_off=time(4), late_days=1)
    night = datetime.combine(DAY + ONE, time(3, 30))
    late, night_tap = city.tap("A", 100, tapped_at=night - 2 * ONE), city.tap("A", 200, tapped_at=night)
    city.upload(late, night_tap)
    city.clear(DAY)
    assert city.verdicts() == {late.id: "TOO_LATE", night_tap.id: "OK"}


def test_a_terminal_elsewhere_serves_each_of_our_issuers_and_nobody_else(city: World) -> None:
    """Taps abroad come from the exchange: the acquirer of such a record is the card's issuer itself."""
    away = "990100000001"
    city.terminals[away] = (ISSUER, AWAY)
    other = bytes.fromhex(OTHER_ISSUER)
    city.card("B", issuer=OTHER_ISSUER)
    told = [
        (city.tap("A", 100, away), "OK"),
        (city.tap("B", 100, away, acquirer=other), "OK"),
        (city.tap("A", 100, away, acquirer=other), "ACQUIRER_MISMATCH"),
        (city.tap("B", 100, BUS_TERMINAL, acquirer=other), "ACQUIRER_MISMATCH"),  # a terminal of our own
    ]
    for record, _ in told:
        city.upload(record)
    city.clear()
    assert city.verdicts() == {record.id: reason for record, reason in told}
