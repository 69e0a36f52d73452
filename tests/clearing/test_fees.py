# SPDX-License-Identifier: Apache-2.0
"""Fees of any contract on any amount: the engine agrees with the rule, and the rule keeps its bounds."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.clearing import sources as s
from citycard.clearing.contracts import rates
from citycard.clearing.engine import DuckEngine, Source, Step
from citycard.clearing.fees import charged
from citycard.core import fees, tables
from citycard.core.money import split_fen
from tests.clearing.world import BUS, CITY, DAY, ISSUER, METRO, SCHEME, World, contract

TAPS = Source("rated", pa.schema([("at", pa.int64()), ("fee_no", pa.int64()), ("amount_fen", pa.int64())]))
CHARGED = Step("charged", charged, TAPS, s.RATES)
FEN = st.integers(0, 200_000)


@st.composite
def contracts(draw: st.DrawFn) -> dict[str, Any]:
    """A contract with any fees that do not contradict themselves."""
    charge = draw(st.integers(0, 10_000))
    acquirer = draw(st.integers(0, charge))
    least = draw(st.just(0) | st.integers(0, 500))
    bounds = sorted(draw(st.sets(FEN, max_size=4)))
    steps = [f"{up_to}:{draw(st.integers(0, 10_000))}:{draw(st.integers(0, 300))}" for up_to in bounds]
    parts: dict[str, int] = {}
    if draw(st.booleans()):
        mine = draw(st.integers(0, 10_000))
        parts = {"fee_acquirer_bp": mine, "fee_issuer_bp": draw(st.integers(0, 10_000 - mine))}
    return {
        "charge_bp": charge,
        "acquirer_bp": acquirer,
        "issuer_bp": draw(st.integers(0, charge - acquirer)),
        "fixed_fen": draw(st.just(0) | st.integers(0, 500)),
        "min_fen": least,
        "max_fen": draw(st.none() | st.integers(least, 2_000)),
        "steps": " ".join(steps) or None,
        **parts,
    }


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(contracts(), min_size=1, max_size=4),
    taps=st.lists(st.tuples(st.integers(0, 3), FEN | st.integers(0, 40)), max_size=40),
)
def test_the_engine_charges_what_the_rule_says_and_within_its_bounds(
    rows: list[dict[str, Any]], taps: list[tuple[int, int]]
) -> None:
    named = [contract(f"c{at}", acquirer=f"a{at}", **row) for at, row in enumerate(rows)]
    assert [fees.faults(row) for row in named] == [[]] * len(named)
    found = rates(named, [(1, f"a{at}", ISSUER, DAY) for at in range(len(named))])
    wanted = [(at, number % len(named) + 1, fen) for at, (number, fen) in enumerate(taps)]
    with DuckEngine() as engine:
        engine.give(s.RATES, pa.Table.from_pylist(found, schema=s.RATES.arrow))
        columns = dict(zip(TAPS.arrow.names, zip(*wanted, strict=True), strict=True)) if wanted else {}
        engine.give(TAPS, pa.table(columns, schema=TAPS.arrow) if wanted else TAPS.arrow.empty_table())
        rated = engine.fetch(CHARGED, ["at"]).to_pylist()
    assert [row["at"] for row in rated] == [at for at, _, _ in wanted]  # each tap falls into one step
    for row in rated:
        terms, fen, fee = named[row["fee_no"] - 1], row["amount_fen"], row["fee_fen"]
        assert fee == fees.fee_of(terms, fen)
        most = fen if terms["max_fen"] is None else min(fen, terms["max_fen"])
        assert min(fen, terms["min_fen"], most) <= fee <= most
        whole, acquirer, issuer = fees.parts(terms)
        assert sum(split_fen(fee, [issuer, acquirer, whole - issuer - acquirer])) == fee


@settings(max_examples=6, deadline=None)
@given(
    terms=contracts(),
    amounts=st.lists(st.integers(0, 3_000), min_size=1, max_size=12),
    payer=st.sampled_from(["acquirer", "issuer", CITY]),
)
def test_shares_of_every_tap_and_all_positions_add_up_to_zero(
    tmp_path_factory: pytest.TempPathFactory, terms: dict[str, Any], amounts: list[int], payer: str
) -> None:
    world = World(tmp_path_factory.mktemp("fees"))
    world.contracts = [contract(concession_payer=payer, **terms)]
    world.card("A", 90_000)
    world.upload(*[world.tap("A", fen, list_fen=fen + 10, concession_fen=10) for fen in amounts])
    world.clear()
    assert sum(world.net().values()) == 0
    found: dict[str, int] = {}
    charged_fen: dict[str, int] = {}
    for row in pq.read_table(world.home / f"lake/runs/{DAY}/shares.parquet").to_pylist():
        found[row["tap"]] = found.get(row["tap"], 0) + row["amount_fen"]
        if row["cause"].endswith("_fee"):
            charged_fen[row["tap"]] = charged_fen.get(row["tap"], 0) + row["amount_fen"]
    assert set(found.values()) <= {0}
    assert sorted(charged_fen.values()) == sorted(f for f in (fees.fee_of(terms, a) for a in amounts) if f)


STORIES = """
| terms                                                  | amount | issuer | acquirer | scheme |
|--------------------------------------------------------|--------|--------|----------|--------|
| charge_bp=0 fixed_fen=5                                |    200 |        |          |      5 |
| charge_bp=0 fixed_fen=5 fee_issuer_bp=6000             |    200 |      3 |          |      2 |
| charge_bp=0 fixed_fen=5                                |      3 |        |          |      3 |
| charge_bp=100 acquirer_bp=0 issuer_bp=50 fixed_fen=2   |    400 |      3 |          |      3 |
| charge_bp=100 acquirer_bp=0 issuer_bp=100 min_fen=4    |    200 |      4 |          |        |
| charge_bp=100 acquirer_bp=0 issuer_bp=100 max_fen=4    |    900 |      4 |          |        |
| charge_bp=10 acquirer_bp=0 issuer_bp=10 steps=500:0:1  |    500 |      1 |          |        |
| charge_bp=1000 acquirer_bp=0 issuer_bp=0 steps=500:0:1 |    501 |        |          |     50 |
"""


@pytest.mark.parametrize("line", STORIES.strip().splitlines()[2:])
def test_fixed_least_most_and_stepped_fees(tmp_path: Path, line: str) -> None:
    terms, amount, *parts = (cell.strip() for cell in line.strip("|").split("|"))
    given = {name: int(v) if v.isdigit() else v for name, v in (part.split("=") for part in terms.split())}
    world = World(tmp_path)
    world.contracts = [contract(**{"acquirer_bp": 0, "issuer_bp": 0, **given})]
    world.upload(world.tap("A", int(amount)))
    world.clear()
    issuer, acquirer, scheme = (int(part or 0) for part in parts)
    fee = issuer + acquirer + scheme
    wanted = {ISSUER: issuer - int(amount), BUS: int(amount) - fee + acquirer, SCHEME: scheme}
    assert world.net() == {name: fen for name, fen in wanted.items() if fen}


CONTRADICTIONS = [
    ({"steps": "500:100"}, "up_to_fen:charge_bp:fixed_fen"),
    ({"steps": "500:0:1 500:0:2"}, "rise"),
    ({"steps": "500:10001:1"}, "basis points"),
    ({"steps": " ".join(f"{n}:0:0" for n in range(1, 18))}, "more than 16"),
    ({"min_fen": 5, "max_fen": 4}, "max_fen is below"),
    ({"fixed_fen": -1}, "below zero"),
    ({"fee_issuer_bp": 9_000, "fee_acquirer_bp": 1_001}, "gives away"),
    ({"issuer_bp": 90}, "gives away"),
]


@pytest.mark.parametrize(("terms", "said"), CONTRADICTIONS)
def test_fees_that_contradict_themselves_are_told(terms: dict[str, Any], said: str) -> None:
    assert said in fees.faults(contract(**terms))[0]


def test_contracts_of_the_first_version_are_still_read() -> None:
    old = "# contracts v1\n" + ",".join(c.name for c in tables.CONTRACTS.columns if c.since == 1)
    old += f"\nold,1,,{ISSUER},2026-01-01,,100,20,50,acquirer,{METRO}\n"
    (row,) = tables.CONTRACTS.read(io.StringIO(old))
    assert (row["charge_bp"], row["fixed_fen"], row["max_fen"], row["steps"]) == (100, 0, None, None)
    assert fees.fee_of(row, 1_000) == 10
    with pytest.raises(tables.TableError, match="columns are"):
        list(tables.CONTRACTS.read(io.StringIO(old.replace("v1", "v2"))))
    with pytest.raises(tables.TableError, match="v3"):
        list(tables.CONTRACTS.read(io.StringIO(old.replace("v1", "v3"))))
    written = io.StringIO()
    del row["fixed_fen"]  # a row of somebody who knows only the first version
    tables.CONTRACTS.write([row], written)
    written.seek(0)
    assert next(tables.CONTRACTS.read(written))["valid_from"] == date(2026, 1, 1)
