# SPDX-License-Identifier: Apache-2.0
"""Clears the re-rated rows and nets what the companies, the issuer, the scheme and payers owe each other.

The rows are laid into a lake as a clearing day lays down its taps (Parquet by verdict, business date and
issuer) and from there on are a day like any other: priced, divided and netted by the steps of
`citycard.clearing.money`. Rows without an explanation, or without a contract, are suspended.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

import ibis
import pyarrow as pa

from citycard.blueprints import Scheme
from citycard.clearing import judge, money
from citycard.clearing import sources as s
from citycard.clearing.contracts import rates
from citycard.clearing.engine import DuckEngine, Expression, Source, Step
from citycard.clearing.places import weigh
from citycard.clearing.reference import Reference
from citycard.clearing.replay.rating import KEYS, UNEXPLAINED
from citycard.clearing.replay.staging import Connection
from citycard.core.record import Kind
from citycard.core.refusal import Reason
from citycard.core.tables import Row
from citycard.services import REGISTRY, service_named
from citycard.services.contract import Place, Weights

LAKE: Final = "lake"  # below the staging folder, and removed with it
TAPS: Final = Source(
    "replayed",
    pa.schema(
        [
            *[(name, pa.string()) for name in ("tap", "verdict", "reason", "pan", "issuer", "acquirer")],
            *[(name, pa.int32()) for name in ("service", "kind", "tariff_version", "line", "entry_line")],
            *[(name, pa.int64()) for name in ("amount_fen", "list_fen", "concession_fen", "transfer_fen")],
            ("tapped_at", pa.timestamp("us")),
            ("business_date", pa.date32()),
            ("rated_on", pa.date32()),  # the first day of the stretch of days with the same contracts
        ]
    ),
)


@dataclass(slots=True)
class Clearing:
    """What came of clearing a file.

    Participants go by their id; a company the scheme does not know goes by its name.
    """

    scheme: Scheme
    positions: list[Row] = field(default_factory=list)
    contracts: dict[str, int] = field(default_factory=dict)  # taps settled under each
    settled_fen: int = 0
    uncovered_fen: int = 0  # charged where no contract covers the tap: suspended

    def as_rows(self) -> list[dict[str, Any]]:
        """Positions for the report, by name, in the order of the scheme."""
        known = {p.id: p for p in self.scheme.participants}
        order = {key: number for number, key in enumerate(known)}
        ordered = sorted(
            self.positions, key=lambda row: (order.get(row["participant"], len(order)), row["participant"])
        )
        return [
            {
                "participant": (key := row["participant"]),
                "name_en": known[key].name_en if key in known else key,
                "name_zh": known[key].name_zh if key in known else key,
                **{name: row[name] for name in ("receivable_fen", "payable_fen", "net_fen")},
            }
            for row in ordered
        ]


def settle(db: Connection, scheme: Scheme, folder: Path) -> Clearing:
    """Lay the file's taps into the lake of a folder and clear them under the contracts of their days."""
    found = _rates(db, scheme)
    lake = folder / LAKE
    shutil.rmtree(lake, ignore_errors=True)
    _lay_down(db, scheme, found, lake)
    clearing = Clearing(scheme)
    with DuckEngine() as engine:
        engine.give_parquet(TAPS, sorted((lake / "taps").rglob("*.parquet")))
        engine.give(s.RATES, pa.Table.from_pylist(found, schema=s.RATES.arrow))
        settings = {"scheme": scheme.with_role("scheme")[0].id}
        engine.give(s.SETTINGS, pa.Table.from_pylist([settings], schema=s.SETTINGS.arrow))
        for step in (JUDGED, money.LIKE_TAPS, money.ALIKE):
            engine.make(step)
        engine.give(s.PLACES, s.PLACES.arrow.empty_table())
        grounds = engine.fetch(money.GROUNDS, money.PLACE_KEY).to_pylist()
        places, weights = weigh(grounds, _reference(scheme, found), _sharing(scheme))
        engine.give(s.PLACES, pa.Table.from_pylist(places, schema=s.PLACES.arrow))
        engine.give(s.WEIGHTS, pa.Table.from_pylist(weights, schema=s.WEIGHTS.arrow))
        for step in money.STEPS:
            engine.make(step)
        assert not engine.fetch(money.UNBALANCED).num_rows, "the shares of a tap add up to zero"
        engine.give(s.OWED_PARTS, engine.fetch(money.OWED))
        clearing.positions = engine.fetch(money.POSITIONS).to_pylist()
        for row in engine.fetch(TOTALS).to_pylist():
            if row["contract"] is None:
                clearing.uncovered_fen += row["amount_fen"] if row["reason"] == Reason.NO_CONTRACT.code else 0
            else:
                clearing.contracts[row["contract"]] = row["taps"]
                clearing.settled_fen += row["amount_fen"]
    return clearing


