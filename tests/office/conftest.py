# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the office: a still clock, an issuer with its accounts, cards in stock, people at the counter.

The database is SQLite unless CITYCARD_DATABASE_URL names another; `test_on_postgres` runs this whole folder
a second time on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from zlib import crc32

import pytest

from citycard.office import clock
from citycard.office.staff.roles import Actor, Role

ISSUER = "02009900ffffffff"
ACQUIRER = "1200990000000001"
START = datetime(2026, 3, 2, 9, 0)

CLERK = Actor("lin", frozenset({Role.CLERK}))
OFFICER = Actor("wang", frozenset({Role.CLEARING_OFFICER}))
CUSTODIAN = Actor("zhao", frozenset({Role.KEY_CUSTODIAN}))
AUDITOR = Actor("sun", frozenset({Role.AUDITOR}))


class StillClock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **period: int) -> None:
        self.at += timedelta(**period)


@pytest.fixture
def still() -> Iterator[StillClock]:
    """The office's clock, standing at START."""
    moving = StillClock()
    clock.use(moving)
    yield moving
    clock.use(None)


@pytest.fixture
def issuer(db: None, still: StillClock) -> str:
    """An issuer with its accounts open."""
    return open_issuer()


def open_issuer(issuer_id: str = ISSUER, prefix: str = "0310990001") -> str:
    from citycard.office.cards import money
    from citycard.office.participants.models import Participant

    Participant.objects.create(
        id=issuer_id, name_en="City Card", name_zh="市民卡公司", roles=["issuer"], pan_prefix=prefix
    )
    money.open_issuer(issuer_id)
    return issuer_id


@pytest.fixture
def stock(issuer: str) -> Callable[..., list[str]]:
    """Call with a count (and a class) for the numbers of new cards in stock."""
    return new_stock


def new_stock(count: int = 1, card_class: int = 1, balance_fen: int = 0) -> list[str]:
    from citycard.office.cards import personalise, verbs

    pans = [card.pan for card in personalise.order(ISSUER, count, CUSTODIAN, card_class=card_class)]
    made = [personalise.Personalised(pan, uid=pan[-8:], balance_fen=balance_fen) for pan in pans]
    assert all(isinstance(answer, verbs.Done) for answer in personalise.register(made, CUSTODIAN))
    assert all(isinstance(answer, verbs.Done) for answer in verbs.stock_in_many(pans, CLERK))
    return pans


def person(name: str = "Chen", born: date = date(1990, 5, 1), level: int = 2, **more: object):  # type: ignore[no-untyped-def]
    from citycard.office.holders import register

    document = ("id card", f"5101{crc32(name.encode()):014d}") if level >= 2 else None
    return register.register(name, born, by=CLERK, level=level, document=document, **more)


def load(pan: str, amount_fen: int, name: str) -> None:
    """The card was loaded: its chip and its account hold more."""
    from citycard.core.ledger import Transfer
    from citycard.office import ledger

    ledger.post_or_fail([Transfer(name, f"float:{ISSUER}", f"card:{pan}", amount_fen, "load")])


def ride(pan: str, amount_fen: int, name: str) -> None:
    """The card paid, and clearing has posted it."""
    from citycard.core.ledger import Transfer
    from citycard.office import ledger

    ledger.post_or_fail([Transfer(name, f"card:{pan}", f"float:{ISSUER}", amount_fen, "purchase")])
