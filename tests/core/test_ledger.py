# SPDX-License-Identifier: Apache-2.0
"""The ledger's rules, told as small account books, and held against a model by random days of postings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from citycard.core.ledger import (
    Account,
    AccountFlag,
    Entry,
    Flag,
    Result,
    Stage,
    Transfer,
    accounts_named,
    apply,
    open_accounts,
)
from citycard.core.money import FEN_MAX

FLAGS = {"linked": Flag.LINKED, "pending": Flag.PENDING, "post": Flag.POST_PENDING, "void": Flag.VOID_PENDING}
LIMITS = {"": AccountFlag(0), "debits<=credits": AccountFlag(1), "credits<=debits": AccountFlag(2)}
ORDER = re.compile(r"(\S+) +(\S+) -> (\S+) +(\d+) *((?:(?!of )[a-z]+ +)*)(?:of (\S+))? *= *([A-Z_]+)$")
BALANCE = re.compile(r"(\S+): (-?\d+)(?: +holds (\d+))?$")


class Books:
    """Accounts and entries as they stand; plays the part of the database."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.entries: dict[str, Entry] = {}

    def open(self, *accounts: Account) -> list[Result]:
        outcome = open_accounts(self.accounts, accounts)
        self.accounts |= outcome.accounts
        return outcome.results

    def post(self, batch: list[Transfer]) -> list[Result]:
        """Gathers no more than `apply` says it needs."""
        pending = {t.pending_id for t in batch} - {""}
        known = {name: self.entries[name] for name in {t.id for t in batch} | pending if name in self.entries}
        names = accounts_named(batch, {name: known[name] for name in pending if name in known})
        outcome = apply({n: self.accounts[n] for n in names if n in self.accounts}, known, batch)
        self.accounts |= outcome.accounts
        self.entries |= outcome.entries
        return outcome.results


def play(book: str) -> Books:
    """Plays a book of openings, orders with their result, and balances; an empty line ends a batch."""
    books = Books()
    for paragraph in re.split(r"\n\s*\n", book.strip()):
        orders: list[tuple[Transfer, str]] = []
        for line in (line.strip() for line in paragraph.splitlines()):
            if line.startswith("open "):
                _, name, *limit = line.split()
                books.open(Account(name, "book", LIMITS["".join(limit)]))
            elif found := ORDER.match(line):
                orders.append((_order(found), found[7]))
            else:
                _settle(books, orders)
                orders = []
                _check_balance(books, line)
        _settle(books, orders)
    return books


def _order(found: re.Match[str]) -> Transfer:
    name, debit, credit, fen, flags, pending, _ = found.groups()
    blank = {"_": ""}
    return Transfer(
        name,
        blank.get(debit, debit),
        blank.get(credit, credit),
        int(fen),
        "test",
        Flag(sum(FLAGS[word] for word in flags.split())),
        pending or "",
    )


def _settle(books: Books, orders: list[tuple[Transfer, str]]) -> None:
    results = books.post([transfer for transfer, _ in orders])
    got = [f"{t.id} {result.name}" for (t, _), result in zip(orders, results, strict=True)]
    assert got == [f"{t.id} {expected}" for t, expected in orders]


def _check_balance(books: Books, line: str) -> None:
    found = BALANCE.match(line)
    assert found, f"cannot read {line!r}"
    account = books.accounts[found[1]]
    held = account.debits_pending + account.credits_pending
    assert (account.balance_fen, held) == (int(found[2]), int(found[3] or 0)), line


