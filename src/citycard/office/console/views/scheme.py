# SPDX-License-Identifier: Apache-2.0
"""The scheme: terminals, alarms, participants, tariffs, contracts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from citycard.office import audit, clock
from citycard.office.cards import hotlist
from citycard.office.console import labels
from citycard.office.console.access import ALARM_CLOSERS, missing, page, refused, show
from citycard.office.console.queries import scheme
from citycard.office.console.queries import taps as tap_rows
from citycard.office.console.queries import terminals as queries
from citycard.office.console.queries.names import names
from citycard.office.console.views.pages import cut
from citycard.office.intake.business import business_date
from citycard.office.intake.models import Alarm, RawBatch
from citycard.office.participants.models import Terminal
from citycard.office.settlement.models import Tap
from citycard.office.staff.roles import Actor
from citycard.services import REGISTRY

NEWEST = 30  # batches and taps on a terminal's page


@page("terminals")
def terminals(request: HttpRequest, by: Actor) -> HttpResponse:
    """How all terminals are doing, those in trouble first."""
    known = names()
    acquirer, service = request.GET.get("acquirer", ""), request.GET.get("service", "")
    health = queries.health(known, acquirer=acquirer, service=service)
    context = {
        "rows": cut(request, health),
        "total": len(health),
        "faulty": sum(1 for row in health if row.faults),
        "waiting": sum(row.waiting for row in health),
        "last_contact": queries.last_contact(),
        "version": hotlist.version(),
        "acquirer": acquirer,
        "service": service,
        "services": [(str(code), labels.service(code)) for code in REGISTRY],
        "participants": sorted(known.participants.items(), key=lambda pair: pair[1]),
    }
    return show(request, "terminals", context)


@page("terminal")
def terminal(request: HttpRequest, by: Actor, id: str) -> HttpResponse:
    """One terminal: health, gaps, newest batches and taps."""
    found = Terminal.objects.filter(pk=id).first()
    if found is None:
        return missing(request, _("There is no such terminal."))
    known = names()
    taps = Tap.objects.filter(terminal=id).order_by("-tapped_at", "id")[:NEWEST]
    context = {
        "health": queries.health_of(found, known),
        "gaps": queries.gaps(found),
        "batches": RawBatch.objects.filter(terminal=found).order_by("-number")[:NEWEST],
        "taps": tap_rows.rows(taps, known),
        "alarms": _told(queries.alarms(closed=False).filter(subject=id)),
    }
    return show(request, "terminal", context, title=found.name or found.id)


@page("alarms")
def alarms(request: HttpRequest, by: Actor) -> HttpResponse:
    """What a person has to look at."""
    mine = bool(by.roles & ALARM_CLOSERS)
    if request.method == "POST":
        if not mine:
            return refused(request)
        _close(request, by)
        return redirect("console:alarms")
    closed = "closed" in request.GET
    rows = cut(request, queries.alarms(closed))
    return show(request, "alarms", {"rows": rows, "alarms": _told(rows), "closed": closed, "mine": mine})


@page("participants")
def participants(request: HttpRequest, by: Actor) -> HttpResponse:
    """Who takes part, and as what."""
    return show(request, "participants", {"members": scheme.members()})


@page("tariffs")
def tariffs(request: HttpRequest, by: Actor) -> HttpResponse:
    """All tariffs in words."""
    return show(request, "tariffs", {"tariffs": scheme.tariffs(business_date(clock.now()))})


@page("contracts")
def contracts(request: HttpRequest, by: Actor) -> HttpResponse:
    """Who gets which part of the fee on taps."""
    return show(request, "contracts", {"contracts": scheme.contracts()})


def _told(rows: Iterable[Alarm]) -> list[dict[str, Any]]:
    return [{"row": one, "text": labels.ALARMS.get(one.code, one.code)} for one in rows]


@transaction.atomic
def _close(request: HttpRequest, by: Actor) -> None:
    number = request.POST.get("id", "")
    found = Alarm.objects.select_for_update().filter(pk=number, closed_at=None) if number.isdigit() else None
    alarm = found.first() if found is not None else None
    if alarm is None:
        return
    alarm.closed_at, alarm.closed_by = clock.now(), by.name
    alarm.save(update_fields=["closed_at", "closed_by"])
    audit.record(by.name, "close_alarm", alarm.subject, code=alarm.code)
    messages.success(request, _("The alarm is closed."))
