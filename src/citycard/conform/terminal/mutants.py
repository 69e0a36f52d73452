# SPDX-License-Identifier: Apache-2.0
"""Mutant terminals: for each scenario one terminal with the defect that the judge must see in its records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, Final

from citycard.conform.terminal.load_host import LaboratoryHost
from citycard.conform.terminal.own import ACQUIRER, PLACES, OwnTerminals
from citycard.conform.terminal.played import DEBIT, PlayedCard
from citycard.core.dialogue import CardGone, CardView
from citycard.core.record import Kind, TapRecord
from citycard.core.refusal import Refusal
from citycard.keys import LoadAsked, Psam, Vault
from citycard.terminal import Hotlist, Link, Outcome, Parameters, TapResult, Terminal
from citycard.terminal.loop import Sam

PATIENCE_S: Final = 0.3


def _edited(change: Callable[[list[TapRecord]], list[TapRecord]]) -> type[OwnTerminals]:
    """A terminal that delivers other records than it made."""

    class Edited(OwnTerminals):
        def records(self) -> list[TapRecord]:
            return change(super().records())

    return Edited


def _last(**values: Any) -> Callable[[list[TapRecord]], list[TapRecord]]:
    return lambda records: [*records[:-1], replace(records[-1], **values)]


def _twice(records: list[TapRecord]) -> list[TapRecord]:
    return [*records, replace(records[-1], sequence=records[-1].sequence + 1)]


def _mixed_up(records: list[TapRecord]) -> list[TapRecord]:
    """The numbers of two cards changed places."""
    pans = sorted({record.pan for record in records})
    return [replace(record, pan=pans[record.pan == pans[0]]) for record in records]


def _stale_balance(records: list[TapRecord]) -> list[TapRecord]:
    """The balance is what the transit file tells: nothing was paid elsewhere."""
    exits = [record for record in records if record.entry_at is not None]
    entries = {record.pan: record.balance_before_fen for record in records if not record.amount_fen}
    return [
        replace(record, balance_before_fen=entries[record.pan]) if record in exits else record
        for record in records
    ]


class Phantom(OwnTerminals):
    """Records a tap although it was refused or torn."""

    outcomes: ClassVar[frozenset[Outcome]] = frozenset({Outcome.REFUSED})

    def tap(self, place: str, card: PlayedCard) -> TapResult:
        result = super().tap(place, card)
        if result.outcome in self.outcomes:
            self.made = [*getattr(self, "made", []), self._phantom(place, card)]
        return result

    def records(self) -> list[TapRecord]:
        return super().records() + getattr(self, "made", [])

    def _phantom(self, place: str, card: PlayedCard) -> TapRecord:
        number, service, _, _, amount_fen = PLACES[place]
        journal = self.terminals[place].journal
        return TapRecord(
            kind=Kind.PURCHASE, service=service, txn=6, counter=0xFFFE, issuer=bytes(8), pan=card.pan,
            acquirer=ACQUIRER, terminal=number, sequence=len(journal.records()) + 1, tapped_at=self.now,
            balance_before_fen=amount_fen, amount_fen=amount_fen, tac=bytes(4),
        )  # fmt: skip


class PhantomTorn(Phantom):
    """Records a torn tap at once, and the same tap when it comes again."""

    outcomes = frozenset({Outcome.TORN})


class TrustsIntent(OwnTerminals):
    """What it meant to debit it takes for debited."""

    def records(self) -> list[TapRecord]:
        made = super().records()
        for terminal in self.terminals.values():
            made += [replace(intent.record, sequence=99) for intent in terminal.journal.intents.values()]
        return made

    def tap(self, place: str, card: PlayedCard) -> TapResult:
        result = super().tap(place, card)
        journal = self.terminals[place].journal
        for intent in list(journal.intents.values()):
            journal.record(intent, bytes(4))
        return result


class Forgets(OwnTerminals):
    """Forgets a torn transaction before the next tap."""

    def tap(self, place: str, card: PlayedCard) -> TapResult:
        for terminal in self.terminals.values():
            for intent in list(terminal.journal.intents.values()):
                if self.forgotten(intent.record, card):
                    terminal.journal.void(intent)
        return super().tap(place, card)

    def forgotten(self, record: TapRecord, card: PlayedCard) -> bool:
        """Whether this one."""
        return True


class ForgetsOthers(Forgets):
    """Another card makes it forget what a card left open."""

    def forgotten(self, record: TapRecord, card: PlayedCard) -> bool:
        return record.pan != card.pan


class ForgetsLater(Forgets):
    """Asks the card once what happened; torn again, it forgets."""

    asked = 0

    def forgotten(self, record: TapRecord, card: PlayedCard) -> bool:
        self.asked += 1
        return self.asked > 1


class Sulks(OwnTerminals):
    """Takes a card that was torn away for served, and does not serve it again."""

    torn = ""

    def tap(self, place: str, card: PlayedCard) -> TapResult:
        if card.pan == self.torn:
            self.torn = ""
            return TapResult(Outcome.REFUSED, Refusal.TAPPED_TWICE)
        result = super().tap(place, card)
        self.torn = card.pan if result.outcome is Outcome.TORN else ""
        return result


def _admits(*refusals: Refusal) -> type[OwnTerminals]:
    """A terminal that does not look at one property of a card."""

    class Blind(Terminal):
        def admit(self, view: CardView, at: datetime) -> Refusal | None:
            refusal = super().admit(view, at)
            return None if refusal in refusals else refusal

    class Admits(OwnTerminals):
        kind = Blind

    return Admits


class NoHotlist(OwnTerminals):
    """Never got the hotlist."""

    def parameters(self) -> Parameters:
        return replace(super().parameters(), hotlist=Hotlist(1))


class NoMinimum(OwnTerminals):
    """Lets in whoever has any money."""

    def parameters(self) -> Parameters:
        told = super().parameters()
        metro = PLACES["enter"][1]
        tariff = told.tariffs[metro].model_copy(update={"entry_minimum_fen": 0})
        return replace(told, tariffs={**told.tariffs, metro: tariff})


class TakesTheRest(OwnTerminals):
    """Takes what is left when it is not enough."""

    def tap(self, place: str, card: PlayedCard) -> TapResult:
        result = super().tap(place, card)
        if result.refusal is not Refusal.INSUFFICIENT_BALANCE:
            return result
        _, _, _, event, amount_fen = PLACES[place]
        assert event is not None
        return self.terminals[place].tap(self.link(card.present(())), event, amount_fen - 1)


class NoPassback(OwnTerminals):
    """Charges a card that lies on the reader again."""

    passback_s = 0


class ChargesAnyway(OwnTerminals):
    """A refused passenger pays at the shop instead."""

    def tap(self, place: str, card: PlayedCard) -> TapResult:
        result = super().tap(place, card)
        if result.outcome is Outcome.REFUSED and place != "pay":
            return super().tap("pay", card.present(()))
        return result


class _Trusting:
    """A security module that finds every MAC2 right."""

    def __init__(self, psam: Psam) -> None:
        self._psam = psam

    def process(self, command: bytes) -> bytes:
        """Ask the true module, but for MAC2."""
        return b"\x90\x00" if command[:2] == b"\x80\x72" else self._psam.process(command)


class NoMac2(OwnTerminals):
    """Does not check MAC2."""

    def sam(self, psam: Psam) -> Sam:
        return _Trusting(psam)


class _Wire:
    """A wire that alters what the terminal hears."""

    def __init__(self, card: PlayedCard, change: Callable[[PlayedCard, bytes, bytes], bytes]) -> None:
        self._card, self._change = card, change

    def connect(self) -> bytes:
        """Power the card."""
        return self._card.connect()

    def __call__(self, command: bytes) -> bytes:
        """One exchange."""
        return self._change(self._card, command, self._card(command))


def _hears(
    change: Callable[[PlayedCard, bytes, bytes], bytes], base: type[OwnTerminals] = OwnTerminals
) -> type[OwnTerminals]:
    """A terminal that understands some answers differently."""

    class Hears(base):  # type: ignore[valid-type, misc]
        def link(self, card: PlayedCard) -> Link:
            return _Wire(card, change)

    return Hears


def _pads(card: PlayedCard, command: bytes, answer: bytes) -> bytes:
    """A short answer to DEBIT is filled up with zeros."""
    short = command.hex().startswith(DEBIT) and answer[-2:] == b"\x90\x00" and len(answer) < 10
    return answer[:-2].rjust(8, b"\x00") + answer[-2:] if short else answer


def _nothing_happened(card: PlayedCard, command: bytes, answer: bytes) -> bytes:
    """Any error to DEBIT is taken for a refusal."""
    wrong = command.hex().startswith(DEBIT) and answer[-2:] != b"\x90\x00"
    return b"\x93\x02" if wrong else answer


def _impatient(card: PlayedCard, command: bytes, answer: bytes) -> bytes:
    """Does not wait for a slow card at DEBIT, and never asks it again."""
    if card.delay_s > PATIENCE_S and command.hex().startswith(DEBIT):
        raise CardGone("no answer in time")
    return answer


class TrustingHost(LaboratoryHost):
    """A host that does not check MAC1."""

    def approve(self, asked: LoadAsked, moment: bytes) -> bytes | None:
        flipped = asked.answer[:15] + bytes((asked.answer[15] ^ 1,))
        return super().approve(asked, moment) or super().approve(replace(asked, answer=flipped), moment)


class NoMac1(OwnTerminals):
    """Loads whatever the card says of itself."""

    def load_host(self, vault: Vault) -> LaboratoryHost:
        return TrustingHost(vault, lambda: self.now)


MUTANTS: Final[dict[str, type[OwnTerminals]]] = {
    "TT-GOO-001": _edited(lambda records: records[:-1]),
    "TT-GOO-002": _edited(_twice),
    "TT-GOO-003": _edited(lambda records: _last(sequence=records[-1].sequence + 1)(records)),
    "TT-GOO-004": _edited(lambda records: _last(amount_fen=records[-1].amount_fen - 100)(records)),
    "TT-GOO-005": _edited(_mixed_up),
    "TT-GOO-006": _edited(_stale_balance),
    "TT-TOR-001": PhantomTorn,
    "TT-TOR-002": Sulks,
    "TT-TOR-003": TrustsIntent,
    "TT-TOR-004": Forgets,
    "TT-TOR-005": Sulks,
    "TT-TOR-006": TrustsIntent,
    "TT-TOR-007": Forgets,
    "TT-TOR-008": PhantomTorn,
    "TT-TOR-009": Sulks,
    "TT-TOR-010": TrustsIntent,
    "TT-TOR-011": Forgets,
    "TT-TOR-012": ForgetsLater,
    "TT-TOR-013": ForgetsOthers,
    "TT-TOR-014": PhantomTorn,
    "TT-TOR-015": Sulks,
    "TT-TOR-016": PhantomTorn,
    "TT-TOR-017": Sulks,
    "TT-REF-001": NoHotlist,
    "TT-REF-002": _admits(Refusal.EXPIRED),
    "TT-REF-003": _admits(Refusal.NOT_YET_VALID),
    "TT-REF-004": _admits(Refusal.NOT_ENABLED),
    "TT-REF-005": _admits(Refusal.ISSUER_NOT_ACCEPTED),
    "TT-REF-006": TakesTheRest,
    "TT-REF-007": NoMinimum,
    "TT-REF-008": Phantom,
    "TT-REF-009": Phantom,
    "TT-REF-010": Phantom,
    "TT-REF-011": NoPassback,
    "TT-REF-012": ChargesAnyway,
    "TT-REF-013": ChargesAnyway,
    "TT-STR-001": NoMac2,
    "TT-STR-002": Phantom,
    "TT-STR-003": Phantom,
    "TT-STR-004": TrustsIntent,
    "TT-STR-005": Forgets,
    "TT-STR-006": _hears(_pads, NoMac2),
    "TT-STR-007": Forgets,
    "TT-STR-008": _hears(_nothing_happened),
    "TT-STR-009": Forgets,
    "TT-STR-010": _hears(_impatient),
    "TT-STR-011": Phantom,
    "TT-STR-012": Phantom,
    "TT-LOA-001": _edited(lambda records: records[:-1]),
    "TT-LOA-002": _edited(lambda records: [replace(record, balance_before_fen=0) for record in records]),
    "TT-LOA-003": Sulks,
    "TT-LOA-004": TrustsIntent,
    "TT-LOA-005": Forgets,
    "TT-LOA-006": NoMac1,
    "TT-LOA-007": Phantom,
    "TT-LOA-008": NoHotlist,
}
