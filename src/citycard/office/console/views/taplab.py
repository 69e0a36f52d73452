# SPDX-License-Identifier: Apache-2.0
"""The tap lab: choose a card and a terminal, tap, tear it away, and read every byte that passed."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from citycard.core.dialogue import Refused
from citycard.core.money import yuan
from citycard.core.refusal import Refusal
from citycard.core.trace import TONES, Presented, Traced, as_plain, export
from citycard.office.console import labels
from citycard.office.console.access import page, show
from citycard.office.console.labforms import NewCard, TapForm
from citycard.office.console.queries.lab import card_face, changes
from citycard.office.staff.roles import Actor
from citycard.office.taplab import stand
from citycard.office.taplab.posts import posts

LEGEND: Final = tuple(tone for tone in TONES if tone not in ("head", "size", "data", "status"))


@page("taplab")
def lab(request: HttpRequest, by: Actor) -> HttpResponse:
    """The lab of whoever is signed in; what is posted is done, then the page is shown anew."""
    user: Any = request.user
    making = NewCard(request.POST if "make" in request.POST else None)
    tapping = TapForm(request.POST if "tap" in request.POST else None, initial=request.GET.dict())
    if "make" in request.POST and making.is_valid():
        made = stand.new_card(user, making.choice)
        if isinstance(made, Refused):
            messages.error(request, f"{made.refusal.title(_language())} ({made.command})")
        return redirect("console:taplab")
    if "tap" in request.POST and tapping.is_valid():
        stand.tap(user, *tapping.order)
        return redirect(f"{reverse('console:taplab')}?post={tapping.cleaned_data['post']}")
    card = stand.card_of(user)
    seen = [] if card is None else [_shown(one) for one in reversed(stand.shown(card))]
    context = {
        "card": card and card_face(card, seen[0]["row"].after if seen else None),
        "making": making,
        "tapping": tapping,
        "seen": _opened(seen),
        "posts": [_post(one, tapping) for one in posts().values()],
        "legend": [(tone, _TONES[tone]()) for tone in LEGEND],
    }
    return show(request, "taplab", context)


@page("taplab")
def dialogue(request: HttpRequest, by: Actor) -> HttpResponse:
    """All kept presentations as one text dialogue, to read and to replay."""
    user: Any = request.user
    card = stand.card_of(user)
    steps = [step for one in (stand.shown(card) if card else []) for step in one.steps]
    text = export(steps, str(_("Tap lab")), _language())
    answer = HttpResponse(text, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="dialogue.txt"'
    return answer


def _shown(one: stand.Shown) -> dict[str, Any]:
    """A presentation as the template wants it."""
    language, row, number = _language(), one.row, 0
    steps = []
    for step in one.steps:
        plain = as_plain(step, language)
        if isinstance(step, Traced) and step.party == "card":
            number += 1
            plain["number"] = number
        plain["quiet"] = isinstance(step, Presented)
        steps.append(plain)
    return {
        "row": row,
        "post": posts()[row.post],
        "title": posts()[row.post].title.text(language),
        "place": posts()[row.post].place.text(language),
        "steps": steps,
        "exchanges": number,
        "told": _told(row.ended),
        "outcome": row.ended["outcome"],
        "changes": changes(row.before, row.after, language),
    }


def _opened(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest is open to the eye, and with a recovery the tear that it tells of."""
    for number, one in enumerate(seen):
        recovery = number == 1 and seen[0]["row"].ended["asked"]
        one["open"] = number == 0 or bool(recovery)
    return seen


def _told(ended: dict[str, Any]) -> str:
    """How a presentation ended, in a sentence."""
    amount = yuan(ended["amount_fen"])
    if ended["outcome"] == "torn":
        return _("The card was torn away. Present it again: it is asked first what became of it.")
    if ended["outcome"] == "refused":
        told = Refusal[ended["refusal"]].title(_language()) if ended["refusal"] else ""
        return _("Refused: %(why)s.") % {"why": told}
    if ended["recovered"]:
        return _("Recovered: the card proved that %(yuan)s yuan were booked before it was torn away. Nothing"
                 " was booked twice.") % {"yuan": amount}  # fmt: skip
    told = _("Accepted: %(yuan)s yuan.") % {"yuan": amount}
    if ended["asked"] == "VOID":
        told += " " + _("The card first proved that the torn transaction never happened.")
    return told


def _post(post: Any, form: TapForm) -> dict[str, Any]:
    """A terminal as a choice."""
    language = _language()
    return {
        "key": post.key,
        "title": post.title.text(language),
        "place": post.place.text(language),
        "icon": _ICONS[post.key],
        "keyed": post.keyed,
        "chosen": form["post"].value() == post.key,
    }


_ICONS: Final = {
    "top-up": "add_card",
    "bus": "directions_bus",
    "metro-entry": "login",
    "metro-exit": "logout",
    "retail": "storefront",
}
_TONES: Final = {
    "money": lambda: _("money"),
    "counter": lambda: _("counters"),
    "random": lambda: _("random numbers"),
    "mac": lambda: _("MAC and TAC"),
    "who": lambda: _("who"),
    "when": lambda: _("when"),
    "where": lambda: _("where"),
    "key": lambda: _("keys"),
    "what": lambda: _("kinds and states"),
}


def _language() -> str:
    return "zh" if labels.chinese() else "en"
