# SPDX-License-Identifier: Apache-2.0
"""The shares of all pairs of a network version: computed once, kept as Parquet, applied by a join.

A matrix has one row for each pair of stations, period and participant with a part. It remembers the digest
of the network it was made from, so a table can never be taken for another network's. Between two versions
`changed` names the pairs that differ.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path as FilePath
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from citycard.clearing.apportion.network import Network, read_network
from citycard.clearing.apportion.paths import Graph
from citycard.clearing.apportion.shares import explain
from citycard.clearing.rules import Sharing
from citycard.core.problem import declare
from citycard.services.contract import Place, Weights

FOLDER: Final = "networks"  # in the home folder: NAME-vN.json and NAME-vN.parquet
DIGEST: Final = b"citycard.network"
ALONE: Final = 40  # stations up to which starting more processes takes longer than the work
COLUMNS: Final = pa.schema(
    [
        pa.field("start", pa.string(), nullable=False),
        pa.field("goal", pa.string(), nullable=False),
        pa.field("period", pa.string(), nullable=False),
        pa.field("participant", pa.string(), nullable=False),
        pa.field("parts", pa.int32(), nullable=False),  # per million of the fare
    ]
)
Pair = tuple[str, str, str]  # start, goal, period
Shares = tuple[tuple[str, int], ...]
Told = Callable[[int, int], None]  # goals done, goals in all

MATRIX_STALE = declare(
    "MATRIX_STALE",
    "The matrix {path} was not made from the network file beside it. Run `citycard apportion build` again.",
    "矩阵 {path} 与同目录的线网文件不符，请重新运行 `citycard apportion build`。",
)
MATRIX_UNREADABLE = declare(
    "MATRIX_UNREADABLE",
    "The matrix {path} cannot be read: {why}. Run `citycard apportion build` again.",
    "无法读取矩阵 {path}：{why}。请重新运行 `citycard apportion build`。",
)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Shares by pair; a pair without a path is not there."""

    digest: str
    pairs: Mapping[Pair, Shares]

    def shares(self, start: str, goal: str, period: str = "") -> Shares:
        """Parts per million of a pair in a period, else of the whole day; empty: no path."""
        return self.pairs.get((start, goal, period)) or self.pairs.get((start, goal, ""), ())

    def changed(self, other: Matrix) -> set[Pair]:
        """The pairs whose shares differ between two matrices, those that only one has included."""
        keys = self.pairs.keys() | other.pairs.keys()
        return {key for key in keys if self.pairs.get(key) != other.pairs.get(key)}

    def write(self, path: FilePath) -> None:
        """As Parquet, in the order of the pairs."""
        rows = [(*pair, who, parts) for pair, shares in sorted(self.pairs.items()) for who, parts in shares]
        arrays = [pa.array([row[at] for row in rows], kind.type) for at, kind in enumerate(COLUMNS)]
        schema = COLUMNS.with_metadata({DIGEST: self.digest.encode()})
        partial = path.with_suffix(".partial")
        pq.write_table(pa.table(arrays, schema=schema), partial, compression="zstd")
        partial.replace(path)

    @classmethod
    def read(cls, path: FilePath) -> Matrix:
        """From Parquet; MATRIX_UNREADABLE."""
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as fault:
            raise MATRIX_UNREADABLE(path=path, why=str(fault).splitlines()[0]) from None
        if table.schema.names != COLUMNS.names or DIGEST not in (table.schema.metadata or {}):
            raise MATRIX_UNREADABLE(path=path, why="it is another kind of table")
        pairs: dict[Pair, list[tuple[str, int]]] = {}
        for start, goal, period, who, parts in zip(*(c.to_pylist() for c in table.columns), strict=True):
            pairs.setdefault((start, goal, period), []).append((who, parts))
        return cls(
            table.schema.metadata[DIGEST].decode(), {pair: tuple(found) for pair, found in pairs.items()}
        )


