# SPDX-License-Identifier: Apache-2.0
"""Played cards: true cards that misbehave as their script says, and a faithful account of what they did.

A fault waits for the beginning of a command and strikes once in a presentation. What the card really
committed is noted when its chip answers, whether or not the terminal ever hears of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from citycard.conform import proofs
from citycard.conform.model import Exchanged
from citycard.conform.proofs import Opening
from citycard.core.card import Card
from citycard.core.dialogue import CardGone
from citycard.core.purse import LOADS

SELECT, READ_BINARY, READ_RECORD = "00A404", "00B0", "00B2"
INIT_PURCHASE, INIT_COMPOSITE, CACHE, DEBIT, PROVE = "805001", "805003", "80DC", "8054", "805A"
INIT_LOAD, CREDIT = "805000", "8052"
ANY: Final = ""
OK: Final = b"\x90\x00"


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction that a card truly made."""

    pan: str
    txn: int
    amount_fen: int
    counter: int
    balance_before_fen: int
    terminal: str  # hex
    moment: str  # hex, seven BCD bytes
    number: int  # the terminal's transaction number, 0 for a load
    tac: str  # hex
    mac2: str  # hex, empty for a load

    @property
    def key(self) -> tuple[str, bool, int]:
        """What no two transactions of a card share."""
        return self.pan, self.txn in LOADS, self.counter


Strike = Callable[["PlayedCard", bytes], bytes]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens instead at the `nth` command that begins so; `always` at every one."""

    head: str
    strike: Strike
    nth: int = 1
    always: bool = False


class Waits(Protocol):
    """Lets time pass for the terminal: a simulated clock, or real waiting."""

    def __call__(self, seconds: float) -> None: ...


class PlayedCard:
    """A card in the field of the terminal under test: `connect()` and a function of bytes."""

    def __init__(self, card: Card, pan: str, sleep: Waits) -> None:
        self.card, self.pan, self.sleep = card, pan, sleep
        self.commits: list[Commit] = []
        self.trace: list[Exchanged] = []
        self.faults: Sequence[Fault] = ()
        self.waiting = b""  # data for GET RESPONSE
        self.delay_s = 0.0  # what the last answer took, for terminals in this process
        self._heard: dict[int, int] = {}
        self._opened: Opening | None = None
        self._there = False

    def present(self, faults: Sequence[Fault]) -> PlayedCard:
        """Script the next presentation."""
        self.faults, self._heard = faults, {}
        self.waiting, self._there = b"", True
        return self

    def connect(self) -> bytes:
        """Power the card."""
        if not self._there:
            raise CardGone("the card is not in the field")
        self.card.power_off()
        return self.card.power_on()

    def leave(self) -> None:
        """Take the card out of the field."""
        self._there = False

    def __call__(self, command: bytes) -> bytes:
        """One exchange, as scripted."""
        if not self._there:
            raise CardGone("the card has left the field")
        self.delay_s = 0.0
        try:
            answer = self._answer(command)
        except CardGone:
            self._there = False
            self.trace.append(Exchanged(command, None, 0))
            raise
        self.trace.append(Exchanged(command, answer, self.delay_s * 1e6))
        return answer

    def _answer(self, command: bytes) -> bytes:
        text = command.hex().upper()
        for index, fault in enumerate(self.faults):
            if text.startswith(fault.head):
                count = self._heard[index] = self._heard.get(index, 0) + 1
                if fault.always or count == fault.nth:
                    return fault.strike(self, command)
        return self.obey(command)

    def obey(self, command: bytes) -> bytes:
        """What the true card answers; what it committed is noted."""
        answer = self.card.process(command)
        if answer[-2:] != OK:
            return answer
        if command[:2] == b"\x80\x50":
            self._opened = proofs.read_opening(command, answer[:-2])
        elif command[:2] in (b"\x80\x54", b"\x80\x52") and self._opened is not None:
            self.commits.append(self._commit(self._opened, command, answer))
        return answer

    def _commit(self, opened: Opening, command: bytes, answer: bytes) -> Commit:
        debit = command[1] == 0x54
        moment = command[9:16] if debit else command[5:12]
        return Commit(
            self.pan, opened.txn, opened.amount_fen, opened.counter, opened.balance_fen,
            opened.terminal.hex(), moment.hex(), int.from_bytes(command[5:9], "big") if debit else 0,
            answer[:4].hex(), answer[4:8].hex() if debit else "",
        )  # fmt: skip


# What can happen to a command


def unheard(played: PlayedCard, command: bytes) -> bytes:
    """The card leaves before the command arrives."""
    raise CardGone("the card left before the command")


def lost(played: PlayedCard, command: bytes) -> bytes:
    """The card carries the command out and leaves before its answer arrives."""
    played.obey(command)
    raise CardGone("the card left before its answer")


def says(answer: str) -> Strike:
    """The card does nothing and answers so (hex)."""
    return lambda played, command: bytes.fromhex(answer)


def says_after(change: Callable[[bytes], bytes]) -> Strike:
    """The card carries the command out and answers something else."""
    return lambda played, command: change(played.obey(command))


def takes(seconds: float) -> Strike:
    """The card takes its time."""

    def strike(played: PlayedCard, command: bytes) -> bytes:
        played.sleep(seconds)
        answer = played.obey(command)
        played.delay_s = seconds
        return answer

    return strike


def makes_wait(played: PlayedCard, command: bytes) -> bytes:
    """The answer waits for GET RESPONSE, as with T=0: 61xx."""
    answer = played.obey(command)
    if answer[-2:] != OK or len(answer) == 2:
        return answer
    played.waiting = answer
    return bytes((0x61, len(answer) - 2))


def gives(played: PlayedCard, command: bytes) -> bytes:
    """GET RESPONSE after `makes_wait`."""
    answer, played.waiting = played.waiting, b""
    return answer or b"\x69\x85"
