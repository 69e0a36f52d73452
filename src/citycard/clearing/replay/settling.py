# SPDX-License-Identifier: Apache-2.0
"""Clears the re-rated rows and nets what the companies, the issuer, the scheme and payers owe each other.

The arithmetic is that of the clearing day (`citycard.clearing.money`), tap by tap; rows that are alike are
computed once and counted. Rows without an explanation are not settled: they are suspended.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from citycard.blueprints import Scheme
from citycard.clearing.contracts import rates
from citycard.clearing.replay.rating import KEYS, UNEXPLAINED
from citycard.clearing.replay.staging import Connection
from citycard.core.money import share_of, split_fen
from citycard.core.tables import Row
from citycard.services import service_named
from citycard.services.contract import Place, Weights

BATCH: Final = 10_000  # groups of like rows fetched at a time


@dataclass(slots=True)
class Position:
    """What one participant gets and owes, in fen."""

    receivable_fen: int = 0
    payable_fen: int = 0

    @property
    def net_fen(self) -> int:
        """Positive: is owed money."""
        return self.receivable_fen - self.payable_fen


@dataclass(slots=True)
class Clearing:
    """Adds up shares, one group of like rows after another.

    Participants go by their id; a company the scheme does not know goes by its name.
    """

    scheme: Scheme
    positions: defaultdict[str, Position] = field(default_factory=lambda: defaultdict(Position))
    contracts: dict[str, int] = field(default_factory=dict)  # taps settled under each
    settled_fen: int = 0
    uncovered_fen: int = 0  # charged where no contract covers the tap: suspended
    _rates: dict[tuple[date, str, str], Row | None] = field(default_factory=dict)

    def add(self, day: date, place: Place, service: str, fare: tuple[int, int, int], taps: int) -> None:
        """Settle `taps` like rows of a fare (charged, concession, transfer; in fen)."""
        charged, concession, transfer = fare
        rate = self._rate(day, service, place.acquirer)
        if rate is None:
            self.uncovered_fen += charged * taps
            return
        self.contracts[rate["contract"]] = self.contracts.get(rate["contract"], 0) + taps
        issuer, scheme = self.scheme.issuers[0].id, self.scheme.with_role("scheme")[0].id
        fee = share_of(charged, rate["charge_bp"])
        parts = [rate["issuer_bp"], rate["acquirer_bp"]]
        parts.append(rate["charge_bp"] - sum(parts))
        fees = split_fen(fee, parts) if fee else [0, 0, 0]
        entries = [(issuer, -charged), *zip((issuer, place.acquirer, scheme), fees, strict=True)]
        weights = self._weights(day, place, service)
        entries += _divided(charged - fee, weights)
        for discount, payer in ((concession, rate["concession_payer"]), (transfer, rate["transfer_payer"])):
            if payer != place.acquirer:
                entries += [(payer, -discount), *_divided(discount, weights)]
        assert sum(amount for _, amount in entries) == 0, "the shares of a tap add up to zero"
        self.settled_fen += charged * taps
        for participant, amount in entries:
            if not amount:
                continue
            position = self.positions[participant]
            position.receivable_fen += max(0, amount) * taps
            position.payable_fen += max(0, -amount) * taps

    def _rate(self, day: date, service: str, acquirer: str) -> Row | None:
        """Rates and payers of a tap's contract; none if no contract covers it."""
        key = (day, service, acquirer)
        if key not in self._rates:
            combination = (service_named(service).code, acquirer, self.scheme.issuers[0].id, day)
            self._rates[key] = next(iter(rates(self.scheme.contract_rows(), [combination])), None)
        return self._rates[key]

    def _weights(self, day: date, place: Place, service: str) -> Weights:
        tariff = self.scheme.tariff(service, day)
        assert tariff is not None, "the rows were re-rated with it"
        return service_named(service).shares(place, tariff.config, self.scheme.operators)

    def as_rows(self) -> list[dict[str, Any]]:
        """Positions for the report, by name, in the order of the scheme."""
        known = {p.id: p for p in self.scheme.participants}
        order = {key: number for number, key in enumerate(known)}
        return [
            {
                "participant": key,
                "name_en": known[key].name_en if key in known else key,
                "name_zh": known[key].name_zh if key in known else key,
                "receivable_fen": position.receivable_fen,
                "payable_fen": position.payable_fen,
                "net_fen": position.net_fen,
            }
            for key, position in sorted(
                self.positions.items(), key=lambda i: (order.get(i[0], len(order)), i[0])
            )
        ]


def _divided(amount: int, weights: Weights) -> list[tuple[str, int]]:
    parts = split_fen(amount, [weight for _, weight in weights])
    return [(participant, part) for (participant, _), part in zip(weights, parts, strict=True)]


def settle(db: Connection, scheme: Scheme) -> Clearing:
    """Clear all explained rows of the file under the scheme's contracts in force on their days."""
    clearing = Clearing(scheme)
    lines = {line.name_zh: line.number for line in scheme.lines}
    group = "period, service, company, entry_company, charged_fen, concession_fen, transfer_fen"
    reader = db.cursor().execute(
        f"""SELECT {group}, count(*)
            FROM (SELECT t.*, m.entry_company FROM taps t LEFT JOIN metro m USING (row)
                  WHERE dropped IS NULL AND t.event <> 'enter') JOIN rated USING ({", ".join(KEYS)})
            WHERE outcome <> '{UNEXPLAINED}' GROUP BY {group} ORDER BY {group}"""
    )
    while batch := reader.fetchmany(BATCH):
        for day, service, company, entry_company, charged, concession, transfer, taps in batch:
            line = lines.get(company, 0)
            acquirer = scheme.operators.get(line, company)
            place = Place(acquirer, line, 0, lines.get(entry_company or "", 0), 0)
            clearing.add(day, place, service, (charged, concession, transfer), taps)
    return clearing
