# SPDX-License-Identifier: Apache-2.0
"""What an exchanged tap costs and who owes whom (facts 8.4): whole fen, and every sum is zero.

For a tap of A with the whole fee f, issuer share i and acquirer share a: the issuer pays A - i, the acquirer
receives A - f + a, the hub keeps f - i - a. f is rounded half up, its parts by largest remainder, per tap, so
that an adjustment gives back exactly what was taken. The same four legs are posted in three books, each with
the accounts it has; an adjustment posts them the other way round and names the original.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from citycard.core.ledger import PLAIN, Flag, Transfer
from citycard.core.money import BASIS, share_of, split_fen
from citycard.core.problem import declare

CODE: Final = "exchange"
ADJUSTED: Final = "exchange_adjust"
PAID: Final = "exchange_payment"

RATE_INVALID = declare(
    "RATE_INVALID",
    "Rate {rate} gives away more than its fee, or its fee is no part of the amount. Nothing was changed.",
    "费率 {rate} 的分润超过手续费，或手续费率无效，未作修改。",
)
RATE_AMBIGUOUS = declare(
    "RATE_AMBIGUOUS",
    "Rates {rates} cover a tap of {acquirer} with a card of {issuer} (MCC {mcc}) on {on} equally well."
    " End one of them or fill in more of it.",
    "费率 {rates} 同样适用于 {on} 受理方 {acquirer}、发卡方 {issuer}、MCC {mcc} 的交易。"
    "请终止其一或填写更多条件。",
)


@dataclass(frozen=True, slots=True)
class Rate:
    """A row of the hub's contract: an empty field means any; days inclusive, an open end is None."""

    name: str
    charge_bp: int
    acquirer_bp: int
    issuer_bp: int
    valid_from: date
    valid_until: date | None = None
    acquirer: str = ""
    issuer: str = ""
    mcc: str = ""

    def __post_init__(self) -> None:
        parts = (self.charge_bp, self.acquirer_bp, self.issuer_bp)
        if min(parts) < 0 or self.acquirer_bp + self.issuer_bp > self.charge_bp or self.charge_bp > BASIS:
            raise RATE_INVALID(rate=self.name)

    def covers(self, mcc: str, acquirer: str, issuer: str, on: date) -> bool:
        """Whether this row is about such a tap on such a day."""
        pairs = ((self.mcc, mcc), (self.acquirer, acquirer), (self.issuer, issuer))
        in_time = self.valid_from <= on and (self.valid_until is None or on <= self.valid_until)
        return in_time and all(mine in ("", theirs) for mine, theirs in pairs)


