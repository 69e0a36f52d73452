# SPDX-License-Identifier: Apache-2.0
"""The Classic-like chip against its data sheet: access bits, value blocks, lost authentication, readers' words."""

from __future__ import annotations

import pickle
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.core.card import PowerLost
from citycard.core.problem import Problem
from citycard.core.storage import (
    ClassicCard,
    Kind,
    StorageCard,
    Tag,
    UltralightCard,
    access,
    atr,
    card_from_image,
    kind_of,
)
from citycard.core.storage.access import DATA, Need
from citycard.core.storage.classic import (
    DECREMENT,
    INCREMENT,
    RESTORE,
    group_of,
    read_value,
    sector_of,
    trailer_of,
    value_block,
)

UID = bytes.fromhex("DEADBEEF")
KEY_A, KEY_B = b"\xa0\xa1\xa2\xa3\xa4\xa5", b"\xb0\xb1\xb2\xb3\xb4\xb5"
FF = b"\xff" * 6


def powered(card: StorageCard) -> StorageCard:
    card.power_on()
    return card


def with_conditions(
    conditions: access.Conditions, sector: int = 1, kind: Kind = Kind.CLASSIC_1K
) -> ClassicCard:
    """A card one sector of which has these conditions and known keys; its data blocks hold the value 100."""
    card = ClassicCard.blank(UID, kind)
    card.power_on()
    trailer = trailer_of(sector)
    assert card.authenticate(trailer, "A", FF)
    for block in range(trailer - 3, trailer):
        assert card.write(block, value_block(100))
    assert card.write(trailer, KEY_A + access.encode(conditions) + b"\x69" + KEY_B)
    card.reset()
    return card


def test_access_bits_as_data_sheets_and_readers_print_them() -> None:
    assert access.encode(access.TRANSPORT) == bytes.fromhex("FF0780")
    assert access.encode((0b100, 0b100, 0b100, 0b011)) == bytes.fromhex("787788")
    assert access.decode(bytes.fromhex("08778F")) == (0b110, 0b110, 0b110, 0b011)
    for conditions in product(range(8), repeat=4):
        raw = access.encode(conditions)
        assert access.decode(raw) == conditions
    whole = [raw for raw in product(range(256), range(256)) if access.decode(bytes((*raw, 0x00)))]
    assert len(whole) == 16  # of all that may stand before a byte 00


@pytest.mark.parametrize("bits", DATA)
@pytest.mark.parametrize("key", ["A", "B"])
def test_every_condition_of_data_blocks(bits: int, key: str) -> None:
    """As the data sheet's table says, with a trailer whose key B is no data."""

    def attempt(act) -> bool:
        card = with_conditions((bits, bits, bits, 0b011))
        assert card.authenticate(4, key, KEY_A if key == "A" else KEY_B)
        return bool(act(card))

    got = {
        Need.READ: attempt(lambda card: card.read(4)),
        Need.WRITE: attempt(lambda card: card.write(4, value_block(7))),
        Need.INCREMENT: attempt(lambda card: card.change(4, INCREMENT, 1) and card.transfer(4)),
        Need.DECREMENT: attempt(lambda card: card.change(4, DECREMENT, 1) and card.transfer(4)),
    }
    assert got == {need: key in DATA[bits][need] for need in Need}
    assert attempt(lambda card: card.change(4, RESTORE) and card.transfer(5)) is got[Need.DECREMENT]


@pytest.mark.parametrize("bits", access.TRAILER)
@pytest.mark.parametrize("key", ["A", "B"])
def test_every_condition_of_trailers(bits: int, key: str) -> None:
    rule = access.TRAILER[bits]
    card = with_conditions((0, 0, 0, bits))
    assert card.authenticate(7, key, KEY_A if key == "A" else KEY_B)
    useless = key == "B" and rule.read_b != ""  # key B that can be read opens nothing
    shown, other = (
        card.read(7),
        bytes.fromhex("111111111111") + access.encode((0, 0, 0, 0b001)) + b"\x00" + b"\x22" * 6,
    )
    assert (shown is not None) is (key in rule.read_access and not useless)
    if shown:
        assert shown[:6] == bytes(6)  # key A is read by nobody
        assert shown[10:] == (KEY_B if key in rule.read_b else bytes(6))
    assert card.authenticate(7, key, KEY_A if key == "A" else KEY_B)
    may = {"A": key in rule.write_a, "access": key in rule.write_access, "B": key in rule.write_b}
    assert card.write(7, other) is (any(may.values()) and not useless)
    now, old = card.cells(7), KEY_A + access.encode((0, 0, 0, bits)) + b"\x69" + KEY_B
    for part, span in (("A", slice(0, 6)), ("access", slice(6, 10)), ("B", slice(10, 16))):
        assert now[span] == (other if may[part] and not useless else old)[span], part


