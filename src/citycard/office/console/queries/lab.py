# SPDX-License-Identifier: Apache-2.0
"""A lab card in words: its face, and what a presentation changed on it."""

from __future__ import annotations

from secrets import token_bytes
from typing import Any

from django.utils.translation import gettext as _

from citycard.core.card import Card
from citycard.core.crypto import SUITES
from citycard.core.money import yuan
from citycard.core.trace.files import transaction
from citycard.office.console.labels import CLASSES
from citycard.office.taplab.facts import Facts, read_facts
from citycard.office.taplab.models import LabCard
from citycard.office.taplab.posts import place_of


def card_face(row: LabCard, facts: Facts | None) -> dict[str, Any]:
    """What is printed on the card, and its money."""
    known = facts or read_facts(Card.from_image(bytes(row.image), token_bytes))
    return {
        "pan": known.get("pan", ""),
        "balance_fen": known.get("balance_fen", 0),
        "class_text": CLASSES.get(known.get("card_class", 0), ""),
        "valid_until": known.get("valid_until", ""),
        "profile": row.profile,
        "suite": SUITES[row.algorithm].name,
        "at": row.at,
        "open": row.open,
    }


def changes(before: Facts, after: Facts, language: str) -> list[dict[str, Any]]:
    """Line by line what the card held before and after."""
    rows = []
    old, new = _lines(before, language), _lines(after, language)
    for name in new or old:
        was, now = old.get(name, ""), new.get(name, "")
        rows.append({"name": name, "before": was, "after": now, "changed": was != now})
    return rows


def _lines(facts: Facts, language: str) -> dict[str, str]:
    if not facts:
        return {}
    none = _("none")
    journey, ride, log = facts["journey"], facts["ride"], facts["log"]
    return {
        _("Balance (yuan)"): yuan(facts["balance_fen"]),
        _("Open journey"): f"{place_of(*journey[:2]).text(language)}, {journey[2]}" if journey else none,
        _("Last ride"): (
            f"{place_of(*ride[:2]).text(language)}, {ride[2]}, {yuan(ride[3])}" if ride else none
        ),
        _("Newest log entry"): (
            f"{transaction(log[0][0]).text(language)} {yuan(log[0][2])}, #{log[0][1]}, {log[0][3]}"
            if log
            else none
        ),
    }
