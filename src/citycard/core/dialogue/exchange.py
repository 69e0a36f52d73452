# SPDX-License-Identifier: Apache-2.0
"""Conversations yield, runners send: what a dialogue is made of and how one is carried out.

A dialogue is a generator. It yields an `Exchange` (who is asked, which bytes) and is sent the answer's
bytes; what it returns is its result. It knows nothing of readers, sockets or clocks, so the same dialogue
runs on an emulated card, on a real reader, on a recording or across a network.

A party that says no gives a `Refused` value; a party that breaks the protocol raises `DialogueError`; a
card that left the field raises `CardGone` out of the link, and `converse` lets it through.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from citycard.core.apdu import SW
from citycard.core.problem import Problem, declare
from citycard.core.refusal import Refusal

CARD: Final = "card"
SAM: Final = "sam"
HOST: Final = "host"
SHOWN_MAX: Final = 48  # bytes of a strange answer that are shown to people

T = TypeVar("T")
Party = Callable[[bytes], bytes]

DIALOGUE_BREACH = declare(
    "DIALOGUE_BREACH",
    "The {party} answered {command} with {answer}, which is not {expected}. If it happens again, the "
    "{party} is not of a kind this terminal knows.",
    "{party} 对 {command} 的应答为 {answer}，不是 {expected}。如反复出现，说明终端不支持该 {party}。",
)


class Exchange(NamedTuple):
    """One question: the party that is asked (`card`, `sam` or `host`) and the bytes sent to it."""

    party: str
    data: bytes


class Answer(NamedTuple):
    """An answer taken apart: data and status word; lighter than `apdu.Response`, for a tap has a dozen."""

    data: bytes
    sw: int

    @property
    def ok(self) -> bool:
        """Whether the status word is 9000."""
        return self.sw == 0x9000

    def encode(self) -> bytes:
        """The bytes it was."""
        return self.data + self.sw.to_bytes(2, "big")


Dialogue = Generator[Exchange, bytes, T]


class CardGone(Exception):
    """The card left the field: raised by links, at any exchange."""


class DialogueError(Problem):
    """The peer broke the protocol: its fault, not ours; nothing may be concluded from its answer."""

    def __init__(self, party: str, command: str, answer: bytes, expected: str) -> None:
        shown = answer[:SHOWN_MAX].hex().upper() or "nothing"
        more = "..." if len(answer) > SHOWN_MAX else ""
        fields = {"party": party, "command": command, "answer": shown + more, "expected": expected}
        super().__init__(DIALOGUE_BREACH, fields)


@dataclass(frozen=True, slots=True)
class Refused:
    """A party said no: the refusal to tell, and what lies behind it."""

    refusal: Refusal
    party: str = CARD
    command: str = ""
    sw: int = SW.OK

    def __str__(self) -> str:
        from citycard.core.trace.status import status_words  # the trace speaks of exchanges itself

        words = status_words(self.sw).en
        return f"{self.refusal.code}: {self.party}, {self.command}, {self.sw:04X} {words}"


def converse(dialogue: Dialogue[T], parties: Mapping[str, Party]) -> T:
    """Carry a dialogue out and give its result. Whatever a party raises ends it and is let through."""
    try:
        exchange = next(dialogue)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    try:
        while True:
            answer = parties[exchange.party](exchange.data)
            try:
                exchange = dialogue.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
    finally:
        dialogue.close()


def ask(party: str, name: str, command: bytes) -> Dialogue[Answer]:
    """Send a command, give the answer; `DialogueError` when the answer has no status word."""
    answer = yield Exchange(party, command)
    if len(answer) < 2:
        raise DialogueError(party, name, bytes(answer), "an answer with a status word")
    return Answer(answer[:-2], answer[-2] << 8 | answer[-1])


def sized(response: Answer, size: int, party: str, name: str) -> bytes:
    """The data of a good response; `DialogueError` unless it has exactly `size` bytes."""
    if len(response.data) != size:
        raise DialogueError(party, name, response.encode(), f"{size} bytes and 9000")
    return response.data