def _judged(taps: Expression, rates_: Expression) -> Expression:
    """The lake's taps with their rates, as the steps of a clearing day expect them."""
    t = taps.mutate(business_date=taps.rated_on, rate_service=judge.rated_by(taps).cast("int64"))
    t = t.left_join(rates_, judge.RATE_KEY).select(t, *judge.RATE_COLUMNS)
    wanted = judge.JUDGED.table.schema().items()  # what a file does not tell is nowhere, or not known
    absent = {name: 0 if name in ("station", "entry_station") else None for name, _ in wanted}
    return t.mutate(
        **{
            name: ibis.literal(absent[name], kind) if absent[name] is not None else ibis.null(kind)
            for name, kind in wanted
            if name not in t.columns
        }
    )


def _totals(judged: Expression) -> Expression:
    """Taps and fen under each contract; without one, by reason."""
    t = judged.mutate(
        contract=(judged.verdict == judge.ACCEPTED).ifelse(judged.contract, ibis.null("string"))
    )
    return t.group_by("contract", "reason").aggregate(
        taps=t.count(), amount_fen=t.amount_fen.sum().cast("int64")
    )


JUDGED: Final = Step(judge.JUDGED.name, _judged, TAPS, s.RATES)
TOTALS: Final = Step("replay_totals", _totals, JUDGED)


def _rates(db: Connection, scheme: Scheme) -> list[Row]:
    """Rates and payers of every stretch of days, service and acquirer that a contract covers."""
    lines = _lines(scheme)
    wanted = {
        (service_named(service).code, lines.get(company, (0, company))[1], scheme.issuers[0].id, day)
        for day, service, company in db.execute(
            "SELECT DISTINCT period, service, company FROM taps WHERE dropped IS NULL AND event <> 'enter'"
        ).fetchall()
    }
    return rates(scheme.contract_rows(), sorted(wanted))


def _lines(scheme: Scheme) -> dict[str, tuple[int, str]]:
    """Company name as the file writes it -> its line and who runs it."""
    return {line.name_zh: (line.number, scheme.operators[line.number]) for line in scheme.lines}


