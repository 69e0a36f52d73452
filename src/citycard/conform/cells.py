# SPDX-License-Identifier: Apache-2.0
"""The cells behind the commands of an emulated card: for prepared specimens and for mutants.

All that the kit knows of how `core.card` keeps its files is here, and nothing of it is used on cards on a
reader.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from citycard.conform.specimens import Chip
from citycard.core.card import CELL, Card
from citycard.core.card.atomic import Change
from citycard.core.card.body import BODY, EP, Body, read_body
from citycard.core.card.files import Directory, File, record_place
from citycard.core.card.image import extent, parse


def _application(card: Chip) -> Directory:
    """The application that holds the purse."""
    return next(d for d in parse(card.memory).directories if d.purse is not None)


def _purse_file(card: Chip, sfi: int) -> File:
    return _application(card).purses[sfi]


def purse_body(card: Chip, sfi: int = EP) -> Body:
    """The purse as it lies in the cells: balance, counters, proof of the last transaction."""
    return read_body(card.memory, _purse_file(card, sfi))


def set_purse(card: Chip, sfi: int = EP, **values: Any) -> None:
    """Change fields of the purse's body."""
    _write(card, _purse_file(card, sfi).body, BODY.pack(*purse_body(card, sfi)._replace(**values)))


def file_cells(card: Chip, sfi: int) -> bytes:
    """All cells of a file."""
    file = _application(card).files[sfi]
    return card.memory.read(file.body, extent(file))


def set_file_cells(card: Chip, sfi: int, cells: bytes) -> None:
    """Put all cells of a file back."""
    _write(card, _application(card).files[sfi].body, cells)


def poke_record(card: Chip, sfi: int, number: int, at: int, data: bytes) -> None:
    """Change bytes of a record."""
    place = record_place(card.memory, _application(card).files[sfi], number)
    assert place is not None, f"there is no record {number}"
    _write(card, place[0] + at, data)


def revived(card: Chip, random: Callable[[int], bytes]) -> Card:
    """The same card without power, its blocked application active again."""
    _write(card, _application(card).body, bytes(CELL))
    return Card.from_image(card.image(), random)


def _write(card: Chip, address: int, data: bytes) -> None:
    """Write at once, past any fuse."""
    change = Change(card.memory)
    change.write(address, data)
    fuse, card.memory.fuse = card.memory.fuse, None
    for at, cells in change.spans():
        card.memory.write(at, cells)
    card.memory.fuse = fuse
