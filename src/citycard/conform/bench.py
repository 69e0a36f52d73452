# SPDX-License-Identifier: Apache-2.0
"""The bench: one card behind the guard, its keys if there are any, and what passed while a case ran."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from citycard.conform.annotate import command_name, status
from citycard.conform.guard import Field, Guard
from citycard.conform.keyring import Keyring, Keys, LabKeys
from citycard.conform.kinds import T_UNION, Kind
from citycard.conform.model import Exchanged, Failed, NotRun, Text
from citycard.conform.proofs import Opening
from citycard.core import mohurd, tunion
from citycard.core.apdu import ApduError, Command, Response
from citycard.core.crypto import SUITES
from citycard.core.dialogue import CardGone
from citycard.core.tlv import TlvError, find

TERMINAL: Final = bytes.fromhex("990000C0FFEE")
SELECT: Final = T_UNION.home
NAME: Final = re.compile(r"\{(\w+)\}")
FCI_PUBLIC: Final = (0x6F, 0xA5, 0x9F0C)
ED, EP = 1, 2  # SFIs of deposit and purse
CASE_2: Final = 5  # bytes of a command without data
RESPONSES_MAX: Final = 8  # GET RESPONSE in a row: more than any answer of 256 bytes needs


@dataclass(frozen=True, slots=True)
class Purse:
    """All that a card tells of its purse and its transit memory; None where it does not tell."""

    balance_fen: int
    offline: int | None
    online: int | None
    log: tuple[bytes, ...]
    transit: tuple[bytes, ...]
    industry: tuple[bytes, ...]


@dataclass
class Bench:
    """What the steps of a case work with. `moment` is seven BCD bytes, `clock` tells nanoseconds."""

    guard: Guard
    keys: Keyring | LabKeys | None
    moment: bytes
    clock: Callable[[], int]
    samples: int = 400
    key_index: int = 1
    algorithm: int = 0
    key_version: int = 1
    number: int = 0x0001_0041  # the terminal's transaction number; both halves count
    values: dict[str, Any] = field(default_factory=dict)
    observed: list[Text] = field(default_factory=list)
    trace: list[Exchanged] = field(default_factory=list)
    opened: list[Opening] = field(default_factory=list)  # in this case, newest last
    before: Purse | None = None
    shared: dict[str, Any] = field(default_factory=dict)  # samples of this run, over its cases
    case: str = ""
    kind: Kind = T_UNION
    marked: int = EP  # SFI of the purse that `before` tells of

    def begin(self, selects: bool, case: str = "") -> None:
        """A new case: nothing kept of the one before; the card powered, its purse selected."""
        self.case = case
        block = SUITES[self.algorithm].block if self.algorithm in SUITES else 8
        self.values = {
            "terminal": TERMINAL,
            "index": bytes((self.key_index,)),
            "aid": self.kind.aid,
            "named": bytes((len(self.kind.aid),)) + self.kind.aid,
            "proof": bytes((block,)) + bytes(block),  # Lc and a cryptogram that is wrong
        }
        self.observed, self.trace, self.opened, self.before = [], [], [], None
        self.power()
        if selects and self.kind.home:
            self.select()

    # Exchanges

    def power(self) -> bytes:
        """Power the card off and on."""
        return self.guard.connect()

    def send(self, command: bytes | str) -> Response:
        """Whatever the card answers; `Failed` when that is no response APDU.

        Of kinds that are followed (T=0), what 61xx announces is fetched, and who asks for all there is
        (Le 00) gets what 6Cxx tells of, as from a reader's driver.
        """
        answer = self.exchange(command)
        sent = self.trace[-1].command
        if self.kind.follows and answer.sw >> 8 == 0x6C and len(sent) == CASE_2 and not sent[-1]:
            answer = self.exchange(sent[:-1] + bytes((answer.sw & 0xFF,)))
        data, rounds = answer.data, 0
        while self.kind.follows and answer.sw >> 8 == 0x61 and rounds < RESPONSES_MAX:
            answer, rounds = self.exchange(bytes((0x00, 0xC0, 0x00, 0x00, answer.sw & 0xFF))), rounds + 1
            data += answer.data
        return Response(data, answer.sw)

    def exchange(self, command: bytes | str) -> Response:
        """One exchange, whatever it announces."""
        raw = self.filled(command) if isinstance(command, str) else command
        start = self.clock()
        try:
            answer = self.guard(raw)
        except CardGone:
            self.trace.append(Exchanged(raw, None, (self.clock() - start) / 1000))
            raise
        self.trace.append(Exchanged(raw, answer, (self.clock() - start) / 1000))
        if len(answer) < 2:
            shown = answer.hex().upper() or "nothing"
            raise Failed(f"the answer has no status word: {shown}", f"应答没有状态字：{shown}")
        return Response.decode(answer)

    def ok(self, command: bytes | str) -> bytes:
        """The data of an answer that must be 9000."""
        answer = self.send(command)
        if not answer.ok:
            name = command_name(self.trace[-1].command)
            told = status(answer.sw)
            raise Failed(
                f"{name.en} answered {told.en}, 9000 was needed", f"{name.zh} 应答 {told.zh}，应为 9000"
            )
        return answer.data

    def filled(self, template: str) -> bytes:
        """Bytes of a hex template; `{name}` stands for a kept value."""
        return bytes.fromhex(NAME.sub(lambda match: bytes(self.values[match[1]]).hex(), template))

    def note(self, en: str, zh: str) -> None:
        """Something observed, for the report."""
        self.observed.append(Text(en, zh))

    # What the steps share

    def select(self) -> bytes:
        """SELECT the purse, or what else the kind's catalogue is about; its FCI."""
        return self.ok(self.kind.home)

    def lent(self) -> Keys:
        """The card's keys."""
        if self.keys is None:
            raise NotRun("it needs the card's keys", "需要卡片密钥")
        return self.keys

    def lab(self) -> LabKeys:
        """The keys of a specimen that the laboratory holds itself; `NotRun` when a vault has them."""
        if not isinstance(self.keys, LabKeys):
            raise NotRun("it needs keys that no vault lends", "需要密钥库不提供的密钥")
        return self.keys

    def balance(self, sfi: int = EP) -> int:
        """The balance by GET BALANCE, without overdraft where the card tells it apart."""
        answer = self.send(f"805C03{sfi:02X}04")
        raw = answer.data if answer.ok else self.ok(f"805C00{sfi:02X}04")
        return int.from_bytes(raw, "big") & 0x7FFF_FFFF

    def record(self, sfi: int, number: int) -> bytes | None:
        """A record, None when there is none."""
        answer = self.send(Command(0x00, 0xB2, number, sfi << 3 | 4, le=256).encode())
        return answer.data if answer.ok else None

    def purse(self, sfi: int = EP) -> Purse:
        """All that the card tells of a purse just now; ends an open transaction."""
        debit = f"8050{3 if sfi == EP else 1:02X}{sfi:02X}0B"
        opened = self.send(debit + "{index} 00000000 {terminal} 0F")
        offline = int.from_bytes(opened.data[4:6], "big") if opened.ok else None
        load = f"805000{sfi:02X}0B"
        opened = self.send(load + "{index} 00000001 {terminal} 10")
        if not opened.ok:  # at the cap nothing can be added
            opened = self.send(load + "{index} 00000000 {terminal} 10")
        online = int.from_bytes(opened.data[4:6], "big") if opened.ok else None
        files = (self.kind.log, self.kind.transit, self.kind.industry)
        kept = [
            tuple(self.record(file, number) or b"" if file else b"" for number in (1, 2)) for file in files
        ]
        return Purse(self.balance(sfi), offline, online, *kept)


