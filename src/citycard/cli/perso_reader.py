# SPDX-License-Identifier: Apache-2.0
"""Blank cards one after another on a PC/SC reader, as a tray of the personalisation line."""

from __future__ import annotations

import time
from secrets import token_hex
from typing import TYPE_CHECKING, Final

import typer

from citycard.core.dialogue.exchange import CardGone
from citycard.core.problem import Problem
from citycard.terminal.pcsc import PcscLink

if TYPE_CHECKING:
    from citycard.office.issuing.line import PersoChip

GET_UID: Final = bytes.fromhex("FFCA000000")  # PC/SC part 3: the card's serial, answered by the reader
LOOK_S: Final = 0.3
NAMELESS: Final = "x"  # begins the serial of a card that tells none
NO_CARD: Final = "CARD_ABSENT"


class ReaderChip:
    """The card lying on the reader."""

    def __init__(self, link: PcscLink, uid: str) -> None:
        self._link, self.uid = link, uid

    def connect(self) -> bytes:
        """Power it anew."""
        return bytes(self._link.connect())

    def __call__(self, command: bytes) -> bytes:
        """One exchange."""
        return bytes(self._link(command))


class ReaderTray:
    """Asks for the next card and waits for it; ends when none comes in `wait_s` seconds."""

    def __init__(self, reader: str, wait_s: float) -> None:
        self._link = PcscLink(reader)
        self._wait_s = wait_s
        self._last = ""

    def __enter__(self) -> ReaderTray:
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    def left(self) -> None:
        """See `line.Tray`: what lies on the reader is found when it is taken."""

    def take(self) -> ReaderChip | None:
        """See `line.Tray`: the next card, once the one that was done with has left."""
        typer.echo(f"{self._link.reader}: put the next blank card on / 请放上下一张白卡", err=True)
        until = time.monotonic() + self._wait_s
        while time.monotonic() < until:
            uid = self._uid(until - time.monotonic())
            if not uid:
                self._last = ""  # it has left
            elif not self._last or (uid != self._last and not uid.startswith(NAMELESS)):
                return ReaderChip(self._link, uid)
            time.sleep(LOOK_S)
        return None

    def put(self, chip: PersoChip, good: bool) -> None:
        """See `line.Tray`."""
        self._last = chip.uid
        typer.echo(
            f"{chip.uid}: {'good / 合格' if good else 'REJECT / 废卡'}; take it away / 请取走", err=True
        )

    def _uid(self, wait_s: float) -> str:
        """The serial of the card there; empty when there is none.

        A contact card tells none and is given one for this presentation: after a stop it is not known
        again, so its number is spoiled, which is safe.
        """
        try:
            self._link.wait(min(wait_s, 1.0))
            self._link.connect()
            answer = bytes(self._link(GET_UID))
        except CardGone:
            return ""
        except Problem as problem:
            if problem.code == NO_CARD:
                return ""
            raise
        if answer[-2:] == b"\x90\x00" and len(answer) >= 6:
            return answer[:-2].hex()
        return NAMELESS + token_hex(6)
