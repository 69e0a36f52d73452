# SPDX-License-Identifier: Apache-2.0
"""What the kit must know of a kind of card before it can test one: how it is selected, where its files lie.

A catalogue belongs to a kind (`catalogue.CATALOGUES`), and so does the guard's opinion of what a command may
leave behind: what INITIALIZE is to a purse, INITIALIZE UPDATE is to a security domain, under one code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from citycard.conform.guard import EffectOf, domain_effect, effect_of
from citycard.conform.model import Text
from citycard.core import mohurd, tunion
from citycard.core.apdu import Command
from citycard.core.gp.state import ISD_AID


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of card; `name` is that of its catalogue, `home` selects what is tested (empty: nothing)."""

    name: str
    title: Text
    aid: bytes = b""
    log: int = 0  # SFIs of the files that a transaction may change, and of the public file; 0: none
    transit: int = 0
    industry: int = 0
    public: int = 0
    serial: tuple[int, int] = (0, 0)  # where the card's number lies in the public file
    effect: EffectOf = effect_of
    follows: bool = False  # T=0: 61xx is followed by GET RESPONSE, by the kit as by every reader

    @property
    def home(self) -> bytes:
        """SELECT by name."""
        return Command(0x00, 0xA4, 0x04, 0x00, self.aid, le=256).encode() if self.aid else b""


T_UNION: Final = Kind(
    "t-union",
    Text("T-Union purse", "交通联合卡"),
    tunion.AID_PURSE,
    tunion.SFI_LOG,
    tunion.SFI_TRANSIT,
    tunion.SFI_INDUSTRY,
    tunion.SFI_PUBLIC,
    (10, 20),
)
PBOC: Final = Kind(
    "pboc",
    Text("Contact CPU card with deposit and purse", "接触式CPU卡（存折与钱包）"),
    mohurd.AID_PURSE,
    log=0x18,
    public=0x15,
    serial=(12, 20),
    follows=True,
)
GP: Final = Kind("gp", Text("Issuer security domain", "发卡方安全域"), ISD_AID, effect=domain_effect)
KINDS: Final = {kind.name: kind for kind in (T_UNION, GP, PBOC)}
