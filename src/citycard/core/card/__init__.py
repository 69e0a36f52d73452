# SPDX-License-Identifier: Apache-2.0
"""The chip's side: an emulated CPU card with PBOC purses, FMCOS files, and room for applets.

`blank_card(T_UNION, transport_key, random)` gives a card, `card.power_on()` its ATR, and
`card.process(command)` an answer to every command APDU.
"""

from citycard.core.card.applet import Applet, install
from citycard.core.card.atomic import CELL, Fuse, Memory, PowerLost
from citycard.core.card.factory import blank_card, made_card, raw_card
from citycard.core.card.os import Card, command_table
from citycard.core.card.profiles import CONTACT, FMCOS, MOHURD, MULTI, PROFILES, T_UNION, T_UNION_DUAL
from citycard.core.card.script import Step, script
from citycard.core.card.spec import AreaSpec, Profile
from citycard.core.card.state import Traits

__all__ = [
    "CELL",
    "CONTACT",
    "FMCOS",
    "MOHURD",
    "MULTI",
    "PROFILES",
    "T_UNION",
    "T_UNION_DUAL",
    "Applet",
    "AreaSpec",
    "Card",
    "Fuse",
    "Memory",
    "PowerLost",
    "Profile",
    "Step",
    "Traits",
    "blank_card",
    "command_table",
    "install",
    "made_card",
    "raw_card",
    "script",
]