def build(network: Network, told: Told | None = None, workers: int | None = None) -> Matrix:
    """All pairs in all periods; `workers` processes (as many as the machine has cores, one if small)."""
    goals = [station.id for station in network.stations]
    jobs = [(period, goal) for period in ("", *(p.name for p in network.periods)) for goal in goals]
    pairs: dict[Pair, Shares] = {}
    for done, part in enumerate(_worked(network, jobs, workers), start=1):
        pairs.update(part)
        if told:
            told(done, len(jobs))
    return Matrix(network.digest, pairs)


def _worked(
    network: Network, jobs: list[tuple[str, str]], workers: int | None
) -> Iterator[dict[Pair, Shares]]:
    processes = workers or (os.cpu_count() or 1 if len(network.stations) > ALONE else 1)
    if processes == 1:
        _begin(network)
        yield from map(_column, jobs)
        return
    with ProcessPoolExecutor(processes, initializer=_begin, initargs=(network,)) as pool:
        yield from pool.map(_column, jobs, chunksize=4)


_network: Network
_graphs: dict[str, Graph] = {}


def _begin(network: Network) -> None:
    """What a worker process holds: the network, and its graph in each period it is asked about."""
    global _network
    _network = network
    _graphs.clear()


def _column(job: tuple[str, str]) -> dict[Pair, Shares]:
    """The shares from every station to one goal."""
    period, goal = job
    if period not in _graphs:
        _graphs[period] = Graph(_network, period)
    graph = _graphs[period]
    remaining = graph.remaining(goal)
    found: dict[Pair, Shares] = {}
    for station in _network.stations:
        shares = explain(graph, station.id, goal, remaining).shares
        if shares:
            found[station.id, goal, period] = shares
    return found


@dataclass
class MatrixSharing:
    """The `Sharing` port of clearing: a journey's pair by the matrix, anything else as before."""

    network: Network
    matrix: Matrix
    otherwise: Sharing

    def __call__(self, service: int, version: int, place: Place, lines: Mapping[int, str]) -> Weights:
        """Weights in parts per million for a pair of the network, in the place's period."""
        platforms = self.network.platforms
        start = platforms.get((place.entry_line, place.entry_station))
        goal = platforms.get((place.line, place.station))
        shares = self.matrix.shares(start, goal, place.period) if start and goal else ()
        return shares or self.otherwise(service, version, place, lines)


@dataclass(frozen=True, slots=True)
class Installed:
    """A network of a home, and where its matrix lies."""

    network: Network
    path: FilePath  # of the matrix

    def sharing(self, otherwise: Sharing) -> MatrixSharing:
        """Pairs of the network by its matrix, anything else as before. MATRIX_STALE, MATRIX_UNREADABLE."""
        matrix = Matrix.read(self.path)
        if matrix.digest != self.network.digest:
            raise MATRIX_STALE(path=self.path)
        return MatrixSharing(self.network, matrix, otherwise)


def in_force(home: FilePath, day: date) -> Installed | None:
    """The newest network of a home that is in force on a day. NETWORK_UNREADABLE."""
    found = [
        Installed(read_network(path), path.with_suffix(".parquet"))
        for path in sorted((home / FOLDER).glob("*.json"))
    ]
    valid = [one for one in found if one.network.valid_from <= day]
    return max(valid, key=lambda one: (one.network.valid_from, one.network.version), default=None)


def installed(home: FilePath, day: date, otherwise: Sharing) -> Sharing:
    """The sharing by the network in force on a day; `otherwise` when the home has none.

    MATRIX_STALE, MATRIX_UNREADABLE, NETWORK_UNREADABLE.
    """
    found = in_force(home, day)
    return found.sharing(otherwise) if found else otherwise


def install(home: FilePath, network: Network, matrix: Matrix) -> FilePath:
    """Put a network and its matrix where clearing looks for them; the network's path."""
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{network.name}-v{network.version}.json"
    matrix.write(path.with_suffix(".parquet"))
    partial = path.with_suffix(".partial")
    partial.write_text(network.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
    partial.replace(path)
    return path


def totals(shares: Iterable[Shares]) -> set[int]:
    """The distinct sums of parts: {1000000} when every pair adds up."""
    return {sum(parts for _, parts in one) for one in shares}
