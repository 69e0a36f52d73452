# SPDX-License-Identifier: Apache-2.0
"""A profile as a personalisation script: the command APDUs that turn a blank card into a card of that kind.

Only plain commands, as in the vendor's example (facts 3.3): the script is for the factory's clean room. It
uses that everything in a directory is free until it is left for the first time, so the rights it sets up
hold afterwards. Directories come before the MF's own key file, since they are created from the MF.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from citycard.core.apdu import Command
from citycard.core.card.factory import Contents, Keys
from citycard.core.card.files import MF_FID, Kind
from citycard.core.card.image import TRANSPORT_CODE
from citycard.core.card.spec import DirectorySpec, FileSpec, Profile, PurseSpec

CHUNK: Final = 239  # bytes of data in one command (facts 1)
ADD: Final = 0x01


class Step(NamedTuple):
    """One command of a script: what it does, and its bytes."""

    name: str
    command: bytes


def script(
    profile: Profile,
    keys: Keys,
    contents: Contents,
    algorithm: int | None = None,
    transport_code: bytes = TRANSPORT_CODE,
) -> list[Step]:
    """All commands, in order; each must answer 9000. Applets' areas are not made by commands."""
    suite = profile.algorithm if algorithm is None else algorithm
    if not profile.directories:
        return []
    return list(_directory(profile, profile.directories[0], keys, contents, (suite, transport_code)))


def _directory(
    profile: Profile, spec: DirectorySpec, keys: Keys, contents: Contents, setting: tuple[int, bytes]
) -> Iterator[Step]:
    suite, transport_code = setting
    head = bytes((Kind.DIRECTORY, 0xFF, 0xFF, spec.create, spec.erase, spec.app_file, suite, spec.version))
    code = transport_code if spec.fid == MF_FID else b""
    yield _create(f"directory {spec.fid:04X}", spec.fid, head + code + spec.name)
    for lower in profile.below(spec):
        yield from _directory(profile, lower, keys, contents, setting)
        yield Step(f"SELECT {spec.fid:04X}", Command(0x00, 0xA4, 0, 0, spec.fid.to_bytes(2, "big")).encode())
    if spec.key_room:
        room = spec.key_room.to_bytes(2, "big")
        yield _create("key file", 0, bytes((Kind.KEYS,)) + room + bytes((spec.app_file, 0xEF, 0xFF, 0xFF)))
        for key in spec.keys:
            value = keys(spec, key)
            if value is not None:
                record = Command(0x80, 0xD4, ADD, key.id, key.head + value)
                yield Step(f"WRITE KEY {key.name}", record.encode())
    for purse in spec.purses:
        yield _create(f"purse {purse.fid:04X}", purse.fid, _purse(purse))
    for file in spec.files:
        yield from _file(file, contents.get((spec.fid, file.fid), b""))


def _create(what: str, fid: int, data: bytes) -> Step:
    return Step(f"CREATE FILE {what}", Command(0x80, 0xE0, fid >> 8, fid & 0xFF, data).encode())


def _purse(spec: PurseSpec) -> bytes:
    head = bytes((Kind.PURSE, 0x02, 0x08, spec.use, 0x00, spec.load_log_sfi, spec.log_sfi))
    return head + spec.cap_fen.to_bytes(4, "big")


def _file(spec: FileSpec, content: bytes) -> Iterator[Step]:
    rights = bytes((spec.read, spec.write, spec.protected, spec.sm))
    head = bytes((spec.type,)) + spec.size_field.to_bytes(2, "big")
    yield _create(f"file {spec.fid:04X}", spec.fid, head + rights)
    if spec.kind != Kind.TRANSPARENT:
        for record in spec.preset:
            p2 = (spec.fid & 0x1F) << 3
            yield Step(f"APPEND RECORD {spec.fid:04X}", Command(0x00, 0xE2, 0, p2, record).encode())
        return
    content = content or b"".join(spec.preset)
    for at in range(0, len(content), CHUNK):
        yield Step(f"UPDATE BINARY {spec.fid:04X}", _update(spec.fid, at, content[at : at + CHUNK]))


def _update(fid: int, at: int, data: bytes) -> bytes:
    """UPDATE BINARY by SFI where the offset fits one byte; behind that, of the file now current."""
    if at < 0x100:
        return Command(0x00, 0xD6, 0x80 | fid & 0x1F, at, data).encode()
    return Command(0x00, 0xD6, at >> 8, at & 0xFF, data).encode()
