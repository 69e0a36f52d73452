# SPDX-License-Identifier: Apache-2.0
"""Two cities and a hub in three processes: real cards and terminals, files with faults, and all agrees."""

from __future__ import annotations

import json

import pytest

from tests.lab.commands import citycard

FAULTS = {"lost", "repeated", "altered", "disputed", "complaint", "card lost"}


@pytest.mark.slow
def test_two_cities_and_a_hub_agree_after_every_fault() -> None:
    ran = citycard("lab", "interop", "--seed", "1", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr[-3000:]
    report = json.loads(ran.stdout)
    assert report["failures"] == []
    assert report["faults"].keys() == FAULTS
    assert all(fault["how"] for fault in report["faults"].values())
    assert report["exchanged"] > 20
    states = report["states"]
    assert states["west"] == states["east"] == states["hub"]  # each tap ends alike in all three databases
    assert states["hub"].keys() == {"verified", "adjusted"}
    nets = report["nets"]
    for city, org in (("west", "99000000001"), ("east", "99010000001")):
        theirs = {day: nets["hub"][day][org] for day in nets["hub"] if nets["hub"][day][org]}
        assert theirs == {
            day: -told["99990000001"] for day, told in nets[city].items() if told["99990000001"]
        }
    assert any(nets["hub"].values())