def public_file(field_: Field, kind: Kind = T_UNION) -> bytes:
    """The public file of the card in the field, from its FCI or EF15 itself; empty when it has none."""
    if not kind.public:
        return b""
    guard = Guard(field_)
    guard.connect()
    public: bytes | None
    try:
        answer = Response.decode(guard(kind.home))
        if kind.follows and answer.sw >> 8 == 0x61:
            answer = Response.decode(guard(bytes((0x00, 0xC0, 0x00, 0x00, answer.sw & 0xFF))))
        public = find(answer.data, *FCI_PUBLIC)
        if public is None or len(public) < tunion.PUBLIC.size:
            public = Response.decode(guard(bytes((0x00, 0xB0, 0x80 | kind.public, 0x00, 0x1E)))).data
    except (TlvError, ApduError):
        return b""
    return public if len(public) >= tunion.PUBLIC.size else b""


def card_factors(field_: Field, kind: Kind = T_UNION) -> tuple[bytes, ...]:
    """The path to a card's keys; empty when the card has no public file."""
    public = public_file(field_, kind)
    if not public:
        return ()
    if kind is not T_UNION:
        return mohurd.factors(public)
    return tunion.issuer_factor(public), tunion.card_factor(public)


def identity(field_: Field, kind: Kind = T_UNION) -> tuple[str, str]:
    """Answer to reset and number of the card in the field, in hex digits; dashes where it tells none."""
    try:
        atr = field_.connect().hex(" ").upper()
        public = public_file(field_, kind)
    except CardGone:
        return "-", "-"
    return atr, public[slice(*kind.serial)].hex() or "-"
