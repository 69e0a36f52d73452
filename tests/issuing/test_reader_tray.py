# SPDX-License-Identifier: Apache-2.0
"""Cards laid on a reader by hand: each is made once, whether or not it tells a serial."""

from __future__ import annotations

from pathlib import Path

import pytest

from citycard.cli import perso_reader
from citycard.cli.perso_reader import GET_UID, ReaderTray
from citycard.core.card import T_UNION
from citycard.core.card.factory import blank_card
from citycard.core.card.os import Card
from citycard.core.dialogue import CardGone
from citycard.core.problem import Declared
from citycard.office.cards.models import Card as Known
from citycard.office.issuing.line import Line
from tests.issuing.conftest import new_vault
from tests.issuing.test_line import BY, opened, ordered
from tests.keys.cast import known_key, seeded

ABSENT = Declared("CARD_ABSENT", "no card", "无卡")  # `terminal.pcsc` declares it


class Hand:
    """Somebody who takes a card away when told to, and lays the next one on a little later."""

    def __init__(self, tells_serial: bool) -> None:
        self.tells_serial = tells_serial
        self.pile = [blank_card(T_UNION, known_key("transport"), seeded(n)) for n in range(5)]
        self.on: Card | None = None
        self.looks = 0
        self.made: list[Card] = []


class Link:
    """What `terminal.pcsc.PcscLink` is to the tray."""

    hand: Hand

    def __init__(self, reader: str) -> None:
        self.reader = reader

    def wait(self, seconds: float) -> None:
        hand = self.hand
        hand.looks += 1
        if hand.on is None and hand.looks % 3 == 0 and hand.pile:
            hand.on = hand.pile.pop()
        if hand.on is None:
            raise ABSENT()

    def connect(self) -> bytes:
        if self.hand.on is None:
            raise CardGone("none")
        return self.hand.on.power_on()

    def __call__(self, command: bytes) -> bytes:
        assert self.hand.on is not None
        if command == GET_UID:
            return self.hand.on.uid + b"\x90\x00" if self.hand.tells_serial else b"\x6a\x81"
        return self.hand.on.process(command)

    def close(self) -> None:
        self.hand.on = None


@pytest.mark.parametrize("tells_serial", [True, False])
def test_an_order_card_by_card(
    issuer: str, home: Path, monkeypatch: pytest.MonkeyPatch, tells_serial: bool
) -> None:
    hand = Link.hand = Hand(tells_serial)
    monkeypatch.setattr(perso_reader, "PcscLink", Link)
    monkeypatch.setattr(perso_reader.time, "sleep", lambda _: hand_takes(hand))
    vault = new_vault()
    data, folder = opened(vault, ordered(count=3))
    with ReaderTray("ACS", 3) as tray:
        report = Line(vault, tray, BY).run(data, folder)
    assert (report.good, report.rejected, report.chips_refused) == (3, 0, 0)
    uids = set(Known.objects.values_list("uid", flat=True))
    assert len(uids) == 3
    assert tells_serial == all(len(uid) == 14 for uid in uids)


def hand_takes(hand: Hand) -> None:
    """While the tray waits, the finished card is taken away."""
    hand.on = None


def test_nobody_lays_a_card_on(monkeypatch: pytest.MonkeyPatch) -> None:
    hand = Link.hand = Hand(True)
    hand.pile = []
    monkeypatch.setattr(perso_reader, "PcscLink", Link)
    assert ReaderTray("ACS", 0.05).take() is None
