# SPDX-License-Identifier: Apache-2.0
"""A small scheme for these stories: one issuer, a bus company, a metro, a till, three cards, known keys.

The database is SQLite unless CITYCARD_DATABASE_URL names another; `test_on_postgres` runs this whole folder
a second time on PostgreSQL.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection

from citycard.core import purse, tables
from citycard.core.calendar import bcd_datetime
from citycard.core.record import Kind, TapRecord, build_header, record_id
from citycard.keys import KeyName, MemoryVault, batch_mac, card_factors, scheme_ceremony
from citycard.office import clock

ISSUER, BUS, METRO = "02009900ffffffff", "1100100000000001", "1100100000000002"
TILL, GATE = "990000000001", "990000000002"
ANN, BOB, EVE = "03109900010000000011", "03109900010000000022", "03109900010000000033"
DAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 12, 0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave stories of a server out where the database is a file: `test_on_postgres` tells them."""
    if connection.vendor == "postgresql":
        return
    left_out = [item for item in items if item.get_closest_marker("server")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


class StillClock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **period: int) -> None:
        self.at += timedelta(**period)


@pytest.fixture
def still() -> Iterator[StillClock]:
    """The office's clock, standing at NOON."""
    moving = StillClock()
    clock.use(moving)
    yield moving
    clock.use(None)


@pytest.fixture
def vault() -> Iterator[MemoryVault]:
    """The office's vault, with the root keys of the scheme."""
    from citycard.office import custody

    made = MemoryVault(clock=lambda: NOON, random=random.Random(7).randbytes)
    scheme_ceremony(made)
    custody.use(made)
    yield made
    custody.use(None)


@pytest.fixture
def home(tmp_path: Path, settings: Any) -> Path:
    """The home folder of this test."""
    settings.CITYCARD_HOME = tmp_path
    return tmp_path


@dataclass
class City:
    """The scheme, and the tokens of its terminals."""

    home: Path
    vault: MemoryVault
    still: StillClock
    tokens: dict[str, str] = field(default_factory=dict)

    def client(self, terminal: str = TILL, language: str = "en") -> httpx.Client:
        """A terminal's connection to the office's WSGI application."""
        from citycard.office.wsgi import application

        return httpx.Client(
            transport=httpx.WSGITransport(app=application),
            base_url="http://127.0.0.1/api/v1",
            headers={"Authorization": f"Bearer {self.tokens[terminal]}", "Accept-Language": language},
        )

    def batch(self, number: int, records: list[bytes], terminal: str = TILL, acquirer: str = BUS) -> bytes:
        """A batch as a terminal closes it now."""
        header = build_header(
            records,
            terminal=bytes.fromhex(terminal),
            acquirer=bytes.fromhex(acquirer),
            batch=number,
            closed_at=self.still.at,
            hotlist_version=3,
            parameter_version=5,
        )
        return header + batch_mac(self.vault, bytes.fromhex(terminal), header) + b"".join(records)


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Requests of this test share its database connection, as they do with Django's own test client."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def city(db: None, one_connection: None, home: Path, vault: MemoryVault, still: StillClock) -> City:
    """Participants, terminals with tokens, and cards: ann and bob are active, eve is lost."""
    from citycard.office import ledger
    from citycard.office.cards.models import Card, Status
    from citycard.office.intake import tokens
    from citycard.office.participants.models import Participant, Terminal

    for name, roles in ((ISSUER, ["issuer", "scheme"]), (BUS, ["acquirer"]), (METRO, ["acquirer"])):
        Participant.objects.create(id=name, name_en=name, name_zh=name, roles=roles)
    made = City(home, vault, still)
    for name, owner, service in ((TILL, BUS, 1), (GATE, METRO, 2)):
        Terminal.objects.create(id=name, acquirer_id=owner, service=service)
        made.tokens[name] = tokens.mint(name)
    for pan, status in ((ANN, Status.ACTIVE), (BOB, Status.ACTIVE), (EVE, Status.LOST)):
        Card.objects.create(pan=pan, issuer_id=ISSUER, status=status, status_at=NOON)
    ledger.open_accounts([f"float:{ISSUER}", *(f"card:{pan}" for pan in (ANN, BOB, EVE))])
    return made


@dataclass
class Purse:
    """A card's purse, as far as a load touches it."""

    vault: MemoryVault
    pan: str = ANN
    balance_fen: int = 0
    online: int = 4
    rand: bytes = bytes.fromhex("a1b2c3d4")

    def init_load(self, amount_fen: int, terminal: str = TILL) -> str:
        """The answer to INITIALIZE FOR LOAD, in hex."""
        factors = card_factors(bytes.fromhex(ISSUER), self.pan)
        session = self.vault.session(KeyName.LOAD, 1, factors, purse.load_variable(self.rand, self.online))
        mac1 = session.mac(
            purse.load_mac1(self.balance_fen, amount_fen, purse.Txn.EP_LOAD, bytes.fromhex(terminal))
        )
        head = self.balance_fen.to_bytes(4, "big") + self.online.to_bytes(2, "big") + b"\x01\x00"
        return (head + self.rand + mac1).hex()

    def credit(self, amount_fen: int, at: datetime, terminal: str = TILL) -> str:
        """The TAC of CREDIT, in hex; the purse now holds more."""
        self.balance_fen += amount_fen
        message = purse.load_tac(
            self.balance_fen,
            self.online,
            amount_fen,
            purse.Txn.EP_LOAD,
            bytes.fromhex(terminal),
            bcd_datetime(at),
        )
        self.online += 1
        return self.vault.tac(KeyName.TAC, 1, card_factors(bytes.fromhex(ISSUER), self.pan), message).hex()


