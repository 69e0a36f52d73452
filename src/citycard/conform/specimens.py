# SPDX-License-Identifier: Apache-2.0
"""Emulated cards for the kit: personalised from a vault, held in a field that can be cut at any write.

These cards are specimens: the good one that every case must pass, the mutants that each case must catch,
and the cards that are played to a terminal under test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, Final, Protocol

from citycard.core import tunion
from citycard.core.card import T_UNION, Memory, PowerLost, blank_card
from citycard.core.crypto import TRIPLE_DES
from citycard.core.dialogue import CardGone, KeySlot, converse, key_slots, personalise
from citycard.core.kinds import Emulated
from citycard.keys import KeyName, MemoryVault, Vault, card_factors, scheme_ceremony

TEST_TRANSPORT: Final = bytes.fromhex("C0C1C2C3C4C5C6C7C8C9CACBCCCDCECF")  # of emulated blank cards only
ISSUER: Final = bytes.fromhex("09990001FFFFFFFF")
PAN: Final = "03199000000000000018"
FIELD_LOST: Final = bytes(8)  # what a cut leaves in the cell that was being written


class Chip(Emulated, Protocol):
    """An emulated card of any kind, whose cells the laboratory can reach."""

    memory: Memory


class Specimen:
    """A card as the field holds it; mutants override what is defective.

    `delay_ns` grows by what the card pretends to think; the field's clock adds it.
    """

    def __init__(self, card: Chip) -> None:
        self.card = card
        self.delay_ns = 0

    def power_on(self) -> bytes:
        """The field goes and comes again."""
        self.card.power_off()
        return self.card.power_on()

    def process(self, command: bytes) -> bytes:
        """One command."""
        return self.card.process(command)

    def cut_after(self, writes: int | None) -> None:
        """Let the power fail at this write from now on, counted from 0; None lets it stay."""
        if writes is None:
            self.card.memory.fuse = None
            return
        left = [writes]

        def fuse(address: int, old: bytes, new: bytes) -> bytes | None:
            left[0] -= 1
            return FIELD_LOST if left[0] < 0 else None

        self.card.memory.fuse = fuse


class EmulatedField:
    """A specimen in the field; `CardGone` when its power was cut."""

    def __init__(self, specimen: Specimen) -> None:
        self.specimen = specimen

    def connect(self) -> bytes:
        """Power the card off and on."""
        try:
            return self.specimen.power_on()
        except PowerLost:
            raise CardGone("the card lost power while it started") from None

    def __call__(self, command: bytes) -> bytes:
        """One exchange."""
        try:
            return self.specimen.process(command)
        except PowerLost:
            raise CardGone("the card lost power inside a command") from None

    def cut_after(self, writes: int | None) -> None:
        """See `Specimen.cut_after`."""
        self.specimen.cut_after(writes)


@dataclass(frozen=True)
class Mint:
    """Makes emulated cards under the keys of a vault that holds `TEST_TRANSPORT`."""

    vault: Vault
    random: Callable[[int], bytes]
    algorithm: int = TRIPLE_DES.id
    issuer: bytes = ISSUER
    pan: str = PAN
    public: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def image(self) -> bytes:
        """The cells of a freshly personalised card."""
        card = blank_card(T_UNION, TEST_TRANSPORT, self.random, self.algorithm)
        card.power_on()
        dialogue = personalise(self._files(), self._wrap, self._authenticate, key_slots(1, self.algorithm))
        refused = converse(dialogue, {"card": card.process})
        assert refused is None, str(refused)
        return card.image()

    @property
    def factors(self) -> tuple[bytes, bytes]:
        """The path to the card's keys."""
        return card_factors(self.issuer, self.pan)

    def _files(self) -> dict[int, bytes]:
        public = {
            "issuer": self.issuer,
            "app_type": 2,
            "enabled": 1,
            "pan": self.pan,
            "valid_from": date(2020, 1, 1),
            "valid_until": date(2099, 12, 31),
        }
        return {
            tunion.SFI_PUBLIC: tunion.PUBLIC.encode(**(public | dict(self.public))),
            tunion.SFI_HOLDER: tunion.HOLDER.encode(card_type=1, name=b"TEST CARD".ljust(20, b"\x00")),
            tunion.SFI_KIND: tunion.CARD_KIND.encode(province="9900", city="9900", card_class=1),
        }

    def _wrap(self, slot: KeySlot, header: bytes, challenge: bytes) -> tuple[bytes, bytes]:
        return self.vault.wrap_card_key(
            slot.name,
            slot.version,
            self.factors,
            (KeyName.TRANSPORT, 1, ()),
            slot.head,
            header,
            challenge,
            suite=slot.algorithm,
        )

    def _authenticate(self, name: str, challenge: bytes) -> bytes:
        path = () if name == KeyName.TRANSPORT else self.factors
        return self.vault.external_authentication(name, 1, path, challenge)


def laboratory_vault(random: Callable[[int], bytes], algorithm: int = TRIPLE_DES.id) -> MemoryVault:
    """A vault with new keys of its own for emulated cards."""
    vault = MemoryVault(random=random)
    scheme_ceremony(vault, (algorithm,))
    vault.import_key(KeyName.TRANSPORT, algorithm, 1, TEST_TRANSPORT)
    return vault
