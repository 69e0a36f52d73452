# SPDX-License-Identifier: Apache-2.0
"""A small true world for the tests of the edge: vault, cards, PSAMs, bus, gates, shop, load host."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from functools import cache
from random import Random
from typing import Any

from citycard.core import purse, tunion
from citycard.core.calendar import bcd_datetime
from citycard.core.card import T_UNION, Card, blank_card
from citycard.core.crypto import SUITES, TRIPLE_DES
from citycard.core.dialogue import KeySlot, converse, key_slots, personalise
from citycard.core.record import Kind, TapRecord
from citycard.core.refusal import Refusal
from citycard.keys import LoadAsked, LoadSam, MemoryVault, Psam, TacRow, Vault, scheme_ceremony
from citycard.services import load_config
from citycard.terminal import (
    EmulatedLink,
    Hotlist,
    Journal,
    LoadOffer,
    LoadRequest,
    MemoryStore,
    Parameters,
    Store,
    Terminal,
    TerminalConfig,
)

ISSUER = bytes.fromhex("02009900FFFFFFFF")
ACQUIRER = bytes.fromhex("1100100000000001")
TRANSPORT = bytes(range(16))
PAN = "03199000000000000018"
NOON = datetime(2026, 9, 1, 12, 0, 0)
BUS, METRO, RETAIL = 1, 2, 3
GATE_A, GATE_B = bytes.fromhex("990002000001"), bytes.fromhex("990002000002")
BUS_7, SHOP, KIOSK = (
    bytes.fromhex("990001000007"),
    bytes.fromhex("990003000001"),
    bytes.fromhex("990003000009"),
)

BUS_TARIFF = {
    "fares": [{"fare": {"kind": "flat", "fare_fen": 200}}],
    "transfers": [],
    "repeat_seconds": 60,
}
METRO_TARIFF = {
    "network": {"tracks": [{"line": 1, "stops": [{"station": 1, "at_m": 0}, {"station": 2, "at_m": 5000}]}]},
    "fares": {
        "kind": "distance",
        "steps": [{"up_to_m": 4000, "fare_fen": 200}, {"up_to_m": 9000, "fare_fen": 300}],
    },
    "entry_minimum_fen": 200,
}
RETAIL_TARIFF = {"limits": {"minimum_fen": 1, "maximum_fen": 50000}}


class Clock:
    """A clock that moves when told."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def draws(seed: int) -> Callable[[int], bytes]:
    return Random(seed).randbytes


@cache
def vault() -> MemoryVault:
    made = MemoryVault(random=draws(7))
    scheme_ceremony(made, SUITES.values())
    made.import_key("transport", TRIPLE_DES, 1, TRANSPORT)
    return made


def files(pan: str = PAN, **more: Any) -> dict[int, bytes]:
    public = {
        "issuer": ISSUER, "app_type": 2, "enabled": 1, "pan": pan,
        "valid_from": date(2026, 1, 1), "valid_until": date(2035, 12, 31),
    }  # fmt: skip
    card_class = more.pop("card_class", 1)
    return {
        tunion.SFI_PUBLIC: tunion.PUBLIC.encode(**(public | more)),
        tunion.SFI_HOLDER: tunion.HOLDER.encode(),
        tunion.SFI_KIND: tunion.CARD_KIND.encode(province="9900", city="9900", card_class=card_class),
    }


