# SPDX-License-Identifier: Apache-2.0
"""Payment orders: made of the payments of a settled date, written to a file, and moved along their states.

A participant that owes is debited through the file when it has agreed to that; otherwise its payment is
waited for; what the scheme itself is owed stays on the settlement account. Ordering a date again changes
nothing, except that what the bank rejected is ordered anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.db import transaction

from citycard.core.ledger import Transfer
from citycard.office import audit, clock, ledger
from citycard.office.bank import pain, problems, schema
from citycard.office.bank.models import BankAccount, PaymentFile, PaymentOrder, State
from citycard.office.ledger import chart
from citycard.office.participants.models import Participant
from citycard.office.participants.workdays import workdays
from citycard.office.settlement import limits
from citycard.office.settlement.models import Payment, SettlementRun

RELEASE, SEND, EXECUTE, REJECT, RETURN = "release", "send", "execute", "reject", "return"
REINSTATE = "reinstate"
NEXT: Final = {
    (State.HELD, RELEASE): State.MADE,
    (State.MADE, SEND): State.SENT,
    (State.MADE, REJECT): State.REJECTED,
    (State.SENT, REJECT): State.REJECTED,
    (State.MADE, EXECUTE): State.EXECUTED,  # the bank was quicker than the note that the file was sent
    (State.SENT, EXECUTE): State.EXECUTED,
    (State.AWAITED, EXECUTE): State.EXECUTED,
    (State.EXECUTED, RETURN): State.REJECTED,
    (State.REJECTED, EXECUTE): State.EXECUTED,  # the bank moved it all the same; only while `sole`
    (State.REJECTED, REINSTATE): State.SENT,  # the bank says that it was settled; only while `sole`
}
LIVE: Final = (State.HELD, State.MADE, State.AWAITED, State.SENT, State.EXECUTED)
ATTEMPTS_MAX: Final = 99  # two digits of the end-to-end id


@dataclass(frozen=True, slots=True)
class Ordered:
    """What ordering a date came to; `files` are those of the date, `new` the orders made just now."""

    settle_on: date
    files: list[PaymentFile]
    new: int
    awaited: list[PaymentOrder]
    held: list[PaymentOrder]


@transaction.atomic
def order(settle_on: date, by: str) -> Ordered:
    """Order the payments of a settled date. NOT_SETTLED, BANK_ACCOUNT_MISSING, PAYMENT_FILE_INVALID."""
    run = SettlementRun.objects.select_for_update().filter(pk=settle_on).first()
    if run is None or run.settled_at is None:
        raise problems.NOT_SETTLED(date=settle_on)
    made = _new_orders(run)
    _write_file(settle_on, by)
    if made:
        audit.record(by, "order_payments", settle_on.isoformat(), orders=len(made))
    own = PaymentOrder.objects.filter(payment__run=run).select_related("payment").order_by("end_to_end")
    return Ordered(
        settle_on,
        list(PaymentFile.objects.filter(settle_on=settle_on).order_by("made_at", "id")),
        len(made),
        [one for one in own if one.state == State.AWAITED],
        [one for one in own if one.state == State.HELD],
    )


@transaction.atomic
def release(end_to_end: str, by: str) -> None:
    """Let a held payment go into the next file. PAYMENT_UNKNOWN, PAYMENT_STATE."""
    found = _order(end_to_end)
    move(found, RELEASE)
    audit.record(by, "release_payment", end_to_end, amount_fen=found.payment.amount_fen)


@transaction.atomic
def reject_order(end_to_end: str, by: str, why: str) -> None:
    """Note that the bank refused one order; the next `order` makes another attempt."""
    move(_order(end_to_end), REJECT, why)
    audit.record(by, "reject_payment", end_to_end, why=why[:100])


@transaction.atomic
def move_file(message_id: str, event: str, by: str, why: str = "") -> None:
    """Note that a file was sent, or that the bank rejected it as a whole, with all its orders."""
    file = PaymentFile.objects.select_for_update().filter(pk=message_id).first()
    if file is None:
        raise problems.PAYMENT_UNKNOWN(name=message_id)
    file.state = _next(file.state, event, file.id)
    file.save(update_fields=["state"])
    for one in file.orders.select_for_update().order_by("end_to_end"):
        if (State(one.state), event) in NEXT:
            move(one, event, why)
        elif event == REJECT:
            raise problems.PAYMENT_STATE(what=one.end_to_end, state=one.state, event=event)
    audit.record(by, f"{event}_payment_file", message_id, why=why[:100])


def move(one: PaymentOrder, event: str, why: str = "") -> None:
    """Move an order along `NEXT`, and its file with it; PAYMENT_STATE."""
    if event == REJECT and one.payment.paid_fen:
        raise problems.PAYMENT_STATE(what=one.end_to_end, state="partly paid", event=event)
    one.state, one.why = _next(one.state, event, one.end_to_end), why[:200]
    one.save(update_fields=["state", "why"])
    if one.file is not None and event not in (RELEASE, SEND):
        follow(one.file)


def follow(file: PaymentFile) -> None:
    """Set a file's state by its orders: rejected as a whole, executed when nothing of it is under way."""
    states = set(file.orders.values_list("state", flat=True))
    if states == {State.REJECTED}:
        file.state = State.REJECTED
    elif states <= {State.EXECUTED, State.REJECTED}:
        file.state = State.EXECUTED
    elif file.state != State.MADE:
        file.state = State.SENT
    file.save(update_fields=["state"])


