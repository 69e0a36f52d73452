# SPDX-License-Identifier: Apache-2.0
"""The metro's graph: shortest ways against another algorithm, fare tables, and how operators share."""

from __future__ import annotations

from datetime import date, datetime
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.blueprints import load_scheme
from citycard.core.refusal import Refusal
from citycard.services import load_config, metro
from citycard.services.contract import Event, Grant, Journey, Place, Rights, State, Tap
from citycard.services.metro.network import Network, Node

FAR = 10**9


def all_pairs(network: Network) -> dict[tuple[Node, Node], int]:
    """Floyd and Warshall's way, from the declaration itself."""
    nodes = list(network.nodes)
    far = {(a, b): 0 if a == b else FAR for a, b in product(nodes, nodes)}

    def edge(a: Node, b: Node, metres: int) -> None:
        far[a, b] = min(far[a, b], metres)
        far[b, a] = min(far[b, a], metres)

    for track in network.tracks:
        stops = track.stops
        for here, there in pairwise(stops):
            edge((track.line, here.station), (track.line, there.station), there.at_m - here.at_m)
        if track.loop_m is not None and len(stops) > 2:
            edge((track.line, stops[0].station), (track.line, stops[-1].station), track.loop_m)
    for group in network.interchanges:
        for a, b in product(group, group):
            edge(a.node, b.node, 0)
    for k, a, b in product(nodes, nodes, nodes):
        far[a, b] = min(far[a, b], far[a, k] + far[k, b])
    return far


@st.composite
def networks(draw: st.DrawFn) -> Network:
    tracks = []
    for line in range(1, draw(st.integers(1, 4)) + 1):
        gaps = draw(st.lists(st.integers(1, 9000), min_size=0, max_size=4))
        stops = [{"station": n, "at_m": sum(gaps[: n - 1])} for n in range(1, len(gaps) + 2)]
        loop = draw(st.none() | st.integers(1, 9000))
        tracks.append({"line": line, "stops": stops, "loop_m": loop})
    refs = [{"line": t["line"], "station": s["station"]} for t in tracks for s in t["stops"]]
    shuffled = draw(st.permutations(refs))
    groups = [shuffled[i : i + 2] for i in range(0, 2 * draw(st.integers(0, len(refs) // 2)), 2)]
    return Network.from_plain({"tracks": tracks, "interchanges": groups})


@settings(max_examples=60)
@given(networks())
def test_shortest_ways(network: Network) -> None:
    for (a, b), metres in all_pairs(network).items():
        assert network.metres(a, b) == (None if metres >= FAR else metres)
        ridden = network.metres_by_line(a, b)
        assert sum(ridden.values()) == (0 if metres >= FAR else metres)
        assert all(ridden.values())
        assert set(ridden) <= {track.line for track in network.tracks}


OPERATORS = {1: "aaaa", 2: "aaaa", 3: "bbbb"}


def city_metro() -> metro.MetroConfig:
    found = load_scheme("city").tariff("metro", date(2026, 9, 1))
    assert found is not None
    return found.config


@pytest.mark.parametrize(
    ("way", "place", "weights"),
    [
        ("on one operator's lines", Place("x", 1, 8, 1, 1), {"aaaa": 11700}),
        ("airport to the north: change at City Hall", Place("x", 1, 1, 3, 1), {"bbbb": 15100, "aaaa": 4300}),
        ("back again", Place("x", 3, 1, 1, 1), {"aaaa": 4300, "bbbb": 15100}),
        ("left where entered", Place("x", 1, 4, 1, 4), {"aaaa": 1}),
        ("left through the other line's gates", Place("x", 3, 5, 1, 4), {"bbbb": 1}),
        ("no entry known", Place("x", 3, 5), {"bbbb": 1}),
        ("a line nobody runs is the acquirer's", Place("x", 7, 1), {"x": 1}),
        ("a station the graph lacks: halves", Place("x", 3, 99, 1, 1), {"aaaa": 1, "bbbb": 1}),
    ],
)
def test_operators_share_by_metres(way: str, place: Place, weights: dict[str, int]) -> None:
    assert dict(metro.shares(place, city_metro(), OPERATORS)) == weights, way


def test_without_a_graph_entry_and_exit_operator_share_alike() -> None:
    config = load_config("metro", {"fares": {"kind": "keyed", "maximum_fen": 900}})
    assert metro.shares(Place("x", 3, 0, 1, 0), config, OPERATORS) == (("aaaa", 1), ("bbbb", 1))
    assert metro.shares(Place("x", 2, 0, 1, 0), config, OPERATORS) == (("aaaa", 1),)


def test_a_fare_table_is_read_from_row_to_column() -> None:
    stations = [{"line": 1, "station": n} for n in (1, 2, 3)]
    fares = [[100, 200, None], [210, 100, 300], [None, 310, 100]]
    config = load_config("metro", {"fares": {"kind": "table", "stations": stations, "fares_fen": fares}})
    at = datetime(2026, 9, 1, 8)
    for (i, a), (j, b) in product(enumerate((1, 2, 3)), repeat=2):
        tap = Tap(at, Event.EXIT, 1, b, bytes(6))
        decision = metro.decide(tap, Rights(1, b""), State(Journey(1, a, at, bytes(6)), None, 5000), config)
        if fares[i][j] is None:
            assert decision is Refusal.NO_FARE
        else:
            assert isinstance(decision, Grant)
            assert decision.fare.list_fen == fares[i][j]
    assert config.largest_fen == 310


def test_the_way_of_a_journey_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    config = city_metro()
    at = datetime(2026, 9, 1, 8)
    tap, state = Tap(at, Event.EXIT, 3, 1, bytes(6)), State(Journey(1, 1, at, bytes(6)), None, 5000)
    first = metro.decide(tap, Rights(1, b""), state, config)
    monkeypatch.setattr(Network, "metres", lambda *_: pytest.fail("looked for again"))
    assert metro.decide(tap, Rights(1, b""), state, config) == first
