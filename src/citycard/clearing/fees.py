# SPDX-License-Identifier: Apache-2.0
"""The fees of `core.fees` as expressions: each tap with the step its amount falls into."""

from __future__ import annotations

from typing import Final

from citycard.clearing.engine import Expression
from citycard.core.money import BASIS

FIELDS: Final = (
    "above_fen",
    "up_to_fen",
    "fee_bp",
    "fixed_fen",
    "least_fen",
    "most_fen",
)  # `core.fees.tiers`


def _steps(rates: Expression) -> Expression:
    """The steps of all contracts of the run, a row each."""
    t = rates.select("fee_no", "fees").distinct()
    t = t.select("fee_no", step=t.fees.split(";").unnest())
    cells = t.step.split(":")
    return t.select("fee_no", **{name: cells[at].cast("int64") for at, name in enumerate(FIELDS)})


def charged(t: Expression, rates: Expression) -> Expression:
    """Rated taps with their fee, each by the step its amount falls into."""
    fees = _steps(rates)
    bounds = [t.fee_no == fees.fee_no, t.amount_fen > fees.above_fen, t.amount_fen <= fees.up_to_fen]
    t = t.inner_join(fees, bounds).select(t, *FIELDS)
    half_up = t.amount_fen * t.fee_bp + BASIS // 2
    # whole numbers only: see `money.whole`
    t = t.mutate(fee_fen=((half_up - half_up % BASIS) / BASIS).cast("int64") + t.fixed_fen)
    t = t.mutate(fee_fen=(t.fee_fen < t.least_fen).ifelse(t.least_fen, t.fee_fen))
    t = t.mutate(fee_fen=(t.fee_fen > t.most_fen).ifelse(t.most_fen, t.fee_fen))
    t = t.mutate(fee_fen=(t.fee_fen > t.amount_fen).ifelse(t.amount_fen, t.fee_fen))
    return t.drop(*FIELDS)
