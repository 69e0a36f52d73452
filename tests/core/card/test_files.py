# SPDX-License-Identifier: Apache-2.0
"""Files: selecting, reading and writing them, and the access bytes that say who may."""

from __future__ import annotations

from random import Random

import pytest

from citycard.core import tunion
from citycard.core.apdu import Command
from citycard.core.card import PROFILES, T_UNION, Card, Profile, blank_card
from citycard.core.card.access import allowed
from citycard.core.card.files import Kind
from citycard.core.card.image import TABLE_AT
from citycard.core.card.state import Session
from citycard.core.problem import Problem
from citycard.core.tlv import find
from tests.core.card.counter import (
    CONTROL,
    MAINTENANCE,
    PUBLIC,
    SECRETS,
    TRANSPORT,
    Counter,
    industry,
    personalised,
    transit,
)


@pytest.fixture
def counter() -> Counter:
    """A personalised card, its purse selected."""
    return personalised()


def test_select_tells_the_application_as_real_cards_do(counter: Counter) -> None:
    """The FCI of the sample in card facts 4.2 (NFSEE), byte for byte."""
    fci = counter.select()
    assert fci.hex().upper() == "6F3184" + "08A000000632010105" + "A5259F0801029F0C1E" + PUBLIC.hex().upper()
    public = find(fci, 0x6F, 0xA5, 0x9F0C)
    assert public is not None
    assert tunion.PUBLIC.decode(public)["pan"] == "03105170070104791381"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("00A4040005A000000632", "9000"),  # the beginning of a name
        ("00A4040005A00000063200", "9000"),
        ("00A4040008A000000632010106", "6A82"),
        ("00A404020EA0", "6700"),
        ("00A404020E325041592E5359532E4444463031", "6A82"),  # no application after this one fits
        ("00A404000E325041592E5359532E4444463031", "9000"),
        ("00A40000023F00", "9000"),
        ("00A40000023F01", "9000"),
        ("00A40000020017", "9000"),
        ("00A40000020117", "6A82"),
        ("00A4000003001700", "6700"),
        ("00A40400", "6700"),
        ("00A40100023F00", "6A86"),
        ("00A4040108A000000632010105", "6A86"),
        ("80A40000023F00", "6E00"),
        ("00B0950000", "9000"),
        ("00B0951F00", "6B00"),
        ("00B095001F", "6C1E"),
        ("00B0951D0100", "6700"),
        ("00B0951D01", "9000"),
        ("00B0F50000", "6A86"),
        ("00B08D0000", "6A82"),
        ("00B0820000", "6981"),  # the purse
        ("00B09E0000", "6981"),
        ("00B0000000", "6986"),
        ("00B2010400", "6986"),
        ("00B201AC00", "6981"),
        ("00B2016C00", "6A82"),
        ("00B201F400", "6A83"),
        ("00B201D400", "9000"),
        ("00B201D000", "9000"),
        ("00B213D400", "6A83"),
        ("00B213D000", "6A83"),
        ("00B201D500", "6A86"),
        ("00B201D47F", "6C80"),
        ("00B201C000", "6A86"),  # records of the log have no identifier
        ("00D6950001FF", "6982"),
        ("00DC01D480" + "00" * 128, "6982"),
        ("00E200F030" + "00" * 48, "6982"),
        ("00E200C017" + "00" * 23, "6982"),
        ("00E200D080" + "00" * 128, "6982"),
        ("00E200A81E" + "00" * 30, "6981"),
        ("00E201F030" + "00" * 48, "6A86"),
        ("00", "6700"),
        ("", "6700"),
        ("00B095000000", "6700"),
        ("00FF0000", "6D00"),
        ("F0B00000", "6E00"),
        ("00500002", "6E00"),
    ],
)
def test_status_words(counter: Counter, command: str, expected: str) -> None:
    assert counter.sw(command) == expected


def test_reading_by_offset_and_by_current_file(counter: Counter) -> None:
    counter.ok("00A40000020015")
    assert counter.ok("00B0000008") == PUBLIC[:8]
    assert counter.ok("00B0000C00") == PUBLIC[12:]
    assert counter.ok("00B09500") == PUBLIC
    assert counter.ok(Command(0x00, 0xB0, 0x95, 0, le=65_536)) == PUBLIC
    counter.ok("00B201D400")
    assert counter.ok("00B2020400")[:2] == b"\x27\x02"


def test_the_eighteen_industry_records_are_there_from_the_start(counter: Counter) -> None:
    records = counter.records(tunion.SFI_INDUSTRY)
    assert [record[:4].hex() for record in records] == [f"27{n:02x}007c" for n in range(1, 19)]
    assert all(not any(record[4:]) for record in records)
    assert counter.ok("00B20AD000") == records[9]


