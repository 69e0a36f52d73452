# SPDX-License-Identifier: Apache-2.0
"""A card on the desk: the options, the link and the trace that the reader commands share.

The card lies in a PC/SC reader (`--reader`) or is the image of an emulated one (`--image`), which is saved
again. Every exchange is explained while it happens (`--trace`), kept as a text dialogue (`--record`), and is
part of the JSON answer when both are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.core.dialogue import Dialogue, Refused
    from citycard.core.kinds import Emulated
    from citycard.core.trace import Presented, Traced, Tracer
    from citycard.terminal import Link

REFUSED_EXIT: Final = 3
WAIT_S: Final = 5.0

Reader = Annotated[
    str, typer.Option("--reader", help="Reader's name or a part of it; none: the one that holds a card.")
]
Image = Annotated[
    Path | None,
    typer.Option("--image", help="An emulated card's image file instead of a reader (it holds keys)."),
]
Trace = Annotated[bool, typer.Option("--trace", help="Explain every APDU in words. 逐条解释 APDU。")]
Record = Annotated[
    Path | None, typer.Option("--record", help="Keep the conversation as a text dialogue in this file.")
]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for a card to be presented.")]

CARD_TORN = declare(
    "CARD_TORN",
    "The card left {reader} in the middle ({why}). Nothing further was done; present it again.",
    "卡片中途离开 {reader}（{why}），操作已中止，请重新放卡。",
)
CARD_KIND_UNKNOWN = declare(
    "CARD_KIND_UNKNOWN",
    "The card in {reader} has no application that citycard knows (SELECT was answered {sw}).",
    "{reader} 中的卡片没有 citycard 支持的应用（SELECT 应答 {sw}）。",
    REFUSED_EXIT,
)
CARD_SAID_NO = declare(
    "CARD_SAID_NO",
    "{refusal}: {party} answered {command} with {sw}, {meaning}.",
    "{refusal_zh}：{party} 对 {command} 的应答为 {sw}，{meaning_zh}。",
    REFUSED_EXIT,
)
IMAGE_UNREADABLE = declare(
    "IMAGE_UNREADABLE",
    "The card image {path} cannot be read or written: {why}.",
    "无法读写卡片镜像 {path}：{why}。",
)
RECORD_UNWRITABLE = declare(
    "RECORD_UNWRITABLE",
    "The text dialogue {path} cannot be written: {why}.",
    "无法写入文本对话文件 {path}：{why}。",
)


@dataclass(slots=True)
class Desk:
    """The card's link, traced; where it lies; what was said so far."""

    link: Link
    place: str
    raw: Link
    tell: Callable[[Traced | Presented], None]
    tracer: Tracer
    steps: list[Traced | Presented] = field(default_factory=list)
    atr: bytes = b""

    def ask(self, dialogue: Dialogue[Any]) -> Any:
        """Carry a dialogue out with the card; a refusal ends the command in words."""
        from citycard.core.dialogue import CARD, Refused, converse

        found = converse(dialogue, {CARD: self.link})
        if isinstance(found, Refused):
            self.refuse(found)
        return found

    def refuse(self, said: Refused) -> None:
        """Tell why the card said no."""
        from citycard.core.refusal import Refusal
        from citycard.core.trace import status_words

        if said.refusal is Refusal.UNKNOWN_CARD:
            raise CARD_KIND_UNKNOWN(reader=self.place, sw=f"{said.sw:04X}")
        meaning = status_words(said.sw)
        raise CARD_SAID_NO(
            refusal=said.refusal.title("en"),
            refusal_zh=said.refusal.title("zh"),
            party=said.party,
            command=said.command,
            sw=f"{said.sw:04X}",
            meaning=meaning.en,
            meaning_zh=meaning.zh,
        )

    def wait_again(self, seconds: float) -> bool:
        """Whether the card is there again within so many seconds."""
        from citycard.core.problem import Problem
        from citycard.terminal.pcsc import CARD_ABSENT, PcscLink

        if not isinstance(self.raw, PcscLink):
            return True
        try:
            self.raw.wait(seconds)
        except Problem as problem:
            if problem.declared is not CARD_ABSENT:
                raise
            return False
        return True


@contextmanager
def card_on_desk(
    reader: str, image: Path | None, *, trace: bool, record: Path | None, wait: float
) -> Iterator[Desk]:
    """The card, powered. READER_*, PCSC_*, CARD_ABSENT, CARD_TORN."""
    from rich.console import Console

    from citycard.cli import language
    from citycard.cli.trace_view import TraceView
    from citycard.core.dialogue import CardGone
    from citycard.core.trace import Tracer, export
    from citycard.terminal import TracedLink

    view = TraceView(Console(highlight=False, soft_wrap=False), language()) if trace else None
    steps: list[Traced | Presented] = []

    def tell(step: Traced | Presented) -> None:
        steps.append(step)
        if view is not None:
            view(step)

    with _link(reader, image, wait) as (raw, place):
        tracer = Tracer()
        desk = Desk(TracedLink(raw, tracer, tell), place, raw, tell, tracer, steps)
        try:
            desk.atr = desk.link.connect()
            yield desk
        except CardGone as gone:
            raise CARD_TORN(reader=place, why=gone) from None
        finally:
            if record is not None:
                _write(record, export(steps, f"citycard {place}", language()))


@contextmanager
def _link(reader: str, image: Path | None, wait: float) -> Iterator[tuple[Link, str]]:
    """A link and what to call the place of the card."""
    if image is not None:
        from citycard.terminal import EmulatedLink
        from citycard.terminal.transport import WholeLink

        card = load_image(image)
        try:
            yield WholeLink(EmulatedLink(card)), str(image)
        finally:
            save_image(image, card)
        return
    from citycard.terminal.pcsc import PcscLink

    with PcscLink(reader, wait) as link:
        link.wait(wait)
        yield link, link.reader


def load_image(path: Path) -> Emulated:
    """The emulated card, of any kind, of an image file. IMAGE_UNREADABLE; CARD_IMAGE, STORAGE_IMAGE."""
    from secrets import token_bytes

    from citycard.core.kinds import open_card

    try:
        card = open_card(path.read_bytes(), token_bytes)
    except OSError as fault:
        raise IMAGE_UNREADABLE(path=path, why=fault.strerror) from None
    card.power_on()
    return card


def save_image(path: Path, card: Emulated) -> None:
    """Replace the image file by the card as it is now, for its owner's eyes. IMAGE_UNREADABLE."""
    from citycard.keys.durable import replace_file

    try:
        replace_file(path, card.image())
    except OSError as fault:
        raise IMAGE_UNREADABLE(path=path, why=fault.strerror) from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise RECORD_UNWRITABLE(path=path, why=fault.strerror) from None


def answer(desk: Desk, found: dict[str, Any], trace: bool) -> None:
    """The one JSON object of a command, with its trace when that was asked for."""
    from citycard.cli import language
    from citycard.core.trace import as_plain

    body = {"reader": desk.place, **found}
    if trace:
        body["trace"] = [as_plain(step, language()) for step in desk.steps]
    typer.echo(json.dumps(body, ensure_ascii=False, default=str))
