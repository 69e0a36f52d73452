# SPDX-License-Identifier: Apache-2.0
"""What a card remembers: a day's journeys written to its records and read back, and records of others."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citycard.blueprints import load_scheme
from citycard.core import tunion
from citycard.core.record import Flag
from citycard.services import REGISTRY, bus, metro, retail
from citycard.services.card_state import LAST, METRO_NUMBER, Site, read_state, write_state
from citycard.services.contract import Event, Grant, Journey, Ride, Rights, State, Tap

SITE = Site(bytes.fromhex("1200990000000002"), "9900")
CITY = load_scheme("city")


class CardFiles:
    """The two files a tap writes, and the balance."""

    def __init__(self, balance_fen: int) -> None:
        self.metro: bytes | None = bytes(tunion.METRO.size)
        self.newest: bytes | None = None
        self.balance_fen = balance_fen

    def state(self) -> State:
        return read_state(self.metro, self.newest, self.balance_fen)

    def tap(self, service: int, at: str, event: Event, line: int, station: int, amount_fen: int = 0) -> Any:
        terminal = bytes.fromhex(f"9900{line:04d}{station:02d}01")
        tap = Tap(datetime.fromisoformat(f"2026-09-01 {at}"), event, line, station, terminal, amount_fen)
        tariff = CITY.tariff(service, date(2026, 9, 1))
        assert tariff is not None
        before = self.state()
        decision = REGISTRY[service].decide(tap, Rights(1, bytes(8)), before, tariff.config)
        if isinstance(decision, Grant):
            for record in write_state(REGISTRY[service], decision, tap, before, SITE, serial=7):
                if record.sfi == tunion.SFI_INDUSTRY:
                    assert record.number == METRO_NUMBER
                    self.metro = record.data
                else:
                    assert (record.sfi, record.number) == (tunion.SFI_TRANSIT, 0)
                    self.newest = record.data
            self.balance_fen -= decision.fare.charged_fen
        return decision


def test_a_day_on_one_card() -> None:
    card = CardFiles(5000)
    assert card.tap(1, "07:30", Event.BOARD, 101, 0).fare.charged_fen == 180
    entered = card.tap(2, "08:00", Event.ENTER, 1, 1)
    assert card.state().journey == entered.journey
    assert card.state().last.line == 101, "the bus is remembered through the entry"
    left = card.tap(2, "08:40", Event.EXIT, 1, 4)
    assert left.flags == Flag.TRANSFER
    assert (left.fare.list_fen, left.fare.charged_fen) == (300, 185)
    assert card.state().journey is None
    assert card.state().last == Ride(1, 1, 4, datetime(2026, 9, 1, 8, 40), bytes.fromhex("990000010401"), 185)
    card.tap(3, "08:50", Event.PAY, 901, 1, 880)
    assert card.tap(1, "09:00", Event.BOARD, 102, 0).flags == Flag.TRANSFER, "a purchase between is no ride"
    assert card.balance_fen == 5000 - 180 - 185 - 880 - 80
    assert tunion.TRANSIT.decode(card.newest)["balance_after_fen"] == card.balance_fen


def test_a_journey_never_closed_is_found_at_the_next_entry() -> None:
    card = CardFiles(5000)
    first = card.tap(2, "08:00", Event.ENTER, 1, 1)
    card.tap(1, "12:00", Event.BOARD, 101, 0)
    assert card.state().journey == first.journey
    assert card.state().last.line == 101, "a bus after the entry is the newest ride"
    again = card.tap(2, "18:00", Event.ENTER, 1, 4)
    assert (again.flags, again.closes, again.fare.charged_fen) == (Flag.MISSING_EXIT, first.journey, 300)
    assert card.state().journey == again.journey


moments = st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1)).map(lambda at: at.replace(microsecond=0))
terminals = st.binary(min_size=6, max_size=6)
places = st.integers(0, 65535)
modes = st.sampled_from([1, 2])
rides = st.builds(Ride, modes, places, places, moments, terminals, st.integers(0, 10**6))


@given(
    st.none() | rides, moments, terminals, st.integers(0, 255), st.integers(0, 65535), st.integers(0, 10**5)
)
def test_an_entry_is_read_back_with_the_ride_before(
    last: Ride | None, at: datetime, terminal: bytes, line: int, station: int, balance: int
) -> None:
    journey = Journey(line, station, at, terminal)
    tap = Tap(at, Event.ENTER, line, station, terminal)
    before = State(None, last, balance)
    records = write_state(metro.SERVICE, Grant(metro.Fare(), journey=journey), tap, before, SITE)
    assert read_state(records[0].data, records[1].data, balance) == State(journey, last, balance)


@given(st.integers(0, 65535), st.integers(0, 65535), moments, terminals, st.integers(0, 400))
def test_a_ride_is_read_back(line: int, stop: int, at: datetime, terminal: bytes, charged: int) -> None:
    tap = Tap(at, Event.BOARD, line, stop, terminal)
    grant = Grant(bus.Fare(charged))
    (record,) = write_state(bus.SERVICE, grant, tap, State(balance_fen=400), SITE)
    after = read_state(None, record.data, 400 - charged)
    assert after == State(None, Ride(2, line, stop, at, terminal, charged), 400 - charged)


def test_a_shop_leaves_the_transit_files_alone() -> None:
    tap = Tap(datetime(2026, 9, 1, 12), Event.PAY, 901, 1, bytes(6), 100)
    assert write_state(retail.SERVICE, Grant(retail.Fare(100)), tap, State(balance_fen=400), SITE) == []


@pytest.mark.parametrize("size", [0, 47, 48, 49, 127, 128, 129])
@pytest.mark.parametrize("fill", [0x00, 0xFF, 0x99, 0x5A])
def test_records_of_others_are_nothing_remembered(size: int, fill: int) -> None:
    state = read_state(bytes([fill] * size), bytes([fill] * size), 100)
    assert state == State(balance_fen=100)


@given(st.binary(min_size=128, max_size=128), st.binary(min_size=48, max_size=48))
def test_no_bytes_on_a_card_can_stop_a_terminal(metro_record: bytes, newest: bytes) -> None:
    read_state(metro_record, newest, 0)
    read_state(bytes.fromhex("2701007C0100") + metro_record[6:14] + b"\1" + metro_record[15:], newest, 0)


def test_the_last_ride_fits_where_it_is_kept() -> None:
    assert LAST.size == next(f.size for f in tunion.METRO.fields if f.name == "operator_specific")
    for raw, values in LAST.examples:
        assert LAST.encode(**values).hex().upper() == raw.upper()
        assert LAST.decode(bytes.fromhex(raw)) == dict(values)


def test_the_real_exit_record_of_another_city_reads_as_a_ride() -> None:
    raw = bytes.fromhex(tunion.TRANSIT.examples[0][0])
    last = read_state(None, raw, 3585).last
    terminal, at = bytes.fromhex("300089000340"), datetime(2024, 12, 29, 14, 17, 40)
    assert last == Ride(metro.SERVICE.mode, 0x0800, 0x1900, at, terminal, 500)
