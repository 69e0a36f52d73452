# SPDX-License-Identifier: Apache-2.0
"""The audit chain: each entry's keyed hash covers the entry before it.

The key is derived from the office's secret key, which lies outside the database: whoever can write to the
database alone can neither alter, insert, remove nor reorder an entry without `verify` seeing it. The head
row holds the end of the chain, so entries cut off the end are missed too; to notice that the head was set
back together with them, keep `Finding.head` somewhere else (the closing report of a day prints it).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from citycard.office import clock
from citycard.office.audit.models import AuditEntry, AuditHead

FIRST: Final = "0" * 64  # what the first entry follows
KEY_PURPOSE: Final = b"citycard audit chain v1"
READ_ROWS: Final = 2000  # rows held at a time while verifying


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done: by whom, which verb, to what, with what."""

    actor: str
    verb: str
    subject: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """What `verify` found: entries read, the first bad entry's number and why, and the chain's head."""

    entries: int
    head: str
    bad: int | None = None
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether the whole chain stands."""
        return self.bad is None


@transaction.atomic
def append(deeds: Sequence[Deed]) -> None:
    """Append entries in order; locks the head until the surrounding transaction ends."""
    if not deeds:
        return
    AuditHead.objects.get_or_create(id=1, defaults={"number": 0, "hash": FIRST})
    head = AuditHead.objects.select_for_update().get(id=1)
    key, at, entries = _key(), clock.now(), []
    for deed in deeds:
        entry = AuditEntry(
            number=head.number + 1,
            at=at,
            actor=deed.actor,
            verb=deed.verb,
            subject=deed.subject,
            detail=_canonical(deed.detail),
            previous=head.hash,
        )
        entry.hash = _hash(entry, key)
        head.number, head.hash = entry.number, entry.hash
        entries.append(entry)
    AuditEntry.objects.bulk_create(entries)
    head.save(update_fields=["number", "hash"])


def verify() -> Finding:
    """Read the chain from its first entry to its head and check every link."""
    key, number, before = _key(), 0, FIRST
    for entry in AuditEntry.objects.order_by("number").iterator(chunk_size=READ_ROWS):
        if entry.number != number + 1:
            return Finding(number, before, number + 1, "entry is missing")
        if entry.previous != before:
            return Finding(number, before, entry.number, "entry does not follow the one before it")
        if not hmac.compare_digest(entry.hash, _hash(entry, key)):
            return Finding(number, before, entry.number, "entry was changed")
        number, before = entry.number, entry.hash
    head = AuditHead.objects.filter(id=1).first()
    if (head.number, head.hash) != (number, before) if head else number:
        return Finding(number, before, number + 1, "entries are missing at the end, or the head was changed")
    return Finding(number, before)


def _key() -> bytes:
    return hmac.digest(str(settings.SECRET_KEY).encode(), KEY_PURPOSE, hashlib.sha256)


def _canonical(detail: Mapping[str, Any]) -> str:
    return json.dumps(detail, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)


def _hash(entry: AuditEntry, key: bytes) -> str:
    at = entry.at.isoformat(timespec="seconds")
    covered = [entry.number, at, entry.actor, entry.verb, entry.subject, entry.detail, entry.previous]
    return hmac.new(key, json.dumps(covered, ensure_ascii=True).encode(), hashlib.sha256).hexdigest()
