# SPDX-License-Identifier: Apache-2.0
"""One laboratory for the tests of the kit: keys that repeat, cards of one mint, permission for everything."""

from __future__ import annotations

from functools import cache
from random import Random

from citycard.conform.catalogue import CATALOGUES
from citycard.conform.model import Case
from citycard.conform.run import Orders
from citycard.conform.specimens import Mint, laboratory_vault
from citycard.conform.stands import EmulatedStand, Stock
from citycard.conform.stock import STOCKS
from citycard.conform.terminal.laboratory import Laboratory
from citycard.core.record import TapRecord, build_header
from citycard.keys import MemoryVault, Vault, batch_mac

MOMENT = bytes.fromhex("20260901120000")
EVERYTHING = Orders(MOMENT, allow_write=True, allow_lock=True)
READ_ONLY = Orders(MOMENT)
CASES: dict[str, Case] = {case.id: case for case in CATALOGUES["t-union"].cases}
OTHERS = [name for name in CATALOGUES if name != "t-union"]


class Ticks:
    """A clock that moves a little at every look: times do not depend on the machine."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 20_000
        return self.now


@cache
def vault(algorithm: int = 0) -> MemoryVault:
    return laboratory_vault(Random(11).randbytes, algorithm)


@cache
def mint(algorithm: int = 0) -> Mint:
    return Mint(vault(algorithm), Random(12).randbytes, algorithm)


def stand(**more: object) -> EmulatedStand:
    return EmulatedStand(mint(), Ticks(), **more)  # type: ignore[arg-type]


def laboratory() -> Laboratory:
    return Laboratory(vault(), Random(13).randbytes)


def batch(vault: Vault, records: list[TapRecord], number: int = 1) -> bytes:
    first = records[0]
    raw = [record.encode() for record in records]
    header = build_header(
        raw, terminal=first.terminal, acquirer=first.acquirer, batch=number, closed_at=first.tapped_at
    )
    return header + batch_mac(vault, first.terminal, header) + b"".join(raw)


@cache
def stock(profile: str) -> Stock:
    return STOCKS[profile](Random(14).randbytes)


def stand_of(profile: str, **more: object) -> EmulatedStand:
    """A stand with emulated cards of any profile."""
    return stand(**more) if profile == "t-union" else EmulatedStand(stock(profile), Ticks(), **more)  # type: ignore[arg-type]
