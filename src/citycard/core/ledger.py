# SPDX-License-Identifier: Apache-2.0
"""The ledger's rules: accounts, transfers, and a verdict for every transfer, as one pure function.

Money only ever moves from one account to another, so debits equal credits at every moment. The model is
TigerBeetle's: the caller chooses a transfer's id, so that sending it again is harmless; a transfer may be
pending first and be posted (whole or in part) or voided later; transfers linked into a chain happen all or
none; an account may forbid its balance to change sign. A refused transfer refuses itself and its chain, not
the batch it came in.

Three differences, each on purpose. A chain that was applied before answers EXISTS throughout, where
TigerBeetle answers EXISTS once and LINKED_EVENT_FAILED for the rest. A refused transfer leaves no trace, so
its id may be tried again once the reason is gone. There are no time-outs: who opens a pending transfer ends
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum, IntFlag
from typing import Final

from citycard.core.money import FEN_MAX, check_fen

ACCOUNT_ID_MAX: Final = 64
TRANSFER_ID_MAX: Final = 96
CODE_MAX: Final = 24
REF_MAX: Final = 96


class AccountFlag(IntFlag):
    """What an account forbids."""

    DEBITS_MUST_NOT_EXCEED_CREDITS = 1  # a liability: a card's balance, a deposit taken
    CREDITS_MUST_NOT_EXCEED_DEBITS = 2  # an asset that cannot be overdrawn


NO_LIMIT: Final = AccountFlag(0)
_NO_OVERDRAFT, _NO_EXCESS = (int(flag) for flag in AccountFlag)


class Flag(IntFlag):
    """How a transfer takes part."""

    LINKED = 1  # together with the next one of the batch
    PENDING = 2  # reserve only
    POST_PENDING = 4  # make a pending one final: amount 0 the whole, less a part of it
    VOID_PENDING = 8  # give a pending one up


PLAIN: Final = Flag(0)
# As plain numbers: thousands of transfers are judged at once, and combining enum members is slow.
_LINKED, _PENDING, _POST, _VOID = (int(flag) for flag in Flag)
_ENDING: Final = _POST | _VOID


class Stage(Enum):
    """How far a recorded transfer has come."""

    BOOKED = "booked"  # final from the start
    PENDING = "pending"
    POSTED = "posted"  # was pending
    VOIDED = "voided"  # was pending


class Result(Enum):
    """The ledger's word on one transfer or account, in the order in which the rules are looked at."""

    def __init__(self, number: int, en: str, zh: str) -> None:
        self.number = number
        self.en = en
        self.zh = zh

    OK = (0, "Done", "成功")
    LINKED_EVENT_FAILED = (1, "Another transfer of its chain was refused", "同链的另一笔转账被拒绝")
    LINKED_EVENT_CHAIN_OPEN = (2, "The batch ends within a chain", "批次在链中途结束")
    EXISTS_WITH_DIFFERENT_FLAGS = (3, "The id is taken: other flags", "编号已用：标志不同")
    EXISTS_WITH_DIFFERENT_KIND = (4, "The id is taken: other kind of account", "编号已用：账户种类不同")
    EXISTS_WITH_DIFFERENT_PENDING_ID = (5, "The id is taken: other pending transfer", "编号已用：预留不同")
    EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT = (6, "The id is taken: other debit account", "编号已用：借方不同")
    EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT = (7, "The id is taken: other credit account", "编号已用：贷方不同")
    EXISTS_WITH_DIFFERENT_AMOUNT = (8, "The id is taken: other amount", "编号已用：金额不同")
    EXISTS_WITH_DIFFERENT_CODE = (9, "The id is taken: other code", "编号已用：业务码不同")
    EXISTS_WITH_DIFFERENT_BUSINESS_DATE = (10, "The id is taken: other business date", "编号已用：清算日不同")
    EXISTS_WITH_DIFFERENT_REF = (11, "The id is taken: other reference", "编号已用：参考号不同")
    EXISTS = (12, "Done before", "此前已完成")
    FLAGS_ARE_MUTUALLY_EXCLUSIVE = (13, "Pending, post and void exclude each other", "预留、入账与撤销互斥")
    PENDING_ID_MUST_BE_EMPTY = (14, "Only a post or a void names a pending one", "仅入账或撤销可指明预留")
    PENDING_ID_MUST_NOT_BE_EMPTY = (15, "A post or a void names a pending one", "入账或撤销须指明预留")
    PENDING_ID_MUST_BE_DIFFERENT = (16, "A transfer cannot end itself", "转账不能指向自身")
    ACCOUNTS_MUST_BE_DIFFERENT = (17, "Debit and credit are one account", "借贷为同一账户")
    AMOUNT_MUST_NOT_BE_ZERO = (18, "The amount is zero", "金额为零")
    PENDING_TRANSFER_NOT_FOUND = (19, "No such pending transfer", "预留转账不存在")
    PENDING_TRANSFER_NOT_PENDING = (20, "That transfer was never pending", "该转账不是预留转账")
    DEBIT_ACCOUNT_NOT_FOUND = (21, "No such debit account", "借方账户不存在")
    CREDIT_ACCOUNT_NOT_FOUND = (22, "No such credit account", "贷方账户不存在")
    PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT = (
        23, "The pending transfer debits another account", "预留转账的借方账户不同",
    )  # fmt: skip
    PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT = (
        24, "The pending transfer credits another account", "预留转账的贷方账户不同",
    )  # fmt: skip
    PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT = (25, "A void gives up the whole amount", "撤销须为全额")
    EXCEEDS_PENDING_TRANSFER_AMOUNT = (26, "More than was reserved", "超过预留金额")
    PENDING_TRANSFER_ALREADY_POSTED = (27, "Already posted", "预留转账已入账")
    PENDING_TRANSFER_ALREADY_VOIDED = (28, "Already voided", "预留转账已撤销")
    OVERFLOWS = (29, "The account's sums would overflow", "账户累计额溢出")
    EXCEEDS_CREDITS = (30, "The debit account has not enough credit", "借方账户余额不足")
    EXCEEDS_DEBITS = (31, "The credit account has not enough debit", "贷方账户余额不足")

    @property
    def code(self) -> str:
        """The stable code."""
        return self.name

    @property
    def done(self) -> bool:
        """Whether the ledger now holds what was asked: done now, or done before with the same content."""
        return self in (Result.OK, Result.EXISTS)

    def title(self, language: str = "en") -> str:
        """For people, in English or Chinese."""
        return self.zh if language.startswith("zh") else self.en


