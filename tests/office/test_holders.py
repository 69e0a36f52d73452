# SPDX-License-Identifier: Apache-2.0
"""Who may be a holder, and how little of their papers is kept."""

from __future__ import annotations

from datetime import date

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from citycard.core.problem import Problem
from citycard.office.holders import register
from citycard.office.holders.models import Holder
from tests.office.conftest import CLERK, START, StillClock, person

pytestmark = pytest.mark.django_db
NUMBER = "510107199001012419"


def test_of_a_document_only_mask_and_digest_are_kept(still: StillClock) -> None:
    holder = register.register(
        "陈静", date(1990, 1, 1), by=CLERK, level=3, document=("id card", NUMBER), phone="13812345678"
    )
    assert (holder.document_masked, holder.phone_masked) == ("510***********2419", "*******5678")
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            assert NUMBER not in str(cursor.fetchall())
    assert register.find("ID Card", " 5101 0719 9001 0124 19") == holder
    assert register.find("passport", NUMBER) is None
    with pytest.raises(Problem) as refused:
        register.register("Again", date(1990, 1, 1), by=CLERK, level=2, document=("id card", NUMBER))
    assert refused.value.code == "HOLDER_KNOWN"


@given(st.text(max_size=30))
def test_a_mask_keeps_its_length_and_hides_most(number: str) -> None:
    masked = register.masked(number)
    assert len(masked) == len(number)
    assert masked.count("*") >= min(len(number), 5)


@pytest.mark.parametrize(
    ("born", "level", "document", "code"),
    [
        (date(2026, 3, 3), 0, None, "HOLDER_BIRTH"),  # tomorrow
        (date(1890, 1, 1), 0, None, "HOLDER_BIRTH"),
        (date(1990, 1, 1), 2, None, "HOLDER_DOCUMENT"),
        (date(1990, 1, 1), 2, ("id card", ""), "HOLDER_DOCUMENT"),
        (date(2010, 3, 3), 0, None, "HOLDER_GUARDIAN"),  # sixteen tomorrow
    ],
)
def test_who_cannot_be_registered(
    still: StillClock, born: date, level: int, document: tuple[str, str] | None, code: str
) -> None:
    with pytest.raises(Problem) as refused:
        register.register("Somebody", born, by=CLERK, level=level, document=document)
    assert refused.value.code == code
    assert not Holder.objects.exists()


def test_a_minors_guardian_is_of_age_and_verified(still: StillClock) -> None:
    child = date(2018, 6, 1)
    unverified = person("Unverified", level=1)
    brother = person("Brother", date(2008, 3, 3))  # eighteen tomorrow
    for unfit in (unverified, brother):
        with pytest.raises(Problem, match="guardian"):
            register.register("Child", child, by=CLERK, guardian=unfit)
    still.forward(days=1)
    assert register.register("Child", child, by=CLERK, guardian=brother).guardian == brother
    assert register.register("Sixteen", date(2010, 3, 3), by=CLERK).guardian is None


def test_birthdays() -> None:
    leap = date(2008, 2, 29)
    assert register.age(leap, date(2024, 2, 28)) == 15
    assert register.age(leap, date(2024, 2, 29)) == 16
    assert register.age(leap, date(2026, 2, 28)) == 17
    assert register.age(leap, date(2026, 3, 1)) == 18
    assert register.age(START.date(), START.date()) == 0
