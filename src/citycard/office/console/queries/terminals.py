# SPDX-License-Identifier: Apache-2.0
"""Terminals: when each was last heard of, how far it is behind, and what is missing from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, QuerySet
from django.utils.translation import gettext_lazy as _

from citycard.office.cards import hotlist
from citycard.office.console import labels
from citycard.office.console.access import Text
from citycard.office.console.queries.names import Names
from citycard.office.intake.models import Alarm, ParameterSet, RawBatch
from citycard.office.participants.models import Terminal

SILENT_AFTER = timedelta(hours=24)  # not heard of for a day while others were: the fault is its own
SKEW_MAX_S = 120  # beyond two minutes transfer windows and peak hours go wrong
WAITING_MAX = 2000  # records held back: half a batch


@dataclass(frozen=True, slots=True)
class Health:
    """How a terminal is doing; `faults` says what a person should look at."""

    id: str
    name: str
    acquirer: str
    service: str
    place: str
    active: bool
    last_seen_at: datetime | None
    parameters_behind: int
    hotlist_behind: int
    clock_skew_s: int | None
    waiting: int
    last_batch: int
    missing_batches: int
    faults: list[Text]


def health(names: Names, *, acquirer: str = "", service: str = "") -> list[Health]:
    """All terminals, those with faults first."""
    query = Terminal.objects.order_by("id")
    if acquirer:
        query = query.filter(acquirer=acquirer)
    if service.isdigit():
        query = query.filter(service=int(service))
    newest, got, now = _newest(), _received(RawBatch.objects.all()), last_contact()
    rows = [_health(one, names, newest, got.get(one.id, (0, 0)), now) for one in query]
    return sorted(rows, key=lambda row: (-len(row.faults), row.id))


def health_of(terminal: Terminal, names: Names) -> Health:
    """One terminal."""
    got = _received(RawBatch.objects.filter(terminal=terminal)).get(terminal.id, (0, 0))
    return _health(terminal, names, _newest(), got, last_contact())


def last_contact() -> datetime | None:
    """When any terminal was last heard of."""
    newest: datetime | None = Terminal.objects.aggregate(at=Max("last_seen_at"))["at"]
    return newest


def _newest() -> tuple[int, int]:
    """The versions a terminal should have: parameters, hotlist."""
    return ParameterSet.objects.aggregate(v=Max("version"))["v"] or 0, hotlist.version()


def _received(batches: QuerySet[RawBatch]) -> dict[str, tuple[int, int]]:
    """Per terminal how many batches came and the highest number among them."""
    rows = batches.order_by().values_list("terminal").annotate(n=Count("digest"), last=Max("number"))
    return {terminal: (count, last) for terminal, count, last in rows}


def _health(
    one: Terminal, names: Names, newest: tuple[int, int], got: tuple[int, int], now: datetime | None
) -> Health:
    parameters = max(0, newest[0] - one.parameter_version) if one.last_seen_at else 0
    lists = max(0, newest[1] - one.hotlist_version) if one.last_seen_at else 0
    missing = max(0, max(got[1], one.last_batch) - got[0])
    faults: list[Text] = []
    if one.active:
        faults = [text for wrong, text in _checks(one, parameters, missing, now) if wrong]
    return Health(
        id=one.id,
        name=one.name or one.id,
        acquirer=names.participant(one.acquirer_id),
        service=labels.service(one.service),
        place=names.place(one.line, one.station),
        active=one.active,
        last_seen_at=one.last_seen_at,
        parameters_behind=parameters,
        hotlist_behind=lists,
        clock_skew_s=one.clock_skew_s,
        waiting=one.pending_records,
        last_batch=max(got[1], one.last_batch),
        missing_batches=missing,
        faults=faults,
    )


def _checks(one: Terminal, parameters: int, missing: int, now: datetime | None) -> list[tuple[bool, Text]]:
    seen = one.last_seen_at
    return [
        (seen is None, _("never seen")),
        (seen is not None and now is not None and now - seen > SILENT_AFTER, _("silent for a day")),
        (parameters > 0, _("old parameters")),
        (abs(one.clock_skew_s or 0) > SKEW_MAX_S, _("clock is wrong")),
        (missing > 0, _("batches missing")),
        (one.pending_records > WAITING_MAX, _("records pile up")),
    ]


def gaps(terminal: Terminal, most: int = 50) -> list[int]:
    """The batch numbers that never came, oldest first, at most `most`."""
    numbers = set(RawBatch.objects.filter(terminal=terminal).values_list("number", flat=True))
    last = max([*numbers, terminal.last_batch], default=0)
    found: list[int] = []
    for number in range(1, last + 1):
        if number not in numbers:
            found.append(number)
            if len(found) == most:
                break
    return found


def alarms(closed: bool) -> QuerySet[Alarm]:
    """Alarms, newest first; without `closed` only the open ones."""
    query = Alarm.objects.order_by("-raised_at", "-id")
    return query if closed else query.filter(closed_at=None)
