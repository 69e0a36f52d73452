# SPDX-License-Identifier: Apache-2.0
"""Whoever writes into the audit log past the program is found out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import transaction
from django.db.models import F

from citycard.office import audit
from citycard.office.audit.chain import Finding
from citycard.office.audit.models import AuditEntry, AuditHead
from tests.office.conftest import StillClock

pytestmark = pytest.mark.django_db


@pytest.fixture
def log(still: StillClock) -> Finding:
    for number in range(1, 8):
        audit.record("lin", "issue", f"card {number}", paid_fen=number, note="押金")
    found = audit.verify()
    assert (found.ok, found.entries) == (True, 7)
    return found


def _swap() -> None:
    three, four = AuditEntry.objects.get(number=3), AuditEntry.objects.get(number=4)
    three.number, four.number = 4, 3
    three.save()
    four.save()


def _cut_and_set_back() -> None:
    AuditEntry.objects.filter(number__gt=6).delete()
    AuditHead.objects.update(number=6)


def _copy() -> None:
    entry = AuditEntry.objects.get(number=7)
    entry.number = 8
    entry.save(force_insert=True)
    AuditHead.objects.update(number=8)


TAMPERINGS: dict[str, tuple[Callable[[], object], int]] = {
    "another person": (lambda: AuditEntry.objects.filter(number=3).update(actor="hu"), 3),
    "another amount": (lambda: AuditEntry.objects.filter(number=5).update(detail='{"paid_fen":1}'), 5),
    "another time": (lambda: AuditEntry.objects.filter(number=5).update(at="2026-01-01T00:00:00"), 5),
    "another hash": (lambda: AuditEntry.objects.filter(number=5).update(hash="0" * 64), 5),
    "the first one gone": (lambda: AuditEntry.objects.filter(number=1).delete(), 1),
    "one gone": (lambda: AuditEntry.objects.filter(number=4).delete(), 4),
    "the last one gone": (lambda: AuditEntry.objects.filter(number=7).delete(), 7),
    "all gone": (lambda: AuditEntry.objects.all().delete(), 1),
    "the end gone and the head set back": (_cut_and_set_back, 7),
    "two exchanged": (_swap, 3),
    "one repeated": (_copy, 8),
    "the head gone": (lambda: AuditHead.objects.all().delete(), 8),
    "the numbers shifted": (lambda: AuditEntry.objects.filter(number=7).update(number=F("number") + 1), 7),
}


@pytest.mark.parametrize("how", TAMPERINGS)
def test_tampering_shows_where(log: Finding, how: str) -> None:
    tamper, where = TAMPERINGS[how]
    tamper()
    found = audit.verify()
    assert not found.ok
    assert found.bad == where, found.why


def test_a_chain_rebuilt_without_the_secret_key_does_not_hold(log: Finding, settings: object) -> None:
    entry = AuditEntry.objects.get(number=7)
    right, settings.SECRET_KEY = settings.SECRET_KEY, "guessed"  # type: ignore[attr-defined]
    AuditEntry.objects.filter(number=7).delete()
    AuditHead.objects.update(number=6, hash=entry.previous)
    audit.record("lin", "issue", "forged")
    settings.SECRET_KEY = right  # type: ignore[attr-defined]
    assert audit.verify().bad == 7


def test_an_entry_of_a_past_that_was_undone_does_not_fit_in(log: Finding) -> None:
    """Someone set the database back, and later puts one of the genuine old entries into the new log."""
    old = AuditEntry.objects.get(number=7)
    six = AuditEntry.objects.get(number=6)
    AuditEntry.objects.filter(number__gte=6).delete()
    AuditHead.objects.update(number=5, hash=six.previous)
    audit.record("lin", "issue", "another sixth")
    assert audit.verify().ok
    old.save(force_insert=True)
    AuditHead.objects.update(number=7, hash=old.hash)
    assert audit.verify().bad == 7


def test_a_deed_undone_leaves_no_entry(log: Finding) -> None:
    with transaction.atomic():
        audit.record("lin", "issue", "undone")
        transaction.set_rollback(True)
    assert audit.verify() == log


def test_an_empty_log_stands() -> None:
    assert audit.verify().ok
