# SPDX-License-Identifier: Apache-2.0
"""From any version a terminal holds, the difference leads to the list of now."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.office.cards import hotlist
from citycard.office.cards.models import Card
from tests.office.conftest import ISSUER, START, open_issuer

PANS = [f"{number:020d}" for number in range(6)]
MOVES = st.lists(st.tuples(st.booleans(), st.sets(st.sampled_from(PANS))), max_size=10)


def bare_cards() -> None:
    Card.objects.bulk_create(Card(pan=pan, issuer_id=ISSUER, status_at=START) for pan in PANS)


@pytest.mark.django_db
@given(MOVES)
@settings(max_examples=30)
def test_every_version_and_every_difference(moves: list[tuple[bool, set[str]]]) -> None:
    with transaction.atomic():
        open_issuer()
        bare_cards()
        lists: dict[int, set[str]] = {0: set()}
        for on, pans in moves:
            before = lists[hotlist.version()]
            now = hotlist.put_on(pans, "lost") if on else hotlist.take_off(pans)
            after = before | pans if on else before - pans
            assert now == hotlist.version() == len(lists) - (after == before)
            lists[now] = after
        for version, held in lists.items():
            assert hotlist.at_version(version) == held
            change = hotlist.delta(version)
            assert (held | set(change.add)) - set(change.remove) == lists[hotlist.version()]
            assert not set(change.add) & set(change.remove)
            assert change.since == 0 or not held & set(change.add)
        transaction.set_rollback(True)


def test_a_version_from_nowhere_gets_the_whole_list(issuer: str) -> None:
    bare_cards()
    hotlist.put_on(PANS[:2], "lost")
    for since in (-1, 0, 99):
        assert hotlist.delta(since) == hotlist.Delta(1, 0, PANS[:2], [])
    assert hotlist.delta(1) == hotlist.Delta(1, 1, [], [])


def test_a_card_stands_on_the_list_once(issuer: str, stock: Callable[..., list[str]]) -> None:
    bare_cards()
    assert hotlist.put_on([PANS[0], PANS[0]], "lost") == 1
    assert hotlist.put_on([PANS[0]], "risk") == 1
    assert hotlist.take_off([PANS[1]]) == 1
    assert hotlist.take_off([PANS[0]]) == 2
    assert hotlist.put_on([PANS[0]], "risk") == 3