@dataclass(frozen=True, slots=True)
class Account:
    """An account: what it is, what it forbids, and its four sums in fen, which only pending ones lower."""

    id: str
    kind: str
    flags: AccountFlag = NO_LIMIT
    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0

    def __post_init__(self) -> None:
        _check_text("account id", self.id, ACCOUNT_ID_MAX, least=1)
        _check_text("account kind", self.kind, CODE_MAX, least=1)
        assert min(self.debits_pending, self.debits_posted, self.credits_pending, self.credits_posted) >= 0

    @property
    def balance_fen(self) -> int:
        """Posted credits less posted debits: positive is owed by the scheme, negative is held by it."""
        return self.credits_posted - self.debits_posted

    @property
    def free_fen(self) -> int:
        """What may still be debited when debits must not exceed credits."""
        return self.credits_posted - self.debits_posted - self.debits_pending


@dataclass(frozen=True, slots=True)
class Transfer:
    """An order to move money; field lengths are checked here, everything else is for `apply` to judge.

    A post or a void may leave debit and credit empty, its code is its own, and amount 0 means the whole.
    """

    id: str
    debit: str
    credit: str
    amount_fen: int
    code: str
    flags: Flag = PLAIN
    pending_id: str = ""
    business_date: date | None = None
    ref: str = ""

    def __post_init__(self) -> None:
        _check_text("transfer id", self.id, TRANSFER_ID_MAX, least=1)
        _check_text("debit account", self.debit, ACCOUNT_ID_MAX)
        _check_text("credit account", self.credit, ACCOUNT_ID_MAX)
        _check_text("code", self.code, CODE_MAX, least=1)
        _check_text("pending id", self.pending_id, TRANSFER_ID_MAX)
        _check_text("ref", self.ref, REF_MAX)
        check_fen(self.amount_fen)


