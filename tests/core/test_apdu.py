# SPDX-License-Identifier: Apache-2.0
"""APDUs of all four cases, short and extended, there and back; and BER-TLV beside them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citycard.core.apdu import SW, ApduError, Command, Response
from citycard.core.tlv import TlvError, find, parse, tlv

BYTE = st.integers(0, 255)


@pytest.mark.parametrize(
    ("raw", "command"),
    [
        ("80500002", Command(0x80, 0x50, 0, 2)),
        ("0084000008", Command(0, 0x84, le=8)),
        ("0084000000", Command(0, 0x84, le=256)),
        ("00A40000023F00", Command(0, 0xA4, data=b"\x3f\x00")),
        ("00A40000023F0000", Command(0, 0xA4, data=b"\x3f\x00", le=256)),
        ("00B0000000 0101", Command(0, 0xB0, le=257)),
        ("00B0000000 0000", Command(0, 0xB0, le=65_536)),
        ("00D6000000 0100" + "AB" * 256, Command(0, 0xD6, data=b"\xab" * 256)),
        ("00D6000000 0100" + "AB" * 256 + "0000", Command(0, 0xD6, data=b"\xab" * 256, le=65_536)),
        ("00D6000000 0002ABAB 0200", Command(0, 0xD6, data=b"\xab" * 2, le=512)),
    ],
)
def test_the_four_cases(raw: str, command: Command) -> None:
    """ISO/IEC 7816-3, 12.1.3."""
    assert command.encode() == bytes.fromhex(raw)
    assert Command.decode(bytes.fromhex(raw)) == command


@given(
    st.builds(
        Command,
        BYTE,
        BYTE,
        BYTE,
        BYTE,
        st.binary(max_size=300),
        st.none() | st.integers(1, 256) | st.integers(1, 65_536),
    )
)
def test_every_command_goes_there_and_back(command: Command) -> None:
    assert Command.decode(command.encode()) == command
    assert command.encode()[:4] == command.header


@given(st.binary(max_size=300) | st.binary(max_size=6).map(lambda tail: bytes(5) + tail))
def test_any_bytes_are_a_command_or_none(raw: bytes) -> None:
    try:
        command = Command.decode(raw)
    except ApduError:
        return
    assert Command.decode(command.encode()) == command


@pytest.mark.parametrize("raw", ["", "00A400", "00A4000002AA", "00A4000002AABBCCDD", "00D600000000020A"])
def test_lengths_that_do_not_add_up_are_refused(raw: str) -> None:
    with pytest.raises(ApduError):
        Command.decode(bytes.fromhex(raw))


@given(st.builds(Response, st.binary(max_size=300), st.integers(0, 0xFFFF)))
def test_responses_go_there_and_back(response: Response) -> None:
    assert Response.decode(response.encode()) == response
    assert response.ok is (response.sw == SW.OK)


def test_a_response_has_a_status_word() -> None:
    with pytest.raises(ApduError, match="at least 2"):
        Response.decode(b"\x90")


# TLV

TAGS = st.one_of(
    st.integers(1, 0xFE).filter(lambda tag: tag & 0x1F != 0x1F),
    st.builds(lambda first, second: first << 8 | second, st.sampled_from([0x5F, 0x9F, 0xBF]), BYTE),
)
VALUES = st.binary(max_size=40) | st.binary(min_size=120, max_size=300)
OBJECTS = st.lists(st.tuples(TAGS, VALUES), max_size=5)


@given(OBJECTS)
def test_objects_go_there_and_back(objects: list[tuple[int, bytes]]) -> None:
    raw = b"".join(tlv(tag, value) for tag, value in objects)
    assert list(parse(raw)) == objects
    nested = tlv(0x6F, tlv(0xA5, raw))
    for tag, _ in objects:
        assert find(nested, 0x6F, 0xA5, tag) == next(value for t, value in objects if t == tag)
    assert find(nested, 0x70) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_tlv_or_none(raw: bytes) -> None:
    try:
        list(parse(raw))
    except TlvError:
        return


@pytest.mark.parametrize("raw", ["9F", "84", "8403AABB", "8483000001AA", "848200", "8480"])
def test_a_cut_object_is_refused(raw: str) -> None:
    with pytest.raises(TlvError):
        list(parse(bytes.fromhex(raw)))


def test_lengths_take_the_shortest_form() -> None:
    assert tlv(0x84, bytes(127))[:2].hex() == "847f"
    assert tlv(0x84, bytes(128))[:3].hex() == "848180"
    assert tlv(0x9F0C, bytes(300))[:5].hex() == "9f0c82012c"
    with pytest.raises(TlvError, match="too long"):
        tlv(0x84, bytes(65_536))