def sole(one: PaymentOrder) -> bool:
    """Whether no other attempt at the same payment may still be paid."""
    others = PaymentOrder.objects.filter(payment=one.payment_id, state__in=LIVE).exclude(pk=one.pk)
    return not others.exists()


def _next(state: str, event: str, what: str) -> State:
    found = NEXT.get((State(state), event))
    if found is None:
        raise problems.PAYMENT_STATE(what=what, state=state, event=event)
    return found


def _order(end_to_end: str) -> PaymentOrder:
    rows = PaymentOrder.objects.select_for_update(of=("self",)).select_related("payment", "file")
    found = rows.filter(pk=end_to_end).first()
    if found is None:
        raise problems.PAYMENT_UNKNOWN(name=end_to_end)
    return found


def _new_orders(run: SettlementRun) -> list[PaymentOrder]:
    """Orders for payments of the date that have none, and for earlier ones whose last was rejected."""
    rows = Payment.objects.filter(run__lte=run).exclude(orders__state__in=LIVE).order_by("run_id", "pk")
    wanted = [one for one in rows if one.run_id == run.pk or one.orders.exists()]
    if not wanted:
        return []
    scheme = scheme_id()
    accounts = _accounts({one.participant for one in wanted} | {scheme})
    held = limits.held(run.settle_on)
    made = []
    for payment in wanted:
        attempt = payment.orders.count() + 1
        assert attempt <= ATTEMPTS_MAX, f"{payment}: the bank rejected every attempt"
        state = State.MADE
        if payment.participant == scheme:
            _keep(payment)
            state = State.EXECUTED
        elif payment.collects and not accounts[payment.participant].mandate:
            state = State.AWAITED
        elif not payment.collects and payment.participant in held:
            state = State.HELD
        name = f"{payment.run_id:%Y%m%d}-{payment.participant}-{attempt:02d}"
        made.append(PaymentOrder(end_to_end=name, payment=payment, attempt=attempt, state=state))
    return PaymentOrder.objects.bulk_create(made)


def _keep(payment: Payment) -> None:
    """The scheme's own part needs no bank: it stays on the settlement account, or comes out of it."""
    debit, credit = (chart.OWN, chart.BANK) if payment.collects else (chart.BANK, chart.OWN)
    name = f"bank:own:{payment.run_id}"
    ledger.open_accounts([chart.OWN])
    ledger.post_or_fail(
        [Transfer(name, debit, credit, payment.amount_fen, "bank_own", business_date=payment.run_id)]
    )
    payment.paid_fen = payment.amount_fen
    payment.save(update_fields=["paid_fen"])


def _write_file(settle_on: date, by: str) -> None:
    """One file of all orders that are made and stand in none."""
    rows = PaymentOrder.objects.filter(state=State.MADE, file=None, payment__run__lte=settle_on)
    orders = list(rows.select_related("payment").order_by("end_to_end"))
    if not orders:
        return
    scheme = scheme_id()
    accounts = _accounts({one.payment.participant for one in orders} | {scheme})
    number = PaymentFile.objects.filter(settle_on=settle_on).count() + 1
    message_id, at = f"CITYCARD-{settle_on:%Y%m%d}-{number}", clock.now()
    content = pain.document(
        message_id,
        at,
        accounts[scheme].holder,
        workdays().on_or_after(max(settle_on, at.date())),
        [_instruction(one, accounts, scheme) for one in orders],
    )
    validated = schema.available(schema.PAIN)
    if validated and (why := schema.fault(schema.PAIN, content)):
        raise problems.PAYMENT_FILE_INVALID(date=settle_on, why=why)
    file = PaymentFile.objects.create(
        id=message_id,
        settle_on=settle_on,
        made_at=at,
        made_by=by,
        content=content.decode(),
        orders_count=len(orders),
        sum_fen=sum(one.payment.amount_fen for one in orders),
        validated=validated,
    )
    PaymentOrder.objects.filter(pk__in=[one.pk for one in orders]).update(file=file)


def _instruction(one: PaymentOrder, accounts: dict[str, BankAccount], scheme: str) -> pain.Instruction:
    payment = one.payment
    theirs, ours = _bank(accounts[payment.participant]), _bank(accounts[scheme])
    payer, payee = (theirs, ours) if payment.collects else (ours, theirs)
    text = f"{payment.run_id} settlement 清算款 {one.end_to_end}"
    return pain.Instruction(one.end_to_end, payer, payee, payment.amount_fen, text)


def _bank(account: BankAccount) -> pain.Account:
    return pain.Account(account.holder, account.number, account.bank)


def _accounts(participants: Iterable[str]) -> dict[str, BankAccount]:
    wanted = set(participants)
    found = {one.participant_id: one for one in BankAccount.objects.filter(pk__in=wanted)}
    if missing := wanted - set(found):
        raise problems.BANK_ACCOUNT_MISSING(participants=", ".join(sorted(missing)))
    return found


def scheme_id() -> str:
    """The participant that runs the scheme: its bank account is the settlement account."""
    rows = Participant.objects.order_by("id").values_list("id", "roles")
    return next((name for name, roles in rows if "scheme" in roles), "(scheme)")
