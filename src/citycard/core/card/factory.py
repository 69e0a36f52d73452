# SPDX-License-Identifier: Apache-2.0
"""The factory: lays a profile out in cells and loads the transport key, so that personalisation can begin."""

from __future__ import annotations

from collections.abc import Callable

from citycard.core.card.access import ALWAYS, CONTROL_STATE, NEVER
from citycard.core.card.apps.purse import BODY, NO_MAC, Body
from citycard.core.card.atomic import CELL, Memory
from citycard.core.card.files import (
    ENTRY_SIZE,
    TABLE_AT,
    Directory,
    File,
    Kind,
    directory_entry,
    entry_of,
    image_head,
)
from citycard.core.card.keyfile import SLOT_SIZE, KeyType, slot_bytes
from citycard.core.card.os import Card
from citycard.core.card.profiles import DirectorySpec, FileSpec, Profile
from citycard.core.crypto import KEY_SIZE, SUITES, TRIPLE_DES

TRANSPORT_TRIES = 0xFF  # fifteen of fifteen: a wrong transport key at the line must not cost the card at once
UID_SIZE = 7


def blank_card(
    profile: Profile, transport_key: bytes, random: Callable[[int], bytes], algorithm: int = TRIPLE_DES.id
) -> Card:
    """A card as it comes from the factory: all files there, empty; no key but the transport key.

    The transport key (16 bytes) is control key 39 id 00 of every directory that can hold keys; its suite
    and that of the maintenance key is `algorithm` (00 3DES, 01 SM4). The card has no power yet.
    """
    if len(transport_key) != KEY_SIZE or algorithm not in SUITES:
        raise ValueError(f"a transport key has {KEY_SIZE} bytes, an algorithm is one of {sorted(SUITES)}")
    table, bodies = _lay_out(profile, transport_key, algorithm)
    size = TABLE_AT + len(table) + len(bodies)
    head = image_head(table, size, random(UID_SIZE))
    return Card(Memory(head.ljust(TABLE_AT, b"\x00") + table + bodies), random)


def _lay_out(profile: Profile, transport_key: bytes, algorithm: int) -> tuple[bytes, bytes]:
    """The table and the bodies of an image, which follow one another."""
    entries = sum(1 + len(d.files) + (d.keys > 0) + (d.purse is not None) for d in profile.directories)
    at = TABLE_AT + entries * ENTRY_SIZE
    table, bodies = b"", b""
    for index, spec in enumerate(profile.directories):
        directory = Directory(
            spec.fid, index, algorithm, spec.fci_version, spec.fci_fid, spec.name, at + len(bodies)
        )
        table += directory_entry(directory)
        bodies += bytes(CELL)
        for declared, content in _contents(spec, transport_key):
            file = _file(declared, index, at + len(bodies), spec.purse.log_sfi if spec.purse else 0)
            table += entry_of(file)
            bodies += content.ljust(file.size, b"\x00")
    return table, bodies


def _contents(spec: DirectorySpec, transport_key: bytes) -> list[tuple[FileSpec, bytes]]:
    """All files of a directory with what the factory writes into them."""
    contents: list[tuple[FileSpec, bytes]] = []
    if spec.keys:
        head = bytes((KeyType.CONTROL, ALWAYS, ALWAYS, CONTROL_STATE, TRANSPORT_TRIES))
        keys = FileSpec(0x0000, Kind.KEYS, SLOT_SIZE, spec.keys, read=NEVER, write=NEVER, protected=NEVER)
        contents.append((keys, slot_bytes(0, head, transport_key)))
    if spec.purse:
        body = Body(0, 0, 0, spec.purse.cap_fen, 0, 0, 0, NO_MAC, NO_MAC)
        never = FileSpec(spec.purse.fid, Kind.PURSE, BODY.size, read=NEVER, write=NEVER, protected=NEVER)
        contents.append((never, BODY.pack(*body)))
    for file in spec.files:
        contents.append((file, b"".join(record.ljust(file.length, b"\x00") for record in file.preset)))
    return contents


def _file(spec: FileSpec, directory: int, body: int, log_sfi: int) -> File:
    assert not spec.preset or spec.length % CELL == 0  # preset records lie side by side
    return File(
        spec.fid, spec.kind, directory, spec.count, spec.length, spec.read, spec.write, spec.protected,
        spec.options, spec.identifier, log_sfi, body,
    )  # fmt: skip
