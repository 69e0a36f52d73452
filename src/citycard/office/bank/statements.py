# SPDX-License-Identifier: Apache-2.0
"""Takes the bank's statements into the books: each once, whole, and only in an unbroken row of balances.

Every movement is posted between `cash:settlement` and what it was for, or `unallocated:settlement` while that
is not known, under an id made of the statement and the movement's number. So what the ledger holds at the
bank is what the bank says, to the fen, after every statement. A movement that a notification told of before
is booked already, and comes over from `notified:settlement` (see `entries`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from django.db import transaction

from citycard.core.ledger import Transfer
from citycard.office import audit, clock, ledger
from citycard.office.bank import camt, entries, problems, schema
from citycard.office.bank.entries import Booked
from citycard.office.bank.models import BankAccount, BankStatement, Purpose
from citycard.office.bank.orders import scheme_id
from citycard.office.intake import alarms
from citycard.office.ledger import chart

COUNT_MAX: Final = 99_999  # a bank whose numbers are larger makes them of dates, which have gaps


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file brought: new movements, how many were matched, and whether it was known already."""

    statements: list[str]
    entries: int
    matched: int
    closing_fen: int
    repeated: bool
    validated: bool
    noticed: int = 0  # movements that a notification had told of before

    @property
    def unmatched(self) -> int:
        """Movements left to a person."""
        return self.entries - self.matched


def take(content: bytes, name: str, by: str) -> Imported:
    """Import a file of statements, all or nothing; BANK_FILE_*, BANK_STATEMENT_*."""
    validated = schema.available(schema.CAMT)
    try:
        found = camt.read(content)
    except ValueError as fault:
        raise problems.BANK_FILE_INVALID(file=name, why=fault) from None
    if validated and (why := schema.fault(schema.CAMT, content)):
        raise problems.BANK_FILE_INVALID(file=name, why=why)
    _refuse_altered(found)
    with transaction.atomic():
        own = own_account()
        taken = [one for one in found if _new(one)]
        booked = [_take(one, own, by, validated) for one in taken]
    new = [entry for one in booked for entry in one.new]
    return Imported(
        [one.id for one in found],
        len(new),
        sum(entry.purpose != Purpose.OPEN for entry in new),
        -ledger.balance(chart.CASH),
        not taken,
        validated,
        sum(one.known for one in booked),
    )


def own_account() -> BankAccount:
    """The settlement account, locked: files about it are taken one after another. BANK_ACCOUNT_MISSING."""
    own = BankAccount.objects.select_for_update().filter(pk=scheme_id()).first()
    if own is None:
        raise problems.BANK_ACCOUNT_MISSING(participants=scheme_id())
    return own


def must_be(own: BankAccount, account: str, name: str) -> None:
    """BANK_FILE_ACCOUNT when a file is about another account than ours."""
    if account != own.number:
        raise problems.BANK_FILE_ACCOUNT(statement=name, account=account[-4:].rjust(8, "*"))


def _digest(statement: camt.Statement) -> str:
    """Of what a statement says, not of how its file is written."""
    said = [statement.id, statement.account, statement.opening_fen, statement.closing_fen, statement.ends_on]
    for one in statement.movements:
        said += [one.credit, one.amount_fen, one.booked_on, one.end_to_end, one.bank_ref]
    return hashlib.sha256("\n".join(map(str, said)).encode()).hexdigest()


def _refuse_altered(found: list[camt.Statement]) -> None:
    """A statement known with other content is an alarm, kept although nothing else is."""
    for one in found:
        known = BankStatement.objects.filter(pk=one.id).first()
        if known is not None and known.digest != _digest(one):
            alarms.raise_alarm(alarms.STATEMENT_OTHERWISE, one.id, _digest(one))
            raise problems.BANK_STATEMENT_OTHERWISE(statement=one.id)


def _new(one: camt.Statement) -> bool:
    return not BankStatement.objects.filter(pk=one.id).exists()


def _take(one: camt.Statement, own: BankAccount, by: str, validated: bool) -> Booked:
    must_be(own, one.account, one.id)
    if one.sum_fen != one.closing_fen:
        raise problems.BANK_STATEMENT_SUMS(statement=one.id, sum_fen=one.sum_fen, closing_fen=one.closing_fen)
    ledger.open_accounts(entries.ACCOUNTS)
    _open_with(one)
    statement = BankStatement.objects.create(
        id=one.id, digest=_digest(one), account=one.account, ends_on=one.ends_on,
        opening_fen=one.opening_fen, closing_fen=one.closing_fen, imported_at=clock.now(), imported_by=by,
        validated=validated, sequence=one.sequence,
    )  # fmt: skip
    booked = entries.book(statement, one.movements)
    assert -ledger.balance(chart.CASH) == one.closing_fen, "the books hold what the bank says"
    audit.record(by, "import_bank_statement", one.id, entries=len(one.movements), closing_fen=one.closing_fen)
    return booked


def _open_with(one: camt.Statement) -> None:
    """The first statement brings what was at the bank before; every later one must follow on."""
    held_fen = -ledger.balance(chart.CASH)
    if BankStatement.objects.exists():
        _after_the_one_before(one)
        if held_fen != one.opening_fen:
            raise problems.BANK_STATEMENT_GAP(
                statement=one.id, opening_fen=one.opening_fen, held_fen=held_fen
            )
        return
    if one.opening_fen:
        put_in = one.opening_fen > 0
        debit, credit = (chart.CASH, chart.OWN) if put_in else (chart.OWN, chart.CASH)
        ledger.post_or_fail(
            [Transfer("bank:opening", debit, credit, abs(one.opening_fen), "bank_opening", ref=one.id)]
        )


def _after_the_one_before(one: camt.Statement) -> None:
    """Where the bank numbers its statements, the one before is here; balances alone may fit by chance."""
    numbered = BankStatement.objects.exclude(sequence=None)
    begins = one.sequence in (None, 1) or not numbered.exists()  # they begin anew, or have just begun
    if one.sequence is None or begins or one.sequence > COUNT_MAX:
        return
    if not numbered.filter(sequence=one.sequence - 1).exists():
        raise problems.BANK_STATEMENT_SEQUENCE(
            statement=one.id, sequence=one.sequence, before=one.sequence - 1
        )
