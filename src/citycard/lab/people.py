# SPDX-License-Identifier: Apache-2.0
"""Invented citizens: names, ages, verification levels, guardians and the card class each is entitled to.

All of them are drawn from a seed; none is a real person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Final

from citycard.services.contract import CardClass

SURNAMES: Final = "江林沈陆顾程叶苏范姚方石白卢蒋蔡余杜戴夏"
GIVEN: Final = tuple(
    "一帆雨晴子墨若溪明远思源安然嘉树清和知行云舒景行书瑶怀瑾念慈修远望舒予安星河南风"[at : at + 2]
    for at in range(0, 40, 2)
)
VISITORS: Final = ("Ana Lindqvist", "Omar Haddad", "Priya Raman", "Jonas Weber", "Mei Tanaka", "Tom Okafor")
YEAR: Final = timedelta(days=365)
ADULT_YEARS, SENIOR_YEARS = 16, 65


@dataclass(frozen=True, slots=True)
class Person:
    """One holder to be; `guardian` is the index of an adult among the same people, for a minor."""

    name: str
    resident: bool
    birth_on: date
    level: int
    card_class: int
    guardian: int | None = None


def people(random: Random, count: int, today: date) -> list[Person]:
    """So many people in a city's mix; minors always find a guardian earlier in the list."""
    made: list[Person] = []
    adults: list[int] = []
    for index in range(count):
        person = _person(random, today, adults if index else [])
        if person.guardian is None and person.level >= 2:
            adults.append(index)
        made.append(person)
    return made


def _person(random: Random, today: date, adults: list[int]) -> Person:
    draw = random.random()
    if draw < 0.08:
        return Person(random.choice(VISITORS), False, _born(random, today, 20, 60), 1, CardClass.ORDINARY)
    name = random.choice(SURNAMES) + random.choice(GIVEN)
    if draw < 0.22 and adults:
        guardian = random.choice(adults)
        born = _born(random, today, 7, ADULT_YEARS - 1)
        return Person(name, True, born, 2, CardClass.STUDENT, guardian)
    if draw < 0.36:
        return Person(name, True, _born(random, today, SENIOR_YEARS + 1, 88), 2, CardClass.SENIOR)
    if draw < 0.40:
        return Person(name, True, _born(random, today, 25, 55), 3, CardClass.STAFF)
    if draw < 0.43:
        return Person(name, True, _born(random, today, 25, 80), 3, CardClass.FREE)
    return Person(name, True, _born(random, today, 18, 60), random.choice((2, 2, 3)), CardClass.ORDINARY)


def _born(random: Random, today: date, youngest: int, oldest: int) -> date:
    return today - YEAR * random.randint(youngest, oldest) - timedelta(days=random.randrange(300))
