# SPDX-License-Identifier: Apache-2.0
"""Prices every paid row again with the services' own `decide`, and infers the card class it implies.

The file tells list price, charged price and a transfer mark, not the class. A class explains a row when
`decide`, given the list price, that class, and a card that did (or did not) just leave another ride, charges
exactly what was charged. Classes are tried first with the transfer the mark tells; only if none explains the
row is the opposite tried, and such a row is an anomaly. Rows alike in all this are decided once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import pyarrow as pa

from citycard.blueprints import Scheme
from citycard.clearing.replay.fileformat import FileFormat
from citycard.clearing.replay.problems import REPLAY_TARIFF
from citycard.clearing.replay.staging import Connection, one, rows_of
from citycard.core.tunion import MODE_BUS, MODE_METRO
from citycard.services import service_named
from citycard.services.concession import CLASS_CODES
from citycard.services.contract import Event, Fare, Grant, Journey, Ride, Rights, State, Tap

EXACT, MARK_WITHOUT_DISCOUNT, DISCOUNT_WITHOUT_MARK, UNEXPLAINED = (
    "EXACT", "MARK_WITHOUT_DISCOUNT", "DISCOUNT_WITHOUT_MARK", "UNEXPLAINED",
)  # fmt: skip
PURSE_FEN: Final = 1_000_000_000  # the balance is not in the file: enough for any price
BATCH: Final = 10_000  # distinct prices decided at a time
NOON: Final = time(12, 0)  # no tariff here depends on the hour, which `Rater` makes sure of
RIDE_BEFORE: Final = timedelta(minutes=30)  # within any transfer window
ELSEWHERE: Final = bytes(5) + b"\x01"  # another terminal than the tap's
KEYS: Final = ("period", "service", "company", "list_fen", "charged_fen", "mark")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a class, if any, explains a price; `explained_by` counts the classes that do."""

    outcome: str
    card_class: str | None
    fare: Fare | None
    explained_by: int = 0


class Rater:
    """The tariffs of a scheme, asked for one price at a time."""

    def __init__(self, scheme: Scheme, form: FileFormat) -> None:
        self._scheme = scheme
        self._classes = [(name, CLASS_CODES[name]) for name in form.classes]
        self._lines = {line.name_zh: line.number for line in scheme.lines}
        self._events = {name: event for name, event in form.events.values() if event is not Event.ENTER}
        self._tariffs: dict[tuple[str, date], Any] = {}
        for tariff in scheme.priced:
            if any(rule.blocks for rule in tariff.config.concessions.rules):
                why = f"concessions of service {tariff.service} depend on the time of day"
                raise REPLAY_TARIFF(scheme=scheme.name, why=why)

    def _config(self, service: str, day: date) -> Any:
        """The tariff of a service in force on a day; none before the first."""
        key = (service, day)
        if key not in self._tariffs:
            tariff = self._scheme.tariff(service, day)
            self._tariffs[key] = tariff and tariff.config
        return self._tariffs[key]

    def line(self, company: str) -> int:
        """The line a company's records are on; 0 for a company the scheme does not know."""
        return self._lines.get(company, 0)

    def fare(self, day: date, service: str, line: int, paid: tuple[int, int, bool]) -> Fare | None:
        """What the service charges for (list price, card class, after another ride); none if it refuses."""
        config = self._config(service, day)
        if config is None:
            return None
        list_fen, card_class, after_ride = paid
        decide, event, at = service_named(service).decide, self._events[service], datetime.combine(day, NOON)
        tap = Tap(at, event, line, 1, bytes(6), list_fen)
        entered = Journey(line, 0, at, bytes(6)) if event is Event.EXIT else None
        rights = Rights(card_class, b"")
        best: Fare | None = None
        for mode in (MODE_BUS, MODE_METRO) if after_ride else (None,):
            last = None if mode is None else Ride(mode, 0, 0, at - RIDE_BEFORE, ELSEWHERE, 200)
            decision = decide(tap, rights, State(entered, last, PURSE_FEN), config)
            if isinstance(decision, Grant) and (
                best is None or decision.fare.transfer_fen > best.transfer_fen
            ):
                best = decision.fare
        return best

    def judge(
        self, day: date, service: str, company: str, list_fen: int, charged_fen: int, mark: bool
    ) -> Verdict:
        """The class that explains a price on a day, and whether the transfer mark agrees."""
        line = self.line(company)
        for after_ride in (mark, not mark):
            found = []
            for name, code in self._classes:
                fare = self.fare(day, service, line, (list_fen, code, after_ride))
                if fare is not None and fare.charged_fen == charged_fen:
                    found.append((name, fare))
            if found:
                name, fare = found[0]
                odd = MARK_WITHOUT_DISCOUNT if mark else DISCOUNT_WITHOUT_MARK
                return Verdict(EXACT if after_ride == mark else odd, name, fare, len(found))
        return Verdict(UNEXPLAINED, None, None)


