# SPDX-License-Identifier: Apache-2.0
"""Cards made from nothing: the vendor's script, profiles as scripts, CREATE FILE, ERASE DF, WRITE KEY."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from citycard.core.apdu import Command
from citycard.core.card import FMCOS, PROFILES, Card, Profile, made_card, raw_card, script
from citycard.core.card.image import TABLE_AT
from citycard.core.crypto import pad80_if_ragged
from tests.core.card.counter import Counter
from tests.core.card.issuer import key_of

VENDOR = Path(__file__).with_name("vendor_script.txt").read_text(encoding="utf-8")
APPLICATION = "00A4040009A00000000386980701"
PIN = "0020000003123456"


def dialogue(text: str) -> list[tuple[bytes, bytes]]:
    """Commands and answers of a text with lines `> command` and `< answer`."""
    lines = [line for line in text.splitlines() if line[:1] in "<>"]
    return [
        (bytes.fromhex(sent[2:]), bytes.fromhex(got[2:]))
        for sent, got in zip(lines[::2], lines[1::2], strict=True)
    ]


def challenges(text: str) -> Iterator[bytes]:
    """What the card of a dialogue drew: its UID, then the challenges it answered."""
    yield bytes(7)
    for sent, got in dialogue(text):
        if sent[:2] == b"\x00\x84":
            yield got[:-2]


def vendor_card() -> Counter:
    """A blank FMCOS card after the vendor's script, in the field; afterwards it draws at random."""
    drawn, later = challenges(VENDOR), Random(3)
    card = raw_card(FMCOS, lambda size: next(drawn, None) or later.randbytes(size))
    card.power_on()
    for sent, got in dialogue(VENDOR):
        answer = card.process(sent)
        assert answer == got, f"{sent.hex().upper()}: {answer.hex().upper()}"
    return Counter(card)


def test_the_vendors_script_runs_as_printed() -> None:
    counter = vendor_card()
    counter.card.power_on()
    assert counter.sw("80E0001907280010F0F0FFFF") == "9000"  # F0 in the MF: the vendor leaves creation open
    counter.ok(APPLICATION)
    assert counter.sw("805000010B01000003E831000105030610") == "6982"  # the deposit wants the PIN
    counter.ok(PIN)
    assert counter.ok("805000010B01000003E831000105030610")[6:8].hex() == "0001"
    assert counter.sw("00D6950001FF") == "6987"
    assert counter.sw("00DC01C417" + "00" * 23) == "6A83"
    assert counter.sw("00E200C017" + "00" * 23) == "6982"
    copy = Counter(Card.from_image(counter.card.image(), Random(1).randbytes))
    copy.card.power_on()
    assert copy.ok(APPLICATION) == counter.ok(APPLICATION)


# One declaration, two cards


def contents(profile: Profile) -> dict[tuple[int, int], bytes]:
    """Something in every transparent file."""
    return {
        (directory.fid, file.fid): Random(file.fid).randbytes(file.length - 1)
        for directory in profile.directories
        for file in directory.files
        if file.kind == 0x28
    }


def seen(card: Card) -> list[tuple[str, str]]:
    """All that a reader without keys sees of a card: every name, file, record and balance, and INIT's answers."""
    card.power_on()
    asked = [
        Command(0x00, 0xA4, 0, 0, fid.to_bytes(2, "big")) for fid in (0x3F00, 0x1001, *range(0x3F01, 0x3F05))
    ]
    found: list[tuple[str, str]] = []
    for select in asked:
        found.append((select.encode().hex(), card.process(select.encode()).hex()))
        for sfi in range(1, 32):
            commands = [Command(0x00, 0xB0, 0x80 | sfi, 0, le=256)]
            commands += [Command(0x00, 0xB2, number, sfi << 3 | 4, le=256) for number in range(1, 20)]
            found += [(c.encode().hex(), card.process(c.encode()).hex()) for c in commands]
        for p2 in (1, 2):
            found += [
                (f"805C{p1:02X}{p2:02X}", card.process(bytes((0x80, 0x5C, p1, p2, 4))).hex())
                for p1 in range(12)
            ]
            for p1 in (0, 1, 2, 3, 5):
                init = Command(0x80, 0x50, p1, p2, bytes.fromhex("0100000000310001050306"))
                found.append((init.encode().hex(), card.process(init.encode()).hex()))
    return found


@pytest.mark.parametrize("profile", [p for p in PROFILES.values() if p.directories], ids=lambda p: p.name)
def test_the_factory_and_the_script_make_the_same_card(profile: Profile) -> None:
    made = made_card(profile, key_of, contents(profile), Random(1).randbytes)
    card = raw_card(profile, Random(1).randbytes)
    card.power_on()
    for step in script(profile, key_of, contents(profile)):
        answer = card.process(step.command)
        assert answer[-2:] == b"\x90\x00" or answer[0] == 0x61, f"{step.name}: {answer.hex().upper()}"
    assert card.image()[TABLE_AT:] == made.image()[TABLE_AT:]
    assert seen(Card.from_image(card.image(), Random(5).randbytes)) == seen(
        Card.from_image(made.image(), Random(5).randbytes)
    )
    assert len({answer for _, answer in seen(card)}) > 12
    card.power_on()
    assert f"{card.process(bytes.fromhex('80E0001A07280010F0F0FFFF')).hex()}" == "6982"  # no more creating


