# SPDX-License-Identifier: Apache-2.0
"""Asks whether this office's part of the exchange agrees: books, positions, files, and taps at rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from citycard.core.interop.states import AT_REST
from citycard.core.money import yuan
from citycard.office import ledger
from citycard.office.ledger import chart
from citycard.office.ledger.models import LedgerAccount
from citycard.office.partners import books, desk
from citycard.office.partners.models import ExchangedTap, ExchangeFile, ExchangeHold, ExchangePosition, Member


@dataclass(slots=True)
class Agreement:
    """What was found; `sound` sums it up."""

    ledger_balanced: bool
    positions_sum_fen: int
    nets: dict[str, dict[str, int]]  # date: member (for a city: the hub alone): net fen by our books
    differing: list[str] = field(default_factory=list)  # dates on which BP and books differ
    decided: list[str] = field(default_factory=list)  # those of which two people have paid ours
    states: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Books balance, and every date's positions are those of the books, or were decided about."""
        return self.ledger_balanced and self.positions_sum_fen == 0 and not self.differing

    @property
    def sound(self) -> bool:
        """Everything agrees and nothing is under way: all taps at rest, no file waits."""
        resting = {state.value for state in AT_REST}
        waiting = self.files.get(ExchangeFile.Status.WAITING.value)
        return self.agrees and not waiting and set(self.states) <= resting

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"agrees": self.agrees, "sound": self.sound}

    def as_text(self) -> str:
        """For people."""
        lines = [
            f"ledger    {'balanced' if self.ledger_balanced else 'OUT OF BALANCE'}, "
            f"positions add up to {self.positions_sum_fen} fen"
        ]
        for day, nets in self.nets.items():
            told = ", ".join(f"{org} {yuan(fen)}" for org, fen in nets.items())
            note = "  DIFFERS from the positions told" if day in self.differing else ""
            note = "  paid although it differs from the positions told" if day in self.decided else note
            lines.append(f"{day} {told}{note}")
        for what, found in (("taps", self.states), ("files", self.files)):
            lines.append(
                f"{what:<9} " + (", ".join(f"{name} {n}" for name, n in sorted(found.items())) or "none")
            )
        lines.append("all agree" if self.agrees else "THESE DO NOT AGREE")
        return "\n".join(lines)


def reconcile() -> Agreement:
    """Check everything; reads only."""
    us = desk.own()
    members = {chart.position(one.participant): one.org for one in Member.objects.exclude(pk=us.org)}
    if not us.is_hub:
        members = {account: org for account, org in members.items() if org == us.hub}
    found = Agreement(
        ledger.trial_balance().balanced,
        sum(one.balance_fen for one in LedgerAccount.objects.filter(kind="position")),
        {},
    )
    told = ExchangePosition.objects.filter(counterparty_org=us.hub)
    days = set(told.values_list("settled_on", flat=True))
    settled = ExchangedTap.objects.values_list("settled_on", flat=True).order_by().distinct()
    days |= {on for on in settled if on is not None}
    paid = set(ExchangeHold.objects.filter(state=ExchangeHold.State.PAID).values_list("pk", flat=True))
    for on in sorted(days):
        nets = books.nets(on)
        ours = {org: nets.get(account, 0) for account, org in members.items()}
        found.nets[on.isoformat()] = ours
        if _differs(on, ours, us):
            (found.decided if on in paid else found.differing).append(on.isoformat())
    found.states = dict(Counter(ExchangedTap.objects.values_list("state", flat=True)))
    found.files = dict(Counter(ExchangeFile.objects.values_list("status", flat=True)))
    return found


def _differs(on: date, ours: dict[str, int], us: desk.Own) -> bool:
    """Whether the positions told for a date are not those of the books."""
    if not us.is_hub:
        return bool(books.differences(on))
    told = dict(
        ExchangePosition.objects.filter(settled_on=on, counterparty_org=us.hub).values_list(
            "member_org", "net_fen"
        )
    )
    return any(told.get(org, 0) != net for org, net in ours.items())
