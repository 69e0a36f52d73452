# SPDX-License-Identifier: Apache-2.0
"""Security: keys by check value, the audit log, who works here."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from citycard.core.problem import Problem
from citycard.office import audit as chain
from citycard.office import clock, custody
from citycard.office.audit.models import AuditEntry
from citycard.office.console import labels
from citycard.office.console.access import page, show
from citycard.office.console.views.pages import cut
from citycard.office.issuing.models import Sam
from citycard.office.staff.models import User
from citycard.office.staff.roles import Actor, roles_named

MODULES_MAX: Final = 500  # shown on the page; `citycard keys sam list` has all


@page("keys")
def keys(request: HttpRequest, by: Actor) -> HttpResponse:
    """Names, versions and check values; a key itself is never shown, not even to its custodian."""
    problem, rows, notices = "", [], []
    language = "zh" if labels.chinese() else "en"
    try:
        now, vault = clock.now(), custody.open_vault()
        held = vault.keys()
        rows = [
            {
                "key": key,
                "text": labels.KEYS.get(key.name, ""),
                "in_force": key.in_force(now),
                "later": key.not_before is not None and key.not_before > now,
            }
            for key in held
        ]
        notices = [notice.text(language) for notice in vault.notices()]
    except Problem as found:
        problem = found.text(language)
    modules = [
        {
            "sam": sam,
            "versions": sorted({row[1] for row in sam.keys}),
            "trusted": sam.state == Sam.State.IN_USE,
        }
        for sam in Sam.objects.order_by("-issued_at")[:MODULES_MAX]
    ]
    context = {"rows": rows, "problem": problem, "notices": notices, "modules": modules}
    return show(request, "keys", context)


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
