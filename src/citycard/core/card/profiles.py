# SPDX-License-Identifier: Apache-2.0
"""Kinds of card, declared (see `spec`); `PROFILES` has them by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from citycard.core import mohurd, tunion
from citycard.core.card.access import ALWAYS, CONTROLLED, NEVER
from citycard.core.card.body import NO_CAP
from citycard.core.card.files import ENCIPHERED, MF_FID, UNDER_MAC, Kind
from citycard.core.card.keyfile import TWIN, KeyType
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
LOG_FILE: Final = FileSpec(
    0x0018, Kind.CYCLIC, tunion.LOG.size, tunion.LOG_RECORDS, write=NEVER, protected=NEVER
)
T_UNION_FILES: Final = (
    FileSpec(0x0015, Kind.TRANSPARENT, tunion.PUBLIC.size),
    FileSpec(0x0016, Kind.TRANSPARENT, tunion.HOLDER.size),
    FileSpec(0x0017, Kind.TRANSPARENT, tunion.CARD_KIND.size),
    LOG_FILE,
    FileSpec(
        0x001A, Kind.VARIABLE, tunion.INDUSTRY_SIZE, len(tunion.INDUSTRY_TAGS), preset=_industry_records()
    ),
    FileSpec(0x001E, Kind.CYCLIC, tunion.TRANSIT.size, tunion.TRANSIT_RECORDS),
)
# 1,000 yuan: the customary limit of cards without a known holder; a profile may set another.
T_UNION_PURSE: Final = PurseSpec(0x0002, cap_fen=100_000, log_sfi=tunion.SFI_LOG)
T_UNION_TRAITS: Final = (
    Traits.BALANCES | Traits.BLOCK_TOLD | Traits.WIDE_RECORDS | Traits.EP_CREDIT | Traits.SM4
)

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

# The MOHURD card: loads have a log of their own, records of EF17 have one byte of tag and of length.

FULL_KEYS: Final = (
    KeySpec("tac", KeyType.TAC),
    KeySpec("maintenance", KeyType.MAINTENANCE),
    KeySpec("pin_unblock", KeyType.PIN_UNBLOCK),
    KeySpec("pin_reload", KeyType.PIN_RELOAD),
    KeySpec("purchase", KeyType.PURCHASE, 1),
    KeySpec("load", KeyType.LOAD, 1),
    KeySpec("unload", KeyType.UNLOAD, 1),
    KeySpec("overdraft", KeyType.OVERDRAFT, 1),
    CONTROL,
)
MF_KEYS: Final = (KeySpec("maintenance", KeyType.MAINTENANCE), CONTROL)
MOHURD: Final = Profile(
    "mohurd",
    ("MOHURD city card", "住建部城市一卡通"),
    "CJ/T 166, CJ/T 304 by way of facts 4.1",
    (
        DirectorySpec(
            MF_FID,
            b"1PAY.SYS.DDF01",
            (FileSpec(0x0005, Kind.TRANSPARENT, mohurd.CARD.size),),
            key_room=MF_KEY_ROOM,
            keys=MF_KEYS,
        ),
        DirectorySpec(
            0x1001,
            mohurd.AID_PURSE,
            (
                FileSpec(0x0015, Kind.TRANSPARENT, mohurd.PUBLIC.size),
                LOG_FILE,
                replace(LOG_FILE, fid=0x001A),
                # Length and number of its records are not published; terminals add to it with the debit.
                FileSpec(0x0010, Kind.CYCLIC, tunion.LOG.size, mohurd.LOG_RECORDS),
                FileSpec(
                    0x0017,
                    Kind.VARIABLE,
                    mohurd.COMPOSITE_SIZE,
                    len(mohurd.composite_records()),
                    preset=mohurd.composite_records(),
                ),
            ),
            key_room=KEY_ROOM,
            keys=FULL_KEYS,
            purses=(PurseSpec(0x0002, 100_000, mohurd.SFI_LOG, load_log_sfi=mohurd.SFI_LOAD_LOG),),
            version=1,
            app_file=0x80 | mohurd.SFI_PUBLIC,
        ),
    ),
    Traits.SM4,
)

# A dual-algorithm T-Union card: every key twice, the SM4 one as the twin.

T_UNION_DUAL: Final = Profile(
    "t-union-dual",
    ("T-Union purse, 3DES and SM4", "交通联合卡（双算法）"),
    "JT/T 978 by way of facts 1.4, 2.6 and 4.2",
    (
        DirectorySpec(MF_FID, b"2PAY.SYS.DDF01", key_room=MF_KEY_ROOM, keys=MF_KEYS),
        DirectorySpec(
            0x3F01,
            tunion.AID_PURSE,
            T_UNION_FILES,
            key_room=KEY_ROOM,
            keys=(
                *PURSE_KEYS,
                KeySpec("tac_sm4", KeyType.TAC, 1, algorithm=1),
                KeySpec("maintenance_sm4", KeyType.MAINTENANCE, TWIN),
                KeySpec("purchase_sm4", KeyType.PURCHASE, TWIN | 1, algorithm=1),
                KeySpec("load_sm4", KeyType.LOAD, TWIN | 1, algorithm=1),
                KeySpec("control_sm4", KeyType.CONTROL, TWIN),
            ),
            purses=(T_UNION_PURSE,),
            version=2,
            app_file=0x80 | tunion.SFI_PUBLIC,
        ),
    ),
    T_UNION_TRAITS | Traits.DUAL_ALGORITHM,
)

# A city's multi-application card: the T-Union purse beside campus, access and entitlement. Nothing proven in
# one application counts in another; each has keys of its own. AIDs of the last three are of the category
# that needs no registration (ISO/IEC 7816-5, first digit F).

LOCAL_RID: Final = bytes.fromhex("F043495459")
AID_CAMPUS, AID_ACCESS, AID_ENTITLEMENT = (LOCAL_RID + bytes((2, number)) for number in (1, 2, 3))
PIN_STATE: Final = 0x1
AFTER_PIN: Final = 0xF1  # read or used after VERIFY PIN, or with the control key
PIN: Final = KeySpec("pin", KeyType.PIN, follows=PIN_STATE)
PIN_KEYS: Final = (
    KeySpec("pin_unblock", KeyType.PIN_UNBLOCK),
    KeySpec("pin_reload", KeyType.PIN_RELOAD),
    PIN,
)
MULTI: Final = Profile(
    "multi",
    ("Multi-application city card", "城市多应用卡"),
    "JT/T 978 for transit; the other applications are this project's own",
    (
        DirectorySpec(MF_FID, b"2PAY.SYS.DDF01", key_room=MF_KEY_ROOM, keys=MF_KEYS),
        T_UNION.directories[1],
        DirectorySpec(
            0x3F02,
            AID_CAMPUS,
            (
                FileSpec(0x0015, Kind.TRANSPARENT, 32),  # institution, person number, role, validity
                LOG_FILE,
                FileSpec(0x001E, Kind.CYCLIC, 32, 10),  # attendance, library, meters
            ),
            key_room=KEY_ROOM,
            keys=FULL_KEYS,
            purses=(PurseSpec(0x0002, 50_000, 0x18),),
            version=1,
            app_file=0x80 | 0x15,
        ),
        DirectorySpec(
            0x3F03,
            AID_ACCESS,
            (
                FileSpec(0x0015, Kind.TRANSPARENT, 32),  # card number, zones, validity
                FileSpec(0x0016, Kind.TRANSPARENT, 32, read=CONTROLLED, under=UNDER_MAC | ENCIPHERED),
                FileSpec(0x001E, Kind.CYCLIC, 16, 20, write=NEVER),  # doors passed, written under a MAC
            ),
            key_room=0x80,
            keys=(
                KeySpec("access", KeyType.MAC, 1),
                KeySpec("maintenance", KeyType.MAINTENANCE),
                CONTROL,
            ),
            version=1,
            app_file=0x80 | 0x15,
        ),
        DirectorySpec(
            0x3F04,
            AID_ENTITLEMENT,
            (
                FileSpec(0x0015, Kind.TRANSPARENT, 64),  # who entitles to what, until when
                FileSpec(0x0016, Kind.TRANSPARENT, 240, read=AFTER_PIN),  # the signed credential
            ),
            key_room=0xA0,
            keys=(KeySpec("maintenance", KeyType.MAINTENANCE), *PIN_KEYS, CONTROL),
            version=1,
            app_file=0x80 | 0x15,
        ),
    ),
    T_UNION_TRAITS,
)

# A contact CPU card with deposit and purse, and a blank card, both as the vendor's manual has them.

CONTACT: Final = Profile(
    "contact",
    ("Contact CPU card", "接触式CPU卡"),
    "PBOC ED/EP (JR/T 0025), FMCOS 2.0, by way of facts 1 and 3.3",
    (
        DirectorySpec(
            MF_FID,
            b"1PAY.SYS.DDF01",
            (
                FileSpec(
                    0x0001, Kind.FIXED, 19, 2,
                    preset=(bytes.fromhex("61114F09") + mohurd.AID_PURSE + bytes.fromhex("500450424F43"),),
                ),
            ),
            key_room=MF_KEY_ROOM,
            keys=MF_KEYS,
            app_file=0x01,
        ),
        DirectorySpec(
            0x3F01,
            mohurd.AID_PURSE,
            (
                FileSpec(0x0015, Kind.TRANSPARENT, 30, write=ALWAYS, protected=0xFF, under=UNDER_MAC),
                FileSpec(0x0016, Kind.TRANSPARENT, 39, write=ALWAYS, protected=0xFF, under=UNDER_MAC),
                LOG_FILE,
            ),
            key_room=KEY_ROOM,
            keys=(*FULL_KEYS, PIN),
            purses=(
                PurseSpec(0x0001, NO_CAP, 0x18, use=AFTER_PIN),
                PurseSpec(0x0002, 100_000, 0x18),
            ),
            app_file=0x80 | 0x15,
        ),
    ),
    Traits.T0 | Traits.SM4,
)  # fmt: skip
FMCOS: Final = Profile(
    "fmcos",
    ("Blank FMCOS card", "FMCOS 空白卡"),
    "FMCOS 2.0 (FM1208) by way of facts 3",
    (),
    spare_slots=48,
    spare_bytes=8192,
)
PROFILES: Final = {
    profile.name: profile for profile in (T_UNION, T_UNION_DUAL, MOHURD, MULTI, CONTACT, FMCOS)
}
