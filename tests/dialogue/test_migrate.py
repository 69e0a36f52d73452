# SPDX-License-Identifier: Apache-2.0
"""M1 card, CPU card, terminal and office on one wire, killed at every step: no fen is lost, none is doubled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.core import purse
from citycard.core.card import Card, PowerLost
from citycard.core.crypto import TRIPLE_DES
from citycard.core.dialogue import m1 as m1_dialogue
from citycard.core.dialogue.exchange import CardGone, Refused, converse
from citycard.core.dialogue.load import LoadOpened
from citycard.core.dialogue.migrate import (
    NEXT,
    AlreadyLoaded,
    Case,
    Migrated,
    Offer,
    ProveFirst,
    Stage,
    Standing,
    frozen_mark,
    migrate,
)
from citycard.core.purse import Txn
from citycard.core.refusal import Refusal
from citycard.core.storage import ClassicCard
from tests.core.card.counter import LOAD, MOMENT, TAC, TERMINAL, Counter, personalised
from tests.dialogue.storage_cast import KEYS, NOON, Cutter, issued, order, view_of

SUM_FEN, CPU_FEN = 4_200, 1_000


class Killed(Exception):
    """The terminal, or the line to the office, died."""


@dataclass
class Load:
    case: bytes
    opened: LoadOpened
    terminal: bytes
    status: str = "pending"


@dataclass
class Office:
    """The office in memory: what each card's account holds, what is owed, which loads it allowed."""

    old_fen: int = SUM_FEN
    due_fen: int = 0
    taken: dict[bytes, Case] = field(default_factory=dict)
    loads: list[Load] = field(default_factory=list)
    before: Callable[[], None] = lambda: None  # may die before it hears, or after it answered
    after: Callable[[], None] = lambda: None

    def agree(self, case: Case) -> Refusal | None:
        self.before()
        others = [
            known for known in self.taken.values() if known.id != case.id and known.old_uid == case.old_uid
        ]
        self.after()
        return Refusal.OFFICE_REFUSED if others else None

    def take_over(self, case: Case, proof: bytes) -> Refusal | None:
        self.before()
        if case.id not in self.taken:
            assert proof == KEYS.record_mac(case.old_uid, frozen_mark(case))
            assert self.old_fen >= case.amount_fen, "taken over twice"
            self.taken[case.id] = case
            self.old_fen -= case.amount_fen
            self.due_fen += case.amount_fen
        self.after()
        return None

    def standing(self, case: Case) -> Standing:
        mine = [load for load in self.loads if load.case == case.id]
        if any(load.status == "posted" for load in mine):
            return AlreadyLoaded()
        for number, load in enumerate(self.loads):
            if load in mine and load.status == "pending":
                return ProveFirst(str(number), load.opened.counter, load.terminal, MOMENT)
        return None

    def begin(self, case: Case, opened: LoadOpened, terminal: bytes) -> Offer | Refusal:
        self.before()
        session = TRIPLE_DES.session_key(LOAD, purse.load_variable(opened.rand, opened.counter))
        assert self.standing(case) is None, "a load is open"
        self.loads.append(Load(case.id, opened, terminal))
        mac2 = TRIPLE_DES.session_mac(
            session, purse.load_mac2(case.amount_fen, Txn.EP_LOAD, terminal, MOMENT)
        )
        self.after()
        return Offer(str(len(self.loads) - 1), MOMENT + mac2)

    def credited(self, case: Case, load_id: str, tac: bytes) -> Refusal | None:
        self.before()
        load = self.loads[int(load_id)]
        opened = load.opened
        covered = purse.load_tac(
            opened.balance_fen + case.amount_fen,
            opened.counter,
            case.amount_fen,
            Txn.EP_LOAD,
            load.terminal,
            MOMENT,
        )
        if tac not in (TRIPLE_DES.tac(TAC, covered), bytes(4)):
            return Refusal.NOT_PROVEN
        if load.status == "pending":
            load.status = "posted"
            self.due_fen -= case.amount_fen
            assert self.due_fen >= 0
        self.after()
        return None

    def absent(self, case: Case, load_id: str, counter: int) -> Refusal | None:
        self.before()
        load = self.loads[int(load_id)]
        assert counter == load.opened.counter and load.status == "pending"
        load.status = "voided"
        self.after()
        return None


