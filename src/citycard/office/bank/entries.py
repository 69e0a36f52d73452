# SPDX-License-Identifier: Apache-2.0
"""Puts the bank's movements into the books, each once, whether notification or statement tells of it first.

A notified movement is booked against `notified:settlement`, and from there to the bank's account when its
statement comes; so `cash:settlement` is always what statements say. Two files speak of one movement when
amount, direction and the servicer's reference are the same, or, where one of them has no such reference, the
end-to-end id and the booking date. One file may tell of an entry as a whole and another of its transactions:
then the whole is replaced by its parts while nobody has matched it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from django.db.models import Max, Q

from citycard.core.ledger import Transfer
from citycard.office import ledger
from citycard.office.bank import matching
from citycard.office.bank.camt import Movement
from citycard.office.bank.models import BankEntry, BankMessage, BankStatement, Purpose
from citycard.office.ledger import chart

ACCOUNTS: Final = (chart.BANK, chart.CASH, chart.NOTIFIED, chart.UNALLOCATED, chart.OWN)
ASKED_AT_ONCE: Final = 400  # references in one query


@dataclass(slots=True)
class Booked:
    """What a file brought: movements new to us, those known before, and those it gives no reference for."""

    new: list[BankEntry] = field(default_factory=list)
    known: int = 0
    left: int = 0


def book(source: BankStatement | BankMessage, moves: Sequence[Movement]) -> Booked:
    """Book the movements of a statement or a notification and match what is new."""
    ledger.open_accounts(ACCOUNTS)
    taking = _Taking(source, _Known(moves))
    for _, group in groupby(moves, key=lambda one: one.entry):
        taking.entry(list(group))
    BankEntry.objects.bulk_create(taking.booked.new)
    ledger.post_or_fail([one for one in taking.transfers if one.amount_fen])
    matching.retry()
    return taking.booked


class _Known:
    """Rows that a file may speak of, by their references; each is found once."""

    def __init__(self, moves: Iterable[Movement]) -> None:
        refs = sorted({ref for one in moves for ref in (one.entry_ref, one.servicer_ref) if ref})
        names = sorted({one.end_to_end for one in moves if one.end_to_end})
        found: dict[int, BankEntry] = {}
        for column, values in (("entry_ref", refs), ("servicer_ref", refs), ("end_to_end", names)):
            for at in range(0, len(values), ASKED_AT_ONCE):
                wanted = Q(**{f"{column}__in": values[at : at + ASKED_AT_ONCE]})
                rows = BankEntry.objects.select_for_update(of=("self",)).filter(wanted)
                found |= {row.pk: row for row in rows.select_related("statement", "notice")}
        self.by_entry: dict[str, list[BankEntry]] = defaultdict(list)
        self.by_ref: dict[str, list[BankEntry]] = defaultdict(list)
        self.by_name: dict[str, list[BankEntry]] = defaultdict(list)
        self.used: set[int] = set()
        for _, row in sorted(found.items()):
            self.by_entry[row.entry_ref].append(row)
            self.by_ref[row.servicer_ref].append(row)
            self.by_name[row.end_to_end].append(row)

    def same(self, move: Movement, unstated: bool) -> BankEntry | None:
        """The row of this movement; `unstated`: only one that no statement has told of."""
        by_ref = self.by_ref[move.servicer_ref] if move.servicer_ref else []
        for row in self._free(by_ref, move, unstated):
            if row.amount_fen == move.amount_fen and (
                row.end_to_end == move.end_to_end or not (row.end_to_end and move.end_to_end)
            ):
                return row
        by_name = self.by_name[move.end_to_end] if move.end_to_end else []
        for row in self._free(by_name, move, unstated):
            without = not (row.servicer_ref and move.servicer_ref)
            if without and (row.amount_fen, row.booked_on) == (move.amount_fen, move.booked_on):
                return row
        return None

    def parts(self, whole: Movement, unstated: bool) -> list[BankEntry]:
        """The rows of the transactions that this movement is the sum of."""
        if not whole.entry_ref or whole.end_to_end:
            return []
        rows = list(self._free(self.by_entry[whole.entry_ref], whole, unstated))
        return rows if len(rows) > 1 and sum(row.amount_fen for row in rows) == whole.amount_fen else []

    def whole(self, group: Sequence[Movement], unstated: bool) -> BankEntry | None:
        """The row of the entry that these movements are the transactions of."""
        ref, total = group[0].entry_ref, sum(one.amount_fen for one in group)
        rows = self._free(self.by_entry[ref] if ref else [], group[0], unstated)
        return next((row for row in rows if row.amount_fen == total and not row.end_to_end), None)

    def _free(self, rows: Iterable[BankEntry], move: Movement, unstated: bool) -> Iterable[BankEntry]:
        for row in rows:
            alike = (row.credit, row.reversal) == (move.credit, move.reversal)
            if alike and row.pk not in self.used and not (unstated and row.statement_id):
                yield row


class _Taking:
    """One file on its way into the books."""

    def __init__(self, source: BankStatement | BankMessage, known: _Known) -> None:
        self.statement = source if isinstance(source, BankStatement) else None
        self.notice = source if isinstance(source, BankMessage) else None
        self.known = known
        self.booked = Booked()
        self.transfers: list[Transfer] = []
        self.number = 0

    def entry(self, group: list[Movement]) -> None:
        """Take the movements of one entry."""
        unstated = self.statement is not None
        whole = self.known.whole(group, unstated) if len(group) > 1 else None
        if whole is not None:
            parts = _split(whole, group) if whole.purpose == Purpose.OPEN else [whole]
            self._again(parts)
            return
        for move in group:
            row = self.known.same(move, unstated)
            rows = [row] if row is not None else self.known.parts(move, unstated)
            if rows:
                self._again(rows)
            elif self.notice is not None and not (move.servicer_ref or move.end_to_end):
                self.booked.left += 1  # nothing by which its statement could name it: that will bring it
            else:
                self._new(move)

    def _again(self, rows: Iterable[BankEntry]) -> None:
        for row in rows:
            self.known.used.add(row.pk)
            self.booked.known += 1
            self.number += 1
            if self.statement is not None:
                row.statement, row.number = self.statement, self.number
                self.transfers.append(self._transfer(row, chart.NOTIFIED))
            elif row.notice is None:
                row.notice, row.notice_number = self.notice, self.number
            row.save()

    def _new(self, move: Movement) -> None:
        self.number += 1
        row = _row(move)
        row.statement, row.notice = self.statement, self.notice
        row.number = self.number if self.statement else None
        row.notice_number = self.number if self.notice else None
        row.noticed = self.notice is not None
        matching.match(row)
        self.booked.new.append(row)
        self.transfers.append(self._transfer(row, matching.counter_account(row)))

    def _transfer(self, row: BankEntry, other: str) -> Transfer:
        own = chart.CASH if self.statement else chart.NOTIFIED
        debit, credit = (own, other) if row.credit else (other, own)
        if self.statement is not None:
            name = f"bank:{self.statement.digest[:16]}:{row.number}"
        else:
            name = matching.transfer_id(row)
        return Transfer(
            name, debit, credit, row.amount_fen, "bank_in" if row.credit else "bank_out",
            business_date=row.booked_on, ref=row.order_id or row.bank_ref,
        )  # fmt: skip


def _row(move: Movement) -> BankEntry:
    return BankEntry(
        credit=move.credit, amount_fen=move.amount_fen, reversal=move.reversal, booked_on=move.booked_on,
        end_to_end=move.end_to_end, bank_ref=move.bank_ref, text=move.text, party=move.party,
        party_account=move.party_account, entry_ref=move.entry_ref, servicer_ref=move.servicer_ref,
    )  # fmt: skip


def _split(whole: BankEntry, group: Sequence[Movement]) -> list[BankEntry]:
    """Replace an unmatched entry by its transactions; what it brought stays unallocated until they match."""
    numbers = {
        column: BankEntry.objects.filter(**{owner: getattr(whole, owner)}).aggregate(last=Max(column))["last"]
        for owner, column in (("statement", "number"), ("notice", "notice_number"))
        if getattr(whole, owner) is not None
    }
    parts = []
    for at, move in enumerate(group):
        row = _row(move)
        row.statement, row.notice, row.noticed = whole.statement, whole.notice, whole.noticed
        for column, last in numbers.items():
            setattr(row, column, last + at if at else getattr(whole, column))
        row.pk = whole.pk if at == 0 else None
        row.save(force_update=at == 0)
        parts.append(row)
    for row in parts:
        matching.rematch(row)
    return parts
