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

from django.db import connection

from citycard.core.ledger import Account, AccountFlag, Entry, Flag, Stage, Transfer
from citycard.core.ledger_plain import Standing
from citycard.office.ledger.models import LedgerAccount, LedgerTransfer

ACCOUNTS: Final = LedgerAccount._meta.db_table
TRANSFERS: Final = LedgerTransfer._meta.db_table
SUMS: Final = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
COLUMNS: Final = (
    *("id", "debit_id", "credit_id", "amount_fen", "code"),
    *("flags", "pending_id", "business_date", "ref", "stage"),
)
TYPES: Final = (
    *("text", "text", "text", "int8", "text"),
    *("int2", "text", "date", "text", "text", "timestamp"),
)  # of COLUMNS and recorded_at, as PostgreSQL names them
COPY_SIGNS: Final = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
Place = str | int  # of a row in its table: ctid or rowid
ACCOUNT_FLAGS: Final = {int(flag): flag for flag in map(AccountFlag, range(4))}
FLAGS: Final = {number: Flag(number) for number in range(16)}
STAGES: Final = {stage.value: stage for stage in Stage}
LEAST_OF_MANY: Final = 16  # below this COPY and array updates cost more than they save
LOCKED_ONE_BY_ONE: Final = (
    500  # accounts; beyond, locking each writes more pages than it keeps others waiting
)
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
    for row in _select(TRANSFERS, COLUMNS, ids):
        name, debit, credit, amount, code, flags, pending_id, business_date, ref, stage = row
        if isinstance(business_date, str):  # SQLite keeps dates as text
            business_date = date.fromisoformat(business_date)
        transfer = Transfer(name, debit, credit, amount, code, FLAGS[flags], pending_id, business_date, ref)
        found[name] = Entry(transfer, STAGES[stage])
    return found


def add_entries(new: Sequence[Entry], at: datetime) -> None:
    """Record new transfers; the database's IntegrityError when an id is taken."""
    rows = (_row(entry, at) for entry in new)
    columns = (*COLUMNS, "recorded_at")
    with connection.cursor() as cursor:
        if postgres() and len(new) >= LEAST_OF_MANY:
            statement = f"COPY {TRANSFERS} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
            with connection.wrap_database_errors, cursor.cursor.copy(statement) as copy:
                copy.set_types(TYPES)
                for row in rows:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"INSERT INTO {TRANSFERS} ({', '.join(columns)}) VALUES ({marks})", list(rows))


def end_entries(ended: Iterable[Entry]) -> None:
    """Move recorded pending transfers on to the stage they have now."""
    pairs = [(entry.stage.value, entry.transfer.id) for entry in ended]
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {TRANSFERS} SET stage = %s WHERE id = %s", pairs)


def set_sums(changed: Collection[Account]) -> None:
    """Write the four sums of accounts."""
    rows = [(a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted, a.id) for a in changed]
    with connection.cursor() as cursor:
        if postgres() and len(rows) >= LEAST_OF_MANY:
            *sums, ids = zip(*rows, strict=True)
            sets = ", ".join(f"{name} = new.{name}" for name in SUMS)
            columns = ", ".join(["unnest(%s::int8[])"] * len(SUMS))
            cursor.execute(
                f"UPDATE {ACCOUNTS} AS old SET {sets} FROM ROWS FROM ({columns}, "
                f"json_array_elements_text(%s::json)) AS new ({', '.join(SUMS)}, id) WHERE old.id = new.id",
                [*(_numbers(column) for column in sums), json.dumps(ids)],
            )
        else:
            sets = ", ".join(f"{name} = %s" for name in SUMS)
            cursor.executemany(f"UPDATE {ACCOUNTS} SET {sets} WHERE id = %s", rows)


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


def standings(ids: Collection[str]) -> list[tuple[str, Place, Standing]]:
    """Id, place, and sums and flags of the accounts there are of these ids.

    A place holds until the account is next written, so it is good for one change under lock.
    """
    place = "ctid" if postgres() else "rowid"
    found = _select(ACCOUNTS, ("id", place, *SUMS, "flags"), ids)
    return [(name, place, standing) for name, place, *standing in found]


def set_posted(changed: Sequence[tuple[Place, int, int]]) -> int:
    """Write debits and credits posted of the accounts at these places; returns how many there were."""
    if not changed:
        return 0
    places, debits, credits = zip(*changed, strict=True)
    with connection.cursor() as cursor:
        if postgres():
            # The arrays come out of sub-selects lest the planner count them: for so many it would rather
            # read the whole table than go to each place.
            cursor.execute(
                f"UPDATE {ACCOUNTS} AS old SET debits_posted = new.debits, credits_posted = new.credits "
                "FROM ROWS FROM (unnest((SELECT %s::tid[])), unnest((SELECT %s::int8[])), "
                "unnest((SELECT %s::int8[]))) AS new (place, debits, credits) WHERE old.ctid = new.place",
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
    columns = (*COLUMNS, "recorded_at")
    stage = Stage.BOOKED.value
    with connection.cursor() as cursor:
        if postgres():
            statement = f"COPY {TRANSFERS} ({', '.join(columns)}) FROM STDIN"
            with connection.wrap_database_errors, cursor.cursor.copy(statement) as copy:
                copy.write(_lines(new, f"{stage}\t{at}"))
        else:
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(
                f"INSERT INTO {TRANSFERS} ({', '.join(columns)}) VALUES ({marks})",
                [
                    (t.id, t.debit, t.credit, t.amount_fen, t.code, 0, "", t.business_date, t.ref, stage, at)
                    for t in new
                ],
            )


def take_out(ids: Sequence[str]) -> None:
    """Remove transfers that this very transaction has recorded (PostgreSQL)."""
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {TRANSFERS} WHERE id = ANY(%s::text[])", [_array(sorted(ids))])


def _lines(new: Sequence[Transfer], tail: str) -> str:
    """The text of a COPY: a line for each transfer, tabs between columns.

    What holds none of the four signs that COPY takes for its own needs no escaping; whether one does is seen
    from their number in the whole.
    """
    none = "\\N"
    text = "".join(
        [
            f"{t.id}\t{t.debit}\t{t.credit}\t{t.amount_fen}\t{t.code}\t0\t\t{t.business_date or none}\t{t.ref}\t{tail}\n"
            for t in new
        ]
    )
    undated = sum(t.business_date is None for t in new)
    signs = (text.count("\t"), text.count("\n"), text.count("\\"), text.count("\r"))
    if signs == ((len(COLUMNS)) * len(new), len(new), undated, 0):
        return text
    return "".join(
        [
            f"{_escaped(t.id)}\t{_escaped(t.debit)}\t{_escaped(t.credit)}\t{t.amount_fen}\t{_escaped(t.code)}"
            f"\t0\t\t{t.business_date or none}\t{_escaped(t.ref)}\t{tail}\n"
            for t in new
        ]
    )


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
