# SPDX-License-Identifier: Apache-2.0
"""Migration: the money of an M1 card goes to a CPU card, exactly once, whatever breaks in between.

    OPEN ----> FROZEN ----> OWED ----> LOADED ----> EMPTIED ----> CLOSED
       mark       office      load       M1 to zero     mark
       on the M1  takes over  on the CPU card

The mark on the M1 card is the write-ahead intent: from then on it pays for nothing, and the mark says what it
promised. Its id follows from both cards and the sum, so the same two cards give the same migration, and a
third one is refused. The office takes the sum off the old card's account and owes it to the new one; the
load is an ordinary one whose fate the CPU card proves. Only then is the M1 card emptied. Running the dialogue
again with the two cards continues from wherever it stopped; a terminal needs to remember nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final, Protocol

from citycard.core.calendar import from_bcd_datetime
from citycard.core.dialogue import m1 as purse
from citycard.core.dialogue.exchange import CARD, HOST, Dialogue, Refused
from citycard.core.dialogue.load import LoadOpened, close_load, open_load
from citycard.core.dialogue.m1 import M1Order, M1View, MarkFields, Sectors
from citycard.core.dialogue.purchase import Unproven
from citycard.core.dialogue.read import CardView, identify, read_log
from citycard.core.dialogue.recover import Fate, prove
from citycard.core.purse import Txn
from citycard.core.refusal import Refusal
from citycard.core.storage import m1
from citycard.core.storage.m1 import M1Keys, Mark

OLD: Final = "old"  # the party that is the M1 card
LOAD_ROUNDS_MAX: Final = 3  # a load that was torn is proven, and at most one more is tried


class Stage(StrEnum):
    """How far a migration has come."""

    OPEN = "open"
    FROZEN = "frozen"
    OWED = "owed"
    LOADED = "loaded"
    EMPTIED = "emptied"
    CLOSED = "closed"


NEXT: Final = {
    Stage.OPEN: Stage.FROZEN,
    Stage.FROZEN: Stage.OWED,
    Stage.OWED: Stage.LOADED,
    Stage.LOADED: Stage.EMPTIED,
    Stage.EMPTIED: Stage.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One migration: which card's money goes where, and how much; its `id` follows from that."""

    old_uid: bytes
    old_pan: str
    old_counter: int
    issuer: bytes  # of the new card
    new_pan: str
    amount_fen: int

    @property
    def id(self) -> bytes:
        """Six bytes that only these two cards at this balance have."""
        numbers = self.old_counter.to_bytes(2, "big") + self.amount_fen.to_bytes(4, "big")
        text = f"{self.old_pan}/{self.new_pan}/".encode()
        return sha256(b"migration/" + text + self.old_uid + numbers).digest()[: m1.MIGRATION_ID_SIZE]


@dataclass(frozen=True, slots=True)
class Offer:
    """The office's leave to load: its name of the load, and what the card is sent (date, time, MAC2)."""

    load_id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ProveFirst:
    """The office gave an offer before and never heard: what became of it? All the card needs to tell."""

    load_id: str
    counter: int
    terminal: bytes
    moment: bytes  # seven BCD bytes


@dataclass(frozen=True, slots=True)
class AlreadyLoaded:
    """The office has the proof of the load."""


Standing = ProveFirst | AlreadyLoaded | None


def frozen_mark(case: Case) -> bytes:
    """What the mark of a frozen card says, without its MAC."""
    values = {"counter": case.old_counter, "migration": case.id, "amount_fen": case.amount_fen}
    return m1.MARK.encode(mark=Mark.FROZEN, **values)[: -m1.MAC_SIZE]


class MigrationHost(Protocol):
    """The office's side (`office.cards.migration`). Every call may be repeated; a Refusal changes nothing."""

    def agree(self, case: Case) -> Refusal | None:
        """Whether both cards are such that the migration can be carried out; nothing is kept."""
        ...

    def take_over(self, case: Case, proof: bytes) -> Refusal | None:
        """The old card is frozen, and the MAC of its mark proves it: the sum is owed to the new card now."""
        ...

    def standing(self, case: Case) -> Standing | Refusal:
        """What the office knows of an earlier load for this migration; None: no such load counts."""
        ...

    def begin(self, case: Case, opened: LoadOpened, terminal: bytes) -> Offer | Refusal:
        """The new card asks for the sum."""
        ...

    def credited(self, case: Case, load_id: str, tac: bytes) -> Refusal | None:
        """The new card has the sum; a TAC of zeros when only its log still tells so.

        NOT_PROVEN: the TAC is not that load's.
        """
        ...

    def absent(self, case: Case, load_id: str, counter: int) -> Refusal | None:
        """The new card, with this online counter, never had that load."""
        ...


