# SPDX-License-Identifier: Apache-2.0
"""One blank card made an issuer's card, by any link: written, keyed, and read back.

The vault wraps every key under the card maker's transport key; nothing here ever sees one. A run that was
cut off may be repeated with the same data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final

from citycard.core import tunion
from citycard.core.crypto import TRIPLE_DES
from citycard.core.dialogue import (
    CARD,
    Dialogue,
    KeySlot,
    Refused,
    converse,
    identify,
    key_slots,
    personalise,
    read_kind,
)
from citycard.core.refusal import Refusal
from citycard.keys import KeyName, Vault, card_factors

APP_TYPE: Final = 2


@dataclass(frozen=True, slots=True)
class PersoData:
    """What goes onto one card: `issuer` 8 bytes, `pan` 20 digits, place codes 4 digits each."""

    issuer: bytes
    pan: str
    valid_from: date
    valid_until: date
    card_class: int = 1
    city: str = "9900"
    province: str = "9900"
    key_version: int = 1
    algorithm: int = TRIPLE_DES.id

    def __post_init__(self) -> None:
        card_factors(self.issuer, self.pan)
        if self.valid_until < self.valid_from:
            raise ValueError("a card is not valid until before it is valid from")

    def files(self) -> dict[int, bytes]:
        """Contents by SFI."""
        public = tunion.PUBLIC.encode(
            issuer=self.issuer, app_type=APP_TYPE, enabled=1, pan=self.pan,
            valid_from=self.valid_from, valid_until=self.valid_until,
        )  # fmt: skip
        kind = tunion.CARD_KIND.encode(province=self.province, city=self.city, card_class=self.card_class)
        return {
            tunion.SFI_PUBLIC: public,
            tunion.SFI_HOLDER: tunion.HOLDER.encode(),
            tunion.SFI_KIND: kind,
        }


def personalise_card(vault: Vault, card: Callable[[bytes], bytes], data: PersoData) -> Refused | None:
    """Write, key and read back the card at the end of a connected link. KEY_MISSING without a transport key.

    None when the card is what `data` says; else what refused, and at which step.
    """
    return converse(_station(vault, data), {CARD: card})


def _station(vault: Vault, data: PersoData) -> Dialogue[Refused | None]:
    path = card_factors(data.issuer, data.pan)
    transport = (KeyName.TRANSPORT, 1, ())

    def wrap(slot: KeySlot, header: bytes, challenge: bytes) -> tuple[bytes, bytes]:
        return vault.wrap_card_key(
            slot.name, slot.version, path, transport, slot.head, header, challenge, suite=slot.algorithm
        )

    def authenticate(name: str, challenge: bytes) -> bytes:
        factors = () if name == KeyName.TRANSPORT else path
        return vault.external_authentication(name, 1, factors, challenge)

    slots = key_slots(data.key_version, data.algorithm)
    refused = yield from personalise(data.files(), wrap, authenticate, slots)
    if refused is not None:
        return refused
    return (yield from _read_back(data))


def _read_back(data: PersoData) -> Dialogue[Refused | None]:
    """What the card tells of itself must be what was written."""
    view = yield from identify()
    if isinstance(view, Refused):
        return view
    kind = yield from read_kind()
    if isinstance(kind, Refused):
        return kind
    found = (view.issuer, view.pan, view.public["valid_from"], view.public["valid_until"], kind["card_class"])
    wanted = (data.issuer, data.pan, data.valid_from, data.valid_until, data.card_class)
    return None if found == wanted else Refused(Refusal.CARD_FAULT, CARD, "READ BACK")