def tap(sequence: int, pan: str = ANN, amount_fen: int = 200, terminal: str = TILL, **more: Any) -> TapRecord:
    """A purchase record; its TAC is nobody's business here."""
    given: dict[str, Any] = {
        "kind": Kind.PURCHASE, "service": 1, "txn": 6, "counter": sequence, "issuer": bytes.fromhex(ISSUER),
        "pan": pan, "acquirer": bytes.fromhex(BUS), "terminal": bytes.fromhex(terminal), "sequence": sequence,
        "tapped_at": NOON, "balance_before_fen": 5000, "amount_fen": amount_fen, "tac": bytes(4),
        "list_fen": amount_fen,
    }  # fmt: skip
    return TapRecord(**(given | more))


def verdict(
    sequence: int,
    pan: str = ANN,
    amount_fen: int = 200,
    word: str = "accepted",
    reason: str = "OK",
    **more: Any,
) -> dict[str, Any]:
    """A row of clearing's verdicts."""
    row: dict[str, Any] = dict.fromkeys(tables.VERDICTS.names, 0) | {
        "tap": record_id(bytes.fromhex(TILL), sequence), "batch": "b" * 64, "position": sequence,
        "verdict": word, "reason": reason, "pan": pan, "issuer": ISSUER, "acquirer": BUS, "terminal": TILL,
        "service": 1, "kind": int(Kind.PURCHASE), "tapped_at": NOON + timedelta(minutes=sequence),
        "business_date": DAY, "counter": sequence, "balance_before_fen": 5000, "amount_fen": amount_fen,
        "list_fen": amount_fen, "entry_at": None, "settled_on": DAY,
    }  # fmt: skip
    return row | more


def clearing_says(
    home: Path, verdicts: Iterable[dict[str, Any]], settle_on: date = DAY, **other: Any
) -> None:
    """Write clearing's answer: the acquirer gets all of every fare, a load is owed to the issuer."""
    rows = list(verdicts)
    moved: dict[tuple[str, str, int], dict[str, Any]] = {}
    nets: dict[str, int] = {}
    revenue: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        if row["verdict"] != "accepted":
            continue
        sign = 1 if row["kind"] == Kind.LOAD else -1
        one = moved.setdefault(
            (row["pan"], row["issuer"], row["kind"]),
            {"pan": row["pan"], "issuer": row["issuer"], "kind": row["kind"], "taps": 0, "amount_fen": 0},
        )
        one["taps"] += 1
        one["amount_fen"] += row["amount_fen"]
        one["last_counter"], one["last_at"] = row["counter"], row["tapped_at"]
        one["last_balance_fen"] = row["balance_before_fen"] + sign * row["amount_fen"]
        cause = "load" if sign > 0 else "fare"
        for who, whom, fen in (
            (row["issuer"], row["acquirer"], sign),
            (row["acquirer"], row["issuer"], -sign),
        ):
            nets[who] = nets.get(who, 0) + fen * row["amount_fen"]
            one = revenue.setdefault(
                (who, whom, cause),
                {
                    "participant": who,
                    "service": 1,
                    "counterparty": whom,
                    "cause": cause,
                    "taps": 0,
                    "amount_fen": 0,
                },
            )
            one["taps"] += 1
            one["amount_fen"] += fen * row["amount_fen"]
    positions = [
        {"participant": who, "receivable_fen": max(net, 0), "payable_fen": max(-net, 0), "net_fen": net}
        for who, net in nets.items()
    ]
    folder = home / "exchange" / settle_on.isoformat() / "out"
    folder.mkdir(parents=True, exist_ok=True)
    told: dict[str, Iterable[dict[str, Any]]] = {
        "verdicts": rows, "positions": positions, "movements": moved.values(), "revenue": revenue.values(),
    } | other  # fmt: skip
    for table in tables.FROM_CLEARING:
        with (folder / f"{table.name}.csv").open("w", encoding="utf-8", newline="") as file:
            table.write(told[table.name], file)


def give(pan: str, amount_fen: int) -> None:
    """The card left personalisation with money."""
    from citycard.core.ledger import Transfer
    from citycard.office import ledger
    from citycard.office.cards.models import Card

    ledger.post_or_fail([Transfer(f"give:{pan}", f"float:{ISSUER}", f"card:{pan}", amount_fen, "preload")])
    Card.objects.filter(pk=pan).update(personalised_fen=amount_fen)
