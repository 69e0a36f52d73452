# SPDX-License-Identifier: Apache-2.0
"""The text dialogue: a conversation as lines that people read and tests replay.

    * 3B80800101                  the card was presented; its answer to reset
    > 805C030204                  to the card
    < 000003E89000                from the card; `< gone` when it left instead
    sam> 8070...                  to the PSAM, and its answer after `sam<`
    # anything else is a remark

`..` in a command stands for one byte that was not written down (a key or PIN in clear) and fits any byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from citycard.core.dialogue.exchange import CARD, HOST, SAM
from citycard.core.trace.tracer import sentence
from citycard.core.trace.values import Traced

GONE: Final = "gone"
PRESENTED: Final = "*"
MARKS: Final = {CARD: "", SAM: "sam", HOST: "host"}
PARTIES: Final = {mark: party for party, mark in MARKS.items()}


class DialogueFormat(ValueError):
    """A line of a text dialogue that is neither hex nor a remark; says which."""


@dataclass(frozen=True, slots=True)
class Said:
    """One exchange of a text dialogue; `command` in hex digits with `..` for unwritten bytes."""

    party: str
    command: str
    response: bytes | None

    def fits(self, sent: bytes) -> bool:
        """Whether these bytes are the recorded command."""
        digits = sent.hex().upper()
        return len(digits) == len(self.command) and all(
            want in (".", got) for want, got in zip(self.command, digits, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Presented:
    """The card was put on the reader and answered reset."""

    atr: bytes


def parse(text: str) -> Iterator[Said | Presented]:
    """The exchanges and presentations of a text dialogue; `DialogueFormat` for a line that is no hex."""
    asked: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        mark, _, rest = line.strip().partition(" ")
        party = PARTIES.get(mark[:-1]) if mark[-1:] in ("<", ">") else None
        if mark == PRESENTED:
            yield Presented(_bytes(rest, number))
        elif party is not None and mark.endswith(">"):
            asked[party] = _digits(rest, number)
        elif party is not None and party in asked:
            answer = None if rest.strip() == GONE else _bytes(rest, number)
            yield Said(party, asked.pop(party), answer)


def _digits(text: str, number: int) -> str:
    digits = "".join(text.split()).upper()
    if len(digits) % 2 or not set(digits) <= set("0123456789ABCDEF."):
        raise DialogueFormat(f"line {number}: {text.strip()[:60]!r} is no hex")
    return digits


def _bytes(text: str, number: int) -> bytes:
    try:
        return bytes.fromhex(_digits(text, number))
    except ValueError:
        raise DialogueFormat(f"line {number}: {text.strip()[:60]!r} is no hex") from None


def said_lines(party: str, command: str, response: bytes | None) -> tuple[str, str]:
    """The two lines of an exchange."""
    mark = MARKS.get(party, party)
    answer = GONE if response is None else response.hex().upper()
    return f"{mark}> {command}", f"{mark}< {answer}"


def written(command: bytes, traced: Traced | None = None) -> str:
    """A command in hex digits; secret spans of its trace as dots."""
    digits = command.hex().upper()
    for span in traced.spans if traced else ():
        if span.secret:
            digits = digits[: 2 * span.start] + ".." * span.length + digits[2 * span.stop :]
    return digits


def export(steps: Iterable[Traced | Presented], title: str = "", language: str = "en") -> str:
    """A whole conversation as text, each exchange under a remark in words."""
    lines = [f"# {title}"] if title else []
    for step in steps:
        if isinstance(step, Presented):
            lines += ["", f"{PRESENTED} {step.atr.hex().upper()}"]
            continue
        lines.append(f"# {sentence(step, language)}")
        lines += said_lines(step.party, written(step.command, step), step.response)
    return "\n".join(lines).lstrip("\n") + "\n"
