# SPDX-License-Identifier: Apache-2.0
"""The search box: cards, holders, terminals and participants, each only for those whose pages they are."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse

from citycard.office.console import masks
from citycard.office.console.access import Text, actor, may
from citycard.office.console.labels import CLASSES, DOCUMENTS
from citycard.office.console.queries import cards
from citycard.office.holders import register
from citycard.office.holders.models import Holder
from citycard.office.participants.models import Participant, Terminal

FOUND_MAX = 20  # of each kind
SHORTEST = 2


@dataclass(frozen=True, slots=True)
class Hit:
    """Something found."""

    link: str
    title: str
    text: Text
    badge: Text = ""


def search(request: HttpRequest, text: str) -> dict[str, list[Hit]]:
    """Hits by kind; empty kinds are left out."""
    text = text.strip()
    if len(text) < SHORTEST:
        return {}
    found: dict[str, list[Hit]] = {}
    if may(request, "cards"):
        found["cards"] = _cards(request, "".join(text.split()))
    if may(request, "holders"):
        found["holders"] = _holders(request, text)
    if may(request, "terminals"):
        found["terminals"] = _terminals(text)
    if may(request, "participants"):
        found["participants"] = _participants(text)
    return {kind: hits for kind, hits in found.items() if hits}


def _cards(request: HttpRequest, text: str) -> list[Hit]:
    return [
        Hit(
            reverse("console:card", args=[card.pan]),
            card.pan,
            CLASSES.get(card.card_class, ""),
            card.get_status_display(),
        )
        for card in cards.listed(text, "", actor(request))[:FOUND_MAX]
    ]


def _holders(request: HttpRequest, text: str) -> list[Hit]:
    """Clerks find holders by name; others only by id, lest a name typed here unmask the list."""
    full = masks.full_for(actor(request))
    wanted = Q(pk=_uuid(text)) if _uuid(text) else Q(pk__in=[])
    if full:
        wanted |= Q(name__icontains=text) | Q(document_digest__in=_digests(text))
    rows = Holder.objects.filter(wanted).order_by("created_at")[:FOUND_MAX]
    return [
        Hit(
            reverse("console:holder", args=[row.pk]),
            row.name if full else masks.name(row.name),
            row.get_verification_level_display(),
            row.get_kind_display(),
        )
        for row in rows
    ]


def _terminals(text: str) -> list[Hit]:
    rows = Terminal.objects.filter(Q(id__icontains=text) | Q(name__icontains=text))[:FOUND_MAX]
    return [Hit(reverse("console:terminal", args=[row.id]), row.name or row.id, row.id) for row in rows]


def _participants(text: str) -> list[Hit]:
    wanted = Q(id__icontains=text) | Q(name_en__icontains=text) | Q(name_zh__icontains=text)
    link = reverse("console:participants")
    return [
        Hit(f"{link}#{row.id}", row.name, row.id) for row in Participant.objects.filter(wanted)[:FOUND_MAX]
    ]


def _digests(text: str) -> list[str]:
    return [register.document_digest(kind, text) for kind in DOCUMENTS]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
