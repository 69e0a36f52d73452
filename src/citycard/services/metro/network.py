# SPDX-License-Identifier: Apache-2.0
"""The metro's graph: lines with stations at metres, interchanges, shortest ways and who runs them."""

from __future__ import annotations

import heapq
import itertools
from functools import cached_property
from typing import Annotated, Final

from pydantic import Field, model_validator

from citycard.services.model import Config, LineNumber, StationNumber

STATIONS_MAX: Final = 4096  # all-pairs tables of a larger network would not fit a terminal
FAR: Final = 1 << 60

Metres = Annotated[int, Field(ge=0, le=1_000_000)]
Node = tuple[int, int]  # (line, station)


class Stop(Config):
    """A station of a line and how many metres of track lie between the start of the line and it."""

    station: StationNumber
    at_m: Metres


class Track(Config):
    """A line: its stops in order; a loop closes from the last stop to the first over `loop_m` metres."""

    line: LineNumber
    stops: Annotated[tuple[Stop, ...], Field(min_length=1)]
    loop_m: Metres | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Track:
        places = [stop.at_m for stop in self.stops]
        if any(a >= b for a, b in itertools.pairwise(places)):
            raise ValueError(f"line {self.line}: at_m must rise from stop to stop")
        numbers = [stop.station for stop in self.stops]
        if len(set(numbers)) != len(numbers):
            raise ValueError(f"line {self.line}: a station is listed twice")
        return self


class StationRef(Config):
    """A station of a line."""

    line: LineNumber
    station: StationNumber

    @property
    def node(self) -> Node:
        """As a pair."""
        return self.line, self.station


class Network(Config):
    """Lines and interchanges; the stations of one interchange are one place, zero metres apart."""

    tracks: tuple[Track, ...] = ()
    interchanges: tuple[tuple[StationRef, ...], ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Network:
        lines = [track.line for track in self.tracks]
        if len(set(lines)) != len(lines):
            raise ValueError("a line is listed twice")
        if sum(len(track.stops) for track in self.tracks) > STATIONS_MAX:
            raise ValueError(f"more than {STATIONS_MAX} stations")
        known = {(track.line, stop.station) for track in self.tracks for stop in track.stops}
        seen: set[Node] = set()
        for group in self.interchanges:
            for ref in group:
                if known and ref.node not in known:
                    raise ValueError(
                        f"interchange names line {ref.line} station {ref.station}, which no track has"
                    )
                if ref.node in seen:
                    raise ValueError(f"line {ref.line} station {ref.station} is in two interchanges")
                seen.add(ref.node)
        return self

    @cached_property
    def nodes(self) -> dict[Node, int]:
        """Each station of each line with its index in the tables."""
        nodes = [(track.line, stop.station) for track in self.tracks for stop in track.stops]
        return {node: index for index, node in enumerate(nodes)}

    @cached_property
    def _places(self) -> dict[Node, int]:
        return {ref.node: number for number, group in enumerate(self.interchanges) for ref in group}

    @cached_property
    def _edges(self) -> list[list[tuple[int, int, int]]]:
        """Neighbours of each node: (index, metres, line; 0 metres on foot)."""
        edges: list[list[tuple[int, int, int]]] = [[] for _ in self.nodes]

        def join(a: Node, b: Node, metres: int, line: int) -> None:
            i, j = self.nodes[a], self.nodes[b]
            edges[i].append((j, metres, line))
            edges[j].append((i, metres, line))

        for track in self.tracks:
            for here, there in itertools.pairwise(track.stops):
                join(
                    (track.line, here.station),
                    (track.line, there.station),
                    there.at_m - here.at_m,
                    track.line,
                )
            if track.loop_m is not None and len(track.stops) > 2:
                ends = track.stops[-1].station, track.stops[0].station
                join((track.line, ends[0]), (track.line, ends[1]), track.loop_m, track.line)
        for group in self.interchanges:
            for number, ref in enumerate(group):
                for other in group[number + 1 :]:
                    if ref.node in self.nodes and other.node in self.nodes:
                        join(ref.node, other.node, 0, ref.line)
        return edges

    @cached_property
    def _rows(self) -> dict[int, tuple[list[int], list[tuple[int, int, int]]]]:
        return {}  # filled by `_from`: a cache of the answers, no part of the value

    def _from(self, start: int) -> tuple[list[int], list[tuple[int, int, int]]]:
        """Metres to every station from one, and the last step of each way: (from, metres, line)."""
        if start in self._rows:
            return self._rows[start]
        metres = [FAR] * len(self.nodes)
        step = [(-1, 0, 0)] * len(self.nodes)
        metres[start] = 0
        queue = [(0, start)]
        while queue:
            so_far, here = heapq.heappop(queue)
            if so_far > metres[here]:
                continue
            for there, length, line in self._edges[here]:
                if so_far + length < metres[there]:
                    metres[there] = so_far + length
                    step[there] = (here, length, line)
                    heapq.heappush(queue, (so_far + length, there))
        self._rows[start] = metres, step
        return metres, step

    def same_place(self, a: Node, b: Node) -> bool:
        """Whether two stations are one, or one interchange."""
        if a == b:
            return True
        place = self._places.get(a)
        return place is not None and place == self._places.get(b)

    def metres(self, a: Node, b: Node) -> int | None:
        """Length of the shortest way in metres; none if a station is unknown or cannot be reached."""
        if a not in self.nodes or b not in self.nodes:
            return None
        found = self._from(self.nodes[a])[0][self.nodes[b]]
        return None if found >= FAR else found

    def metres_by_line(self, a: Node, b: Node) -> dict[int, int]:
        """Metres ridden on each line along the shortest way, in order of travel; empty if there is none."""
        if self.metres(a, b) is None:
            return {}
        steps = self._from(self.nodes[a])[1]
        ridden: list[tuple[int, int]] = []
        here = self.nodes[b]
        while here != self.nodes[a]:
            here, length, line = steps[here]
            ridden.append((line, length))
        total: dict[int, int] = {}
        for line, length in reversed(ridden):
            if length:
                total[line] = total.get(line, 0) + length
        return total
