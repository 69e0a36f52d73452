# SPDX-License-Identifier: Apache-2.0
"""The taps behind a figure of a closed date: their number, their total, and a page with each one's own part.

Shares are worked out again by the run's own steps (`trace.Again`), so parts are those the figure was made of.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

import ibis
import pyarrow as pa

from citycard.clearing import judge, money
from citycard.clearing import sources as s
from citycard.clearing.engine import Expression, Source, Step
from citycard.clearing.lake import Lake
from citycard.clearing.problems import LAKE_DATE, LAKE_TAPS_GONE
from citycard.clearing.rules import LOAD_SERVICE
from citycard.clearing.trace import KEPT, Again
from citycard.core import tables
from citycard.core.figure import FEE, PAYABLE, RECEIVABLE, SHARE, Behind, Figure
from citycard.core.record import Kind

KEYS: Final = ("participant", "service", "counterparty", "cause")
WANTED: Final = Source(
    "wanted",
    pa.schema([(f"of_{name}", s.INT if name == "service" else s.TEXT) for name in (*KEYS, "side", "what")]),
)
PAGE: Final = Source("page_of_taps", pa.schema([("tap", s.TEXT), ("part_fen", s.INT)]))


def _parts(lines: Expression, wanted: Expression) -> Expression:
    """What each tap has of the shares that are wanted."""
    t = lines.cross_join(wanted)
    chosen = [t[f"of_{name}"].isnull() | (t[f"of_{name}"] == t[name]) for name in KEYS]
    chosen.append((t.of_side != RECEIVABLE) | (t.amount_fen > 0))
    chosen.append((t.of_side != PAYABLE) | (t.amount_fen < 0))
    t = t.filter(ibis.and_(*chosen))
    sign = (t.of_side == PAYABLE).ifelse(-1, 1)
    return t.mutate(own_fen=t.amount_fen * sign).group_by("tap").aggregate(part_fen=lambda t: t.own_fen.sum())


def _amounts(priced: Expression, wanted: Expression) -> Expression:
    """The amount or the fee of each tap."""
    t = priced.filter(priced.amount_fen > 0).cross_join(wanted)
    return t.select("tap", part_fen=(t.of_what == FEE).ifelse(t.fee_fen, t.amount_fen).cast("int64"))


def _counted(parts: Expression) -> Expression:
    total = parts.part_fen.sum().fill_null(0).cast("int64")
    return parts.aggregate(taps=parts.count(), total_fen=total)


def _found(kept: Expression, page: Expression) -> Expression:
    """All that is known of the taps of a page."""
    return kept.inner_join(page, "tap").select(*tables.VERDICTS.names, "part_fen")


PARTS: Final = Step("parts_of_taps", _parts, money.TAP_LINES, WANTED)
AMOUNTS: Final = Step("amounts_of_taps", _amounts, money.PRICED, WANTED)
COUNTED: Final = {step: Step(f"counted_{step.name}", _counted, step) for step in (PARTS, AMOUNTS)}
FOUND: Final = Step("found_taps", _found, KEPT, PAGE)


def taps_behind(home: Path, day: date, figure: Figure, first: int = 0, count: int = 50) -> Behind:
    """The taps behind a figure of a run, by name. LAKE_DATE, LAKE_TAPS_GONE, LAKE_DAMAGED."""
    lake = Lake(home)
    marker = lake.done(day)
    if marker is None:
        raise LAKE_DATE(date=day, home=home)
    if "taps" in marker.get("removed", ()):
        raise LAKE_TAPS_GONE(date=day)
    paths = lake.checked(day, f"taps/verdict={judge.ACCEPTED}/")
    step = PARTS if figure.what == SHARE else AMOUNTS
    with Again(lake, day, paths, _where(figure)) as engine:
        wanted = {f"of_{name}": getattr(figure, name) for name in (*KEYS, "side", "what")}
        engine.give(WANTED, pa.Table.from_pylist([wanted], schema=WANTED.arrow))
        (sums,) = engine.fetch(COUNTED[step]).to_pylist()
        page = engine.page(step, ("tap",), first, count)
        engine.give(PAGE, page)
        rows = engine.fetch(FOUND, ("tap",)).to_pylist()
    return Behind(sums["taps"], sums["total_fen"], rows)


def _where(figure: Figure) -> str:
    """What can be said of the rows themselves, so that less has to be divided again."""
    told = []
    if figure.what == SHARE:
        if figure.counterparty is not None:
            told.append(f"{_text(figure.counterparty)} IN (issuer, acquirer)")
        if figure.service is not None:
            told.append(f"service = {figure.service:d}")
        return " AND ".join(told)
    told += [
        f"{name} = {_text(value)}" for name in ("acquirer", "issuer") if (value := getattr(figure, name))
    ]
    if figure.business_date is not None:
        told.append(f"business_date = DATE '{figure.business_date:%Y-%m-%d}'")
    if figure.kind is not None:
        told.append(f"kind = {figure.kind:d}")
    if figure.service == LOAD_SERVICE:
        told.append(f"kind = {int(Kind.LOAD)}")
    elif figure.service is not None:
        told.append(f"kind = {int(Kind.PURCHASE)} AND service = {figure.service:d}")
    return " AND ".join(told)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
