# SPDX-License-Identifier: Apache-2.0
"""What the exchange posts: cleared taps, adjustments, and the payments of a date, in each office's own books.

At a city the hub stands for everyone else: `position:{hub}` faces the positions of its own issuers and
acquirers. At the hub `position:{member}` faces those of other members and its own. Positions add up to zero
after every posting. Payments follow the BP file, and only when our own sums say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Final

from django.db import transaction

from citycard.core.interop import money
from citycard.core.interop.files import FileName
from citycard.core.interop.money import Books, Parts
from citycard.core.ledger import PLAIN, Flag, Transfer
from citycard.core.problem import declare
from citycard.office import ledger
from citycard.office.intake import alarms
from citycard.office.ledger import chart
from citycard.office.ledger.models import LedgerTransfer
from citycard.office.partners import desk, taps
from citycard.office.partners.models import ExchangedTap, ExchangePosition, Member, PartnerIssuer

POSITION: Final = "EXCHANGE_POSITION"
POSITION_UNFIT = declare(
    "POSITION_UNFIT",
    "{name} holds a position of {member} for {date}: a file tells its own date and its receiver's positions.",
    "{name} 含有 {member} 在 {date} 的头寸：文件只应包含当日、接收方的头寸。",
)
POSITION_TWICE = declare(
    "POSITION_TWICE",
    "Positions of {date} came before with other figures. Those stand.",
    "{date} 的头寸此前已以不同数字接收，以先收到的为准。",
)


def account_finder() -> Callable[[ExchangedTap], Books]:
    """A function from a tap to its three accounts in this office's books; looks members up once."""
    us = desk.own()
    members = {one.org: chart.position(one.participant) for one in Member.objects.all()}
    member_of = dict(PartnerIssuer.objects.values_list("issuer_org", "member_id"))
    hub = members[us.hub]

    def find(tap: ExchangedTap) -> Books:
        if tap.side == desk.ISSUER:
            return Books(chart.position(tap.issuer), hub, hub)
        if tap.side == desk.ACQUIRER:
            return Books(hub, chart.position(tap.acquirer), hub)
        return Books(members[member_of[tap.issuer_org]], members[tap.acquirer_org], hub)

    return find


def post_cleared(cleared: Iterable[ExchangedTap], on: date) -> None:
    """Book cleared taps, each as one chain named after its serial."""
    steps: list[Transfer] = []
    accounts: set[str] = set()
    books_of = account_finder()
    for tap in cleared:
        assert tap.serial is not None
        books = books_of(tap)
        accounts |= set(books)
        steps += money.clearing_legs(tap.serial, taps.parts(tap), books, on)
    ledger.open_accounts(sorted(accounts))
    ledger.post_or_fail(steps)


def post_adjustment(number: int, tap: ExchangedTap, back: Parts, on: date) -> None:
    """Book an adjustment; the original stays as it is and is named by the new transfers."""
    assert tap.serial is not None
    ledger.post_or_fail(money.adjustment_legs(number, tap.serial, back, account_finder()(tap), on))


def nets(on: date) -> dict[str, int]:
    """What the exchange moved on each position account for a settlement date, payments left out."""
    found: Counter[str] = Counter()
    rows = LedgerTransfer.objects.filter(business_date=on, code__in=(money.CODE, money.ADJUSTED))
    for debit, credit, fen in rows.values_list("debit_id", "credit_id", "amount_fen"):
        found[debit] -= fen
        found[credit] += fen
    return dict(found)


def pay(on: date) -> int:
    """Make the payments of a settlement date through the bank, once; returns the fen the bank received."""
    return post_payment(on, nets(on), "payment")


def paid(on: date) -> dict[str, int]:
    """What was paid to each position account (from it: negative) for a settlement date so far."""
    found: Counter[str] = Counter()
    rows = LedgerTransfer.objects.filter(business_date=on, code=money.PAID)
    for debit, credit, fen in rows.values_list("debit_id", "credit_id", "amount_fen"):
        found[debit] += fen
        found[credit] -= fen
    del found[chart.BANK]
    return dict(found)


def post_payment(on: date, legs: Mapping[str, int], step: str) -> int:
    """Pay these amounts to (negative: from) position accounts through the bank; each step of a date once."""
    assert sum(legs.values()) == 0, "what some pay is what others get"
    chain = []
    for account, net_fen in sorted(legs.items()):
        if net_fen:
            debit, credit = (account, chart.BANK) if net_fen > 0 else (chart.BANK, account)
            name = f"exchange:{on}:{step}:{account.partition(':')[2]}"
            chain.append(
                Transfer(name, debit, credit, abs(net_fen), money.PAID, Flag.LINKED, business_date=on)
            )
    ledger.open_accounts([chart.BANK])
    ledger.post_or_fail([*chain[:-1], *(replace(last, flags=PLAIN) for last in chain[-1:])])
    return sum(step.amount_fen for step in chain if step.debit == chart.BANK)


def keep_positions(rows: Iterable[dict[str, Any]]) -> None:
    """Keep BP rows; the same again is quiet, others for the same date are POSITION_TWICE."""
    for row in rows:
        key = {name: row[name] for name in ("settled_on", "member_org", "counterparty_org")}
        kept, new = ExchangePosition.objects.get_or_create(**key, defaults=row)
        if not new and any(getattr(kept, name) != value for name, value in row.items()):
            raise POSITION_TWICE(date=row["settled_on"])


@transaction.atomic
def take_positions(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """The hub's positions: kept, held against our own books, and paid when both say the same.

    Where they differ nothing is paid: an alarm tells both figures, and two people say what is (`held`). A
    date that was held once is never paid by itself.
    """
    from citycard.office.partners import held

    us = desk.own()
    ours_to_know = {us.org, *desk.own_issuers().values()}
    for row in records:
        if row["settled_on"] != name.business_date or row["member_org"] not in ours_to_know:
            raise POSITION_UNFIT(name=name, member=row["member_org"], date=row["settled_on"])
    keep_positions(records)
    different = differences(name.business_date)
    for whose, (told, ours) in different.items():
        alarms.raise_alarm(POSITION, whose, str(name.business_date), told_fen=told, ours_fen=ours)
    if different:
        net = [row["net_fen"] for row in records if row["counterparty_org"] == us.hub]
        ours = -nets(name.business_date).get(chart.position(sender.participant), 0)
        held.hold(name.business_date, sum(net), ours)
    elif not held.is_held(name.business_date):
        pay(name.business_date)


def differences(on: date) -> dict[str, tuple[int, int]]:
    """At a city, where the positions told for a date are not those of our books: told and ours.

    By organisation: the hub for our net as a whole, and each company code but our own for its issuers.
    """
    us, moved = desk.own(), nets(on)
    ours: Counter[str] = Counter()
    ours[us.hub] = -moved.get(chart.position(desk.member(us.hub).participant), 0)
    for issuer, company in desk.own_issuers().items():
        if company != us.org:
            ours[company] += moved.get(chart.position(issuer), 0)
    told: Counter[str] = Counter()
    for row in ExchangePosition.objects.filter(settled_on=on):
        net = row.counterparty_org == us.hub and row.member_org == us.org
        told[us.hub if net else row.member_org] += row.net_fen
    return {org: (told[org], fen) for org, fen in ours.items() if told[org] != fen}
