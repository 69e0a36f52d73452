# SPDX-License-Identifier: Apache-2.0
"""Figures as addresses: what a page shows leads to the taps it is made of, and back in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Sum
from django.utils.translation import gettext as _

from citycard.core.figure import AMOUNT, FEE, PAYABLE, RECEIVABLE, SHARE, Figure
from citycard.core.record import Kind
from citycard.core.tables import Row
from citycard.office.console import labels
from citycard.office.console.access import Text
from citycard.office.console.queries.names import Names, participants
from citycard.office.console.queries.taps import TapRow, rows
from citycard.office.settlement.models import PositionRow, RevenueRow, SettlementRun, Tap, VolumeRow

TEXTS: Final = ("what", "participant", "counterparty", "cause", "side", "acquirer", "issuer")
NUMBERS: Final = ("service", "kind")
NUMBER_MAX: Final = 2**15 - 1  # of services and kinds, as the database keeps them
COLUMNS: Final = tuple(field.name for field in Tap._meta.concrete_fields if field.name not in ("id", "run"))


@dataclass(frozen=True, slots=True)
class PartRow:
    """A tap with its part of a figure; `known` when the office's database has it too."""

    row: TapRow
    part_fen: int
    known: bool


def query_of(figure: Figure) -> str:
    """The figure as a query string."""
    told = {name: getattr(figure, name) for name in (*TEXTS, *NUMBERS, "business_date")}
    return urlencode({name: value for name, value in told.items() if value not in (None, "")})


def figure_of(given: Mapping[str, str]) -> Figure | None:
    """The figure a query string names; None for one that names none."""
    wanted: dict[str, Any] = {name: given[name] for name in TEXTS if given.get(name)}
    try:
        wanted |= {name: int(given[name]) for name in NUMBERS if given.get(name)}
        if not all(0 <= wanted.get(name, 0) <= NUMBER_MAX for name in NUMBERS):
            return None
        if given.get("business_date"):
            wanted["business_date"] = date.fromisoformat(given["business_date"])
        return Figure(**wanted)
    except ValueError:
        return None


def told_fen(run: SettlementRun, figure: Figure) -> int | None:
    """What the books say the figure is; None where they do not hold this one."""
    if figure.what == SHARE:
        return _share_fen(run, figure)
    if figure.business_date is not None:
        return _volume_fen(run, figure)
    whole = {None: run.charged_fen + run.loaded_fen, 1: run.charged_fen, 2: run.loaded_fen}
    alone = figure == Figure(what=AMOUNT, kind=figure.kind)
    return whole.get(figure.kind) if alone else None


def _share_fen(run: SettlementRun, figure: Figure) -> int | None:
    """Of revenue, or of a position where the figure is a whole position or one side of it."""
    narrow = {name: getattr(figure, name) for name in ("service", "counterparty", "cause")}
    wanted = {name: value for name, value in narrow.items() if value is not None}
    if figure.side:
        position = PositionRow.objects.filter(run=run, closing=None, participant=figure.participant).first()
        return None if wanted or position is None else int(getattr(position, f"{figure.side}_fen"))
    lines = RevenueRow.objects.filter(run=run, closing=None, participant=figure.participant, **wanted)
    found: int | None = lines.aggregate(fen=Sum("amount_fen"))["fen"]
    return found


def _volume_fen(run: SettlementRun, figure: Figure) -> int | None:
    names = ("service", "acquirer", "issuer", "business_date")
    volumes = VolumeRow.objects.filter(run=run, **{name: getattr(figure, name) for name in names})
    parts = ("issuer_fen", "acquirer_fen", "scheme_fen") if figure.what == FEE else ("amount_fen",)
    sums = volumes.aggregate(**{f"sum_{name}": Sum(name) for name in parts})
    return None if None in sums.values() else sum(sums.values())


def words(figure: Figure) -> str:
    """The figure in words, such as `issuer's fee, bus, of 发卡公司`."""
    known = participants()

    def name(id: str | None) -> str:
        return known.get(id or "", id or "")

    if figure.what != SHARE:
        parts = [_("fee charged") if figure.what == FEE else _("turnover")]
        if figure.kind is not None:
            parts = [str(_("loaded") if figure.kind == Kind.LOAD else _("charged"))]
        parts += [name(one) for one in (figure.acquirer, figure.issuer) if one]
    else:
        cause: Text = labels.CAUSES.get(figure.cause or "", figure.cause or "")
        sides = {RECEIVABLE: _("receivable"), PAYABLE: _("payable")}
        parts = [name(figure.participant), str(cause) or sides.get(figure.side, _("net position"))]
        parts += [name(figure.counterparty)] if figure.counterparty else []
    if figure.service is not None:
        parts.append(labels.service(figure.service))
    if figure.business_date is not None:
        parts.append(figure.business_date.isoformat())
    return " · ".join(part for part in parts if part)


def part_rows(run: SettlementRun, found: list[Row], known: Names) -> list[PartRow]:
    """Taps as tables show them, each with its part."""
    held = set(
        Tap.objects.filter(run=run, tap__in=[row["tap"] for row in found]).values_list("tap", flat=True)
    )
    taps = [Tap(run=run, **{name: row[name] for name in COLUMNS}) for row in found]
    return [
        PartRow(one, row["part_fen"], row["tap"] in held)
        for one, row in zip(rows(taps, known), found, strict=True)
    ]