@dataclass(frozen=True, slots=True)
class Entry:
    """A recorded transfer and its stage; a post or void is recorded with the accounts and amount it took."""

    transfer: Transfer
    stage: Stage = Stage.BOOKED


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch did: a result per transfer in order, and what changed (and only that)."""

    results: list[Result]
    accounts: dict[str, Account]
    entries: dict[str, Entry]


def apply(accounts: Mapping[str, Account], known: Mapping[str, Entry], batch: Sequence[Transfer]) -> Outcome:
    """Judge and apply a batch in order; nothing given is changed.

    `accounts` must hold every existing account the batch names, directly or by a pending transfer; `known`
    every recorded transfer whose id or pending_id stands in the batch, and for those that post or void, the
    pending one they name.
    """
    books = _Books(accounts, known)
    results: list[Result] = []
    at = 0
    while at < len(batch):
        end = at
        while end < len(batch) and int(batch[end].flags) & _LINKED:
            end += 1
        if end == len(batch):
            results += [Result.LINKED_EVENT_FAILED] * (end - at - 1) + [Result.LINKED_EVENT_CHAIN_OPEN]
        elif end == at:
            results.append(books.book(batch[at]))
        else:
            results += _chain(books, batch[at : end + 1])
        at = end + 1
    return books.outcome(results)


def open_accounts(accounts: Mapping[str, Account], wanted: Iterable[Account]) -> Outcome:
    """Open accounts with empty sums; one that is there with another kind or flags is refused."""
    opened: dict[str, Account] = {}
    results = []
    for account in wanted:
        assert account.balance_fen == 0 == account.debits_posted, "accounts open empty"
        before = accounts.get(account.id) or opened.get(account.id)
        if before is None:
            opened[account.id] = account
            results.append(Result.OK)
        elif before.flags != account.flags:
            results.append(Result.EXISTS_WITH_DIFFERENT_FLAGS)
        elif before.kind != account.kind:
            results.append(Result.EXISTS_WITH_DIFFERENT_KIND)
        else:
            results.append(Result.EXISTS)
    return Outcome(results, opened, {})


def accounts_named(batch: Iterable[Transfer], known: Mapping[str, Entry]) -> set[str]:
    """Every account id that `apply` may look at for this batch."""
    named: set[str] = set()
    for transfer in batch:
        named |= {transfer.debit, transfer.credit}
        if transfer.pending_id in known:
            pending = known[transfer.pending_id].transfer
            named |= {pending.debit, pending.credit}
    return named - {""}


def _chain(books: _Books, chain: Sequence[Transfer]) -> list[Result]:
    """All or none; a chain recorded as a whole before answers EXISTS throughout."""
    mark = books.mark()
    first = Result.OK
    for at, transfer in enumerate(chain):
        result = books.book(transfer)
        if at == 0:
            first = result
        if not result.done or result is not first:
            books.undo(mark)
            failed = [Result.LINKED_EVENT_FAILED] * len(chain)
            breaker = 0 if first is Result.EXISTS and result is Result.OK else at
            failed[breaker] = first if breaker == 0 else result
            return failed
    return [first] * len(chain)


@dataclass(slots=True)
class _Sums:
    """An account's sums while a batch is applied: indices of `sums` are the four fields in order."""

    account: Account
    sums: list[int]


DEBITS_PENDING, DEBITS_POSTED, CREDITS_PENDING, CREDITS_POSTED = range(4)


