# SPDX-License-Identifier: Apache-2.0
"""What the three offices' books must say at the end: of themselves, each other and the fault-free twin.

`look` reads the books of the office whose seat is taken; `between` and `beside` hold what was read side by
side. All three give failures in words; none is a good end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from citycard.core.interop.states import AT_REST
from citycard.lab.interop.towns import CITIES, HUB, Town

ENDED: Final = frozenset({"adjusted", "dismissed", "closed"})  # stages of a dispute nothing follows
FARE: Final = "fare"  # the leg of a cleared tap that carries its amount


class Cleared(NamedTuple):
    """An exchanged tap as an office has it; between offices all of it is the same."""

    state: str
    amount_fen: int
    serial: int | None
    settled_on: str


@dataclass(frozen=True, slots=True)
class Seen:
    """An office's part of the exchange."""

    taps: dict[str, Cleared]  # by presentment
    records: dict[
        str, tuple[str, bool]
    ]  # our terminals': record and whether it corrects another, by the same
    stages: dict[str, str]  # of disputes, by who raised it and case
    nets: dict[str, dict[str, int]]  # by date and member: fen
    accounts: dict[str, int]  # of cards, and what is due to their holders: fen
    wrong: list[str]

    @property
    def totals(self) -> dict[str, int]:
        """Nets of all dates together, by member."""
        found: Counter[str] = Counter()
        for nets in self.nets.values():
            found.update(nets)
        return dict(found)


def look() -> Seen:
    """This office's books; `wrong` is what contradicts itself there, or is not at its end."""
    from citycard.office.disputes.models import Dispute
    from citycard.office.ledger.models import LedgerAccount
    from citycard.office.partners.models import ExchangedTap
    from citycard.office.partners.reconcile import reconcile

    found = reconcile()
    taps, records = {}, {}
    for tap in ExchangedTap.objects.all():
        taps[tap.ref] = Cleared(tap.state, tap.amount_fen, tap.serial, str(tap.settled_on))
        if tap.side == "acquirer":
            records[tap.ref] = tap.tap, bool(tap.corrects)
    stages = {f"{one.originator_org}/{one.case}": one.stage for one in Dispute.objects.all()}
    wrong = [] if found.agrees else [f"does not agree with itself: {found.as_json()}"]
    if found.files.get("waiting"):
        wrong.append(f"{found.files['waiting']} files wait")
    wrong += [
        f"tap {ref} is {one.state}, not at rest" for ref, one in taps.items() if one.state not in AT_REST
    ]
    wrong += [f"dispute {case} is {stage}" for case, stage in stages.items() if stage not in ENDED]
    wrong += _booked_once(taps)
    holders = LedgerAccount.objects.filter(kind__in=("card", "due"))
    accounts = {one.id: one.balance_fen for one in holders}
    return Seen(taps, records, stages, found.nets, accounts, wrong)


def _booked_once(taps: Mapping[str, Cleared]) -> list[str]:
    """Every cleared tap is booked, once, with the amount it was cleared for."""
    from citycard.core.interop import money
    from citycard.office.ledger.models import LedgerTransfer

    booked: Counter[int] = Counter()
    for name, fen in LedgerTransfer.objects.filter(code=money.CODE).values_list("id", "amount_fen"):
        _, serial, leg = name.split(":")
        booked[int(serial)] += fen if leg == FARE else 0
    cleared: Counter[int] = Counter()
    for one in taps.values():
        cleared[one.serial or 0] += one.amount_fen if one.serial else 0
    return [
        f"clearing serial {serial}: booked {booked[serial]} fen, cleared {cleared[serial]}"
        for serial in sorted(booked.keys() | cleared.keys())
        if booked[serial] != cleared[serial]
    ]


def settled_once() -> list[str]:
    """At a city, of our cards' taps elsewhere: our clearing accepted each verified one exactly once."""
    from citycard.office.partners.models import ExchangedTap
    from citycard.office.settlement.models import Tap

    accepted = Counter(Tap.objects.filter(verdict="accepted").values_list("tap", flat=True))
    good = ExchangedTap.objects.filter(side="issuer", error="000000").values_list("tap", flat=True)
    found = [
        f"tap {tap} was verified and accepted {accepted[tap]} times" for tap in good if accepted[tap] != 1
    ]
    twice = [tap for tap, times in Counter(good).items() if times > 1]
    return found + [f"tap {tap} was verified twice" for tap in twice]


def between(seen: Mapping[Town, Seen]) -> list[str]:
    """Where the offices say different things of the same tap, dispute or date."""
    hub = seen[HUB]
    found = []
    for town in CITIES:
        own = seen[town]
        found += [
            f"tap {ref} is {hub.taps.get(ref)} at the hub, {tap} in {town.en}"
            for ref, tap in own.taps.items()
            if hub.taps.get(ref) != tap
        ]
        found += [
            f"dispute {case} is {hub.stages.get(case)} at the hub, {stage} in {town.en}"
            for case, stage in own.stages.items()
            if hub.stages.get(case) != stage
        ]
        for day in sorted(hub.nets.keys() | own.nets.keys()):
            theirs, ours = hub.nets.get(day, {}).get(town.org, 0), own.nets.get(day, {}).get(HUB.org, 0)
            if theirs + ours:
                found.append(f"{day}: the hub owes {town.en} {theirs} fen, its books say {-ours}")
    parts = sum((Counter(seen[town].taps.keys()) for town in CITIES), Counter[str]())
    found += [f"{ref} is known to {parts[ref]} cities" for ref in hub.taps if parts[ref] != len(CITIES)]
    return found


def beside(seen: Mapping[Town, Seen], twin: Mapping[Town, Seen]) -> list[str]:
    """Where the end is another one than that of the same life without faults: money, taps, cards."""
    found = []
    for town, own in seen.items():
        other = twin[town]
        pairs: tuple[tuple[str, Mapping[Any, Any], Mapping[Any, Any]], ...] = (
            ("positions", own.totals, other.totals),
            ("accounts", own.accounts, other.accounts),
            ("taps", _ends(own), _ends(other)),
        )
        found += [
            f"{town.en}: {what} are {_less(ours, theirs)}, without faults {_less(theirs, ours)}"
            for what, ours, theirs in pairs
            if ours != theirs
        ]
    return found


def _ends(seen: Seen) -> dict[tuple[str, bool], tuple[str, int]]:
    """How each record of our terminals ended; serials and dates may be others."""
    return {key: seen.taps[ref][:2] for ref, key in seen.records.items()}


def _less(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: value for key, value in one.items() if other.get(key) != value}
