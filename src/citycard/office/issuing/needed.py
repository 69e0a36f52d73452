# SPDX-License-Identifier: Apache-2.0
"""Who still needs a key: cards in force by the version they tell, modules by what they were given."""

from __future__ import annotations

from typing import Final

from citycard.keys.vault import USAGES, KeyName, Usage
from citycard.office.cards.models import Card, Status
from citycard.office.issuing.models import Sam

IN_FORCE: Final = (
    Status.PERSONALISED, Status.IN_STOCK, Status.ACTIVE, Status.LOST, Status.BLOCKED, Status.EXPIRED,
)  # fmt: skip


def cards_with(name: str, version: int, suite: int) -> int:
    """Cards in force with a key of that name, version and suite; a blocked card may come back."""
    if Usage.LOAD_INTO_CARD not in USAGES[KeyName(name)]:
        return 0
    return Card.objects.filter(status__in=IN_FORCE, key_version=version, algorithm=suite).count()


def sams_with(name: str, version: int, suite: int) -> int:
    """Modules in use that were given a key below it."""
    held = Sam.objects.filter(state=Sam.State.IN_USE).values_list("keys", flat=True)
    return sum(any(row[:3] == [name, version, suite] for row in rows) for rows in held)
