# SPDX-License-Identifier: Apache-2.0
"""Fees by the month's volume: the tier reached, the fee due, its parts, and one adjustment after another."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from citycard.core import fees
from citycard.core.problem import Problem
from citycard.core.volume import BY_AMOUNT, MEASURES, Parts, Volume, parse_tiers, reached, true_up

WHOLE, ACQUIRER, ISSUER = 100, 20, 50


@st.composite
def ladders(draw: Any) -> list[tuple[int, int, int]]:
    """Rising (start, basis points, fixed fen)."""
    starts = sorted(draw(st.sets(st.integers(0, 5_000), min_size=1, max_size=6)))
    return [(start, draw(st.integers(0, 10_000)), draw(st.integers(0, 9))) for start in starts]


def written(ladder: list[tuple[int, int, int]]) -> str:
    ends = [str(start) for start, _, _ in ladder[1:]] + [""]
    return " ".join(f"{s}..{end}:{bp}:{fixed}" for (s, bp, fixed), end in zip(ladder, ends, strict=True))


def wanted(ladder: list[tuple[int, int, int]], volume: int, turnover: int, taps: int, charged: int) -> int:
    """The month's fee as a contract's annex says it, in decimal numbers."""
    fee = Decimal(charged)
    for start, bp, fixed in ladder:
        if volume >= start:
            rated = (Decimal(turnover) * bp / 10_000).quantize(Decimal(1), ROUND_HALF_UP)
            fee = min(Decimal(turnover), rated + taps * fixed)
    return int(fee)


@example(ladder=[(0, 0, 9)], by="taps", taps=[1], late=[])  # never more than what was taken
@given(
    ladder=ladders(),
    by=st.sampled_from(MEASURES),
    taps=st.lists(st.integers(1, 400), min_size=1, max_size=60),
    late=st.lists(st.integers(1, 400), max_size=20),
)
def test_the_month_costs_what_its_tier_says_however_late_its_taps_come(
    ladder: list[tuple[int, int, int]], by: str, taps: list[int], late: list[int]
) -> None:
    tiers = parse_tiers(written(ladder))
    contract = {"charge_bp": WHOLE, "acquirer_bp": ACQUIRER, "issuer_bp": ISSUER}
    adjusted = Parts()
    for seen in (taps, taps + late, taps + late):
        charged = Parts()
        for fen in seen:
            fee = fees.fee_of(contract, fen)
            charged += Parts(fee // 2, fee // 5, fee - fee // 2 - fee // 5)
        month = Volume(len(seen), sum(seen), charged)
        made = true_up(tiers, by, (WHOLE, ACQUIRER, ISSUER), month, adjusted)
        volume = month.turnover_fen if by == BY_AMOUNT else month.taps
        fee = wanted(ladder, volume, month.turnover_fen, month.taps, charged.total_fen)
        assert (charged + adjusted + made.difference).total_fen == made.due.total_fen == fee
        if made.tier is not None:
            exact = [Decimal(fee) * part / WHOLE for part in (ISSUER, ACQUIRER, WHOLE - ISSUER - ACQUIRER)]
            parts = (made.due.issuer_fen, made.due.acquirer_fen, made.due.scheme_fen)
            assert all(abs(got - want) < 1 for got, want in zip(parts, exact, strict=True))
        adjusted += made.difference
    assert made.difference == Parts() or late == []


def test_volumes_at_the_edge_of_a_tier() -> None:
    tiers = parse_tiers("100..200:80:0 200..:60:1")
    assert [str(reached(tiers, at)) for at in (0, 99, 100, 199, 200, 10**12)] == [
        "None", "None", "100..200:80:0", "100..200:80:0", "200..:60:1", "200..:60:1"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0..100:80:0 90..:60:0", "VOLUME_TIERS_OVERLAP"),
        ("0..:80:0 90..:60:0", "VOLUME_TIERS_OVERLAP"),
        ("0..100:80:0 110..:60:0", "VOLUME_TIERS_GAP"),
        ("0..100:80:0", "VOLUME_TIERS_GAP"),
        ("0..100:80", "VOLUME_TIER_UNREADABLE"),
        ("100..100:80:0", "VOLUME_TIER_UNREADABLE"),
        ("0..:10001:0", "VOLUME_TIER_UNREADABLE"),
        (" ".join(f"{n}..{n + 1}:1:0" for n in range(17)), "VOLUME_TIER_UNREADABLE"),
    ],
)
def test_tiers_that_are_none_are_refused_in_both_languages(text: str, code: str) -> None:
    with pytest.raises(Problem) as told:
        parse_tiers(text)
    assert told.value.code == code
    assert fees.faults({"volume_tiers": text}) == [told.value.text("en")]
    assert fees.faults({"volume_tiers": text}, "zh-hans") == [told.value.text("zh")]


@pytest.mark.parametrize("more", [{"min_fen": 1}, {"max_fen": 5}, {"steps": "100:1:0"}])
def test_a_months_fee_knows_no_single_taps(more: dict[str, Any]) -> None:
    contract = {"volume_tiers": "0..:80:0", "volume_by": "taps"}
    assert fees.faults(contract) == []
    assert len(fees.faults(contract | more)) == 1
    assert len(fees.faults(contract | {"volume_by": "moons"})) == 1
