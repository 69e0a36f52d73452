# SPDX-License-Identifier: Apache-2.0
"""What lies between a dialogue and a card, without the daemon: T=0, PC/SC's words, the wire of vpcd."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citycard.core.apdu import Command, Response
from citycard.core.dialogue import CardGone
from citycard.core.problem import Problem
from citycard.terminal import EmulatedLink, pcsc, vpcd
from citycard.terminal.transport import as_tpdu, exchange
from tests.support.pcscd import need_pyscard
from tests.terminal import world

# T=0

commands = st.builds(
    Command, st.just(0), st.just(0xB0), st.integers(0, 255), st.integers(0, 255),
    st.binary(max_size=255), st.none() | st.integers(1, 256),
)  # fmt: skip


class OldCard:
    """A contact card as T=0 knows it: five header bytes and data, 61xx to fetch, 6Cxx for the right Le."""

    def __init__(self, answer: bytes) -> None:
        self.waiting = self.answer = answer
        self.sent: list[bytes] = []

    def __call__(self, tpdu: bytes) -> bytes:
        self.sent.append(tpdu)
        assert len(tpdu) >= 5
        if tpdu[:4] == bytes.fromhex("00C00000"):
            return self.give(tpdu[4] or 256)
        if len(tpdu) > 5:
            assert len(tpdu) == 5 + tpdu[4]  # data and no Le
            return self.later()
        if not self.answer:
            return b"\x90\x00"
        if (tpdu[4] or 256) != len(self.answer) and len(self.answer) <= 256:
            return bytes((0x6C, len(self.answer) & 0xFF))
        return self.give(tpdu[4] or 256)

    def later(self) -> bytes:
        return bytes((0x61, min(len(self.waiting), 256) & 0xFF)) if self.waiting else b"\x90\x00"

    def give(self, size: int) -> bytes:
        piece, self.waiting = self.waiting[:size], self.waiting[size:]
        return piece + self.later()


@given(commands, st.binary(max_size=900))
def test_an_old_card_is_asked_as_often_as_it_takes(command: Command, answer: bytes) -> None:
    card = OldCard(answer)
    got = Response.decode(exchange(card, command.encode(), t0=True))
    assert (got.sw, got.data) == (0x9000, answer)
    assert card.sent[0][:4] == command.header


def test_a_wrong_le_is_told_under_t1_and_what_waits_is_fetched() -> None:
    assert exchange(lambda _: b"\x6c\x08", bytes.fromhex("0084000004"), t0=False) == b"\x6c\x08"
    answers = [b"\x61\x02", b"\x01\x02\x90\x00"]
    assert exchange(lambda _: answers.pop(0), bytes.fromhex("00B2010400"), t0=False) == b"\x01\x02\x90\x00"


def test_a_card_that_never_ends_is_given_up() -> None:
    rounds: list[bytes] = []

    def card(tpdu: bytes) -> bytes:
        rounds.append(tpdu)
        return b"\x00\x61\x01"

    assert exchange(card, bytes.fromhex("00B0000000"), t0=False)[-2] == 0x61
    assert len(rounds) < 300
    assert as_tpdu(b"\x00\xb0") == b"\x00\xb0"


# What PC/SC calls things

NAMES = ["ACS ACR122U 00 00", "Virtual PCD 00 00", "Virtual PCD 00 01"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("acr122", NAMES[0]),
        ("Virtual PCD 00 01", NAMES[2]),
        ("virtual", "READER_AMBIGUOUS"),
        ("gate", "READER_UNKNOWN"),
        ("", "READER_UNNAMED"),
    ],
)
def test_a_reader_is_named_by_any_part_of_its_name(wanted: str, found: str) -> None:
    try:
        assert pcsc.find_reader(wanted, NAMES) == found
    except Problem as problem:
        assert problem.code == found
    with pytest.raises(Problem, match="no card reader"):
        pcsc.find_reader(wanted, [])


class Words:
    """pyscard's module with a pcscd behind it that says one thing."""

    def __init__(self, **says: int) -> None:
        need_pyscard()
        from smartcard import scard

        self.real, self.says = scard, says

    def __getattr__(self, name: str) -> Any:
        code = self.says.get(name, 0)
        answers: dict[str, Any] = {
            "SCardEstablishContext": (code, 1),
            "SCardListReaders": (code, ["R"]),
            "SCardGetStatusChange": (code, [("R", self.real.SCARD_STATE_PRESENT, [])]),
            "SCardConnect": (code, 7, self.real.SCARD_PROTOCOL_T1),
            "SCardReconnect": (code, self.real.SCARD_PROTOCOL_T1),
            "SCardStatus": (code, "R", 0, 0, [0x3B, 0x00]),
            "SCardTransmit": (code, []),
        }
        if name in answers:
            return lambda *_: answers[name]
        return (
            (lambda *_: 0) if name in ("SCardDisconnect", "SCardReleaseContext") else getattr(self.real, name)
        )


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ({"SCardEstablishContext": 0x8010001D}, "PCSC_SERVICE"),
        ({"SCardListReaders": 0x8010002E}, "READER_NONE"),
        ({"SCardConnect": 0x8010001E}, "PCSC_SERVICE"),
        ({"SCardConnect": 0x8010000B}, "READER_BUSY"),
        ({"SCardConnect": 0x80100066}, "CARD_MUTE"),
        ({"SCardConnect": 0x80100069}, "CARD_ABSENT"),
        ({"SCardReconnect": 0x80100069}, "CARD_ABSENT"),
    ],
    ids=lambda value: value if isinstance(value, str) else "/".join(value),
)
def test_what_pcsc_says_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, says: dict[str, int], told: str
) -> None:
    monkeypatch.setattr(pcsc, "_pyscard", lambda: Words(**says))
    with pytest.raises(Problem) as caught, pcsc.PcscLink() as link:
        link.wait(0)
    assert caught.value.code == told
    assert caught.value.text("zh") != caught.value.text("en")


