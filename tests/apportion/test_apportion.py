# SPDX-License-Identifier: Apache-2.0
"""Fair shares of seamless journeys: exact paths, parts that add up, changes that change only what they must."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace
from datetime import date, time
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from citycard.clearing.apportion import Graph, Matrix, MatrixSharing, Network, build, explain
from citycard.clearing.apportion.matrix import installed, totals
from citycard.cli.apportion import app
from citycard.core.problem import Problem
from citycard.services.contract import Place
from citycard.services.metro.config import DistanceFares, MetroConfig
from tests.apportion import beijing

RED, BLUE = "1200990000000001", "1200990000000002"

# Two ways from a to d: line 1 straight over b and c, line 2 and 3 by e with a change.
SMALL: dict[str, Any] = {
    "format": "citycard network 1", "name": "small", "version": 1, "valid_from": "2026-01-01",
    "operators": {"red": {"participant": RED}, "blue": {"participant": BLUE}},
    "stations": [{"id": name} for name in "abcdef"],
    "lines": [
        {"number": 1, "operator": "red", "headway_min": 4, "speed_kmh": 30, "stops": [
            {"number": 1, "station": "a"}, {"number": 2, "station": "b", "from_previous_m": 2000},
            {"number": 3, "station": "c", "from_previous_m": 2000},
            {"number": 4, "station": "d", "from_previous_m": 2000}]},
        {"number": 2, "operator": "blue", "headway_min": 4, "speed_kmh": 60, "stops": [
            {"number": 1, "station": "a"}, {"number": 2, "station": "e", "from_previous_m": 3000},
            {"number": 3, "station": "f", "from_previous_m": 1000}]},
        {"number": 3, "operator": "red", "headway_min": 4, "speed_kmh": 60, "stops": [
            {"number": 1, "station": "e"}, {"number": 2, "station": "d", "from_previous_m": 3000}]},
    ],
    "transfers": [{"from": [2, 2], "to": [3, 1], "minutes": 1, "both_ways": True}],
    "periods": [{"name": "peak", "start": "07:00", "end": "09:00", "headway_min": {"3": 30}}],
}  # fmt: skip


def small(**changes: Any) -> Network:
    return Network.from_plain(SMALL | changes, what="the network")


def test_two_ways_worked_out_by_hand() -> None:
    """Wait 2 x 1.5 = 3; line 1: 3 x (4 + 0.5) = 13.5; by e: 3.5 + walk 1.5 + wait 3 + penalty 3 + 3.5."""
    found = explain(Graph(small()), "a", "d")
    assert [round(path.cost_min, 6) for path in found.paths] == [16.5, 17.5]
    assert [path.transfers for path in found.paths] == [0, 1]
    # exp(-0.25) = 0.778801: 56.218 % and 43.782 %, of which half is blue
    assert dict(found.shares) == {RED: 781_088, BLUE: 218_912}
    peak = explain(Graph(small(), small().period_at(time(8))), "a", "d")
    assert len(peak.paths) == 1  # half an hour's headway: no longer reasonable
    assert dict(peak.shares) == {RED: 1_000_000}


def test_what_is_wrong_with_a_network_is_said() -> None:
    line = SMALL["lines"][0]
    nowhere = line | {"number": 0, "stops": [line["stops"][0] | {"number": 0}, *line["stops"][1:]]}
    for changes, told in (
        ({"lines": [line | {"operator": "green"}]}, "no operator 'green'"),
        ({"lines": [line, line]}, "line number 1 is used twice"),
        ({"stations": [*SMALL["stations"], {"id": "z"}]}, "'z' is on no line"),
        ({"stations": SMALL["stations"][1:]}, "no station 'a'"),
        ({"transfers": [{"from": [2, 9], "to": [3, 1], "minutes": 1}]}, "line 2 stop 9"),
        ({"transfers": [{"from": [3, 1], "to": [3, 1], "minutes": 1}]}, "line 3 stop 1 to itself"),
        ({"lines": [nowhere, *SMALL["lines"][1:]]}, "no entry"),
        ({"periods": [SMALL["periods"][0] | {"end": "06:00"}]}, "start must lie before end"),
        (
            {"lines": [line | {"stops": [{"number": 1, "station": "a"}, {"number": 2, "station": "b"}]}]},
            "missing",
        ),
        ({"format": "citycard network 2"}, "format"),
    ):
        with pytest.raises(Problem) as problem:
            small(**changes)
        assert told in str(problem.value), str(problem.value)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Small tangled networks: lines over the same few stations, some of them loops."""
    dice = random.Random(draw(st.integers(0, 2**32)))
    names = [f"s{n}" for n in range(dice.randint(4, 8))]
    lines: list[dict[str, Any]] = []
    for number in range(1, dice.randint(2, 5)):
        route = dice.sample(names, dice.randint(2, len(names)))
        stops: list[dict[str, Any]] = [{"number": 1, "station": route[0]}]
        stops += [
            {"number": n, "station": name, "from_previous_m": dice.randint(500, 4000)}
            for n, name in enumerate(route[1:], start=2)
        ]
        loop = {"loop_m": dice.randint(500, 4000)} if len(route) > 2 and dice.random() < 0.3 else {}
        lines.append({"number": number, "operator": dice.choice(["red", "blue"]), "stops": stops, **loop})
    used = {stop["station"] for line in lines for stop in line["stops"]}
    choice = {"paths_max": 4, "longest_ratio": 3.0, "longest_extra_min": 60.0}
    plain = SMALL | {
        "stations": [{"id": name} for name in sorted(used)], "lines": lines, "transfers": [], "periods": [],
        "choice": choice,
    }  # fmt: skip
    return Network.from_plain(plain, what="the network")


