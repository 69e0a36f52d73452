# SPDX-License-Identifier: Apache-2.0
"""Which movement of the bank was for which order.

A movement is matched on its own when the end-to-end id (in its field, or within the remittance text) names an
order that is open with exactly this amount, or when account and amount fit exactly one open order. Everything
else is left to a person, with the reason: a movement is never matched because it nearly fits. What waits is
tried again after each file, so that files may come in any order.
"""

from __future__ import annotations

import re
from typing import Final

from django.db import transaction

from citycard.core.ledger import Transfer
from citycard.office import audit, ledger
from citycard.office.bank import orders, problems
from citycard.office.bank.models import BankAccount, BankEntry, PaymentOrder, Purpose, State
from citycard.office.intake import alarms
from citycard.office.ledger import chart
from citycard.office.participants.models import Participant

NAMED: Final = re.compile(r"[0-9]{8}-[0-9a-f]{16}-[0-9]{2}")  # an end-to-end id of ours within a text
OPEN_STATES: Final = (State.MADE, State.SENT, State.AWAITED)
UNKNOWN, AMBIGUOUS, DUPLICATE = "unknown", "ambiguous", "duplicate"
TOO_LITTLE, TOO_MUCH, DIRECTION, STATE = "too_little", "too_much", "direction", "state"


def match(entry: BankEntry) -> None:
    """Find what an unmatched entry was for, or write down why it cannot be told; books nothing."""
    found, named = _candidate(entry)
    if found is None:
        entry.why = AMBIGUOUS if named else UNKNOWN
        return
    why = _objection(entry, found)
    if why:
        entry.why = why
        return
    _take(entry, found)


@transaction.atomic
def match_order(entry_id: int, end_to_end: str, by: str) -> None:
    """Match an entry by hand with an order that is open; less than the open amount pays a part of it."""
    entry = _waiting(entry_id)
    found = PaymentOrder.objects.select_for_update(of=("self",)).select_related("payment", "file")
    order = found.filter(pk=end_to_end).first()
    if order is None:
        raise problems.PAYMENT_UNKNOWN(name=end_to_end)
    why = _objection(entry, order)
    if why not in ("", TOO_LITTLE):
        raise problems.ENTRY_MISMATCH(entry=entry, why=why.replace("_", " "))
    _take(entry, order)
    _allocate(entry, chart.BANK, by)


@transaction.atomic
def match_guarantee(entry_id: int, participant: str, by: str) -> None:
    """Match an entry by hand as a guarantee deposit paid in, or paid back as far as there is one."""
    entry = _waiting(entry_id)
    if not Participant.objects.filter(pk=participant).exists():
        raise problems.ENTRY_MISMATCH(entry=entry, why=f"{participant[:40]!r} is no participant")
    entry.purpose, entry.why = Purpose.GUARANTEE, ""
    _allocate(entry, chart.guarantee(participant), by)


@transaction.atomic
def match_own(entry_id: int, by: str) -> None:
    """Match an entry by hand as the scheme's own money: put in, taken out, interest, charges."""
    entry = _waiting(entry_id)
    entry.purpose, entry.why = Purpose.OWN, ""
    _allocate(entry, chart.OWN, by)


def transfer_id(entry: BankEntry) -> str:
    """The id under which the ledger knows an entry, whoever imports it and however often."""
    if entry.noticed:
        assert entry.notice is not None
        return f"bank:notice:{entry.notice.digest[:16]}:{entry.notice_number}"
    assert entry.statement is not None
    return f"bank:{entry.statement.digest[:16]}:{entry.number}"


def counter_account(entry: BankEntry) -> str:
    """What faces the bank's movement in the ledger."""
    return chart.BANK if entry.purpose in (Purpose.ORDER, Purpose.RETURN) else chart.UNALLOCATED


def fitting(entry: BankEntry) -> list[PaymentOrder]:
    """Orders a person may match an entry with, the same amount first."""
    rows = PaymentOrder.objects.filter(state__in=OPEN_STATES).select_related("payment")
    fit = [one for one in rows if not _objection(entry, one) or _objection(entry, one) == TOO_LITTLE]
    return sorted(fit, key=lambda one: (abs(one.payment.open_fen - entry.amount_fen), one.end_to_end))


