# SPDX-License-Identifier: Apache-2.0
"""The settlement bank: orders and files, movements to match, positions side by side, terms, reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from citycard.core.money import yuan
from citycard.core.problem import Problem
from citycard.office import audit
from citycard.office.bank import matching, orders, schema, standing
from citycard.office.bank import messages as bank_messages
from citycard.office.bank.models import (
    BankEntry,
    BankMessage,
    BankStatement,
    PaymentFile,
    PaymentOrder,
    Purpose,
)
from citycard.office.bank.reading import SIZE_MAX
from citycard.office.console import labels
from citycard.office.console.access import MONEY_MOVERS, missing, page, refused, show
from citycard.office.console.queries import bank as queries
from citycard.office.console.queries.months import months as list_months
from citycard.office.console.queries.names import participants
from citycard.office.console.views.money import SHEET, TYPES
from citycard.office.console.views.pages import cut
from citycard.office.participants.workdays import workdays
from citycard.office.staff.roles import Actor

NEWEST: Final = 20  # statements and messages on the page


@page("bank")
def bank(request: HttpRequest, by: Actor) -> HttpResponse:
    """The settlement account, what is ordered, what came in and waits for a match."""
    mine = bool(by.roles & MONEY_MOVERS)
    if request.method == "POST":
        if not mine:
            return refused(request)
        _told(request, lambda: _act(request, by))
        return redirect("console:bank")
    context = {
        "balances": standing.balances(),
        "open": queries.open_orders(),
        "unmatched": queries.unmatched(),
        "files": queries.files(),
        "statements": BankStatement.objects.order_by("-imported_at", "-ends_on")[:NEWEST],
        "messages_of_the_bank": queries.bank_messages(BankMessage.objects.select_related("file")[:NEWEST]),
        "mine": mine,
    }
    return show(request, "bank", context)


@page("bank_entry")
def entry(request: HttpRequest, by: Actor, id: int) -> HttpResponse:
    """One movement: what it may be for; matching it leaves a trace."""
    found = BankEntry.objects.select_related("statement", "notice", "order").filter(pk=id).first()
    if found is None:
        return missing(request, _("There is no such movement."))
    mine = bool(by.roles & MONEY_MOVERS)
    if request.method == "POST":
        if not mine:
            return refused(request)
        done = _told(request, lambda: _match(request, found, by))
        return redirect("console:bank") if done else redirect("console:bank_entry", id=id)
    waits = found.purpose == Purpose.OPEN
    context = {
        "entry": found,
        "why": labels.UNMATCHED.get(found.why, found.why),
        "waits": waits,
        "fitting": queries.fitting(found) if waits else [],
        "participants": sorted(participants().items(), key=lambda pair: pair[1]),
        "mine": mine,
    }
    return show(request, "bank_entry", context)


@page("bank_file")
def file(request: HttpRequest, by: Actor, id: str) -> HttpResponse:
    """A payment file to send; it holds account numbers, so taking it away leaves a trace."""
    found = PaymentFile.objects.filter(pk=id).first()
    if found is None:
        return missing(request, _("There is no such file."))
    audit.record(by.name, "download_payment_file", found.id)
    return HttpResponse(
        found.content.encode(),
        content_type="application/xml; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{found.id}.xml"'},
    )


@page("bank_order")
def order(request: HttpRequest, by: Actor, id: str) -> HttpResponse:
    """One order: its payment, the positions that make it up, and the bank's movements."""
    found = PaymentOrder.objects.select_related("payment", "file").filter(pk=id).first()
    if found is None:
        return missing(request, _("There is no such order."))
    context = {
        "line": queries.order_lines([found])[0],
        "positions": found.payment.positions.select_related("closing").order_by("run_id", "closing__number"),
        "entries": found.entries.select_related("statement", "notice").order_by("booked_on", "number"),
        "attempts": queries.order_lines(found.payment.orders.select_related("payment").order_by("attempt")),
    }
    return show(request, "bank_order", context, title=found.end_to_end)


