# SPDX-License-Identifier: Apache-2.0
"""The key file: each key by type and identifier, with its rights, version, algorithm or tries left.

Records follow one another: type, id, use right, change right, two parameters, length, 00, then the key on
whole cells; so a key costs its length plus 8, as on FMCOS. The parameters are version and algorithm id for
purse, TAC and cipher keys, following state (or FF) and error counter for the administrative ones, as in
WRITE KEY (card facts 3.1, 3.2). The type keeps its two top bits: they say how the key may be replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from citycard.core.card.atomic import Change, Memory, cells_up
from citycard.core.card.files import Directory
from citycard.core.crypto import SUITES, TRIPLE_DES, Suite

HEAD_SIZE: Final = 8
COUNTER_OFFSET: Final = 5
TYPE_MASK: Final = 0x3F  # the top bits of a type byte say how it may be replaced
PIN_SIZES: Final = range(2, 9)
PIN_SIZE: Final = 8  # a stored PIN, padded FF
TWIN: Final = 0x10  # on dual-algorithm cards key 10 + n is the SM4 twin of administrative key n


class KeyType(IntEnum):
    """Key types (FMCOS, facts 2.1, 3.2)."""

    ENCRYPT = 0x30
    DECRYPT = 0x31
    MAC = 0x32
    TAC = 0x34
    MAINTENANCE = 0x36
    PIN_UNBLOCK = 0x37
    PIN_RELOAD = 0x38
    CONTROL = 0x39
    PIN = 0x3A
    OVERDRAFT = 0x3C
    UNLOAD = 0x3D
    PURCHASE = 0x3E
    LOAD = 0x3F


COUNTED: Final = frozenset(
    {KeyType.MAINTENANCE, KeyType.PIN_UNBLOCK, KeyType.PIN_RELOAD, KeyType.CONTROL, KeyType.PIN}
)
VERSIONED: Final = frozenset(KeyType) - COUNTED
TYPES: Final = frozenset(KeyType)


@dataclass(frozen=True, slots=True)
class Key:
    """A loaded key as it stands in its record; its value is never printed."""

    address: int
    type: int  # with the bits that say how it may be replaced
    id: int
    use: int
    change: int
    third: int  # version, or following state
    fourth: int  # algorithm id, or error counter: maximum and tries left, a digit each
    value: bytes = field(repr=False)
    suite: Suite = field(repr=False)

    @property
    def blocked(self) -> bool:
        """Whether an administrative key has no tries left."""
        return self.fourth & 0x0F == 0


def administrative_suite(directory: Directory, id_: int) -> Suite:
    """The suite of a key that names none itself: its directory's, or SM4 for a twin (our assumption)."""
    return SUITES[1 if id_ & TWIN else directory.algorithm]


def tac_key(directory: Directory, algorithm: int) -> Key | None:
    """The TAC key that goes with a purse key: the first of the same algorithm."""
    for (type_, _), key in directory.keys.items():
        if type_ == KeyType.TAC and key.fourth == algorithm:
            return key
    return None


def key_record(id_: int, head: bytes, value: bytes) -> bytes:
    """A key's record from WRITE KEY's five head bytes (type, use, change, two parameters) and the key."""
    parameters = bytes((head[0], id_, *head[1:5], len(value), 0))
    return parameters + value.ljust(cells_up(len(value)), b"\x00")


def index_keys(memory: Memory, directory: Directory) -> int:
    """Read the directory's keys from the cells; how many bytes of its key file are taken."""
    directory.keys.clear()
    if directory.key_file is None:
        return 0
    raw = memory.read(directory.key_file.body, directory.key_file.size)
    at = 0
    while at + HEAD_SIZE <= len(raw) and raw[at]:
        type_, id_, use, change, third, fourth, size = raw[at : at + 7]
        masked = type_ & TYPE_MASK
        value = raw[at + HEAD_SIZE : at + HEAD_SIZE + size]
        if masked in VERSIONED:
            suite = SUITES.get(fourth, TRIPLE_DES)
        else:
            suite = administrative_suite(directory, id_)
        address = directory.key_file.body + at
        directory.keys[masked, id_] = Key(address, type_, id_, use, change, third, fourth, value, suite)
        at += HEAD_SIZE + cells_up(size)
    return at


def set_tries(change: Change, key: Key, left: int) -> None:
    """Gather the write of an error counter."""
    change.write(key.address + COUNTER_OFFSET, bytes((key.fourth & 0xF0 | left,)))
