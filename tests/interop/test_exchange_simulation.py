# SPDX-License-Identifier: Apache-2.0
"""The exchange in memory: two cities and a hub over a network that drops, doubles, reorders and alters files.

Only the pure parts are at work (files, signatures, channel, states, money, ledger); whatever the network
does, every tap is cleared exactly once, every office ends at rest, and all books say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import pytest

from citycard.core import ledger
from citycard.core.interop import channel, codes, evidence, files, money, signing
from citycard.core.interop.channel import Arrival, Came
from citycard.core.interop.files import FileName
from citycard.core.interop.money import Books, Parts, Rate
from citycard.core.interop.states import AT_REST, Event, State, step
from citycard.core.problem import Problem
from citycard.core.record import TapRecord
from citycard.keys.partner import PartnerKey

A, B, HUB = "99000000001", "99010000001", "99990000001"
DAY = date(2026, 3, 2)
RATES = [
    Rate("general", 100, 20, 50, DAY),
    Rate("metro", 60, 10, 35, DAY, mcc="4111"),
    Rate("b in a", 77, 0, 33, DAY, issuer=B, acquirer=A),
]
KEYS = {
    org: PartnerKey.from_seed(org.encode().ljust(32, b"\0")) for org in (A, B, HUB)
}  # keys for tests only
SEEDS, GROUPS, ROUNDS_ROUGH, ROUNDS_CALM = 200, 4, 4, 5
Sent = tuple[str, bytes, bytes]


@dataclass
class Tap:
    """An exchanged tap at one office."""

    row: dict[str, Any]
    state: State
    serial: int = 0
    parts: Parts = Parts(0, 0, 0, 0)

    def move(self, event: Event) -> None:
        self.state = step(str(self.serial), self.state, event)


@dataclass
class Office:
    """An office: its channel to each neighbour, its taps, its ledger."""

    org: str
    random: Random
    sent: dict[str, list[Sent]] = field(default_factory=dict)
    kept: dict[str, dict[int, tuple[Came, FileName, bytes]]] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)
    taps: dict[tuple[str, int], Tap] = field(default_factory=dict)
    accounts: dict[str, ledger.Account] = field(default_factory=dict)
    entries: dict[str, ledger.Entry] = field(default_factory=dict)
    out: list[tuple[str, Sent]] = field(default_factory=list)
    serials: int = 0
    controls: int = 0

    # Files

    def send(self, to: str, file: str, rows: list[Mapping[str, Any]], on: date) -> None:
        numbered = self.sent.setdefault(to, [])
        control = file == files.CONTROL
        self.controls += control
        number = self.controls if control else len(numbered) + 1
        name = FileName(file, self.org, to, on, number, "jsonl" if to == B else "txt")
        raw = files.write(name, rows)
        item = (str(name), raw, KEYS[self.org].sign(str(name), files.digest_of(raw)))
        if not control:
            numbered.append(item)
        self.out.append((to, item))

    def receive(self, item: Sent) -> None:
        text, raw, signature = item
        name = FileName.parse(text)
        try:
            signing.verify(text, files.digest_of(raw), signature, KEYS[name.sender].public)
        except Problem:
            return  # altered on its way: as good as lost
        if name.control:
            self.take_list(name, files.read(name, raw))
            return
        kept = self.kept.setdefault(name.sender, {})
        came = Came(name.file, name.sequence, files.digest_of(raw))
        arrival = channel.judge({n: one[0] for n, one in kept.items()}, self.taken[name.sender], came)
        assert arrival in (Arrival.NEXT, Arrival.EARLY, Arrival.REPEATED)
        kept.setdefault(name.sequence, (came, name, raw))
        while (following := self.taken[name.sender] + 1) in kept:
            _, name, raw = kept[following]
            getattr(self, f"take_{name.file.lower()}")(name, files.read(name, raw))
            self.taken[name.sender] = following

    def tell(self, to: str, on: date) -> None:
        """LD: what we have of theirs and what we miss."""
        kept = self.kept.get(to, {})
        newest = kept.get(self.taken[to])
        head = {"sender_org": to, "receiver_org": self.org}
        rows = [head | {"file": newest[0].file, "sequence": self.taken[to], "state": "taken",
                        "digest": newest[0].digest}] if newest else []  # fmt: skip
        rows += [head | {"sequence": n, "state": "wanted"} for n in channel.wanted(kept, self.taken[to])]
        self.send(to, "LD", rows, on)

    def take_list(self, name: FileName, rows: list[dict[str, Any]]) -> None:
        acknowledged = max((row["sequence"] for row in rows if row["state"] == "taken"), default=0)
        numbered = self.sent.get(name.sender, [])
        missing = {row["sequence"] for row in rows if row["state"] == "wanted"}
        missing |= set(range(acknowledged + 1, len(numbered) + 1))
        self.out += [(name.sender, numbered[number - 1]) for number in sorted(missing)]

    # Money

    def book(self, steps: list[ledger.Transfer]) -> None:
        for name in {one for transfer in steps for one in (transfer.debit, transfer.credit)}:
            self.accounts.setdefault(name, ledger.Account(name, "position"))
        outcome = ledger.apply(self.accounts, self.entries, steps)
        assert all(result is ledger.Result.OK for result in outcome.results), outcome.results  # never twice
        self.accounts |= outcome.accounts
        self.entries |= outcome.entries

    def net(self, account: str) -> int:
        return self.accounts[account].balance_fen if account in self.accounts else 0

    # What files do

    def take_cl(self, name: FileName, rows: list[dict[str, Any]]) -> None:
        """The issuer: book, and say afterwards whether the TAC is good (a TAC of FF.. is bad here)."""
        answers = []
        for row in rows:
            assert (row["acquirer_org"], row["acquirer_serial"]) not in self.taps
            tap = self.taps[row["acquirer_org"], row["acquirer_serial"]] = Tap(
                row, State.CLEARED, row["serial"]
            )
            self._cleared(tap, row, Books("own", "hub", "hub"), name.business_date)
            good = evidence.to_record(row).tac != b"\xff" * 4
            tap.move(Event.VERIFY if good else Event.REFUSE)
            answers.append(_result(row) | {"error": codes.GOOD if good else "002009"})
        self.send(HUB, "FB", answers, name.business_date)

    def take_bp(self, name: FileName, rows: list[dict[str, Any]]) -> None:
        """What the hub says of a date is what our own books say of it."""
        told = sum(row["net_fen"] for row in rows if row["counterparty_org"] == HUB)
        ours = 0
        for entry in self.entries.values():
            one = entry.transfer
            if one.business_date == name.business_date and one.code == money.CODE:
                ours += one.amount_fen * ((one.credit == "own") - (one.debit == "own"))
        assert told == ours

    def take_cr(self, name: FileName, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            tap = self.taps[self.org, row["acquirer_serial"]]
            if row["error"] == codes.GOOD:
                tap.move(Event.CLEAR)
                self._cleared(tap, row, Books("hub", "own", "hub"), name.business_date)
            else:
                tap.move(Event.RETURN)

    def take_fb(self, name: FileName, rows: list[dict[str, Any]]) -> None:
        onward: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            self.taps[row["acquirer_org"], row["acquirer_serial"]].move(
                Event.VERIFY if row["error"] == codes.GOOD else Event.REFUSE
            )
            onward.setdefault(row["acquirer_org"], []).append(row)
        for org, told in onward.items():
            if self.org == HUB:
                self.send(org, "FB", told, name.business_date)

    def take_cd(self, name: FileName, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            assert (name.sender, row["acquirer_serial"]) not in self.taps
            self.taps[name.sender, row["acquirer_serial"]] = Tap(row, State.FORWARDED)

    def clear(self, on: date) -> None:
        """The hub: everything that has come and was not cleared yet, and what was refused goes back."""
        rows: list[dict[str, Any]] = []
        for tap in list(self.taps.values()):
            if tap.state == State.FORWARDED:
                rows.append(self._clear(tap, on))
            elif tap.state == State.REFUSED:
                self._adjust(tap, on)
        cleared = [row for row in rows if row["error"] == codes.GOOD]
        told = money.positions([row | {"sign": 1} for row in cleared], HUB, on)
        for org in (A, B):
            details = [row | {"error_text": ""} for row in cleared if row["issuer_org"] == org]
            self.send(org, "CL", details, on)
            self.send(org, "CR", [_result(row) for row in rows if row["acquirer_org"] == org], on)
            self.send(org, "BP", told.get(org, []), on)

    def _clear(self, tap: Tap, on: date) -> dict[str, Any]:
        row = {name: value for name, value in tap.row.items() if name != "reserved"}
        if row["issuer_org"] not in (A, B):
            tap.move(Event.RETURN)
            return row | {"error": codes.ISSUER_UNKNOWN}
        rate = money.rate_for(RATES, row["mcc"], row["acquirer_org"], row["issuer_org"], on)
        assert rate is not None
        self.serials += 1
        tap.move(Event.CLEAR)
        row |= money.parts_of(row["amount_fen"], rate)._asdict() | {
            "serial": self.serials,
            "error": codes.GOOD,
        }
        self._cleared(tap, row, Books(row["issuer_org"], row["acquirer_org"], "hub"), on)
        return row

    def _adjust(self, tap: Tap, on: date) -> None:
        """Here a refusal is granted at once; both members book the same legs when they hear of it."""
        tap.move(Event.DISPUTE)
        tap.move(Event.ADJUST)
        books = Books(tap.row["issuer_org"], tap.row["acquirer_org"], "hub")
        self.book(money.adjustment_legs(tap.serial, tap.serial, tap.parts, books, on))
        row = {"adjust_serial": tap.serial, "serial": tap.serial, "settled_on": on, "original_on": on,
               "acquirer_serial": tap.row["acquirer_serial"], "acquirer_org": tap.row["acquirer_org"],
               "issuer_org": tap.row["issuer_org"], "cause": codes.FAILED_CHECK}  # fmt: skip
        for org in (A, B):
            self.send(org, "AD", [row], on)

    def take_ad(self, name: FileName, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            tap = self.taps[row["acquirer_org"], row["acquirer_serial"]]
            tap.move(Event.DISPUTE)
            tap.move(Event.ADJUST)
            books = (
                Books("own", "hub", "hub") if row["issuer_org"] == self.org else Books("hub", "own", "hub")
            )
            self.book(money.adjustment_legs(row["serial"], tap.serial, tap.parts, books, row["settled_on"]))

    def _cleared(self, tap: Tap, row: dict[str, Any], books: Books, on: date) -> None:
        tap.serial = row["serial"]
        tap.parts = Parts(*(row[name] for name in Parts._fields))
        self.book(money.clearing_legs(tap.serial, tap.parts, books, on))


def _result(row: dict[str, Any]) -> dict[str, Any]:
    names = ("serial", "acquirer_serial", "acquirer_date", "reference", "kind", "issuer_org", "acquirer_org",
             "mcc", "channel", "pan", "counter", "balance_before_fen", "amount_fen", "tapped_at", "error",
             "fee_fen", "issuer_share_fen", "acquirer_share_fen")  # fmt: skip
    return {name: row[name] for name in names if name in row}


def tapped(random: Random, org: str, serial: int, on: date) -> dict[str, Any]:
    """A foreign tap at a city: mostly of the other city, sometimes of one nobody knows, sometimes forged."""
    issuer = {A: B, B: A}[org] if random.random() < 0.9 else "98000000001"
    amount = random.choice((0, 1, 49, 50, 180, 365, 999, random.randrange(100_000)))
    record = TapRecord(
        kind=1, service=random.choice((1, 2, 3)), txn=9, counter=serial, issuer=bytes(8), pan=f"{serial:020d}",
        acquirer=bytes(8), terminal=bytes(6), sequence=serial, tapped_at=datetime(2026, 3, 2, 8, 0),
        balance_before_fen=100_000, amount_fen=amount,
        tac=b"\xff" * 4 if random.random() < 0.15 else random.randbytes(3) + b"\0",
    )  # fmt: skip
    orgs = {"acquirer_org": org, "issuer_org": issuer, "receiver_org": HUB, "sender_org": org}
    return evidence.to_row(record, serial, on, orgs)


class World:
    """The three offices and the network between them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.offices = {org: Office(org, self.random) for org in (A, B, HUB)}
        self.faults: Counter[str] = Counter()
        self.air: list[tuple[str, Sent]] = []

    def day(self, number: int, rough: bool) -> None:
        on = DAY + timedelta(days=number)
        for org in (A, B):
            city = self.offices[org]
            new = [tapped(self.random, org, number * 100 + n, on)
                   for n in range(self.random.randrange(6) if rough else 0)]  # fmt: skip
            for row in new:
                city.taps[org, row["acquirer_serial"]] = Tap(row, State.FORWARDED)
            city.send(HUB, "CD", new, on)
            city.tell(HUB, on)
        self.carry(rough)
        self.offices[HUB].clear(on)
        for org in (A, B):
            self.offices[HUB].tell(org, on)
        self.carry(rough)

    def carry(self, rough: bool) -> None:
        """What the network does to files: nothing in calm times."""
        for office in self.offices.values():
            self.air += office.out
            office.out = []
        if rough:
            self.random.shuffle(self.air)
        now, self.air = self.air, []
        for to, item in now:
            self._deliver(to, item, rough)

    def _deliver(self, to: str, item: Sent, rough: bool) -> None:
        fate = self.random.random() if rough else 1.0
        if fate < 0.12:
            self.faults["dropped"] += 1
        elif fate < 0.22:
            self.faults["delayed"] += 1
            self.air.append((to, item))
        elif fate < 0.3:
            self.faults["altered"] += 1
            raw = bytearray(item[1])
            raw[self.random.randrange(len(raw))] ^= 1
            self.offices[to].receive((item[0], bytes(raw), item[2]))
        else:
            for _ in range(2 if fate < 0.42 else 1):
                self.offices[to].receive(item)
            self.faults["doubled"] += 0.3 <= fate < 0.42


