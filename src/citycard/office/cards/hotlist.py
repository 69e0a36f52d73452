# SPDX-License-Identifier: Apache-2.0
"""The hotlist: which cards no terminal may accept, in versions that terminals fetch as differences.

Every change makes a new version. An entry is on the list from its `version` until its `delisted_version`, so
the list of any version, and the difference between any two, can be computed at any later time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet

from citycard.office import clock
from citycard.office.cards import counters
from citycard.office.cards.models import HotlistEntry
from citycard.office.partners.models import PartnerHotlistEntry

COUNTER: Final = "hotlist"
Entry = HotlistEntry | PartnerHotlistEntry
LISTS: Final[tuple[type[Entry], ...]] = (HotlistEntry, PartnerHotlistEntry)  # ours and other cities


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed from version `since` to `version`; from 0 it is the whole list."""

    version: int
    since: int
    add: list[str]
    remove: list[str]


def version() -> int:
    """The version of the list now; 0 while nothing was ever on it."""
    return counters.last(COUNTER)


@transaction.atomic
def put_on(pans: Iterable[str], reason: str) -> int:
    """Put cards on the list in one new version; cards already on it stay as they are. The version now."""
    wanted = list(dict.fromkeys(pans))
    (number,) = counters.take(COUNTER)  # the lock also keeps two clerks from listing one card twice
    on = set(_open(wanted).values_list("card_id", flat=True))
    new = [pan for pan in wanted if pan not in on]
    if not new:
        return _give_back(number)
    at = clock.now()
    HotlistEntry.objects.bulk_create(
        HotlistEntry(card_id=pan, reason=reason, version=number, listed_at=at) for pan in new
    )
    return number


@transaction.atomic
def take_off(pans: Iterable[str]) -> int:
    """Take cards off the list in one new version; the version now."""
    (number,) = counters.take(COUNTER)
    changed = _open(list(pans)).update(delisted_at=clock.now(), delisted_version=number)
    return number if changed else _give_back(number)


def at_version(number: int) -> set[str]:
    """The whole list as it stood in a version."""
    return {
        pan
        for entries in LISTS
        for pan in entries.objects.filter(_stands(number)).values_list("card_id", flat=True)
    }


def delta(since: int) -> Delta:
    """What a terminal that holds version `since` must add and remove to hold the newest.

    A terminal with a version from the future (another scheme's, or a restored database) gets the full list.
    """
    now = version()
    if not 0 < since <= now:
        return Delta(now, 0, sorted(at_version(now)), [])
    news = Q(version__gt=since) | Q(delisted_version__gt=since)
    before, after = set(), set()
    changed: Iterator[Entry] = chain.from_iterable(entries.objects.filter(news) for entries in LISTS)
    for entry in changed:  # an entry untouched since then stands in both versions, or in neither
        if entry.version <= since:
            before.add(entry.card_id)
        if entry.version <= now and (entry.delisted_version or now + 1) > now:
            after.add(entry.card_id)
    return Delta(now, since, sorted(after - before), sorted(before - after))


def _stands(number: int) -> Q:
    return Q(version__lte=number) & (Q(delisted_version=None) | Q(delisted_version__gt=number))


def _open(pans: list[str]) -> QuerySet[HotlistEntry]:
    return HotlistEntry.objects.filter(card_id__in=pans, delisted_version=None)


def _give_back(number: int) -> int:
    """Nothing changed, so no new version: the counter is still locked by this transaction."""
    counters.back(COUNTER, number)
    return number - 1
