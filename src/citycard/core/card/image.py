# SPDX-License-Identifier: Apache-2.0
"""The card image: head, journal, file table, bodies; checked when read, grown and erased all or nothing.

Version 2. The head never changes after the factory, but for the checksum of the table, which is written in
one change with it. The table has a fixed number of slots; CREATE FILE fills a free one and takes the first
gap between bodies that is large enough, ERASE DF frees the slots of everything below. New bodies are
blanked before the change that makes them reachable, so a cut in between leaves only free space unclean.

    0    magic, version, slots, size, traits, UID, transport code, checksum of these
    40   checksum of the table
    64   journal
    1600 table, 40 bytes a slot; then bodies, each on cells of its own
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from citycard.core.card.atomic import CELL, JOURNAL_AT, JOURNAL_SIZE, Change, Journal, Memory, cells_up
from citycard.core.card.files import (
    ENTRY_SIZE,
    LEVELS_MAX,
    MF_SLOT,
    Area,
    Directory,
    File,
    Life,
    Node,
    adopt,
    node,
)
from citycard.core.problem import declare

CARD_IMAGE: Final = declare(
    "CARD_IMAGE",
    "This is no usable card image: {why}. Take another copy of it or make a new card.",
    "卡片映像无法使用：{why}。请换用其他副本，或重新制卡。",
)
MAGIC: Final = b"CCRD"
IMAGE_VERSION: Final = 2
IMAGE_HEAD: Final = struct.Struct(">4sBBxxII7sx8sI")  # as above, to its own checksum
TABLE_CHECK_AT: Final = 40
TABLE_CHECK: Final = struct.Struct(">I4x")
TABLE_AT: Final = JOURNAL_AT + JOURNAL_SIZE
SLOTS_MAX: Final = 80  # erasing them all is one change, and the journal holds no more
UID_SIZE: Final = 7
TRANSPORT_CODE: Final = b"\xff" * 8  # what CREATE FILE of the MF must show on a fresh card (facts 3.2)
FREED: Final = bytes(CELL)  # the first cell of a free slot


@dataclass(slots=True)
class Tree:
    """The parsed structure of an image: directories by slot, the MF first, and applets' areas by AID."""

    directories: list[Directory] = field(default_factory=list)
    areas: dict[bytes, Area] = field(default_factory=dict)
    nodes: dict[int, Node] = field(default_factory=dict)  # by slot


def image_head(slots: int, size: int, traits: int, uid: bytes, transport_code: bytes) -> bytes:
    """The first bytes of an image, up to the checksum of its table."""
    head = IMAGE_HEAD.pack(MAGIC, IMAGE_VERSION, slots, size, traits, uid, transport_code, 0)[:-4]
    return (head + crc32(head).to_bytes(4, "big")).ljust(TABLE_CHECK_AT, b"\x00")


def new_image(
    size: int, slots: int, traits: int, uid: bytes, transport_code: bytes = TRANSPORT_CODE
) -> bytes:
    """A card without any file, of so many bytes for bodies and so many entries in its table."""
    assert 0 < slots <= SLOTS_MAX
    table = bytes(slots * ENTRY_SIZE)
    whole = TABLE_AT + len(table) + cells_up(size)
    head = image_head(slots, whole, traits, uid, transport_code) + TABLE_CHECK.pack(crc32(table))
    return (head.ljust(TABLE_AT, b"\x00") + table).ljust(whole, b"\x00")


