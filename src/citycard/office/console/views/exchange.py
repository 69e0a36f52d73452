# SPDX-License-Identifier: Apache-2.0
"""Clearing between cities: members and files, exchanged taps, and the work list of disputes."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from citycard.core.interop import codes
from citycard.core.interop.disputes import Act, allowed
from citycard.core.interop.lists import FORMATS
from citycard.core.interop.states import State
from citycard.core.problem import Problem
from citycard.office import audit
from citycard.office.console import labels
from citycard.office.console.access import missing, page, refused, show
from citycard.office.console.forms import Raise, Reply
from citycard.office.console.queries import exchange as queries
from citycard.office.console.views.pages import cut
from citycard.office.disputes import evidence, verbs
from citycard.office.disputes.models import Dispute
from citycard.office.disputes.refusals import DisputeRefusal, Why
from citycard.office.partners import acquirer, desk
from citycard.office.partners.models import STATES, ExchangedTap, ExchangeFile, PartnerIssuer
from citycard.office.staff.roles import Actor

FILTERS = ("state", "side", "pan")


@page("exchange")
def exchange(request: HttpRequest, by: Actor) -> HttpResponse:
    """Who takes part, what each owes, and the files between us."""
    if not desk.takes_part():
        return show(request, "exchange", {"takes_part": False})
    status, kind = request.GET.get("status", ""), request.GET.get("file", "")
    rows = cut(request, queries.files(status, kind))
    known = queries.names()
    context = {
        "takes_part": True,
        "own": desk.own(),
        "members": queries.members(),
        "issuers": PartnerIssuer.objects.select_related("member"),
        "positions": queries.positions(),
        "states": queries.states(),
        "rows": rows,
        "files": [_file(one, known) for one in rows],
        "statuses": ExchangeFile.Status.choices,
        "kinds": [(one.id, _title(one.id)) for one in FORMATS.values()],
        "status": status,
        "kind": kind,
    }
    return show(request, "exchange", context)


def _file(one: ExchangeFile, known: dict[str, str]) -> dict[str, Any]:
    return {
        "row": one,
        "title": _title(one.file),
        "sender": known.get(one.sender, one.sender),
        "receiver": known.get(one.receiver, one.receiver),
    }


def _title(kind: str) -> str:
    return f"{kind} {FORMATS[kind].title('zh' if labels.chinese() else 'en')}"


@page("exchanged")
def exchanged(request: HttpRequest, by: Actor) -> HttpResponse:
    """Taps that left their city."""
    wanted = {name: request.GET.get(name, "").strip() for name in FILTERS}
    rows = cut(request, queries.exchanged(wanted))
    known = queries.names()
    shown = [
        {
            "row": one,
            "acquirer": known.get(one.acquirer_org, one.acquirer_org),
            "issuer": known.get(one.issuer_org, one.issuer_org),
            "error": queries.error(one.error),
        }
        for one in rows
    ]
    return show(request, "exchanged", {"rows": rows, "taps": shown, "wanted": wanted, "choices": STATES})


@page("exchanged_tap")
def exchanged_tap(request: HttpRequest, by: Actor, ref: str) -> HttpResponse:
    """One exchanged tap with its evidence; a clearing officer may dispute it from here."""
    found = ExchangedTap.objects.filter(pk=ref).first()
    if found is None:
        return missing(request, _("There is no such exchanged tap."))
    if request.method == "POST" and "again" in request.POST:
        return _present_again(request, by, ref)
    form = Raise(request.POST if request.method == "POST" else None, causes=queries.causes())
    refusal = ""
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        answer = verbs.raise_dispute(
            ref, by, cause=data["cause"], right_fen=form.right_fen, words=data["words"].strip()
        )
        if isinstance(answer, Dispute):
            messages.success(request, _("The dispute is raised."))
            return redirect("console:dispute", id=answer.pk)
        if answer.why is Why.NOT_PERMITTED:
            return refused(request, _why(answer))
        refusal = _why(answer)
    context = _about(found) | {
        "form": form,
        "refusal": refusal,
        "may_raise": desk.takes_part() and verbs.may_raise_now(found, by, desk.today()),
        "may_present": bool(by.roles & verbs.WHO)
        and (found.side, found.state) == (desk.ACQUIRER, State.ADJUSTED)
        and found.error != codes.GOOD,
        "disputes": queries.dispute_rows(found.disputes.order_by("id"), desk.today()),
    }
    return show(request, "exchanged_tap", context, status=409 if refusal else 200)


def _present_again(request: HttpRequest, by: Actor, ref: str) -> HttpResponse:
    """A tap that was adjusted goes to the hub once more, as our terminal recorded it."""
    if not by.roles & verbs.WHO:
        return refused(request)
    try:
        with transaction.atomic():
            made = acquirer.present_again(ref, desk.today())
            audit.record(by.name, "present_again", ref, made=made.ref)
    except Problem as problem:
        messages.error(request, problem.text("zh" if labels.chinese() else "en"))
        return redirect("console:exchanged_tap", ref=ref)
    messages.success(request, _("The tap goes to the hub again with the next files."))
    return redirect("console:exchanged_tap", ref=made.ref)


@page("disputes")
def disputes(request: HttpRequest, by: Actor) -> HttpResponse:
    """The work list: open disputes by their last day."""
    every = "every" in request.GET
    rows = cut(request, queries.disputes(every))
    shown = queries.dispute_rows(rows, desk.today())
    return show(request, "disputes", {"rows": rows, "disputes": shown, "every": every})


@page("dispute")
def dispute(request: HttpRequest, by: Actor, id: int) -> HttpResponse:
    """One dispute: what was said, the evidence, and what we may do now."""
    found = Dispute.objects.select_related("tap").filter(pk=id).first()
    if found is None:
        return missing(request, _("There is no such dispute."))
    form = Reply(request.POST if request.method == "POST" else None)
    refusal = ""
    if request.method == "POST" and form.is_valid():
        answer = _act(request, by, found, form)
        if isinstance(answer, Dispute):
            messages.success(
                request, _("Done: the dispute is now %(stage)s.") % {"stage": answer.get_stage_display()}
            )
            return redirect("console:dispute", id=found.pk)
        if answer.why is Why.NOT_PERMITTED:
            return refused(request, _why(answer))
        refusal = _why(answer)
    mine = allowed(found.stage, found.party) if by.roles & verbs.WHO else []
    context = _about(found.tap) | {
        "dispute": queries.dispute_rows([found], desk.today())[0],
        "events": queries.events(found),
        "acts": [(act.value, labels.ACTS[act.value]) for act in mine if act in queries.BUTTONS],
        "form": form,
        "refusal": refusal,
    }
    title = _("Dispute %(case)s") % {"case": found}
    return show(request, "dispute", context, title=title, status=409 if refusal else 200)


def _act(request: HttpRequest, by: Actor, found: Dispute, form: Reply) -> Dispute | DisputeRefusal:
    try:
        act = Act(request.POST.get("act", ""))
    except ValueError:
        return DisputeRefusal(Why.NOT_YOUR_MOVE, "", str(found))
    return verbs.act(found.pk, act, by, words=form.cleaned_data["words"].strip())


def _about(tap: ExchangedTap) -> dict[str, Any]:
    known = queries.names()
    gathered = evidence.gather(tap)
    return {
        "tap": tap,
        "acquirer": known.get(tap.acquirer_org, tap.acquirer_org),
        "issuer": known.get(tap.issuer_org, tap.issuer_org),
        "error": queries.error(tap.error),
        "evidence": gathered,
        "tac_text": queries.tac_text(gathered.tac),
        "tac_tone": {"good": "ok", "bad": "bad"}.get(gathered.tac, "mute"),
        "verdicts": [
            (
                run,
                verdict,
                labels.VERDICTS.get(verdict, verdict),
                labels.reason(reason) if reason != "OK" else "",
            )
            for run, verdict, reason in gathered.verdicts
        ],
        "states": dict(STATES) | dict(labels.VERDICTS),
    }


def _why(answer: DisputeRefusal) -> str:
    return answer.why.title("zh" if labels.chinese() else "en")
