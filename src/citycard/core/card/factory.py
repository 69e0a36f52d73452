# SPDX-License-Identifier: Apache-2.0
"""The factory: lays a profile out in cells, with the transport key or with all its keys and contents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from citycard.core.card.access import ALWAYS, CONTROL_STATE, NEVER
from citycard.core.card.applet import Applet
from citycard.core.card.atomic import Memory, cells_up
from citycard.core.card.body import BODY, new_body
from citycard.core.card.files import COUNT, MF_SLOT, PLAIN_WHEN_FF, Area, File, Kind
from citycard.core.card.image import TRANSPORT_CODE, UID_SIZE, Builder
from citycard.core.card.keyfile import KeyType, key_record
from citycard.core.card.os import Card
from citycard.core.card.spec import DirectorySpec, FileSpec, KeySpec, Profile, PurseSpec
from citycard.core.card.state import Traits
from citycard.core.crypto import KEY_SIZE, SUITES

Keys = Callable[[DirectorySpec, KeySpec], bytes | None]  # the value of a key; None: it is not loaded
Contents = Mapping[tuple[int, int], bytes]  # what transparent files hold, by directory and file identifier
TRANSPORT_TRIES: Final = 0xFF  # fifteen of fifteen: a wrong key at the line must not cost the card at once
TRANSPORT: Final = KeySpec(
    "transport", KeyType.CONTROL, 0, change=ALWAYS, follows=CONTROL_STATE, tries=TRANSPORT_TRIES
)


def blank_card(
    profile: Profile,
    transport_key: bytes,
    random: Callable[[int], bytes],
    algorithm: int | None = None,
    applets: Iterable[Applet] = (),
) -> Card:
    """A card as it comes from the factory: all files there, empty; no key but the transport key.

    The transport key (16 bytes) is control key 39 id 00 of every directory that can hold keys; its suite
    and that of the maintenance key is `algorithm` (00 3DES, 01 SM4), by default the profile's. The card has
    no power yet. A profile without directories gives a card without MF, as `raw_card`.
    """
    algorithm = profile.algorithm if algorithm is None else algorithm
    if len(transport_key) != KEY_SIZE or algorithm not in SUITES:
        raise ValueError(f"a transport key has {KEY_SIZE} bytes, an algorithm is one of {sorted(SUITES)}")
    line = _Line(profile, algorithm)
    line.lay_out(lambda spec: key_record(0, TRANSPORT.head, transport_key), {})
    return Card(line.memory(random), random, applets=applets)


def made_card(
    profile: Profile,
    keys: Keys,
    contents: Contents,
    random: Callable[[int], bytes],
    *,
    algorithm: int | None = None,
    applets: Iterable[Applet] = (),
) -> Card:
    """A card with its keys and contents, as `script.script` would make it out of a blank one."""
    line = _Line(profile, profile.algorithm if algorithm is None else algorithm)
    line.lay_out(lambda spec: _key_records(spec, keys), contents)
    return Card(line.memory(random), random, applets=applets)


def raw_card(
    profile: Profile,
    random: Callable[[int], bytes],
    transport_code: bytes = TRANSPORT_CODE,
    applets: Iterable[Applet] = (),
) -> Card:
    """A card of a profile's size and traits without any file: whoever has the transport code makes its MF."""
    line = _Line(profile, profile.algorithm)
    line.lay_out(lambda spec: b"", {})
    room = line.builder.at - Builder(profile.slots).at + profile.spare_bytes
    image = Builder(profile.slots).image(room, profile.traits, random(UID_SIZE), transport_code)
    return Card(Memory(image), random, applets=applets)


def _key_records(spec: DirectorySpec, keys: Keys) -> bytes:
    records = b""
    for key in spec.keys:
        value = keys(spec, key)
        if value is not None:
            records += key_record(key.id, key.head, value)
    return records


class _Line:
    """One card in the making: directories from the top, what lies below one before its own files."""

    def __init__(self, profile: Profile, algorithm: int) -> None:
        self.profile = profile
        self.algorithm = algorithm
        self.builder = Builder(profile.slots)
        self.slot = 0

    def memory(self, random: Callable[[int], bytes]) -> Memory:
        """The cells, with a UID of their own."""
        profile = self.profile
        return Memory(self.builder.image(profile.spare_bytes, profile.traits, random(UID_SIZE)))

    def lay_out(self, keys: Callable[[DirectorySpec], bytes], contents: Contents) -> None:
        """All of the profile; `keys` gives the records of a directory's key file."""
        if self.profile.directories:
            self._directory(self.profile.directories[0], MF_SLOT, keys, contents)
        for area in self.profile.areas:
            self.builder.add(Area(self._next(), area.aid, area.size, self.builder.at), area.content)

    def _next(self) -> int:
        self.slot += 1
        return self.slot - 1

    def _directory(
        self, spec: DirectorySpec, parent: int, keys: Callable[[DirectorySpec], bytes], contents: Contents
    ) -> None:
        builder, slot = self.builder, self._next()
        builder.add(spec.directory(slot, parent, builder.at, self.algorithm))
        for lower in self.profile.below(spec):
            self._directory(lower, slot, keys, contents)
        if spec.key_room:
            builder.add(spec.key_file(self._next(), slot, builder.at), keys(spec))
        for purse in spec.purses:
            builder.add(_purse(purse, self._next(), slot, builder.at), BODY.pack(*new_body(purse.cap_fen)))
        wide = self.profile.traits & Traits.WIDE_RECORDS != 0
        for file in spec.files:
            content = contents.get((spec.fid, file.fid), b"") or _presets(file)
            builder.add(file.file(self._next(), slot, builder.at, wide), content)


def _purse(spec: PurseSpec, slot: int, parent: int, body: int) -> File:
    return File(
        slot, Kind.PURSE, parent, spec.fid, Kind.PURSE, 1, BODY.size, body, spec.use, NEVER, PLAIN_WHEN_FF,
        spec.load_log_sfi, spec.log_sfi, False,
    )  # fmt: skip


def _presets(spec: FileSpec) -> bytes:
    """A file's content as the factory leaves it: its records, and how many they are."""
    if not spec.preset:
        return b""
    if spec.kind == Kind.TRANSPARENT:
        return spec.preset[0]
    records = b"".join(spec.preset)
    if spec.kind == Kind.VARIABLE:
        return COUNT.pack(len(records)) + records
    assert spec.kind == Kind.FIXED  # a cyclic file starts empty
    stride = cells_up(spec.length)
    return COUNT.pack(len(spec.preset)) + b"".join(record.ljust(stride, b"\x00") for record in spec.preset)