@dataclass
class Desk:
    """Both cards at a terminal."""

    old: ClassicCard = field(default_factory=lambda: issued(SUM_FEN))
    new: Counter = field(default_factory=lambda: cpu_card())
    office: Office = field(default_factory=Office)
    stages: list[Stage] = field(default_factory=list)

    def tap(self, kill_at: int | None = None, where: str = "before") -> Migrated | Refused | None:
        """Run the migration; None when something died at the exchange with that number."""
        count = [0]

        def step(moment: str) -> None:
            if kill_at is not None and moment == where and count[0] == kill_at:
                raise Killed

        def party(process: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
            def exchange(command: bytes) -> bytes:
                step("before")
                answer = process(command)
                step("after")
                count[0] += 1
                return answer

            return exchange

        def heard() -> None:
            step("after")
            count[0] += 1

        self.office.before, self.office.after = lambda: step("before"), heard
        self.old.power_on()
        self.new.card.power_on()
        self.stages = []
        parties = {"old": party(self.old.process), "card": party(self.new.card.process)}
        try:
            return converse(migrate(KEYS, self.office, TERMINAL, NOON, self.stages.append), parties)
        except (Killed, PowerLost, CardGone):
            return None

    def balances(self) -> tuple[int, int, bool]:
        """Old card, new card, and whether the old one still pays."""
        self.office.before = self.office.after = lambda: None
        self.old.power_on()
        self.new.card.power_on()
        self.new.select()
        view = view_of(self.old)
        return view.balance_fen, self.new.balance(), view.marked is None

    def is_sound(self) -> bool:
        """What can be spent is never more than there was, and what is owed covers the rest."""
        old_fen, new_fen, pays = self.balances()
        assert new_fen in (CPU_FEN, CPU_FEN + SUM_FEN)
        assert not (pays and old_fen and new_fen > CPU_FEN), "the money is there twice"
        assert old_fen + new_fen >= CPU_FEN + SUM_FEN, "money is nowhere"
        return True

    def is_done(self) -> bool:
        assert self.balances() == (0, CPU_FEN + SUM_FEN, False)
        assert (self.office.old_fen, self.office.due_fen) == (0, 0)
        return [load.status for load in self.office.loads].count("posted") == 1


def cpu_card() -> Counter:
    counter = personalised()
    counter.load(CPU_FEN)
    return counter


IMAGES = (issued(SUM_FEN).image(), cpu_card().card.image())


def desk() -> Desk:
    old, new = IMAGES
    return Desk(ClassicCard.from_image(old), Counter(Card.from_image(new, Random(5).randbytes)))


def exchanges() -> int:
    """How many exchanges an undisturbed migration has."""
    counting = desk()
    for number in range(200):
        if isinstance(desk().tap(number), Migrated):
            return number
    raise AssertionError(counting)


def test_the_money_moves_once() -> None:
    table = desk()
    answer = table.tap()
    assert isinstance(answer, Migrated)
    assert table.is_done()
    assert table.stages == list(Stage)[1:]
    assert all(NEXT[one] is other for one, other in pairwise(Stage))
    again = table.tap()
    assert isinstance(again, Refused) and again.refusal is Refusal.CARD_BLOCKED
    assert table.is_done()


@pytest.mark.parametrize("where", ["before", "after"])
def test_killed_at_every_exchange_and_run_again(where: str) -> None:
    steps = exchanges()
    assert steps > 40
    for number in range(steps):
        table = desk()
        assert table.tap(number, where) is None
        assert table.is_sound()
        answer = table.tap()
        assert isinstance(answer, Migrated) or (number == steps - 1 and where == "after")
        assert table.is_done()


@pytest.mark.parametrize("left", ["old", "half", b"garbage!", "new"])
@pytest.mark.parametrize("card", ["old", "new"])
def test_either_card_torn_at_every_write_and_run_again(card: str, left: str | bytes) -> None:
    torn = 0
    for cut in range(60):
        table = desk()
        memory = table.old.memory if card == "old" else table.new.card.memory
        memory.fuse = Cutter(cut, left)
        if isinstance(table.tap(), Migrated):
            break
        memory.fuse = None
        torn += 1
        assert table.is_sound()
        answer = table.tap()
        assert isinstance(answer, Migrated) or table.is_done()
        assert table.is_done()
    assert torn >= 10


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("life", ["travels", "loads"])
def test_killed_at_every_exchange_and_the_new_card_is_used_before_it_comes_again(
    where: str, life: str
) -> None:
    """The card's proof of the load is gone then; its log has it, or its counter tells that it never was."""
    for number in range(exchanges()):
        table = desk()
        assert table.tap(number, where) is None
        table.balances()
        if life == "loads":
            table.new.load(10)
        opened = table.new.ok(table.new.init_purchase(10))
        table.new.ok(table.new.debit(10, opened, Txn.EP_PURCHASE))
        table.tap()
        spent = 10 if life == "travels" else 0
        assert table.balances() == (0, CPU_FEN + SUM_FEN - spent, False)
        assert table.office.due_fen == 0


@settings(max_examples=60, deadline=None)
@given(
    kills=st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from(["before", "after"]), st.integers(0, 2)), max_size=6
    )
)
def test_killed_again_and_again_with_life_going_on_in_between(kills: list[tuple[int, str, int]]) -> None:
    """Between two attempts the CPU card travels (its proof of the load is gone then) or is loaded elsewhere."""
    table, spent, added = desk(), 0, 0
    for number, where, life in kills:
        table.tap(number, where)
        table.office.before = table.office.after = lambda: None
        table.new.card.power_on()
        table.new.select()
        if life == 1:
            opened = table.new.ok(table.new.init_purchase(10))
            table.new.ok(table.new.debit(10, opened, Txn.EP_PURCHASE))
            spent += 10
        if life == 2:
            table.new.load(50)
            added += 50
    answer = table.tap()
    old_fen, new_fen, _ = table.balances()
    assert (old_fen, new_fen) == (0, CPU_FEN + SUM_FEN - spent + added)
    assert table.office.due_fen == 0
    assert isinstance(answer, Migrated) or answer.refusal is Refusal.CARD_BLOCKED


