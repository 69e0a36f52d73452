# SPDX-License-Identifier: Apache-2.0
"""A metropolis's day as raw batches: real record bytes with valid TACs, made column by column.

Cards tap through the day along a profile; each carries one purse, so counters and balances follow; terminals
number their records and close batches. One record in a hundred comes twice, a few are lost, forged or
spoilt. The day is made district by district: a district's cards and terminals are its own, so that memory
does not grow with the city.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from citycard.blueprints import load_scheme
from citycard.clearing.decode import WIRE, hex_text
from citycard.clearing.outputs import write_table
from citycard.core import tables
from citycard.core.calendar import bcd_datetime
from citycard.core.crypto import TRIPLE_DES
from citycard.core.purse import Txn
from citycard.core.record import BATCH_MAC_SIZE, HEADER, RECORD, RECORD_SIZE, RECORD_VERSION, Kind
from citycard.keys import KeyName, MemoryVault
from citycard.keys.tac import TacColumns

Array = NDArray[Any]
Progress = Callable[[str, int, int], None]

DAY: Final = date(2026, 3, 2)
DISTRICT_TAPS: Final = 10_000_000
TAPS_PER_CARD: Final = 4
TAPS_PER_TERMINAL: Final = 500
BATCH_RECORDS: Final = 250  # a terminal uploads twice a day or more
CHUNK: Final = 500_000  # records built together
PERSONALISED_FEN: Final = 60_000
LOAD_FEN: Final = 5_000
OPENS, CLOSES = 5 * 3600, 23 * 3600  # seconds of the day in which people tap, without a profile
PROFILE: Final = "profile.json"  # in the home folder of a day made by command
SLOTS: Final = 144  # of ten minutes
SCHEME, TREASURY = "1900990000000001", "1900990000000002"
ISSUERS: Final = tuple(f"0200990{n}ffffffff" for n in range(4))
METRO: Final = tuple(f"12009900000001{n:02d}" for n in range(3))
BUS: Final = tuple(f"12009900000002{n:02d}" for n in range(18))
SHOPS: Final = tuple(f"12009900000003{n:02d}" for n in range(3))
BUS_CODE, METRO_CODE, RETAIL_CODE = 1, 2, 3
OFTEN: Final = (0.55, 0.40, 0.05)  # terminals of buses, metros, shops
TWICE, LOST, FORGED, SPOILT, LOADED = 0.01, 0.0005, 0.0005, 0.0001, 0.02
PARTICIPANTS: Final = (
    (SCHEME, "Scheme", "清分中心", "scheme"),
    (TREASURY, "Treasury", "市财政", "subsidy"),
    *((one, f"Issuer {n}", f"发卡公司{n}", "issuer") for n, one in enumerate(ISSUERS)),
    *((one, f"Metro {n}", f"地铁{n}", "acquirer") for n, one in enumerate(METRO)),
    *((one, f"Bus {n}", f"公交{n}", "acquirer") for n, one in enumerate(BUS)),
    *((one, f"Shops {n}", f"商户{n}", "acquirer retailer") for n, one in enumerate(SHOPS)),
)


@dataclass(frozen=True, slots=True)
class Size:
    """How large a city is."""

    taps: int
    cards: int
    terminals: int

    @classmethod
    def of(cls, taps: int) -> Size:
        """In the proportions of a metropolis: 20 million taps, 5 million cards, 40,000 terminals."""
        return cls(taps, max(200, taps // TAPS_PER_CARD), max(60, taps // TAPS_PER_TERMINAL))


def closing() -> datetime:
    """When the day is cleared."""
    return datetime.combine(DAY, datetime.min.time()) + timedelta(hours=26)


def vault(seed: int) -> MemoryVault:
    """The keys of the made-up city: a TAC root that anybody can work out from the seed."""
    made = MemoryVault()
    made.import_key(KeyName.TAC, TRIPLE_DES, 1, hashlib.sha256(b"bench %d" % seed).digest()[:16])
    return made


def make(
    home: Path, taps: int, seed: int, profile: Sequence[float] | None = None, progress: Progress | None = None
) -> Size:
    """Write a day's batches and reference tables under a home folder; returns the city's size.

    `profile` weighs the 144 slots of ten minutes of a day.
    """
    size = Size.of(taps)
    tell = progress or (lambda what, done, total: None)
    keys = vault(seed)
    raw = home / "lake" / "raw" / DAY.isoformat()
    raw.mkdir(parents=True)
    count = -(-taps // DISTRICT_TAPS)
    made = 0
    for number in range(count):
        part = Size(*(total * (number + 1) // count - total * number // count
                      for total in (size.taps, size.cards, size.terminals)))  # fmt: skip
        first = Size(made, size.cards * number // count, size.terminals * number // count)
        for written in District(part, first, seed, profile).batches(keys, raw):
            tell("taps made 造数", made + written, taps)
        made += part.taps
    write_reference(home / "exchange" / DAY.isoformat() / "in", size)
    return size


def pans(cards: Array) -> Array:
    """Card numbers as (n, 10) bytes: a prefix, the card in eleven digits, and a digit that checks nothing."""
    digits = np.zeros((len(cards), 20), "u1")
    digits[:, :8] = (0, 3, 1, 0, 9, 9, 0, 0)
    rest = cards.astype("i8")
    for place in range(18, 7, -1):
        digits[:, place] = rest % 10
        rest = rest // 10
    digits[:, 19] = digits[:, :19].sum(axis=1) % 10
    return digits[:, 0::2] << 4 | digits[:, 1::2]


def terminal_ids(terminals: Array) -> Array:
    """Terminal numbers as (n, 6) bytes: 99, then the number in hex."""
    raw = terminals.astype(">u8").view("u1").reshape(-1, 8)[:, 2:].copy()
    raw[:, 0] = 0x99
    return raw


def roles(terminals: Array) -> tuple[Array, Array, Array, Array]:
    """(service, acquirer among 24, line, station) of terminals, by their numbers."""
    mixed = (terminals.astype("u8") * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    draw = mixed / float(1 << 24)
    kind = np.searchsorted(np.cumsum(OFTEN)[:2], draw, "right")
    spread = (mixed >> np.uint64(3)).astype("i8")
    line = np.choose(kind, (101 + spread % len(BUS), 1 + spread % 3, 901 + spread % len(SHOPS)))
    acquirer = np.choose(
        kind, (len(METRO) + spread % len(BUS), spread % 3, len(METRO) + len(BUS) + spread % len(SHOPS))
    )
    station = np.where(kind == 1, 1 + (spread // 3) % np.array([8, 7, 8])[spread % 3], 0)
    return np.array([BUS_CODE, METRO_CODE, RETAIL_CODE])[kind], acquirer, line, station


class District:
    """A part of the city: its cards tap at its terminals."""

    def __init__(self, size: Size, first: Size, seed: int, profile: Sequence[float] | None) -> None:
        rng = np.random.default_rng([seed, first.taps])
        self.first = first
        key = rng.integers(0, size.cards, size.taps) * 86400 + seconds(rng, size.taps, profile)
        key.sort()
        card, second = key // 86400, (key % 86400).astype("u4")
        del key
        terminal = rng.integers(0, size.terminals, size.taps).astype("u4")
        self.service, self.acquirer, self.line, self.station = roles(
            first.terminals + np.arange(size.terminals)
        )
        service = self.service[terminal]
        load = (rng.random(size.taps) < LOADED) & (service == RETAIL_CODE)
        fare = np.choose(
            service - 1,
            [
                np.full(size.taps, 200),
                rng.integers(2, 8, size.taps) * 100,
                rng.integers(100, 1500, size.taps),
            ],
        )
        fare = np.where(load, LOAD_FEN, fare).astype("i4")
        off = np.where((card % 5 == 0) & (service != RETAIL_CODE), fare // 2, 0).astype("i4")
        new = np.ones(size.taps, bool)
        new[1:] = card[1:] != card[:-1]
        self.columns = {
            "card": card.astype("u4"), "second": second, "terminal": terminal, "load": load,
            "fare": fare, "off": off, "counter": ranks(new, load).astype("u2"),
            "before": balances(new, np.where(load, fare, off - fare)),
        }  # fmt: skip
        self.random = rng

    def batches(self, keys: MemoryVault, folder: Path) -> Iterator[int]:
        """Write the district's batches; tells how many taps are written."""
        columns, rng = self.columns, self.random
        order = np.argsort(
            columns["terminal"].astype("u8") << np.uint64(17) | columns["second"], kind="stable"
        )
        columns = {name: column[order] for name, column in columns.items()}
        self.columns = {}
        terminal = columns["terminal"]
        starts = np.flatnonzero(np.r_[True, terminal[1:] != terminal[:-1]])
        rank = np.arange(len(terminal)) - np.repeat(starts, np.diff(np.r_[starts, len(terminal)]))
        columns["sequence"] = (rank + 1).astype("u4")
        ends = np.r_[starts[1:], len(terminal)]
        first = 0
        while first < len(terminal):
            at = np.searchsorted(ends, first + CHUNK)
            last = int(ends[min(at, len(ends) - 1)])
            some = {name: column[first:last] for name, column in columns.items()}
            wire = self.records(some, keys)
            self.write(wire, some, rng, folder)
            first = last
            yield last

    def records(self, c: dict[str, Array], keys: MemoryVault) -> Array:
        """Signed records of some columns."""
        count = len(c["card"])
        wire = np.zeros(count, WIRE)
        terminal, load = c["terminal"], c["load"]
        card = self.first.cards + c["card"].astype("i8")
        issuers = np.array([list(bytes.fromhex(one)) for one in ISSUERS], "u1")
        acquirers = np.array([list(bytes.fromhex(one)) for one in (*METRO, *BUS, *SHOPS)], "u1")
        wire["version"], wire["key_version"], wire["tariff_version"] = RECORD_VERSION, 1, 1
        wire["kind"] = np.where(load, Kind.LOAD, Kind.PURCHASE)
        wire["service"] = self.service[terminal]
        wire["txn"] = np.where(load, Txn.EP_LOAD, Txn.COMPOSITE)
        wire["card_class"] = np.where(card % 5 == 0, 2, 1)
        wire["counter"], wire["issuer"], wire["pan"] = c["counter"], issuers[card % len(ISSUERS)], pans(card)
        wire["acquirer"] = acquirers[self.acquirer[terminal]]
        wire["terminal"] = terminal_ids(self.first.terminals + terminal.astype("i8"))
        wire["sequence"] = c["sequence"]
        wire["terminal_txn"] = np.where(load, 0, c["sequence"])
        wire["tapped_at"] = moments(c["second"])
        wire["balance_before_fen"], wire["amount_fen"] = c["before"], c["fare"] - c["off"]
        wire["list_fen"] = np.where(load, 0, c["fare"])
        wire["concession_fen"] = c["off"]
        wire["line"], wire["station"] = self.line[terminal], self.station[terminal]
        metro = self.service[terminal] == METRO_CODE
        wire["entry_line"] = np.where(metro, 1 + card % 3, 0)
        wire["entry_station"] = np.where(metro, 1 + (card // 3) % 7, 0)
        wire["entry_at"][metro] = moments(np.maximum(c["second"][metro], 1800) - 1500)
        wire["tac"] = sign(wire, keys)
        return wire

    def write(self, wire: Array, c: dict[str, Array], rng: Any, folder: Path) -> None:
        """Spoil what is to be spoilt, lay the records out in batches and write these."""
        count = len(wire)
        forged, spoilt = rng.random(count) < FORGED, rng.random(count) < SPOILT
        wire["tac"][forged] ^= 0x55
        wire["tapped_at"][spoilt] = 0xFF
        sent = np.flatnonzero(rng.random(count) >= LOST)
        twice = np.flatnonzero(rng.random(count) < TWICE)
        batch = (c["sequence"] - 1) // BATCH_RECORDS
        which = np.r_[sent, twice]
        key = c["terminal"][which].astype("u8") << np.uint64(32)
        key |= np.r_[batch[sent], batch[twice] + 1].astype("u8")
        order = np.argsort(key, kind="stable")
        which, key = which[order], key[order]
        starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
        raw = wire[which].view(f"V{RECORD_SIZE}")
        amounts = np.add.reduceat(wire["amount_fen"][which].astype("i8"), starts).tolist()
        ends = [*starts[1:].tolist(), len(which)]
        closed = datetime.combine(DAY, datetime.min.time()) + timedelta(hours=24)
        for start, end, total, name in zip(starts.tolist(), ends, amounts, key[starts].tolist(), strict=True):
            body = raw[start:end].tobytes()
            header = HEADER.encode(
                terminal=body[RECORD.span("terminal")], acquirer=body[RECORD.span("acquirer")],
                batch=(name & 0xFFFFFFFF) + 1, count=end - start, total_fen=total, closed_at=closed,
                digest=hashlib.sha256(body).digest(), mac=bytes(BATCH_MAC_SIZE),
            )  # fmt: skip
            content = header + body
            (folder / f"{hashlib.sha256(content).hexdigest()}.ccb").write_bytes(content)


def seconds(rng: Any, count: int, profile: Sequence[float] | None) -> Array:
    """Seconds of the day at which people tap."""
    if profile is None:
        return np.asarray(rng.integers(OPENS, CLOSES, count))
    assert len(profile) == SLOTS, f"a day has {SLOTS} slots of ten minutes"
    whole = np.cumsum(profile)
    slot = np.searchsorted(whole, rng.random(count) * whole[-1], "right").clip(max=SLOTS - 1)
    found: Array = slot * 600 + rng.integers(0, 600, count)
    return found


def ranks(new: Array, load: Array) -> Array:
    """The counter of each record among those of its card and kind; `new` begins a card."""
    starts = np.flatnonzero(new)
    sizes = np.diff(np.r_[starts, len(new)])
    loads = np.cumsum(load)
    purchases = np.arange(1, len(new) + 1) - loads
    before_loads = np.repeat(loads[starts] - load[starts], sizes)
    before_purchases = np.repeat(purchases[starts] - ~load[starts], sizes)
    found: Array = np.where(load, loads - before_loads, purchases - before_purchases) - 1
    return found


def balances(new: Array, change: Array) -> Array:
    """The balance of each card's purse before each record."""
    starts = np.flatnonzero(new)
    total = np.cumsum(change) - change
    found: Array = PERSONALISED_FEN + total - np.repeat(total[starts], np.diff(np.r_[starts, len(new)]))
    return found.astype("u4")


def moments(second: Array) -> Array:
    """Seconds of the day -> (n, 7) BCD bytes."""
    raw = np.empty((len(second), 7), "u1")
    raw[:, :4] = list(bcd_datetime(datetime.combine(DAY, datetime.min.time()))[:4])
    for place, value in enumerate((second // 3600, second // 60 % 60, second % 60), 4):
        raw[:, place] = value // 10 << 4 | value % 10
    return raw


def sign(wire: Array, keys: MemoryVault) -> Array:
    """The TACs the cards make over their records, (n, 4) bytes."""
    found, known = keys.tac_checker().tacs(TacColumns.of_wire(wire).batch())
    assert known.all()
    return found.astype(">u4").view("u1").reshape(-1, 4)


def write_reference(folder: Path, size: Size) -> None:
    """The tables the office would export for the day."""
    folder.mkdir(parents=True)
    metro = load_scheme("city").tariff("metro", DAY)
    assert metro is not None
    contract = {
        "service": None, "acquirer": None, "issuer": None, "valid_from": DAY - timedelta(days=90),
        "valid_until": None, "charge_bp": 100, "acquirer_bp": 20, "issuer_bp": 50,
        "concession_payer": TREASURY, "transfer_payer": "acquirer",
    }  # fmt: skip
    lines = [*zip(range(1, 4), METRO, strict=True), *zip(range(101, 119), BUS, strict=True),
             *zip(range(901, 904), SHOPS, strict=True)]  # fmt: skip
    rows: dict[tables.Table, list[tables.Row]] = {
        tables.PARTICIPANTS: [
            {"participant": one, "name_en": en, "name_zh": zh, "roles": what, "active": True}
            for one, en, zh, what in PARTICIPANTS
        ],
        tables.HOTLIST: [],
        tables.LINES: [
            {"line": n, "operator": who, "name_en": f"Line {n}", "name_zh": f"{n}号线"} for n, who in lines
        ],
        tables.CONTRACTS: [{"contract": "all", **contract}, {"contract": "metro", **contract, "service": 2}],
        tables.TARIFFS: [
            {"service": METRO_CODE, "version": 1, "valid_from": DAY - timedelta(days=90),
             "config": json.dumps(metro.config.model_dump(mode="json"))}
        ],
    }  # fmt: skip
    for table, found in rows.items():
        with (folder / f"{table.name}.csv").open("w", encoding="utf-8", newline="") as file:
            table.write(found, file)
    numbers = np.arange(size.terminals)
    service, acquirer, line, station = roles(numbers)
    names = np.array([*METRO, *BUS, *SHOPS])[acquirer]
    columns: dict[str, Any] = {
        "terminal": texts(terminal_ids(numbers)), "acquirer": pa.array(names.tolist()), "service": service,
        "line": line, "station": station, "active": np.ones(size.terminals, "i8"),
    }  # fmt: skip
    write_table(tables.TERMINALS, pa.table(columns).to_batches(), folder / "terminals.csv")
    write_table(tables.CARDS, card_batches(size.cards), folder / "cards.csv")


def card_batches(cards: int) -> Iterator[pa.RecordBatch]:
    """The rows of the table of cards, some at a time."""
    issuers = pa.array(ISSUERS)
    for first in range(0, cards, CHUNK):
        number = np.arange(first, min(first + CHUNK, cards))
        yield from pa.table(
            {
                "pan": texts(pans(number)),
                "issuer": issuers.take(pa.array(number % len(ISSUERS))),
                "card_class": np.where(number % 5 == 0, 2, 1),
                "status": pa.repeat("active", len(number)),
                "personalised_fen": np.full(len(number), PERSONALISED_FEN),
            }
        ).to_batches()


def texts(raw: Array) -> pa.Array:
    """(n, k) bytes -> hex text."""
    return pa.array(hex_text(raw)).cast(pa.string())


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    make(folder, int(sys.argv[2]), int(sys.argv[3]), json.loads((folder / PROFILE).read_text()))
