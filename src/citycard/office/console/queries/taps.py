# SPDX-License-Identifier: Apache-2.0
"""Taps as rows: of a card, a terminal, a run; with names, words and the parts of the fare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Q, QuerySet
from django.utils.functional import Promise

from citycard.core.record import Kind
from citycard.office.console import labels
from citycard.office.console.access import Text
from citycard.office.console.queries.names import Names
from citycard.office.participants.models import Line
from citycard.office.settlement.models import Tap

OFF = ("concession", "transfer")  # discounts a tap can be asked for


@dataclass(frozen=True, slots=True)
class TapRow:
    """A tap as a table shows it."""

    tap: str
    at: datetime
    pan: str
    terminal: str
    service: str
    load: bool
    place: str
    stop: str
    entry: str
    entry_at: datetime | None
    list_fen: int
    concession_fen: int
    transfer_fen: int
    surcharge_fen: int
    amount_fen: int
    balance_after_fen: int
    verdict: str
    verdict_text: Text
    reason: str
    flags: list[Text]
    run: date

    @property
    def journey(self) -> str:
        """From where to where when both are known, else the place of the tap."""
        return f"{self.entry} → {self.stop}" if self.entry else self.place


def rows(taps: Iterable[Tap], names: Names) -> list[TapRow]:
    """The rows of these taps."""
    return [_row(tap, names) for tap in taps]


def filtered(query: QuerySet[Tap], wanted: dict[str, str]) -> QuerySet[Tap]:
    """Taps narrowed by what the reader asked: run, verdict, reason, service, participant, terminal, card."""
    for name in ("verdict", "reason", "terminal", "pan", "acquirer", "issuer"):
        if value := wanted.get(name, ""):
            query = query.filter(**{name: value})
    for name in ("service", "kind"):
        if (value := wanted.get(name, "")).isdigit():
            query = query.filter(**{name: int(value)})
    if value := wanted.get("operator", ""):
        lines = list(Line.objects.filter(operator=value).values_list("number", flat=True))
        query = query.filter(Q(line__in=lines) | Q(entry_line__in=lines))
    if wanted.get("charged", ""):
        query = query.filter(amount_fen__gt=0)
    if (value := wanted.get("off", "")) in OFF:
        query = query.filter(**{f"{value}_fen__gt": 0})
    if value := wanted.get("run", ""):
        try:
            query = query.filter(run=date.fromisoformat(value))
        except ValueError:
            query = query.none()
    return query


def _row(tap: Tap, names: Names) -> TapRow:
    load = tap.kind == Kind.LOAD
    sign = 1 if load else -1
    verdict: str | Promise = labels.VERDICTS.get(tap.verdict, tap.verdict)
    return TapRow(
        tap=tap.tap,
        at=tap.tapped_at,
        pan=tap.pan,
        terminal=tap.terminal,
        service=labels.service(tap.service),
        load=load,
        place=names.place(tap.line, tap.station),
        stop=names.stop(tap.line, tap.station),
        entry=names.stop(tap.entry_line, tap.entry_station) if tap.entry_station else "",
        entry_at=tap.entry_at,
        list_fen=tap.list_fen,
        concession_fen=tap.concession_fen,
        transfer_fen=tap.transfer_fen,
        surcharge_fen=tap.surcharge_fen,
        amount_fen=tap.amount_fen,
        balance_after_fen=tap.balance_before_fen + sign * tap.amount_fen,
        verdict=tap.verdict,
        verdict_text=verdict,
        reason=labels.reason(tap.reason) if tap.reason != "OK" else "",
        flags=labels.flags(tap.flags),
        run=tap.run_id,
    )