@dataclass(slots=True)
class _Books:
    """The accounts and entries as they stand within a batch, with a log by which a chain is undone."""

    accounts: Mapping[str, Account]
    known: Mapping[str, Entry]
    touched: dict[str, _Sums] = field(default_factory=dict)
    written: dict[str, Entry] = field(default_factory=dict)
    log: list[tuple[str, int, int] | tuple[str, Entry | None]] = field(default_factory=list)

    def mark(self) -> int:
        return len(self.log)

    def undo(self, mark: int) -> None:
        while len(self.log) > mark:
            step = self.log.pop()
            if len(step) == 3:
                self.touched[step[0]].sums[step[1]] -= step[2]
            elif step[1] is None:
                del self.written[step[0]]
            else:
                self.written[step[0]] = step[1]

    def outcome(self, results: list[Result]) -> Outcome:
        changed = {
            name: Account(name, t.account.kind, t.account.flags, *t.sums)
            for name, t in self.touched.items()
            if t.sums != _sums(t.account)
        }
        return Outcome(results, changed, dict(self.written))

    def entry(self, name: str) -> Entry | None:
        return self.written.get(name) or self.known.get(name)

    def sums(self, name: str) -> _Sums | None:
        found = self.touched.get(name)
        if found is None and name in self.accounts:
            account = self.accounts[name]
            found = self.touched[name] = _Sums(account, _sums(account))
        return found

    def book(self, transfer: Transfer) -> Result:
        """Judge one transfer by the rules of `Result`, in that order, and apply it when they allow."""
        recorded = self.entry(transfer.id)
        if recorded is not None:
            return _compare(transfer, recorded.transfer, self.entry(transfer.pending_id))
        flags = int(transfer.flags)
        ending = flags & _ENDING
        if (flags & ~_LINKED).bit_count() > 1:
            return Result.FLAGS_ARE_MUTUALLY_EXCLUSIVE
        if not ending and transfer.pending_id:
            return Result.PENDING_ID_MUST_BE_EMPTY
        return self._end(transfer) if ending else self._move(transfer)

    def _move(self, transfer: Transfer) -> Result:
        """A plain or pending transfer."""
        if transfer.debit == transfer.credit:
            return Result.ACCOUNTS_MUST_BE_DIFFERENT
        if transfer.amount_fen == 0:
            return Result.AMOUNT_MUST_NOT_BE_ZERO
        debit, credit = self.sums(transfer.debit), self.sums(transfer.credit)
        if debit is None:
            return Result.DEBIT_ACCOUNT_NOT_FOUND
        if credit is None:
            return Result.CREDIT_ACCOUNT_NOT_FOUND
        amount = transfer.amount_fen
        if max(debit.sums[0] + debit.sums[1], credit.sums[2] + credit.sums[3]) + amount > FEN_MAX:
            return Result.OVERFLOWS
        if (
            int(debit.account.flags) & _NO_OVERDRAFT
            and debit.sums[DEBITS_PENDING] + debit.sums[DEBITS_POSTED] + amount > debit.sums[CREDITS_POSTED]
        ):
            return Result.EXCEEDS_CREDITS
        if (
            int(credit.account.flags) & _NO_EXCESS
            and credit.sums[CREDITS_PENDING] + credit.sums[CREDITS_POSTED] + amount
            > credit.sums[DEBITS_POSTED]
        ):
            return Result.EXCEEDS_DEBITS
        pending = int(transfer.flags) & _PENDING
        self._add(transfer.debit, DEBITS_PENDING if pending else DEBITS_POSTED, amount)
        self._add(transfer.credit, CREDITS_PENDING if pending else CREDITS_POSTED, amount)
        self._write(transfer.id, Entry(transfer, Stage.PENDING if pending else Stage.BOOKED))
        return Result.OK

    def _end(self, transfer: Transfer) -> Result:
        """A post or a void of a pending transfer: the reservation goes, the posted part stays."""
        if not transfer.pending_id:
            return Result.PENDING_ID_MUST_NOT_BE_EMPTY
        if transfer.pending_id == transfer.id:
            return Result.PENDING_ID_MUST_BE_DIFFERENT
        found = self.entry(transfer.pending_id)
        if found is None:
            return Result.PENDING_TRANSFER_NOT_FOUND
        refused = _may_end(transfer, found)
        if refused is not None:
            return refused
        pending = found.transfer
        for name in (pending.debit, pending.credit):
            assert self.sums(name), f"{name}: an account of a recorded transfer was not given"
        post = int(transfer.flags) & _POST
        amount = transfer.amount_fen or pending.amount_fen
        self._add(pending.debit, DEBITS_PENDING, -pending.amount_fen)
        self._add(pending.credit, CREDITS_PENDING, -pending.amount_fen)
        if post:
            self._add(pending.debit, DEBITS_POSTED, amount)
            self._add(pending.credit, CREDITS_POSTED, amount)
        self._write(pending.id, replace(found, stage=Stage.POSTED if post else Stage.VOIDED))
        taken = replace(transfer, debit=pending.debit, credit=pending.credit, amount_fen=amount)
        self._write(transfer.id, Entry(taken))
        return Result.OK

    def _add(self, name: str, index: int, amount: int) -> None:
        self.touched[name].sums[index] += amount
        self.log.append((name, index, amount))

    def _write(self, name: str, entry: Entry) -> None:
        self.log.append((name, self.written.get(name)))
        self.written[name] = entry


