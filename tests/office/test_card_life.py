# SPDX-License-Identifier: Apache-2.0
"""Any sequence of verbs keeps a card to the table, the money whole, and the hotlist true at every version."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from citycard.office import audit, clock, ledger
from citycard.office.cards import hotlist, life, money, verbs
from citycard.office.cards.models import Card, CardEvent, Status
from citycard.office.cards.refusals import Why
from citycard.office.staff.roles import SYSTEM
from tests.office.conftest import (
    CLERK,
    ISSUER,
    OFFICER,
    StillClock,
    load,
    new_stock,
    open_issuer,
    person,
    ride,
)

CARDS = st.integers(0, 4)
ACTS = (
    "stock_in", "issue", "bind", "unbind", "query", "report_loss", "cancel_loss", "block", "unblock",
    "expire", "replace", "refund", "destroy",
)  # fmt: skip


class Counter(RuleBasedStateMachine):
    """A counter that tries anything. The model: each card's state and chip, and each version's hotlist."""

    def __init__(self) -> None:
        super().__init__()
        self.rollback = transaction.atomic()
        self.rollback.__enter__()
        self.still = StillClock()
        clock.use(self.still)
        open_issuer()
        self.pans = new_stock(5)
        self.holder = person()
        self.state = dict.fromkeys(self.pans, Status.IN_STOCK)
        self.chip = dict.fromkeys(self.pans, 0)
        self.lists: dict[int, set[str]] = {0: set()}
        self.steps = 0
        for pan in self.pans[:3]:
            self.tell(pan, "issue", verbs.issue(pan, CLERK, self.holder))

    def teardown(self) -> None:
        clock.use(None)
        transaction.set_rollback(True)
        self.rollback.__exit__(None, None, None)

    @rule(card=CARDS, other=CARDS, in_hand=st.booleans(), choice=st.integers(0, 99), wild=st.integers(0, 5))
    def acts(self, card: int, other: int, in_hand: bool, choice: int, wild: int) -> None:
        """Mostly a verb that the table allows, for chance alone would seldom get far into a life."""
        pan = self.pans[card]
        able = [verb for verb in life.verbs_from(self.state[pan]) if verb in ACTS]
        pool = able if wild else ACTS
        verb = pool[choice % len(pool)]
        if verb == "replace":
            self.replaces(pan, self.pans[other], in_hand)
        elif verb == "refund":
            self.refunds(pan, in_hand)
        elif verb == "destroy":
            self.tell(pan, verb, verbs.destroy(pan, CLERK, second=OFFICER))
        elif verb == "bind":
            self.tell(pan, verb, verbs.bind(pan, self.holder, CLERK))
        else:
            more = {"holder": self.holder} if verb == "issue" else {}
            self.tell(pan, verb, getattr(verbs, verb)(pan, SYSTEM, **more))

    def replaces(self, pan: str, other: str, in_hand: bool) -> None:
        answer = verbs.replace(pan, other, CLERK, in_hand_fen=self.chip[pan] if in_hand else None)
        self.tell(pan, "replace", answer)
        if isinstance(answer, verbs.Done):
            assert self.state[other] is Status.IN_STOCK
            self.state[other] = Status.ACTIVE

    def refunds(self, pan: str, in_hand: bool) -> None:
        held = sum(money.owed(pan)) + Card.objects.get(pan=pan).deposit_fen
        in_hand_fen = self.chip[pan] if in_hand else None
        answer = verbs.refund(pan, CLERK, second=OFFICER, in_hand_fen=in_hand_fen)
        self.tell(pan, "refund", answer)
        if isinstance(answer, verbs.Done):
            assert answer.paid_fen == -held

    @rule(card=CARDS, amount_fen=st.integers(1, 50_000))
    def loads(self, card: int, amount_fen: int) -> None:
        pan = self.pans[card]
        if self.state[pan] is Status.ACTIVE:
            load(pan, amount_fen, f"load:{self.steps}")
            self.chip[pan] += amount_fen
            verbs.funded(pan, f"load:{self.steps}", CLERK)

    @rule(card=CARDS, amount_fen=st.integers(1, 800))
    def rides(self, card: int, amount_fen: int) -> None:
        pan = self.pans[card]
        if self.state[pan] is Status.ACTIVE and self.chip[pan] >= amount_fen:
            ride(pan, amount_fen, f"ride:{self.steps}")
            self.chip[pan] -= amount_fen

    @rule(days=st.sampled_from([1, 8, 8, 1300]))
    def time_passes(self, days: int) -> None:
        self.still.at += timedelta(days=days)

    def tell(self, pan: str, verb: str, answer: verbs.Done | verbs.VerbRefusal) -> None:
        legal = life.move(verb, self.state[pan])
        if isinstance(answer, verbs.Done):
            assert legal is not None
            self.state[pan] = legal
            if legal in (Status.REPLACED, Status.REFUNDED):
                self.chip[pan] = 0
        else:
            assert (answer.why is Why.WRONG_STATUS) == (legal is None)

    @invariant()
    def states_agree(self) -> None:
        self.steps += 1
        assert dict(Card.objects.values_list("pan", "status")) == self.state
        for event in CardEvent.objects.filter(refusal="").exclude(verb__in=("initialise",)):
            assert life.move(event.verb, event.before) == event.after

    @invariant()
    def money_is_whole(self) -> None:
        for pan, chip_fen in self.chip.items():
            assert ledger.balance(money.card(pan)) == chip_fen
        owed = sum(sum(money.owed(pan)) for pan in self.pans)
        assert ledger.balance(f"float:{ISSUER}") == -owed
        deposits = sum(Card.objects.values_list("deposit_fen", flat=True))
        assert ledger.balance(f"deposit:{ISSUER}") == deposits
        assert ledger.trial_balance().balanced

    @invariant()
    def lists_can_be_had_at_every_version(self) -> None:
        now = hotlist.version()
        self.lists[now] = hotlist.at_version(now)
        assert {p for p, s in self.state.items() if s in (Status.LOST, Status.BLOCKED)} <= self.lists[now]
        assert not {p for p, s in self.state.items() if s is Status.ACTIVE} & self.lists[now]
        assert sorted(self.lists) == list(range(now + 1))
        for version in {0, now, *range(now - 3, now), self.steps % (now + 1)} & set(self.lists):
            then = self.lists[version]
            change = hotlist.delta(version)
            held = then if change.since else set()
            assert (held | set(change.add)) - set(change.remove) == self.lists[now]
            assert hotlist.at_version(version) == then

    @invariant()
    def audit_stands(self) -> None:
        assert audit.verify().ok


@pytest.mark.django_db
def test_any_sequence_of_verbs_keeps_the_books() -> None:
    phases = (Phase.reuse, Phase.generate)  # to shrink over a database takes minutes
    limits = settings(max_examples=8, stateful_step_count=40, phases=phases)
    run_state_machine_as_test(Counter, settings=limits)


def test_every_state_is_reached_and_only_destroyed_is_final() -> None:
    reached, moves = {Status.MANUFACTURED}, list(life.MOVES.items())
    for _ in Status:
        reached |= {after for (_, before), after in moves if before in reached}
    assert reached == set(Status)
    leaving = {before for (_, before), after in moves if before != after}
    assert set(Status) - leaving == {Status.DESTROYED}


def test_money_must_leave_before_an_issued_card_is_destroyed() -> None:
    for status in life.OUT:
        assert life.move("destroy", status) is None
