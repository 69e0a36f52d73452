# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the ledger's two tables by the thousand, in the database's own way of doing so.

The ORM builds an object and a clause for each row, which costs several times what the database needs for
it. Here a whole batch is one question and one answer: ids travel as one array (PostgreSQL) or one JSON list
(SQLite), new transfers go in by COPY or executemany, sums by one UPDATE. Called within a transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final

from django.db import DatabaseError, IntegrityError, connection

from citycard.core.ledger import Account, AccountFlag, Entry, Flag, Stage, Transfer
from citycard.office.ledger.models import LedgerAccount, LedgerTransfer

ACCOUNTS: Final = LedgerAccount._meta.db_table
TRANSFERS: Final = LedgerTransfer._meta.db_table
SUMS: Final = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
COLUMNS: Final = (
    *("id", "debit_id", "credit_id", "amount_fen", "code"),
    *("flags", "pending_id", "business_date", "ref", "stage", "recorded_at"),
)
COPY: Final = f"COPY {TRANSFERS} ({', '.join(COLUMNS)}) FROM STDIN"
LINES_AT_ONCE: Final = 2_000  # of a COPY: the server takes them in while the next are written
COPY_SIGNS: Final = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
# An array as a column. Out of a sub-select, lest the planner count it: for thousands it would rather read the
# whole table than go to each row, and has to hash it besides.
UNCOUNTED: Final = "unnest((SELECT %s::{}[]))"
Place = str | int  # of a row in its table: ctid or rowid
ACCOUNT_FLAGS: Final = {int(flag): flag for flag in map(AccountFlag, range(4))}
FLAGS: Final = {number: Flag(number) for number in range(16)}
STAGES: Final = {stage.value: stage for stage in Stage}
LEAST_OF_MANY: Final = 16  # transfers; below this COPY costs more than it saves
LOCKED_ONE_BY_ONE: Final = (
    500  # accounts; beyond, locking each writes more pages than it keeps others waiting
)
LOCK_NOT_AVAILABLE: Final = "55P03"  # SQLSTATE
DEADLOCK: Final = "40P01"
POSTING: Final = 0x63636C67  # advisory lock: shared by posters that lock rows, alone for one that does not


def accounts(ids: Collection[str], *, lock: bool) -> dict[str, Account]:
    """The accounts there are of these ids; if asked, nobody else changes them until the transaction ends.

    On PostgreSQL a small posting locks its rows in the order of their ids, so that two never wait for each
    other in a circle; a large one waits for all others to end and keeps new ones out. SQLite's transaction
    has the whole database already.
    """
    locking = ""
    if lock and postgres():
        few = len(ids) <= LOCKED_ONE_BY_ONE
        locking = " ORDER BY id FOR UPDATE" if few else ""
        _take_turn("_shared" if few else "")
    found = {}
    for name, kind, flags, *sums in _select(ACCOUNTS, ("id", "kind", "flags", *SUMS), ids, locking):
        found[name] = Account(name, kind, ACCOUNT_FLAGS[flags], *sums)
    return found


def entries(ids: Collection[str]) -> dict[str, Entry]:
    """The recorded transfers of these ids."""
    found = {}
    for row in _select(TRANSFERS, COLUMNS[:-1], ids):
        name, debit, credit, amount, code, flags, pending_id, business_date, ref, stage = row
        if isinstance(business_date, str):  # SQLite keeps dates as text
            business_date = date.fromisoformat(business_date)
        transfer = Transfer(name, debit, credit, amount, code, FLAGS[flags], pending_id, business_date, ref)
        found[name] = Entry(transfer, STAGES[stage])
    return found


