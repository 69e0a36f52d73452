# SPDX-License-Identifier: Apache-2.0
"""What happens when a card meets a terminal in the lab: the dialogues of the field, each byte kept.

The card can be torn away at any exchange, before the command arrives or before its answer does. The
transaction that was open then is asked about when the card comes back, as terminals do. Randomness, time and
keys are given; nothing here knows Django.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import shake_256
from typing import Final

from citycard.core import tunion
from citycard.core.calendar import bcd_datetime
from citycard.core.card import PROFILES, Card, PowerLost, blank_card
from citycard.core.dialogue import (
    CARD,
    SAM,
    CardGone,
    CardView,
    Dialogue,
    Fate,
    KeySlot,
    Loaded,
    Order,
    Receipt,
    Refused,
    Torn,
    Unproven,
    close_load,
    close_purchase,
    converse,
    identify,
    key_slots,
    open_load,
    open_purchase,
    personalise,
    read_kind,
    read_memory,
    recover,
)
from citycard.core.purse import BALANCE_MAX, Txn
from citycard.core.refusal import Refusal
from citycard.core.trace import said_lines
from citycard.core.tunion import MODE_METRO
from citycard.keys import (
    KeyName,
    LoadAsked,
    LoadSam,
    MemoryCounter,
    MemoryVault,
    Psam,
    card_factors,
    scheme_ceremony,
)
from citycard.office.taplab.posts import Post, tariff
from citycard.services.card_state import Site, read_state, write_state
from citycard.services.contract import Decision, Grant, Rights, State, Tap

ISSUER: Final = bytes.fromhex("02009900FFFFFFFF")
PAN: Final = "03199009000000000017"
CITY: Final = "9900"
YEARS: Final = 10
PROFILES_HERE: Final = tuple(  # the terminals of the lab speak with a T-Union purse
    name for name, one in PROFILES.items() if any(part.name == tunion.AID_PURSE for part in one.directories)
)
ROUNDS_MAX: Final = 2  # as at a real gate: once more when the balance changes the fare
ACCEPTED, REFUSED, TORN = "accepted", "refused", "torn"
Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Tear:
    """When the card is torn away: at which exchange (from 0), and whether it still hears the command."""

    step: int
    heard: bool


@dataclass(frozen=True, slots=True)
class Open:
    """A transaction whose end the terminal has not seen, as its journal keeps it."""

    post: str
    txn: int
    counter: int
    terminal: bytes
    at: datetime
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a presentation ended; `recovered` when it told of a debit or load made before a tear."""

    outcome: str
    refusal: Refusal | None = None
    amount_fen: int = 0
    balance_fen: int = 0
    recovered: bool = False
    asked: Fate | None = None  # what the card told of the transaction that was open


@dataclass(slots=True)
class Told:
    """All of a presentation."""

    ended: Ended
    talk: str
    open: Open | None


def make_vault(seed: bytes, algorithm: int) -> MemoryVault:
    """The lab's keys: generated, and the same again from the same seed."""
    drawn = [0]

    def draw(size: int) -> bytes:
        drawn[0] += 1
        return shake_256(seed + drawn[0].to_bytes(4, "big")).digest(size)

    vault = MemoryVault(random=draw)
    vault.import_key(KeyName.TRANSPORT, algorithm, 1, draw(16))
    scheme_ceremony(vault, (algorithm,))
    return vault


def transport_key(seed: bytes) -> bytes:
    """The key in the lab's blank cards: the first that `make_vault` draws."""
    return shake_256(seed + (1).to_bytes(4, "big")).digest(16)


