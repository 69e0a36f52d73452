# SPDX-License-Identifier: Apache-2.0
"""Two hundred misfortunes of two cities and a hub, on the real offices: all end as if nothing had happened."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from citycard.lab.interop.lives import SEEDS_OF_A_LIFE
from tests.lab.commands import citycard

SEEDS, GROUPS = 200, 5
FILES = {"file_lost", "unsigned", "file_altered", "file_late", "file_repeated"}
KILLS = {"kill_office", "kill_clearing"}
MISPLACED_FEN = """
from dataclasses import replace
from citycard.lab.interop import books, lives
look = books.look
def misread():
    seen = look()
    name = min(seen.accounts, default=None)
    return seen if name is None else replace(seen, accounts=seen.accounts | {name: seen.accounts[name] + 1})
books.look = misread
world = lives.run([0, 1])
next(world)
books.look = look
print(next(world).as_text())
"""


def lived(first: int, seeds: int) -> list[dict[str, Any]]:
    words = ("lab", "simulate", "--world", "exchange", "--first", str(first), "--seeds", str(seeds), "--json")
    ran = citycard(*words, timeout=290)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("group", range(GROUPS))
def test_every_misfortune_ends_as_the_life_without_it(group: int) -> None:
    each = SEEDS // GROUPS
    found = lived(group * each, each)
    assert [one["seed"] for one in found] == list(range(group * each, (group + 1) * each))
    struck = sum((Counter(one["faults"]) for one in found), Counter[str]())
    assert struck.keys() >= FILES | KILLS
    assert all(one["faults"] for one in found)
    assert {one["life"] for one in found} == {one["seed"] // SEEDS_OF_A_LIFE for one in found}
    for one in found:
        assert set(one["disputes"].values()) <= {"adjusted", "dismissed", "closed"}
        assert set(one["states"]) <= {"verified", "adjusted", "upheld"}
        assert one["taps"] == sum(one["states"].values()) > 0


@pytest.mark.timeout(300)
def test_a_fen_the_twin_has_otherwise_is_noticed() -> None:
    """The check itself is seen failing."""
    assert "without faults" in citycard(script=MISPLACED_FEN).stdout
