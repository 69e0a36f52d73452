# SPDX-License-Identifier: Apache-2.0
"""What a person needs to judge an exchanged tap: its record, its trace, its TAC, the card's other taps.

At the issuer the TAC is verified afresh with the issuer's key; the acquirer and the hub have no key for it
and are told so. The record is read from our own lake, byte for byte as it lies there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from django.conf import settings

from citycard.core.interop import evidence
from citycard.core.layout import LayoutError
from citycard.core.problem import Problem
from citycard.core.record import RECORD, BatchError, TapRecord, open_batch
from citycard.keys.vault import TacRow
from citycard.office import custody
from citycard.office.intake import lake
from citycard.office.partners import desk, taps
from citycard.office.partners.models import ExchangedTap
from citycard.office.settlement.models import Tap

NEIGHBOURS: Final = 4  # taps of the card before and after
GOOD, BAD, NO_KEY, UNREADABLE = "good", "bad", "no key", "unreadable"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A tap of the same card: at home with clearing's verdict, or in another city with its state."""

    at: datetime
    tap: str
    where: str
    counter: int
    balance_before_fen: int
    amount_fen: int
    verdict: str
    this: bool

    @property
    def balance_after_fen(self) -> int:
        """What it left on the card."""
        return self.balance_before_fen - self.amount_fen


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it. `fields` are the record's as (name, value), `raw` its bytes in hex."""

    tac: str
    batch: str
    position: int
    path: str
    raw: str
    fields: list[tuple[str, str]]
    verdicts: list[tuple[str, str, str]]  # run, verdict, reason
    neighbours: list[Neighbour]


def gather(tap: ExchangedTap) -> Evidence:
    """The evidence on an exchanged tap as this office has it."""
    path, raw = _record(tap)
    verdicts = Tap.objects.filter(batch=tap.batch, position=tap.position) if tap.batch else Tap.objects.none()
    told = verdicts.order_by("run_id").values_list("run_id", "verdict", "reason")
    return Evidence(
        tac=_tac(tap),
        batch=tap.batch,
        position=tap.position,
        path=path,
        raw=raw.hex(),
        fields=_fields(raw),
        verdicts=[(run.isoformat(), verdict, reason) for run, verdict, reason in told],
        neighbours=_neighbours(tap),
    )


def _record(tap: ExchangedTap) -> tuple[str, bytes]:
    """Where the record lies, and its bytes; both empty where this office has none."""
    home = Path(settings.CITYCARD_HOME)
    path = lake.find(home, tap.batch) if tap.batch else None
    if path is None:
        return "", b""
    try:
        return path.as_posix(), open_batch((home / path).read_bytes()).raw_records()[tap.position]
    except (OSError, BatchError, IndexError):
        return path.as_posix(), b""


def _fields(raw: bytes) -> list[tuple[str, str]]:
    if not raw:
        return []
    try:
        values = RECORD.decode(raw)
    except LayoutError:
        return []
    return [(name, value.hex() if isinstance(value, bytes) else str(value)) for name, value in values.items()]


def _tac(tap: ExchangedTap) -> str:
    """Whether the TAC verifies, asked of our vault now."""
    if tap.side != desk.ISSUER:
        return NO_KEY
    try:
        record = evidence.to_record(taps.to_row(tap, "", ""))
        good = custody.open_vault().tac_checker()([_tac_row(record)])[0]
    except (Problem, LayoutError):
        return UNREADABLE
    return GOOD if good else BAD


def _tac_row(record: TapRecord) -> TacRow:
    return TacRow(
        record.issuer, record.pan, record.key_version, record.algorithm, record.kind, record.txn,
        record.amount_fen, record.terminal, record.terminal_txn, record.moment, record.counter,
        record.balance_before_fen - record.amount_fen, record.tac,
    )  # fmt: skip


def _neighbours(tap: ExchangedTap) -> list[Neighbour]:
    """The card's taps around this one, by time; the newest verdict of each."""
    found: dict[str, Neighbour] = {}
    home = Tap.objects.filter(pan=tap.pan).exclude(reason="DUPLICATE")
    for one in _around(home.order_by("tapped_at", "run_id"), tap.tapped_at):
        found[one.tap] = Neighbour(
            one.tapped_at, one.tap, one.terminal, one.counter, one.balance_before_fen,
            -one.amount_fen if one.kind == 2 else one.amount_fen, one.verdict, one.tap == tap.tap,
        )  # fmt: skip
    for other in ExchangedTap.objects.filter(pan=tap.pan).order_by("tapped_at"):
        known = found.get(other.tap)
        found[other.tap] = Neighbour(
            other.tapped_at, other.tap, known.where if known else other.acquirer_org, other.counter,
            other.balance_before_fen, other.amount_fen, other.state, other.tap == tap.tap,
        )  # fmt: skip
    ordered = sorted(found.values(), key=lambda one: (one.at, one.counter, one.tap))
    here = next((at for at, one in enumerate(ordered) if one.this), 0)
    return ordered[max(0, here - NEIGHBOURS) : here + NEIGHBOURS + 1]


def _around(rows: Iterable[Tap], at: datetime) -> list[Tap]:
    """A few taps on either side of a moment."""
    every = list(rows)
    before = [one for one in every if one.tapped_at <= at][-3 * NEIGHBOURS :]
    return before + [one for one in every if one.tapped_at > at][: 3 * NEIGHBOURS]