def add_entries(new: Sequence[Entry], at: datetime) -> None:
    """Record new transfers; the database's IntegrityError when an id is taken."""
    if not new:
        return
    found = [_row(entry, at) for entry in new]
    with connection.cursor() as cursor:
        if not postgres():
            cursor.executemany(_insert(1), found)
        elif len(found) < LEAST_OF_MANY:
            cursor.execute(_insert(len(found)), [value for row in found for value in row])
        else:
            # As text: the column has a time zone, and only a text is read as a time in the session's.
            with connection.wrap_database_errors, cursor.cursor.copy(COPY) as copy:
                for row in found:
                    copy.write_row(row)


def end_entries(ended: Iterable[Entry]) -> None:
    """Move recorded pending transfers on to the stage they have now."""
    pairs = [(entry.stage.value, entry.transfer.id) for entry in ended]
    if pairs:
        with connection.cursor() as cursor:
            cursor.executemany(f"UPDATE {TRANSFERS} SET stage = %s WHERE id = %s", pairs)


def set_sums(changed: Collection[Account]) -> None:
    """Write the four sums of accounts."""
    if not changed:
        return
    found = [(a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted, a.id) for a in changed]
    with connection.cursor() as cursor:
        if postgres():
            *sums, ids = zip(*found, strict=True)
            sets = ", ".join(f"{name} = new.{name}" for name in SUMS)
            columns = ", ".join([UNCOUNTED.format("int8")] * len(SUMS))
            cursor.execute(
                f"UPDATE {ACCOUNTS} AS old SET {sets} FROM ROWS FROM ({columns}, {UNCOUNTED.format('text')}) "
                f"AS new ({', '.join(SUMS)}, id) WHERE old.id = new.id",
                [*(_numbers(column) for column in sums), _array(ids)],
            )
        else:
            sets = ", ".join(f"{name} = %s" for name in SUMS)
            cursor.executemany(f"UPDATE {ACCOUNTS} SET {sets} WHERE id = %s", found)


def lost_race(error: DatabaseError) -> bool:
    """Whether a transaction failed for another poster's sake: done again it will see what that one did."""
    state = getattr(error.__cause__, "sqlstate", None)
    return isinstance(error, IntegrityError) or state in (LOCK_NOT_AVAILABLE, DEADLOCK)


def postgres() -> bool:
    """Whether the office's database is PostgreSQL; else it is SQLite."""
    return connection.vendor == "postgresql"


# A large plain batch: whole columns, and accounts found again by their place instead of their id


def wait_at_most(milliseconds: int) -> None:
    """From here to the end of the transaction no lock is waited for any longer (PostgreSQL)."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {milliseconds:d}")


def lock_all_accounts() -> None:
    """Nobody else changes any account until the transaction ends."""
    if postgres():
        _take_turn()


def any_recorded(batch: Iterable[Transfer]) -> bool:
    """Whether the ledger has a transfer of one of these ids."""
    for _ in _select(TRANSFERS, ("1",), [t.id for t in batch], " LIMIT 1"):
        return True
    return False


def standings(ids: Collection[str]) -> list[tuple[Any, ...]]:
    """Id, place, the four sums and the flags of the accounts there are of these ids.

    A place holds until the account is next written, so it is good for one change under lock.
    """
    return list(_select(ACCOUNTS, ("id", "ctid" if postgres() else "rowid", *SUMS, "flags"), ids))


def set_posted(changed: Sequence[tuple[Place, int, int]]) -> int:
    """Write debits and credits posted of the accounts at these places; returns how many there were."""
    if not changed:
        return 0
    places, debits, credits = zip(*changed, strict=True)
    with connection.cursor() as cursor:
        if postgres():
            columns = ", ".join(UNCOUNTED.format(kind) for kind in ("tid", "int8", "int8"))
            cursor.execute(
                f"UPDATE {ACCOUNTS} AS old SET debits_posted = new.debits, credits_posted = new.credits "
                f"FROM ROWS FROM ({columns}) AS new (place, debits, credits) WHERE old.ctid = new.place",
                [_array(places), _numbers(debits), _numbers(credits)],
            )
        else:
            cursor.executemany(
                f"UPDATE {ACCOUNTS} SET debits_posted = %s, credits_posted = %s WHERE rowid = %s",
                list(zip(debits, credits, places, strict=True)),
            )
        return int(cursor.rowcount)


def add_plain(new: Sequence[Transfer], at: datetime) -> None:
    """Record plain transfers as booked; the database's IntegrityError when an id is taken."""
    stage = Stage.BOOKED.value
    with connection.cursor() as cursor:
        if postgres():
            with connection.wrap_database_errors, cursor.cursor.copy(COPY) as copy:
                for first in range(0, len(new), LINES_AT_ONCE):
                    copy.write(_lines(new[first : first + LINES_AT_ONCE], stage, at))
        else:
            moment = str(at)  # as Django's adapter writes it, once instead of row by row
            cursor.executemany(
                _insert(1),
                [
                    (
                        t.id,
                        t.debit,
                        t.credit,
                        t.amount_fen,
                        t.code,
                        0,
                        "",
                        t.business_date,
                        t.ref,
                        stage,
                        moment,
                    )
                    for t in new
                ],
            )


