# SPDX-License-Identifier: Apache-2.0
"""`citycard bench card`: it runs through the real stack, and no dialogue has grown."""

from __future__ import annotations

from citycard.lab.bench.dialogues import MS_PER_BYTE, dialogues
from tests.support.pcscd import started

# As few APDUs as docs/benchmarks.md argues for; a dialogue that needs one more must say there why.
APDUS_MOST = {
    "personalise": 24, "load": 4, "metro entry": 8, "metro exit": 8, "bus": 6, "retail": 4, "recovery": 2,
    "info": 5, "log": 8,
}  # fmt: skip


def test_no_dialogue_asks_more_than_it_must() -> None:
    found = {name: int(told.split()[0]) for name, told in dialogues().items()}
    assert found.keys() == APDUS_MOST.keys()
    assert {name: count for name, count in found.items() if count > APDUS_MOST[name]} == {}
    octets, air = dialogues()["metro exit"].split()[2], dialogues()["metro exit"].split()[4]
    assert float(air) == round(int(octets) * MS_PER_BYTE, 1)


def test_the_race_is_run_through_the_real_stack() -> None:
    with started():  # so that it queues behind other tests, and skips where no pcscd can start
        pass
    from citycard.lab.bench.card import run

    result = run(exits=10)
    assert min(result.figure, result.yardstick, result.ratio) > 0
    assert result.details["apdus_s"] > 1000
    assert {"soft vault", "softhsm2", "metro exit"} <= result.details.keys()
