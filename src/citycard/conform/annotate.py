# SPDX-License-Identifier: Apache-2.0
"""Commands, status words and whole traces in words, as `core.trace` tells them: English and Chinese."""

from __future__ import annotations

from collections.abc import Iterable

from citycard.conform.model import Exchanged, Text
from citycard.core.dialogue import CARD
from citycard.core.trace import Traced, Tracer, sentence, status_words


def command_name(command: bytes) -> Text:
    """What a command is called, with its first four bytes: `SELECT (00A40400)`."""
    title, head = Tracer()(CARD, command, None).title, command[:4].hex().upper()
    return Text(f"{title.en} ({head})", f"{title.zh}（{head}）")


def status(sw: int) -> Text:
    """A status word and what it says: `6A82 there is no such file`."""
    words = status_words(sw)
    return Text(f"{sw:04X} {words.en}", f"{sw:04X} {words.zh}")


def explained(trace: Iterable[Exchanged]) -> list[Traced]:
    """A case's exchanges with one card, explained one after another."""
    tracer = Tracer()
    return [tracer(CARD, one.command, one.answer) for one in trace]


def in_words(traced: Traced) -> Text:
    """One exchange in one line, in both languages."""
    return Text(sentence(traced, "en"), sentence(traced, "zh"))
