# SPDX-License-Identifier: Apache-2.0
"""Links to a card: bytes there, bytes back, until the card leaves the field.

A link is a function from command to response, with `connect()` before the first command of a presentation.
It raises `CardGone` when the card has left, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from citycard.core.card import PowerLost
from citycard.core.dialogue.exchange import CardGone


class Link(Protocol):
    """A card in the field."""

    def connect(self) -> bytes:
        """Power the card; its answer to reset. A new presentation starts here."""
        ...

    def __call__(self, command: bytes) -> bytes:
        """One exchange; `CardGone` when the card has left."""
        ...


class Chip(Protocol):
    """What an emulated card can do."""

    def power_on(self) -> bytes: ...
    def process(self, command: bytes) -> bytes: ...


class EmulatedLink:
    """A link to an emulated card in this process, which can be torn away at a chosen exchange.

    Exchanges are counted from 0 in each presentation. At exchange `tear_at` the card leaves: with `heard`
    it still carries the command out and only its answer is lost, without it the command never arrives.
    A card that loses power inside a command (`PowerLost`, an armed fuse) is gone as well. The tear
    happens once; at the next `connect` the card is powered again and stays.
    """

    def __init__(
        self,
        card: Chip,
        tear_at: int | None = None,
        heard: bool = True,
    ) -> None:
        self.card = card
        self.tear_at = tear_at
        self.heard = heard
        self._step: int | None = None

    @property
    def exchanges(self) -> int:
        """Exchanges made in this presentation."""
        return self._step or 0

    def connect(self) -> bytes:
        self._step = 0
        try:
            return self.card.power_on()
        except PowerLost:
            self._step = None
            raise CardGone("the card lost power while it started") from None

    def __call__(self, command: bytes) -> bytes:
        if self._step is None:
            raise CardGone("the card has left the field")
        step, torn = self._step, self._step == self.tear_at
        self._step += 1
        if torn:
            self.tear_at = None
            if not self.heard:
                self._step = None
                raise CardGone(f"the card left before exchange {step}")
        try:
            answer = self.card.process(command)
        except PowerLost:
            self._step = None
            raise CardGone(f"the card lost power in exchange {step}") from None
        if torn:
            self._step = None
            raise CardGone(f"the card left before it answered exchange {step}")
        return answer


class ReplayLink:
    """A recording played back: each command must be the recorded one, then its recorded answer comes.

    The text has lines `> command` and `< answer` in hex; an answer `gone` is a card that leaves. Lines that
    start otherwise are remarks. A command that was not recorded raises `ReplayMismatch`.
    """

    def __init__(self, recording: str, atr: bytes = bytes.fromhex("3B80800101")) -> None:
        self._atr = atr
        self._pairs = list(_pairs(recording.splitlines()))
        self._next = 0

    @property
    def finished(self) -> bool:
        """Whether every recorded exchange has been made."""
        return self._next == len(self._pairs)

    def connect(self) -> bytes:
        return self._atr

    def __call__(self, command: bytes) -> bytes:
        if self.finished:
            raise ReplayMismatch(f"the recording has ended, and {command.hex(' ').upper()} was sent")
        wanted, answer = self._pairs[self._next]
        if command != wanted:
            raise ReplayMismatch(
                f"exchange {self._next}: recorded was {wanted.hex().upper()}, sent {command.hex().upper()}"
            )
        self._next += 1
        if answer is None:
            raise CardGone("the card left here when this was recorded")
        return answer


class ReplayMismatch(Exception):
    """The dialogue does not follow the recording."""


def _pairs(lines: Iterable[str]) -> Iterable[tuple[bytes, bytes | None]]:
    command: bytes | None = None
    for line in lines:
        mark, _, rest = line.strip().partition(" ")
        if mark == ">":
            command = bytes.fromhex(rest)
        elif mark == "<" and command is not None:
            yield command, None if rest.strip() == "gone" else bytes.fromhex(rest)
            command = None


def recording(link: Callable[[bytes], bytes], lines: list[str]) -> Callable[[bytes], bytes]:
    """The same link, writing what passes to `lines` in the form `ReplayLink` reads."""

    def exchange(command: bytes) -> bytes:
        lines.append(f"> {command.hex().upper()}")
        try:
            answer = link(command)
        except CardGone:
            lines.append("< gone")
            raise
        lines.append(f"< {answer.hex().upper()}")
        return answer

    return exchange