def test_a_frozen_card_pays_for_nothing_and_goes_to_no_other_card() -> None:
    table = desk()
    number = next(n for n in range(100) if table.tap(n, "before") is None and not table.balances()[2])
    assert number
    refused = converse(m1_dialogue.debit(KEYS, order(1)), {"card": table.old.process})
    assert isinstance(refused, Refused) and refused.refusal is Refusal.CARD_BLOCKED
    thief = Desk(table.old, stranger(), table.office)
    refused = thief.tap()
    assert isinstance(refused, Refused) and refused.refusal is Refusal.CARD_BLOCKED
    assert isinstance(table.tap(), Migrated) and table.is_done()


def stranger() -> Counter:
    counter = personalised()
    counter.load(CPU_FEN)
    public = bytearray(counter.ok("00B0950000"))
    public[19] ^= 1
    counter.ok(counter.secured("04D69500", bytes(public)))
    return counter


def test_what_cannot_be_finished_is_not_begun() -> None:
    table = desk()
    table.new.card.power_on()
    table.new.select()
    table.new.load(100_000 - CPU_FEN - 1)
    before = table.old.image()
    refused = table.tap()
    assert isinstance(refused, Refused) and refused.refusal is Refusal.PURSE_CAP
    assert table.old.image() == before
    assert not table.office.taken
    empty = Desk(issued(0), cpu_card(), Office(old_fen=0))
    refused = empty.tap()
    assert isinstance(refused, Refused) and refused.refusal is Refusal.CARD_BLOCKED
