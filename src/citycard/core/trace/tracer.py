# SPDX-License-Identifier: Apache-2.0
"""Explains exchanges one after another: `Tracer()(party, command, response)` gives a `Traced`.

Any bytes give an annotation and never an exception. The tracer knows what was selected, which transaction
is open and which challenge was given out, as far as it was there to see it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from citycard.core.apdu import SW, ApduError, Command
from citycard.core.dialogue.exchange import CARD, SAM
from citycard.core.trace import commands, context, files, layouts
from citycard.core.trace.commands import Known
from citycard.core.trace.context import Context, Facts
from citycard.core.trace.covers import message_cover, money_cover
from citycard.core.trace.cut import Cut
from citycard.core.trace.status import status_words
from citycard.core.trace.values import NOTHING, Covered, Span, Traced, Words
from citycard.core.trace.words import money

MAC_NAMES: Final = frozenset({"mac1", "mac2", "mac3", "tac"})
LEFT: Final = Words("the card left before it answered", "卡片未应答即离开")
SM_MAC_SIZE: Final = 4
DOMAIN_MAC_SIZE: Final = 8
EXTENDED: Final = 7  # header, 00 and two bytes of length


@dataclass(frozen=True, slots=True)
class _Asked:
    """A command taken apart: its spans, what it is, the fields of its data, the MAC that protects it."""

    known: Known
    detail: Words
    spans: tuple[Span, ...]
    fields: Facts
    message: Covered | None
    command: Command | None


class Tracer:
    """Explains a conversation; one per card, from power on."""

    def __init__(self) -> None:
        self._contexts: dict[str, Context] = {}

    def reset(self, party: str = CARD) -> None:
        """A new presentation: selection and challenge are gone; the last transaction may still be proven."""
        before = self._contexts.pop(party, None)
        if before is not None:
            self._contexts[party] = Context(txn=before.txn, facts=before.facts)

    def __call__(self, party: str, command: bytes, response: bytes | None) -> Traced:
        """Explain one exchange; `response` None means that the card left before it answered."""
        here = self._contexts.get(party) or Context(application=context.SAM_APP if party == SAM else "")
        asked = _ask(command, here)
        seen = self._seen(party, here, asked)
        answer, fields, status = _answer(asked, response, seen)
        facts = MappingProxyType({**seen.facts, **(fields if _kept(asked, here) else {})})
        covers = _covers(asked, fields, seen.txn, facts)
        sw = int.from_bytes(response[-2:], "big") if response and len(response) >= 2 else None
        self._contexts[party] = _after(asked, sw, replace(seen, facts=facts), fields)
        return Traced(
            party, asked.known.title, asked.detail, command, response, asked.spans, answer, status, covers
        )

    def _seen(self, party: str, here: Context, asked: _Asked) -> Context:
        """The context in which the answer is read: with the command's own fields."""
        known, facts = asked.known, dict(here.facts)
        txn = here.txn
        if known.txn:
            deposit = asked.command is not None and asked.command.p2 == 0x01 and known.txn in (0x02, 0x06)
            txn, facts = known.txn - (1 if deposit else 0), {}
        if party == SAM and known is commands.SAM_INIT:
            card = self._contexts.get(CARD, Context()).facts
            ours = card.get("rand") == asked.fields.get("rand")  # the module of this very transaction
            terminal = (card if ours else here.facts).get("terminal")
            facts = {"terminal": terminal} if terminal else {}
            txn = asked.fields.get("txn", b"\x00")[0]
        elif known is commands.PROVE and asked.command is not None:
            txn = txn if txn == asked.command.p2 else 0
        fields = asked.fields if _kept(asked, here) else {}
        return replace(here, txn=txn, facts=MappingProxyType({**facts, **fields}))


def _kept(asked: _Asked, here: Context) -> bool:
    """Whether the fields explain later MACs; a module's do, for it tells its terminal in a file."""
    return asked.known.kept or here.application == context.SAM_APP


def _ask(raw: bytes, here: Context) -> _Asked:
    """Take a command apart."""
    try:
        command = Command.decode(raw)
    except ApduError:
        cut = Cut(raw)
        for name in ("cla", "ins", "p1", "p2") if len(raw) > 4 else ():
            cut.take(name, 1)
        cut.rest("malformed", secret=len(raw) > 1 and raw[1] in commands.CLEAR_INS)
        return _Asked(commands.UNKNOWN, NOTHING, tuple(cut.spans), MappingProxyType({}), None, None)
    here = _selected(command, here)
    known = commands.find(command, here)
    detail = known.tell(command, here)
    cut, message = Cut(raw), None
    cut.take("cla", 1)
    cut.take("ins", 1, meaning=known.title)
    cut.take("p1", 1)
    cut.take("p2", 1, meaning=detail)
    if command.data:
        message = _cut_data(cut, command, known, here)
    cut.stop = len(raw)
    cut.take("le", cut.left, meaning=_expected(command))
    fields = {span.name: raw[span.start : span.stop] for span in cut.spans if not span.secret}
    fields = {name: value for name, value in fields.items() if name not in _HEADER}
    if amount := fields.get("amount_fen"):
        told = money(int.from_bytes(amount, "big"))
        detail = Words(f"{detail.en}, {told.en}".strip(", "), f"{detail.zh}，{told.zh}".strip("，"))
    return _Asked(known, detail, tuple(cut.spans), MappingProxyType(fields), message, command)