class Builder:
    """A whole image in the making: nodes one behind the other, each with what it holds."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.at = TABLE_AT + slots * ENTRY_SIZE  # where the next body will lie
        self.nodes: list[tuple[Node, bytes]] = []

    def add(self, made: Node, content: bytes = b"") -> None:
        """The next node, whose body lies at `at`; the content may be shorter than the body."""
        assert made.body == self.at
        assert len(content) <= cells_up(extent(made))
        self.nodes.append((made, content))
        self.at += cells_up(extent(made))

    def image(self, spare: int, traits: int, uid: bytes, transport_code: bytes = TRANSPORT_CODE) -> bytes:
        """The image, with so many bytes left for more."""
        heap = TABLE_AT + self.slots * ENTRY_SIZE
        made = bytearray(new_image(self.at - heap + spare, self.slots, traits, uid, transport_code))
        for found, content in self.nodes:
            at = TABLE_AT + found.slot * ENTRY_SIZE
            made[at : at + ENTRY_SIZE] = found.entry()
            made[found.body : found.body + len(content)] = content
        checksum = TABLE_CHECK.pack(crc32(bytes(made[TABLE_AT:heap])))
        made[TABLE_CHECK_AT : TABLE_CHECK_AT + len(checksum)] = checksum
        return bytes(made)


def version_of(image: bytes) -> int:
    """The version an image claims to have, 0 when it is no image."""
    return image[4] if len(image) >= TABLE_AT and image[:4] == MAGIC else 0


def check_head(memory: Memory) -> int:
    """The traits of an image; problem CARD_IMAGE when its head is damaged or it is no image."""
    if len(memory) < TABLE_AT:
        raise CARD_IMAGE(why=f"{len(memory)} bytes")
    head = memory.unpack(IMAGE_HEAD, 0)
    magic, version, slots, size, traits, *_ = head
    if magic != MAGIC or version != IMAGE_VERSION:
        raise CARD_IMAGE(why=f"it starts with {magic.hex()}, version {version}")
    good = crc32(memory.read(0, IMAGE_HEAD.size - 4)) == head[-1]
    if not good or size != len(memory) or not 0 < slots <= SLOTS_MAX or heap_at(memory) > size:
        raise CARD_IMAGE(why="its head is damaged or its size does not match it")
    return int(traits)


def heap_at(memory: Memory) -> int:
    """Where the bodies begin."""
    return TABLE_AT + int(memory.unpack(IMAGE_HEAD, 0)[2]) * ENTRY_SIZE


def read_table(memory: Memory) -> bytes:
    """The file table; problem CARD_IMAGE when it does not match its checksum."""
    table = memory.read(TABLE_AT, heap_at(memory) - TABLE_AT)
    if memory.unpack(TABLE_CHECK, TABLE_CHECK_AT) != (crc32(table),):
        raise CARD_IMAGE(why="its file table does not match its checksum")
    return table


def parse(memory: Memory) -> Tree:
    """The structure of an image; problem CARD_IMAGE when it contradicts itself."""
    table = read_table(memory)
    tree = Tree()
    for slot in range(len(table) // ENTRY_SIZE):
        found = node(table, slot)
        if found is not None:
            tree.nodes[slot] = found
    by_slot = {slot: found for slot, found in tree.nodes.items() if isinstance(found, Directory)}
    for found in tree.nodes.values():
        if not heap_at(memory) <= found.body <= len(memory) - extent(found):
            raise CARD_IMAGE(why=f"entry {found.slot} of its file table points outside of it")
        if isinstance(found, Area):
            tree.areas[found.name] = found
        elif isinstance(found, File):
            if found.parent not in by_slot:
                raise CARD_IMAGE(why=f"entry {found.slot} of its file table belongs to no directory")
            adopt(by_slot[found.parent], found)
    for directory in by_slot.values():
        directory.level = _level(by_slot, directory)
        life, directory.chosen, directory.disabled = memory.read(directory.body, 3)
        directory.life = Life(min(life, Life.DEAD))
    tree.directories = list(by_slot.values())
    return tree


def _level(by_slot: dict[int, Directory], directory: Directory) -> int:
    level = 1
    while directory.slot != MF_SLOT:
        level += 1
        if directory.parent not in by_slot or level > LEVELS_MAX:
            raise CARD_IMAGE(why=f"entry {directory.slot} of its file table belongs to no directory")
        directory = by_slot[directory.parent]
    return level


def extent(found: Node) -> int:
    """Bytes the body of a node takes."""
    return CELL if isinstance(found, Directory) else found.size


# Growing and erasing


def free_slot(memory: Memory, tree: Tree) -> int | None:
    """The first slot of the table without an entry, None when there is none."""
    slots = int(memory.unpack(IMAGE_HEAD, 0)[2])
    return next((slot for slot in range(slots) if slot not in tree.nodes), None)


def free_place(memory: Memory, tree: Tree, size: int) -> int | None:
    """Address of the first gap between bodies that holds `size` bytes, None when there is none."""
    at = heap_at(memory)
    for start, end in sorted((found.body, found.body + extent(found)) for found in tree.nodes.values()):
        if start - at >= size:
            return at
        at = max(at, end)
    return at if len(memory) - at >= size else None


def add_node(memory: Memory, journal: Journal, made: Node, content: bytes = b"") -> None:
    """Write a node's body into free space, then its entry: all or nothing."""
    memory.write(made.body, content.ljust(cells_up(extent(made)), b"\x00"))
    change = Change(memory)
    change.write(TABLE_AT + made.slot * ENTRY_SIZE, made.entry())
    _commit_table(memory, journal, change)


def below(tree: Tree, directory: Directory) -> list[Directory | File]:
    """Everything a directory holds, at any depth; of the MF, applets' areas are no part."""
    children = [
        found
        for found in tree.nodes.values()
        if not isinstance(found, Area) and found.parent == directory.slot and found.slot != directory.slot
    ]
    deeper = [lower for child in children if isinstance(child, Directory) for lower in below(tree, child)]
    return children + deeper


def remove_nodes(memory: Memory, journal: Journal, doomed: Sequence[Node]) -> None:
    """Free the slots of nodes, all or nothing, then blank their bodies (keys were among them)."""
    change = Change(memory)
    for found in doomed:
        change.write(TABLE_AT + found.slot * ENTRY_SIZE, FREED)
    _commit_table(memory, journal, change)
    for found in doomed:
        memory.write(found.body, bytes(cells_up(extent(found))))


def _commit_table(memory: Memory, journal: Journal, change: Change) -> None:
    """Commit a change of the table together with its new checksum."""
    table = bytearray(memory.read(TABLE_AT, heap_at(memory) - TABLE_AT))
    for address, data in change.writes:
        table[address - TABLE_AT : address - TABLE_AT + len(data)] = data
    change.write(TABLE_CHECK_AT, TABLE_CHECK.pack(crc32(bytes(table))))
    journal.commit(change)
