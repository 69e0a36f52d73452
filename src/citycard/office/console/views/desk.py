# SPDX-License-Identifier: Apache-2.0
"""The rest of the counter: holders, the hotlist, approvals."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from citycard.core.money import yuan
from citycard.core.problem import Problem
from citycard.office import audit
from citycard.office.cards import hotlist as lists
from citycard.office.cards.actions import Done
from citycard.office.console import approvals as dual
from citycard.office.console import labels, masks
from citycard.office.console.access import may, missing, page, show
from citycard.office.console.forms import NewHolder
from citycard.office.console.queries import cards as queries
from citycard.office.console.views.cards import result_text
from citycard.office.console.views.pages import cut
from citycard.office.holders import register as registry
from citycard.office.holders.models import Holder
from citycard.office.partners.models import ExchangeHold
from citycard.office.staff.models import Approval, ApprovalState
from citycard.office.staff.roles import Actor


@page("holders")
def holders(request: HttpRequest, by: Actor) -> HttpResponse:
    """Holders, newest first; always masked in the list, so that browsing it tells nobody's life."""
    text, full = request.GET.get("q", "").strip(), masks.full_for(by)
    query = Holder.objects.select_related("guardian").order_by("-created_at", "id")
    if text and full:
        query = query.filter(name__icontains=text)
    rows = cut(request, query)
    shown = [masks.view(holder, full=False) for holder in rows]
    context = {"rows": rows, "holders": shown, "q": text, "full": full}
    return show(request, "holders", {**context, "may_register": may(request, "register")})


@page("holder")
def holder(request: HttpRequest, by: Actor, id: UUID) -> HttpResponse:
    """One holder and their cards; in full for a clerk, with a trace."""
    found = Holder.objects.select_related("guardian").filter(pk=id).first()
    if found is None:
        return missing(request, _("No such holder."))
    full = masks.full_for(by)
    if full:
        audit.record(by.name, "view_holder", str(found.pk))
    context = {
        "holder": masks.view(found, full),
        "cards": queries.holders_cards(found),
        "wards": [masks.view(ward, full) for ward in found.wards.select_related("guardian")],
        "classes": labels.CLASSES,
        "documents": labels.DOCUMENTS,
        "document_type": labels.DOCUMENTS.get(found.document_type, found.document_type),
    }
    return show(request, "holder", context)


@page("register")
def register(request: HttpRequest, by: Actor) -> HttpResponse:
    """Registers a holder; what is wrong is told in words."""
    form = NewHolder(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        document = (data["document_type"], data["document_number"]) if data["document_number"] else None
        try:
            made = registry.register(
                data["name"],
                data["birth_on"],
                by=by,
                kind=data["kind"],
                level=data["level"],
                guardian=data["guardian"],
                document=document,
                phone=data["phone"],
            )
        except Problem as problem:
            form.add_error(None, problem.text("zh" if labels.chinese() else "en"))
        else:
            messages.success(request, _("The holder is registered."))
            return redirect("console:holder", id=made.pk)
    return show(request, "register", {"form": form})


@page("hotlist")
def hotlist(request: HttpRequest, by: Actor) -> HttpResponse:
    """Cards that no terminal may accept, with the versions terminals fetch."""
    text, former = "".join(request.GET.get("q", "").split()), "former" in request.GET
    rows = cut(request, queries.hotlisted(text, former))
    context = {"rows": rows, "q": text, "former": former, "version": lists.version()}
    return show(request, "hotlist", {**context, "reasons": labels.LISTED})


@page("approvals")
def approvals(request: HttpRequest, by: Actor) -> HttpResponse:
    """Requests that wait for a second person, and those decided."""
    if request.method == "POST":
        _decide(request, by)
        return redirect("console:approvals")
    rows = cut(request, Approval.objects.order_by("-asked_at", "id"))
    shown = [
        {
            "row": one,
            "text": labels.VERBS.get(one.verb) or labels.HELD.get(one.verb, one.verb),
            "between_cities": one.verb in labels.HELD,
            "mine": one.state == ApprovalState.WAITING and dual.may_decide(one, by),
        }
        for one in rows
    ]
    return show(request, "approvals", {"rows": rows, "approvals": shown})


def _decide(request: HttpRequest, by: Actor) -> None:
    try:
        wanted = UUID(request.POST.get("id", ""))
    except ValueError:
        return
    if "agree" not in request.POST:
        if dual.decline(wanted, by):
            messages.info(request, _("The request is declined."))
        return
    try:
        answer = dual.agree(wanted, by)
    except Problem as problem:
        messages.error(request, problem.text("zh" if labels.chinese() else "en"))
        return
    if isinstance(answer, ExchangeHold):
        messages.success(request, _("Paid: %(yuan)s yuan.") % {"yuan": yuan(answer.paid_fen)})
    elif answer is not None:
        tell = messages.success if isinstance(answer, Done) else messages.error
        tell(request, result_text(answer))