def _cut_data(cut: Cut, command: Command, known: Known, here: Context) -> Covered | None:
    """Cut Lc and data; what the MAC of a secure message covers."""
    raw = cut.raw
    cut.take("lc", 3 if raw[4] == 0 and len(raw) > EXTENDED else 1, "uint")
    at, end = cut.at, cut.at + len(command.data)
    channel = here.application == context.DOMAIN
    mac = DOMAIN_MAC_SIZE if channel else SM_MAC_SIZE
    protected = commands.secured(command.cla) and len(command.data) >= mac
    cut.stop = end - mac if protected else end
    commands.cut_by(known.request, cut, command, here)
    cut.stop = end
    value = cut.take("mac", cut.left)
    if not protected:
        return None
    return message_cover(raw[:at], raw[at : end - mac], value, here.challenge, channel=channel)


_HEADER: Final = frozenset({"cla", "ins", "p1", "p2", "lc", "le", "mac"})


def _expected(command: Command) -> Words:
    if command.le is None or command.le >= 256:
        return Words("all there is", "全部")
    return Words(f"{command.le} bytes", f"{command.le} 字节")


def _selected(command: Command, here: Context) -> Context:
    """For a SELECT: the context of what it asks for, so that its answer is read as that.

    INITIALIZE UPDATE, which no purse command has the length of, opens a channel to a security domain that
    may be selected by default.
    """
    if (command.cla, command.ins, len(command.data)) == (0x80, 0x50, layouts.INIT_UPDATE.size):
        return replace(here, application=context.DOMAIN)
    if command.ins != 0xA4 or commands.base_class(command.cla):
        return here
    if command.p1 & 0x04:
        found = context.application_named(command.data)
        default = context.OTHER if command.data else context.DOMAIN
        return Context(application=found[0] if found else default)
    fid = int.from_bytes(command.data, "big") or 0x3F00
    if fid in context.FIDS:
        return Context(application=context.FIDS[fid][0])
    return replace(here, file=fid & 0x1F)


def _answer(asked: _Asked, response: bytes | None, seen: Context) -> tuple[tuple[Span, ...], Facts, Words]:
    """Cut an answer; its spans, its fields and its status word in words."""
    if response is None:
        return (), MappingProxyType({}), LEFT
    if len(response) < 2:
        cut = Cut(response)
        cut.rest("malformed")
        return tuple(cut.spans), MappingProxyType({}), Words("no status word", "没有状态字")
    status = status_words(int.from_bytes(response[-2:], "big"))
    cut = Cut(response, 0, len(response) - 2)
    if asked.command is not None:
        here = _selected(asked.command, seen)
        if commands.secured(asked.command.cla) and cut.left > SM_MAC_SIZE:
            cut.stop -= SM_MAC_SIZE
            commands.cut_by(asked.known.answer, cut, asked.command, here)
            cut.stop += SM_MAC_SIZE
            cut.rest("mac")
        else:
            commands.cut_by(asked.known.answer, cut, asked.command, here)
    cut.rest()
    fields = {span.name: response[span.start : span.stop] for span in cut.spans}
    cut.stop = len(response)
    cut.take("sw", 2, meaning=status)
    return tuple(cut.spans), MappingProxyType(fields), status


def _covers(asked: _Asked, answered: Facts, txn: int, facts: Facts) -> tuple[Covered, ...]:
    """What every MAC of this exchange covers, those of the command first."""
    found = [asked.message] if asked.message else []
    for fields in (asked.fields, answered):
        for name, value in fields.items():
            if name in MAC_NAMES:
                cover = money_cover(txn, name, value, facts)
                if cover is not None:
                    found.append(cover)
    return tuple(found)


def _after(asked: _Asked, sw: int | None, seen: Context, answered: Facts) -> Context:
    """What is known after the exchange."""
    if asked.command is None:
        return replace(seen, challenge=b"")
    good = sw in (SW.OK, SW.FILE_INVALID)
    if asked.known is commands.SELECT:
        found = _selected(asked.command, seen) if good else seen
        return replace(found, txn=seen.txn, challenge=b"", facts=seen.facts)  # it may still be proven
    challenge = answered.get("challenge", b"") if good else b""
    if good and asked.known is commands.INIT_UPDATE:
        seen = replace(seen, application=context.DOMAIN)
    sfi = files.place(asked.command, seen)[0] if asked.command.ins in (0xB0, 0xD6) else seen.file
    return replace(seen, challenge=challenge, file=sfi)


def sentence(traced: Traced, language: str = "en") -> str:
    """An exchange in one line: name, parameters, what came back."""
    name, detail, status = (words.text(language) for words in (traced.title, traced.detail, traced.status))
    sw = f"{traced.sw:04X} " if traced.sw is not None else ""
    colon = "：" if language.startswith("zh") else ": "
    return f"{name}{colon + detail if detail else ''} → {sw}{status}"
