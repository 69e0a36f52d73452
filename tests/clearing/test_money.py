# SPDX-License-Identifier: Apache-2.0
"""Who is owed what: small tables that a person can check with a pencil."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from citycard.blueprints import load_scheme
from citycard.clearing import Rules
from citycard.clearing.contracts import covering
from citycard.core.money import share_of, split_fen
from citycard.core.problem import Problem
from citycard.services import REGISTRY
from citycard.services.contract import Place
from tests.clearing.world import (
    BUS,
    BUS_TERMINAL,
    CITY,
    DAY,
    EAST,
    ISSUER,
    METRO,
    METRO_TERMINAL,
    SCHEME,
    SHOP,
    World,
    contract,
    signed,
)

WHO = {
    "bus": BUS,
    "metro": METRO,
    "east": EAST,
    "shop": SHOP,
    "issuer": ISSUER,
    "scheme": SCHEME,
    "city": CITY,
}


@pytest.fixture
def city(tmp_path: Path) -> World:
    return World(tmp_path)


def parse(text: str) -> list[list[str]]:
    """Rows of a table drawn with bars; the heading and the rule under it are left out."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.strip().splitlines()
    ]
    return [row for row in rows[1:] if not set("".join(row)) <= {"-"}]


def drawn_shares(text: str) -> set[tuple[str, str, int]]:
    """(participant, cause, fen) of each row."""
    return {(WHO[who], cause, int(fen)) for who, cause, fen in parse(text)}


def shares(city: World, day: date = DAY) -> set[tuple[str, str, int]]:
    """What the lake holds, of all taps of a run."""
    rows = pq.read_table(city.home / f"lake/runs/{day}/shares.parquet").to_pylist()
    return {(row["participant"], row["cause"], row["amount_fen"]) for row in rows}


# By hand: fee 1 % of 250 = 2.5, half up 3. Issuer 0.5 %, acquirer 0.2 %, scheme 0.3 % of it:
# 3 * 50/100 = 1 rest 50, 3 * 20/100 = 0 rest 60, 3 * 30/100 = 0 rest 90: two fen are left,
# they go to the largest remainders, scheme and acquirer.
BUS_RIDE = """
| who    | cause        | fen  |
|--------|--------------|------|
| issuer | fare         | -250 |
| bus    | fare         |  247 |
| issuer | issuer_fee   |    1 |
| bus    | acquirer_fee |    1 |
| scheme | scheme_fee   |    1 |
"""


def test_a_bus_ride(city: World) -> None:
    city.upload(city.tap("A", 250))
    city.clear()
    assert shares(city) == drawn_shares(BUS_RIDE)
    assert city.net() == {ISSUER: -249, BUS: 248, SCHEME: 1}


# The metro takes 500, fee 5 (issuer 3, acquirer 1, scheme 1: 2.5, 1.0, 1.5, the tie goes to the issuer).
# 495 go to the operators by kilometres 3 : 4: 212.14 and 282.86; the fen left goes to the larger remainder.
# The city pays the student's concession of 100: 42.86 and 57.14, 43 and 57.
METRO_RIDE = """
| who    | cause          | fen  |
|--------|----------------|------|
| issuer | fare           | -500 |
| metro  | fare           |  495 |
| issuer | issuer_fee     |    3 |
| metro  | acquirer_fee   |    1 |
| scheme | scheme_fee     |    1 |
| metro  | operator_share | -283 |
| east   | operator_share |  283 |
| city   | concession     | -100 |
| metro  | concession     |   43 |
| east   | concession     |   57 |
"""


def test_a_metro_ride_over_two_operators_with_a_subsidised_concession(city: World) -> None:
    city.rules = Rules(sheets=False, sharing=lambda *_: ((METRO, 3), (EAST, 4)))
    city.contracts = [contract(concession_payer=CITY)]
    city.upload(city.tap("A", 500, METRO_TERMINAL, list_fen=600, concession_fen=100))
    city.clear()
    assert shares(city) == drawn_shares(METRO_RIDE)


