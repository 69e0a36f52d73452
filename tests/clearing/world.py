# SPDX-License-Identifier: Apache-2.0
"""A small scheme on disk for clearing tests: cards that tap, terminals that upload, days that are cleared.

A `World` keeps each card's purse as a chip would (balance, counters), so that a story says only what
matters. TACs are a hash over what the purse's TAC covers, verified by `fake_checker`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from citycard.clearing import Rules, RunReport, run
from citycard.clearing.rules import TacTuple
from citycard.core import tables
from citycard.core.calendar import Calendar
from citycard.core.purse import Txn
from citycard.core.record import BATCH_MAC_SIZE, RECORD, Kind, TapRecord, build_header
from citycard.core.tables import Row

ISSUER = "02009900ffffffff"
OTHER_ISSUER = "02009901ffffffff"
BUS, METRO, EAST, SHOP = "11000000000000b1", "11000000000000a1", "11000000000000a2", "11000000000000c1"
SCHEME, CITY = "1100000000000001", "1100000000000002"
DAY = date(2026, 3, 2)
BUS_TERMINAL, METRO_TERMINAL, SHOP_TERMINAL = "990000000001", "990000000002", "990000000003"
TERMINALS = {BUS_TERMINAL: (BUS, 1), METRO_TERMINAL: (METRO, 2), SHOP_TERMINAL: (SHOP, 3)}
NAMES = {
    ISSUER: ("Issuer", "发卡公司", "issuer"),
    OTHER_ISSUER: ("Other issuer", "外地发卡", "issuer"),
    BUS: ("Bus", "公交公司", "acquirer"),
    METRO: ("Metro", "地铁公司", "acquirer"),
    EAST: ("East line", "东线公司", "acquirer"),
    SHOP: ("Shop", "商户", "acquirer retailer"),
    SCHEME: ("Scheme", "清分中心", "scheme"),
    CITY: ("City", "市财政", "subsidy"),
}
CONTRACT = {
    "contract": "all",
    "service": None,
    "acquirer": None,
    "issuer": None,
    "valid_from": date(2026, 1, 1),
    "valid_until": None,
    "charge_bp": 100,
    "acquirer_bp": 20,
    "issuer_bp": 50,
    "concession_payer": "acquirer",
    "transfer_payer": "acquirer",
}


def contract(name: str = "all", **more: Any) -> Row:
    """A contract row: 1 % fee, of which issuer 0.5 %, acquirer 0.2 %, scheme the rest."""
    return {**CONTRACT, "contract": name, **more}


def fake_tac(row: TacTuple) -> bytes:
    """What stands for a TAC in these tests: a hash of all a purse's TAC covers, and of the card."""
    return hashlib.sha256(repr(row[:-1]).encode()).digest()[:4]


def fake_checker(rows: Iterable[TacTuple]) -> list[bool]:
    """The port, over `fake_tac`."""
    return [fake_tac(row) == row[-1] for row in rows]


def signed(record: TapRecord) -> TapRecord:
    """The record with its TAC."""
    load = record.kind == Kind.LOAD
    after = record.balance_before_fen + (record.amount_fen if load else -record.amount_fen)
    row = (
        record.issuer,
        record.pan,
        record.key_version,
        record.algorithm,
        int(record.kind),
        int(record.txn),
        record.amount_fen,
        record.terminal,
        record.terminal_txn,
        record.moment,
        record.counter,
        after,
    )
    return replace(record, tac=fake_tac((*row, b"")))


@dataclass
class Purse:
    """A card as its holder carries it."""

    pan: str
    issuer: str = ISSUER
    balance_fen: int = 0
    personalised_fen: int = 0
    counters: dict[Kind, int] = field(default_factory=lambda: {Kind.PURCHASE: 0, Kind.LOAD: 0})