# CREATE FILE, ERASE DF


@pytest.fixture
def counter() -> Counter:
    """A blank FMCOS card with an MF, in the field."""
    card = raw_card(FMCOS, Random(9).randbytes)
    card.power_on()
    counter = Counter(card)
    counter.ok("80E03F001038FFFFF0F001FFFF" + "FF" * 8)
    return counter


def test_a_card_without_mf_makes_one_for_who_has_the_transport_code() -> None:
    card = raw_card(FMCOS, Random(9).randbytes, b"\x01\x02\x03\x04\x05\x06\x07\x08")
    card.power_on()
    counter = Counter(card)
    assert counter.sw("00A40000023F00") == "6A82"
    assert counter.sw("00B0950000") == "6985"
    assert counter.sw("80E0001507280010F0F0FFFF") == "6985"
    assert len(counter.ok("0084000004")) == 4
    assert counter.sw("80E03F001038FFFFF0F001FFFF" + "FF" * 8) == "6982"
    counter.ok("80E03F001038FFFFF0F001FFFF" + "0102030405060708")
    assert counter.sw("80E03F001038FFFFF0F001FFFF" + "0102030405060708") == "6A86"
    assert counter.ok("00A40000023F00").hex().startswith("6f15840e315041592e")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("80E0001507280010F0F0FFFF", "9000"),
        ("80E0001507280010F0F0FF", "6700"),
        ("80E00015052A0110F0F0", "6700"),
        ("80E0001508280010F0F0FFFFFF", "6700"),
        ("80E0001507290010F0F0FFFF", "6A80"),  # no such type
        ("80E00015072A0110F0F0FFFF", "6A80"),  # one record is not enough
        ("80E00015072A0200F0F0FFFF", "6A80"),
        ("80E0001507280000F0F0FFFF", "6A80"),
        ("80E00015077F0050F0F0FFFF", "6A80"),
        ("80E00002072F0207F000FF18", "6A80"),
        ("80E00005072F0208F000FF18", "6A80"),
        ("80E0001507284000F0F0FFFF", "6A84"),
        ("80E00201 07 38383838383838", "6A80"),  # the fuzzer's find
        ("80E00201 0C 38 0100 F0F0 00 FFFF AABBCCDD", "6A80"),  # a name has five bytes
        ("80E00201 0D 38 0100 F0F0 00 FFFF AABBCCDDEE", "9000"),
        ("80E00201 16 38 0100 F0F0 00 FFFF 315041592E5359532E4444463031", "6A86"),
        ("80E00201 0D 38 0100 F0F0 00 07FF AABBCCDDEE", "6A80"),  # no such algorithm
        ("800E000000", "9000"),
        ("800E000001FF", "6700"),
        ("80D401001539F0F0AA33" + "FF" * 16, "6985"),  # no key file
    ],
)
def test_what_can_be_created(counter: Counter, command: str, expected: str) -> None:
    assert counter.sw(command.replace(" ", "")) == expected


def test_no_file_is_made_twice_and_the_key_file_comes_first(counter: Counter) -> None:
    counter.ok("80E0001507280010F0F0FFFF")
    assert counter.sw("80E00015072A0210F0F0FFFF") == "6A86"
    assert counter.sw("80E00035072A0210F0F0FFFF") == "6A86"  # the same short identifier
    assert counter.sw("80E00000073F005001F0FFFF") == "6985"
    counter.ok("80E002010D380100F0F000FFFFAABBCCDDEE")
    counter.ok("80E0001507280010F0F0FFFF")  # the same identifier in another directory
    counter.ok("80E003010D380100F0F000FFFFAABBCCDDEF")
    assert counter.sw("80E004010D380100F0F000FFFFAABBCCDDE0") == "6985"  # three levels
    counter.ok("00A40000020201")  # its parent
    assert counter.sw("00A40000020301") == "9000"
    counter.ok("00A40000023F00")
    assert counter.sw("00A40000020301") == "6A82"
    counter.ok("00A4040005AABBCCDDEF")


def test_erasing_gives_the_room_back_and_leaves_no_key_behind(counter: Counter) -> None:
    free = counter.card.image()[TABLE_AT:]
    for _ in range(40):
        counter.ok("80E002010D381000F0F000FFFFAABBCCDDEE")
        counter.ok("80E00000073F005001F0FFFF")
        counter.ok("80D401001539F0F0AA33" + "5A" * 16)
        counter.ok("80E0001507281800F0F0FFFF")
        assert counter.sw("80E0001607281800F0F0FFFF") == "6A84"
        counter.ok("00A40000020201")
        assert counter.sw("00A40000020015") == "9000"
        counter.ok("800E000000")
        assert counter.sw("00A40000020015") == "6A82"
        counter.ok("80E0001607280010F0F0FFFF")  # free again, the key file is gone
        counter.ok("00A40000023F00")
        counter.ok("800E000000")
        assert counter.sw("00A40000020201") == "6A82"
    assert b"\x5a" * 16 not in counter.card.image()[TABLE_AT:]
    assert len(counter.card.image()[TABLE_AT:]) == len(free)