STORIES = {
    "money moves, and only what is there": """
        open float
        open ann debits<=credits
        open bob debits<=credits

        load   float -> ann   500  = OK
        fare   ann -> bob     200  = OK
        more   ann -> bob     301  = EXCEEDS_CREDITS
        last   ann -> bob     300  = OK
        ann: 0
        bob: 500
        float: -500
    """,
    "sending again changes nothing": """
        open float
        open ann debits<=credits

        load   float -> ann   500  = OK
        load   float -> ann   500  = EXISTS

        load   float -> ann   500  = EXISTS
        load   float -> ann   400  = EXISTS_WITH_DIFFERENT_AMOUNT
        load   ann -> ann     500  = EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT
        load   float -> float 500  = EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT
        load   float -> ann   500  pending = EXISTS_WITH_DIFFERENT_FLAGS
        ann: 500
    """,
    "a pending transfer reserves, and is posted once": """
        open float
        open ann debits<=credits
        open shop

        in     float -> ann   500  = OK
        p      ann -> shop    400  pending = OK
        ann: 500 holds 400
        q      ann -> shop    200  = EXCEEDS_CREDITS

        post   _ -> _         0    post of p = OK
        ann: 100
        shop: 400

        post   _ -> _         0    post of p = EXISTS
        post   ann -> shop    400  post of p = EXISTS
        again  _ -> _         0    post of p = PENDING_TRANSFER_ALREADY_POSTED
        void   _ -> _         0    void of p = PENDING_TRANSFER_ALREADY_POSTED
        p      ann -> shop    400  pending = EXISTS
        shop: 400
    """,
    "a part may be posted, the rest is free again": """
        open ann
        open shop

        p      ann -> shop    400  pending = OK
        much   _ -> _         401  post of p = EXCEEDS_PENDING_TRANSFER_AMOUNT
        part   _ -> _         150  post of p = OK
        ann: -150
        shop: 150
        part   _ -> _         0    post of p = EXISTS_WITH_DIFFERENT_AMOUNT
    """,
    "a void gives the whole back, once": """
        open ann
        open shop
        open other

        p      ann -> shop    400  pending = OK
        some   _ -> _         100  void of p = PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT
        wrong  other -> shop  400  void of p = PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT
        astray ann -> other   400  void of p = PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT
        v      _ -> _         0    void of p = OK
        late   _ -> _         0    post of p = PENDING_TRANSFER_ALREADY_VOIDED
        ann: 0
        shop: 0
    """,
    "a chain happens as a whole": """
        open ann debits<=credits
        open bob
        open float

        in     float -> ann   500  = OK
        a1     ann -> bob     300  linked = LINKED_EVENT_FAILED
        a2     ann -> bob     300  linked = EXCEEDS_CREDITS
        a3     float -> bob   1    = LINKED_EVENT_FAILED
        b1     ann -> bob     300  linked = OK
        b2     ann -> bob     200  = OK
        ann: 0
        bob: 500

        b1     ann -> bob     300  linked = EXISTS
        b2     ann -> bob     200  = EXISTS

        b1     ann -> bob     300  linked = EXISTS
        new    float -> bob   1    = LINKED_EVENT_FAILED

        n1     float -> bob   1    linked = LINKED_EVENT_FAILED
        b2     ann -> bob     200  = EXISTS
        bob: 500

        c1     float -> bob   1    linked = LINKED_EVENT_FAILED
        c2     float -> bob   1    linked = LINKED_EVENT_CHAIN_OPEN
        bob: 500
        float: -500
    """,
    "a broken chain gives a pending transfer back as it was": """
        open ann
        open bob

        p      ann -> bob     50   pending = OK
        c1     _ -> _         0    linked post of p = LINKED_EVENT_FAILED
        c2     ann -> nobody  1    = CREDIT_ACCOUNT_NOT_FOUND
        v      _ -> _         0    void of p = OK
        bob: 0
    """,
    "an asset cannot be overdrawn": """
        open till credits<=debits
        open fees

        in     till -> fees   100  = OK
        out    fees -> till   101  = EXCEEDS_DEBITS
        out2   fees -> till   100  = OK
        till: 0
    """,
    "the first rule that applies is the one told": """
        open ann

        a      ann -> ann     0    pending post of x = FLAGS_ARE_MUTUALLY_EXCLUSIVE
        b      ann -> ann     0    of x = PENDING_ID_MUST_BE_EMPTY
        c      ann -> ann     0    = ACCOUNTS_MUST_BE_DIFFERENT
        d      ann -> bob     0    = AMOUNT_MUST_NOT_BE_ZERO
        e      bob -> joe     1    = DEBIT_ACCOUNT_NOT_FOUND
        f      ann -> joe     1    = CREDIT_ACCOUNT_NOT_FOUND
        g      _ -> _         0    post = PENDING_ID_MUST_NOT_BE_EMPTY
        h      _ -> _         0    post of h = PENDING_ID_MUST_BE_DIFFERENT
        i      _ -> _         0    post of x = PENDING_TRANSFER_NOT_FOUND
        ann: 0
    """,
    "a refused id may be tried again": """
        open ann debits<=credits
        open shop
        open float

        fare   ann -> shop    10   = EXCEEDS_CREDITS
        in     float -> ann   10   = OK
        fare   ann -> shop    10   = OK
        post   _ -> _         0    post of fare = PENDING_TRANSFER_NOT_PENDING
        ann: 0
    """,
}