def test_a_mac_lets_write_and_so_does_the_control_key(counter: Counter) -> None:
    counter.ok(counter.secured("04D69608", b"\x01\x02"))
    assert counter.ok("00B0960802") == b"\x01\x02"
    assert counter.authenticate().ok
    counter.ok("00D697000B" + "0000015658005840000103")
    counter.ok(Command(0x00, 0xDC, 0x03, 0xD4, industry(3, 8)))
    counter.ok(Command(0x00, 0xE2, 0x00, 0xF0, transit(1)))
    counter.ok(Command(0x00, 0xDC, 0x00, 0xF3, transit(2)))
    counter.ok(Command(0x00, 0xDC, 0x02, 0xF4, transit(3)))
    assert counter.records(tunion.SFI_TRANSIT) == [transit(2), transit(3)]
    assert counter.sw(Command(0x00, 0xDC, 0x03, 0xD4, industry(4, 8))) == "6A80"
    assert counter.sw(Command(0x00, 0xE2, 0x00, 0xD0, industry(4, 8))) == "6A84"
    assert counter.sw(Command(0x00, 0xE2, 0x00, 0xD0, bytes(3))) == "6A80"
    assert counter.sw("00E200C017" + "00" * 23) == "6982"  # the log is the purse's alone
    assert counter.sw("00D69700" + "0C" + "00" * 12) == "6A84"
    assert counter.sw("00D6970B" + "01" + "00") == "6B00"
    assert counter.sw("00D69700") == "6700"
    counter.select()
    assert counter.sw("00D697000103") == "6982"  # selecting takes the right away


def test_records_are_written_under_a_mac(counter: Counter) -> None:
    counter.ok(counter.secured("04DC05D4", industry(5, 0x55)))
    counter.ok(counter.secured("04E200F0", transit(0x66)))
    assert counter.ok("00B205D400") == industry(5, 0x55)
    assert counter.ok("00B201F430") == transit(0x66)
    assert counter.sw(counter.secured("04E200C0", bytes(23))) == "6982"


def test_the_transit_file_turns_after_thirty_records(counter: Counter) -> None:
    assert counter.authenticate().ok
    for filling in range(1, 43):
        counter.ok(Command(0x00, 0xE2, 0, 0xF0, transit(filling)))
    assert counter.records(tunion.SFI_TRANSIT) == [transit(filling) for filling in range(42, 12, -1)]


@pytest.mark.parametrize(
    ("rights", "state", "mf_state", "expected"),
    [
        (0xF0, 0, 0, True),
        (0xEF, 15, 15, False),
        (0xF4, 3, 15, False),
        (0xF4, 4, 0, True),
        (0x53, 6, 0, False),
        (0x53, 5, 0, True),
        (0x02, 15, 1, False),
        (0x02, 0, 2, True),
        (0x00, 0, 0, True),
        (0x00, 1, 0, False),
    ],
)
def test_access_bytes(rights: int, state: int, mf_state: int, expected: bool) -> None:
    counter = personalised()
    assert counter.card._chip is not None
    session = Session(counter.card._chip.directories[1], state=state, mf_state=mf_state)
    assert allowed(rights, session) is expected


# Images


def test_a_card_comes_back_from_its_image(counter: Counter) -> None:
    counter.load(77)
    copy = Counter(Card.from_image(counter.card.image(), Random(1).randbytes))
    copy.card.power_on()
    copy.select()
    assert copy.balance() == 77
    assert copy.card.uid == counter.card.uid
    copy.purchase(7)


@pytest.mark.parametrize("damage", [0, 4, 6, 9, 13, TABLE_AT, TABLE_AT + 100])
def test_a_damaged_image_is_said_to_be_one(counter: Counter, damage: int) -> None:
    image = bytearray(counter.card.image())
    image[damage] ^= 1
    with pytest.raises(Problem, match="no usable card image") as caught:
        Card.from_image(bytes(image), Random(1).randbytes).power_on()
    assert caught.value.code == "CARD_IMAGE"
    assert caught.value.text("zh").startswith("卡片映像")


@pytest.mark.parametrize("image", [b"", b"CCRD", bytes(5000)])
def test_what_is_no_image_is_said_to_be_none(image: bytes) -> None:
    with pytest.raises(Problem, match="no usable card image"):
        Card.from_image(image, Random(1).randbytes).power_on()


def test_the_factory_loads_the_transport_key_and_nothing_else() -> None:
    image = blank_card(T_UNION, TRANSPORT, Random(1).randbytes).image()
    assert image.count(TRANSPORT) == 2  # MF and application
    with pytest.raises(ValueError, match="16 bytes"):
        blank_card(T_UNION, TRANSPORT[:8], Random(1).randbytes)
    with pytest.raises(ValueError, match="algorithm"):
        blank_card(T_UNION, TRANSPORT, Random(1).randbytes, algorithm=9)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_a_profile_holds_together(profile: Profile) -> None:
    for directory in profile.directories:
        fids = [file.fid for file in directory.files]
        assert len({fid & 0x1F for fid in fids}) == len(fids)
        for file in directory.files:
            assert 0 < file.length <= 255
            assert len(file.preset) in (0, file.count)
            assert file.kind != Kind.TRANSPARENT or file.count == 1
        cyclic = {file.fid & 0x1F for file in directory.files if file.kind == Kind.CYCLIC}
        for purse in directory.purses:
            assert purse.log_sfi in cyclic
            assert purse.load_log_sfi in {*cyclic, 0xFF}
        if directory.files or directory.purses:
            assert directory.key_room, "an application without a key file is free for everybody"


def test_nothing_printed_shows_a_key(counter: Counter) -> None:
    counter.ok(counter.init_load(1))
    chip = counter.card._chip
    assert chip is not None
    shown = repr(counter.card) + repr(chip) + repr(chip.session) + repr(chip.session.pending)
    for key in (*SECRETS, MAINTENANCE, CONTROL):
        assert key.hex() not in shown
        assert repr(key)[2:-1] not in shown
    assert chip.session.pending is not None
    assert repr(chip.session.pending.session_key) not in shown