def take_out(ids: Sequence[str]) -> None:
    """Remove transfers that this very transaction has recorded (PostgreSQL)."""
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {TRANSFERS} WHERE id = ANY(%s::text[])", [_array(sorted(ids))])


def _insert(count: int) -> str:
    marks = f"({', '.join(['%s'] * len(COLUMNS))})"
    return f"INSERT INTO {TRANSFERS} ({', '.join(COLUMNS)}) VALUES {', '.join([marks] * count)}"


def _lines(new: Sequence[Transfer], stage: str, at: datetime) -> str:
    """The text of that COPY: a line for each transfer, tabs between columns.

    What holds none of the four signs that COPY takes for its own needs no escaping; whether one does is seen
    from their number in the whole.
    """
    none, tail = "\\N", f"{stage}\t{at}\n"
    lines = [
        f"{t.id}\t{t.debit}\t{t.credit}\t{t.amount_fen}\t{t.code}\t0\t\t"
        f"{t.business_date or none}\t{t.ref}\t{tail}"
        for t in new
    ]
    text = "".join(lines)
    undated = [t.business_date for t in new].count(None)
    if tuple(map(text.count, "\t\n\\\r")) == ((len(COLUMNS) - 1) * len(new), len(new), undated, 0):
        return text
    lines = [
        f"{_escaped(t.id)}\t{_escaped(t.debit)}\t{_escaped(t.credit)}\t{t.amount_fen}\t{_escaped(t.code)}\t0\t\t"
        f"{t.business_date or none}\t{_escaped(t.ref)}\t{tail}"
        for t in new
    ]
    return "".join(lines)


def _escaped(text: str) -> str:
    for sign, written in COPY_SIGNS:
        text = text.replace(sign, written)
    return text


def _array(texts: Sequence[str]) -> str:
    """A PostgreSQL array of texts, written out."""
    together = "".join(texts)
    if '"' in together or "\\" in together:
        texts = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    return '{"' + '","'.join(texts) + '"}'


def _numbers(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def _take_turn(shared: str = "") -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock{shared}(%s)", [POSTING])


def _select(
    table: str, columns: tuple[str, ...], ids: Collection[str], tail: str = ""
) -> Iterable[tuple[Any, ...]]:
    """The rows of a table with these ids, whatever their number."""
    if not ids:
        return []
    asked = "= ANY(%s::text[])" if postgres() else "IN (SELECT value FROM json_each(%s))"
    inorder = sorted(ids)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(columns)} FROM {table} WHERE id {asked}{tail}",
            [_array(inorder) if postgres() else json.dumps(inorder)],
        )
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _row(entry: Entry, at: datetime) -> tuple[Any, ...]:
    t = entry.transfer
    return (
        t.id, t.debit, t.credit, t.amount_fen, t.code, int(t.flags), t.pending_id, t.business_date, t.ref,
        entry.stage.value, at,
    )  # fmt: skip