@pytest.mark.parametrize("story", STORIES)
def test_book(story: str) -> None:
    play(STORIES[story])


def test_a_difference_in_anything_else_is_told() -> None:
    books = Books()
    books.open(Account("a", "x"), Account("b", "x"))
    order = Transfer("t", "a", "b", 1, "fare", business_date=date(2026, 3, 1), ref="r")
    assert books.post([order]) == [Result.OK]
    assert books.post([replace(order, code="load")]) == [Result.EXISTS_WITH_DIFFERENT_CODE]
    assert books.post([replace(order, business_date=None)]) == [Result.EXISTS_WITH_DIFFERENT_BUSINESS_DATE]
    assert books.post([replace(order, ref="s")]) == [Result.EXISTS_WITH_DIFFERENT_REF]
    assert books.post([replace(order, pending_id="p")]) == [Result.EXISTS_WITH_DIFFERENT_PENDING_ID]
    assert books.post([replace(order, flags=Flag.LINKED), replace(order, id="u")])[0] is Result.EXISTS


def test_sums_do_not_overflow() -> None:
    books = Books()
    books.open(Account("a", "x"), Account("b", "x"))
    assert books.post([Transfer("t", "a", "b", FEN_MAX, "x"), Transfer("u", "a", "b", 1, "x")]) == [
        Result.OK,
        Result.OVERFLOWS,
    ]


def test_accounts_are_opened_once() -> None:
    books = Books()
    ann = Account("ann", "card", AccountFlag.DEBITS_MUST_NOT_EXCEED_CREDITS)
    assert books.open(ann, ann) == [Result.OK, Result.EXISTS]
    assert books.open(replace(ann, kind="float")) == [Result.EXISTS_WITH_DIFFERENT_KIND]
    assert books.open(replace(ann, flags=AccountFlag(0))) == [Result.EXISTS_WITH_DIFFERENT_FLAGS]


def test_what_cannot_be_a_transfer_is_never_built() -> None:
    for wrong in ({"id": ""}, {"id": "x" * 97}, {"amount_fen": -1}, {"amount_fen": True}, {"code": ""}):
        with pytest.raises(ValueError, match=r"characters|amount_fen"):
            Transfer(**({"id": "t", "debit": "a", "credit": "b", "amount_fen": 1, "code": "x"} | wrong))


def test_results_are_ordered_and_told_in_both_languages() -> None:
    assert [result.number for result in Result] == list(range(len(Result)))
    assert all(result.title("en") and result.title("zh") != result.title("en") for result in Result)


NAMES = ("float", "ann", "bob", "shop")
AMOUNTS = st.integers(1, 60)


@st.composite
def orders(draw: st.DrawFn) -> Transfer:
    """A transfer out of few ids, so that replays, clashes and endings of pending ones are common."""
    flag = draw(st.sampled_from([Flag(0), Flag(0), Flag.PENDING, Flag.POST_PENDING, Flag.VOID_PENDING]))
    if draw(st.booleans()):
        flag |= Flag.LINKED
    name = f"t{draw(st.integers(0, 30))}"
    if flag & (Flag.POST_PENDING | Flag.VOID_PENDING):
        amount = draw(st.sampled_from([0, 0, 20]))
        return Transfer(name, "", "", amount, "x", flag, f"t{draw(st.integers(0, 30))}")
    debit, credit = draw(st.permutations(NAMES))[:2]
    return Transfer(name, debit, credit, draw(AMOUNTS), "x", flag)


