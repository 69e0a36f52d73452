# SPDX-License-Identifier: Apache-2.0
"""Money: integer minor units (fen), shares that add up, and nothing that floats."""

from __future__ import annotations

from collections.abc import Sequence

FEN_MAX = 2**63 - 1  # every ledger and lake column is a signed 64-bit integer
BASIS = 10_000  # rates are written in basis points: 10 000 = the whole


def check_fen(amount_fen: int, name: str = "amount_fen") -> int:
    """Return the amount if it is a non-negative 64-bit integer, else raise `ValueError`."""
    if isinstance(amount_fen, bool) or not isinstance(amount_fen, int):
        raise ValueError(f"{name} must be an integer of fen, not {type(amount_fen).__name__}")
    if not 0 <= amount_fen <= FEN_MAX:
        raise ValueError(f"{name} must lie between 0 and {FEN_MAX}, not {amount_fen}")
    return amount_fen


def split_fen(total_fen: int, weights: Sequence[int]) -> list[int]:
    """Split a total by integer weights with the largest-remainder rule; the parts add up to the total.

    Ties go to the earlier weight. Negative totals split like their magnitude (a reversal mirrors its
    original). Raises `ValueError` when a weight is negative or all are zero.
    """
    if not weights or min(weights) < 0 or sum(weights) == 0:
        raise ValueError("split_fen needs at least one positive weight and none negative")
    if total_fen < 0:
        return [-part for part in split_fen(-total_fen, weights)]
    whole = sum(weights)
    parts = [total_fen * weight // whole for weight in weights]
    remainders = [total_fen * weight % whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-remainders[i], i))
    for i in order[: total_fen - sum(parts)]:
        parts[i] += 1
    return parts


def share_of(amount_fen: int, basis_points: int) -> int:
    """The given share of an amount in basis points, rounded half up to the fen."""
    return (amount_fen * basis_points + BASIS // 2) // BASIS


def yuan(amount_fen: int) -> str:
    """An amount for people: `-1234` fen is `-12.34`."""
    sign = "-" if amount_fen < 0 else ""
    return f"{sign}{abs(amount_fen) // 100:,}.{abs(amount_fen) % 100:02d}"
