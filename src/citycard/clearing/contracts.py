# SPDX-License-Identifier: Apache-2.0
"""Which contract row covers a tap: the most specific one in force, decided once per distinct combination."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from citycard.clearing.problems import CONTRACT_AMBIGUOUS
from citycard.clearing.rules import LOAD_SERVICE
from citycard.core import fees
from citycard.core.tables import Row

Combination = tuple[int, str, str, date]  # service, acquirer, issuer, business date


def covering(contracts: Iterable[Row], combination: Combination) -> Row | None:
    """The row that fills in most of service, acquirer and issuer, or None; CONTRACT_AMBIGUOUS on a tie.

    Rows with an empty service cover every service but loads (service 0), which only a row of their own
    does.
    """
    service, acquirer, issuer, day = combination
    best: list[Row] = []
    most = -1
    for row in contracts:
        wanted = ((row["service"], service), (row["acquirer"], acquirer), (row["issuer"], issuer))
        if any(given is not None and given != value for given, value in wanted):
            continue
        if service == LOAD_SERVICE and row["service"] is None:
            continue
        if day < row["valid_from"] or (row["valid_until"] is not None and day > row["valid_until"]):
            continue
        filled = sum(given is not None for given, _ in wanted)
        if filled > most:
            best, most = [row], filled
        elif filled == most:
            best.append(row)
    if len(best) > 1:
        names = ", ".join(sorted(str(row["contract"]) for row in best))
        raise CONTRACT_AMBIGUOUS(contracts=names, service=service, acquirer=acquirer, issuer=issuer, date=day)
    return best[0] if best else None


def rates(contracts: Sequence[Row], combinations: Iterable[Combination]) -> list[Row]:
    """One row of rates per combination that a contract covers, with the payers named.

    `concession_payer` and `transfer_payer` are participants; a discount the acquirer bears moves no money.
    A load no row covers has rates of zero: the retailer owes the issuer what was loaded. `fees` are the
    contract's steps as `core.fees` reads them, the same for all rows of a `fee_no`.
    """
    found = []
    # By its place among all contracts, so that rates asked for one by one never share a number.
    numbers = {"": 0} | {row["contract"]: number for number, row in enumerate(contracts, 1)}
    for combination in combinations:
        service, acquirer, issuer, day = combination
        row = covering(contracts, combination)
        if row is None and service != LOAD_SERVICE:
            continue
        name = row["contract"] if row else ""
        whole, acquirer_part, issuer_part = fees.parts(row)
        payer = {"acquirer": acquirer, "issuer": issuer}
        bears = {
            field: payer.get(row[field], row[field]) if row else acquirer
            for field in ("concession_payer", "transfer_payer")
        }
        found.append(
            {
                "rate_service": service,
                "acquirer": acquirer,
                "issuer": issuer,
                "business_date": day,
                "contract": name,
                "charge_bp": whole,
                "acquirer_bp": acquirer_part,
                "issuer_bp": issuer_part,
                **bears,
                "fee_no": numbers[name],
                "fees": ";".join(":".join(map(str, tier)) for tier in fees.tiers(row)),
            }
        )
    return found
