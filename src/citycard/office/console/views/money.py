# SPDX-License-Identifier: Apache-2.0
"""Settlement and the ledger."""

from __future__ import annotations

from datetime import date

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from citycard.core.money import yuan
from citycard.core.problem import Problem
from citycard.core.refusal import Reason
from citycard.office import audit
from citycard.office.console import labels
from citycard.office.console.access import MONEY_MOVERS, missing, page, refused, show
from citycard.office.console.queries import books, settlement
from citycard.office.console.queries import taps as tap_rows
from citycard.office.console.queries.names import names, participants
from citycard.office.console.views.pages import cut
from citycard.office.ledger.models import LedgerAccount
from citycard.office.settlement import reconcile, settle
from citycard.office.settlement.models import SettlementRun, Tap
from citycard.office.staff.roles import Actor
from citycard.services import REGISTRY

FILTERS = (
    "run",
    "verdict",
    "reason",
    "service",
    "acquirer",
    "issuer",
    "terminal",
    "pan",
    "kind",
    "operator",
    "off",
    "charged",
)
TYPES = {".csv": "text/csv; charset=utf-8", ".pdf": "application/pdf"}
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
UNEXPLAINED_SHOWN = 50


@page("runs")
def runs(request: HttpRequest, by: Actor) -> HttpResponse:
    """Closed business dates."""
    rows = cut(request, settlement.runs())
    return show(request, "runs", {"rows": rows, "history_chart": settlement.history_chart(list(rows))})


@page("run")
def run(request: HttpRequest, by: Actor, on: str) -> HttpResponse:
    """One closed date: verdicts, positions, revenue, payments, statements."""
    found = _run(on)
    if found is None:
        return missing(request, _("This business date is not closed."))
    if request.method == "POST":
        return _pay(request, by, found)
    reasons, lines = settlement.reasons(found), settlement.positions(found)
    context = {
        "run": found,
        "reasons": reasons,
        "reason_chart": settlement.reason_chart(reasons),
        "positions": lines,
        "totals": settlement.totals(lines),
        "position_chart": settlement.position_chart(lines),
        "revenue_chart": settlement.revenue_chart(found),
        "payments": settlement.payments(found),
        "closings": settlement.closings(found),
        "brief": settlement.is_brief(found),
        "statements": settlement.statements(found.settle_on),
        "may_pay": bool(by.roles & MONEY_MOVERS) and found.settled_at is None,
    }
    return show(request, "run", context, title=_("Business date %(date)s") % {"date": found})


@page("run")
def participant(request: HttpRequest, by: Actor, on: str, id: str) -> HttpResponse:
    """Why a participant has its position."""
    found, known = _run(on), participants()
    if found is None or id not in known:
        return missing(request, _("This business date is not closed."))
    lines = settlement.revenue(found, id)
    held = [line for line in settlement.positions(found) if line.id == id]
    context = {
        "run": found,
        "id": id,
        "lines": lines,
        "total_fen": sum(line.amount_fen for line in lines),
        "position": held[0] if held else None,
    }
    return show(request, "participant", context, title=known[id])


@page("run")
def statement(request: HttpRequest, by: Actor, on: str, name: str) -> HttpResponse:
    """A statement's file; taking it away leaves a trace."""
    found = _run(on)
    path = settlement.statement(found.settle_on, name) if found else None
    if path is None:
        return missing(request, _("There is no such statement."))
    audit.record(by.name, "download_statement", name, date=on)
    answer: HttpResponseBase = FileResponse(
        path.open("rb"),
        as_attachment=True,
        filename=f"{on}-{name}",
        content_type=TYPES.get(path.suffix, SHEET),
    )
    return answer  # type: ignore[return-value]


@page("taps")
def taps(request: HttpRequest, by: Actor) -> HttpResponse:
    """Records with clearing's verdict, narrowed as asked."""
    wanted = {name: request.GET.get(name, "").strip() for name in FILTERS}
    query = tap_rows.filtered(Tap.objects.order_by("-tapped_at", "id"), wanted)
    rows, known = cut(request, query), names()
    services = [(str(code), labels.service(code)) for code in REGISTRY]
    context = {
        "rows": rows,
        "taps": tap_rows.rows(rows, known),
        "wanted": wanted,
        "verdicts": labels.VERDICTS.items(),
        "services": services,
        "reasons": [(one.code, labels.reason(one.code)) for one in Reason],
        "participants": sorted(known.participants.items(), key=lambda pair: pair[1]),
    }
    return show(request, "taps", context)


@page("tap")
def tap(request: HttpRequest, by: Actor, tap: str) -> HttpResponse:
    """One record with everything clearing said of it, in every run that looked at it."""
    found = list(Tap.objects.filter(tap=tap).order_by("-run", "id"))
    if not found:
        return missing(request, _("There is no such tap."))
    known = names()
    newest = found[0]
    context = {
        "tap": newest,
        "row": tap_rows.rows([newest], known)[0],
        "runs": tap_rows.rows(found, known),
        "issuer": known.participant(newest.issuer),
        "acquirer": known.participant(newest.acquirer),
        "closed": [one.run_id for one in found],
    }
    return show(request, "tap", context, title=tap)


@page("ledger")
def ledger(request: HttpRequest, by: Actor) -> HttpResponse:
    """The trial balance, accounts, the newest transfers; and a check of everything when asked."""
    kind, text = request.GET.get("kind", ""), request.GET.get("q", "").strip()
    checked = reconcile() if request.method == "POST" else None
    known = names()
    rows = cut(request, books.accounts(kind, text))
    context = {
        "trial": books.trial(),
        "rows": rows,
        "accounts": [{"row": one, "owner": _owner(one.id, known.participants)} for one in rows],
        "kind": kind,
        "q": text,
        "kinds": labels.ACCOUNTS,
        "checked": checked,
        "unexplained": checked.unexplained[:UNEXPLAINED_SHOWN] if checked else [],
    }
    return show(request, "ledger", context)


@page("account")
def account(request: HttpRequest, by: Actor, id: str) -> HttpResponse:
    """One account and its transfers."""
    found = LedgerAccount.objects.filter(pk=id).first()
    if found is None:
        return missing(request, _("There is no such account."))
    rows = cut(request, books.transfers(id))
    context = {
        "account": found,
        "kind_text": labels.ACCOUNTS.get(found.kind, found.kind),
        "owner": _owner(id, participants()),
        "rows": rows,
        "transfers": books.with_words(list(rows)),
    }
    return show(request, "account", context)


def _pay(request: HttpRequest, by: Actor, found: SettlementRun) -> HttpResponse:
    if not by.roles & MONEY_MOVERS:
        return refused(request)
    try:
        made = settle(found.settle_on)
    except Problem as problem:
        messages.error(request, problem.text("zh" if labels.chinese() else "en"))
    else:
        if not made.repeated:
            audit.record(by.name, "settle", str(found.settle_on), paid_fen=made.paid_fen)
        messages.success(request, _("Payments made: %(yuan)s yuan.") % {"yuan": yuan(made.paid_fen)})
    return redirect("console:run", on=str(found.settle_on))


def _run(on: str) -> SettlementRun | None:
    try:
        return SettlementRun.objects.filter(pk=date.fromisoformat(on)).first()
    except ValueError:
        return None


def _owner(account_id: str, known: dict[str, str]) -> str:
    return known.get(account_id.partition(":")[2], "")
