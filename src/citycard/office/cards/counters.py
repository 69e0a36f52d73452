# SPDX-License-Identifier: Apache-2.0
"""Numbers that only grow, each given once, also when several processes ask at the same moment."""

from __future__ import annotations

from django.db import transaction

from citycard.office.cards.models import Counter


@transaction.atomic
def take(name: str, count: int = 1) -> range:
    """The next `count` numbers of a counter, from 1; the counter stays locked until the transaction ends."""
    Counter.objects.get_or_create(name=name)
    counter = Counter.objects.select_for_update().get(name=name)
    first = counter.value + 1
    counter.value += count
    counter.save(update_fields=["value"])
    return range(first, first + count)


def last(name: str) -> int:
    """The last number given, 0 when none was."""
    return Counter.objects.filter(name=name).values_list("value", flat=True).first() or 0


def back(name: str, number: int) -> None:
    """Give back the last number taken, unused, within the transaction that took it."""
    returned = Counter.objects.filter(name=name, value=number).update(value=number - 1)
    assert returned == 1, f"{name} {number} was not the last"
