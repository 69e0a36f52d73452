# SPDX-License-Identifier: Apache-2.0
"""The short way for plain batches gives the verdicts and sums of the ledger's rules, whatever the batch."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.core.ledger import Account, AccountFlag, Flag, Result, Transfer, apply
from citycard.core.ledger_plain import apply_plain, is_plain
from citycard.core.money import FEN_MAX

NAMES = ("float", "ann", "bob", "till")
# Small sums, so that limits are met from both sides, and sums at the brim.
SUMS = st.one_of(st.integers(0, 40), st.integers(FEN_MAX - 40, FEN_MAX))
AMOUNTS = st.one_of(st.integers(0, 30), st.integers(FEN_MAX - 30, FEN_MAX))


@st.composite
def books(draw: st.DrawFn) -> dict[str, Account]:
    """Some of the accounts, with any limits and any sums."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, unique=True))
    return {
        name: Account(name, "x", AccountFlag(draw(st.integers(0, 3))), *(draw(SUMS) for _ in range(4)))
        for name in names
    }


@st.composite
def orders(draw: st.DrawFn) -> list[Transfer]:
    """Plain transfers, some between one account and itself, to nobody, or of nothing."""
    parties = st.sampled_from((*NAMES, "", "nobody"))
    return [
        Transfer(f"t{number}", draw(parties), draw(parties), draw(AMOUNTS), "x")
        for number in range(draw(st.integers(1, 12)))
    ]


@given(books(), orders())
@settings(max_examples=400, deadline=None)
def test_the_short_way_is_the_way_of_the_rules(accounts: dict[str, Account], batch: list[Transfer]) -> None:
    by_rule = apply(accounts, {}, batch)
    standings = {
        name: [a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted, int(a.flags)]
        for name, a in accounts.items()
    }
    assert is_plain(batch)
    assert apply_plain(standings, batch) == by_rule.results
    for name, account in accounts.items():
        after = by_rule.accounts.get(name, account)
        assert Account(name, "x", AccountFlag(standings[name][4]), *standings[name][:4]) == after


def test_refusals_come_from_the_rules() -> None:
    standings = {"float": [0, 0, 0, 0, 0], "ann": [0, 0, 0, 0, 1]}
    batch = [
        Transfer("a", "ann", "float", 5, "x"),
        Transfer("b", "float", "ann", 5, "x"),
        Transfer("c", "ann", "float", 5, "x"),
        Transfer("d", "ann", "nobody", 5, "x"),
    ]
    assert apply_plain(standings, batch) == [
        Result.EXCEEDS_CREDITS, Result.OK, Result.OK, Result.CREDIT_ACCOUNT_NOT_FOUND,
    ]  # fmt: skip
    assert standings == {"float": [0, 5, 0, 5, 0], "ann": [0, 5, 0, 5, 1]}


@pytest.mark.parametrize(
    "other",
    [
        Transfer("one", "float", "ann", 2, "x"),
        Transfer("two", "float", "ann", 2, "x", Flag.LINKED),
        Transfer("two", "float", "ann", 2, "x", Flag.PENDING),
        Transfer("two", "float", "ann", 2, "x", pending_id="one"),
    ],
    ids=["one id twice", "a chain", "a reservation", "of another"],
)
def test_what_is_not_plain_is_seen(other: Transfer) -> None:
    plain = Transfer("one", "float", "ann", 1, "x")
    assert is_plain([plain])
    assert not is_plain([plain, other])
