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
    from citycard.lab.bank import Bank
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


def settlement(bank: Bank, *, quiet: bool) -> list[str]:
    """Every position of every date is posted once, and paid once or still open: as the bank truly moved."""
    from citycard.office import ledger
    from citycard.office.bank.models import PaymentOrder
    from citycard.office.ledger import chart
    from citycard.office.participants.models import Participant
    from citycard.office.settlement.models import Payment

    found = _posted_once()
    moved: Counter[int] = Counter()
    for name, paid_for in PaymentOrder.objects.values_list("end_to_end", "payment_id"):
        moved[paid_for] += bank.moved[name]
    scheme = {one.pk for one in Participant.objects.all() if "scheme" in one.roles}
    for payment in Payment.objects.all():
        truly = moved[payment.pk] if payment.collects else -moved[payment.pk]
        if payment.participant in scheme:
            truly = payment.amount_fen  # its own part stays on the settlement account
        if payment.paid_fen != truly or truly not in (0, payment.amount_fen):
            found.append(f"{payment}: booked as paid {payment.paid_fen} fen, the bank moved {truly} fen")
        if quiet and payment.open_fen:
            found.append(f"{payment}: {payment.open_fen} fen are still open")
    under_way = sum(-p.open_fen if p.collects else p.open_fen for p in Payment.objects.all())
    for account, ours, theirs in (
        ("the settlement account", -ledger.balance(chart.CASH), bank.held_fen),
        ("payments under way", ledger.balance(chart.BANK), under_way),
        ("money nobody has a use for", ledger.balance(chart.UNALLOCATED), 0),
    ):
        if ours != theirs:
            found.append(f"{account}: our books have {ours} fen, it should be {theirs}")
    return found


def _posted_once() -> list[str]:
    """What is in the ledger of each date is what its run told, no more and no less."""
    from django.db.models import Sum

    from citycard.office.ledger.models import LedgerTransfer
    from citycard.office.settlement.models import Movement, Payment, PositionRow, SettlementRun

    found = []
    for run in SettlementRun.objects.all():
        posted = LedgerTransfer.objects.filter(business_date=run.pk)
        charged = sum(posted.filter(code__in=("purchase", "suspense")).values_list("amount_fen", flat=True))
        told = (
            Movement.objects.filter(run=run, kind=Kind.PURCHASE).aggregate(fen=Sum("amount_fen"))["fen"] or 0
        )
        nets = PositionRow.objects.filter(run=run).values_list("net_fen", flat=True)
        payments = Payment.objects.filter(run=run).values_list("amount_fen", flat=True)
        for what, ours, theirs in (
            ("purchases", charged, told),
            ("positions", _fen(posted, "position"), sum(map(abs, nets))),
            ("payments", _fen(posted, "payment"), sum(payments)),
        ):
            if ours != theirs:
                found.append(f"{run.pk}: {what} of {ours} fen are posted, {theirs} were told")
    return found


def _fen(posted: Any, code: str) -> int:
    return sum(posted.filter(code=code).values_list("amount_fen", flat=True))


def lake(city: City, *, quiet: bool) -> list[str]:
    """Every record that reached the office has one verdict or waits; what it carries are the accounts."""
    from citycard.lab.nights import lake_says
    from citycard.office.ledger.models import LedgerAccount

    found, shadows = lake_says(city.home, quiet=quiet)
    timely = "clock_wrong" not in city.faults.counts  # else which of two balances is newer cannot be told
    for pocket in city.pockets if quiet else ():
        carried = shadows.get(pocket.pan, [])
        account = LedgerAccount.objects.get(pk=f"card:{pocket.pan}").balance_fen
        if carried and (account not in carried[-1:] if timely else account not in carried):
            found.append(f"card {pocket.pan}: clearing carries {carried} fen, its account {account}")
    return found


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
