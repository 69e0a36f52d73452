# SPDX-License-Identifier: Apache-2.0
"""Key slots: each key by type and identifier, with its rights, version, algorithm or tries left.

A slot is 24 bytes: type, id, use right, change right, two parameters, length, 00, key. The parameters are
version and algorithm id for purse and TAC keys, following state (or FF) and error counter for the
administrative ones, as in WRITE KEY (card facts 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from citycard.core.card.atomic import Change, Memory
from citycard.core.card.files import Directory, File
from citycard.core.crypto import KEY_SIZE, SUITES, Suite

SLOT_SIZE: Final = 24
FREE: Final = 0x00  # type byte of a slot that holds no key
COUNTER_OFFSET: Final = 5
KEY_OFFSET: Final = 8
TYPE_MASK: Final = 0x3F  # the top bits of a type byte say how it may be updated


class KeyType(IntEnum):
    """Key types (FMCOS, facts 2.1)."""

    TAC = 0x34
    MAINTENANCE = 0x36
    CONTROL = 0x39
    PURCHASE = 0x3E
    LOAD = 0x3F


VERSIONED: Final = frozenset({KeyType.TAC, KeyType.PURCHASE, KeyType.LOAD})
TYPES: Final = frozenset(KeyType)


@dataclass(frozen=True, slots=True)
class Key:
    """A loaded key as it stands in its slot; its value is never printed."""

    address: int
    type: int
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


def load_key(memory: Memory, directory: Directory, type_: int, id_: int) -> Key | None:
    """The key of this type and identifier, or None."""
    address = directory.keys.get((type_, id_))
    if address is None:
        return None
    raw = memory.read(address, SLOT_SIZE)
    algorithm = raw[5] if type_ in VERSIONED else directory.algorithm
    kind, number, use, change, third, fourth, size = raw[:7]
    value = raw[KEY_OFFSET : KEY_OFFSET + size]
    return Key(address, kind, number, use, change, third, fourth, value, SUITES[algorithm])


def tac_key(memory: Memory, directory: Directory, algorithm: int) -> Key | None:
    """The TAC key that goes with a purse key: the first of the same algorithm."""
    for type_, id_ in directory.keys:
        if type_ == KeyType.TAC:
            key = load_key(memory, directory, type_, id_)
            if key is not None and key.fourth == algorithm:
                return key
    return None


def slot_bytes(id_: int, head: bytes, value: bytes) -> bytes:
    """A slot's content from WRITE KEY's five head bytes (type, use, change, two parameters) and the key."""
    parameters = bytes((head[0] & TYPE_MASK, id_, *head[1:5], len(value), 0))
    return parameters + value.ljust(KEY_SIZE, b"\x00")


def free_slot(memory: Memory, key_file: File) -> int | None:
    """Address of a slot without a key, or None when the key file is full."""
    for index in range(key_file.count):
        if memory.read(key_file.slot(index), 1)[0] == FREE:
            return key_file.slot(index)
    return None


def index_keys(memory: Memory, directory: Directory) -> None:
    """Rebuild the directory's index of loaded keys from the cells."""
    directory.keys.clear()
    if directory.key_file is None:
        return
    for index in range(directory.key_file.count):
        address = directory.key_file.slot(index)
        type_, id_ = memory.read(address, 2)
        if type_ != FREE:
            directory.keys[type_, id_] = address


def set_tries(change: Change, key: Key, left: int) -> None:
    """Gather the write of an error counter."""
    change.write(key.address + COUNTER_OFFSET, bytes((key.fourth & 0xF0 | left,)))
