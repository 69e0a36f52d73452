# SPDX-License-Identifier: Apache-2.0
"""A card under watch: any bytes drive it, and what must always hold is checked after every command.

`drive(data)` reads a story out of any byte string: which card, then steps - a command of the table with odd
parameters, raw bytes, a command under a right MAC, an honest transaction, power off and on, power cut in
the middle of a write. Hypothesis and the coverage-guided fuzzer both feed it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random

from citycard.core.apdu import SW, Command
from citycard.core.card import (
    CONTACT,
    FMCOS,
    MOHURD,
    MULTI,
    T_UNION,
    T_UNION_DUAL,
    Card,
    PowerLost,
    Traits,
    made_card,
    raw_card,
)
from citycard.core.card.body import NO_CAP, Body, read_body
from citycard.core.card.os import COMMANDS
from citycard.core.card.spec import DirectorySpec, Profile, PurseSpec
from citycard.core.crypto import SUITES
from citycard.core.purse import Txn
from tests.core.card.issuer import CASH, COMPOSITE, LOAD, OVERDRAFT, PIN, PURCHASE, UNLOAD, Issuer, key_of

STEPS_MAX = 24  # in one story
DATA_MAX = 60  # bytes of data in a formed command: enough for every command, few enough to search
PIECE = 6  # bytes of a key that no answer may hold
WORDS = frozenset(SW)
CODES = sorted(COMMANDS)
JOURNAL_HEAD = 64
LES = (None, 1, 4, 8, 15, 16, 19, 256)


def _everything() -> Profile:
    """A card that knows all there is: deposit, purse, second ticket, PIN, every trait but T=0."""
    old = CONTACT.directories[1]
    purses = (
        PurseSpec(0x0001, NO_CAP, 0x18),
        PurseSpec(0x0002, 100_000, 0x18),
        PurseSpec(0x0003, 9_000, 0x18),
    )
    application: DirectorySpec = replace(
        old, purses=purses, files=(*old.files, *MULTI.directories[3].files[1:])
    )
    traits = (
        Traits.BALANCES | Traits.BLOCK_TOLD | Traits.EP_CREDIT | Traits.TWO_TICKETS | Traits.DUAL_ALGORITHM
    )
    return replace(CONTACT, directories=(CONTACT.directories[0], application), traits=traits | Traits.SM4)


PROFILES = (T_UNION, T_UNION_DUAL, MOHURD, MULTI, CONTACT, _everything(), FMCOS)


@cache
def _image(number: int) -> bytes:
    profile = PROFILES[number]
    if not profile.directories:
        return raw_card(profile, Random(number).randbytes).image()
    return made_card(profile, key_of, {}, Random(number).randbytes).image()


@cache
def _secrets(number: int) -> tuple[bytes, ...]:
    """Pieces of all keys of a card."""
    keys = [
        key_of(spec, key) for spec in PROFILES[number].directories for key in spec.keys if key.name != "pin"
    ]
    return tuple(key[at : at + PIECE] for key in keys for at in (0, 8))


_CARDS: dict[int, Card] = {}


def _card(number: int) -> Card:
    """A fresh card; the last one again when its cells are as new, for that saves parsing them."""
    last = _CARDS.get(number)
    if last is not None and last.image() == _image(number):
        last.memory.fuse = None
        return last
    _CARDS[number] = Card.from_image(_image(number), Random(1).randbytes)
    return _CARDS[number]


@dataclass
class Watched:
    """A card, the issuer of one of its applications, and what was last seen of its purses."""

    number: int
    counter: Issuer = field(init=False)
    bodies: dict[int, Body] = field(default_factory=dict)
    honest: bool = False  # whoever acts now may move money
    cut_at: int = -1  # the write at which power is cut in the next command

    def __post_init__(self) -> None:
        card = _card(self.number)
        card.power_on()
        profile = PROFILES[self.number]
        spec = profile.directories[-1 if profile is not MULTI else 1] if profile.directories else None
        self.counter = Issuer(card, SUITES[0], spec)
        self.counter.card = self  # type: ignore[assignment]  # so that every command is watched
        self.card = card
        self.look()

    def process(self, command: bytes) -> bytes:
        """The card's answer, checked; after a cut the card is on again and the answer is 6F00."""
        card = self.card
        if self.cut_at >= 0:
            count = iter(range(1_000_000))
            card.memory.fuse = lambda at, old, new: b"torn" if next(count) == self.cut_at else None
        try:
            answer = card.process(command)
        except PowerLost:
            card.memory.fuse, self.cut_at = None, -1
            card.power_on()
            self.look(torn=True)
            return b"\x6f\x00"
        card.memory.fuse, self.cut_at = None, -1
        self.check(command, answer)
        return answer

    def check(self, command: bytes, answer: bytes) -> None:
        """A status word of the card's, data only with success, no key; and `look`."""
        sw = int.from_bytes(answer[-2:], "big")
        assert sw in WORDS or sw >> 8 in (0x61, 0x6C) or sw & 0xFFF0 == 0x63C0, answer.hex()
        assert len(answer) == 2 or sw in (SW.OK, SW.FILE_INVALID) or sw >> 8 == 0x61, answer.hex()
        if len(answer) > PIECE:
            assert not any(secret in answer for secret in _secrets(self.number)), "a key went out"
        made = sw == SW.OK and command[1:2] in (b"\xe0", b"\x0e")
        self.look(made=made)

    def look(self, torn: bool = False, made: bool = False) -> None:
        """Balances within their bounds, counters never back, money moved only by who may, journal at rest."""
        chip = self.card._chip
        assert chip is not None
        assert not any(chip.memory.read(JOURNAL_HEAD, 8)), "the journal was left armed"
        seen: dict[int, Body] = {}
        for directory in chip.directories:
            for purse in directory.purses.values():
                body = read_body(chip.memory, purse)
                assert -body.overdraft_fen <= body.balance_fen <= body.cap_fen, body
                before = self.bodies.get(purse.body)
                if before is not None and not made:
                    assert body.online >= before.online, "a counter went back"
                    assert body.offline >= before.offline, "a counter went back"
                    assert body == before or self.honest or torn, "money moved without a proof"
                seen[purse.body] = body
        self.bodies = seen

    def finish(self) -> None:
        """The cells are still a card, and the same one as the chip believes it is."""
        if self.card.image() == _image(self.number):
            return
        copy = Card.from_image(self.card.image(), Random(1).randbytes)
        copy.power_on()
        assert copy._chip is not None
        assert self.card._chip is not None
        assert copy._chip.tree.nodes.keys() == self.card._chip.tree.nodes.keys()
        mine = [(d.name, d.life, d.keys, sorted(d.files)) for d in self.card._chip.directories]
        assert [(d.name, d.life, d.keys, sorted(d.files)) for d in copy._chip.directories] == mine

    # Steps

    def formed(self, raw: bytes) -> int:
        """A command of the table with parameters from the story; how many bytes that took."""
        code, p1, p2, size, le = raw[:5]
        data = raw[5 : 5 + size % (DATA_MAX + 1)]
        code = CODES[code % len(CODES)]
        self.process(Command(code >> 8, code & 0xFF, p1, p2, data, LES[le % len(LES)]).encode())
        return 5 + len(data)

    def secured(self, raw: bytes) -> int:
        """A command with a right MAC under one of the application's keys, its data enciphered or not."""
        code, p1, p2, size, how = raw[:5]
        data = raw[5 : 5 + size % (DATA_MAX + 1)]
        spec = self.counter.spec
        code = [c for c in CODES if c & 0x0400][code % sum(1 for c in CODES if c & 0x0400)]
        if spec is not None:
            names = [key.name for key in spec.keys if key.type in (0x36, 0x37, 0x39)]
            key, head = self.counter.key(names[how % len(names)]), f"{code:04X}{p1:02X}{p2:02X}"
            if len(self.process(bytes.fromhex("0084000004"))) == 6:
                send = self.counter.enciphered if how & 0x80 else self.counter.secured
                self._try(lambda: self.process(send(head, data, key)))
        return 5 + len(data)

    def truly(self, choice: int, amount_fen: int) -> None:
        """An honest step of a holder, a terminal or an issuer; it may be refused, never wrong."""
        counter, traits = self.counter, self.card.traits
        if counter.spec is None or traits & Traits.T0:
            return
        ways: list[Callable[[], object]] = [
            lambda: counter.enter(),
            lambda: counter.ok(Command(0x00, 0x20, 0, 0, PIN)),
            lambda: counter.authenticate(counter.key("control")),
            lambda: counter.fill(amount_fen),
            lambda: counter.fill(amount_fen, 1, Txn.ED_LOAD),
            lambda: counter.pay(amount_fen),
            lambda: counter.pay(amount_fen, PURCHASE, 1, Txn.ED_PURCHASE),
            lambda: counter.pay(amount_fen, CASH, 1, Txn.CASH),
            lambda: counter.pay(amount_fen, COMPOSITE, 2, Txn.COMPOSITE),
            lambda: counter.take_back(amount_fen),
            lambda: counter.take_back(amount_fen, 1),
            lambda: counter.limit(amount_fen),
            lambda: counter.limit(amount_fen, 1),
            lambda: counter.fill(amount_fen, ticket=0x10),
            lambda: counter.pay(amount_fen, PURCHASE | 0x10),
            lambda: counter.ok(
                counter.start((LOAD, PURCHASE, COMPOSITE, OVERDRAFT, UNLOAD)[amount_fen % 5], amount_fen)
            ),
        ]
        self.honest = True
        self._try(ways[choice % len(ways)])
        self.honest = False

    @staticmethod
    def _try(do: Callable[[], object]) -> None:
        """Do it; a refusal, or the wrong MAC of a card that works with its other suite, is no fault."""
        try:
            do()
        except (AssertionError, StopIteration, OverflowError) as refused:
            if _of_the_card(refused):
                raise


def _of_the_card(fault: Exception) -> bool:
    """Whether it came out of the card, or of the watch over it; not of the conversation with it."""
    told = fault.__traceback__
    while told is not None:
        code = told.tb_frame.f_code
        if code.co_name in ("check", "look", "finish") or "citycard/core/card" in code.co_filename:
            return True
        told = told.tb_next
    return False


def drive(data: bytes) -> Watched | None:
    """Play the story in `data` to the end."""
    if not data:
        return None
    card, at = Watched(data[0] % len(PROFILES)), 1
    for _ in range(STEPS_MAX):
        raw = data[at:]
        if len(raw) < 6:
            break
        kind, raw = raw[0] % 8, raw[1:]
        at += 1
        if kind < 3:
            at += card.formed(raw)
        elif kind == 3:
            size = raw[0] % 64
            card.process(raw[1 : 1 + size])
            at += 1 + size
        elif kind == 4:
            card.truly(raw[0], raw[1] << 4)
            at += 2
        elif kind == 5:
            at += card.secured(raw)
        elif kind == 6:
            card.card.power_on()
            card.look()
            at += 1
        else:
            card.cut_at = raw[0] % 48
            at += 1
    if len(data) > at:
        card.process(data[at:])
    card.finish()
    return card
