# SPDX-License-Identifier: Apache-2.0
"""Shows a trace on a terminal: each APDU as bytes coloured by field, and the fields in words below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from citycard.core.trace import Covered, Part, Presented, Span, Traced

STYLES: Final = {
    "head": "bold bright_white",
    "size": "bright_black",
    "money": "bold green",
    "counter": "yellow",
    "random": "magenta",
    "mac": "bold red",
    "who": "cyan",
    "when": "blue",
    "where": "bright_blue",
    "key": "bright_magenta",
    "what": "bright_cyan",
    "data": "white",
    "status": "bold",
}
QUIET: Final = frozenset({"head", "size", "status"})  # told by the headline or beside the bytes
PARTIES: Final = {
    "card": ("card", "卡片"),
    "sam": ("PSAM", "安全模块"),
    "host": ("host", "后台"),
}


class TraceView:
    """Prints steps as they come, in one language."""

    def __init__(self, console: Console, language: str) -> None:
        self._console = console
        self._language = language

    def __call__(self, step: Traced | Presented) -> None:
        """Print one step."""
        if isinstance(step, Presented):
            words = "卡片已上电" if self._language == "zh" else "card powered"
            self._console.print(Text.assemble(("━━ ", "dim"), (words, "bold"), f"  ATR {_hex(step.atr)}"))
            return
        zh = self._language == "zh"
        party = PARTIES.get(step.party, (step.party, step.party))[zh]
        detail = step.detail.text(self._language)
        name = step.title.text(self._language)
        self._console.print(Text.assemble((f"{party} ", "dim"), (name, "bold"), f"  {detail}"))
        self._side("▸", step.command, step.spans)
        if step.response is None:
            gone = Text(f"  ✗ {step.status.text(self._language)}", style="bold red")
            self._console.print(gone)
        else:
            self._side("◂", step.response, step.answer, "green" if step.ok else "red")
        for cover in step.covers:
            self._cover(cover)

    def _side(self, mark: str, raw: bytes, spans: Sequence[Span], status: str = "") -> None:
        line = Text(f"{mark} ", style="dim")
        for span in spans:
            shown = ".." * span.length if span.secret else _hex(raw[span.start : span.stop])
            line.append(shown + " ", style=status if span.tone == "status" else STYLES[span.tone])
            if span.tone == "status":
                line.append(span.meaning.text(self._language), style=status)
        self._console.print(Padding(line, (0, 0, 0, 2)))
        told = [span for span in spans if span.tone not in QUIET]
        if told:
            self._console.print(Padding(self._fields(told), (0, 0, 0, 4)))

    def _fields(self, spans: Iterable[Span | Part]) -> Text:
        line = Text()
        for number, span in enumerate(spans):
            if number:
                line.append(" · ", style="dim")
            line.append(f"{span.title.text(self._language)} ", style="dim")
            line.append(span.meaning.text(self._language), style=STYLES[span.tone])
        return line

    def _cover(self, cover: Covered) -> None:
        word = "覆盖" if self._language == "zh" else "covers"
        line = Text.assemble((f"{cover.name} ", STYLES["mac"]), (f"{word}  ", "dim"))
        for part in cover.parts:
            line.append(("??" if part.data is None else _hex(part.data)) + " ", style=STYLES[part.tone])
        self._console.print(Padding(line, (0, 0, 0, 4)))
        self._console.print(Padding(self._fields(cover.parts), (0, 0, 0, 6)))
        key = Text(cover.key.text(self._language), style="dim italic")
        if cover.variable:
            key.append(" ← ")
            key.append_text(self._fields(cover.variable))
        self._console.print(Padding(key, (0, 0, 0, 6)))


def _hex(raw: bytes) -> str:
    return raw.hex().upper()
