# SPDX-License-Identifier: Apache-2.0
"""One metro exit at the gate: our own code, beside the cipher work it cannot do without.

The card and its link are taken out by timing every exchange with the card and subtracting it. The yardstick
is the cipher work of the same exit called straight in the crypto library, key schedules included: the
purchase key diversified over two levels, the session key, MAC1 and MAC2.
"""

from __future__ import annotations

import os
import statistics
import time
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from citycard.blueprints import load_scheme
from citycard.core.card import Card
from citycard.keys import MemoryVault, Psam, scheme_ceremony
from citycard.keys.vault import KeyName
from citycard.lab.bench.result import BenchResult
from citycard.lab.issuing import personalise_chip
from citycard.services import service_named
from citycard.services.contract import Event
from citycard.terminal import Journal, Outcome, Parameters, Terminal, TerminalConfig
from citycard.terminal.link import EmulatedLink
from citycard.terminal.store import MemoryStore

EXITS: Final = 150
LOADED_FEN: Final = 95_000
START: Final = datetime(2026, 3, 2, 8, 0)


class _Order:
    """The office's order of the bench card."""

    def __init__(self, issuer: str) -> None:
        self.issuer_id, self.pan, self.card_class = issuer, "03109900010000000014", 1
        self.valid_from, self.valid_until = START.date(), START.date() + timedelta(days=3650)


class _TimedLink(EmulatedLink):
    """A link that knows how long the card took."""

    spent = 0.0

    def connect(self) -> bytes:
        start = time.perf_counter()
        answer = super().connect()
        self.spent += time.perf_counter() - start
        return answer

    def __call__(self, command: bytes) -> bytes:
        start = time.perf_counter()
        answer = super().__call__(command)
        self.spent += time.perf_counter() - start
        return answer


def run(exits: int = EXITS) -> BenchResult:
    """Median own time of so many metro exits beside the median of the bare cipher work."""
    started = time.perf_counter()
    chip, gates, clock = _world()
    own, whole, cards = [], [], []
    for number in range(exits):
        clock[0] = START + timedelta(minutes=30 * number)
        _tap(gates[0], chip, Event.ENTER)
        clock[0] += timedelta(minutes=12)
        link = _TimedLink(chip)
        begin = time.perf_counter()
        result = gates[1].tap(link, Event.EXIT)
        end = time.perf_counter()
        assert result.outcome is Outcome.ACCEPTED, result
        whole.append(end - begin)
        cards.append(link.spent)
        own.append(end - begin - link.spent)
    ours, bare = statistics.median(own) * 1e3, _yardstick() * 1e3
    return BenchResult(
        name="tap",
        what=f"{exits} metro exits on the emulated card, card time excluded, journal in memory",
        figure=round(ours, 4),
        unit="ms per exit",
        yardstick=round(bare, 4),
        yardstick_what="the same cipher operations called straight in the crypto library",
        ratio=round(ours / bare, 2),
        ratio_means="ours / yardstick; the aim is below 5, and below 2 ms",
        seconds=round(time.perf_counter() - started, 2),
        details={
            "p99_ms": round(sorted(own)[int(exits * 0.99)] * 1e3, 4),
            "card_ms": round(statistics.median(cards) * 1e3, 4),
            "whole_ms": round(statistics.median(whole) * 1e3, 4),
        },
    )


def _world() -> tuple[Card, list[Terminal], list[datetime]]:
    scheme = load_scheme("city")
    clock = [START]
    vault = MemoryVault()
    transport = os.urandom(16)
    vault.import_key(KeyName.TRANSPORT, 0, 1, transport)
    scheme_ceremony(vault)
    chip = personalise_chip(vault, transport, _Order(scheme.issuers[0].id), scheme.city, os.urandom)
    _load(chip, vault)
    metro = service_named("metro").code
    tariff = scheme.tariff(metro, START.date())
    assert tariff is not None
    parameters = Parameters(
        1,
        {metro: tariff.config},
        issuers=frozenset({bytes.fromhex(scheme.issuers[0].id)}),
        confirmed_at=START,
    )
    plans = [p for p in scheme.terminal_plans if p.service == metro]
    gates = [_gate(plan, vault, clock, parameters) for plan in (plans[0], plans[-1])]
    return chip, gates, clock


def _gate(plan: Any, vault: MemoryVault, clock: list[datetime], parameters: Parameters) -> Terminal:
    number = bytes.fromhex(plan.id)
    journal = Journal.open(MemoryStore(), number, durable=frozenset())
    config = TerminalConfig(
        number, bytes.fromhex(plan.acquirer), plan.service, plan.line, plan.station, "9900"
    )
    return Terminal(config, Psam(vault, number, journal.numbers), journal, lambda: clock[0], parameters)


def _load(chip: Card, vault: MemoryVault) -> None:
    """Put money on the bench card with its own keys."""
    from citycard.core import purse, tunion
    from citycard.core.calendar import bcd_datetime
    from citycard.core.dialogue.read import SELECT

    terminal, moment = bytes(6), bcd_datetime(START)
    chip.power_on()
    chip.process(SELECT)
    public = chip.process(bytes.fromhex("00B095001E"))
    path = tunion.issuer_factor(public), tunion.card_factor(public)
    opening = bytes.fromhex("805000020B01") + LOADED_FEN.to_bytes(4, "big") + terminal + b"\x10"
    answer = chip.process(opening)
    variable = purse.load_variable(answer[8:12], int.from_bytes(answer[4:6], "big"))
    session = vault.session(KeyName.LOAD, 1, path, variable)
    mac2 = session.mac(purse.load_mac2(LOADED_FEN, purse.Txn.EP_LOAD, terminal, moment))
    credited = chip.process(bytes.fromhex("805200000B") + moment + mac2 + b"\x04")
    assert credited[-2:] == b"\x90\x00", credited.hex()


def _tap(gate: Terminal, chip: Card, event: Event) -> None:
    result = gate.tap(EmulatedLink(chip), event)
    assert result.outcome is Outcome.ACCEPTED, result


def _yardstick(rounds: int = 2000) -> float:
    """Median seconds of the bare cipher work of one exit."""
    key, block, session = os.urandom(24), os.urandom(16), os.urandom(8) * 3
    ecb, cbc = modes.ECB(), modes.CBC(bytes(8))
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        Cipher(TripleDES(key), ecb).encryptor().update(block)
        Cipher(TripleDES(key), ecb).encryptor().update(block)
        Cipher(TripleDES(key), ecb).encryptor().update(block[:8])
        Cipher(TripleDES(session), cbc).encryptor().update(block + block[:8])
        Cipher(TripleDES(session), cbc).encryptor().update(block[:8])
        times.append(time.perf_counter() - start)
    return statistics.median(times)
