# SPDX-License-Identifier: Apache-2.0
"""What a payment status report does: payments move along, and rejected ones may be ordered anew.

The word that ranks higher counts, whichever came first (`status.rank`), and what the bank has really moved
counts more than any word: a payment that was moved is never opened by a report, nor one that another report
calls settled. Only a movement executes an order; a report does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from citycard.office.bank import matching, orders, pain, problems, status
from citycard.office.bank.models import PaymentFile, PaymentOrder, State
from citycard.office.bank.status import Line, Report

SHOWN: Final = 40  # characters of a name in a sentence


@dataclass(slots=True)
class Applied:
    """What came of a report."""

    file: PaymentFile
    lines: int = 0
    accepted: int = 0
    rejected: int = 0
    contradicted: int = 0


def apply(told: Report) -> Applied:
    """Hold a report against its file and move the orders; REPORT_UNKNOWN, REPORT_UNFIT."""
    file = PaymentFile.objects.select_for_update().filter(pk=told.whole.name).first()
    if file is None:
        raise problems.REPORT_UNKNOWN(report=told.id, message=told.whole.name)
    words = _words(told, file)
    if file.state == State.MADE:  # the bank has it, so it was sent
        file.state = State.SENT
        file.save(update_fields=["state"])
    done = Applied(file, len(words))
    rows = PaymentOrder.objects.select_for_update(of=("self",)).select_related("payment", "file")
    for order in rows.filter(file=file).order_by("end_to_end"):
        _hear(order, words.get(order.end_to_end), done)
    orders.follow(file)
    return done


def _words(told: Report, file: PaymentFile) -> dict[str, Line]:
    """The closest word on each transfer of the file; REPORT_UNFIT when the report does not fit."""
    _, asked = pain.read(file.content.encode())
    blocks = {block.id: block.transfers for block in asked}
    every = {name: fen for transfers in blocks.values() for name, fen in transfers.items()}
    _fits(told, told.whole, every)
    words = _spread(told.whole, every)
    for block in told.blocks:
        transfers = blocks.get(block.whole.name)
        if transfers is None:
            raise _unfit(told, f"it has no block {block.whole.name[:SHOWN]}")
        _fits(told, block.whole, transfers)
        words |= _spread(block.whole, transfers)
        for line in block.transfers:
            if line.name not in transfers:
                raise _unfit(told, f"there is no payment {line.name[:SHOWN]} in it")
            if line.amount_fen not in (None, transfers[line.name]):
                raise _unfit(told, f"{line.name} is about another amount there")
            if line.status:
                words[line.name] = line
    return words


def _spread(whole: Line, transfers: dict[str, int]) -> dict[str, Line]:
    """A word on all transfers, where it is one on each of them."""
    if not whole.status or whole.status in status.PARTLY:
        return {}
    return dict.fromkeys(transfers, whole)


def _fits(told: Report, whole: Line, transfers: dict[str, int]) -> None:
    if whole.count not in (None, len(transfers)):
        raise _unfit(told, f"it counts {whole.count} payments of {whole.name}, there are {len(transfers)}")
    if whole.sum_fen not in (None, sum(transfers.values())):
        raise _unfit(told, f"its sum of {whole.name} is not {pain.decimal(sum(transfers.values()))}")


def _unfit(told: Report, why: str) -> Exception:
    return problems.REPORT_UNFIT(report=told.id, message=told.whole.name, why=why)


def _hear(order: PaymentOrder, word: Line | None, done: Applied) -> None:
    """Let an order hear the bank's word, or none beyond that its file has arrived."""
    if order.state == State.MADE:
        orders.move(order, orders.SEND)
    if word is None or word.status == order.told:
        return
    if word.status in status.REJECTING and order.told in status.SETTLED:
        matching.contradicted(order, why=word.why)
        done.contradicted += 1
    if status.rank(word.status) < status.rank(order.told):
        return
    before, order.told = order.told, word.status[:4]
    order.save(update_fields=["told"])
    if word.status not in status.REJECTING:
        done.accepted += 1
        if before in status.REJECTING:
            _settled_after_all(order, done)
        return
    if order.state == State.SENT and not order.payment.paid_fen:
        orders.move(order, orders.REJECT, word.why or word.status)
        done.rejected += 1
    elif order.state != State.REJECTED:  # the bank has moved it, or a part of it
        matching.contradicted(order, why=word.why)
        done.contradicted += 1


def _settled_after_all(order: PaymentOrder, done: Applied) -> None:
    """A rejected payment is called settled: it waits for its movement, unless another attempt does."""
    done.contradicted += 1
    matching.contradicted(order)
    if order.state == State.REJECTED and orders.sole(order) and not order.entries.exists():
        orders.move(order, orders.REINSTATE)