def test_a_trailer_whose_bits_disagree_locks_its_sector_for_ever() -> None:
    card = ClassicCard.blank(UID)
    card.power_on()
    assert card.authenticate(7, "A", FF)
    assert card.write(7, FF + bytes.fromhex("FF0781") + b"\x69" + FF)
    assert card.read(4) is None
    assert not card.authenticate(4, "A", FF)
    assert card.authenticate(8, "A", FF)


def test_the_large_sectors_of_a_4k_card() -> None:
    assert [sector_of(block) for block in (0, 127, 128, 143, 144, 255)] == [0, 31, 32, 32, 33, 39]
    assert [trailer_of(sector) for sector in (0, 31, 32, 39)] == [3, 127, 143, 255]
    assert [group_of(block) for block in (128, 132, 133, 137, 138, 142, 143)] == [0, 0, 1, 1, 2, 2, 3]
    card = with_conditions((0b010, 0b000, 0b100, 0b011), 39, Kind.CLASSIC_4K)
    assert card.authenticate(240, "A", KEY_A)
    assert [card.write(block, bytes(16)) for block in (240, 244)] == [False, False]
    assert card.write(245, bytes(16)) and card.write(249, bytes(16))
    assert not card.write(250, bytes(16))


INT32 = st.integers(-(2**31), 2**31 - 1)


