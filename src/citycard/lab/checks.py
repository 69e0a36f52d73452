# SPDX-License-Identifier: Apache-2.0
"""What must be true of money after every day, whatever went wrong in it.

The chips are the truth: what each was debited and credited is read off the chip itself at every
presentation. The office's books must follow from it, but for taps that are still under way, and those must
be found: in a terminal's journal, in an open intent, waiting in clearing.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from citycard.core.record import Kind
from citycard.lab.demo import chip_balance

if TYPE_CHECKING:
    from citycard.lab.city import City

OPEN_MAX: Final = 12  # open debits of one card that are tried in all combinations


class Truth:
    """What the chips were debited and credited, read off them around each presentation."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._held: dict[int, int] = {}
        self.debited: Counter[str] = Counter()
        self.credited: Counter[str] = Counter()

    def before(self, card: int) -> None:
        """The card is about to be used."""
        self._held[card] = chip_balance(self._city.pockets[card])

    def after(self, card: int) -> None:
        """The card was presented once."""
        pocket = self._city.pockets[card]
        held = chip_balance(pocket)
        change = held - self._held[card]
        self._held[card] = held
        (self.credited if change > 0 else self.debited)[pocket.pan] += abs(change)


def money(city: City, truth: Truth, *, quiet: bool) -> list[str]:
    """Every failure in words; none is a good day. `quiet`: nothing may be under way any more."""
    return [*_books(quiet), *_once(), *_cards(city, truth, quiet)]


def _books(quiet: bool) -> list[str]:
    from citycard.office.ledger import trial_balance
    from citycard.office.ledger.models import LedgerAccount

    found = [] if trial_balance().balanced else ["the ledger is out of balance"]
    for kind in ("position", "clearing"):
        rows = LedgerAccount.objects.filter(kind=kind).values_list("credits_posted", "debits_posted")
        total = sum(credit - debit for credit, debit in rows)
        if total:
            found.append(f"{kind} accounts add up to {total} fen")
    suspense = LedgerAccount.objects.filter(kind="suspense").values_list("credits_posted", "debits_posted")
    if quiet and any(credit != debit for credit, debit in suspense):
        found.append("money stands in suspense")
    return found


def _once() -> list[str]:
    """No record is accepted twice, under its own number or under the card's counter."""
    from django.db.models import Count

    from citycard.office.settlement.models import Tap

    accepted = Tap.objects.filter(verdict="accepted").order_by()
    found = []
    for columns in (("tap",), ("pan", "kind", "counter")):
        twice = accepted.values(*columns).annotate(n=Count("id")).filter(n__gt=1)
        found += [f"accepted twice: {row}" for row in twice]
    return found


def _cards(city: City, truth: Truth, quiet: bool) -> list[str]:
    from citycard.office.intake.models import Load
    from citycard.office.ledger.models import LedgerAccount
    from citycard.office.settlement import suspense

    waiting, intents = _under_way(city)
    waiting.update(suspense.outstanding())
    pending: dict[str, list[int]] = {}
    for pan, amount in Load.objects.filter(status="pending").values_list("card_id", "amount_fen"):
        pending.setdefault(pan, []).append(amount)
    accounts: dict[str, Any] = LedgerAccount.objects.in_bulk([f"card:{p.pan}" for p in city.pockets])
    found = []
    for pocket in city.pockets:
        account, pan = accounts[f"card:{pocket.pan}"], pocket.pan
        taken = truth.debited[pan] - account.debits_posted - waiting[pan]
        if not _sum_of(taken, intents.get(pan, [])):
            found.append(
                f"card {pan} was debited {truth.debited[pan]} fen, its account {account.debits_posted}, "
                f"{waiting[pan]} wait, intents {intents.get(pan, [])}"
            )
        given = truth.credited[pan] - account.credits_posted
        if not _sum_of(given, pending.get(pan, [])):
            found.append(
                f"card {pan} was credited {truth.credited[pan]} fen, its account {account.credits_posted}, "
                f"pending loads {pending.get(pan, [])}"
            )
        if quiet and (taken or given or waiting[pan] or intents.get(pan)):
            found.append(f"card {pan} is not at rest: {taken} taken, {given} given, {waiting[pan]} wait")
    return found


def _under_way(city: City) -> tuple[Counter[str], dict[str, list[int]]]:
    """Purchases recorded and not yet accepted, per card; and amounts of debits nobody has proven yet."""
    from citycard.office.settlement.models import Tap

    waiting: Counter[str] = Counter()
    intents: dict[str, list[int]] = {}
    known: dict[str, tuple[str, str, int]] = {}
    for tap, verdict, pan, amount in (
        Tap.objects.filter(kind=Kind.PURCHASE)
        .order_by("run_id")
        .values_list("tap", "verdict", "pan", "amount_fen")
    ):  # the newest verdict on a record counts; a repeated delivery is no verdict on the record
        if known.get(tap, ("", "", 0))[0] != "accepted":
            known[tap] = (verdict, pan, amount)
    for verdict, pan, amount in known.values():
        waiting[pan] += amount if verdict == "suspended" else 0
    for post in city.posts.values():
        for record in post.terminal.journal.records():
            if record.kind == Kind.PURCHASE and record.id not in known:
                waiting[record.pan] += record.amount_fen
        for intent in post.terminal.journal.intents.values():
            if intent.record.kind == Kind.PURCHASE:
                intents.setdefault(intent.record.pan, []).append(intent.record.amount_fen)
    return waiting, intents


def _sum_of(total: int, parts: list[int]) -> bool:
    """Whether some of the parts add up to the total."""
    assert len(parts) <= OPEN_MAX
    return any(sum(chosen) == total for n in range(len(parts) + 1) for chosen in combinations(parts, n))
