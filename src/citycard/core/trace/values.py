# SPDX-License-Identifier: Apache-2.0
"""One exchange explained: which bytes are which field, what they mean, and what the MACs in them cover.

The command line, the tap lab and the conformance report all show the same `Traced`. Its spans follow one
another without gap or overlap, so a renderer may walk them and never look at the bytes a second time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

TONES: Final = (
    "head", "size", "money", "counter", "random", "mac", "who", "when", "where", "key", "what", "data",
    "status",
)  # fmt: skip
"""What kinds of field there are, for colours: `head` CLA INS P1 P2, `size` lengths and tags, ..."""


class Words(NamedTuple):
    """A phrase in English and Chinese."""

    en: str
    zh: str

    def text(self, language: str = "en") -> str:
        """In a language; anything but `zh...` reads English."""
        return self.zh if language.startswith("zh") else self.en


def plain(text: str) -> Words:
    """A phrase that is the same in both languages, such as a number or hex digits."""
    return Words(text, text)


NOTHING: Final = Words("", "")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to `start + length`: the field's name, its title, what its value means, its tone.

    A `secret` span holds a key or a PIN in clear: it is never shown, and written as `..` to a file.
    """

    start: int
    length: int
    name: str
    title: Words
    meaning: Words
    tone: str
    secret: bool = False

    @property
    def stop(self) -> int:
        """The byte after the last."""
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Part:
    """One field of what a MAC covers; `data` is None when the trace has not seen it."""

    name: str
    title: Words
    meaning: Words
    tone: str
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Covered:
    """What a MAC or TAC covers, in order, and from what its key was made; the key itself is nowhere."""

    name: str  # MAC1, MAC2, MAC3, TAC, MAC
    value: bytes
    parts: tuple[Part, ...]
    key: Words
    variable: tuple[Part, ...] = ()  # what made the session key out of the card's key

    @property
    def message(self) -> bytes | None:
        """The covered bytes, or None when some of them were not seen."""
        return joined(self.parts)


def joined(parts: tuple[Part, ...]) -> bytes | None:
    """The bytes of all parts, None when one is missing."""
    data = [part.data for part in parts]
    return None if None in data else b"".join(one for one in data if one is not None)


@dataclass(frozen=True, slots=True)
class Traced:
    """A command, its response (None: the card left), and all that can be said about both."""

    party: str
    title: Words
    detail: Words
    command: bytes = field(repr=False)
    response: bytes | None = field(repr=False)
    spans: tuple[Span, ...] = field(repr=False)
    answer: tuple[Span, ...] = field(repr=False)
    status: Words
    covers: tuple[Covered, ...] = field(repr=False)

    @property
    def sw(self) -> int | None:
        """The status word, None when there is none."""
        return int.from_bytes(self.response[-2:], "big") if self.response and len(self.response) > 1 else None

    @property
    def ok(self) -> bool:
        """Whether the answer is 9000."""
        return self.sw == 0x9000