def lived(seed: int, spoil: Callable[[World], None] = lambda world: None) -> World:
    world = World(seed)
    for number in range(ROUNDS_ROUGH):
        world.day(number, rough=True)
    spoil(world)
    for number in range(ROUNDS_ROUGH, ROUNDS_ROUGH + ROUNDS_CALM):
        world.day(number, rough=False)
    return world


def wrongs(world: World) -> list[str]:
    """What is not as it must be, in words."""
    hub, found = world.offices[HUB], []
    for org, office in world.offices.items():
        if total := sum(account.balance_fen for account in office.accounts.values()):
            found.append(f"{org}: positions add up to {total}")
        found += [
            f"{org}: {key} is {tap.state}" for key, tap in office.taps.items() if tap.state not in AT_REST
        ]
    for org in (A, B):
        city = world.offices[org]
        if city.net("hub") + hub.net(org):
            found.append(f"{org}: the hub's books say {hub.net(org)}, its own {-city.net('hub')}")
        for key, tap in city.taps.items():
            if hub.taps[key].state != tap.state or hub.taps[key].parts != tap.parts:
                found.append(f"{org}: {key} differs from the hub's")
    serials = [tap.serial for tap in hub.taps.values() if tap.serial > 0]
    if len(set(serials)) != len(serials):
        found.append("a serial was given twice")
    return found


@pytest.mark.parametrize("group", range(GROUPS))
def test_two_hundred_rough_networks_lose_no_tap_and_no_fen(group: int) -> None:
    faults: Counter[str] = Counter()
    states: Counter[State] = Counter()
    for seed in range(group, SEEDS, GROUPS):
        world = lived(seed)
        assert wrongs(world) == [], f"seed {seed}"
        faults.update(world.faults)
        states.update(tap.state for tap in world.offices[HUB].taps.values())
    assert min(faults[name] for name in ("dropped", "delayed", "altered", "doubled")) > 100
    assert min(states[state] for state in (State.VERIFIED, State.ADJUSTED, State.RETURNED)) > 20


def test_a_fen_that_is_missing_is_seen() -> None:
    """The check itself is seen failing."""

    def spoil(world: World) -> None:
        world.offices[A].book([ledger.Transfer("stolen", "hub", "own", 1, "x")])

    assert any("the hub's books say" in wrong for wrong in wrongs(lived(3, spoil)))
