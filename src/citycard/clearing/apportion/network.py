# SPDX-License-Identifier: Apache-2.0
"""The network file: lines, operators, stations, distances and transfer walks, declared and checked.

One JSON or TOML file per version of the network, `format = "citycard network 1"`. A platform is a stop of a
line, known by the numbers its gates carry (line, stop); a station is the place its platforms share. A
network that contradicts itself is refused with the place and the remedy.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Iterable
from datetime import date, datetime, time
from functools import cached_property
from pathlib import Path as FilePath
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from citycard.core.cycles import Workdays
from citycard.core.problem import declare
from citycard.services.metro.network import Network as MetroNetwork
from citycard.services.metro.network import StationRef, Track
from citycard.services.metro.network import Stop as TrackStop
from citycard.services.model import TARIFF_INVALID, Config, LineNumber, StationNumber

FORMAT: Final = "citycard network 1"
DAY_S: Final = 86_400
STATIONS_MAX: Final = 4096  # a pair table of more would hold sixteen million pairs
Metres = Annotated[int, Field(ge=1, le=500_000)]
Min = Annotated[float, Field(ge=0, le=600)]  # minutes: never money, so a float
Platform = tuple[int, int]  # (line, stop), as terminals and records carry them

NOWHERE: Final[Platform] = (0, 0)

NETWORK_UNREADABLE = declare(
    "NETWORK_UNREADABLE",
    "The network file {path} cannot be read: {why}. Give a JSON or TOML file of the form '" + FORMAT + "'.",
    "无法读取线网文件 {path}：{why}。请提供格式为“" + FORMAT + "”的 JSON 或 TOML 文件。",
)
STATION_UNKNOWN = declare(
    "STATION_UNKNOWN",
    "There is no station {name!r} in network {network}; name it by id, name or line.stop. Near: {near}.",
    "线网 {network} 中没有车站“{name}”，可用编号、站名或 线路.站号 指定。相近的有：{near}。",
)


class Operator(Config):
    """Who runs trains: a participant of the scheme, by its institution id (16 hex digits)."""

    participant: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    name_en: str = ""
    name_zh: str = ""


class Stop(Config):
    """A stop of a line and the metres (and minutes, if known) of track from the stop before it."""

    number: StationNumber
    station: str
    from_previous_m: Metres | None = None
    minutes: Min | None = None  # running time from the stop before; else metres at the line's speed
    operator: str | None = None  # of the section from the stop before; else the line's


class Line(Config):
    """A line in the order of its stops; a loop closes with `loop_m` metres from the last to the first."""

    number: LineNumber
    name_en: str = ""
    name_zh: str = ""
    operator: str
    headway_min: Min = 5.0  # between trains; a rider waits half of it
    speed_kmh: Annotated[float, Field(gt=0, le=500)] = 35.0
    loop_m: Metres | None = None
    stops: Annotated[tuple[Stop, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _whole(self) -> Line:
        for stop in self.stops[1:]:
            if stop.from_previous_m is None:
                raise ValueError(f"line {self.number}, stop {stop.number}: from_previous_m is missing")
        if self.stops[0].from_previous_m is not None:
            raise ValueError(
                f"line {self.number}: the first stop has no stop before it; use loop_m for a loop"
            )
        try:
            _once("stop", [stop.number for stop in self.stops])
            _once("station", [stop.station for stop in self.stops])
        except ValueError as twice:
            raise ValueError(f"line {self.number}: {twice}") from None
        return self


class Station(Config):
    """A place. Closed: trains pass, nobody enters, leaves or changes. `x`, `y` are for the map alone."""

    id: str
    name_en: str = ""
    name_zh: str = ""
    x: float | None = None
    y: float | None = None
    closed: bool = False


class Transfer(Config):
    """A walk between two platforms, of one station or of two that count as one for the fare."""

    from_: Annotated[tuple[LineNumber, StationNumber], Field(alias="from")]
    to: tuple[LineNumber, StationNumber]
    minutes: Min
    both_ways: bool = False

    @property
    def ends(self) -> tuple[Platform, Platform]:
        """From and to."""
        return self.from_, self.to


class Period(Config):
    """A part of the day with its own headways, for entries from `start` up to `end` (local time).

    An `end` of 00:00 is midnight, the end of the day.
    """

    name: Annotated[str, Field(min_length=1)]
    start: time
    end: time
    days: Literal["all", "work", "rest"] = "all"  # on which days, by the network's `days`
    headway_min: dict[str, Min] = Field(
        default_factory=dict
    )  # by line number, as text: keys of JSON are text

    @model_validator(mode="after")
    def _forward(self) -> Period:
        if self.from_s >= self.until_s:
            raise ValueError(f"period {self.name}: start must lie before end; split one that passes midnight")
        if self.start.microsecond or self.end.microsecond or self.start.tzinfo or self.end.tzinfo:
            raise ValueError(f"period {self.name}: give local time in whole seconds, such as 07:00")
        return self

    @property
    def from_s(self) -> int:
        """Its first second, counted from midnight."""
        return seconds(self.start)

    @property
    def until_s(self) -> int:
        """The second after its last one."""
        return seconds(self.end) or DAY_S

    def on(self, works: bool) -> bool:
        """Whether it is kept on days with or without work."""
        return self.days == "all" or (self.days == "work") == works


class Days(Config):
    """Which days are days of work: no rest day (1 Monday to 7 Sunday), no holiday, or one that is worked."""

    rest_days: tuple[Annotated[int, Field(ge=1, le=7)], ...] = (6, 7)
    holidays: tuple[date, ...] = ()
    worked: tuple[date, ...] = ()  # days of rest that are worked instead (调休)

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Days:
        both = set(self.holidays) & set(self.worked)
        if both:
            raise ValueError(f"{min(both)} is a holiday and worked")
        return self

    def works(self, on: date) -> bool:
        """Whether a date is a day of work."""
        return Workdays(frozenset(self.rest_days), frozenset(self.holidays), frozenset(self.worked)).works(on)


class Choice(Config):
    """How riders choose: what a path costs them in minutes, which are reasonable, how sharply they choose.

    Calibrate `theta` and the penalties with a survey or with card data; the values here are customary.
    """

    paths_max: Annotated[int, Field(ge=1, le=20)] = 5
    longest_ratio: Annotated[float, Field(ge=1, le=5)] = 1.6  # of the cheapest path's cost
    longest_extra_min: Min = 12.0  # and no more than this beyond it
    transfer_penalty_min: Min = 3.0  # what a change costs beyond its walk and wait
    transfer_default_min: Min = 4.0  # walk between platforms of a station where no transfer is declared
    walk_weight: Annotated[float, Field(ge=0, le=10)] = 1.5
    wait_weight: Annotated[float, Field(ge=0, le=10)] = 1.5
    dwell_min: Min = 0.5
    theta: Annotated[float, Field(gt=0, le=10)] = (
        0.25  # logit: weight of a path is exp(-theta * minutes more)
    )
    key: Literal["metres", "minutes", "stations"] = "metres"  # what operators' parts are measured by


class Network(Config):
    """One version of a network."""

    format: Literal["citycard network 1"]
    name: str
    version: Annotated[int, Field(ge=1, le=65_535)]
    valid_from: date
    operators: dict[str, Operator]
    stations: Annotated[tuple[Station, ...], Field(min_length=2, max_length=STATIONS_MAX)]
    lines: Annotated[tuple[Line, ...], Field(min_length=1)]
    transfers: tuple[Transfer, ...] = ()
    periods: tuple[Period, ...] = ()
    days: Days = Days()
    choice: Choice = Choice()

    @model_validator(mode="after")
    def _whole(self) -> Network:
        _once("station id", [station.id for station in self.stations])
        _once("line number", [line.number for line in self.lines])
        _once("period", [period.name for period in self.periods])
        for works in (True, False):
            kept = sorted((p for p in self.periods if p.on(works)), key=lambda period: period.start)
            for a, b in itertools.pairwise(kept):
                if b.from_s < a.until_s:
                    raise ValueError(f"periods {a.name} and {b.name} overlap")
        ids = {station.id for station in self.stations}
        for line in self.lines:
            for stop in line.stops:
                if stop.station not in ids:
                    raise ValueError(f"line {line.number}, stop {stop.number}: no station {stop.station!r}")
            for name in (line.operator, *(s.operator for s in line.stops if s.operator)):
                if name not in self.operators:
                    raise ValueError(f"line {line.number}: no operator {name!r}")
        unused = ids - {stop.station for line in self.lines for stop in line.stops}
        if unused:
            raise ValueError(f"station {min(unused)!r} is on no line")
        self._check_numbers()
        return self

    def _check_numbers(self) -> None:
        lines = {line.number for line in self.lines}
        for transfer in self.transfers:
            for platform in transfer.ends:
                if platform not in self.platforms:
                    raise ValueError(
                        f"a transfer names line {platform[0]} stop {platform[1]}, which is not there"
                    )
            if transfer.from_ == transfer.to:
                raise ValueError(
                    f"a transfer leads from line {transfer.to[0]} stop {transfer.to[1]} to itself"
                )
        if NOWHERE in self.platforms:
            raise ValueError("line 0 stop 0 is how records say that no entry is known; number it otherwise")
        for period in self.periods:
            for number in period.headway_min:
                if not number.isdigit() or int(number) not in lines:
                    raise ValueError(f"period {period.name}: headway_min names no line {number}")

    @cached_property
    def platforms(self) -> dict[Platform, str]:
        """Every platform with the id of its station."""
        return {(line.number, stop.number): stop.station for line in self.lines for stop in line.stops}

    @cached_property
    def by_id(self) -> dict[str, Station]:
        """The stations by id."""
        return {station.id: station for station in self.stations}

    @property
    def digest(self) -> str:
        """SHA-256 of the content, however the file was laid out."""
        content = self.model_dump(mode="json", by_alias=True)
        if self.days == Days():  # as before there were kinds of days: a matrix made then still fits
            del content["days"]
        for period in content["periods"]:
            if period["days"] == "all":
                del period["days"]
        plain = json.dumps(content, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(plain.encode()).hexdigest()

    def period_at(self, moment: datetime | time | None) -> str:
        """The period of an entry, on a day of work if no date is given; empty: none is declared for it."""
        if moment is None:
            return ""
        works = self.days.works(moment.date()) if isinstance(moment, datetime) else True
        at = seconds(moment)
        return next((p.name for p in self.periods if p.on(works) and p.from_s <= at < p.until_s), "")

    def tracks(self) -> MetroNetwork:
        """The same network as the metro's tariff wants it: one file then gives fares and shares.

        Platforms joined by a walk are one place there, as they are for the fare.
        """
        tracks = []
        for line in self.lines:
            places = itertools.accumulate(stop.from_previous_m or 0 for stop in line.stops)
            stops = tuple(
                TrackStop(station=stop.number, at_m=at) for stop, at in zip(line.stops, places, strict=True)
            )
            tracks.append(Track(line=line.number, stops=stops, loop_m=line.loop_m))
        groups: dict[str, set[Platform]] = {}
        for platform, station in self.platforms.items():
            groups.setdefault(station, set()).add(platform)
        for transfer in self.transfers:
            a, b = (groups[self.platforms[end]] for end in transfer.ends)
            if a is not b:
                a |= b
                groups |= {self.platforms[platform]: a for platform in b}
        shared = {id(group): group for group in groups.values() if len(group) > 1}
        refs = (tuple(StationRef(line=a, station=b) for a, b in sorted(group)) for group in shared.values())
        return MetroNetwork(tracks=tuple(tracks), interchanges=tuple(sorted(refs, key=lambda g: g[0].node)))

    def find(self, text: str) -> Station:
        """A station by id, name (either language) or `line.stop`; STATION_UNKNOWN."""
        for station in self.stations:
            if text in (station.id, station.name_zh) or text.lower() == station.name_en.lower() != "":
                return station
        line, _, stop = text.partition(".")
        if line.isdigit() and stop.isdigit() and (int(line), int(stop)) in self.platforms:
            return self.by_id[self.platforms[int(line), int(stop)]]
        near = [
            s.id for s in self.stations if text and (text in s.id or text in s.name_zh or text in s.name_en)
        ]
        raise STATION_UNKNOWN(name=text, network=self.name, near=", ".join(near[:5]) or "-")


def read_network(path: FilePath) -> Network:
    """The network of a file. Problems: NETWORK_UNREADABLE, TARIFF_INVALID (with the place)."""
    try:
        raw = path.read_bytes()
        plain = tomllib.loads(raw.decode()) if path.suffix == ".toml" else json.loads(raw)
    except OSError as fault:
        raise NETWORK_UNREADABLE(path=path, why=fault.strerror) from None
    except (UnicodeDecodeError, json.JSONDecodeError, tomllib.TOMLDecodeError) as fault:
        raise NETWORK_UNREADABLE(path=path, why=fault) from None
    if not isinstance(plain, dict):
        raise NETWORK_UNREADABLE(path=path, why="it holds no object")
    return Network.from_plain(plain, what=f"The network {path.name}")


def seconds(moment: datetime | time) -> int:
    """Whole seconds since midnight."""
    return moment.hour * 3600 + moment.minute * 60 + moment.second


def _once(what: str, values: Iterable[object]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} is used twice")
        seen.add(value)


__all__ = [
    "FORMAT",
    "NETWORK_UNREADABLE",
    "STATION_UNKNOWN",
    "TARIFF_INVALID",
    "Network",
    "Platform",
    "read_network",
]
