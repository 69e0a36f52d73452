# SPDX-License-Identifier: Apache-2.0
"""Tickets: issued once, ridden as often as they say, torn anywhere, and copied in vain."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from citycard.core.card import PowerLost
from citycard.core.dialogue import ticket as dialogue
from citycard.core.dialogue.exchange import Refused
from citycard.core.dialogue.ticket import Ride
from citycard.core.storage import Tag, UltralightCard
from citycard.core.storage.ticket import TicketView
from tests.dialogue.storage_cast import ISSUER, KEYS, NOON, Cutter, run

UID = bytes.fromhex("04112233445566")
GATE, OTHER = bytes(5) + b"\x01", bytes(5) + b"\x02"
MARCH = (date(2026, 3, 1), date(2026, 3, 31))


def issued(rides: int = 3) -> UltralightCard:
    card = UltralightCard.blank(UID)
    card.power_on()
    view = run(card, dialogue.issue(KEYS, product=7, rides=rides, serial=42, valid=MARCH, issuer=ISSUER))
    assert isinstance(view, TicketView)
    return card


def take(card: UltralightCard, terminal: bytes = GATE, at: datetime = NOON) -> Ride | str:
    answer = run(card, dialogue.ride(KEYS, terminal, at))
    return answer.refusal.code if isinstance(answer, Refused) else answer


def test_a_ticket_is_good_for_its_rides_and_its_days() -> None:
    card = issued()
    view = run(card, dialogue.check(KEYS, NOON.date()))
    assert (view.fields["serial"], view.left) == (42, 3)
    assert take(card) == Ride(1, 2)
    assert take(card) == Ride(1, 2, again=True)  # just tapped here
    assert take(card, OTHER) == Ride(2, 1)
    assert take(card, OTHER, NOON + timedelta(minutes=5)) == Ride(3, 0)
    assert take(card, GATE, NOON + timedelta(minutes=9)) == "INSUFFICIENT_BALANCE"
    for day, code in ((date(2026, 2, 28), "NOT_YET_VALID"), (date(2026, 4, 1), "EXPIRED")):
        assert run(issued(), dialogue.check(KEYS, day)).refusal.code == code
    assert [card.process(bytes.fromhex(f"FFD600{page:02X}0400000000")).hex() for page in range(4, 10)] == [
        "6982"
    ] * 6


def test_a_ticket_is_ended_once_and_a_used_chip_is_not_issued_again() -> None:
    card = issued()
    take(card)
    assert run(card, dialogue.end(KEYS)) is None
    assert take(card) == "CARD_BLOCKED"
    assert (
        card.process(bytes.fromhex("FFD600030400000000")).hex() == "9000"
    )  # a one-time bit does not go away
    assert take(card, OTHER) == "CARD_BLOCKED"
    again = run(card, dialogue.issue(KEYS, product=7, rides=9, serial=42, valid=MARCH, issuer=ISSUER))
    assert isinstance(again, Refused)


def test_a_copied_ticket_is_no_ticket() -> None:
    copy = UltralightCard.blank(UID[:-1] + b"\x67")
    copy.power_on()
    original = issued()
    for page in range(3, 16):
        copy.write(page, original.page(page))
    assert take(copy) == "UNKNOWN_CARD"


@pytest.mark.parametrize("left", ["old", "new", b"garbage!"])
def test_a_ticket_torn_at_any_write_is_ridden_once(left: str | bytes) -> None:
    image = issued().image()
    taken = []
    for cut in range(4):
        card = UltralightCard.from_image(image)
        card.power_on()
        take(card, OTHER, NOON - timedelta(hours=1))
        card.memory.fuse = Cutter(cut, left)
        with pytest.raises(PowerLost):
            take(card)
        card.memory.fuse = None
        card.power_on()
        ride = take(card, GATE, NOON + timedelta(seconds=5))
        assert isinstance(ride, Ride)
        taken.append(ride.again)
        assert ride[:2] == (2, 1)
    assert taken == [False] * 3 + [left == "new"]


def test_a_tag_is_identified() -> None:
    tag = Tag.blank(bytes.fromhex("DEADBEEF"))
    tag.power_on()
    assert run(tag, dialogue.identify_tag()) == bytes.fromhex("DEADBEEF")
