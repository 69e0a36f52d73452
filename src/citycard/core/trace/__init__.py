# SPDX-License-Identifier: Apache-2.0
"""Explains APDUs in words: names, fields, status words, what MAC1, MAC2 and TAC cover. Pure.

tracer = Tracer()
traced = tracer("card", command, response)
print(sentence(traced, "zh"))
"""

from citycard.core.trace.plain import as_plain
from citycard.core.trace.status import status_words
from citycard.core.trace.text import DialogueFormat, Presented, Said, export, parse, said_lines, written
from citycard.core.trace.tracer import Tracer, sentence
from citycard.core.trace.values import TONES, Covered, Part, Span, Traced, Words

__all__ = [
    "TONES",
    "Covered",
    "DialogueFormat",
    "Part",
    "Presented",
    "Said",
    "Span",
    "Traced",
    "Tracer",
    "Words",
    "as_plain",
    "export",
    "parse",
    "said_lines",
    "sentence",
    "status_words",
    "written",
]
