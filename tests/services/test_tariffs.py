# SPDX-License-Identifier: Apache-2.0
"""Tariffs as configuration: they survive JSON, refuse what is wrong in words, and keep their arithmetic."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citycard.blueprints import BUILT_IN, load_scheme
from citycard.core.problem import Problem
from citycard.services import REGISTRY, load_config, service_named
from citycard.services.concession import Block, ClassRule, Concessions, Rounding, Slice, TransferRule
from citycard.services.metro import MetroConfig

FLAT = {"kind": "flat", "fare_fen": 200}

# ---- JSON


@pytest.mark.parametrize("name", BUILT_IN)
def test_tariffs_of_built_in_schemes_survive_json(name: str) -> None:
    for tariff in load_scheme(name).priced:
        text = json.dumps(tariff.config.to_plain(), ensure_ascii=False)
        assert load_config(tariff.service, json.loads(text)) == tariff.config


def test_a_used_tariff_still_equals_a_fresh_one() -> None:
    config = load_scheme("city").tariff("metro", date(2026, 9, 1)).config
    assert config.fare_fen((1, 1), (3, 1)) == 600  # fills its tables
    assert MetroConfig.from_plain(config.to_plain()) == config


@pytest.mark.parametrize(
    ("service", "plain", "where", "why"),
    [
        ("bus", {}, "fares", "missing"),
        ("bus", {"fares": [{"fare": FLAT}], "discont": 1}, "discont", "unknown"),
        ("bus", {"fares": [{"fare": FLAT | {"fare_fen": "200"}}]}, "fares[0].fare.flat.fare_fen", "'200'"),
        ("bus", {"fares": [{"fare": FLAT | {"fare_fen": 2.5}}]}, "fares[0].fare.flat.fare_fen", "2.5"),
        ("bus", {"fares": [{"fare": FLAT | {"fare_fen": -1}}]}, "fares[0].fare.flat.fare_fen", "-1"),
        ("bus", {"fares": [{"fare": FLAT}, {"fare": FLAT}]}, "top level", "two fares name no line"),
        ("bus", {"fares": [{"lines": [1, 1], "fare": FLAT}]}, "top level", "line 1 is priced twice"),
        ("bus", {"fares": [{"fare": FLAT}], "concessions": {"rules": [{"classes": ["pupil"], "pay_bp": 0}]}},
         "concessions.rules[0].classes[0]", "'pupil'"),
        ("bus", {"fares": [{"fare": FLAT}], "concessions": {"rules": [{"classes": ["senior"]}]}},
         "concessions.rules[0]", "either pay_bp or slices"),
        ("metro", {"fares": {"kind": "distance", "steps": [{"up_to_m": 1, "fare_fen": 1}]}},
         "top level", "tracks"),
        ("metro", {"fares": {"kind": "zones"}}, "fares", "'zones'"),
        ("metro", {"fares": {"kind": "keyed", "maximum_fen": 9}, "missing_entry": {"action": "ignore"}},
         "top level", "cannot be ignored"),
        ("metro",
         {"fares": {"kind": "table", "stations": [{"line": 1, "station": 1}], "fares_fen": [[1, 2]]}},
         "fares.table", "1 rows of 1 fares"),
        ("retail", {"limits": {"minimum_fen": 2, "maximum_fen": 1}}, "limits", "minimum_fen is above"),
    ],
)  # fmt: skip
def test_a_wrong_tariff_is_told_where_and_why(service: str, plain: object, where: str, why: str) -> None:
    with pytest.raises(Problem) as caught:
        load_config(service, plain)
    assert caught.value.code == "TARIFF_INVALID"
    assert where in caught.value.fields["where"]
    assert why in caught.value.fields["why"]
    assert f"the {service} tariff" in caught.value.text("en")


def test_an_unknown_service_is_told_with_the_known_ones() -> None:
    with pytest.raises(Problem, match="Known are: bus, metro, retail"):
        service_named("ferry")
    assert [service_named(code).code for code in (1, 2, 3)] == sorted(REGISTRY)


# ---- prices


@given(st.integers(0, 10**6), st.integers(0, 10_000), st.sampled_from([1, 5, 10, 100]),
       st.sampled_from(["half_up", "half_even", "down", "up"]))  # fmt: skip
def test_rounding_takes_the_right_neighbour(list_fen: int, pay_bp: int, step: int, mode: str) -> None:
    exact = Fraction(list_fen * pay_bp, 10_000)
    price = Rounding(step_fen=step, mode=mode).price(list_fen * pay_bp, 10_000)
    below = exact // step * step
    assert price % step == 0
    assert price in (below, below + step)
    distance = abs(price - exact)
    match mode:
        case "down":
            assert price == below
        case "up":
            assert price >= exact
        case "half_up":
            assert distance < Fraction(step, 2) or (distance == Fraction(step, 2) and price > exact)
        case _:
            assert distance < Fraction(step, 2) or (price // step) % 2 == 0


@given(st.integers(0, 5000), st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 10_000)), max_size=4),
       st.integers(0, 10_000))  # fmt: skip
def test_slices_pay_each_fen_once(list_fen: int, parts: list[tuple[int, int]], rest_bp: int) -> None:
    """Against the definition: walk through the list price fen by fen."""
    bounds = sorted(dict(parts).items())
    rule = ClassRule(
        classes=("ordinary",),
        slices=(*(Slice(up_to_fen=end, pay_bp=bp) for end, bp in bounds), Slice(pay_bp=rest_bp)),
    )
    rates = [next((bp for end, bp in bounds if fen < end), rest_bp) for fen in range(list_fen)]
    expected = Rounding(mode="down").price(sum(rates), 10_000)
    assert rule.price(list_fen, Rounding(mode="down")) == expected


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 500))
def test_a_transfer_leaves_the_minimum_and_never_more_than_the_price(
    price: int, off: int, least: int
) -> None:
    rule = TransferRule(after=("bus",), window_minutes=60, off_fen=off, minimum_fen=least)
    left = price - rule.discount(price, Rounding())
    assert left == max(price - off, min(price, least))


def test_the_best_transfer_counts_once() -> None:
    rules = [
        {"after": ["bus", "metro"], "window_minutes": 60, "off_fen": 30},
        {"after": ["metro"], "window_minutes": 60, "off_bp": 2500},
    ]
    from citycard.services.contract import Event, Ride, Rights, State, Tap

    bus = load_config("bus", {"fares": [{"fare": FLAT}], "transfers": rules})
    at = datetime(2026, 9, 1, 10)
    for mode, off in ((1, 50), (2, 30)):
        last = Ride(mode, 1, 1, datetime(2026, 9, 1, 9, 30), bytes(6), 100)
        tap = Tap(at, Event.BOARD, 101, 0, b"\1" * 6)
        decision = service_named("bus").decide(tap, Rights(1, b""), State(None, last, 1000), bus)
        assert decision.fare.transfer_fen == off


# ---- validity


@pytest.mark.parametrize(
    ("at", "holds"),
    [
        ("2026-09-01 22:59", False),  # a Tuesday
        ("2026-09-01 23:00", True),
        ("2026-09-02 04:59", True),
        ("2026-09-02 05:00", False),
        ("2026-09-05 23:30", False),  # a Saturday
        ("2026-08-31 23:30", False),  # the day before
        ("2026-09-30 23:30", True),
        ("2026-10-01 23:30", False),
    ],
)
def test_a_block_of_validity_past_midnight(at: str, holds: bool) -> None:
    block = Block(
        from_date=date(2026, 9, 1), until_date=date(2026, 9, 30),
        weekdays=("mon", "tue", "wed", "thu", "fri"),
        from_time=time(23), until_time=time(5),
    )  # fmt: skip
    assert block.holds(datetime.fromisoformat(at)) is holds


def test_the_first_rule_that_holds_is_used_and_no_rule_pays_full() -> None:
    rules = (
        ClassRule(classes=("senior",), pay_bp=5000, blocks=(Block(until_time=time(9)),)),
        ClassRule(classes=("senior",), pay_bp=0, blocks=(Block(from_time=time(9), until_time=time(20)),)),
    )
    concessions = Concessions(rules=rules)
    prices = [concessions.price(200, 3, datetime(2026, 9, 1, hour)) for hour in (8, 9, 19, 20)]
    assert prices == [100, 0, 0, 200]
    assert concessions.accepts(0xEE)
    assert not Concessions(rules=rules, others="refuse").accepts(1)
