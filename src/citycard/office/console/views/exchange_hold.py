# SPDX-License-Identifier: Apache-2.0
"""A payment between cities that is held because positions differ: both figures, taps, and what to pay."""

from __future__ import annotations

from datetime import date

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from citycard.core.problem import Problem
from citycard.office.console import approvals, labels
from citycard.office.console.access import MONEY_MOVERS, missing, page, refused, show
from citycard.office.console.queries import exchange as queries
from citycard.office.partners import desk, held
from citycard.office.staff.models import Approval, ApprovalState
from citycard.office.staff.roles import Actor


@page("exchange_hold")
def exchange_hold(request: HttpRequest, by: Actor, on: str) -> HttpResponse:
    """One held date; a clearing officer asks for a way to pay, and a second one agrees under Approvals."""
    found = _difference(on)
    if found is None:
        return missing(request, _("No payment is held for this date."))
    if request.method == "POST":
        if not by.roles & MONEY_MOVERS:
            return refused(request)
        _ask(request, by, found)
        return redirect("console:exchange_hold", on=on)
    known = queries.names()
    waiting = Approval.objects.filter(subject=on, state=ApprovalState.WAITING, verb__in=held.RULES)
    context = {
        "found": found,
        "hold": found.hold,
        "lines": [{"row": one, "name": known.get(one.org, one.org)} for one in found.lines],
        "waiting": [{"row": one, "text": labels.HELD[one.verb]} for one in waiting],
        "made_up": found.explained_fen == found.difference_fen,
        "mine": bool(by.roles & MONEY_MOVERS) and found.hold.state != "paid",
        "more": found.taps_in_all - len(found.taps),
    }
    return show(request, "exchange_hold", context)


def _difference(on: str) -> held.Difference | None:
    try:
        return held.difference(date.fromisoformat(on)) if desk.takes_part() else None
    except (ValueError, Problem):
        return None


def _ask(request: HttpRequest, by: Actor, found: held.Difference) -> None:
    how, words = request.POST.get("how", ""), request.POST.get("words", "").strip()
    if how not in held.RULES:
        return
    if not words or len(words) > held.WORDS_MAX:
        messages.error(request, _("Say in a few words why."))
        return
    hold = found.hold
    wanted_fen = hold.agreed_fen if how == held.AGREED else hold.ours_fen
    approvals.ask(how, str(hold), by, amount_fen=wanted_fen, words=words, accepted="accepted" in request.POST)
    messages.success(request, _("A second person has to agree: see Approvals."))