@dataclass
class World:
    """The scheme: reference tables, cards, terminals, and what they uploaded."""

    home: Path
    rules: Rules = field(default_factory=lambda: Rules(sheets=False))
    calendar: Calendar = field(default_factory=Calendar)
    contracts: list[Row] = field(default_factory=lambda: [contract()])
    lines: dict[int, str] = field(default_factory=lambda: {1: METRO, 2: EAST, 100: BUS})
    hotlist: list[Row] = field(default_factory=list)
    sams: list[Row] = field(default_factory=list)
    tariffs: list[Row] = field(default_factory=list)
    names: dict[str, tuple[str, str, str]] = field(default_factory=lambda: dict(NAMES))
    terminals: dict[str, tuple[str, int]] = field(default_factory=lambda: dict(TERMINALS))
    cards: dict[str, Purse] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)
    clock: datetime = datetime.combine(DAY, time(8))

    def card(self, name: str = "A", fen: int = 10_000, issuer: str = ISSUER) -> Purse:
        """The card called by a letter, personalised with an amount on first mention."""
        if name not in self.cards:
            pan = f"0319900{len(self.cards) + 1:013d}"
            self.cards[name] = Purse(pan, issuer, fen, fen)
        return self.cards[name]

    def tap(self, name: str = "A", fen: int = 200, terminal: str = BUS_TERMINAL, **more: Any) -> TapRecord:
        """A purchase; `list_fen` and the like may be given, the list price is the amount otherwise."""
        return self._record(name, fen, terminal, Kind.PURCHASE, **more)

    def load(
        self, name: str = "A", fen: int = 5_000, terminal: str = SHOP_TERMINAL, **more: Any
    ) -> TapRecord:
        """A load at the shop."""
        return self._record(name, fen, terminal, Kind.LOAD, **more)

    def _record(self, name: str, fen: int, terminal: str, kind: Kind, **more: Any) -> TapRecord:
        purse = self.card(name)
        acquirer, service = self.terminals.get(terminal, (BUS, 1))
        self.clock += timedelta(minutes=1)
        self.sequences[terminal] = self.sequences.get(terminal, 0) + 1
        values: dict[str, Any] = {
            "kind": kind,
            "service": service,
            "txn": Txn.EP_LOAD if kind == Kind.LOAD else Txn.COMPOSITE,
            "counter": purse.counters[kind],
            "issuer": bytes.fromhex(purse.issuer),
            "pan": purse.pan,
            "acquirer": bytes.fromhex(acquirer),
            "terminal": bytes.fromhex(terminal),
            "sequence": self.sequences[terminal],
            "tapped_at": self.clock,
            "balance_before_fen": purse.balance_fen,
            "amount_fen": fen,
            "list_fen": fen if kind == Kind.PURCHASE else 0,
            "tac": bytes(4),
        }
        purse.counters[kind] += 1
        purse.balance_fen += fen if kind == Kind.LOAD else -fen
        return signed(TapRecord(**{**values, **more}))

    def upload(self, *records: TapRecord | bytes, terminal: str = "", day: date = DAY) -> str:
        """Put a batch into the lake as intake does; returns its digest."""
        raw = [record if isinstance(record, bytes) else record.encode() for record in records]
        terminal = terminal or raw[0][RECORD.span("terminal")].hex()
        self.batches[terminal] = self.batches.get(terminal, 0) + 1
        header = build_header(
            raw,
            terminal=bytes.fromhex(terminal),
            acquirer=bytes.fromhex(self.terminals.get(terminal, (BUS, 1))[0]),
            batch=self.batches[terminal],
            closed_at=self.clock,
        )
        content = header + bytes(BATCH_MAC_SIZE) + b"".join(raw)
        digest = hashlib.sha256(content).hexdigest()
        path = self.home / "lake" / "raw" / day.isoformat() / f"{digest}.ccb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return digest

    def export(self, day: date) -> None:
        """Write the reference tables as the office does."""
        rows: dict[str, list[Row]] = {
            "participants": [
                {"participant": p, "name_en": en, "name_zh": zh, "roles": roles, "active": True}
                for p, (en, zh, roles) in self.names.items()
            ],
            "terminals": [
                {"terminal": t, "acquirer": a, "service": s, "line": 0, "station": 0, "active": True}
                for t, (a, s) in self.terminals.items()
            ],
            "cards": [
                {
                    "pan": purse.pan,
                    "issuer": purse.issuer,
                    "card_class": 1,
                    "status": "active",
                    "personalised_fen": purse.personalised_fen,
                }
                for purse in self.cards.values()
            ],
            "hotlist": self.hotlist,
            "sams": self.sams,
            "lines": [
                {"line": n, "operator": who, "name_en": f"Line {n}", "name_zh": f"{n}号线"}
                for n, who in self.lines.items()
            ],
            "contracts": self.contracts,
            "tariffs": self.tariffs,
        }
        folder = self.home / "exchange" / day.isoformat() / "in"
        folder.mkdir(parents=True, exist_ok=True)
        for table in tables.TO_CLEARING:
            with (folder / f"{table.name}.csv").open("w", encoding="utf-8", newline="") as file:
                table.write(rows[table.name], file)

    def clear(
        self, day: date = DAY, checkpoint: Callable[[str], None] | None = None, **more: Any
    ) -> RunReport:
        """Export and run a business date."""
        self.export(day)
        return run(
            self.home, day, fake_checker, self.calendar, rules=self.rules, checkpoint=checkpoint, **more
        )

    def out(self, name: str, day: date = DAY) -> list[Row]:
        """An output table as the office reads it."""
        table = next(t for t in (*tables.FROM_CLEARING, tables.VOLUMES) if t.name == name)
        with (self.home / "exchange" / day.isoformat() / "out" / f"{name}.csv").open(
            encoding="utf-8"
        ) as file:
            return list(table.read(file))

    def verdicts(self, day: date = DAY) -> dict[str, str]:
        """Record id to reason code."""
        return {row["tap"]: row["reason"] for row in self.out("verdicts", day)}

    def net(self, day: date = DAY) -> dict[str, int]:
        """Participant to net position."""
        return {row["participant"]: row["net_fen"] for row in self.out("positions", day)}


def days(start: date = DAY) -> Iterator[date]:
    """One business date after the other."""
    while True:
        yield start
        start += timedelta(days=1)


def files(folder: Path) -> dict[str, bytes]:
    """Every file under a folder but timings and locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("timing.json", "clearing.lock")
    }
