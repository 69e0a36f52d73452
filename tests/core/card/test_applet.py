# SPDX-License-Identifier: Apache-2.0
"""The applet port, with the smallest applet there is: a tally that counts what it is asked to count."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from citycard.core.apdu import SW, Command
from citycard.core.card import T_UNION, AreaSpec, Card, PowerLost, blank_card, command_table
from citycard.core.card.applet import install
from citycard.core.card.atomic import Change
from citycard.core.card.state import Answer, Chip, Entry
from tests.core.card.counter import SELECT, TRANSPORT, Counter

AID = bytes.fromhex("F043495459544C59")


class Tally:
    """80 01 adds Lc to the tally, 80 02 tells it and how often it was told since SELECT."""

    aid = AID

    def select(self, chip: Chip, command: Command) -> Answer:
        return b"tally"

    def process(self, chip: Chip, command: Command) -> Answer:
        area = chip.areas[AID]
        if command.ins == 0x01:
            change = Change(chip.memory)
            area.write(change, 0, (area.read(chip.memory)[0] + len(command.data)).to_bytes(1, "big"))
            area.write(change, 100, command.data)
            chip.journal.commit(change)
            return b""
        if command.ins == 0x02:
            told = chip.session.applet_state = (chip.session.applet_state or 0) + 1
            return area.read(chip.memory, 0, 1) + bytes((told,))
        return SW.WRONG_INS


def with_tally() -> Counter:
    """A T-Union card with a tally, in the field."""
    card = blank_card(T_UNION, TRANSPORT, Random(1).randbytes)
    card.power_on()
    assert card._chip is not None
    assert install(card._chip, AID, 200, b"\x05")
    assert not install(card._chip, AID, 200)
    card = Card.from_image(card.image(), Random(2).randbytes, applets=(Tally(),))
    card.power_on()
    return Counter(card)


def test_an_applet_gets_every_command_while_it_is_selected() -> None:
    counter = with_tally()
    assert counter.sw("8002000000") == "6D00"
    assert counter.ok("00A4040008" + AID.hex()) == b"tally"
    counter.ok("8001000003AABBCC")
    assert counter.ok("8002000000") == b"\x08\x01"
    assert counter.ok("8002000000") == b"\x08\x02"
    assert counter.sw("00B0950000") == "6D00"
    assert counter.sw("00A4040003AABBCC") == "6A82"
    assert counter.ok("8002000000") == b"\x08\x03"
    counter.ok(SELECT)
    assert counter.sw("8002000000") == "6D00"
    assert counter.ok("00A4040000") == b"tally"
    assert counter.ok("8002000000") == b"\x08\x01"
    counter.card.power_on()
    assert counter.sw("8001000001AA") == "6D00"


def test_an_applets_change_is_all_or_nothing() -> None:
    counter = with_tally()
    image = counter.card.image()
    found = set()
    for at in range(20):
        writes = iter(range(1000))

        def fuse(address: int, old: bytes, new: bytes, at: int = at, writes=writes) -> bytes | None:
            return b"garbage!" if next(writes) == at else None

        counter = Counter(Card.from_image(image, Random(2).randbytes, applets=(Tally(),)))
        counter.card.power_on()
        counter.ok("00A4040008" + AID.hex())
        counter.card.memory.fuse = fuse
        try:
            counter.ok("8001000003AABBCC")
        except PowerLost:
            counter.card.memory.fuse = None
            counter.card.power_on()
        assert counter.card._chip is not None
        whole = counter.card._chip.areas[AID].read(counter.card.memory)
        found.add((whole[0], whole[100:103].hex()))
    assert found == {(5, "000000"), (8, "aabbcc")}


def test_a_profile_may_have_room_for_an_applet() -> None:
    profile = replace(T_UNION, areas=(AreaSpec(AID, 200, b"\x07"),))
    card = blank_card(profile, TRANSPORT, Random(1).randbytes, applets=(Tally(),))
    card.power_on()
    counter = Counter(card)
    counter.ok("00A4040008" + AID.hex())
    assert counter.ok("8002000000") == b"\x07\x01"
    counter.ok(SELECT)


def test_without_its_object_an_area_is_not_there() -> None:
    card = Card.from_image(with_tally().card.image(), Random(2).randbytes)
    card.power_on()
    assert Counter(card).sw("00A4040008" + AID.hex()) == "6A82"


def test_a_handler_can_be_wrapped() -> None:
    """How a mutant is made: a card that differs in one handler."""

    def generous(chip: Chip, command: Command) -> Answer:
        return b"\x00\x0f\x42\x40"

    card = blank_card(T_UNION, TRANSPORT, Random(1).randbytes)
    table = command_table(card.traits)
    balances = table[0x805C]
    assert isinstance(balances, dict)
    mutant = Card(card.memory, Random(1).randbytes, table | {0x805C: balances | {0x0302: Entry(generous)}})
    mutant.power_on()
    counter = Counter(mutant)
    counter.select()
    assert (counter.balance(0), counter.balance(3)) == (0, 1_000_000)


@pytest.mark.parametrize("size", [0, 60_000])
def test_an_area_needs_its_room(size: int) -> None:
    card = blank_card(T_UNION, TRANSPORT, Random(1).randbytes)
    card.power_on()
    assert card._chip is not None
    assert install(card._chip, AID, size) is (size == 0)
