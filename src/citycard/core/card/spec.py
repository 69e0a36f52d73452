# SPDX-License-Identifier: Apache-2.0
"""What a kind of card is declared with: directories, files, purses, keys, applets' areas, and traits.

One declaration serves twice: `factory` lays a card out from it in cells, `script` makes it into the list of
command APDUs that turn a blank card into the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from citycard.core.card.access import ALWAYS, CONTROL_STATE, CONTROLLED, NEVER
from citycard.core.card.files import KIND_MASK, MF_FID, PLAIN_WHEN_FF, Directory, File, Kind
from citycard.core.card.keyfile import COUNTED, KeyType
from citycard.core.card.state import Traits
from citycard.core.purse import BALANCE_MAX

PROTECTED: Final = 0xC0  # top bits of a key's type byte: replaced enciphered and with a MAC only
NO_TRAITS: Final = Traits(0)
TRIES: Final = 0x33  # three of three


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A key: its name in the vault, type and id on the card, rights, and version or state that follows."""

    name: str
    type: KeyType
    id: int = 0
    version: int = 1
    algorithm: int = 0  # of purse, TAC and cipher keys; the others have their directory's
    use: int = ALWAYS
    change: int = NEVER
    follows: int = CONTROL_STATE  # control keys and PINs: the state they lead to
    tries: int = TRIES

    @property
    def head(self) -> bytes:
        """Type, use, change and two parameters, as WRITE KEY carries them before the key."""
        if self.type not in COUNTED:
            third, fourth = self.version, self.algorithm
        else:
            third = self.follows if self.type in (KeyType.CONTROL, KeyType.PIN) else 0xFF
            fourth = self.tries
        return bytes((self.type | PROTECTED, self.use, self.change, third, fourth))


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One file: identifier, kind, records and their length (or one of the file's length), access bytes."""

    fid: int
    kind: Kind
    length: int
    count: int = 1
    read: int = ALWAYS
    write: int = CONTROLLED
    protected: int = ALWAYS  # with a MAC under the maintenance key; FF: as `write`
    under: int = 0  # UNDER_MAC and ENCIPHERED: secure messaging that writing must have
    sm: int = 0xFF
    preset: tuple[bytes, ...] = ()  # records as the factory leaves them

    @property
    def type(self) -> int:
        """The type byte."""
        return self.kind | self.under

    @property
    def size_field(self) -> int:
        """The two size bytes of CREATE FILE: count and length of records, or the length of the file."""
        if self.kind in (Kind.FIXED, Kind.CYCLIC):
            return self.count << 8 | self.length
        return self.count * self.length

    def file(self, slot: int, parent: int, body: int, wide: bool) -> File:
        """The file as its entry in an image's table says."""
        records = self.kind in (Kind.FIXED, Kind.CYCLIC)
        count, length = (self.count, self.length) if records else (1, self.size_field)
        return File(
            slot, self.type & KIND_MASK, parent, self.fid, self.type, count, length, body,
            self.read, self.write, self.protected, self.sm, 0, wide and self.kind == Kind.VARIABLE,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PurseSpec:
    """A purse file: its limit, who may use it, and the files that log its transactions."""

    fid: int
    cap_fen: int
    log_sfi: int
    load_log_sfi: int = 0xFF  # FF: loads go into the same log
    use: int = ALWAYS

    def __post_init__(self) -> None:
        assert 0 < self.cap_fen <= BALANCE_MAX


@dataclass(frozen=True, slots=True)
class DirectorySpec:
    """The MF or an application: name (AID), what its FCI shows, its files, room for keys, and purses."""

    fid: int
    name: bytes
    files: tuple[FileSpec, ...] = ()
    key_room: int = 0  # bytes of the key file; 0: none, so nothing here is guarded
    keys: tuple[KeySpec, ...] = ()
    purses: tuple[PurseSpec, ...] = ()
    version: int = 0
    app_file: int = 0  # 80 + SFI of the file shown in the FCI, or SFI of the DIR file
    create: int = CONTROLLED
    erase: int = NEVER
    parent: int = MF_FID

    def directory(self, slot: int, parent: int, body: int, algorithm: int) -> Directory:
        """The directory as its entry in an image's table says."""
        return Directory(
            slot, parent, self.fid, algorithm, 0xFFFF, body, self.create, self.erase, self.version,
            self.app_file, self.name,
        )  # fmt: skip

    def key_file(self, slot: int, parent: int, body: int) -> File:
        """The key file as its entry in an image's table says; keys are added under protection only."""
        return File(
            slot, Kind.KEYS, parent, 0, Kind.KEYS, 1, self.key_room, body, NEVER, NEVER, PLAIN_WHEN_FF,
            0xFF, 0, False,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AreaSpec:
    """Persistent bytes of an applet, by its AID (see `applet`)."""

    aid: bytes
    size: int
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of card; the first directory is the MF, and a directory comes after its parent."""

    name: str
    title: tuple[str, str]  # English, Chinese
    clause: str  # of the standard, or the source
    directories: tuple[DirectorySpec, ...]
    traits: Traits = NO_TRAITS
    algorithm: int = 0  # suite of administrative keys, unless told otherwise
    areas: tuple[AreaSpec, ...] = ()
    spare_slots: int = 4  # left in the table for files made later
    spare_bytes: int = 512

    @property
    def slots(self) -> int:
        """Entries of the table."""
        used = sum(1 + (d.key_room > 0) + len(d.purses) + len(d.files) for d in self.directories)
        return used + len(self.areas) + self.spare_slots

    def below(self, parent: DirectorySpec) -> tuple[DirectorySpec, ...]:
        """The directories right below one."""
        others = self.directories[1:]
        return tuple(directory for directory in others if directory.parent == parent.fid)