class Parts(NamedTuple):
    """The money of one tap: amount, whole fee, issuer's and acquirer's share of it."""

    amount_fen: int
    fee_fen: int
    issuer_share_fen: int
    acquirer_share_fen: int

    @property
    def issuer_net_fen(self) -> int:
        """What the issuer's position changes by."""
        return self.issuer_share_fen - self.amount_fen

    @property
    def acquirer_net_fen(self) -> int:
        """What the acquirer's position changes by."""
        return self.amount_fen - self.fee_fen + self.acquirer_share_fen

    @property
    def hub_net_fen(self) -> int:
        """What the hub keeps."""
        return self.fee_fen - self.issuer_share_fen - self.acquirer_share_fen

    def less(self, other: Parts) -> Parts:
        """What is left when `other` is taken off."""
        return Parts(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


def rate_for(rates: Iterable[Rate], mcc: str, acquirer: str, issuer: str, on: date) -> Rate | None:
    """The row in force that says most about this tap, or None; RATE_AMBIGUOUS when two say as much."""
    fit = [rate for rate in rates if rate.covers(mcc, acquirer, issuer, on)]
    if not fit:
        return None
    most = max(_said(rate) for rate in fit)
    best = [rate for rate in fit if _said(rate) == most]
    if len(best) > 1:
        names = ", ".join(sorted(rate.name for rate in best))
        raise RATE_AMBIGUOUS(rates=names, mcc=mcc, acquirer=acquirer, issuer=issuer, on=on)
    return best[0]


def _said(rate: Rate) -> int:
    return sum(1 for field in (rate.mcc, rate.acquirer, rate.issuer) if field)


def parts_of(amount_fen: int, rate: Rate) -> Parts:
    """The money of a tap under a rate."""
    fee_fen = share_of(amount_fen, rate.charge_bp)
    if not fee_fen:
        return Parts(amount_fen, 0, 0, 0)
    rest_bp = rate.charge_bp - rate.issuer_bp - rate.acquirer_bp
    issuer, acquirer, _ = split_fen(fee_fen, (rate.issuer_bp, rate.acquirer_bp, rest_bp))
    return Parts(amount_fen, fee_fen, issuer, acquirer)


class Books(NamedTuple):
    """The accounts of one office: whose money the four legs move between."""

    issuer: str
    acquirer: str
    hub: str


def clearing_legs(serial: int, parts: Parts, books: Books, on: date) -> list[Transfer]:
    """A cleared tap as one chain; legs between an account and itself, or of nothing, are left out."""
    return _chain(f"exchange:{serial:012d}", parts, books, on, CODE, forwards=True)


def adjustment_legs(number: int, serial: int, back: Parts, books: Books, on: date) -> list[Transfer]:
    """An adjustment that gives `back` part or all of a tap; refers to the tap's serial."""
    name = f"adjust:{number:012d}"
    chain = _chain(name, back, books, on, ADJUSTED, forwards=False)
    return [replace(leg, ref=f"exchange:{serial:012d}") for leg in chain]


def _chain(name: str, parts: Parts, books: Books, on: date, code: str, *, forwards: bool) -> list[Transfer]:
    legs = (
        ("fare", books.issuer, books.acquirer, parts.amount_fen),
        ("fee", books.acquirer, books.hub, parts.fee_fen),
        ("issuer", books.hub, books.issuer, parts.issuer_share_fen),
        ("acquirer", books.hub, books.acquirer, parts.acquirer_share_fen),
    )
    made = []
    for leg, payer, payee, fen in legs:
        if payer == payee or not fen:
            continue
        debit, credit = (payer, payee) if forwards else (payee, payer)
        made.append(
            Transfer(f"{name}:{leg}", debit, credit, fen, code, Flag.LINKED, business_date=on, ref=name)
        )
    return [*made[:-1], *(replace(last, flags=PLAIN) for last in made[-1:])]


def positions(
    rows: Iterable[Mapping[str, Any]],
    hub: str,
    settled_on: date,
    member_of: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, list[dict[str, Any]]]:
    """BP rows of each member for a date: one for each counterparty, then the net against the hub.

    `rows` have issuer_org, acquirer_org, sign (1 cleared, -1 adjusted) and the four amounts. `member_of` says
    which member answers for an issuer of another company code: its positions stand under its own code among
    that member's rows and count in its net. The nets of all members and the hub's own add up to zero.
    """
    sums: dict[tuple[str, str, str], list[int]] = {}
    for row in rows:
        parts = Parts(*(row["sign"] * row[name] for name in Parts._fields))
        issuer, acquirer = row["issuer_org"], row["acquirer_org"]
        sides = ((member_of.get(issuer, issuer), issuer, acquirer, parts.issuer_net_fen),
                 (acquirer, acquirer, issuer, parts.acquirer_net_fen))  # fmt: skip
        for member, whose, counterparty, net_fen in sides:
            line = sums.setdefault((member, whose, counterparty), [0] * 6)
            for at, value in enumerate((row["sign"], *parts, net_fen)):
                line[at] += value
    told: dict[str, list[dict[str, Any]]] = {}
    for (member, whose, counterparty), line in sorted(sums.items()):
        told.setdefault(member, []).append(_position(settled_on, whose, counterparty, line))
    for member, lines in told.items():
        total = [sum(row[name] for row in lines) for name in _COLUMNS]
        lines.append(_position(settled_on, member, hub, total))
    return told


_COLUMNS: Final = ("taps", "amount_fen", "fee_fen", "issuer_share_fen", "acquirer_share_fen", "net_fen")


def _position(settled_on: date, member: str, counterparty: str, line: list[int]) -> dict[str, Any]:
    head = {"settled_on": settled_on, "member_org": member, "counterparty_org": counterparty}
    return head | dict(zip(_COLUMNS, line, strict=True))