@given(value=INT32, address=st.integers(0, 255), flip=st.integers(0, 127))
def test_value_blocks_check_themselves(value: int, address: int, flip: int) -> None:
    raw = value_block(value, address)
    assert read_value(raw) == (value, address)
    damaged = bytearray(raw)
    damaged[flip // 8] ^= 1 << flip % 8
    assert read_value(bytes(damaged)) is None


@given(value=INT32, operand=st.integers(0, 2**31 - 1), up=st.booleans())
def test_values_never_wrap(value: int, operand: int, up: bool) -> None:
    card = ClassicCard.blank(UID)
    card.power_on()
    assert card.authenticate(4, "A", FF) and card.write(4, value_block(value, 9))
    wanted = value + operand if up else value - operand
    done = card.change(4, INCREMENT if up else DECREMENT, operand)
    assert done is (-(2**31) <= wanted < 2**31)
    if done:
        assert read_value(card.cells(4)) == (value, 9)  # nothing is written before the transfer
        assert card.transfer(4)
        assert read_value(card.cells(4)) == (wanted, 9)


def say(card: StorageCard, *commands: str) -> list[str]:
    return [card.process(bytes.fromhex(command)).hex().upper() for command in commands]


def test_the_reader_s_words() -> None:
    card = ClassicCard.blank(UID)
    assert card.power_on().hex().upper() == "3B8F8001804F0CA000000306030001000000006A"
    assert say(card, "FFCA000000", "FFCA000004", "FFCA000003", "FFCA00000A", "FFCA010000", "FFCA020000") == [
        "DEADBEEF9000", "DEADBEEF9000", "6C04", "6282", "6A81", "6A86",
    ]  # fmt: skip
    assert say(card, "FFB0000410") == ["6982"]
    assert say(card, "FF82000005FFFFFFFFFF", "FF82002006FFFFFFFFFFFF", "FF82400006FFFFFFFFFFFF") == [
        "6989", "6988", "6985",
    ]  # fmt: skip
    assert say(card, "FF860000050100046000") == ["6984"]
    assert (
        say(card, "FF82000006FFFFFFFFFFFF", "FF82000106A0A1A2A3A4A5", "FF82200206FFFFFFFFFFFF")
        == ["9000"] * 3
    )
    assert say(card, "FF860000050100046200", "FF860000050100406000", "FF8600000402000460", "FF860000050200046000") == [
        "6986", "6A82", "6700", "6A80",
    ]  # fmt: skip
    assert say(card, "FF860000050100046001", "FFB0000410") == ["6982", "6982"]
    assert say(card, "FF860000050100046002", "FFB0000410") == ["9000", "00" * 16 + "9000"]
    assert say(card, "FF8800046000", "FFB0000400", "FF880008026000", "FFB0000810") == [
        "9000", "00" * 16 + "9000", "9000", "00" * 16 + "9000",
    ]  # fmt: skip
    assert say(card, "FF8800046000", "FFB0000430") == ["9000", "00" * 48 + "9000"]
    assert say(card, "FFB0000440", "FFB0000410") == [
        "00" * 48 + "000000000000" + "FF078069" + "FF" * 6 + "9000",
        "00" * 16 + "9000",
    ]
    assert say(card, "FFB0000450", "FFB0000410") == ["6982", "6982"]  # beyond the sector: authentication lost
    assert say(card, "FF8800046000", "FFD6000410" + "41" * 16, "FFB0000408", "FFD600040141", "FFB0004010") == [
        "9000", "9000", "6C10", "6700", "6A82",
    ]  # fmt: skip
    assert say(card, "FFB0000402", "FFD6000010" + "00" * 16) == ["6C10", "6982"]
    assert say(card, "FFB0000410") == ["6982"]
    assert say(card, "FF8800006000", "FFD6000010" + "00" * 16) == ["9000", "6982"]  # the maker's block
    assert say(card, "00B0000410", "FF00000000", "FF") == ["6E00", "6D00", "6700"]


def test_value_blocks_through_the_reader() -> None:
    card = powered(ClassicCard.blank(UID))
    say(card, "FF82000006FFFFFFFFFFFF", "FF8800046000")
    assert say(card, "FFD70004050000000064", "FFB1000404", "FFD70004050100000005", "FFB1000400") == [
        "9000", "000000649000", "9000", "000000699000",
    ]  # fmt: skip
    assert say(card, "FFD70004050200000069", "FFB1000404", "FFD70004020305", "FFB1000504") == [
        "9000", "000000009000", "9000", "000000009000",
    ]  # fmt: skip
    assert say(card, "FFB1000604") == ["6981"]  # no value block; a failed reading of it loses nothing
    assert say(card, "FFD70004050400000001", "FFD70004020308", "FFD7000403030500") == [
        "6A80",
        "6A80",
        "6700",
    ]
    assert say(card, "FFD70006050100000001", "FFB1000404") == ["6982", "6982"]


@pytest.mark.parametrize(
    "card",
    [
        ClassicCard.blank(UID),
        ClassicCard.blank(UID + b"123", Kind.CLASSIC_4K),
        UltralightCard.blank(UID + b"123"),
        Tag.blank(UID),
    ],
    ids=["1K", "4K", "Ultralight", "tag"],
)
def test_every_kind_has_an_atr_an_image_and_no_power_at_first(card: StorageCard) -> None:
    with pytest.raises(PowerLost):
        card.process(bytes.fromhex("FFCA000000"))
    assert kind_of(card.power_on()) is card.kind
    again = card_from_image(card.image())
    assert (type(again), again.uid, again.image()) == (type(card), card.uid, card.image())
    card.power_off()
    with pytest.raises(PowerLost):
        card.process(bytes.fromhex("FFCA000000"))
    with pytest.raises(TypeError):
        pickle.dumps(card)
    assert "FFFFFFFF" not in repr(card)
    for damaged in (
        card.image()[:-8],
        b"what" + card.image()[4:],
        card.image()[:4] + b"\x09" + card.image()[5:],
        b"",
    ):
        with pytest.raises(Problem, match="storage card"):
            card_from_image(damaged)


def test_atrs_check_sums() -> None:
    assert kind_of(b"\x3b\x80") is None
    for kind in Kind:
        check = 0
        for byte in atr(kind)[1:]:
            check ^= byte
        assert check == 0


PSEUDO = st.tuples(
    st.sampled_from([0xFF, 0x00]),
    st.sampled_from([0xCA, 0x82, 0x86, 0x88, 0xB0, 0xD6, 0xD7, 0xB1, 0xC2, 0x00]),
    st.sampled_from([0x00, 0x01, 0x20]),
    st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8, 15, 63, 255]),
    st.sampled_from(
        [
            b"",
            b"\x00",
            b"\x10",
            b"\x06" + FF,
            bytes.fromhex("050100046000"),
            b"\x02\x60\x00",
            b"\x05\x02\x00\x00\x00\x01",
        ]
    )
    | st.binary(max_size=20),
).map(lambda t: bytes(t[:4]) + t[4])


@settings(max_examples=120, deadline=None)
@given(commands=st.lists(st.binary(max_size=30) | PSEUDO, max_size=30), which=st.integers(0, 2))
def test_any_bytes_get_a_status_word_and_keys_stay_inside(commands: list[bytes], which: int) -> None:
    card = (with_conditions((0, 0, 0, 0b011)), UltralightCard.blank(UID + b"123"), Tag.blank(UID))[which]
    card.power_on()
    first = card.image()[:32]
    for command in commands:
        answer = card.process(command)
        assert len(answer) >= 2
        assert KEY_A not in answer and KEY_B not in answer
    assert card.image()[:32] == first  # neither the head nor the maker's data is ever written
