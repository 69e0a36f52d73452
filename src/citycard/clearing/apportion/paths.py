# SPDX-License-Identifier: Apache-2.0
"""The reasonable paths between two stations, least cost first: exact, by A* over platforms.

Cost is generalised time in minutes: half the headway of each train waited for, running and dwell, walks
between platforms, and a penalty for each change. A path visits no station twice and boards no line twice.
The search keeps partial paths in a heap by their cost so far plus the least cost that can remain; that bound
is exact for the unrestricted graph, so paths come out in the order of their cost and the search ends when the
wanted number is found or the next is no longer reasonable. (Hart, Nilsson, Raphael 1968; the admissible bound
from the goal makes it the k-shortest enumeration of simple paths.)
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from citycard.clearing.apportion.network import Line, Network, Platform, Stop

LABELS_MAX: Final = 50_000  # partial paths looked at for one pair; reached only by absurd parameters
FAR: Final = float("inf")
TINY: Final = 1e-9  # minutes; costs are sums of floats


class Hop(NamedTuple):
    """One step: riding to the next stop (metres > 0, an operator) or walking to another platform."""

    to: int
    cost_min: float
    metres: int
    ride_min: float
    operator: str


@dataclass(frozen=True, slots=True)
class Leg:
    """A stretch on one train."""

    line: int
    board: Platform
    alight: Platform
    stops: int
    metres: int
    minutes: float


@dataclass(frozen=True, slots=True)
class Path:
    """One way from a station to another; `carried` is what each operator did on it, by the network's key."""

    cost_min: float
    legs: tuple[Leg, ...]
    carried: tuple[tuple[str, int], ...]  # (operator, metres | seconds | stops), summed

    @property
    def metres(self) -> int:
        """Length of the ride."""
        return sum(leg.metres for leg in self.legs)

    @property
    def transfers(self) -> int:
        """Changes of train."""
        return len(self.legs) - 1


class _Label(NamedTuple):
    """A partial path: sorted by the least its whole can cost, then by age, so that ties have one order."""

    least: float
    age: int
    cost: float
    node: int
    stations: int  # bit set of stations visited
    lines: int  # bit set of lines boarded
    walked: bool
    before: _Label | None


