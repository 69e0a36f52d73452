# SPDX-License-Identifier: Apache-2.0
"""Personalisation of the chip's own applications through a security domain: files and keys, all or none.

STORE DATA in DGI format after INSTALL [for personalization]. A DGI that is a file's identifier (0015, ...)
writes that transparent file; DGI 8000 + key type writes a key of the application: identifier, the five head
bytes of WRITE KEY (type, use, change, two parameters), then the key, enciphered for the session as in PUT
KEY. An application belongs to its domain, so neither needs the application's own keys. The DGIs are
citycard's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.card.atomic import Change, cells_up
from citycard.core.card.files import Directory, Kind
from citycard.core.card.keyfile import COUNTED, HEAD_SIZE, TYPE_MASK, TYPES, index_keys, key_record
from citycard.core.card.state import Chip
from citycard.core.crypto import KEY_SIZE, SUITES
from citycard.core.gp.loading import LAST_BLOCK, groups

KEY_DGI: Final = 0x8000
HEAD: Final = 6  # identifier and the head of WRITE KEY
STAGED_MAX: Final = 1024  # bytes gathered for one application: what the chip's journal takes at once


class ChipApplications:
    """Implements `desk.Applications` on the emulated card."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._gathered = b""

    def personalise(self, aid: bytes, command: Command, decrypt: Callable[[bytes], bytes]) -> int:
        """Gather the blocks; with the last one write everything, or nothing."""
        self._gathered += command.data
        if len(self._gathered) > STAGED_MAX:
            self._gathered = b""
            return SW.NO_SPACE
        if not command.p1 & LAST_BLOCK:
            return SW.OK
        data, self._gathered = self._gathered, b""
        found = next((directory for directory in self._chip.directories if directory.name == aid), None)
        if found is None:
            return SW.CONDITIONS_OF_USE
        return self._write(found, groups(data), decrypt)

    def _write(
        self, directory: Directory, groups_: list[tuple[int, bytes]], decrypt: Callable[[bytes], bytes]
    ) -> int:
        if not groups_:
            return SW.WRONG_DATA
        change = Change(self._chip.memory)
        keys = _KeyRoom(self._chip, directory)
        for dgi, value in groups_:
            if dgi & 0xFF00 == KEY_DGI:
                word = keys.put(change, dgi & 0xFF, value, decrypt)
            else:
                word = _put_file(change, directory, dgi, value)
            if word != SW.OK:
                return word
        self._chip.journal.commit(change)
        index_keys(self._chip.memory, directory)
        return SW.OK


def _put_file(change: Change, directory: Directory, fid: int, value: bytes) -> int:
    file = directory.files.get(fid & 0x1F)
    if file is None or file.fid != fid or file.kind != Kind.TRANSPARENT:
        return SW.KEY_NOT_FOUND
    if not 0 < len(value) <= file.length:
        return SW.WRONG_DATA
    change.write(file.body, value)
    return SW.OK


class _KeyRoom:
    """Where keys go in a directory's key file while a change is gathered."""

    def __init__(self, chip: Chip, directory: Directory) -> None:
        self._directory = directory
        self._taken = index_keys(chip.memory, directory)
        self._new: set[tuple[int, int]] = set()

    def put(self, change: Change, type_: int, value: bytes, decrypt: Callable[[bytes], bytes]) -> int:
        """Gather one key, over the one of its type and identifier or behind the others."""
        file = self._directory.key_file
        if file is None:
            return SW.CONDITIONS_OF_USE
        id_, head, cipher = value[0] if value else 0, value[1:HEAD], value[HEAD:]
        if len(cipher) != KEY_SIZE or head[0] & TYPE_MASK != type_ or type_ not in TYPES:
            return SW.WRONG_DATA
        unfit = not head[4] & 0x0F if type_ in COUNTED else head[4] not in SUITES
        if unfit or (type_, id_) in self._new:
            return SW.WRONG_DATA
        old = self._directory.keys.get((type_, id_))
        if old is not None and len(old.value) != KEY_SIZE:
            return SW.WRONG_DATA
        address = file.body + self._taken if old is None else old.address
        if old is None:
            self._taken += HEAD_SIZE + cells_up(KEY_SIZE)
            self._new.add((type_, id_))
        if self._taken > file.size:
            return SW.NO_SPACE
        change.write(address, key_record(id_, head, decrypt(cipher)[:KEY_SIZE]))
        return SW.OK