def make_card(
    vault: MemoryVault,
    seed: bytes,
    profile: str,
    card_class: int,
    at: datetime,
    *,
    algorithm: int,
    random: Random,
) -> Card | Refused:
    """A card of a profile, personalised with the lab's keys."""
    card = blank_card(PROFILES[profile], transport_key(seed), random, algorithm)
    card.power_on()
    path = card_factors(ISSUER, PAN)

    def wrap(slot: KeySlot, header: bytes, challenge: bytes) -> tuple[bytes, bytes]:
        under = (KeyName.TRANSPORT, 1, ())
        return vault.wrap_card_key(slot.name, 1, path, under, slot.head, header, challenge, suite=algorithm)

    def authenticate(name: str, challenge: bytes) -> bytes:
        factors = () if name == KeyName.TRANSPORT else path
        return vault.external_authentication(name, 1, factors, challenge, suite=algorithm)

    files = {
        tunion.SFI_PUBLIC: tunion.PUBLIC.encode(
            issuer=ISSUER, app_type=2, enabled=1, pan=PAN,
            valid_from=at.date(), valid_until=at.date() + timedelta(days=365 * YEARS),
        ),
        tunion.SFI_HOLDER: tunion.HOLDER.encode(),
        tunion.SFI_KIND: tunion.CARD_KIND.encode(province=CITY, city=CITY, card_class=card_class),
    }  # fmt: skip
    refused = converse(personalise(files, wrap, authenticate, key_slots(1, algorithm)), {CARD: card.process})
    return card if refused is None else refused


class Field:
    """The reader's field: power, bytes, and a tear; what passes is kept as a text dialogue."""

    def __init__(self, card: Card, tear: Tear | None) -> None:
        self.lines: list[str] = []
        self._card = card
        self._tear = tear
        self._step = 0

    def present(self) -> None:
        """The card comes into the field."""
        self.lines.append(f"* {self._card.power_on().hex().upper()}")

    def card(self, command: bytes) -> bytes:
        """One exchange with the card."""
        step, tear = self._step, self._tear
        self._step += 1
        torn = tear is not None and tear.step == step
        answer: bytes | None = None
        if not torn or (tear is not None and tear.heard):
            try:
                answer = self._card.process(command)
            except PowerLost:
                torn = True
        self.lines += said_lines(CARD, command.hex().upper(), None if torn else answer)
        if torn or answer is None:
            raise CardGone(f"the card left at exchange {step}")
        return answer

    def sam(self, psam: Psam) -> Callable[[bytes], bytes]:
        """Exchanges with the PSAM, kept as well."""

        def exchange(command: bytes) -> bytes:
            answer = psam.process(command)
            self.lines += said_lines(SAM, command.hex().upper(), answer)
            return answer

        return exchange