def rate(db: Connection, rater: Rater, progress: Callable[[str, int, int], None]) -> None:
    """Make `rated`: each distinct price with its verdict and the parts of its fare."""
    keys = ", ".join(KEYS)
    paid = "FROM taps WHERE dropped IS NULL AND event <> 'enter'"
    db.execute(f"CREATE TABLE prices AS SELECT {keys}, count(*) AS taps {paid} GROUP BY {keys}")
    columns = (
        "period DATE, service VARCHAR, company VARCHAR, list_fen BIGINT, charged_fen BIGINT, mark BOOLEAN"
    )
    db.execute(
        f"""CREATE TABLE rated ({columns}, outcome VARCHAR, card_class VARCHAR, concession_fen BIGINT,
            transfer_fen BIGINT, explained_by BIGINT)"""
    )
    total, done = one(db, "SELECT count(*) FROM prices"), 0
    reader = db.cursor().execute(f"SELECT {keys} FROM prices ORDER BY {keys}")
    while batch := reader.fetchmany(BATCH):
        rows = [_rated(rater, row) for row in batch]
        db.register("arriving", pa.Table.from_pylist(rows))
        db.execute("INSERT INTO rated BY NAME SELECT * FROM arriving")
        db.unregister("arriving")
        done += len(batch)
        progress("re-rate", done, total)


def _rated(rater: Rater, row: Sequence[Any]) -> Mapping[str, Any]:
    verdict = rater.judge(*row)
    fare = verdict.fare or Fare()
    return dict(zip(KEYS, row, strict=True)) | {
        "outcome": verdict.outcome,
        "card_class": verdict.card_class or "",
        "concession_fen": fare.concession_fen,
        "transfer_fen": fare.transfer_fen,
        "explained_by": verdict.explained_by,
    }


def outcomes(db: Connection) -> dict[str, int]:
    """Paid rows by outcome."""
    found = rows_of(
        db, f"SELECT outcome, sum(taps) AS n FROM prices JOIN rated USING ({', '.join(KEYS)}) GROUP BY 1"
    )
    return {row["outcome"]: int(row["n"]) for row in found}


def classes(db: Connection) -> list[dict[str, Any]]:
    """Explained rows by service and inferred class, with how many of them another class explains too."""
    return rows_of(
        db,
        f"""SELECT service, card_class, sum(taps)::BIGINT AS taps,
              sum(CASE WHEN explained_by > 1 THEN taps ELSE 0 END)::BIGINT AS ambiguous,
              sum(taps * list_fen)::BIGINT AS list_fen, sum(taps * charged_fen)::BIGINT AS charged_fen
            FROM prices JOIN rated USING ({", ".join(KEYS)}) WHERE outcome <> '{UNEXPLAINED}'
            GROUP BY 1, 2 ORDER BY 1, 3 DESC""",
    )


def suspended_fen(db: Connection) -> int:
    """What was charged in rows without an explanation."""
    return one(
        db,
        f"SELECT sum(taps * charged_fen) FROM prices JOIN rated USING ({', '.join(KEYS)}) "
        f"WHERE outcome = '{UNEXPLAINED}'",
    )


def listed(which: str) -> tuple[str, list[Any]]:
    """The query (and its values) for the rows of `anomalies` or `unexplained`, in order of the file."""
    wanted = [UNEXPLAINED] if which == "unexplained" else [MARK_WITHOUT_DISCOUNT, DISCOUNT_WITHOUT_MARK]
    query = f"""SELECT t.row, outcome AS kind, tapped_at, card, service, company, vehicle, station, terminal,
             mark AS transfer_mark, list_fen, charged_fen, card_class, transfer_fen
           FROM taps t JOIN rated USING ({", ".join(KEYS)})
           WHERE dropped IS NULL AND event <> 'enter' AND list_contains(?, outcome) ORDER BY t.row"""
    return query, [wanted]
