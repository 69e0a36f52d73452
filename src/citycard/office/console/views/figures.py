# SPDX-License-Identifier: Apache-2.0
"""From a figure down to its taps: of a date in one step, of a month through its dates."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from citycard.core.problem import Problem
from citycard.office.console import labels
from citycard.office.console.access import missing, page, show
from citycard.office.console.queries import bank, figures, months
from citycard.office.console.queries.names import names, participants
from citycard.office.console.views.pages import ROWS
from citycard.office.settlement import behind
from citycard.office.settlement.models import FeeAdjustment, Payment
from citycard.office.staff.roles import Actor


@page("behind")
def taps(request: HttpRequest, by: Actor, on: str) -> HttpResponse:
    """The taps a figure of a closed date is made of, each with its part, and whether they add up to it."""
    run, figure = bank.run_of(on), figures.figure_of(request.GET)
    if run is None or figure is None:
        return missing(request, _("There is no such figure."))
    wanted = request.GET.get("page", "")
    number = max(1, int(wanted)) if wanted.isdecimal() and len(wanted) < 10 else 1
    context = {"run": run, "figure": figure, "told_fen": figures.told_fen(run, figure)}
    try:
        found = behind.taps(run.settle_on, figure, (number - 1) * ROWS, ROWS)
        rows = Paginator(range(found.taps), ROWS).get_page(number)
        if rows.number != number:  # beyond the last page: that one instead
            found = behind.taps(run.settle_on, figure, (rows.number - 1) * ROWS, ROWS)
    except Problem as problem:
        context["problem"] = problem.text("zh" if labels.chinese() else "en")
    else:
        parts = figures.part_rows(run, found.rows, names())
        apart = any(not one.known for one in parts)
        context |= {"found": found, "rows": rows, "parts": parts, "apart": apart}
    return show(request, "behind", context, title=figures.words(figure))


@page("month")
def month(request: HttpRequest, by: Actor, value: str) -> HttpResponse:
    """A month: everybody's position, and how fees were made up to its volume."""
    first = months.first_of(value)
    if first is None:
        return missing(request, _("There is no such month."))
    found = months.month_of(first)
    sides = months.sides(found)
    context = {
        "value": value,
        "sides": sides,
        "total_fen": sum(side.net_fen for side in sides),
        "adjustments": months.adjustments(found.adjustments),
    }
    return show(request, "month", context, title=_("Month %(month)s") % {"month": value})


@page("month_participant")
def month_participant(request: HttpRequest, by: Actor, value: str, id: str) -> HttpResponse:
    """A participant's month: the lines of its report, each leading to the dates it is made of."""
    first, known = months.first_of(value), participants()
    if first is None or id not in known:
        return missing(request, _("There is no such month."))
    found = months.month_of(first)
    lines = months.lines(found, id)
    context = {
        "value": value,
        "id": id,
        "lines": lines,
        "total_fen": sum(line["amount_fen"] for line in lines),
        "adjustments": months.adjustments(found.adjusted(id), id),
    }
    return show(request, "month_participant", context, title=f"{known[id]} · {value}")


@page("month_figure")
def dates(request: HttpRequest, by: Actor, value: str) -> HttpResponse:
    """The dates a figure of a month is made of; each leads to its taps."""
    first, figure = months.first_of(value), figures.figure_of(request.GET)
    if first is None or figure is None or figure.participant not in participants():
        return missing(request, _("There is no such figure."))
    days = months.days(first, figure)
    closed = {day.closing.pk for day in days if day.closing}
    mine = [row for row in months.month_of(first).adjusted(figure.participant) if row.closing_id in closed]
    context = {
        "value": value,
        "figure": figure,
        "heading": figures.words(figure),
        "days": days,
        "total_fen": sum(day.amount_fen for day in days),
        "adjustments": months.adjustments(mine, figure.participant),
    }
    return show(request, "month_figure", context, title=f"{figures.words(figure)} · {value}")


@page("adjustment")
def adjustment(request: HttpRequest, by: Actor, id: int) -> HttpResponse:
    """How a pair's fee was made up to the month's volume, and from which dates turnover and fee come."""
    found = FeeAdjustment.objects.select_related("closing").filter(pk=id).first()
    if found is None:
        return missing(request, _("There is no such adjustment."))
    volumes = months.volumes(found)
    context = {
        "value": found.closing.value,
        "adjustments": months.adjustments([found]),
        "volumes": volumes,
        "moves": months.moves(found),
        "taps": sum(one["row"].taps for one in volumes),
        "turnover_fen": sum(one["row"].amount_fen for one in volumes),
        "fee_fen": sum(one["fee_fen"] for one in volumes),
    }
    return show(request, "adjustment", context, title=f"{found.contract} · {found.closing}")


@page("payment")
def payment(request: HttpRequest, by: Actor, id: int) -> HttpResponse:
    """The positions a payment is made of; each leads to its taps."""
    found = Payment.objects.filter(pk=id).first()
    if found is None:
        return missing(request, _("There is no such payment."))
    rows = found.positions.select_related("closing").order_by("run_id", "closing__number")
    amount_fen = -found.amount_fen if found.collects else found.amount_fen
    context = {"payment": found, "positions": rows, "amount_fen": amount_fen}
    who = participants().get(found.participant, found.participant)
    return show(request, "payment", context, title=who)
