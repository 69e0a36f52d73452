# SPDX-License-Identifier: Apache-2.0
"""The chip's side: an emulated contactless CPU card with the T-Union purse.

`blank_card(T_UNION, transport_key, random)` gives a card, `card.power_on()` its ATR, and
`card.process(command)` an answer to every command APDU.
"""

from citycard.core.card.atomic import CELL, Fuse, Memory, PowerLost
from citycard.core.card.factory import blank_card
from citycard.core.card.os import Card
from citycard.core.card.profiles import PROFILES, T_UNION, Profile

__all__ = ["CELL", "PROFILES", "T_UNION", "Card", "Fuse", "Memory", "PowerLost", "Profile", "blank_card"]
