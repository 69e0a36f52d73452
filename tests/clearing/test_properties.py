# SPDX-License-Identifier: Apache-2.0
"""Whatever is tapped, repeated, lost and contracted: money adds up and is counted once."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citycard.clearing import Rules
from citycard.core.calendar import Calendar
from citycard.core.record import Kind, TapRecord
from tests.clearing.world import (
    BUS,
    BUS_TERMINAL,
    CITY,
    DAY,
    EAST,
    ISSUER,
    METRO,
    METRO_TERMINAL,
    OTHER_ISSUER,
    SHOP,
    World,
    contract,
)

ONE = timedelta(days=1)
RUNS = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TERMINALS = (BUS_TERMINAL, METRO_TERMINAL)


@dataclass(frozen=True)
class Step:
    """One thing that happens to a card, and what becomes of its record."""

    card: str
    fen: int
    off: tuple[int, int, int]  # concession, transfer, surcharge
    terminal: str
    load: bool
    day: int  # which run gets it
    fate: str  # sent, twice, lost, forged


steps = st.lists(
    st.builds(
        Step,
        card=st.sampled_from("ABCX"),
        fen=st.integers(0, 900),
        off=st.tuples(*[st.integers(0, 300)] * 3),
        terminal=st.sampled_from(TERMINALS),
        load=st.sampled_from([False, False, False, True]),
        day=st.integers(0, 2),
        fate=st.sampled_from(["sent"] * 6 + ["twice", "lost", "forged"]),
    ),
    min_size=1,
    max_size=60,
)
payers = st.sampled_from(["acquirer", "issuer", CITY, METRO])


@st.composite
def rates(draw: st.DrawFn) -> dict[str, int | str]:
    """Rates of a contract, its parts within its whole."""
    charge = draw(st.integers(0, 10_000))
    acquirer = draw(st.integers(0, charge))
    return {
        "charge_bp": charge,
        "acquirer_bp": acquirer,
        "issuer_bp": draw(st.integers(0, charge - acquirer)),
        "concession_payer": draw(payers),
        "transfer_payer": draw(payers),
    }


def play(world: World, story: Sequence[Step], reverse: bool) -> dict[str, TapRecord]:
    """Let the story happen over three days; returns the genuine records sent, by id."""
    world.card("X", 100_000, OTHER_ISSUER)
    for name in "ABC":
        world.card(name, 100_000)
    sent: dict[str, TapRecord] = {}
    uploads: list[list[tuple[TapRecord, ...]]] = [[], [], []]
    for step in story:
        if step.load:
            record = world.load(step.card, step.fen)
        else:
            concession, transfer, surcharge = step.off
            price = step.fen + concession + transfer
            record = world.tap(
                step.card,
                step.fen + surcharge,
                step.terminal,
                list_fen=price,
                concession_fen=concession,
                transfer_fen=transfer,
                surcharge_fen=surcharge,
            )
        if step.fate == "lost":
            continue
        if step.fate == "forged":
            record = replace(record, tac=bytes(4))
        else:
            sent[record.id] = record
        uploads[step.day].append((record,) * (2 if step.fate == "twice" else 1))
    for day, batches in enumerate(uploads):
        for batch in reversed(batches) if reverse else batches:
            world.upload(*batch)
        world.clear(DAY + day * ONE)
    return sent


def shares(world: World, day: int) -> list[dict[str, object]]:
    """The shares of a run."""
    return pq.read_table(world.home / f"lake/runs/{DAY + day * ONE}/shares.parquet").to_pylist()


@RUNS
@given(story=steps, all_rates=rates(), metro_rates=rates(), weights=st.tuples(*[st.integers(1, 9)] * 3))
def test_money_adds_up_and_is_counted_once(
    story: list[Step], all_rates: dict[str, int], metro_rates: dict[str, int], weights: tuple[int, int, int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), calendar=Calendar(late_days=2))
        world.rules = Rules(
            sheets=False, sharing=lambda *_: tuple(zip((METRO, EAST, BUS), weights, strict=True))
        )
        world.contracts = [contract(**all_rates), contract("metro", service=2, **metro_rates)]
        sent = play(world, story, reverse=False)
        accepted: Counter[str] = Counter()
        for day in range(3):
            check_run(world, day, sent, accepted)
        assert all(count == 1 for count in accepted.values())
        for window in range(3, 6):  # what waits is settled when its window ends; nothing genuine is lost
            world.clear(DAY + window * ONE)
            check_run(world, window, sent, accepted)
        assert set(accepted) == set(sent)


def check_run(world: World, day: int, sent: dict[str, TapRecord], accepted: Counter[str]) -> None:
    """Sums of a run: per tap zero, per participant the positions, per card the movements."""
    date = DAY + day * ONE
    rows = world.out("verdicts", date)
    taken = {row["tap"]: row for row in rows if row["verdict"] == "accepted"}
    accepted.update(taken.keys())
    assert set(taken) <= set(sent)
    per_tap: Counter[str] = Counter()
    per_participant: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    names = Counter((share["tap"], share["participant"], share["cause"]) for share in shares(world, day))
    assert max(names.values(), default=1) == 1
    for share in shares(world, day):
        per_tap[str(share["tap"])] += int(str(share["amount_fen"]))
        per_participant[str(share["participant"])] += int(str(share["amount_fen"]))
        if share["cause"] == "fare" and share["participant"] in (ISSUER, OTHER_ISSUER):
            paid[str(share["tap"])] += int(str(share["amount_fen"]))
    assert not +per_tap
    assert not -per_tap
    purchases = {tap: row for tap, row in taken.items() if row["kind"] == Kind.PURCHASE}
    assert paid == Counter({tap: -row["amount_fen"] for tap, row in purchases.items() if row["amount_fen"]})
    net = world.net(date)
    assert sum(net.values()) == 0
    assert net == {who: amount for who, amount in per_participant.items() if who in net}
    revenue: Counter[str] = Counter()
    for line in world.out("revenue", date):
        revenue[line["participant"]] += line["amount_fen"]
    assert {who: amount for who, amount in revenue.items() if amount} == {w: n for w, n in net.items() if n}
    moved: Counter[tuple[str, int]] = Counter()
    for row in taken.values():
        moved[row["pan"], row["kind"]] += row["amount_fen"]
    movements = {(row["pan"], row["kind"]): row["amount_fen"] for row in world.out("movements", date)}
    assert movements == dict(moved) | {key: 0 for key in movements if key not in moved}


@RUNS
@given(story=steps)
def test_the_order_of_uploads_does_not_matter(story: list[Step]) -> None:
    answers = []
    for reverse in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder))
            world.contracts = [
                contract(),
                contract("shop", acquirer=SHOP, charge_bp=0, acquirer_bp=0, issuer_bp=0),
            ]
            play(world, story, reverse)
            days = [DAY + day * ONE for day in range(3)]
            verdicts = [
                sorted((row["tap"].split("~")[0], row["reason"]) for row in world.out("verdicts", day))
                for day in days
            ]
            answers.append(
                (verdicts, [world.net(day) for day in days], [world.out("movements", d) for d in days])
            )
    assert answers[0] == answers[1]
