# SPDX-License-Identifier: Apache-2.0
"""Tells clearing what it needs: the scheme's reference tables, frozen for a business date.

The first export of a date stays: a run repeated later works on the same tables, whatever has changed since;
only tables that clearing itself refused are taken back.
The folder appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any, Final

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
            _write(table, rows, part / f"{table.name}.csv")
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


def _write(table: Table, rows: Rows, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table.write(rows, file)
        file.flush()
        os.fsync(file.fileno())


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
        tables.TERMINALS: chain(
            _values(
                Terminal, "id", "acquirer_id", "service", "line", "station", "active", table=tables.TERMINALS
            ),
            _elsewhere(),
        ),
        tables.CARDS: _values(
            Card, "pan", "issuer_id", "card_class", "status", "personalised_fen", table=tables.CARDS
        ),
        tables.HOTLIST: _values(
            HotlistEntry, "card_id", "version", "reason", "listed_at", "delisted_at", table=tables.HOTLIST
        ),
        tables.LINES: _values(Line, "number", "operator_id", "name_en", "name_zh", table=tables.LINES),
        tables.CONTRACTS: _values(
            Contract,
            *(f"{name}_id" if name in ("acquirer", "issuer") else name for name in tables.CONTRACTS.names),
            table=tables.CONTRACTS,
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
    assert set(found) == set(tables.TO_CLEARING)
    return found


def _elsewhere() -> Rows:
    """Terminals of other cities at which our cards were used: taps there are the issuer's own affair."""
    for one in ForeignTerminal.objects.order_by("id").iterator(READ_AT_ONCE):
        yield {"terminal": one.id, "acquirer": one.issuer, "service": AWAY, "line": 0, "station": 0,
               "active": False}  # fmt: skip


def _values(model: Any, *columns: str, table: Table) -> Rows:
    """A model's rows, its columns under the table's names."""
    rows = model.objects.order_by(*columns[:2]).values_list(*columns).iterator(READ_AT_ONCE)
    return (dict(zip(table.names, row, strict=True)) for row in rows)
