# SPDX-License-Identifier: Apache-2.0
"""Kinds of card as declarations: directories, files, access, key room and purse.

A profile is what the factory lays out in an image (`factory.blank_card`) and what personalisation fills.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from citycard.core import tunion
from citycard.core.card.access import ALWAYS, CONTROLLED, NEVER
from citycard.core.card.files import MF_FID, STAGEABLE, Kind
from citycard.core.purse import BALANCE_MAX

KEYS_MAX: Final = 16  # the vendor script of facts 3.3 loads 13


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One file: identifier, kind, records and their length (or one of the file's length), access bytes."""

    fid: int
    kind: Kind
    length: int
    count: int = 1
    read: int = ALWAYS
    write: int = CONTROLLED
    protected: int = ALWAYS  # with a MAC under the maintenance key
    stageable: bool = False  # may be written through the CAPP cache
    identifier: int = 0  # variable records: which byte identifies a record
    preset: tuple[bytes, ...] = ()  # beginnings of the records as the factory leaves them

    @property
    def options(self) -> int:
        """The option byte in the image."""
        return STAGEABLE if self.stageable else 0


@dataclass(frozen=True, slots=True)
class PurseSpec:
    """The purse file: its limit, and the file that logs its transactions."""

    fid: int
    cap_fen: int
    log_sfi: int

    def __post_init__(self) -> None:
        assert 0 < self.cap_fen <= BALANCE_MAX


@dataclass(frozen=True, slots=True)
class DirectorySpec:
    """The MF or an application: name (AID), what its FCI shows, its files, key slots and purse."""

    fid: int
    name: bytes
    files: tuple[FileSpec, ...] = ()
    keys: int = 0  # slots of the key file; 0: none, so nothing here can be personalised
    purse: PurseSpec | None = None
    fci_version: int = 0
    fci_fid: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of card; the first directory is the MF."""

    name: str
    directories: tuple[DirectorySpec, ...]


def _industry_presets() -> tuple[bytes, ...]:
    """Every industry record begins with its tag and its length; the rest is 00: not in use (facts 4.2)."""
    length = (tunion.INDUSTRY_SIZE - 4).to_bytes(2, "big")
    return tuple(tag.to_bytes(2, "big") + length for tag in tunion.INDUSTRY_TAGS)


_PURSE_FILES: Final = (
    FileSpec(0x0015, Kind.TRANSPARENT, tunion.PUBLIC.size),
    FileSpec(0x0016, Kind.TRANSPARENT, tunion.HOLDER.size),
    FileSpec(0x0017, Kind.TRANSPARENT, tunion.CARD_KIND.size),
    FileSpec(0x0018, Kind.CYCLIC, tunion.LOG.size, tunion.LOG_RECORDS, write=NEVER, protected=NEVER),
    FileSpec(
        0x001A, Kind.VARIABLE, tunion.INDUSTRY_SIZE, len(tunion.INDUSTRY_TAGS),
        stageable=True, identifier=1, preset=_industry_presets(),
    ),
    FileSpec(0x001E, Kind.CYCLIC, tunion.TRANSIT.size, tunion.TRANSIT_RECORDS, stageable=True),
)  # fmt: skip

T_UNION: Final = Profile(
    "t-union",
    (
        DirectorySpec(MF_FID, b"2PAY.SYS.DDF01", keys=4),
        DirectorySpec(
            0x3F01,
            tunion.AID_PURSE,
            _PURSE_FILES,
            keys=KEYS_MAX,
            # 1,000 yuan: the customary limit of cards without a known holder; a profile may set another
            purse=PurseSpec(0x0002, cap_fen=100_000, log_sfi=tunion.SFI_LOG),
            fci_version=2,
            fci_fid=0x0015,
        ),
    ),
)
PROFILES: Final = {profile.name: profile for profile in (T_UNION,)}
