# SPDX-License-Identifier: Apache-2.0
"""Kinds of card, declared (see `spec`); `PROFILES` has them by name."""

from __future__ import annotations

from typing import Final

from citycard.core import tunion
from citycard.core.card.access import NEVER
from citycard.core.card.files import MF_FID, Kind
from citycard.core.card.keyfile import KeyType
from citycard.core.card.spec import DirectorySpec, FileSpec, KeySpec, Profile, PurseSpec
from citycard.core.card.state import Traits

KEY_ROOM: Final = 0x018F  # as in the vendor's script (facts 3.3): sixteen 16-byte keys
MF_KEY_ROOM: Final = 0x60


def _industry_records() -> tuple[bytes, ...]:
    """Every industry record begins with its tag and its length; the rest is 00: not in use (facts 4.2)."""
    length = (tunion.INDUSTRY_SIZE - 4).to_bytes(2, "big")
    head = [tag.to_bytes(2, "big") + length for tag in tunion.INDUSTRY_TAGS]
    return tuple(start.ljust(tunion.INDUSTRY_SIZE, b"\x00") for start in head)


CONTROL: Final = KeySpec("control", KeyType.CONTROL)
PURSE_KEYS: Final = (
    KeySpec("tac", KeyType.TAC),
    KeySpec("maintenance", KeyType.MAINTENANCE),
    KeySpec("purchase", KeyType.PURCHASE, 1),
    KeySpec("load", KeyType.LOAD, 1),
    CONTROL,
)
T_UNION_FILES: Final = (
    FileSpec(0x0015, Kind.TRANSPARENT, tunion.PUBLIC.size),
    FileSpec(0x0016, Kind.TRANSPARENT, tunion.HOLDER.size),
    FileSpec(0x0017, Kind.TRANSPARENT, tunion.CARD_KIND.size),
    FileSpec(0x0018, Kind.CYCLIC, tunion.LOG.size, tunion.LOG_RECORDS, write=NEVER, protected=NEVER),
    FileSpec(
        0x001A, Kind.VARIABLE, tunion.INDUSTRY_SIZE, len(tunion.INDUSTRY_TAGS), preset=_industry_records()
    ),
    FileSpec(0x001E, Kind.CYCLIC, tunion.TRANSIT.size, tunion.TRANSIT_RECORDS),
)
# 1,000 yuan: the customary limit of cards without a known holder; a profile may set another.
T_UNION_PURSE: Final = PurseSpec(0x0002, cap_fen=100_000, log_sfi=tunion.SFI_LOG)
T_UNION_TRAITS: Final = Traits.BALANCES | Traits.BLOCK_TOLD | Traits.WIDE_RECORDS | Traits.EP_CREDIT

T_UNION: Final = Profile(
    "t-union",
    ("T-Union purse", "交通联合卡"),
    "JT/T 978 by way of facts 4.2",
    (
        DirectorySpec(MF_FID, b"2PAY.SYS.DDF01", key_room=MF_KEY_ROOM, keys=(CONTROL,)),
        DirectorySpec(
            0x3F01,
            tunion.AID_PURSE,
            T_UNION_FILES,
            key_room=KEY_ROOM,
            keys=PURSE_KEYS,
            purses=(T_UNION_PURSE,),
            version=2,
            app_file=0x80 | tunion.SFI_PUBLIC,
        ),
    ),
    T_UNION_TRAITS,
)
PROFILES: Final = {profile.name: profile for profile in (T_UNION,)}
