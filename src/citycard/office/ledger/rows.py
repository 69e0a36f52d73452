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
    if lock and _postgres():
        few = len(ids) <= LOCKED_ONE_BY_ONE
        locking = " ORDER BY id FOR UPDATE" if few else ""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_xact_lock{'_shared' if few else ''}(%s)", [POSTING])
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
        if _postgres() and len(new) >= LEAST_OF_MANY:
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
        if _postgres() and len(rows) >= LEAST_OF_MANY:
            *sums, ids = zip(*rows, strict=True)
            sets = ", ".join(f"{name} = new.{name}" for name in SUMS)
            columns = ", ".join(["unnest(%s::int8[])"] * len(SUMS))
            cursor.execute(
                f"UPDATE {ACCOUNTS} AS old SET {sets} FROM ROWS FROM ({columns}, "
                f"json_array_elements_text(%s::json)) AS new ({', '.join(SUMS)}, id) WHERE old.id = new.id",
                [*("{" + ",".join(map(str, column)) + "}" for column in sums), json.dumps(ids)],
            )
        else:
            sets = ", ".join(f"{name} = %s" for name in SUMS)
            cursor.executemany(f"UPDATE {ACCOUNTS} SET {sets} WHERE id = %s", rows)


def _postgres() -> bool:
    return connection.vendor == "postgresql"


def _select(
    table: str, columns: tuple[str, ...], ids: Collection[str], tail: str = ""
) -> Iterable[tuple[Any, ...]]:
    """The rows of a table with these ids, whatever their number."""
    if not ids:
        return []
    asked = "json_array_elements_text(%s::json)" if _postgres() else "value FROM json_each(%s)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(columns)} FROM {table} WHERE id IN (SELECT {asked}){tail}",
            [json.dumps(sorted(ids))],
        )
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _row(entry: Entry, at: datetime) -> tuple[Any, ...]:
    t = entry.transfer
    return (
        t.id, t.debit, t.credit, t.amount_fen, t.code, int(t.flags), t.pending_id, t.business_date, t.ref,
        entry.stage.value, at,
    )  # fmt: skip
