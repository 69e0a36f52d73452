# SPDX-License-Identifier: Apache-2.0
"""The laboratory: keys, the cards of every scenario, the parameters a terminal under test is given.

The terminal under test gets a PSAM made from the laboratory's vault and the laboratory's parameters:
tariff, accepted issuers, and the hotlist with the cards that scenarios have listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from citycard.conform.cells import set_purse
from citycard.conform.keyring import Keyring
from citycard.conform.specimens import ISSUER, Mint
from citycard.conform.terminal.played import PlayedCard, Waits
from citycard.conform.terminal.scenarios import (
    ENTRY_MINIMUM_FEN,
    EXIT_FEN,
    GROUPS,
    PASSBACK_S,
    SCENARIOS,
    CardSpec,
    Scenario,
)
from citycard.core.apdu import Command
from citycard.core.card import Card
from citycard.keys import Vault

METRO, RETAIL = 2, 3
SELECT_PURSE: Final = Command(0x00, 0xA4, 0x04, 0x00, bytes.fromhex("A000000632010105")).encode()
TARIFFS: Final[Mapping[int, Mapping[str, Any]]] = {
    METRO: {
        "network": {
            "tracks": [{"line": 1, "stops": [{"station": 1, "at_m": 0}, {"station": 2, "at_m": 5000}]}]
        },
        "fares": {"kind": "distance", "steps": [{"up_to_m": 9000, "fare_fen": EXIT_FEN}]},
        "entry_minimum_fen": ENTRY_MINIMUM_FEN,
    },
    RETAIL: {"limits": {"minimum_fen": 1, "maximum_fen": 50_000}},
}


def pan_of(scenario: Scenario, card: int) -> str:
    """The number of a scenario's card: a 0 and 19 digits, of which the last six tell scenario and card."""
    group, number = list(GROUPS).index(scenario.group) + 1, int(scenario.id[-3:])
    return f"03199900000000{group:02d}{number:03d}{card}"


def hotlist() -> frozenset[str]:
    """The cards that the terminal under test must have on its list."""
    return frozenset(
        pan_of(scenario, number)
        for scenario in SCENARIOS
        for number, card in enumerate(scenario.cards)
        if card.hotlisted
    )


def parameters_for_people() -> dict[str, Any]:
    """What the terminal under test has to be told, as plain values."""
    return {
        "version": 1,
        "issuers": [ISSUER.hex().upper()],
        "hotlist": sorted(hotlist()),
        "passback_s": PASSBACK_S,
        "tariffs": {str(code): tariff for code, tariff in TARIFFS.items()},
        "places": {
            "enter": "metro gate at line 1, station 1, letting in",
            "exit": "metro gate at line 1, station 2, letting out",
            "pay": "shop",
            "load": "kiosk; its host of loads works with the laboratory's vault",
        },
    }


@dataclass(frozen=True)
class Laboratory:
    """Makes played cards; the vault holds the scheme's keys and the specimens' transport key."""

    vault: Vault
    random: Callable[[int], bytes]
    algorithm: int = 0

    def cards(self, scenario: Scenario, sleep: Waits) -> list[PlayedCard]:
        """The cards of a scenario, new."""
        return [self._card(scenario, number, spec, sleep) for number, spec in enumerate(scenario.cards)]

    def _card(self, scenario: Scenario, number: int, spec: CardSpec, sleep: Waits) -> PlayedCard:
        pan = pan_of(scenario, number)
        issuer = spec.public.get("issuer", ISSUER)
        mint = Mint(self.vault, self.random, self.algorithm, issuer, pan, spec.public)
        card = Card.from_image(mint.image, self.random)
        set_purse(card, balance_fen=spec.balance_fen, offline=spec.offline)
        if spec.blocked:
            _block(card, Keyring(self.vault, mint.factors), self.algorithm)
        return AlienCard(card, pan, sleep) if spec.alien else PlayedCard(card, pan, sleep)


class AlienCard(PlayedCard):
    """A card of another kind: it knows no application that is asked for."""

    def obey(self, command: bytes) -> bytes:
        """6A82 to SELECT, 6D00 to everything else."""
        return b"\x6a\x82" if command[:2] == b"\x00\xa4" else b"\x6d\x00"


def _block(card: Card, keys: Keyring, algorithm: int) -> None:
    card.power_on()
    card.process(SELECT_PURSE)
    challenge = card.process(bytes.fromhex("0084000004"))[:-2]
    message = bytes.fromhex("841E000004")
    answer = card.process(message + keys.message_mac(message, challenge, 1, algorithm))
    assert answer == b"\x90\x00", answer.hex()
