# SPDX-License-Identifier: Apache-2.0
"""Any byte string is a command: it gets a status word, moves no money it may not, and shows no key."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.core.apdu import SW, Command
from citycard.core.card import Card
from citycard.core.card.body import Body, read_body
from citycard.core.card.os import COMMANDS
from citycard.core.crypto import SM4_SUITE, TRIPLE_DES
from citycard.core.purse import Txn
from tests.core.card.counter import SECRETS, SELECT, Counter, industry, personalised, transit
from tests.core.card.watched import PROFILES, drive

PERSONALISED = [personalised(TRIPLE_DES.id).card.image(), personalised(SM4_SUITE.id).card.image()]
WORDS = frozenset(SW)

known = st.sampled_from(sorted(COMMANDS))
lucky = st.sampled_from(  # bytes that lead deep into the handlers
    [
        b"",
        bytes(4),
        bytes(11),
        b"\x01" + bytes(10),
        bytes(15),
        bytes(28),
        industry(1, 7),
        transit(7),
        b"\x00\x15",
    ]
)
formed = st.builds(
    lambda code, p1, p2, data, le: Command(code >> 8, code & 0xFF, p1, p2, data, le).encode(),
    known,
    st.sampled_from([0, 1, 2, 3, 0x3E, 0x95, 0x9A]) | st.integers(0, 255),
    st.sampled_from([0, 1, 2, 9, 0xD4, 0xD0, 0xF0, 0xF4, 0xC4]) | st.integers(0, 255),
    lucky | st.binary(max_size=260),
    st.none() | st.sampled_from([4, 8, 15, 16, 256, 65_536]) | st.integers(1, 256),
)
alien = st.binary(max_size=40)
step = st.one_of(formed, formed, alien, st.sampled_from(["purchase", "load", "capp", "secured"]))


def honest(counter: Counter, word: str) -> None:
    """A true step in between, so that strange commands meet every state."""
    if word == "purchase" and counter.balance() >= 3:
        counter.purchase(3)
    elif word == "load" and counter.balance() < 99_000:
        counter.load(1_000)
    elif word == "capp":
        counter.ok(counter.init_purchase(0, Txn.COMPOSITE))
    elif word == "secured":
        counter.card.process(counter.secured("04D69600", b"\x01"))


def body(card: Card) -> Body:
    """The purse as it lies in the cells."""
    assert card._chip is not None
    purse = card._chip.directories[1].purse
    assert purse is not None
    return read_body(card.memory, purse)


@settings(max_examples=250, deadline=None)
@given(image=st.sampled_from(PERSONALISED), steps=st.lists(step, min_size=1, max_size=25))
def test_any_bytes_get_a_status_word(image: bytes, steps: list[bytes | str]) -> None:
    counter = Counter(Card.from_image(image, Random(2).randbytes))
    if image is PERSONALISED[1]:
        counter.suite = SM4_SUITE
    card = counter.card
    card.power_on()
    counter.select()
    last = body(card)
    for command in steps:
        if isinstance(command, str):
            if counter.sw(SELECT) == "9000":
                honest(counter, command)
            now = body(card)
            assert now.online >= last.online
            assert now.offline >= last.offline
        else:
            answer = card.process(command)
            sw = int.from_bytes(answer[-2:], "big")
            assert sw in WORDS or sw >> 8 == 0x6C or sw & 0xFFF0 == 0x63C0
            assert len(answer) == 2 or sw in (SW.OK, SW.FILE_INVALID)
            assert not any(key[:6] in answer or key[8:14] in answer for key in SECRETS)
            now = body(card)
            assert now == last, "no unproven command touches the purse"
        assert 0 <= now.balance_fen <= now.cap_fen
        last = now
    card.power_on()
    assert Card.from_image(card.image(), Random(1).randbytes).power_on()


# All kinds of card


def story(*steps: bytes) -> bytes:
    """The bytes that `drive` reads as these steps."""
    return b"".join(steps)


any_byte = st.integers(0, 255).map(lambda value: bytes((value,)))
formed_step = st.tuples(
    st.sampled_from([b"\x00", b"\x01", b"\x02"]),
    any_byte,
    st.sampled_from([0, 1, 2, 3, 5, 0x36, 0x3E, 0x81, 0x95, 0x96, 0x9E]).map(lambda p: bytes((p,)))
    | any_byte,
    st.sampled_from([0, 1, 2, 0x13, 0x17, 0xA8, 0xB8, 0xBC, 0xC0, 0xD4, 0xF0]).map(lambda p: bytes((p,)))
    | any_byte,
    st.binary(max_size=60).map(lambda data: bytes((len(data),)) + b"\x07" + data),
).map(lambda step: story(step[0], step[1], step[2], step[3], step[4]))
honest_step = st.tuples(any_byte, any_byte).map(lambda pair: b"\x04" + pair[0] + pair[1])
secured_step = st.tuples(any_byte, any_byte, any_byte, any_byte, st.binary(max_size=60)).map(
    lambda step: story(b"\x05", step[0], step[1], step[2], bytes((len(step[4]),)), step[3], step[4])
)
power_step = any_byte.map(lambda n: b"\x06" + n) | any_byte.map(lambda n: b"\x07" + n)
any_story = st.tuples(
    st.integers(0, len(PROFILES) - 1).map(lambda n: bytes((n,))),
    st.lists(st.one_of(honest_step, formed_step, secured_step, power_step), max_size=12),
).map(lambda parts: parts[0] + story(*parts[1]))


@settings(max_examples=400, deadline=None)
@given(data=any_story | st.binary(max_size=300))
def test_any_story_keeps_every_card_whole(data: bytes) -> None:
    drive(data)


def test_the_stories_reach_the_purse() -> None:
    """What the watch is worth: an honest load is seen, and a card that forges money is caught."""
    everything = 5
    card = drive(bytes((everything,)) + b"\x04\x00\x00" + b"\x04\x03\x10" + b"\x04\x05\x01" + bytes(6))
    assert card is not None
    assert sorted(body.balance_fen for body in card.bodies.values()) == [0, 0, 0x100 - 0x10]
    chip = card.card._chip
    assert chip is not None
    purse = next(d.purses[2] for d in chip.directories if d.purses)
    card.card.memory.write(purse.body, (500).to_bytes(4, "big") + card.card.memory.read(purse.body + 4, 4))
    with pytest.raises(AssertionError, match="money moved"):
        card.process(b"\x00\x84\x00\x00\x04")