def _lay_down(db: Connection, scheme: Scheme, found: list[Row], lake: Path) -> None:
    """Write the file's paid rows as taps by verdict, business date and issuer."""
    lines = [{"name": name, "line": line, "who": who} for name, (line, who) in _lines(scheme).items()]
    text, number = pa.string(), pa.int32()
    db.register(
        "lines", pa.Table.from_pylist(lines, pa.schema([("name", text), ("line", number), ("who", text)]))
    )
    days = [day for (day,) in db.execute("SELECT DISTINCT period FROM taps WHERE dropped IS NULL").fetchall()]
    codes = [
        {"name": one.name, "code": one.code, "period": day, "version": tariff.version if tariff else 0}
        for one, day in product(REGISTRY.values(), days)
        for tariff in (scheme.tariff(one.name, day),)
    ]
    kinds = pa.schema([("name", text), ("code", number), ("period", pa.date32()), ("version", number)])
    db.register("codes", pa.Table.from_pylist(codes, kinds))
    db.register("covered", pa.Table.from_pylist(found, s.RATES.arrow))
    cut_off = scheme.calendar.cut_off.strftime("%H:%M:%S")
    lake.mkdir(parents=True)
    db.execute(
        f"""COPY (
          SELECT *, verdict AS "verdict_", business_date AS "date_", issuer AS "issuer_" FROM (
          SELECT printf('row-%010d', t.row) AS tap,
            CASE WHEN r.outcome <> '{UNEXPLAINED}' AND c.contract IS NOT NULL
                 THEN '{judge.ACCEPTED}' ELSE '{judge.SUSPENDED}' END AS verdict,
            CASE WHEN r.outcome = '{UNEXPLAINED}' THEN '{Reason.AMOUNT_INCONSISTENT.code}'
                 WHEN c.contract IS NULL THEN '{Reason.NO_CONTRACT.code}' ELSE 'OK' END AS reason,
            t.card AS pan, ? AS issuer, coalesce(l.who, t.company) AS acquirer,
            s.code AS service, {int(Kind.PURCHASE)}::INT AS kind, s.version AS tariff_version,
            coalesce(l.line, 0)::INT AS line, coalesce(e.line, 0)::INT AS entry_line,
            t.charged_fen AS amount_fen, t.list_fen, r.concession_fen, r.transfer_fen,
            t.tapped_at, CAST(t.tapped_at - INTERVAL '{cut_off}' AS DATE) AS business_date,
            t.period AS rated_on
          FROM taps t JOIN rated r USING ({", ".join(KEYS)})
          LEFT JOIN metro m ON m.row = t.row
          LEFT JOIN lines l ON l.name = t.company
          LEFT JOIN lines e ON e.name = m.entry_company
          JOIN codes s ON s.name = t.service AND s.period = t.period
          LEFT JOIN covered c ON c.rate_service = s.code AND c.acquirer = coalesce(l.who, t.company)
            AND c.business_date = t.period
          WHERE t.dropped IS NULL AND t.event <> 'enter'))
        TO '{str(lake / "taps").replace("'", "''")}'
        (FORMAT parquet, COMPRESSION zstd, PARTITION_BY ("verdict_", "date_", "issuer_"))""",
        [scheme.issuers[0].id],
    )
    for path in sorted((lake / "taps").glob("verdict_=*/date_=*/issuer_=*")):
        verdict, day, issuer = (level.partition("=")[2] for level in path.parts[-3:])
        target = lake / "taps" / f"verdict={verdict}" / f"business_date={day}" / f"issuer={issuer}"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    for path in (lake / "taps").glob("verdict_=*"):
        shutil.rmtree(path)


def _reference(scheme: Scheme, found: list[Row]) -> Reference:
    """The scheme as steps are held against it; companies it does not know are participants as well."""
    names = [(p.id, p.name_en, p.name_zh) for p in scheme.participants]
    known = {one for one, *_ in names}
    strangers = sorted({row["acquirer"] for row in found} - known)
    participants = [
        {"participant": one, "name_en": en, "name_zh": zh}
        for one, en, zh in [*names, *((name, name, name) for name in strangers)]
    ]
    nothing = pa.table({})
    return Reference(
        terminals=nothing, cards=nothing, hotlist=nothing, sams=nothing, participants=participants,
        contracts=[], operators=dict(scheme.operators), tariffs={}, scheme=scheme.with_role("scheme")[0].id,
    )  # fmt: skip


def _sharing(scheme: Scheme) -> Any:
    """How the operators of a place share a fare under the scheme's tariff of a version."""
    tariffs: dict[tuple[int, int], Any] = {}
    for one in scheme.tariffs:
        tariff = scheme.tariff(one.service, one.valid_from)
        assert tariff is not None, "it is valid from that day"
        tariffs[service_named(one.service).code, one.version] = tariff.config

    def share(service: int, version: int, place: Place, lines: Any) -> Weights:
        return REGISTRY[service].shares(place, tariffs[service, version], lines)

    return share
