# SPDX-License-Identifier: Apache-2.0
"""Security: keys by check value, the audit log, who works here."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from citycard.core.problem import Problem
from citycard.office import audit as chain
from citycard.office import clock, custody
from citycard.office.audit.models import AuditEntry
from citycard.office.console import labels
from citycard.office.console.access import page, show
from citycard.office.console.views.pages import cut
from citycard.office.staff.models import User
from citycard.office.staff.roles import Actor, roles_named


@page("keys")
def keys(request: HttpRequest, by: Actor) -> HttpResponse:
    """Names, versions and check values; a key itself is never shown, not even to its custodian."""
    problem, rows = "", []
    try:
        now, held = clock.now(), custody.open_vault().keys()
        rows = [
            {"key": key, "text": labels.KEYS.get(key.name, ""), "in_force": key.in_force(now)} for key in held
        ]
    except Problem as found:
        problem = found.text("zh" if labels.chinese() else "en")
    return show(request, "keys", {"rows": rows, "problem": problem})


@page("audit")
def audit(request: HttpRequest, by: Actor) -> HttpResponse:
    """The log, newest first; a posted request checks its whole chain."""
    text = request.GET.get("q", "").strip()
    finding = chain.verify() if request.method == "POST" else None
    rows = AuditEntry.objects.order_by("-number")
    for name in ("actor", "verb"):
        if value := request.GET.get(name, ""):
            rows = rows.filter(**{name: value})
    if text:
        rows = rows.filter(subject__contains=text)
    context = {"rows": cut(request, rows), "q": text, "finding": finding, "why": ""}
    if finding and not finding.ok:
        context["why"] = _("Entry %(number)s: the chain does not hold here.") % {"number": finding.bad}
    return show(request, "audit", context)


@page("staff")
def staff(request: HttpRequest, by: Actor) -> HttpResponse:
    """Who may sign in, and as what."""
    people = User.objects.prefetch_related("groups").select_related("participant").order_by("username")
    language = "zh" if labels.chinese() else "en"
    rows = [
        {
            "user": one,
            "roles": sorted(r.title(language) for r in roles_named(g.name for g in one.groups.all())),
        }
        for one in people
    ]
    return show(request, "staff", {"rows": rows})
