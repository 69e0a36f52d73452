# SPDX-License-Identifier: Apache-2.0
"""Fares from outside: the real Hong Kong matrix comes out to the cent, the real Boston feed prices journeys."""

from __future__ import annotations

import csv
import json
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from citycard.clearing.feeds import Feed, Leg, import_matrix, read_feed, to_tariffs
from citycard.clearing.feeds.od_matrix import HONG_KONG
from citycard.cli.fares import app
from citycard.core.problem import Problem
from citycard.services import metro
from citycard.services.concession import CLASS_CODES
from citycard.services.contract import Event, Grant, Journey, Rights, State, Tap
from citycard.services.metro.config import MetroConfig, SameStation

NOON = datetime(2024, 10, 8, 12, 0)
GATE = bytes(6)


# A matrix


def test_every_fare_of_hong_kong_is_charged_to_the_cent(public_data: Path) -> None:
    """All 9,216 pairs in nine classes: what an exit gate decides is what the published matrix says."""
    path = public_data / "hk_mtr_fares" / "mtr_lines_fares.csv.zst"
    table, report = import_matrix(path, HONG_KONG)
    assert (report.rows, report.stations, report.missing_pairs) == (9216, 96, 0)
    assert report.asymmetric == ()
    assert report.free_pairs == ("1-39", "3-80")
    tariff = MetroConfig(fares=table)
    text = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd").read().decode()
    checked = 0
    for row in csv.DictReader(text.splitlines()):
        start, goal = int(row["SRC_STATION_ID"]), int(row["DEST_STATION_ID"])
        entry = State(Journey(1, start, NOON, GATE), None, 10_000)
        tap = Tap(NOON + timedelta(minutes=20), Event.EXIT, 1, goal, b"other!")
        for column, name in HONG_KONG.fares.items():
            grant = metro.decide(tap, Rights(CLASS_CODES[name], b""), entry, tariff)
            assert isinstance(grant, Grant)
            whole, _, cents = row[column].partition(".")
            assert grant.fare.charged_fen == int(whole) * 100 + int(cents), (row, column)
            checked += 1
    assert checked == 9216 * 9


