# SPDX-License-Identifier: Apache-2.0
"""A problem told to people: a stable code, what went wrong, where, and what to do, in two languages.

Faults that reach a person are `Problem`s; programs look at `code`, people read `text(language)`. Rooms
declare their own problems beside the code that raises them, as constants made with `declare`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

EXIT_DEFAULT: Final = 2
LANGUAGES: Final = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Declared:
    """A kind of problem: its code, its sentence in English and Chinese (with {fields}), its exit code."""

    code: str
    en: str
    zh: str
    exit: int = EXIT_DEFAULT

    def __call__(self, **fields: Any) -> Problem:
        """The problem, with its fields filled in; use as `raise WRONG_PASSPHRASE(path=path)`."""
        return Problem(self, fields)


class Problem(Exception):
    """Raised to the person at the outermost edge; never holds a secret."""

    def __init__(self, declared: Declared, fields: dict[str, Any]) -> None:
        super().__init__(declared.en.format(**fields))
        self.declared = declared
        self.fields = fields

    @property
    def code(self) -> str:
        """The stable code."""
        return self.declared.code

    def text(self, language: str = "en") -> str:
        """The sentence in a language; anything but `zh` reads English."""
        template = self.declared.zh if language.startswith("zh") else self.declared.en
        return template.format(**self.fields)


PROBLEMS: Final[dict[str, Declared]] = {}


def declare(code: str, en: str, zh: str, exit: int = EXIT_DEFAULT) -> Declared:
    """Register a kind of problem; two with one code are a programming error."""
    assert code not in PROBLEMS, f"problem {code} is declared twice"
    PROBLEMS[code] = Declared(code, en, zh, exit)
    return PROBLEMS[code]