class AnyDay(RuleBasedStateMachine):
    """Random batches against a model that recomputes every account from the recorded transfers alone."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Books()
        self.sent: list[list[Transfer]] = []

    @initialize()
    def begin(self) -> None:
        limit = AccountFlag.DEBITS_MUST_NOT_EXCEED_CREDITS
        self.books.open(
            Account("float", "float"),
            Account("ann", "card", limit),
            Account("bob", "card", limit),
            Account("shop", "shop"),
        )

    @rule(batch=st.lists(orders(), min_size=1, max_size=6))
    def post(self, batch: list[Transfer]) -> None:
        before = set(self.books.entries)
        results = self.books.post(batch)
        new = [t.id for t, result in zip(batch, results, strict=True) if result is Result.OK]
        assert sorted(new) == sorted(set(self.books.entries) - before), "OK means recorded, and only OK does"
        self._chains_are_whole(batch, results)
        self.sent.append(batch)

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        if self.sent:
            batch = data.draw(st.sampled_from(self.sent))
            kept = [t for t in batch if t.id in self.books.entries and self._recorded(t)]
            accounts, entries = dict(self.books.accounts), dict(self.books.entries)
            results = self.books.post([replace(t, flags=t.flags & ~Flag.LINKED) for t in kept])
            assert results == [Result.EXISTS] * len(kept)
            assert (self.books.accounts, self.books.entries) == (accounts, entries)

    @invariant()
    def every_sum_follows_from_the_recorded_transfers(self) -> None:
        model = {name: [0, 0, 0, 0] for name in self.books.accounts}
        for entry in self.books.entries.values():
            for account, index, amount in _effects(entry):
                model[account][index] += amount
        for name, account in self.books.accounts.items():
            sums = [
                account.debits_pending,
                account.debits_posted,
                account.credits_pending,
                account.credits_posted,
            ]
            assert sums == model[name], name

    @invariant()
    def debits_equal_credits_and_no_card_is_overdrawn(self) -> None:
        accounts = self.books.accounts.values()
        assert sum(a.balance_fen for a in accounts) == 0
        assert sum(a.debits_pending for a in accounts) == sum(a.credits_pending for a in accounts)
        assert all(a.free_fen >= 0 for a in accounts if a.flags)

    def _recorded(self, transfer: Transfer) -> bool:
        """Whether this very order was recorded, not another one under its id."""
        kept = self.books.entries[transfer.id].transfer
        same = (
            kept.flags & ~Flag.LINKED == transfer.flags & ~Flag.LINKED
            and kept.pending_id == transfer.pending_id
        )
        if not same or not transfer.pending_id:
            return same and (kept.debit, kept.credit, kept.amount_fen) == (
                transfer.debit,
                transfer.credit,
                transfer.amount_fen,
            )
        whole = self.books.entries[transfer.pending_id].transfer.amount_fen
        return kept.amount_fen == (transfer.amount_fen or whole)

    @staticmethod
    def _chains_are_whole(batch: list[Transfer], results: list[Result]) -> None:
        chain: list[Result] = []
        for transfer, result in zip(batch, results, strict=True):
            chain.append(result)
            if not transfer.flags & Flag.LINKED:
                assert len({one is Result.OK for one in chain}) == 1
                chain = []
        assert Result.OK not in chain


def _effects(entry: Entry) -> Iterator[tuple[str, int, int]]:
    """What a recorded transfer alone adds to the sums, index as the fields of `Account`: the model."""
    transfer = entry.transfer
    if transfer.flags & Flag.PENDING:
        if entry.stage is Stage.PENDING:
            yield transfer.debit, 0, transfer.amount_fen
            yield transfer.credit, 2, transfer.amount_fen
    elif not transfer.flags & Flag.VOID_PENDING:
        yield transfer.debit, 1, transfer.amount_fen
        yield transfer.credit, 3, transfer.amount_fen


TestAnyDay = AnyDay.TestCase
TestAnyDay.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