def test_rides_that_cost_no_time_are_still_found_and_shared() -> None:
    """A model without running times, waits and penalties: every way is as good, by minutes or by metres."""
    lines = [
        line | {"headway_min": 0, "stops": [
            stop | ({"minutes": 0} if "from_previous_m" in stop else {}) for stop in line["stops"]]}
        for line in SMALL["lines"]
    ]  # fmt: skip
    free = {"dwell_min": 0, "walk_weight": 0, "transfer_penalty_min": 0}
    for key in ("minutes", "metres"):
        pair = explain(Graph(small(lines=lines, choice=free | {"key": key}, periods=[])), "a", "d")
        assert [path.transfers for path in pair.paths] == [0, 1]
        assert dict(pair.shares) == {RED: 750_000, BLUE: 250_000}


@given(networks())
@settings(max_examples=300)
def test_paths_are_those_of_an_independent_search(network: Network) -> None:
    """Everything that the rules allow, tried one by one, against the search."""
    graph = Graph(network)
    for start, goal in itertools.permutations([s.id for s in network.stations][:4], 2):
        ours = [round(path.cost_min, 6) for path in graph.paths(start, goal)]
        theirs = _every_path(graph, start, goal)
        most = min(theirs[0] * 3.0, theirs[0] + 60.0) if theirs else 0
        assert ours == [cost for cost in theirs if cost <= most + 1e-6][:4]
        pair = explain(graph, start, goal)
        assert not pair.paths or sum(parts for _, parts in pair.shares) == 1_000_000


def _every_path(graph: Graph, start: str, goal: str) -> list[float]:
    """Costs of all paths the rules allow, by trying everything."""
    place = [graph.network.platforms[platform] for platform in graph.nodes]
    costs: list[float] = []

    def go(node: int, cost: float, places: tuple[str, ...], lines: tuple[int, ...], walked: bool) -> None:
        if place[node] == goal:
            if not walked:
                costs.append(round(cost, 6))
            return
        for hop in graph.hops[node]:
            there, line = place[hop.to], graph.nodes[hop.to][0]
            if hop.metres and there not in places:
                go(hop.to, cost + hop.cost_min, (*places, there), lines, False)
            elif (
                not hop.metres
                and not walked
                and line not in lines
                and there in (place[node], *stations - {*places})
            ):
                go(hop.to, cost + hop.cost_min, (*places, there), (*lines, line), True)

    stations = frozenset(place)
    for node, platform in enumerate(graph.nodes):
        if place[node] == start:
            go(node, graph._wait[platform[0]], (start,), (platform[0],), True)
    return sorted(costs)


