# SPDX-License-Identifier: Apache-2.0
"""The ticket chip: one-time bits, locks, counters that survive a tear, the reader's transparent exchange."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.core.card import PowerLost
from citycard.core.storage import Tag, UltralightCard
from citycard.core.storage.part3 import received, transceive
from citycard.core.storage.ultralight import COUNTER_MAX, PAGES

UID = bytes.fromhex("04112233445566")


def fresh() -> UltralightCard:
    card = UltralightCard.blank(UID)
    card.power_on()
    return card


def say(card: UltralightCard | Tag, command: str) -> str:
    return card.process(bytes.fromhex(command)).hex().upper()


def native(card: UltralightCard, command: str) -> bytes | None:
    answer = card.process(transceive(bytes.fromhex(command)))
    assert answer[-2:] == b"\x90\x00"
    return received(answer[:-2])


def test_pages_as_a_reader_shows_them() -> None:
    card = fresh()
    assert say(card, "FFCA000000") == "041122334455669000"
    head = "041122BF" + "33445566" + "44480000" + "00000000"
    assert say(card, "FFB0000010") == head + "9000"
    assert say(card, "FFB0000404") == "00000000" + "9000"
    assert say(card, "FFB0000E10") == "0000000000000000" + head[:16] + "9000"  # goes on at page 0
    assert say(card, "FFB0001010") == "6A82"
    assert say(card, "FFD6000404" + "A1A2A3A4") == "9000"
    assert say(card, "FFD6000510" + "B1B2B3B4" + "00" * 12) == "9000"
    assert say(card, "FFB0000400")[:16] == "A1A2A3A4B1B2B3B4"
    assert [say(card, f"FFD600{page:02X}04FFFFFFFF") for page in (0, 1, 16)] == ["6982", "6982", "6A82"]
    assert say(card, "FFD60004021234") == "6700"
    assert native(card, "3004") == card.read(4)
    assert native(card, "3A0407") == card.read(4)
    assert native(card, "A20601020304") == b"\x0a"
    assert native(card, "60") == bytes.fromhex("0004030101000B03")
    assert [
        native(card, raw) for raw in ("3010", "A20001020304", "3903", "A50301000000", "3A0704", "FF")
    ] == [None] * 6
    assert say(card, "FFC20000028100") == "C0030090009000"
    assert [say(card, raw) for raw in ("FFC2000000", "FFC20001024100", "FFC2000201FF")] == [
        "6A80",
        "6A80",
        "6A86",
    ]


@given(writes=st.lists(st.tuples(st.integers(2, PAGES - 1), st.binary(min_size=4, max_size=4)), max_size=20))
def test_one_time_and_lock_bits_only_gain_and_locked_pages_stay(writes: list[tuple[int, bytes]]) -> None:
    card = fresh()
    for page, data in writes:
        before = [card.page(number) for number in range(PAGES)]
        locks = int.from_bytes(before[2][2:], "little")
        done = card.write(page, data)
        after = [card.page(number) for number in range(PAGES)]
        assert done is not (page > 2 and locks >> page & 1 == 1)
        for number in range(PAGES):
            if number != page or (number > 2 and locks >> number & 1):
                assert after[number] == before[number]
        for number in (2, 3):
            old, new = (int.from_bytes(pages[number], "big") for pages in (before, after))
            assert old & new == old
        gained = int.from_bytes(after[2][2:], "little") & ~locks
        for bit, pages in enumerate((range(3, 4), range(4, 10), range(10, 16))):
            if locks >> bit & 1:
                assert not any(gained >> number & 1 for number in pages)


@settings(deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3000)), max_size=12),
    cut=st.integers(0, 11),
    left=st.binary(min_size=8, max_size=8) | st.sampled_from(["old", "new", "half"]),
)
def test_a_torn_increment_leaves_the_value_before_or_after(
    steps: list[tuple[int, int]], cut: int, left: bytes | str
) -> None:
    card, model = fresh(), [0, 0, 0]

    def fuse(address: int, old: bytes, new: bytes) -> bytes:
        return left if isinstance(left, bytes) else {"old": old, "new": new, "half": new[:4] + old[4:]}[left]

    for at, (number, step) in enumerate(steps):
        card.memory.fuse = fuse if at == cut else None
        try:
            assert native(card, f"A5{number:02X}" + step.to_bytes(3, "little").hex() + "00") == b"\x0a"
            model[number] += step
        except PowerLost:
            card.memory.fuse = None
            card.power_on()
            assert card.counter(number) in (model[number], model[number] + step)
            model[number] = card.counter(number)
        assert [int.from_bytes(native(card, f"39{n:02X}") or b"", "little") for n in range(3)] == model


def test_a_counter_ends() -> None:
    card = fresh()
    assert card.increment(0, COUNTER_MAX)
    assert native(card, "A50001000000") is None
    assert native(card, "3900") == b"\xff\xff\xff"
    assert native(card, "3E00") == b"\xbd"


def test_a_tag_tells_its_number_and_nothing_else() -> None:
    tag = Tag.blank(bytes.fromhex("DEADBEEF"))
    tag.power_on()
    assert say(tag, "FFCA000000") == "DEADBEEF9000"
    assert {say(tag, raw) for raw in ("FFB0000010", "FFD6000410" + "00" * 16, "FF82000006FFFFFFFFFFFF")} == {
        "6D00"
    }