@dataclass(slots=True)
class Stage:
    """A card, its keys and the terminals' common counter, at one moment."""

    vault: MemoryVault
    card: Card
    at: datetime
    counter: MemoryCounter = field(default_factory=MemoryCounter)
    open: Open | None = None

    def tap(self, post: Post, amount_fen: int, tear: Tear | None = None) -> Told:
        """Present the card once."""
        field_ = Field(self.card, tear)
        psam = Psam(self.vault, post.number, self.counter)
        try:
            field_.present()
            dialogue = self._presented(post, amount_fen)
            ended = converse(dialogue, {CARD: field_.card, SAM: field_.sam(psam)})
        except CardGone:
            ended = Ended(TORN)
        self.card.power_off()
        return Told(ended, "\n".join(field_.lines) + "\n", self.open)

    def _presented(self, post: Post, amount_fen: int) -> Dialogue[Ended]:
        view = yield from identify()
        if isinstance(view, Refused):
            return Ended(REFUSED, view.refusal)
        asked: Fate | None = None
        if self.open is not None:
            before = self.open
            torn = Torn(before.txn, before.counter, before.terminal, before.at, before.amount_fen)
            found = yield from recover(torn, sam_remembers=False)
            if isinstance(found, Refused):
                return Ended(REFUSED, found.refusal)
            asked, self.open = found.fate, None
            if asked in (Fate.PROVEN, Fate.LOGGED) and before.post == post.key:
                return Ended(ACCEPTED, amount_fen=before.amount_fen, recovered=True, asked=asked)
        if post.service is None:
            ended = yield from self._load(post, view, amount_fen)
        else:
            ended = yield from self._sell(post, view, amount_fen)
        return replace(ended, asked=asked)

    def _load(self, post: Post, view: CardView, amount_fen: int) -> Dialogue[Ended]:
        opened = yield from open_load(amount_fen, post.number)
        if isinstance(opened, Refused):
            return Ended(REFUSED, opened.refusal)
        asked = LoadAsked(view.issuer, view.pan, post.number, amount_fen, opened.raw)
        moment = bcd_datetime(self.at)
        mac2 = LoadSam(self.vault).approve(asked, moment)
        if mac2 is None:
            return Ended(REFUSED, Refusal.OFFICE_REFUSED)
        self.open = Open(post.key, Txn.EP_LOAD, opened.counter, post.number, self.at, amount_fen)
        loaded = yield from close_load(opened, moment + mac2)
        if isinstance(loaded, Unproven):
            return Ended(TORN, loaded.why.refusal)
        self.open = None
        if isinstance(loaded, Loaded):
            return Ended(ACCEPTED, amount_fen=amount_fen, balance_fen=opened.balance_fen + amount_fen)
        return Ended(REFUSED, loaded.refusal)

    def _sell(self, post: Post, view: CardView, amount_fen: int) -> Dialogue[Ended]:
        """Decide, open the purse at that price, decide again with the balance it tells, debit."""
        service = post.service
        assert service is not None
        known = yield from (
            read_memory(view, service.mode == MODE_METRO) if service.composite else _with_kind(view)
        )
        if isinstance(known, Refused):
            return Ended(REFUSED, known.refusal)
        tap = Tap(self.at, post.event, post.line, post.station, post.number, amount_fen)
        rights = Rights(known.card_class, known.issuer, known.public["valid_until"])
        state = read_state(known.metro, known.newest, BALANCE_MAX)

        def decide(state: State) -> Decision:
            return service.decide(tap, rights, state, tariff(service, self.at.date()))

        decision = decide(state)
        for _ in range(ROUNDS_MAX):
            if isinstance(decision, Refusal):
                return Ended(REFUSED, decision)
            order = Order(
                decision.fare.charged_fen, post.number, self.at, known.issuer, known.pan, service.composite
            )
            opened = yield from open_purchase(order)
            if isinstance(opened, Refused):
                return Ended(REFUSED, opened.refusal)
            state = replace(state, balance_fen=opened.balance_fen)
            decision = decide(state)
            if isinstance(decision, Grant) and decision.fare.charged_fen == order.amount_fen:
                site = Site(post.acquirer, CITY)
                staged = write_state(service, decision, tap, state, site, opened.counter)
                kept = Open(post.key, order.txn, opened.counter, post.number, self.at, order.amount_fen)
                receipt = yield from close_purchase(order, opened, staged, partial(self._keep, kept))
                return self._receipt(receipt, order.amount_fen, opened.balance_fen)
        refusal = decision if isinstance(decision, Refusal) else Refusal.NO_FARE
        return Ended(REFUSED, refusal)

    def _keep(self, kept: Open, terminal_txn: int) -> None:
        """Right before DEBIT: from here on the terminal cannot know the end by itself."""
        self.open = kept

    def _receipt(self, receipt: Receipt | Refused | Unproven, fen: int, balance_fen: int) -> Ended:
        if isinstance(receipt, Unproven):
            return Ended(TORN, receipt.why.refusal)
        self.open = None
        if isinstance(receipt, Refused):
            return Ended(REFUSED, receipt.refusal)
        return Ended(ACCEPTED, amount_fen=fen, balance_fen=balance_fen - fen)


def _with_kind(view: CardView) -> Dialogue[CardView | Refused]:
    kind = yield from read_kind()
    return kind if isinstance(kind, Refused) else CardView(view.public, kind)