def test_leaving_where_one_entered_keeps_its_own_rule(tmp_path: Path) -> None:
    path = tmp_path / "small.csv"
    path.write_text("a,b,adult,child\n1,1,0,0\n1,2,5.0,2.50\n2,1,5.0,2.5\n2,2,0,0\n")
    form = HONG_KONG.from_plain(
        {"from_id": "a", "to_id": "b", "fares": {"adult": "ordinary", "child": "child"}}
    )
    tariff = MetroConfig(fares=import_matrix(path, form)[0], same_station=SameStation(fee_fen=300))
    entry = State(Journey(1, 1, NOON, GATE), None, 10_000)
    child = Rights(CLASS_CODES["child"], b"")
    for goal, fen in ((2, 250), (1, 300)):
        tap = Tap(NOON + timedelta(hours=1), Event.EXIT, 1, goal, b"other!")
        grant = metro.decide(tap, child, entry, tariff)
        assert isinstance(grant, Grant)
        assert grant.fare.charged_fen == fen


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b,adult,child\n1,2,five,2\n", "'five' is no amount"),
        ("a,b,adult,child\n1,x,5,2\n", "no whole number"),
        ("a,b,adult,child\n1,2,5\n", "more or fewer cells"),
        ("a,b,adult,child\n1,2,5,2\n1,2,6,2\n", "stands twice"),
        ("a,b,adult\n1,2,5\n", "column child is missing"),
    ],
)
def test_a_bad_matrix_is_refused_with_its_row(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    form = HONG_KONG.from_plain(
        {"from_id": "a", "to_id": "b", "fares": {"adult": "ordinary", "child": "child"}}
    )
    with pytest.raises(Problem, match=told):
        import_matrix(path, form)


# A feed


@pytest.fixture(scope="module")
def boston() -> Feed:
    from tests.support import parts

    folder = parts.need(parts.public_data(), "the public data", "name its folder in CITYCARD_DATA")
    return read_feed(folder / "mbta_gtfs_fares_v2")


def ride(network: str, start: int, minutes: int = 20, ends: tuple[str, str] = ("x", "y")) -> Leg:
    began = NOON + timedelta(minutes=start)
    return Leg(network, *ends, began, began + timedelta(minutes=minutes))


def test_journeys_in_boston(boston: Feed) -> None:
    """Prices known from the operator's own tariff of autumn 2024."""
    told = {
        "one subway ride": ([ride("rapid_transit", 0)], "charlieticket", 240),
        "a bus for cash": ([ride("local_bus", 0)], "cash", 170),
        "subway, then bus within two hours": (
            [ride("rapid_transit", 0), ride("local_bus", 40)],
            "charlieticket",
            240,
        ),
        "subway, and a bus three hours later": (
            [ride("rapid_transit", 0), ride("local_bus", 180)],
            "charlieticket",
            480,
        ),
        "cash buys no transfer": ([ride("local_bus", 0), ride("local_bus", 30)], "cash", 340),
        "a ferry": ([ride("ferry_f1", 0)], "cash", 975),
    }
    for what, (legs, medium, amount) in told.items():
        quote = boston.quote(legs, medium)
        assert quote is not None, what
        assert quote.amount == amount, (what, quote)
    assert boston.quote([ride("ferry_f1", 0)], "charlieticket") is None
    zones = {
        area: stop
        for stop, areas in boston.areas_of.items()
        for area in areas
        if area.startswith("area_commuter")
    }
    far = boston.quote(
        [
            ride(
                "commuter_rail",
                0,
                60,
                (zones["area_commuter_rail_zone_10"], zones["area_commuter_rail_zone_1a"]),
            )
        ],
        "cash",
    )
    assert far is not None
    assert far.amount == 1325


def test_what_a_terminal_can_say_of_boston_and_what_not(boston: Feed) -> None:
    found = to_tariffs(boston, "cash")
    assert found.flat["local_bus"] == 170
    assert found.flat["m_rapid_transit"] == 240
    table = found.tables["commuter_rail"]
    numbers = found.areas["commuter_rail"]
    for a in numbers:
        for b in numbers:
            stops = [next((s for s, of in boston.areas_of.items() if area in of), None) for area in (a, b)]
            if a != b and None not in stops:
                quote = boston.quote([ride("commuter_rail", 0, 60, (str(stops[0]), str(stops[1])))], "cash")
                assert table["fares_fen"][numbers[a] - 1][numbers[b] - 1] == (
                    quote.amount if quote else None
                ), (a, b)
    codes = {one.code for one in found.inexpressible}
    assert {"TIMEFRAME_UNDEFINED", "MODE", "TRANSFER_UNTIMED", "TRANSFER_ONLY", "COLUMN_UNKNOWN"} <= codes
    subway = to_tariffs(boston, "charlieticket")
    assert subway.transfers["metro", "bus"] == {"after": ["metro"], "window_minutes": 120, "off_bp": 10_000}


def test_the_rules_one_by_one(tmp_path: Path) -> None:
    """A made-up feed with a rule of each kind, priced by hand."""
    for name, text in {
        "fare_media.txt": "fare_media_id,fare_media_name,fare_media_type\ncard,Card,2\n",
        "fare_products.txt": "fare_product_id,fare_media_id,amount,currency\n"
        "bus,card,2.00,USD\ntrain,card,3.00,USD\nnight,card,1.00,USD\nup,card,0.50,USD\nday,card,4.00,USD\n",
        "fare_leg_rules.txt": "leg_group_id,network_id,from_area_id,to_area_id,fare_product_id,from_timeframe_group_id\n"
        "b,bus,,,bus,\nt,train,,,train,\nn,,,,night,late\n",
        "fare_transfer_rules.txt": "from_leg_group_id,to_leg_group_id,transfer_count,duration_limit,"
        "duration_limit_type,fare_transfer_type,fare_product_id\n"
        "b,t,,3600,1,0,up\nt,t,1,7200,1,0,\nt,b,,600,2,1,up\nb,b,,,,2,day\n",
        "timeframes.txt": "timeframe_group_id,start_time,end_time,service_id\nlate,22:00:00,24:00:00,all\n",
        "calendar.txt": "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
        "all,1,1,1,1,1,1,1,20240101,20241231\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    feed = read_feed(tmp_path)
    for legs, amount in (
        ([ride("bus", 0), ride("train", 30)], 250),  # A + AB
        ([ride("bus", 0), ride("train", 90)], 500),  # too late
        ([ride("train", 0), ride("train", 30)], 300),  # free
        ([ride("train", 0), ride("train", 30), ride("train", 60)], 600),  # one transfer only
        ([ride("train", 0, 20), ride("bus", 25)], 500),  # A + AB + B would be more than two fares
        ([ride("bus", 0), ride("bus", 30)], 400),  # AB: a day ticket in place of both
        ([ride("tram", 600)], 100),  # any other network, at night
    ):
        quote = feed.quote(legs, "card")
        assert quote is not None
        assert quote.amount == amount, legs
    assert feed.quote([ride("tram", 0)], "card") is None  # not at noon
    told = CliRunner().invoke(
        app, ["price", str(tmp_path), "bus,x,y,2024-10-08T12:00,12:20", "train,x,y,2024-10-08T12:30,12:50",
              "--medium", "card", "--json"],
    )  # fmt: skip
    assert json.loads(told.stdout) == {"amount": 250, "bought": ["bus", "up"]}
    for arguments, code in (
        (["price", str(tmp_path), "bus,x", "--medium", "card"], "LEG_INVALID"),
        (["import-gtfs", str(tmp_path), "--medium", "coin"], "MEDIUM_UNKNOWN"),
        (["import-gtfs", str(tmp_path / "none"), "--medium", "card"], "FEED_FILE"),
        (["import-od", str(tmp_path / "calendar.txt"), "--form", "none"], "FORM_UNKNOWN"),
    ):
        fault = CliRunner().invoke(app, arguments).exception
        assert isinstance(fault, Problem)
        assert fault.code == code
    assert feed.services["all"][0] == date(2024, 1, 1)