@page("standing")
def side_by_side(request: HttpRequest, by: Actor) -> HttpResponse:
    """Our position, theirs and the bank's of a date."""
    found = queries.run_of(request.GET.get("on", "").strip())
    rows = queries.side_by_side(found) if found else []
    context = {
        "run": found,
        "rows": rows,
        "balances": standing.balances(),
        "differ": sum(not one["row"].agrees for one in rows),
        "undone": sum(one["row"].payment is not None and not one["row"].done for one in rows),
    }
    return show(request, "standing", context)


@page("terms")
def terms(request: HttpRequest, by: Actor) -> HttpResponse:
    """When participants are settled, and how much is open with them."""
    calendar = workdays()
    context = {
        "terms": queries.terms(),
        "workdays": calendar,
        "rest": [labels.WEEKDAYS[day - 1] for day in sorted(calendar.rest_days)],
        "holidays": sorted(calendar.holidays),
        "worked": sorted(calendar.worked),
    }
    return show(request, "terms", context)


@page("reports")
def reports(request: HttpRequest, by: Actor) -> HttpResponse:
    """Months with closed dates, and the reports that were written of them."""
    context = {"rows": cut(request, queries.reports()), "months": list_months()}
    return show(request, "reports", context)


@page("reports")
def report(request: HttpRequest, by: Actor, month: str, name: str) -> HttpResponse:
    """A report's file; taking it away leaves a trace."""
    path = queries.report(month, name)
    if path is None:
        return missing(request, _("There is no such report."))
    audit.record(by.name, "download_report", name, month=month)
    answer: HttpResponseBase = FileResponse(
        path.open("rb"),
        as_attachment=True,
        filename=f"{month}-{name}",
        content_type=TYPES.get(path.suffix, SHEET),
    )
    return answer  # type: ignore[return-value]


def _told(request: HttpRequest, act: Callable[[], str]) -> bool:
    """Do it and tell how it went."""
    try:
        messages.success(request, act())
    except Problem as problem:
        messages.error(request, problem.text("zh" if labels.chinese() else "en"))
        return False
    return True


def _act(request: HttpRequest, by: Actor) -> str:
    """What a button of the bank's page does."""
    name, wanted = request.POST.get("name", ""), request.POST.get("do", "")
    if wanted == orders.RELEASE:
        orders.release(name, by.name)
        return _("The payment is released; it goes into the next file.")
    if wanted in (orders.SEND, orders.REJECT):
        orders.move_file(name, wanted, by.name, request.POST.get("why", ""))
        return _("The state of the file is noted.")
    upload = request.FILES.get("statement")
    if upload is None or (upload.size or 0) > SIZE_MAX:
        return _("Choose a file first.")
    done = bank_messages.take(upload.read(), upload.name or "", by.name)
    if done.repeated:
        return _("This message was imported before; nothing has changed.")
    if done.message in schema.REPORTS:
        return _("Payments on their way %(a)s, rejected %(r)s, contradicting what the bank did %(c)s.") % {
            "a": done.accepted, "r": done.rejected, "c": done.contradicted,
        }  # fmt: skip
    told = _("%(n)s movements, %(m)s of them matched.") % {"n": done.entries, "m": done.matched}
    known = _(" %(n)s were known before.") % {"n": done.noticed} if done.noticed else ""
    left = _(" %(n)s have no reference; their statement brings them.") % {"n": done.left} if done.left else ""
    return f"{told}{known}{left}"


def _match(request: HttpRequest, found: BankEntry, by: Actor) -> str:
    wanted = request.POST.get("as", "")
    if wanted == Purpose.ORDER:
        matching.match_order(found.pk, request.POST.get("order", ""), by.name)
    elif wanted == Purpose.GUARANTEE:
        matching.match_guarantee(found.pk, request.POST.get("participant", ""), by.name)
    else:
        matching.match_own(found.pk, by.name)
    return _("Matched: %(yuan)s yuan.") % {"yuan": yuan(found.amount_fen)}