DISCOUNTS = """
| bears concession | bears transfer | issuer | bus | city |
|------------------|----------------|--------|-----|------|
| acquirer         | acquirer       |   -100 | 100 |    0 |
| issuer           | acquirer       |   -160 | 160 |    0 |
| acquirer         | city           |   -100 | 140 |  -40 |
| issuer           | city           |   -160 | 200 |  -40 |
| city             | city           |   -100 | 200 | -100 |
"""


@pytest.mark.parametrize(("concession", "transfer", "issuer", "bus", "subsidy"), parse(DISCOUNTS))
def test_who_bears_a_discount(
    city: World, concession: str, transfer: str, issuer: str, bus: str, subsidy: str
) -> None:
    """A ride of 200, less 60 for the class and 40 for the transfer, no fee."""
    payers = {
        "concession_payer": concession.replace("city", CITY),
        "transfer_payer": transfer.replace("city", CITY),
    }
    city.contracts = [contract(charge_bp=0, acquirer_bp=0, issuer_bp=0, **payers)]
    city.upload(city.tap("A", 100, list_fen=200, concession_fen=60, transfer_fen=40))
    city.clear()
    net = city.net()
    assert (net[ISSUER], net[BUS], net.get(CITY, 0)) == (int(issuer), int(bus), int(subsidy))


def test_a_load_with_a_commission(city: World) -> None:
    """The retailer owes 5000 to the issuer, who gives 1 % away: 20 to the retailer, 30 to the scheme."""
    city.contracts = [contract(), contract("loads", service=0)]
    city.upload(city.load("A", 5_000))
    city.clear()
    assert city.net() == {SHOP: -4_990, ISSUER: 4_975, SCHEME: 15}


def test_an_issuer_that_is_its_own_acquirer_pays_itself_but_the_fee(city: World) -> None:
    city.names[ISSUER] = ("Issuer", "发卡公司", "issuer acquirer")
    city.terminals["990000000009"] = (ISSUER, 3)
    city.upload(city.tap("A", 1_000, "990000000009"))
    city.clear()
    assert city.net() == {ISSUER: -3, SCHEME: 3}
    assert {cause for _, cause, _ in shares(city)} == {"fare", "issuer_fee", "acquirer_fee", "scheme_fee"}


def test_the_exported_tariff_divides_a_metro_fare_by_the_metres_ridden(city: World) -> None:
    """The demo city's own network: from line 1 over to line 2, each run by another operator here."""
    scheme = load_scheme("city")
    metro = next(tariff for tariff in scheme.priced if tariff.service == 2)
    one, two = metro.config.network.tracks[:2]
    place = {
        "line": two.line,
        "station": two.stops[-1].station,
        "entry_line": one.line,
        "entry_station": one.stops[0].station,
    }
    city.lines = {track.line: METRO for track in metro.config.network.tracks} | {two.line: EAST}
    city.tariffs = [
        {"service": 2, "version": 1, "valid_from": DAY, "config": json.dumps(metro.config.to_plain())}
    ]
    city.contracts = [contract(charge_bp=0, acquirer_bp=0, issuer_bp=0)]
    city.upload(city.tap("A", 1_001, METRO_TERMINAL, **place))
    city.clear()
    weights = dict(REGISTRY[2].shares(Place(METRO, **place), metro.config, city.lines))
    assert set(weights) == {METRO, EAST}
    parts = dict(zip(weights, split_fen(1_001, list(weights.values())), strict=True))
    assert city.net() == {ISSUER: -1_001, **parts}


FEES = """
| amount | charge | acquirer | issuer | fee |
|--------|--------|----------|--------|-----|
|      0 |    100 |       20 |     50 |   0 |
|      1 |  10000 |     3333 |   3333 |   1 |
|     50 |    100 |       20 |     50 |   1 |
|     49 |    100 |       20 |     50 |   0 |
|    333 |   1000 |      500 |    500 |  33 |
|    999 |     77 |       11 |     33 |   8 |
|  65535 |   9999 |     4999 |   4999 | 65528 |
"""