def _may_end(transfer: Transfer, found: Entry) -> Result | None:
    """Why a post or a void may not end what it names; None when it may."""
    pending = found.transfer
    if found.stage is Stage.BOOKED:
        return Result.PENDING_TRANSFER_NOT_PENDING
    if transfer.debit not in ("", pending.debit):
        return Result.PENDING_TRANSFER_HAS_DIFFERENT_DEBIT_ACCOUNT
    if transfer.credit not in ("", pending.credit):
        return Result.PENDING_TRANSFER_HAS_DIFFERENT_CREDIT_ACCOUNT
    if int(transfer.flags) & _VOID and transfer.amount_fen not in (0, pending.amount_fen):
        return Result.PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT
    if transfer.amount_fen > pending.amount_fen:
        return Result.EXCEEDS_PENDING_TRANSFER_AMOUNT
    if found.stage is Stage.POSTED:
        return Result.PENDING_TRANSFER_ALREADY_POSTED
    if found.stage is Stage.VOIDED:
        return Result.PENDING_TRANSFER_ALREADY_VOIDED
    return None


def _compare(asked: Transfer, recorded: Transfer, pending: Entry | None) -> Result:
    """EXISTS when the same was asked before, else the first difference.

    Whether it was linked does not count: a chain is a fact of the batch it came in. A post or void that
    leaves accounts and amount open asks for those of its pending transfer.
    """
    debit, credit, amount = asked.debit, asked.credit, asked.amount_fen
    if pending is not None and int(asked.flags) & _ENDING:
        debit, credit = debit or pending.transfer.debit, credit or pending.transfer.credit
        amount = amount or pending.transfer.amount_fen
    if (int(asked.flags) ^ int(recorded.flags)) & ~_LINKED:
        return Result.EXISTS_WITH_DIFFERENT_FLAGS
    if asked.pending_id != recorded.pending_id:
        return Result.EXISTS_WITH_DIFFERENT_PENDING_ID
    if debit != recorded.debit:
        return Result.EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT
    if credit != recorded.credit:
        return Result.EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT
    if amount != recorded.amount_fen:
        return Result.EXISTS_WITH_DIFFERENT_AMOUNT
    if asked.code != recorded.code:
        return Result.EXISTS_WITH_DIFFERENT_CODE
    if asked.business_date != recorded.business_date:
        return Result.EXISTS_WITH_DIFFERENT_BUSINESS_DATE
    if asked.ref != recorded.ref:
        return Result.EXISTS_WITH_DIFFERENT_REF
    return Result.EXISTS


def _sums(account: Account) -> list[int]:
    return [account.debits_pending, account.debits_posted, account.credits_pending, account.credits_posted]


def _check_text(name: str, text: str, most: int, least: int = 0) -> None:
    if not least <= len(text) <= most:
        raise ValueError(f"{name} has {least} to {most} characters, not {len(text)}: {text[:40]!r}")
