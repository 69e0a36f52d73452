# SPDX-License-Identifier: Apache-2.0
"""A map of the network with the paths of one pair on it, as SVG.

Stations without coordinates are placed so that distances on the paper follow distances along the track
(classical scaling of the shortest distances), which looks much like a map.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from reportlab.graphics import renderSVG
from reportlab.graphics.shapes import Circle, Drawing, PolyLine, String
from reportlab.lib.colors import Color, HexColor

from citycard.clearing.apportion.network import Network
from citycard.clearing.apportion.paths import Graph
from citycard.clearing.apportion.shares import Explained

WIDTH: Final = 1200.0
MARGIN: Final = 60.0
HEIGHT_MAX: Final = 800.0
HEADER: Final = 46.0
ROW: Final = 20.0
GREY: Final = HexColor("#c9ced6")
INK: Final = HexColor("#1f2933")
PATHS: Final = [HexColor(c) for c in ("#0b6e99", "#d9822b", "#3d9a50", "#b83280", "#6b46c1")]
FONT: Final = "Helvetica"  # the viewer's font supplies Chinese
NEAR_FIELDS: Final = 6.0  # points between parallel paths


def draw(graph: Graph, found: Explained) -> str:
    """The SVG text."""
    network = graph.network
    rows = len(found.paths)
    header = HEADER + ROW * rows
    spots, height = _spots(graph, found)
    height += header
    drawing = Drawing(WIDTH, height)
    for line in network.lines:
        points = [spots[stop.station] for stop in line.stops]
        if line.loop_m is not None:
            points.append(points[0])
        drawing.add(_polyline(points, GREY, 2.5))
    for number in reversed(range(rows)):
        colour = PATHS[number % len(PATHS)]
        for leg in found.paths[number].legs:
            ridden = _along(network, leg.board, leg.alight, leg.stops)
            shift = (number - (rows - 1) / 2) * NEAR_FIELDS
            shifted = [(spots[name][0] + shift, spots[name][1] + shift) for name in ridden]
            drawing.add(_polyline(shifted, colour, 4))
    _marks(drawing, network, found, spots)
    _legend(drawing, network, found, height)
    text: str = renderSVG.drawToString(drawing)
    return text


def _spots(graph: Graph, found: Explained) -> tuple[dict[str, tuple[float, float]], float]:
    """Where each station lies on the paper, drawn so large that the paths fill it; and the map's height."""
    stations = graph.network.stations
    if all(s.x is not None and s.y is not None for s in stations):
        raw = np.array([(s.x, s.y) for s in stations], dtype=float)
    else:
        raw = _scaled(graph)
    inside = {found.start, found.goal}
    for path in found.paths:
        for leg in path.legs:
            inside.update(_along(graph.network, leg.board, leg.alight, leg.stops))
    box = raw[[number for number, s in enumerate(stations) if s.id in inside]]
    low, high = box.min(axis=0), box.max(axis=0)
    if (high == low).all():  # one place alone: the whole network around it
        low, high = raw.min(axis=0), raw.max(axis=0)
    span = np.maximum(high - low, (high - low).max() / 3)  # a straight way still gets a map, not a stripe
    scale = min((WIDTH - 2 * MARGIN) / span[0], HEIGHT_MAX / span[1])
    centre = (low + high) / 2
    height = float(span[1] * scale) + 2 * MARGIN
    placed = (raw - centre) * scale + np.array([WIDTH / 2, height / 2])
    return {s.id: (float(x), float(y)) for s, (x, y) in zip(stations, placed, strict=True)}, height


def _scaled(graph: Graph) -> Any:
    """Classical multidimensional scaling of the metres between stations (Torgerson 1952)."""
    stations = graph.network.stations
    metro = graph.network.tracks()
    first = {station: platform for platform, station in reversed(graph.network.platforms.items())}
    nodes = [first[s.id] for s in stations]
    metres = [[metro.metres(a, b) for b in nodes] for a in nodes]
    far = max(m for row in metres for m in row if m is not None)
    squared = np.array([[far if m is None else m for m in row] for row in metres], dtype=float) ** 2
    centred = squared - squared.mean(axis=0) - squared.mean(axis=1)[:, None] + squared.mean()
    values, vectors = np.linalg.eigh(-centred / 2)
    spots = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
    return spots[:, ::-1]  # the longer axis across


def _along(network: Network, board: tuple[int, int], alight: tuple[int, int], stops: int) -> list[str]:
    """The stations of a leg in order; on a loop in the direction that has so many stops."""
    line = next(line for line in network.lines if line.number == board[0])
    names = [stop.station for stop in line.stops]
    numbers = [stop.number for stop in line.stops]
    a, b = numbers.index(board[1]), numbers.index(alight[1])
    for step in (1, -1):
        walk = [names[(a + step * n) % len(names)] for n in range(stops + 1)]
        straight = 0 <= a + step * stops < len(names)
        if walk[-1] == names[b] and (straight or line.loop_m is not None):
            return walk
    raise AssertionError(f"line {line.number} has no {stops} stops from {board} to {alight}")


def _polyline(points: list[tuple[float, float]], colour: Color, width: float) -> PolyLine:
    flat = [value for point in points for value in point]
    return PolyLine(flat, strokeColor=colour, strokeWidth=width, strokeLineJoin=1, strokeLineCap=1)


def _marks(
    drawing: Drawing, network: Network, found: Explained, spots: dict[str, tuple[float, float]]
) -> None:
    """The ends and every change, with their names."""
    seen: dict[str, bool] = {found.start: True, found.goal: True}
    for path in found.paths:
        for leg in path.legs[:-1]:
            seen.setdefault(network.platforms[leg.alight], False)
    for station, end in seen.items():
        x, y = spots[station]
        drawing.add(
            Circle(x, y, 6 if end else 4, fillColor=HexColor("#ffffff"), strokeColor=INK, strokeWidth=2)
        )
        about = network.by_id[station]
        name = about.name_zh or about.name_en or station
        drawing.add(String(x + 9, y + 4, name, fontName=FONT, fontSize=14 if end else 11, fillColor=INK))


def _legend(drawing: Drawing, network: Network, found: Explained, height: float) -> None:
    names = {line.number: line.name_zh or line.name_en or str(line.number) for line in network.lines}
    for number, (path, chance) in enumerate(zip(found.paths, found.probabilities, strict=True)):
        y = height - 24 - ROW * number
        drawing.add(_polyline([(MARGIN, y + 4), (MARGIN + 40, y + 4)], PATHS[number % len(PATHS)], 4))
        ways = " - ".join(names[leg.line] for leg in path.legs)
        text = f"{chance:6.1%}   {path.cost_min:5.1f} min   {path.metres / 1000:5.1f} km   {ways}"
        drawing.add(String(MARGIN + 52, y, text, fontName=FONT, fontSize=13, fillColor=INK))
