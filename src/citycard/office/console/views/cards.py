# SPDX-License-Identifier: Apache-2.0
"""Cards: the list, one card all around, and the verbs done to it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from citycard.core.money import yuan
from citycard.office import audit
from citycard.office.cards import money, verbs
from citycard.office.cards.actions import Done, Result
from citycard.office.cards.models import Card, Status
from citycard.office.cards.refusals import Why
from citycard.office.console import approvals, labels, masks
from citycard.office.console.access import missing, page, refused, show
from citycard.office.console.counter import SERVICES
from citycard.office.console.queries import cards as queries
from citycard.office.console.queries.names import names
from citycard.office.console.views.pages import cut
from citycard.office.staff.roles import Actor


@page("cards")
def cards(request: HttpRequest, by: Actor) -> HttpResponse:
    """Cards by number and status."""
    text, status = "".join(request.GET.get("q", "").split()), request.GET.get("status", "")
    rows = cut(request, queries.listed(text, status, by))
    found = {"rows": rows, "q": text, "status": status, "statuses": Status.choices}
    return show(request, "cards", {**found, "classes": labels.CLASSES})


@page("card")
def card(request: HttpRequest, by: Actor, pan: str) -> HttpResponse:
    """One card. Looking it up leaves a trace, and so does seeing its holder in full."""
    looked = verbs.query(pan, by)
    if not isinstance(looked, Done):
        return _told(request, looked.why)
    found = queries.found(pan)
    assert found is not None
    context = queries.around(found, by, names())
    if found.holder and masks.full_for(by):
        audit.record(by.name, "view_holder", str(found.holder.pk), card=pan)
    return show(request, "card", context, title=_("Card"))


@page("verb")
def verb(request: HttpRequest, by: Actor, pan: str, name: str) -> HttpResponse:
    """Ask, then do; the office's refusals are told in words."""
    service, found = SERVICES.get(name), queries.found(pan)
    if found is None or service is None:
        return missing(request, Why.UNKNOWN_CARD.title(_language()))
    if not by.may(name):
        return _told(request, Why.NOT_PERMITTED)
    if by.participant and by.participant != found.issuer_id:
        return _told(request, Why.OTHER_ISSUER)
    form = service.form(request.POST if request.method == "POST" else None)
    refusal = ""
    if request.method == "POST" and form.is_valid():
        answer = service.do(pan, by, form)
        if isinstance(answer, Done):
            messages.success(request, done_text(answer))
            return redirect("console:card", pan=pan)
        if answer.why is Why.SECOND_PERSON_NEEDED:
            _ask(name, found, by, form)
            messages.info(request, _("A second person must agree: the request stands under Approvals."))
            return redirect("console:card", pan=pan)
        refusal = answer.title(_language())
    text = labels.VERBS[name]
    context = {"card": found, "form": form, "verb": name, "verb_text": text, "note": service.note}
    holder = masks.view(found.holder, masks.full_for(by)) if found.holder else None
    grave = name in queries.WARNINGS
    context |= {"refusal": refusal, "holder": holder, "grave": grave}
    return show(request, "verb", context, title=text, status=409 if refusal else 200)


def done_text(answer: Done) -> str:
    """What was done, and who pays whom."""
    text = _("Done: %(verb)s. The card is now %(status)s.") % {
        "verb": labels.VERBS.get(answer.verb, answer.verb),
        "status": Status(answer.after).label,
    }
    if answer.paid_fen > 0:
        text += " " + _("To be paid: %(yuan)s yuan.") % {"yuan": yuan(answer.paid_fen)}
    if answer.paid_fen < 0:
        text += " " + _("To be paid out: %(yuan)s yuan.") % {"yuan": yuan(-answer.paid_fen)}
    if due_fen := answer.detail.get("due_fen"):
        text += " " + _("Load %(yuan)s yuan onto the new card.") % {"yuan": yuan(due_fen)}
    return text


def result_text(answer: Result) -> str:
    """The same for either answer."""
    return done_text(answer) if isinstance(answer, Done) else answer.title(_language())


def _ask(name: str, card: Card, by: Actor, form: Any) -> None:
    detail: dict[str, Any] = {}
    amount_fen = 0
    if name == "refund":
        detail["in_hand_fen"] = form.in_hand_fen
        amount_fen = sum(money.owed(card.pan)) + card.deposit_fen
    approvals.ask(name, card.pan, by, amount_fen=amount_fen, **detail)


def _told(request: HttpRequest, why: Why) -> HttpResponse:
    text = why.title(_language())
    return missing(request, text) if why is Why.UNKNOWN_CARD else refused(request, text)


def _language() -> str:
    return "zh" if labels.chinese() else "en"
