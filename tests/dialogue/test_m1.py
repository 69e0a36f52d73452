# SPDX-License-Identifier: Apache-2.0
"""The purse on an M1 card: reader and chip on one wire, the wire cut at every write, against a small model."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from citycard.core.card import PowerLost
from citycard.core.dialogue import m1 as dialogue
from citycard.core.dialogue.exchange import Refused
from citycard.core.dialogue.m1 import M1Order, M1Receipt, MarkFields
from citycard.core.purse import Txn
from citycard.core.storage import ClassicCard, m1
from tests.dialogue.storage_cast import (
    ISSUER,
    KEYS,
    NOON,
    PAN,
    ROOT,
    UID,
    Cutter,
    issued,
    order,
    run,
    sam,
    view_of,
)


def test_a_card_is_issued_loaded_debited_and_read() -> None:
    card = issued(1_000)
    assert run(card, dialogue.load(KEYS, order(5_000, Txn.EP_LOAD))).after_fen == 6_000
    receipt = run(card, dialogue.debit(KEYS, order(200, at=NOON + timedelta(minutes=5))))
    assert (receipt.counter, receipt.before_fen, receipt.after_fen) == (2, 6_000, 5_800)
    view = view_of(card)
    assert (view.balance_fen, view.pan, view.info["issuer"], view.torn) == (5_800, PAN, ISSUER, False)
    assert view.states[0].mac == receipt.mac
    rows = run(card, dialogue.read_log(KEYS))
    assert [(row["counter"], row["txn"], row["amount_fen"], row["at"]) for row in rows] == [
        (2, Txn.EP_PURCHASE, 200, NOON + timedelta(minutes=5)),
        (1, Txn.EP_LOAD, 5_000, NOON),
    ]


def test_what_is_refused() -> None:
    card = issued(100)

    def refused(conversation) -> str:
        answer = run(card, conversation)
        assert isinstance(answer, Refused)
        return answer.refusal.code

    before = card.image()
    assert refused(dialogue.debit(KEYS, order(101))) == "INSUFFICIENT_BALANCE"
    assert refused(dialogue.debit(KEYS, order(0))) == "AMOUNT_INVALID"
    assert refused(dialogue.load(KEYS, order(m1.BALANCE_MAX_FEN, Txn.EP_LOAD))) == "PURSE_CAP"
    assert refused(dialogue.read_purse(sam(ROOT[::-1]))) == "UNKNOWN_CARD"
    assert card.image() == before
    run(card, dialogue.set_mark(KEYS, UID, MarkFields(m1.Mark.FROZEN, 0, b"123456", 100)))
    assert refused(dialogue.debit(KEYS, order(1))) == "CARD_BLOCKED"
    assert refused(dialogue.load(KEYS, order(1, Txn.EP_LOAD))) == "CARD_BLOCKED"


def test_keys_differ_by_card_sector_and_letter_and_a_copied_card_is_known() -> None:
    keys = {
        KEYS.sector_key(uid, sector, which)
        for uid in (UID, UID[::-1])
        for sector in m1.SECTORS
        for which in "AB"
    }
    assert len(keys) == 20
    assert "storage" in repr(KEYS) and KEYS.sector_key(UID, 1, "A").hex() not in repr(KEYS)
    original, copy = issued(5_000), issued(100, UID[::-1])
    for block in (*m1.INFO_BLOCKS, *m1.STATE_BLOCKS):
        copy._write_cells(block, original.cells(block))
    answer = run(copy, dialogue.read_purse(KEYS))
    assert isinstance(answer, Refused) and answer.refusal.code == "UNKNOWN_CARD"


def test_a_debit_terminal_cannot_raise_the_balance() -> None:
    card = issued(1_000)
    sectors = dialogue.Sectors(KEYS, UID)
    for attempt in (
        sectors.value(m1.BALANCE_BLOCK, 0x01, 500),
        sectors.write(m1.BALANCE_BLOCK, m1.STATE.encode()),
        sectors.write(m1.MARK_BLOCK, bytes(16)),
        sectors.write(4, bytes(16)),
    ):
        assert isinstance(run(card, attempt), Refused)
    assert view_of(card).balance_fen == 1_000


@pytest.mark.parametrize("cut", range(0, 36, 2))
def test_issuing_again_after_a_cut_between_two_blocks(cut: int) -> None:
    """A cut within a trailer may cost the sector, as on the real chip; between two blocks it costs nothing."""
    card = ClassicCard.blank(UID)
    card.power_on()
    card.memory.fuse = Cutter(cut, "old")
    make = {"pan": PAN, "issuer": ISSUER, "valid_until": date(2030, 12, 31), "balance_fen": 700}
    with pytest.raises(PowerLost):
        run(card, dialogue.issue(KEYS, **make))
    card.memory.fuse = None
    card.power_on()
    assert run(card, dialogue.issue(KEYS, **make)).balance_fen == 700


# Cuts of power


@pytest.mark.parametrize("left", ["old", "new", "half", "blank", b"garbage!"])
@pytest.mark.parametrize("txn", [Txn.EP_PURCHASE, Txn.EP_LOAD])
def test_a_card_torn_at_any_write_has_paid_once_or_not_at_all(left: str | bytes, txn: Txn) -> None:
    image = issued(1_000).image()
    after_fen = 1_200 if txn == Txn.EP_LOAD else 800
    act = dialogue.load if txn == Txn.EP_LOAD else dialogue.debit
    outcomes = []
    for cut in range(8):
        card = ClassicCard.from_image(image)
        card.power_on()
        card.memory.fuse = Cutter(cut, left)
        kept: list[M1Receipt] = []
        with pytest.raises(PowerLost):
            run(card, act(KEYS, order(200, txn), kept.append))
        card.memory.fuse = None
        card.power_on()
        done = run(card, dialogue.recover(KEYS, order(200, txn), kept[0]))
        view = view_of(card)
        assert (view.balance_fen, view.torn) == (after_fen if done else 1_000, False)
        if done:
            assert [row["counter"] for row in run(card, dialogue.read_log(KEYS))] == [1]
        assert run(card, dialogue.debit(KEYS, order(view.balance_fen))).after_fen == 0
        outcomes.append(done)
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {False, True}


@pytest.mark.parametrize("left", ["half", b"garbage!"])
def test_two_tears_one_after_the_other_cost_nothing(left: str | bytes) -> None:
    """The second terminal mends before it begins: the backup must not be older than one transaction."""
    image = issued(1_000).image()
    for first in range(8):
        for second in range(8):
            card = ClassicCard.from_image(image)
            balances = {1_000}
            for cut in (first, second):
                card.power_on()
                card.memory.fuse = Cutter(cut, left)
                try:
                    run(card, dialogue.debit(KEYS, order(100, at=NOON + timedelta(seconds=cut))))
                except PowerLost:
                    card.memory.fuse = None
                card.power_on()
                balances = {b for known in balances for b in (known, known - 100)}
                found = view_of(card).balance_fen
                assert found in balances
                balances = {found}
            assert isinstance(run(card, dialogue.debit(KEYS, order(100))), M1Receipt)


def test_a_torn_debit_does_not_take_another_terminal_s_for_its_own() -> None:
    card = issued(1_000)
    card.memory.fuse = Cutter(0, b"garbage!")  # in the state record: its counter will be used again
    kept: list[M1Receipt] = []
    with pytest.raises(PowerLost):
        run(card, dialogue.debit(KEYS, order(200, terminal=1), kept.append))
    card.memory.fuse = None
    card.power_on()
    other = run(card, dialogue.debit(KEYS, order(200, terminal=2)))
    assert (other.counter, other.after_fen) == (kept[0].counter, kept[0].after_fen)
    assert run(card, dialogue.recover(KEYS, order(200, terminal=1), kept[0])) is False
    assert run(card, dialogue.recover(KEYS, order(200, terminal=2), other)) is True


LEFT = st.sampled_from(["old", "new", "half", "blank"]) | st.binary(min_size=8, max_size=8)


class TornPurse(RuleBasedStateMachine):
    """Loads and debits by several terminals, any of them torn; each terminal later asks what became of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.card = issued(1_000)
        self.balance_fen = 1_000
        self.waiting: list[tuple[M1Order, M1Receipt, bool]] = []  # torn ones, and what really happened
        self.clock = NOON

    def attempt(self, what: M1Order, cut: int | None, left: bytes | str) -> None:
        act = dialogue.load if what.txn == Txn.EP_LOAD else dialogue.debit
        kept: list[M1Receipt] = []
        self.card.memory.fuse = None if cut is None else Cutter(cut, left)
        try:
            answer = run(self.card, act(KEYS, what, kept.append))
        except PowerLost:
            answer = None
            self.card.memory.fuse = None
            self.card.power_on()
            view = view_of(self.card)
            assert view.balance_fen in (self.balance_fen, *(receipt.after_fen for receipt in kept))
            happened = view.balance_fen != self.balance_fen
            self.balance_fen = view.balance_fen
            if kept:
                self.waiting.append((what, kept[0], happened))
        self.card.memory.fuse = None
        if isinstance(answer, M1Receipt):
            self.balance_fen = answer.after_fen

    @rule(
        amount_fen=st.integers(1, 400),
        terminal=st.integers(1, 3),
        cut=st.none() | st.integers(0, 9),
        left=LEFT,
    )
    def debit(self, amount_fen: int, terminal: int, cut: int | None, left: bytes | str) -> None:
        self.clock += timedelta(seconds=1)
        self.attempt(order(amount_fen, Txn.EP_PURCHASE, self.clock, terminal), cut, left)

    @rule(
        amount_fen=st.integers(1, 400),
        terminal=st.integers(1, 3),
        cut=st.none() | st.integers(0, 9),
        left=LEFT,
    )
    def load(self, amount_fen: int, terminal: int, cut: int | None, left: bytes | str) -> None:
        self.clock += timedelta(seconds=1)
        self.attempt(order(amount_fen, Txn.EP_LOAD, self.clock, terminal), cut, left)

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        if not self.waiting:
            return
        what, receipt, happened = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        told = run(self.card, dialogue.recover(KEYS, what, receipt))
        assert told in (happened, None)
        if receipt.counter == view_of(self.card).counter:
            assert told is happened  # the newest is always known

    @invariant()
    def the_card_holds_what_the_model_says(self) -> None:
        assert view_of(self.card).balance_fen == self.balance_fen


TestTornPurse = TornPurse.TestCase
TestTornPurse.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