class Graph:
    """A network in one period, ready for searching."""

    def __init__(self, network: Network, period: str = "") -> None:
        self.network = network
        self.period = period
        self.nodes: list[Platform] = list(network.platforms)
        self.index = {platform: number for number, platform in enumerate(self.nodes)}
        stations = [station.id for station in network.stations]
        self.place = [stations.index(network.platforms[platform]) for platform in self.nodes]
        lines = [line.number for line in network.lines]
        self._line = [lines.index(platform[0]) for platform in self.nodes]
        headways = next((p.headway_min for p in network.periods if p.name == period), {})
        self._wait = {
            line.number: headways.get(str(line.number), line.headway_min) / 2 * network.choice.wait_weight
            for line in network.lines
        }
        self._at: dict[str, list[int]] = {}
        for number, platform in enumerate(self.nodes):
            self._at.setdefault(network.platforms[platform], []).append(number)
        self.hops: list[list[Hop]] = [[] for _ in self.nodes]
        for line in network.lines:
            self._ride(line)
        self._walks()

    def _ride(self, line: Line) -> None:
        last, first = line.stops[-1], line.stops[0]
        pairs = list(itertools.pairwise(line.stops))
        if line.loop_m is not None:
            pairs.append((last, first))
        for here, there in pairs:
            metres = line.loop_m if there is first else there.from_previous_m
            assert metres is not None
            self._join(line, (here, there), metres)

    def _join(self, line: Line, ends: tuple[Stop, Stop], metres: int) -> None:
        there = ends[1]
        known = there.minutes if there.from_previous_m is not None else None
        minutes = known if known is not None else metres * 60 / 1000 / line.speed_kmh
        minutes += self.network.choice.dwell_min
        operator = there.operator or line.operator
        a, b = (self.index[line.number, stop.number] for stop in ends)
        self.hops[a].append(Hop(b, minutes, metres, minutes, operator))
        self.hops[b].append(Hop(a, minutes, metres, minutes, operator))

    def _walks(self) -> None:
        """Transfers as declared, and the default between all other platforms of one station."""
        choice, closed = self.network.choice, {s.id for s in self.network.stations if s.closed}
        walks: dict[tuple[Platform, Platform], float] = {}
        for transfer in self.network.transfers:
            ways = [transfer.ends, transfer.ends[::-1]] if transfer.both_ways else [transfer.ends]
            for way in ways:
                walks[way] = min(transfer.minutes, walks.get(way, FAR))
        for members in self._at.values():
            for a, b in itertools.permutations(members, 2):
                walks.setdefault((self.nodes[a], self.nodes[b]), choice.transfer_default_min)
        for (start, end), minutes in walks.items():
            if closed & {self.network.platforms[start], self.network.platforms[end]}:
                continue
            cost = minutes * choice.walk_weight + self._wait[end[0]] + choice.transfer_penalty_min
            self.hops[self.index[start]].append(Hop(self.index[end], cost, 0, 0.0, ""))

    @cached_property
    def _back(self) -> list[list[tuple[int, float]]]:
        back: list[list[tuple[int, float]]] = [[] for _ in self.nodes]
        for node, hops in enumerate(self.hops):
            for hop in hops:
                back[hop.to].append((node, hop.cost_min))
        return back

    def remaining(self, goal: str) -> list[float]:
        """The least cost from every platform to a station (Dijkstra from the goal)."""
        costs = [FAR] * len(self.nodes)
        heap = [(0.0, node) for node in self._at[goal]]
        for _, node in heap:
            costs[node] = 0.0
        while heap:
            cost, node = heapq.heappop(heap)
            if cost > costs[node]:
                continue
            for before, step in self._back[node]:
                if cost + step < costs[before]:
                    costs[before] = cost + step
                    heapq.heappush(heap, (cost + step, before))
        return costs

    def paths(self, start: str, goal: str, remaining: list[float] | None = None) -> list[Path]:
        """The reasonable paths between two stations (ids), least cost first; none if one is closed or apart.

        `remaining` is `self.remaining(goal)`, computed once for all starts.
        """
        by_id = self.network.by_id
        if start == goal or by_id[start].closed or by_id[goal].closed:
            return []
        rest = remaining if remaining is not None else self.remaining(goal)
        found: list[_Label] = []
        most = FAR
        there = self.place[self._at[goal][0]]
        for label in self._labels(start, there, rest):
            if label.least > most + TINY or len(found) == self.network.choice.paths_max:
                break
            if self.place[label.node] == there:
                found.append(label)
                if len(found) == 1:
                    choice = self.network.choice
                    most = min(label.cost * choice.longest_ratio, label.cost + choice.longest_extra_min)
        return [self._path(label) for label in found]

    def _labels(self, start: str, goal: int, rest: list[float]) -> Iterator[_Label]:
        """Partial paths in the order of the least their whole can cost."""
        ages = itertools.count()
        heap = []
        for node in self._at[start]:
            wait = self._wait[self.nodes[node][0]]
            if rest[node] < FAR:
                here = 1 << self.place[node]
                heap.append(
                    _Label(wait + rest[node], next(ages), wait, node, here, 1 << self._line[node], True, None)
                )
        heapq.heapify(heap)
        while heap:
            label = heapq.heappop(heap)
            if label.age > LABELS_MAX:
                return
            yield label
            if self.place[label.node] == goal:
                continue
            for hop in self.hops[label.node]:
                on_foot = hop.metres == 0 and self.place[hop.to] == goal  # that is no ride to the goal
                after = None if on_foot else self._after(label, hop, rest, ages)
                if after is not None:
                    heapq.heappush(heap, after)

    def _after(self, label: _Label, hop: Hop, rest: list[float], ages: Iterator[int]) -> _Label | None:
        """The partial path one step on; none where it would turn back, walk twice or board a line again."""
        if rest[hop.to] == FAR:
            return None
        here, there = self.place[label.node], self.place[hop.to]
        stations, lines, walk = label.stations, label.lines, hop.metres == 0
        if walk:
            line = 1 << self._line[hop.to]
            if label.walked or lines & line or (here != there and stations >> there & 1):
                return None
            lines |= line
        elif stations >> there & 1:
            return None
        cost = label.cost + hop.cost_min
        return _Label(
            cost + rest[hop.to], next(ages), cost, hop.to, stations | 1 << there, lines, walk, label
        )

    def _path(self, label: _Label) -> Path:
        chain: list[_Label] = []
        at: _Label | None = label
        while at is not None:
            chain.append(at)
            at = at.before
        chain.reverse()
        legs: list[list[tuple[int, Hop]]] = [[]]
        for here, there in itertools.pairwise(chain):
            hop = self._hop(here, there)
            if hop.metres:
                legs[-1].append((here.node, hop))
            else:
                legs.append([])
        carried: dict[str, int] = {}
        for _, hop in itertools.chain.from_iterable(legs):
            carried[hop.operator] = carried.get(hop.operator, 0) + self._measure(hop)
        return Path(label.cost, tuple(self._leg(leg) for leg in legs), tuple(sorted(carried.items())))

    def _hop(self, here: _Label, there: _Label) -> Hop:
        step = there.cost - here.cost
        hops = [hop for hop in self.hops[here.node] if hop.to == there.node]
        return min(hops, key=lambda hop: abs(hop.cost_min - step))

    def _measure(self, hop: Hop) -> int:
        key = self.network.choice.key
        return hop.metres if key == "metres" else max(1, round(hop.ride_min * 60)) if key == "minutes" else 1

    def _leg(self, ridden: list[tuple[int, Hop]]) -> Leg:
        first, last = ridden[0][0], ridden[-1][1].to
        return Leg(
            self.nodes[first][0],
            self.nodes[first],
            self.nodes[last],
            len(ridden),
            sum(hop.metres for _, hop in ridden),
            sum(hop.ride_min for _, hop in ridden),
        )
