# SPDX-License-Identifier: Apache-2.0
"""Links to a card: bytes there, bytes back, until the card leaves the field.

A link is a function from command to response, with `connect()` before the first command of a presentation.
It raises `CardGone` when the card has left, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from citycard.core.card import PowerLost
from citycard.core.dialogue.exchange import CARD, SAM, CardGone
from citycard.core.trace import Presented, Traced, Tracer, parse, said_lines, written


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


class SamProcess(Protocol):
    """A PSAM: command to response."""

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

    The text is that of `core.trace.text`: lines `> command` and `< answer` in hex; an answer `gone` is a card
    that leaves, `* ATR` a new presentation. A command that was not recorded raises `ReplayMismatch`.
    """

    def __init__(self, recording: str, atr: bytes = bytes.fromhex("3B80800101")) -> None:
        self._atr = atr
        self._steps = [s for s in parse(recording) if isinstance(s, Presented) or s.party == CARD]
        self._next = 0

    @property
    def finished(self) -> bool:
        """Whether every recorded exchange has been made."""
        return self._next == len(self._steps)

    def connect(self) -> bytes:
        step = None if self.finished else self._steps[self._next]
        if not isinstance(step, Presented):
            return self._atr
        self._next += 1
        return step.atr

    def __call__(self, command: bytes) -> bytes:
        if self.finished:
            raise ReplayMismatch(f"the recording has ended, and {command.hex(' ').upper()} was sent")
        step = self._steps[self._next]
        if isinstance(step, Presented):
            raise ReplayMismatch(f"recorded was a new presentation, sent {command.hex().upper()}")
        if not step.fits(command):
            raise ReplayMismatch(
                f"step {self._next}: recorded was {step.command}, sent {command.hex().upper()}"
            )
        self._next += 1
        if step.response is None:
            raise CardGone("the card left here when this was recorded")
        return step.response


class ReplayMismatch(Exception):
    """The dialogue does not follow the recording."""


def recording(link: Callable[[bytes], bytes], lines: list[str]) -> Callable[[bytes], bytes]:
    """The same link, writing what passes to `lines` in the form `ReplayLink` reads."""

    def exchange(command: bytes) -> bytes:
        try:
            answer = link(command)
        except CardGone:
            lines.extend(said_lines(CARD, written(command), None))
            raise
        lines.extend(said_lines(CARD, written(command), answer))
        return answer

    return exchange


class TracedLink:
    """The same link, explaining to `tell` every presentation and exchange that passes."""

    def __init__(self, link: Link, tracer: Tracer, tell: Callable[[Traced | Presented], None]) -> None:
        self._link = link
        self._tracer = tracer
        self._tell = tell

    def connect(self) -> bytes:
        atr = self._link.connect()
        self._tracer.reset()
        self._tell(Presented(atr))
        return atr

    def __call__(self, command: bytes) -> bytes:
        try:
            answer = self._link(command)
        except CardGone:
            self._tell(self._tracer(CARD, command, None))
            raise
        self._tell(self._tracer(CARD, command, answer))
        return answer


class TracedSam:
    """The same PSAM, explaining every exchange with it to `tell`."""

    def __init__(self, sam: SamProcess, tracer: Tracer, tell: Callable[[Traced | Presented], None]) -> None:
        self._sam = sam
        self._tracer = tracer
        self._tell = tell

    def process(self, command: bytes) -> bytes:
        """One exchange."""
        answer = self._sam.process(command)
        self._tell(self._tracer(SAM, command, answer))
        return answer