def test_a_table_without_free_slots_says_so(counter: Counter) -> None:
    words = [
        counter.sw(f"80E0{fid:02X}010D380001F0F000FFFFAABBCC00{fid:02X}") + counter.sw("00A40000023F00")
        for fid in range(1, 60)
    ]
    assert words == ["90009000"] * 47 + ["6A849000"] * 12


def test_rights_hold_from_the_next_select_on(counter: Counter) -> None:
    counter.ok("80E002010D380100 44 44 00FFFFAABBCCDDEE".replace(" ", ""))
    counter.ok("80E00000073F005001EFFFFF")
    counter.ok("80D401001539F0440433" + "39" * 16)
    counter.ok("80E000150728001044EFFFFF")
    counter.ok("00D69500021234")
    counter.ok("00A40000020201")
    for refused in (
        "80E0001607280010F0F0FFFF",
        "800E000000",
        "00B0950000",
        "00D69500021234",
        "80D40101153EF0020001" + "11" * 16,
        "80D439001539F0440433" + "38" * 16,
    ):
        assert counter.sw(refused) == "6982", refused
    assert counter.authenticate(b"\x39" * 16).ok
    assert counter.ok("00B0950002").hex() == "1234"
    counter.ok("80E0001607280010F0F0FFFF")
    assert counter.sw("00D69500021234") == "6982"
    counter.ok("80D439001539F0440433" + "38" * 16)
    assert counter.sw("80D40101153EF0020001" + "11" * 16) == "6982"
    counter.ok("800E000000")
    assert counter.sw("00B0950000") == "6A82"


# WRITE KEY


@pytest.mark.parametrize(
    ("bits", "plain", "mac", "both"),
    [
        (0x00, "9000", "9000", "9000"),
        (0x80, "6987", "9000", "9000"),
        (0x40, "6987", "9000", "9000"),
        (0xC0, "6987", "6987", "9000"),
    ],
)
def test_how_a_key_may_be_replaced(counter: Counter, bits: int, plain: str, mac: str, both: str) -> None:
    """The two top bits of its type say so (facts 3.2): both for enciphered and MACed, as in vector H."""
    control = b"\x39" * 16
    counter.ok("80E002010D380100F0F000FFFFAABBCCDDEE")
    counter.ok("80E00000073F005001F0FFFF")
    counter.ok("80D4010015F9F0F00433" + control.hex())
    type_ = 0x3E | bits
    record = bytes((type_, 0xF0, 0xF0, 0x00, 0x01)) + b"\x11" * 16
    counter.ok(Command(0x80, 0xD4, 0x01, 0x01, record))
    counter.ok("00A40000020201")
    assert counter.sw(Command(0x80, 0xD4, type_, 0x01, record)) == plain
    assert counter.sw(counter.secured(f"84D4{type_:02X}01", record, control)) == mac
    cipher = counter.suite.encrypt(control, pad80_if_ragged(bytes((len(record),)) + record, 8))
    assert counter.sw(counter.secured(f"84D4{type_:02X}01", cipher, control)) == both
    assert counter.sw(Command(0x80, 0xD4, type_, 0x02, record)) == "6A88"
    shorter = record[:-8]
    assert counter.sw(counter.secured(f"84D4{type_:02X}01", shorter, control)) in ("6700", "6987")


# Lengths


def test_lengths_in_all_cases_short_and_extended() -> None:
    """Cases 1 to 4 of ISO/IEC 7816-3 on the vendor's card, whose photo has 1500 bytes."""
    counter = vendor_card()
    counter.ok(APPLICATION)
    assert len(counter.ok("00840000")) == 4
    assert len(counter.ok("00B0970000")) == 256
    assert len(counter.ok("00B09700")) == 256
    assert len(counter.ok("00B0970010")) == 16
    assert len(counter.ok("00B09700000000")) == 1500
    assert len(counter.ok("00B097000005DC")) == 1500
    assert len(counter.ok("00B09700000FFF")) == 1500
    assert len(counter.ok("00B005D000")) == 12  # of the current file, by 15-bit offset
    assert counter.sw("00B005D0FF") == "6C0C"
    assert counter.sw("00B005DC00") == "6B00"
    assert counter.sw("00D69700" + "000003" + "AABBCC") == "9000"
    assert counter.ok("00B0970003").hex() == "aabbcc"
    assert counter.sw("00D69700" + "000100" + "AA" * 256) == "6700"
    assert counter.ok("00A40400000009A000000003869807010000") == counter.ok(APPLICATION)
    assert counter.ok("00A4040009A0000000038698070100") == counter.ok(APPLICATION)
    for broken in ("00D6970005AABBCC", "00D69700000005AABBCC", "00D697000003AABBCCDD", "00D6970000"):
        assert counter.sw(broken) == "6700"
