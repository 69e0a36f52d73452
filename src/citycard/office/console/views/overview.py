# SPDX-License-Identifier: Apache-2.0
"""The overview and the search box."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from citycard.office.console.access import page, show
from citycard.office.console.queries import dashboard as overview
from citycard.office.console.queries.search import search as look
from citycard.office.staff.roles import Actor


@page("dashboard")
def dashboard(request: HttpRequest, by: Actor) -> HttpResponse:
    """What matters now, for this role."""
    return show(request, "dashboard", overview.overview(request))


@page("search")
def search(request: HttpRequest, by: Actor) -> HttpResponse:
    """What was found; one hit is gone to at once."""
    text = request.GET.get("q", "").strip()
    found = look(request, text)
    hits = [hit for kind in found.values() for hit in kind]
    if len(hits) == 1:
        return redirect(hits[0].link)
    return show(request, "search", {"found": found, "q": text})
