# SPDX-License-Identifier: Apache-2.0
"""What a contract charges for one tap: rate and fixed part by the amount's step, within a least and a most.

A fee is never more than the tap's amount, so that nobody pays for having carried somebody free. How it is
divided stands beside it: by the parts of the rate, or by parts of the fee where the contract names those.
What the month's volume makes of the fees charged is `core.volume`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from citycard.core import volume
from citycard.core.money import BASIS
from citycard.core.problem import Problem, declare

STEPS_MAX: Final = 16  # of one contract: no rate table in the field has more
NO_MOST: Final = 2**53 - 1  # above every amount engines compute with
Contract = Mapping[str, Any]  # a row of `core.tables.CONTRACTS`
Tier = tuple[int, int, int]  # amounts up to this many fen: basis points, fixed fen

VOLUME_TIERS_BOUNDED = declare(
    "VOLUME_TIERS_BOUNDED",
    "Volume tiers set the fee of a whole month: a contract with them has no steps, least or largest fee.",
    "阶梯费率决定全月费用：设有阶梯费率的合同不能再设分段、最低或最高手续费。",
)
VOLUME_MEASURE_UNKNOWN = declare(
    "VOLUME_MEASURE_UNKNOWN",
    "A month's volume is measured by amount or by taps, not by {value!r}.",
    "月交易量按 amount（金额）或 taps（笔数）计算，不能是“{value}”。",
)


def parse_steps(text: str | None) -> list[Tier]:
    """`up_to_fen:charge_bp:fixed_fen`, separated by spaces, amounts rising; `ValueError` says why not."""
    tiers: list[Tier] = []
    for part in (text or "").split():
        numbers = part.split(":")
        if len(numbers) != 3 or not all(n.isdigit() and len(n) <= 15 for n in numbers):
            raise ValueError(f"a step is up_to_fen:charge_bp:fixed_fen, not {part[:40]!r}")
        up_to, bp, fixed = map(int, numbers)
        if tiers and up_to <= tiers[-1][0]:
            raise ValueError(f"steps rise, {up_to} fen does not")
        if bp > BASIS:
            raise ValueError(f"a step charges {bp} basis points, which is more than the amount")
        tiers.append((up_to, bp, fixed))
    if len(tiers) > STEPS_MAX:
        raise ValueError(f"there are more than {STEPS_MAX} steps")
    return tiers


def tiers(contract: Contract | None) -> list[tuple[int, ...]]:
    """The contract's steps as (above, up to, basis points, fixed, least, most); the last has no end."""
    row: Contract = contract or {}
    most = row.get("max_fen")
    bounds = (row.get("min_fen") or 0, NO_MOST if most is None else most)
    found, above = [], -1
    for up_to, bp, fixed in parse_steps(row.get("steps")):
        found.append((above, up_to, bp, fixed, *bounds))
        above = up_to
    return [*found, (above, NO_MOST, row.get("charge_bp") or 0, row.get("fixed_fen") or 0, *bounds)]


def fee_of(contract: Contract | None, amount_fen: int) -> int:
    """The fee of a tap of this amount: the rule clearing's expressions are held against."""
    for above, up_to, bp, fixed, least, most in tiers(contract):
        if above < amount_fen <= up_to:
            fee = (amount_fen * bp + BASIS // 2) // BASIS + fixed
            return min(amount_fen, most, max(least, fee))
    raise AssertionError("steps cover every amount")


def parts(contract: Contract | None) -> tuple[int, int, int]:
    """Weights that divide the fee: the whole, the acquirer's, the issuer's; the scheme has the rest."""
    row: Contract = contract or {}
    if row.get("fee_acquirer_bp") is not None or row.get("fee_issuer_bp") is not None:
        return BASIS, row.get("fee_acquirer_bp") or 0, row.get("fee_issuer_bp") or 0
    whole = row.get("charge_bp") or 0
    # a contract of fixed fees that names no parts leaves the fee to the scheme
    return (whole, row.get("acquirer_bp") or 0, row.get("issuer_bp") or 0) if whole else (1, 0, 0)


def faults(contract: Contract, language: str = "en") -> list[str]:
    """What contradicts itself in a contract's fees, in words."""
    told = _volume_faults(contract, language)
    try:
        tiers(contract)
    except ValueError as fault:
        told.append(str(fault))
    whole, acquirer, issuer = parts(contract)
    if min(acquirer, issuer) < 0 or acquirer + issuer > whole or whole > BASIS:
        told.append(f"it gives away more than its fee of {whole} basis points")
    if min(contract.get("fixed_fen") or 0, contract.get("min_fen") or 0, contract.get("charge_bp") or 0) < 0:
        told.append("a fee is below zero")
    if contract.get("max_fen") is not None and contract["max_fen"] < (contract.get("min_fen") or 0):
        told.append("max_fen is below min_fen")
    return told


def _volume_faults(contract: Contract, language: str) -> list[str]:
    """What is wrong with fees by the month's volume: these know turnover and taps, not single amounts."""
    try:
        found = volume.parse_tiers(contract.get("volume_tiers"))
    except Problem as fault:
        return [fault.text(language)]
    bounded = contract.get("steps") or contract.get("min_fen") or contract.get("max_fen") is not None
    if found and bounded:
        return [VOLUME_TIERS_BOUNDED().text(language)]
    if found and contract.get("volume_by") not in volume.MEASURES:
        return [VOLUME_MEASURE_UNKNOWN(value=contract.get("volume_by")).text(language)]
    return []