@dataclass(frozen=True, slots=True)
class Migrated:
    """The money is on the new card and the old one is empty."""

    case: Case


def migrate(
    keys: M1Keys,
    host: MigrationHost,
    terminal: bytes,
    at: datetime,
    reached: Callable[[Stage], None] = lambda stage: None,
) -> Dialogue[Migrated | Refused]:
    """Carry a migration out, or on, with the M1 card as party `old` and the CPU card as party `card`.

    Refused before the M1 card is frozen: nothing has changed. Refused later: run it again. A frozen card that
    is promised to another CPU card gives CARD_BLOCKED, as does one whose money has gone.
    """
    old = yield from purse.read_purse(keys, OLD)
    if isinstance(old, Refused):
        return old
    new = yield from identify()
    if isinstance(new, Refused):
        return new
    case, proof = _case(old, new), old.marked.mac if old.marked else bytes(m1.MAC_SIZE)
    if old.marked is None and old.balance_fen:
        frozen = yield from _freeze(keys, old, case, host, terminal)
        if isinstance(frozen, Refused):
            return frozen
        proof = frozen.mac
    else:
        refusal = _elsewhere(old, case, host)
        if refusal:
            return Refused(refusal, OLD, "READ 10")
    reached(Stage.FROZEN)
    refusal = host.take_over(case, proof)
    if refusal:
        return Refused(refusal, HOST, "TAKE OVER")
    reached(Stage.OWED)
    refused = yield from _load(host, case, terminal)
    if refused:
        return refused
    reached(Stage.LOADED)
    refused = yield from _empty(keys, case, M1Order(Txn.UNLOAD, case.amount_fen, terminal, at), reached)
    return refused or Migrated(case)


def _case(old: M1View, new: CardView) -> Case:
    """The migration that this card has begun, or would begin now."""
    counter, amount_fen = old.counter, old.balance_fen
    if old.marked:
        counter, amount_fen = old.marked.counter, old.marked.amount_fen
    elif not old.balance_fen and old.states and old.states[0].txn == Txn.UNLOAD:
        counter, amount_fen = old.states[0].counter - 1, old.states[0].amount_fen  # its last mark was torn
    return Case(old.uid, old.pan, counter, new.issuer, new.pan, amount_fen)


def _elsewhere(old: M1View, case: Case, host: MigrationHost) -> Refusal | None:
    """Why a card that is frozen or empty is not on its way to this new card."""
    if old.marked:
        promised = old.marked.mark == Mark.FROZEN and old.marked.migration == case.id
        return None if promised and old.balance_fen in (0, case.amount_fen) else Refusal.CARD_BLOCKED
    standing = host.standing(case) if case.amount_fen else None
    if isinstance(standing, Refusal):
        return standing
    return None if isinstance(standing, AlreadyLoaded) else Refusal.CARD_BLOCKED


def _freeze(
    keys: M1Keys, old: M1View, case: Case, host: MigrationHost, terminal: bytes
) -> Dialogue[MarkFields | Refused]:
    """Ask the office and the new card whether it can be done, then write the mark and see it written."""
    refusal = host.agree(case)
    if refusal:
        return Refused(refusal, HOST, "AGREE")
    opened = yield from open_load(case.amount_fen, terminal)  # the card says no here when it has no room
    if isinstance(opened, Refused):
        return opened
    refused = yield from purse.mend(Sectors(keys, old.uid, party=OLD), old)
    if refused:
        return refused
    mark = MarkFields(Mark.FROZEN, case.old_counter, case.id, case.amount_fen)
    refused = yield from purse.set_mark(keys, old.uid, mark, OLD)
    if refused:
        return refused
    seen = yield from purse.read_purse(keys, OLD)
    if isinstance(seen, Refused):
        return seen
    if seen.marked is None or (seen.uid, seen.balance_fen) != (old.uid, case.amount_fen):
        return Refused(Refusal.UNREADABLE, OLD, "READ 10")
    return seen.marked