@pytest.mark.parametrize(("amount", "charge", "acquirer", "issuer", "fee"), parse(FEES))
def test_fees_are_divided_as_the_core_divides(
    city: World, amount: str, charge: str, acquirer: str, issuer: str, fee: str
) -> None:
    fen, charge_bp, acquirer_bp, issuer_bp = int(amount), int(charge), int(acquirer), int(issuer)
    city.contracts = [contract(charge_bp=charge_bp, acquirer_bp=acquirer_bp, issuer_bp=issuer_bp)]
    city.card("A", 100_000)
    city.upload(city.tap("A", fen))
    city.clear()
    parts = {cause: amount for _, cause, amount in shares(city) if cause.endswith("fee")}
    wanted = split_fen(int(fee), [issuer_bp, acquirer_bp, charge_bp - issuer_bp - acquirer_bp])
    assert share_of(fen, charge_bp) == int(fee)
    assert [parts.get(cause, 0) for cause in ("issuer_fee", "acquirer_fee", "scheme_fee")] == wanted


# Contracts

ROWS = [
    contract("any"),
    contract("bus", service=1),
    contract("bus of us", service=1, issuer=ISSUER),
    contract("old", acquirer=SHOP, valid_until=date(2026, 2, 28)),
    contract("new", acquirer=SHOP, valid_from=date(2026, 3, 1)),
]
COVERED = """
| service | acquirer | issuer | date       | contract  |
|---------|----------|--------|------------|-----------|
| 1       | bus      | issuer | 2026-03-02 | bus of us |
| 1       | bus      | city   | 2026-03-02 | bus       |
| 2       | bus      | issuer | 2026-03-02 | any       |
| 3       | shop     | issuer | 2026-02-28 | old       |
| 3       | shop     | issuer | 2026-03-01 | new       |
| 3       | shop     | issuer | 2025-12-31 | none      |
| 0       | shop     | issuer | 2026-03-02 | none      |
"""


@pytest.mark.parametrize(("service", "acquirer", "issuer", "day", "name"), parse(COVERED))
def test_the_most_specific_contract_in_force_covers_a_tap(
    service: str, acquirer: str, issuer: str, day: str, name: str
) -> None:
    combination = (int(service), WHO[acquirer], WHO[issuer], date.fromisoformat(day))
    rows = [row for row in ROWS if not (day == "2025-12-31" and row["contract"] == "old")]
    found = covering(rows, combination)
    assert (found["contract"] if found else "none") == name


def test_equally_specific_contracts_stop_the_run_and_a_correction_lets_it_go_on(city: World) -> None:
    city.contracts = [contract("bus", service=1), contract("us", issuer=ISSUER)]
    city.upload(city.tap("A", 200))
    with pytest.raises(Problem) as told:
        city.clear()
    assert told.value.code == "CONTRACT_AMBIGUOUS"
    assert "bus, us" in str(told.value)
    assert "bus, us" in told.value.text("zh")
    city.contracts[0] = contract("bus", service=1, valid_until=DAY - timedelta(days=1))
    assert city.clear().reasons == {"OK": 1}


@pytest.mark.parametrize("tie", [(1, 1), (1, 1, 1)])
def test_ties_among_operators_go_to_the_first(city: World, tie: tuple[int, ...]) -> None:
    who = (EAST, METRO, CITY)[: len(tie)]
    city.rules = Rules(sheets=False, sharing=lambda *_: tuple(zip(who, tie, strict=True)))
    city.contracts = [contract(charge_bp=0, acquirer_bp=0, issuer_bp=0)]
    tap = city.tap("A", 100, METRO_TERMINAL)
    city.upload(tap, signed(replace(city.tap("B", 1, BUS_TERMINAL))), terminal=METRO_TERMINAL)
    city.clear()
    net = city.net()
    wanted = [a + b for a, b in zip(split_fen(100, tie), split_fen(1, tie), strict=True)]
    assert [net.get(participant, 0) for participant in who] == wanted