def personaliser(keys: Vault, pan: str = PAN) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`wrap` and `authenticate` of a vault, for a card of this number."""
    factors = tunion.factors(ISSUER, pan)

    def wrap(slot: KeySlot, header: bytes, challenge: bytes) -> tuple[bytes, bytes]:
        under = ("transport", 1, ())
        return keys.wrap_card_key(
            slot.name, slot.version, factors, under, slot.head, header, challenge, suite=slot.algorithm
        )

    def authenticate(name: str, challenge: bytes) -> bytes:
        path = () if name == "transport" else factors
        return keys.external_authentication(name, 1, path, challenge)

    return wrap, authenticate


@cache
def _image(pan: str, algorithm: int, more: tuple[tuple[str, Any], ...]) -> bytes:
    card = blank_card(T_UNION, TRANSPORT, draws(1))
    card.power_on()
    wrap, authenticate = personaliser(vault(), pan)
    dialogue = personalise(files(pan, **dict(more)), wrap, authenticate, key_slots(1, algorithm))
    assert converse(dialogue, {"card": card.process}) is None
    return card.image()


def new_card(pan: str = PAN, algorithm: int = 0, seed: int = 2, balance_fen: int = 0, **more: Any) -> Card:
    card = Card.from_image(_image(pan, algorithm, tuple(more.items())), draws(seed))
    card.power_on()
    if balance_fen:
        result = terminal(KIOSK, RETAIL).load(EmulatedLink(card), balance_fen, Host())
        assert result.outcome == "accepted", result
    return card


class Host:
    """The host of loads, over a true load SAM; `faults` are refusals given before it answers again."""

    def __init__(self, faults: Iterable[Refusal] = (), clock: Callable[[], datetime] = lambda: NOON) -> None:
        self.sam = LoadSam(vault())
        self.clock = clock
        self.faults = list(faults)
        self.offers: dict[str, tuple[LoadOffer, LoadAsked]] = {}
        self.pending: set[str] = set()
        self.posted: set[str] = set()
        self.reversed: set[str] = set()

    def begin(self, request: LoadRequest) -> LoadOffer | Refusal:
        known = self.offers.get(request.request_id)
        if known is None:
            asked = LoadAsked(
                request.issuer, request.pan, request.terminal, request.amount_fen, request.card_answer
            )
            at = self.clock()
            mac2 = self.sam.approve(asked, bcd_datetime(at))
            if mac2 is None:
                return Refusal.OFFICE_REFUSED
            known = LoadOffer(f"L{len(self.offers)}", at, mac2), asked
            self.offers[request.request_id] = known
            self.pending.add(known[0].load_id)
        return self.faults.pop() if self.faults else known[0]

    def confirm(self, load_id: str, tac: bytes, balance_after_fen: int) -> Refusal | None:
        offer, asked = next(pair for pair in self.offers.values() if pair[0].load_id == load_id)
        if not self.sam.receipt(asked, bcd_datetime(offer.at), tac):
            return Refusal.OFFICE_REFUSED
        assert balance_after_fen == asked.balance_after_fen
        if self.faults:
            return self.faults.pop()
        self.pending.discard(load_id)
        self.posted.add(load_id)
        return None

    def reverse(self, load_id: str, status_word: int, online_counter: int) -> Refusal | None:
        _, asked = next(pair for pair in self.offers.values() if pair[0].load_id == load_id)
        if (status_word, online_counter) != (0x9406, asked.counter):
            return Refusal.OFFICE_REFUSED
        self.pending.discard(load_id)
        self.reversed.add(load_id)
        return None


def parameters(**more: Any) -> Parameters:
    tariffs = {
        BUS: load_config(BUS, BUS_TARIFF),
        METRO: load_config(METRO, METRO_TARIFF),
        RETAIL: load_config(RETAIL, RETAIL_TARIFF),
    }
    given: dict[str, Any] = {
        "version": 3, "tariffs": tariffs, "hotlist": Hotlist(5), "issuers": frozenset({ISSUER}),
        "confirmed_at": NOON,
    }  # fmt: skip
    return Parameters(**(given | more))


def terminal(
    number: bytes,
    service: int,
    clock: Clock | None = None,
    store: Store | None = None,
    station: int = 1,
    **more: Any,
) -> Terminal:
    journal = Journal.open(store or MemoryStore(), number)
    config = TerminalConfig(number, ACQUIRER, service, line=1, station=station, city="9900", **more)
    sam = Psam(vault(), number, journal.numbers)
    return Terminal(config, sam, journal, clock or Clock(), parameters())


def tac_row(record: TapRecord) -> TacRow:
    after = record.balance_before_fen + record.amount_fen if record.kind == Kind.LOAD else 0
    return TacRow(
        record.issuer, record.pan, record.key_version, record.algorithm, record.kind, record.txn,
        record.amount_fen, record.terminal, record.terminal_txn, record.moment, record.counter, after,
        record.tac,
    )  # fmt: skip


def tac_holds(*records: TapRecord) -> bool:
    return all(vault().tac_checker("tac")([tac_row(record) for record in records]))


def tac_by_hand(record: TapRecord) -> bytes:
    """The TAC made with `vault.tac`, beside the checker's fast path."""
    if record.kind == Kind.LOAD:
        after = record.balance_before_fen + record.amount_fen
        message = purse.load_tac(
            after, record.counter, record.amount_fen, record.txn, record.terminal, record.moment
        )
    else:
        message = purse.purchase_tac(
            record.amount_fen, record.txn, record.terminal, record.terminal_txn, record.moment
        )
    factors = tunion.factors(record.issuer, record.pan)
    return vault().tac("tac", record.key_version, factors, message, suite=record.algorithm)


def balance(card: Card) -> int:
    card.power_on()
    card.process(bytes.fromhex("00A4040008") + tunion.AID_PURSE)
    return int.from_bytes(card.process(bytes.fromhex("805C030204"))[:4], "big")