def _load(host: MigrationHost, case: Case, terminal: bytes) -> Dialogue[Refused | None]:
    """Bring the sum onto the new card once; None when the office has the proof."""
    why = _VOID
    for _ in range(LOAD_ROUNDS_MAX):
        before = host.standing(case)
        if isinstance(before, Refusal):
            return Refused(before, HOST, "STANDING")
        if isinstance(before, AlreadyLoaded):
            return None
        if before is None:
            answer = yield from _credit(host, case, terminal)
        else:
            answer = yield from _prove(host, case, before)
        if not isinstance(answer, _Again):
            return answer
        why = answer.why
    return why


@dataclass(frozen=True, slots=True)
class _Again:
    """Not known yet, or proven not to be: ask once more."""

    why: Refused


_VOID: Final = Refused(Refusal.NOT_PROVEN, CARD, "GET TRANSACTION PROVE")


def _credit(host: MigrationHost, case: Case, terminal: bytes) -> Dialogue[Refused | _Again | None]:
    opened = yield from open_load(case.amount_fen, terminal)
    if isinstance(opened, Refused):
        return opened
    offer = host.begin(case, opened, terminal)
    if isinstance(offer, Refusal):
        return Refused(offer, HOST, "BEGIN")
    loaded = yield from close_load(opened, offer.data)
    if isinstance(loaded, Unproven):
        return _Again(loaded.why)
    if isinstance(loaded, Refused):
        refusal = host.absent(case, offer.load_id, opened.counter)
        return Refused(refusal, HOST, "ABSENT") if refusal else loaded
    return _told(host.credited(case, offer.load_id, loaded.tac), "CREDITED")


def _prove(host: MigrationHost, case: Case, before: ProveFirst) -> Dialogue[Refused | _Again | None]:
    """Ask the card what became of an earlier load: its proof, its counter, at last its log."""
    found = yield from prove(Txn.EP_LOAD, before.counter)
    if isinstance(found, Refused):
        return found
    if found.fate is Fate.PROVEN:
        refusal = host.credited(case, before.load_id, found.tac)
        if refusal is not Refusal.NOT_PROVEN:
            return _told(refusal, "CREDITED")
        # The proof is of another load, to which the card gave the same counter: the log will tell.
    opened = yield from open_load(0, before.terminal)  # tells the counter; nothing is loaded
    if isinstance(opened, Refused):
        return opened
    if opened.counter != before.counter:
        rows = yield from read_log()
        if isinstance(rows, Refused):
            return rows
        loads = [row for row in rows if row["txn"] == Txn.EP_LOAD and row["counter"] == before.counter]
        if not loads:
            return Refused(Refusal.NOT_PROVEN, CARD, "READ LOG")  # too long ago: people must look
        wanted = (case.amount_fen, before.terminal, from_bcd_datetime(before.moment))
        if (loads[0]["amount_fen"], loads[0]["terminal"], loads[0]["at"]) == wanted:
            return _told(host.credited(case, before.load_id, bytes(4)), "CREDITED")
    return _told(host.absent(case, before.load_id, before.counter), "ABSENT") or _Again(_VOID)


def _told(refusal: Refusal | None, name: str) -> Refused | None:
    return Refused(refusal, HOST, name) if refusal else None


def _empty(
    keys: M1Keys, case: Case, order: M1Order, reached: Callable[[Stage], None]
) -> Dialogue[Refused | None]:
    """Take the sum off the M1 card, unless that was done, and close it."""
    old = yield from purse.read_purse(keys, OLD)
    if isinstance(old, Refused):
        return old
    if old.uid != case.old_uid:
        return Refused(Refusal.UNKNOWN_CARD, OLD, "GET UID")
    sectors = Sectors(keys, old.uid, party=OLD)
    if old.balance_fen:
        done = yield from purse.move(sectors, old, order, lambda receipt: None)
        if isinstance(done, Unproven):
            return done.why
        if isinstance(done, Refused):
            return done
    else:
        refused = yield from purse.mend(sectors, old)
        if refused:
            return refused
    reached(Stage.EMPTIED)
    closed = MarkFields(Mark.CLOSED, case.old_counter, case.id, case.amount_fen)
    refused = yield from purse.set_mark(keys, old.uid, closed, OLD)
    if refused is None:
        reached(Stage.CLOSED)
    return refused
