# SPDX-License-Identifier: Apache-2.0
"""Tells clearing what it needs: the scheme's reference tables, frozen for a business date.

The first export of a date stays: a run repeated later works on the same tables, whatever has changed since;
only tables that clearing itself refused are taken back. The folder appears whole or not at all. The tables
that grow with the city (cards, hotlist, terminals) go from one query each, read in chunks, straight to their
files: memory does not grow with them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any, Final, TextIO

from django.conf import settings
from django.db import transaction

from citycard.core import tables
from citycard.core.interop.evidence import AWAY
from citycard.core.tables import Table
from citycard.office.cards.models import Card, HotlistEntry
from citycard.office.issuing import sams
from citycard.office.participants.models import Contract, Line, Participant, Tariff, Terminal
from citycard.office.partners.models import ForeignTerminal

EXCHANGE: Final = "exchange"
READ_AT_ONCE: Final = 5000  # rows fetched from the database at a time
Rows = Iterable[Mapping[str, Any]]
Values = Iterable[tuple[Any, ...]]
LARGE: Final = (tables.TERMINALS, tables.CARDS, tables.HOTLIST)


def folder(settle_on: date) -> Path:
    """The folder office and clearing exchange tables in: `in` is for clearing, `out` is from it."""
    return Path(settings.CITYCARD_HOME) / EXCHANGE / settle_on.isoformat()


def export(settle_on: date) -> Path:
    """Write the tables of `core.tables.TO_CLEARING` for a date, or leave those written before; the folder."""
    target = folder(settle_on) / "in"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.parent / f"in.{os.getpid()}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    with transaction.atomic():
        for table, rows in _tables().items():
            with _file(part, table) as file:
                table.write(rows, file)
        for table, values in _large_tables().items():
            with _file(part, table) as file:
                table.write_values(values, file)
    try:
        part.rename(target)
    except OSError:  # another process was first: its tables are the tables
        shutil.rmtree(part)
        if not target.is_dir():
            raise
    return target


def withdraw(settle_on: date) -> None:
    """Take back tables clearing refused, so that the next export tells what was corrected meanwhile.

    Tables a date was closed with stay: their answer lies beside them.
    """
    told = folder(settle_on)
    if not (told / "out").is_dir():
        shutil.rmtree(told / "in", ignore_errors=True)


@contextmanager
def _file(folder: Path, table: Table) -> Iterator[TextIO]:
    """A table's file, on the disk when it is left."""
    with (folder / f"{table.name}.csv").open("w", encoding="utf-8", newline="") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _large_tables() -> dict[Table, Values]:
    """Tables of which each row is a card's or a terminal's."""
    terminals = ("id", "acquirer_id", "service", "line", "station", "active")
    cards = ("pan", "issuer_id", "card_class", "status", "personalised_fen")
    hotlist = ("card_id", "version", "reason", "listed_at", "delisted_at")
    return {
        tables.TERMINALS: chain(_values(Terminal, terminals, "id"), _elsewhere()),
        tables.CARDS: _values(Card, cards, "pan"),
        tables.HOTLIST: _values(HotlistEntry, hotlist, "card_id", "version"),
    }


def _tables() -> dict[Table, Rows]:
    found: dict[Table, Rows] = {
        tables.PARTICIPANTS: (
            {
                "participant": one.id,
                "name_en": one.name_en,
                "name_zh": one.name_zh,
                "roles": " ".join(one.roles),
                "active": one.active,
            }
            for one in Participant.objects.order_by("id")
        ),
        tables.LINES: _rows(tables.LINES, Line, ("number", "operator_id", "name_en", "name_zh")),
        tables.CONTRACTS: _rows(
            tables.CONTRACTS,
            Contract,
            [f"{name}_id" if name in ("acquirer", "issuer") else name for name in tables.CONTRACTS.names],
        ),
    }
    found[tables.TARIFFS] = (
        {
            "service": one.service,
            "version": one.version,
            "valid_from": one.valid_from,
            "config": json.dumps(one.config, ensure_ascii=False, sort_keys=True),
        }
        for one in Tariff.objects.order_by("service", "version")
    )
    found[tables.SAMS] = (
        {"terminal": terminal, "distrusted_at": at} for terminal, at in sams.distrusted().items()
    )
    assert set(found) | set(LARGE) == set(tables.TO_CLEARING)
    return found


def _elsewhere() -> Values:
    """Terminals of other cities at which our cards were used: taps there are the issuer's own affair."""
    for terminal, issuer in _values(ForeignTerminal, ("id", "issuer"), "id"):
        yield terminal, issuer, AWAY, 0, 0, False


def _rows(table: Table, model: Any, columns: Sequence[str]) -> Rows:
    """A model's rows, its columns under the table's names."""
    return (dict(zip(table.names, row, strict=True)) for row in _values(model, columns, *columns[:2]))


def _values(model: Any, columns: Sequence[str], *order: str) -> Values:
    """A model's columns in chunks, from a cursor of the server's where it has them."""
    found: Values = model.objects.order_by(*order).values_list(*columns).iterator(READ_AT_ONCE)
    return found
