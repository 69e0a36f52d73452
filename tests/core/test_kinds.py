# SPDX-License-Identifier: Apache-2.0
"""Every kind of card by name: made, given power, told apart again by its image alone."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from citycard.core import kinds
from citycard.core.card import PROFILES
from citycard.core.dialogue.exchange import converse
from citycard.core.gp import client
from citycard.core.problem import Problem

TRANSPORT = b"a-transport-key!"


def fetching(card: kinds.Emulated) -> Callable[[bytes], bytes]:
    """A reader that fetches what a T=0 card keeps waiting."""

    def exchange(command: bytes) -> bytes:
        answer = card.process(command)
        if answer[-2] == 0x61:
            answer = card.process(bytes((0x00, 0xC0, 0x00, 0x00, answer[-1])))
        return answer

    return exchange


@pytest.mark.parametrize("name", [*kinds.kinds(), *(f"gp:{profile}" for profile in PROFILES)])
def test_a_card_of_each_kind_is_made_and_opened_again(name: str) -> None:
    card = kinds.new_card(name, TRANSPORT, Random(1).randbytes)
    atr = card.power_on()
    again = kinds.open_card(card.image(), Random(2).randbytes)
    assert type(again) is type(card)
    assert again.power_on() == atr
    assert len(again.process(bytes.fromhex("FFCA000000"))) >= 2
    if name.startswith("gp"):
        make = client.with_keys(kinds.GP_TEST_SETS[0x20])
        dialogue = client.open_channel(make, host=bytes(8), level=0x03, version=0x20)
        assert isinstance(converse(dialogue, {"card": fetching(again)}), client.GpSession)


def test_an_unknown_kind_is_told_with_those_there_are() -> None:
    for name in ("", "mifare", "t-union:gp", "gp:mifare"):
        with pytest.raises(Problem, match="m1-1k"):
            kinds.new_card(name, TRANSPORT, Random(1).randbytes)
    with pytest.raises(Problem):
        kinds.open_card(b"no image at all", Random(1).randbytes)
