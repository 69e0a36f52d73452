# SPDX-License-Identifier: Apache-2.0
"""Schemes as files: the built-in ones hold what they promise, wrong ones are told where and why."""

from __future__ import annotations

import io
import json
from datetime import date, datetime
from pathlib import Path

import pytest

from citycard.blueprints import BUILT_IN, Scheme, load_scheme, parse_scheme, write_default
from citycard.core import tables
from citycard.core.problem import Problem
from citycard.services import service_named
from citycard.services.contract import Event, Grant, Rights, State, Tap

TODAY = date(2026, 9, 1)


@pytest.fixture(scope="module")
def city() -> Scheme:
    return load_scheme("city")


# ---- the city of the demo


def test_the_city_has_one_of_everything(city: Scheme) -> None:
    assert [issuer.key for issuer in city.issuers] == ["issuer", "visitor-issuer"]
    for role in ("scheme", "subsidy", "retailer"):
        assert len(city.with_role(role)) == 1
    metro = [line for line in city.lines if line.service == "metro"]
    assert len(metro) >= 3
    assert len({line.operator for line in metro}) == 2
    assert 18 <= len({s.name_zh for line in metro for s in line.stations}) <= 22
    assert len([line for line in city.lines if line.service == "bus"]) >= 5
    assert any(t.loads for t in city.terminal_plans)
    assert all(city.tariff(service, TODAY) for service in ("bus", "metro", "retail"))
    assert city.participant("treasury").id in {row["concession_payer"] for row in city.contract_rows()}


def test_one_can_ride_from_every_metro_station_to_every_other(city: Scheme) -> None:
    tariff = city.tariff("metro", TODAY)
    assert tariff is not None
    nodes = list(tariff.config.network.nodes)
    assert all(tariff.config.fare_fen(a, b) for a in nodes for b in nodes)


def test_every_terminal_accepts_a_card(city: Scheme) -> None:
    events = {"metro": Event.ENTER, "bus": Event.BOARD, "retail": Event.PAY}
    for plan in city.terminal_plans:
        tariff, service = city.tariff(plan.service, TODAY), service_named(plan.service)
        assert tariff is not None
        at = datetime(2026, 9, 1, 12)
        tap = Tap(at, events[service.name], plan.line, plan.station, bytes.fromhex(plan.id), 500)
        assert isinstance(service.decide(tap, Rights(1, b""), State(None, None, 5000), tariff.config), Grant)


def test_terminal_ids_are_unique_and_of_six_bytes(city: Scheme) -> None:
    ids = [plan.id for plan in city.terminal_plans]
    assert len(set(ids)) == len(ids)
    assert all(len(bytes.fromhex(one)) == 6 for one in ids)


def test_tariffs_and_contracts_change_on_their_days(city: Scheme) -> None:
    assert city.tariff("bus", date(2019, 12, 31)) is None
    ended = [row for row in city.contract_rows() if row["valid_until"]]
    assert [row["contract"] for row in ended] == ["bus-2020"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_schemes_survive_json_and_fill_the_declared_tables(name: str) -> None:
    scheme = load_scheme(name)
    assert Scheme.from_plain(json.loads(json.dumps(scheme.to_plain()))) == scheme
    for table, rows in (
        (tables.PARTICIPANTS, scheme.participant_rows()),
        (tables.LINES, scheme.line_rows()),
        (tables.TERMINALS, scheme.terminal_rows()),
        (tables.CONTRACTS, scheme.contract_rows()),
        (tables.TARIFFS, scheme.tariff_rows()),
    ):
        file = io.StringIO()
        table.write(rows, file)
        file.seek(0)
        assert list(table.read(file)) == rows


# ---- one's own file


def test_a_written_scheme_loads_and_is_never_overwritten(tmp_path: Path, city: Scheme) -> None:
    path = write_default(tmp_path / "mine" / "city.toml")
    assert load_scheme(path) == city
    path.write_text("changed", encoding="utf-8")
    with pytest.raises(Problem) as caught:
        write_default(path)
    assert caught.value.code == "SCHEME_EXISTS"
    assert path.read_text(encoding="utf-8") == "changed"


def text_of(city_file: str = "city") -> str:
    from importlib import resources

    return resources.files("citycard.blueprints").joinpath(f"{city_file}.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "code", "parts"),
    [
        ('city = "9900"', "city = ", "SCHEME_SYNTAX", ["line 6"]),
        ('city = "9900"', 'city = "99"', "SCHEME_INVALID", ["at city", "'99'"]),
        ('city = "9900"', 'city = "9900"\ntown = 1', "SCHEME_INVALID", ["at town", "unknown"]),
        ('title_en = "Wangjiang City Card"\n', "", "SCHEME_INVALID", ["at title_en", "missing"]),
        ("late_days = 7", 'late_days = "7"', "SCHEME_INVALID", ["at accounting.late_days", "'7'"]),
        ('operator = "airport-rail"', 'operator = "airport"', "SCHEME_INVALID",
         ["line 3: operator 'airport' is no participant", "airport-rail"]),
        ("number = 102", "number = 101", "SCHEME_INVALID", ["lines: number 101 stands twice"]),
        ("lines = [901, 902]", "lines = [901, 903]", "SCHEME_INVALID", ["there is no line 903"]),
        ('concession_payer = "treasury"', 'concession_payer = "mayor"', "SCHEME_INVALID", ["'mayor'"]),
        ("issuer_bp = 70", "issuer_bp = 130", "SCHEME_INVALID", ["contracts[", "above charge_bp"]),
        ("start = 50_000_000", "start = 40_000_000", "SCHEME_INVALID", ["contracts[", "Volume tiers overlap"]),
        ("start = 50_000_000", "start = 60_000_000", "SCHEME_INVALID", ["contracts[", "leave a gap"]),
        ("entry_minimum_fen = 200", "entry_minimum = 200", "SCHEME_INVALID",
         ["tariff metro version 1", "entry_minimum", "unknown"]),
        ("{ up_to_m = 8_000, fare_fen = 300 }", "{ up_to_m = 3_000, fare_fen = 300 }", "SCHEME_INVALID",
         ["fares.distance", "rise"]),
        ('id = "1200990000000002"', 'id = "1200990000000001"', "SCHEME_INVALID", ["stands twice"]),
    ],
)  # fmt: skip
def test_a_wrong_scheme_is_told_file_key_and_reason(
    tmp_path: Path, old: str, new: str, code: str, parts: list[str]
) -> None:
    text = text_of()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(Problem) as caught:
        load_scheme(path)
    assert caught.value.code == code
    for part in (str(path), *parts):
        assert part in caught.value.text("en")
    assert str(path) in caught.value.text("zh")


def test_a_missing_scheme_an_unreadable_one_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "gbk.toml").write_bytes('title_zh = "望江"'.encode("gb18030"))
    for path, code, part in (
        ("atlantis", "SCHEME_MISSING", "city, shenzhen"),
        (tmp_path, "SCHEME_MISSING", "no such file"),
        (tmp_path / "gbk.toml", "SCHEME_SYNTAX", "not UTF-8"),
    ):
        with pytest.raises(Problem, match=part) as caught:
            load_scheme(path)
        assert caught.value.code == code


def test_stations_of_one_name_are_one_interchange(city: Scheme) -> None:
    text = text_of().replace("丝绸市场", "南岸")
    moved = parse_scheme(text, "changed.toml")
    before, after = (s.tariff("metro", TODAY).config for s in (city, moved))
    assert before.fare_fen((1, 7), (3, 3)) > after.fare_fen((1, 7), (3, 3))
    assert len(after.network.interchanges) == len(before.network.interchanges) + 1