def _candidate(entry: BankEntry) -> tuple[PaymentOrder | None, bool]:
    """The one order an entry can be for, and whether there are several."""
    rows = PaymentOrder.objects.select_for_update(of=("self",)).select_related("payment", "file")
    names = {entry.end_to_end} | set(NAMED.findall(entry.text))
    named = list(rows.filter(pk__in=names))
    if named:
        return (named[0], False) if len(named) == 1 else (None, True)
    owner = BankAccount.objects.filter(number=entry.party_account).values_list("pk", flat=True)
    if entry.end_to_end or not entry.party_account or len(owner) != 1:
        return None, False
    payments = {"payment__payer": owner[0]} if entry.credit else {"payment__payee": owner[0]}
    fit = [one for one in rows.filter(state__in=OPEN_STATES, **payments) if not _objection(entry, one)]
    return (fit[0], False) if len(fit) == 1 else (None, len(fit) > 1)


def _objection(entry: BankEntry, order: PaymentOrder) -> str:
    """Why an entry is not exactly this order; empty when it is."""
    payment = order.payment
    if order.state == State.EXECUTED and entry.credit != payment.collects and entry.reversal:
        return "" if entry.amount_fen == payment.amount_fen else TOO_LITTLE
    if entry.credit != payment.collects or entry.reversal:
        return DIRECTION
    if order.state == State.EXECUTED:
        return DUPLICATE
    if order.state == State.REJECTED:  # and moved all the same: it counts, unless another attempt may be paid
        return "" if entry.amount_fen == payment.open_fen and orders.sole(order) else STATE
    if order.state not in OPEN_STATES:
        return STATE
    if entry.amount_fen != payment.open_fen:
        return TOO_LITTLE if entry.amount_fen < payment.open_fen else TOO_MUCH
    return ""


def _take(entry: BankEntry, order: PaymentOrder) -> None:
    """Note on entry, order and payment that they belong together."""
    payment = order.payment
    entry.order, entry.why = order, ""
    if order.state == State.EXECUTED:
        entry.purpose = Purpose.RETURN
        payment.paid_fen = 0
        payment.save(update_fields=["paid_fen"])
        orders.move(order, orders.RETURN, entry.text)
        alarms.raise_alarm(
            alarms.PAYMENT_RETURNED, payment.participant, order.end_to_end, amount_fen=entry.amount_fen
        )
        return
    if order.state == State.REJECTED:
        contradicted(order, moved_fen=entry.amount_fen)
    entry.purpose = Purpose.ORDER
    payment.paid_fen += entry.amount_fen
    payment.save(update_fields=["paid_fen"])
    if not payment.open_fen:
        orders.move(order, orders.EXECUTE)


def retry() -> int:
    """Match what waits and names an order, now that more is known: a return may come before its payment."""
    matched = -1
    found = 0
    while found > matched:  # each round matches something, or is the last
        matched = found
        rows = BankEntry.objects.select_for_update(of=("self",)).select_related("statement", "notice")
        for entry in rows.filter(purpose=Purpose.OPEN).exclude(why__in=("", UNKNOWN)).order_by("pk"):
            found += rematch(entry)
    return found


def rematch(entry: BankEntry) -> bool:
    """Try an entry that is booked as unallocated once more; whether it is matched now."""
    before = entry.why
    match(entry)
    if entry.purpose != Purpose.OPEN:
        _allocate(entry, chart.BANK, "")
        return True
    if entry.why != before:
        entry.save(update_fields=["why"])
    return False


def contradicted(order: PaymentOrder, **detail: object) -> None:
    """Alarm: what the bank reported of a payment is not what it did."""
    who = order.payment.participant
    alarms.raise_alarm(alarms.PAYMENT_CONTRADICTED, who, order.end_to_end, told=order.told, **detail)


def _waiting(entry_id: int) -> BankEntry:
    rows = BankEntry.objects.select_for_update(of=("self",)).select_related("statement", "notice")
    entry = rows.filter(pk=entry_id, purpose=Purpose.OPEN).first()
    if entry is None:
        raise problems.ENTRY_MISMATCH(entry=entry_id, why="it does not wait for a match")
    return entry


def _allocate(entry: BankEntry, account: str, by: str) -> None:
    """Move what an entry brought from the unallocated money to where it belongs."""
    ledger.open_accounts([account, chart.UNALLOCATED])
    debit, credit = (chart.UNALLOCATED, account) if entry.credit else (account, chart.UNALLOCATED)
    move = Transfer(
        f"{transfer_id(entry)}:match", debit, credit, entry.amount_fen, "bank_match",
        business_date=entry.booked_on, ref=entry.order_id or entry.bank_ref,
    )  # fmt: skip
    ledger.post_or_fail([move])
    entry.matched_by = by
    entry.save()
    audit.record(
        by or "system", "match_bank_entry", str(entry), purpose=entry.purpose, account=account,
        amount_fen=entry.amount_fen, order=entry.order_id or "",
    )  # fmt: skip
