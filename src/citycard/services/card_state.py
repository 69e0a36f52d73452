# SPDX-License-Identifier: Apache-2.0
"""What the card remembers of services: from its records to a `State`, and from a grant to its records.

The open journey lies in industry record 2701 (EF1A), the last event in the newest record of the
public-transport process (EF1E); layouts in `citycard.core.tunion`. The record that is newest at a metro exit
is the entry itself, so the ride before it, the ground for a transfer discount, is kept in the
operator-specific bytes of record 2701 (`LAST`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from citycard.core import tunion
from citycard.core.layout import Field, Layout, LayoutError
from citycard.services.contract import Event, Grant, Journey, Ride, Service, State, Tap

METRO_NUMBER: Final = tunion.TAG_METRO & 0xFF  # record 2701 is record 1 of EF1A
NEWEST: Final = 0  # EF1E is cyclic: a record is added as the newest, not written by number
PAD: Final = bytes(2)  # terminals are 6 bytes, the card's fields 8

LAST: Final = Layout(
    "ride before the journey (EF1A record 2701, operator specific)",
    "citycard's own use of bytes 99-127",
    (
        Field("version", 1, note="00 nothing kept, 01 a ride"),
        Field("mode", 1),
        Field("line", 2),
        Field("station", 2),
        Field("at", 7, "moment"),
        Field("terminal", 6, "raw"),
        Field("amount_fen", 4),
        Field("reserved", 6, "raw"),
    ),
    examples=(
        (
            "01020065000320260901073000" + "990001010001" + "000000A0" + "000000000000",
            {
                "version": 1,
                "mode": 2,
                "line": 101,
                "station": 3,
                "at": datetime(2026, 9, 1, 7, 30),
                "terminal": bytes.fromhex("990001010001"),
                "amount_fen": 160,
                "reserved": bytes(6),
            },
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Site:
    """Who accepts the tap and where: the acquirer's institution id (8 bytes) and city code (4 digits)."""

    acquirer: bytes
    city: str = "0000"


@dataclass(frozen=True, slots=True)
class StagedRecord:
    """A record to write with the debit (UPDATE CAPP CACHE): its file, its number, its bytes.

    `number` is the record number for EF1A (1 = record 2701) and 0 for EF1E, where a record is added.
    """

    sfi: int
    number: int
    data: bytes


def read_state(metro: bytes | None, newest: bytes | None, balance_fen: int) -> State:
    """The state in record 2701 of EF1A, the newest record of EF1E and the balance.

    A record that is absent, empty (all 00 or all FF) or of no valid layout counts as nothing remembered:
    other cities write these files too.
    """
    kept = _decoded(tunion.METRO, metro)
    if kept is not None and (kept["tag"] != tunion.TAG_METRO or not kept["in_use"]):
        kept = None
    event = _decoded(tunion.TRANSIT, newest)
    ride = _ride(event) if event is not None else None
    journey = _journey(kept)
    if kept is None or journey is None:
        return State(None, ride, balance_fen)
    if ride is None or ride.at < journey.at:
        ride = _kept_ride(kept["operator_specific"])
    return State(journey, ride, balance_fen)


def _decoded(layout: Layout, raw: bytes | None) -> dict[str, Any] | None:
    if raw is None or not any(raw) or all(byte == 0xFF for byte in raw):
        return None
    try:
        return layout.decode(raw)
    except LayoutError:
        return None


def _journey(kept: dict[str, Any] | None) -> Journey | None:
    if kept is None or kept["status"] != tunion.ENTERED or kept["entry_at"] is None:
        return None
    return Journey(kept["entry_line"], kept["entry_station"], kept["entry_at"], kept["entry_terminal"][2:])


def _ride(event: dict[str, Any]) -> Ride | None:
    """The ride an EF1E record tells of; an entry is none."""
    if event["event"] == tunion.ENTRY or event["at"] is None:
        return None
    where = event["line"], event["station"]
    return Ride(event["mode"], *where, event["at"], event["terminal"][2:], event["amount_fen"])


def _kept_ride(raw: bytes) -> Ride | None:
    kept = _decoded(LAST, raw)
    if kept is None or kept["version"] != 1 or kept["at"] is None:
        return None
    return Ride(*(kept[name] for name in ("mode", "line", "station", "at", "terminal", "amount_fen")))


def write_state(
    service: Service, grant: Grant, tap: Tap, state: State, site: Site, serial: int = 0
) -> list[StagedRecord]:
    """The records that go onto the card together with the debit, in the order to stage them.

    `state` is what `read_state` gave before the tap, `serial` the card's counter (kept for people). None for
    a service that leaves the transit files alone (`composite` False).
    """
    if not service.composite:
        return []
    ride = StagedRecord(tunion.SFI_TRANSIT, NEWEST, _transit(service, grant, tap, state, site))
    if service.mode != tunion.MODE_METRO:
        return [ride]
    metro = _entered(grant, tap, state, site, serial) if grant.journey else _exited(grant, tap, site, serial)
    return [StagedRecord(tunion.SFI_INDUSTRY, METRO_NUMBER, metro), ride]


def _transit(service: Service, grant: Grant, tap: Tap, state: State, site: Site) -> bytes:
    kinds = {Event.ENTER: tunion.ENTRY, Event.EXIT: tunion.EXIT}
    return tunion.TRANSIT.encode(
        event=kinds.get(tap.event, tunion.RIDE),
        terminal=PAD + tap.terminal,
        mode=service.mode,
        line=tap.line,
        station=tap.station,
        amount_fen=grant.fare.charged_fen,
        balance_after_fen=state.balance_fen - grant.fare.charged_fen,
        at=tap.at,
        city=site.city,
        acquirer=site.acquirer,
    )


def _entered(grant: Grant, tap: Tap, state: State, site: Site, serial: int) -> bytes:
    last = state.last
    kept = bytes(LAST.size)
    if last is not None:
        kept = LAST.encode(
            version=1, mode=last.mode, line=last.line, station=last.station, at=last.at,
            terminal=last.terminal, amount_fen=last.amount_fen,
        )  # fmt: skip
    return tunion.METRO.encode(
        serial=f"{serial:016d}",
        status=tunion.ENTERED,
        entry_city=site.city,
        entry_organisation=site.acquirer,
        entry_station=tap.station,
        entry_terminal=PAD + tap.terminal,
        entry_at=tap.at,
        entry_line=tap.line,
        entry_amount_fen=grant.fare.charged_fen,
        entry_balance_fen=state.balance_fen - grant.fare.charged_fen,
        operator_specific=kept,
    )


def _exited(grant: Grant, tap: Tap, site: Site, serial: int) -> bytes:
    entry = grant.closes
    came: dict[str, Any] = {}
    if entry is not None:
        came = {
            "entry_station": entry.station,
            "entry_terminal": PAD + entry.terminal,
            "entry_at": entry.at,
            "entry_line": entry.line,
        }
    return tunion.METRO.encode(
        serial=f"{serial:016d}",
        status=tunion.EXITED,
        exit_city=site.city,
        exit_organisation=site.acquirer,
        exit_station=tap.station,
        exit_terminal=PAD + tap.terminal,
        exit_at=tap.at,
        exit_line=tap.line,
        actual_fen=grant.fare.charged_fen,
        **came,
    )
