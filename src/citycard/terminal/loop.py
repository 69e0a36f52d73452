# SPDX-License-Identifier: Apache-2.0
"""The tap loop: read, check, decide, remember, debit, prove, record; and the same for loads.

A card that was torn away in mid-debit leaves an open intent. When it comes again it is asked first what
became of that debit; if it was made, the tap is told as accepted and nothing is debited a second time.
Refusals are checked in the order of `Refusal`, each as soon as it can be known, so that a card that is
refused is asked as little as possible.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from citycard.core.dialogue import (
    CARD,
    SAM,
    CardGone,
    CardView,
    Dialogue,
    DialogueError,
    Opened,
    Order,
    Receipt,
    Refused,
    Unproven,
    block_card,
    close_purchase,
    converse,
    identify,
    open_purchase,
    read_kind,
    read_memory,
    sam_terminal,
)
from citycard.core.layout import LayoutError
from citycard.core.problem import declare
from citycard.core.purse import BALANCE_MAX
from citycard.core.record import RECORD, Flag, Kind, TapRecord
from citycard.core.refusal import Refusal
from citycard.core.tunion import MODE_METRO, TRANSIT
from citycard.services import REGISTRY
from citycard.services.card_state import Site, read_state, write_state
from citycard.services.contract import Event, Grant, Rights, Service, State, Tap
from citycard.terminal.host import LoadHost
from citycard.terminal.journal import Intent, Journal
from citycard.terminal.link import Link
from citycard.terminal.loading import loading, tell_host
from citycard.terminal.parameters import Parameters
from citycard.terminal.recovery import Recovery
from citycard.terminal.result import Outcome, TapResult, of_record, refused

STALE_AFTER: Final = timedelta(days=1)  # parameters older than this mark the record OFFLINE
OFFLINE, TEST = Flag.OFFLINE.value, Flag.TEST.value  # as numbers: every tap adds them up
LEFT: Final = TRANSIT.span("balance_after_fen")
RECENT_MAX: Final = 256  # cards remembered for the passback window: more than pass a gate in a minute
ROUNDS_MAX: Final = 2  # a fare that changes with the balance is opened once more, not for ever

SAM_ALIEN = declare(
    "SAM_ALIEN",
    "The security module is of terminal {found}, this is terminal {terminal}. Put in the right module.",
    "安全模块属于终端 {found}，本终端为 {terminal}，请更换正确的模块。",
)
SAM_SILENT = declare(
    "SAM_SILENT",
    "The security module does not say whose it is: {why}. Check that it is in place.",
    "安全模块未给出终端号：{why}。请检查模块是否插好。",
)


class Sam(Protocol):
    """A PSAM: command to response."""

    def process(self, command: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class TerminalConfig:
    """Who a terminal is and where it stands: `terminal` 6 bytes, `acquirer` 8 bytes, `service` a code.

    `passback_s`: the same card again this soon is refused. `recovery_s`: a torn tap of this age at most is
    told as accepted when it turns out to have been made; an older one is recorded and the tap is a new one.
    """

    terminal: bytes
    acquirer: bytes
    service: int
    line: int = 0
    station: int = 0
    city: str = "0000"
    passback_s: int = 5
    recovery_s: int = 600
    key_index: int = 1
    batch_key_version: int = 1
    block_hotlisted: bool = False
    test: bool = False

    def __post_init__(self) -> None:
        if len(self.terminal) != 6 or len(self.acquirer) != 8:
            raise ValueError("a terminal number has 6 bytes and an acquirer 8")


class Terminal:
    """One terminal: a card reader, a PSAM, a journal, a clock and the parameters it was told.

    `parameters` may be replaced between two taps. One thread at a time. Problems of the journal's disk are
    raised; whatever a card or PSAM answers becomes a result.
    """

    def __init__(
        self,
        config: TerminalConfig,
        sam: Sam,
        journal: Journal,
        clock: Callable[[], datetime],
        parameters: Parameters,
    ) -> None:
        self.config = config
        self.sam = sam
        self.journal = journal
        self.clock = clock
        self.parameters = parameters
        self._site = Site(config.acquirer, config.city)
        self._recent: OrderedDict[str, tuple[Event, datetime]] = OrderedDict()
        self._sent = False  # whether this presentation has come to DEBIT or CREDIT
        self._recovery = Recovery(journal)

    def start(self) -> None:
        """Check that the PSAM is this terminal's. Problems: SAM_ALIEN, SAM_SILENT."""
        try:
            found = converse(sam_terminal(), {SAM: self.sam.process})
        except DialogueError as breach:
            raise SAM_SILENT(why=breach) from None
        if isinstance(found, Refused):
            raise SAM_SILENT(why=found)
        if found != self.config.terminal:
            raise SAM_ALIEN(found=found.hex(), terminal=self.config.terminal.hex())

    def tap(self, link: Link, event: Event, amount_fen: int = 0) -> TapResult:
        """A card is presented for a service; `amount_fen` is the list price where the merchant keys it in."""
        config = self.config
        at = self.clock().replace(microsecond=0)
        tap = Tap(at, event, config.line, config.station, config.terminal, amount_fen)
        return self._present(link, self._tap(tap))

    def load(self, link: Link, amount_fen: int, host: LoadHost) -> TapResult:
        """A card is presented to be credited by `amount_fen`; the host allows it and is told how it ended."""
        if not 0 < amount_fen <= BALANCE_MAX:
            return TapResult(Outcome.REFUSED, Refusal.AMOUNT_INVALID)
        result = self._present(link, loading(self, self._recovery, host, amount_fen))
        tell_host(self.journal, host)
        return result

    def sent(self) -> None:
        """From here on a card that leaves may have been debited or credited."""
        self._sent = True

    def _present(self, link: Link, dialogue: Dialogue[TapResult]) -> TapResult:
        self.journal.check_room()
        if self.config.terminal in self.parameters.distrusted:
            return TapResult(Outcome.REFUSED, Refusal.SAM_HOTLISTED)
        self._sent = False
        try:
            link.connect()
            return converse(dialogue, {CARD: link, SAM: self.sam.process})
        except CardGone as gone:
            return TapResult(Outcome.TORN, detail=str(gone))
        except LayoutError as misfit:  # before DEBIT: the intent could not be written
            return TapResult(Outcome.REFUSED, Refusal.CARD_FAULT, detail=str(misfit))
        except DialogueError as breach:
            if self._sent:
                return TapResult(Outcome.TORN, detail=str(breach))
            theirs = breach.fields["party"] == SAM
            refusal = Refusal.SAM_FAULT if theirs else Refusal.UNREADABLE
            return TapResult(Outcome.REFUSED, refusal, detail=str(breach))

    # One tap

    def _tap(self, tap: Tap) -> Dialogue[TapResult]:
        view = yield from identify()
        if isinstance(view, Refused):
            return refused(view)
        earlier = yield from self._earlier(view, tap)
        if earlier is not None:
            return earlier
        refusal = self.admit(view, tap.at)
        if refusal is not None:
            if refusal is Refusal.HOTLISTED and self.config.block_hotlisted:
                yield from block_card(view.issuer, view.pan)
            return TapResult(Outcome.REFUSED, refusal, pan=view.pan)
        service = REGISTRY.get(self.config.service)
        tariff = self.parameters.tariffs.get(self.config.service)
        if service is None or tariff is None:
            return TapResult(Outcome.REFUSED, Refusal.SERVICE_UNKNOWN, pan=view.pan)
        if self._just_here(view.pan, tap):
            return TapResult(Outcome.REFUSED, Refusal.TAPPED_TWICE, pan=view.pan)
        known = yield from self._read(view, service)
        if isinstance(known, Refused):
            return refused(known, view.pan)
        return (yield from self._charge(tap, known, service, tariff))

    def _read(self, view: CardView, service: Service) -> Dialogue[CardView | Refused]:
        if service.composite:
            return (yield from read_memory(view, service.mode == MODE_METRO))
        kind = yield from read_kind()
        return kind if isinstance(kind, Refused) else CardView(view.public, kind)

    def _charge(self, tap: Tap, view: CardView, service: Service, tariff: Any) -> Dialogue[TapResult]:
        """Decide, open the purse at that price, decide again with the true balance, debit.

        The balance comes with the purse's answer. Until then the card's newest ride tells what is left, if
        nothing was loaded since: when that is enough and turns out true, the decision stands.
        """
        rights = Rights(view.card_class, view.issuer, view.public["valid_until"])
        told = int.from_bytes(view.newest[LEFT], "big") if view.newest else 0
        state = read_state(view.metro, view.newest, told)
        decision = service.decide(tap, rights, state, tariff)
        if isinstance(decision, Refusal):
            state = replace(state, balance_fen=BALANCE_MAX)
            decision = service.decide(tap, rights, state, tariff)
        for _ in range(ROUNDS_MAX):
            if isinstance(decision, Refusal):
                return TapResult(Outcome.REFUSED, decision, pan=view.pan)
            order = self._order(tap, view, service, decision)
            opened = yield from open_purchase(order)
            if isinstance(opened, Refused):
                return refused(opened, view.pan)
            if state.balance_fen != opened.balance_fen:
                state = State(state.journey, state.last, opened.balance_fen)
                decision = service.decide(tap, rights, state, tariff)
            if isinstance(decision, Grant) and decision.fare.charged_fen == order.amount_fen:
                return (yield from self._debit(tap, order, opened, view, (service, state, decision)))
        if isinstance(decision, Refusal):
            return TapResult(Outcome.REFUSED, decision, pan=view.pan)
        return TapResult(
            Outcome.REFUSED, Refusal.NO_FARE, pan=view.pan, detail="the fare follows the balance"
        )

    def _order(self, tap: Tap, view: CardView, service: Service, grant: Grant) -> Order:
        config = self.config
        return Order(
            grant.fare.charged_fen,
            config.terminal,
            tap.at,
            view.issuer,
            view.pan,
            service.composite,
            config.key_index,
        )

    def _debit(
        self, tap: Tap, order: Order, opened: Opened, view: CardView, decided: tuple[Service, State, Grant]
    ) -> Dialogue[TapResult]:
        service, state, grant = decided
        try:  # what the card told of a journey may be nonsense that fits no record
            staged = write_state(service, grant, tap, state, self._site, opened.counter)
        except LayoutError as misfit:
            return TapResult(Outcome.REFUSED, Refusal.CARD_FAULT, pan=view.pan, detail=str(misfit))
        intents: list[Intent] = []

        def remember(terminal_txn: int) -> None:
            raw = self._record(tap, order, opened, view, grant, terminal_txn)
            intents.append(self.journal.intend(Intent(self.journal.next_intent, tap.event.value, raw)))
            self._recovery.sam_number = terminal_txn
            self._sent = True

        self._recovery.sam_number = 0  # whatever the PSAM remembered, it forgets now
        receipt = yield from close_purchase(order, opened, staged, remember)
        if isinstance(receipt, Receipt):
            self._recovery.sam_number = 0
            raw = self.journal.record(intents[0], receipt.tac, receipt.mac2)
            self._seen(view.pan, tap)
            return TapResult(Outcome.ACCEPTED, raw=raw, fare=grant.fare, pan=view.pan)
        if isinstance(receipt, Unproven):
            doubted = receipt.why.party == SAM
            return TapResult(
                Outcome.REFUSED if doubted else Outcome.TORN,
                receipt.why.refusal,
                pan=view.pan,
                detail=str(receipt.why),
            )
        for intent in intents:
            self.journal.void(intent)
        return refused(receipt, view.pan)

    def _record(
        self, tap: Tap, order: Order, opened: Opened, view: CardView, grant: Grant, terminal_txn: int
    ) -> bytes:
        """The record this tap will be, but for its sequence, MAC2 and TAC."""
        config, parameters, fare, entry = self.config, self.parameters, grant.fare, grant.closes
        return RECORD.encode(
            kind=Kind.PURCHASE,
            service=config.service,
            txn=order.txn,
            counter=opened.counter,
            issuer=view.issuer,
            pan=view.pan,
            acquirer=config.acquirer,
            terminal=config.terminal,
            tapped_at=tap.at,
            balance_before_fen=opened.balance_fen,
            amount_fen=order.amount_fen,
            algorithm=opened.algorithm,
            key_version=opened.key_version,
            card_class=view.card_class,
            tariff_version=parameters.tariff_version(config.service),
            flags=grant.flags.value | self.flags(tap.at),
            terminal_txn=terminal_txn,
            list_fen=fare.list_fen,
            concession_fen=fare.concession_fen,
            transfer_fen=fare.transfer_fen,
            surcharge_fen=fare.surcharge_fen,
            line=config.line,
            station=config.station,
            entry_line=entry.line if entry else 0,
            entry_station=entry.station if entry else 0,
            entry_at=entry.at if entry else None,
            entry_terminal=entry.terminal if entry else bytes(6),
            hotlist_version=parameters.hotlist.version,
        )

    # What taps and loads share

    def admit(self, view: CardView, at: datetime) -> Refusal | None:
        """Whether this card may be served here at all, by its public file and our lists."""
        public, today = view.public, at.date()
        if view.issuer not in self.parameters.issuers:
            return Refusal.ISSUER_NOT_ACCEPTED
        if public["enabled"] != 1:
            return Refusal.NOT_ENABLED
        if public["valid_from"] is not None and today < public["valid_from"]:
            return Refusal.NOT_YET_VALID
        if public["valid_until"] is None or today > public["valid_until"]:
            return Refusal.EXPIRED
        if view.pan in self.parameters.hotlist.pans:
            return Refusal.HOTLISTED
        return None

    def flags(self, at: datetime) -> int:
        """What is particular about this terminal just now, as bits of `Flag`."""
        confirmed_at = self.parameters.confirmed_at
        flags = TEST if self.config.test else 0
        if confirmed_at is None or at - confirmed_at > STALE_AFTER:
            flags |= OFFLINE
        return flags

    def _seen(self, pan: str, tap: Tap) -> None:
        """Remember an accepted tap for the passback window."""
        self._recent[pan] = (tap.event, tap.at)
        self._recent.move_to_end(pan)
        if len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)

    def _just_here(self, pan: str, tap: Tap) -> bool:
        event, at = self._recent.get(pan, (None, tap.at))
        return event is tap.event and tap.at - at < timedelta(seconds=self.config.passback_s)

    def _earlier(self, view: CardView, tap: Tap) -> Dialogue[TapResult | None]:
        """Settle what this card left open; the result to tell when that was this very tap."""
        told = self._recovery.untold(view.pan, tap.event.value, tap.amount_fen, tap.at)
        if told is not None:
            self._seen(view.pan, tap)
            return of_record(told)
        if not self.journal.intents:
            return None
        settled = yield from self._recovery.settle(view)
        if isinstance(settled, Refused):
            return refused(settled, view.pan)
        since = tap.at - timedelta(seconds=self.config.recovery_s)
        for intent, raw in settled:
            if intent.event == tap.event.value and TapRecord.decode(raw).tapped_at >= since:
                self._seen(view.pan, tap)
                return of_record(raw)
        return None