def test_a_matrix_is_kept_applied_and_never_taken_for_another(tmp_path: Path) -> None:
    network = small()
    file = tmp_path / "small.json"
    file.write_text(json.dumps(SMALL))
    run = CliRunner().invoke(app, ["build", str(file), "--home", str(tmp_path), "--json"])
    assert run.exit_code == 0, run.output
    place = Place("1200990000000003", 3, 2, 2, 1)

    def otherwise(*_: object) -> tuple[tuple[str, int], ...]:
        return (("fallback", 1),)

    sharing = installed(tmp_path, date(2026, 3, 2), otherwise)
    assert isinstance(sharing, MatrixSharing)
    assert dict(sharing(1, 1, place, {})) == {RED: 781_088, BLUE: 218_912}
    assert sharing(1, 1, replace(place, line=9), {}) == (("fallback", 1),)
    assert installed(tmp_path, date(2025, 12, 31), otherwise) is otherwise
    assert sharing.matrix == build(network)

    stored = next((tmp_path / "networks").glob("*.json"))
    stored.write_text(json.dumps(SMALL | {"version": 2}))
    with pytest.raises(Problem) as stale:
        installed(tmp_path, date(2026, 3, 2), otherwise)
    assert stale.value.code == "MATRIX_STALE"
    stored.with_suffix(".parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(Problem) as damaged:
        installed(tmp_path, date(2026, 3, 2), otherwise)
    assert damaged.value.code == "MATRIX_UNREADABLE"


def test_the_command_explains_and_draws(tmp_path: Path) -> None:
    file, picture = tmp_path / "small.json", tmp_path / "map.svg"
    file.write_text(json.dumps(SMALL))
    told = CliRunner().invoke(
        app, ["explain", "1.1", "d", "--network", str(file), "--picture", str(picture), "--json"]
    )
    assert json.loads(told.stdout)["shares_ppm"] == {RED: 781_088, BLUE: 218_912}
    assert "polyline" in picture.read_text()
    alone = CliRunner().invoke(app, ["explain", "a", "a", "--network", str(file), "--picture", str(picture)])
    assert alone.exit_code == 0, alone.exception
    assert "nan" not in picture.read_text()
    for arguments, code in (
        (["explain", "a", "q", "--network", str(file)], "STATION_UNKNOWN"),
        (["explain", "a", "d", "--network", str(file), "--at", "25:00"], "TIME_INVALID"),
        (["explain", "a", "d", "--home", str(tmp_path)], "NETWORK_NONE"),
        (["check", str(picture)], "NETWORK_UNREADABLE"),
    ):
        fault = CliRunner().invoke(app, arguments).exception
        assert isinstance(fault, Problem)
        assert fault.code == code


# The real network


@pytest.fixture(scope="module")
def real() -> Network:
    from tests.support import parts

    folder = parts.need(parts.public_data(), "the public data", "name its folder in CITYCARD_DATA")
    return beijing.network(folder / "beijing_taipei_metro_fares")


def test_the_fares_of_beijing_come_out(real: Network, public_data: Path) -> None:
    """Shortest distances by networkx and the published table, against our tariff over the same network."""
    rules = beijing.json5(public_data / "beijing_taipei_metro_fares" / "beijing_fare_rules.json5")
    group = next(g for g in rules["rule_groups"] if g["name"] == "大路网")
    steps = [
        {"up_to_m": rule.get("end", 1_000_000), "fare_fen": rule["fare"] * 100} for rule in group["rules"]
    ]
    tariff = MetroConfig(network=real.tracks(), fares=DistanceFares.from_plain({"steps": steps}))
    ways = nx.Graph()
    for line in real.lines:
        joined = list(itertools.pairwise(line.stops)) + (
            [(line.stops[-1], line.stops[0])] if line.loop_m else []
        )
        for a, b in joined:
            metres = line.loop_m if b is line.stops[0] else b.from_previous_m
            ways.add_edge((line.number, a.number), (line.number, b.number), weight=metres)
    for group_ in tariff.network.interchanges:
        ways.add_edges_from((group_[0].node, ref.node, {"weight": 0}) for ref in group_[1:])
    first = {station: platform for platform, station in reversed(real.platforms.items())}
    for start in sorted(first)[::12]:
        lengths = nx.single_source_dijkstra_path_length(ways, first[start])
        for goal, node in first.items():
            if goal != start:
                rule = next(r for r in group["rules"] if lengths[node] <= r.get("end", 10**9))
                assert tariff.fare_fen(first[start], node) == rule["fare"] * 100
    for start, goal, fen in (("西直门", "国贸", 400), ("天通苑北", "国贸", 600), ("苹果园", "天安门东", 500)):
        assert tariff.fare_fen(first[start], first[goal]) == fen


@pytest.mark.slow
def test_shares_of_beijing_add_up_and_a_change_changes_what_it_must(real: Network) -> None:
    graph = Graph(real)
    goals = [s.id for s in real.stations][::40]
    before = _shares(graph, goals)
    assert len(before) == len(goals) * (len(real.stations) - 1)
    assert totals(before.values()) == {1_000_000}

    plain = real.to_plain() | {
        "transfers": [t.model_dump(mode="json", by_alias=True) for t in real.transfers]
    }
    closed = "建国门"  # where lines 1 and 2 cross
    shut = [s | {"closed": s["id"] == closed} for s in plain["stations"]]
    after = _shares(Graph(Network.from_plain(plain | {"stations": shut}, what="x")), goals)
    for pair in before:
        paths = graph.paths(*pair)
        changes = {real.platforms[leg.alight] for path in paths for leg in path.legs[:-1]}
        if closed in pair:
            assert pair not in after
        elif closed not in changes:
            assert after[pair] == before[pair]

    express = {
        "number": 99, "operator": beijing.OPERATORS["大兴机场线"], "speed_kmh": 120.0,
        "stops": [{"number": 1, "station": "天通苑北"}, {"number": 2, "station": "国贸", "from_previous_m": 18_000}],
    }  # fmt: skip
    opened = Graph(Network.from_plain(plain | {"lines": [*plain["lines"], express]}, what="x"))
    faster = _shares(opened, goals)
    moved = {pair for pair in before if faster[pair] != before[pair]}
    assert moved
    for pair in moved:
        assert any(leg.line == 99 for path in opened.paths(*pair) for leg in path.legs)


def _shares(graph: Graph, goals: list[str]) -> dict[tuple[str, str], Any]:
    found = {}
    for goal in goals:
        remaining = graph.remaining(goal)
        for station in graph.network.stations:
            shares = explain(graph, station.id, goal, remaining).shares
            if shares:
                found[station.id, goal] = shares
    return found


def test_matrices_tell_what_changed() -> None:
    one = build(small())
    other = build(small(choice={"key": "stations"}))
    changed = one.changed(other)
    assert ("b", "e", "") in changed
    assert ("a", "d", "") not in changed
    assert Matrix("", {}).changed(one) == set(one.pairs)


def test_a_new_version_tells_how_many_pairs_it_changed(tmp_path: Path) -> None:
    """Only journeys for which e, where lines 2 and 3 meet, mattered: entered there, left there, changed there."""
    shut = [station | {"closed": station["id"] == "e"} for station in SMALL["stations"]]
    told = []
    for version, plain in (
        (1, SMALL),
        (2, SMALL | {"version": 2, "valid_from": "2026-04-01"}),
        (3, SMALL | {"version": 3, "valid_from": "2026-05-01", "stations": shut}),
    ):
        file = tmp_path / f"{version}.json"
        file.write_text(json.dumps(plain))
        run = CliRunner().invoke(app, ["build", str(file), "--home", str(tmp_path), "--json"])
        about = json.loads(run.stdout)
        told.append((about.get("replaces"), about.get("rows_changed")))
    before, after = build(small()), build(small(stations=shut))
    assert told == [(None, None), ("small v1", 0), ("small v2", len(before.changed(after)))]
    for start, goal, period in before.changed(after):
        changes = {leg.alight for path in Graph(small(), period).paths(start, goal) for leg in path.legs[:-1]}
        assert "e" in (start, goal) or (2, 2) in changes or (3, 1) in changes

    (tmp_path / "networks" / "small-v3.parquet").write_bytes(b"damaged")
    again = CliRunner().invoke(app, ["build", str(tmp_path / "3.json"), "--home", str(tmp_path), "--json"])
    assert again.exit_code == 0, again.exception
    at = ["explain", "a", "d", "--home", str(tmp_path), "--json", "--at"]
    peak = [json.loads(CliRunner().invoke(app, [*at, f"2026-0{month}-02T08:00"]).stdout) for month in (3, 5)]
    assert [(one["period"], len(one["paths"])) for one in peak] == [("peak", 1)] * 2
    day = [json.loads(CliRunner().invoke(app, [*at, f"2026-0{month}-02T10:00"]).stdout) for month in (3, 5)]
    assert [(one["period"], len(one["paths"])) for one in day] == [("", 2), ("", 1)], (
        "by the network then in force"
    )


def test_a_walk_between_stops_nobody_knows_is_refused(tmp_path: Path) -> None:
    lines, walks, out = tmp_path / "lines.csv", tmp_path / "walks.csv", tmp_path / "out.json"
    lines.write_text("line,station,dist_from_prev_m\n1,a,\n1,b,900\n2,b,\n2,c,800\n")
    words = ["import", str(lines), "--name", "n", "--valid-from", "2026-01-01", "--out", str(out)]
    words += ["--operator", RED, "--walks", str(walks)]
    walks.write_text("station,from_line,to_line,minutes\nb,1,2,2.5\n")
    assert CliRunner().invoke(app, words).exit_code == 0
    (walk,) = json.loads(out.read_text())["transfers"]
    assert (walk["from"], walk["to"], walk["minutes"]) == ([1, 2], [2, 1], 2.5)
    walks.write_text("station,from_line,to_line,minutes\nb,1,2,2.5\nB,1,2,2\n")
    fault = CliRunner().invoke(app, words).exception
    assert isinstance(fault, Problem)
    assert fault.code == "WALK_UNKNOWN"
