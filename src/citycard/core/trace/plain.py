# SPDX-License-Identifier: Apache-2.0
"""A trace in plain values, as JSON and templates want them; secrets are dots."""

from __future__ import annotations

from typing import Any, Final

from citycard.core.trace.text import Presented
from citycard.core.trace.tracer import sentence
from citycard.core.trace.values import Covered, Part, Span, Traced

DOTS: Final = ".."


def as_plain(step: Traced | Presented, language: str = "en") -> dict[str, Any]:
    """One step of a conversation; spans carry their own hex digits."""
    if isinstance(step, Presented):
        return {"party": "card", "presented": step.atr.hex().upper()}
    response = step.response
    return {
        "party": step.party,
        "title": step.title.text(language),
        "detail": step.detail.text(language),
        "sentence": sentence(step, language),
        "status": step.status.text(language),
        "sw": None if step.sw is None else f"{step.sw:04X}",
        "ok": step.ok,
        "gone": response is None,
        "command": [_span(span, step.command, language) for span in step.spans],
        "response": [_span(span, response or b"", language) for span in step.answer],
        "covers": [_cover(cover, language) for cover in step.covers],
    }


def _span(span: Span, raw: bytes, language: str) -> dict[str, Any]:
    shown = DOTS * span.length if span.secret else raw[span.start : span.stop].hex().upper()
    return {
        "name": span.name,
        "start": span.start,
        "length": span.length,
        "hex": shown,
        "title": span.title.text(language),
        "meaning": span.meaning.text(language),
        "tone": span.tone,
    }


def _cover(cover: Covered, language: str) -> dict[str, Any]:
    message = cover.message
    return {
        "name": cover.name,
        "value": cover.value.hex().upper(),
        "key": cover.key.text(language),
        "parts": [_part(part, language) for part in cover.parts],
        "variable": [_part(part, language) for part in cover.variable],
        "message": None if message is None else message.hex().upper(),
    }


def _part(part: Part, language: str) -> dict[str, Any]:
    return {
        "name": part.name,
        "title": part.title.text(language),
        "meaning": part.meaning.text(language),
        "tone": part.tone,
        "hex": None if part.data is None else part.data.hex().upper(),
    }