def test_a_reader_that_goes_in_mid_exchange_is_a_card_that_left(monkeypatch: pytest.MonkeyPatch) -> None:
    for code in (0x80100069, 0x80100017, 0x8010001D, 0):
        monkeypatch.setattr(pcsc, "_pyscard", lambda code=code: Words(SCardTransmit=code))
        with pcsc.PcscLink() as link:
            assert link.connect() == b"\x3b\x00"
            for _ in range(2):
                with pytest.raises(CardGone):
                    link(b"\x00\x84\x00\x00\x08")


def test_without_pyscard_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "smartcard", SimpleNamespace())
    with pytest.raises(Problem, match=r"citycard\[pcsc\]"):
        pcsc.readers()


# The wire


@pytest.fixture
def reader() -> Iterator[tuple[socket.socket, list[bool]]]:
    """A vpcd by hand, with a card whose second exchange is its last."""
    server = socket.create_server(("127.0.0.1", 0))
    wire, ended = vpcd.dial(port=server.getsockname()[1]), []
    ours, _ = server.accept()
    link = EmulatedLink(world.new_card(), tear_at=1)
    thread = threading.Thread(target=lambda: ended.append(vpcd.serve(wire, link)))
    thread.start()
    yield ours, ended
    ours.close()
    thread.join(5)
    server.close()


def test_only_the_atr_request_and_commands_are_answered(reader: tuple[socket.socket, list[bool]]) -> None:
    ours, ended = reader
    ours.settimeout(5)
    atr = b"\x00\x05" + bytes.fromhex("3B80800101")
    for piece in (b"\x00\x01\x04", b"\x00\x01\x01\x00\x01\x02\x00\x01\x00", b"\x00", b"\x01", b"\x04"):
        ours.sendall(piece)  # cut anywhere, several at once
    assert ours.recv(7, socket.MSG_WAITALL) + ours.recv(7, socket.MSG_WAITALL) == atr * 2
    ours.sendall(b"\x00\x05" + bytes.fromhex("0084000008"))
    assert ours.recv(12, socket.MSG_WAITALL)[:2] == b"\x00\x0a"
    ours.sendall(b"\x00\x05" + bytes.fromhex("0084000008"))
    assert ours.recv(1) == b""  # torn: it hangs up
    assert ended == [False] or not ended


def test_a_virtual_reader_that_is_not_there_is_told(reader: tuple[socket.socket, list[bool]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Problem, match="no virtual reader"):
        vpcd.dial(port=port)
