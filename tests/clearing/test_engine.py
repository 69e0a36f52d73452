# SPDX-License-Identifier: Apache-2.0
"""The steps are expressions of no particular engine, and small days are quick."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest
import sqlglot

from citycard.clearing import carry, chain, judge, money, verify
from citycard.clearing.engine import Step
from tests.clearing.world import DAY, World

ALL = {
    value: name  # not by the step's own name: two may stand in for each other
    for module in (verify, chain, judge, money, carry)
    for name, value in vars(module).items()
    if isinstance(value, Step)
}


@pytest.mark.parametrize("step", ALL, ids=ALL.get)
def test_every_step_is_also_sql_of_spark(step: Step) -> None:
    parsed = sqlglot.parse_one(step.sql("pyspark"), dialect="spark")
    assert parsed.named_selects == list(step.table.columns)


def test_two_homes_may_be_cleared_at_once_by_two_threads(tmp_path: Path) -> None:
    worlds = [World(tmp_path / name) for name in "ab"]
    for fen, world in enumerate(worlds, start=1):
        world.upload(*[world.tap("A", 100 * fen) for _ in range(20)])
    reports: dict[int, int] = {}

    def clear(number: int) -> None:
        reports[number] = worlds[number].clear(DAY).charged_fen

    threads = [Thread(target=clear, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reports == {0: 2_000, 1: 4_000}
