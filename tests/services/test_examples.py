# SPDX-License-Identifier: Apache-2.0
"""Decides the example taps that stand beside each service; the tables say what they show."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import date, datetime
from importlib import resources

import pytest

from citycard.core.record import Flag
from citycard.core.refusal import Refusal
from citycard.core.tunion import MODE_BUS, MODE_METRO
from citycard.services import REGISTRY, load_config
from citycard.services.concession import CLASS_CODES
from citycard.services.contract import Event, Fare, Grant, Journey, Ride, Rights, Service, State, Tap

DAY = date(2026, 9, 1)
COLUMNS = ("what is shown", "class", "tap", "before", "balance", "fare", "flags")
FARE = re.compile(r"(\d+) -(\d+) -(\d+) \+(\d+)$")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(f"{DAY} {text}")


def place(text: str) -> tuple[int, int, bytes]:
    """Line, station, and the one terminal that stands there."""
    line, station = (int(part) for part in text.split("/"))
    return line, station, bytes.fromhex(f"9900{line:04d}{station:02d}01")


def a_tap(text: str) -> Tap:
    at, event, where, *amount = text.split()
    return Tap(moment(at), Event(event), *place(where), int(amount[0]) if amount else 0)


def a_state(text: str, balance: str) -> State:
    journey = last = None
    for part in text.split("; ") if text != "-" else ():
        kind, where, at = part.split()
        line, station, terminal = place(where)
        if kind == "in":
            journey = Journey(line, station, moment(at), terminal)
        else:
            mode = {"bus": MODE_BUS, "metro": MODE_METRO}[kind]
            last = Ride(mode, line, station, moment(at), terminal, 200)
    return State(journey, last, int(balance))


def text_of(service: Service) -> str:
    return resources.files(f"citycard.services.{service.name}").joinpath("examples.txt").read_text("utf-8")


def tariff_of(service: Service) -> object:
    _, rest = text_of(service).split("\n[tariff]\n")
    return load_config(service.code, tomllib.loads("[tariff]\n" + rest.split("\n[taps]\n")[0])["tariff"])


def rows_of(service: Service) -> Iterator[dict[str, str]]:
    header, *lines = text_of(service).split("\n[taps]\n")[1].strip().splitlines()
    columns = tuple(cell.strip() for cell in header.split("|"))
    assert columns == COLUMNS
    assert len(columns) <= 8
    for line in lines:
        cells = [cell.strip() for cell in line.split("|")]
        yield dict(zip(columns, cells, strict=True))


EXAMPLES = [
    pytest.param(service, row, id=f"{service.name}: {row['what is shown']}")
    for service in REGISTRY.values()
    for row in rows_of(service)
]


@pytest.mark.parametrize(("service", "row"), EXAMPLES)
def test_example_tap(service: Service, row: dict[str, str]) -> None:
    tap, state = a_tap(row["tap"]), a_state(row["before"], row["balance"])
    rights = Rights(CLASS_CODES[row["class"]], bytes(8))
    decision = service.decide(tap, rights, state, tariff_of(service))
    fare = FARE.match(row["fare"])
    if fare is None:
        assert decision is Refusal[row["fare"]]
        return
    assert isinstance(decision, Grant), decision
    assert decision.fare == Fare(*(int(part) for part in fare.groups()))
    assert decision.flags == (Flag(0) if row["flags"] == "-" else Flag[row["flags"]])
    match tap.event:
        case Event.ENTER:
            assert decision.journey == Journey(tap.line, tap.station, tap.at, tap.terminal)
            assert decision.closes == state.journey
        case Event.EXIT:
            assert (decision.journey, decision.closes) == (None, state.journey)
        case _:
            assert (decision.journey, decision.closes) == (state.journey, None)


def test_every_service_has_examples_of_grants_and_of_refusals() -> None:
    for service in REGISTRY.values():
        told = [FARE.match(row["fare"]) is not None for row in rows_of(service)]
        assert told.count(True) >= 5
        assert told.count(False) >= 3


def test_labels_are_told_apart() -> None:
    for service in REGISTRY.values():
        labels = [row["what is shown"] for row in rows_of(service)]
        assert len(set(labels)) == len(labels)
