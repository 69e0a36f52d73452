# SPDX-License-Identifier: Apache-2.0
"""Migration of a retired M1 card's money to a CPU card: the office's side, each step once for ever.

    take_over   card:old -> due:new     transfer migrate:{id}:migrate; the old card is replaced and hotlisted
    begin       float -> card:new       an ordinary load, pending (intake.loads)
    credited    the load is posted, and due:new -> float pays for it, as `payout.funded` does

The id comes from the migration (`core.dialogue.migrate.Case`), so whoever repeats a step, and from whichever
terminal, changes nothing. `by_office` does the first step without a CPU card at hand: the sum is loaded
and funded later like that of any replaced card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db import transaction

from citycard.core.calendar import bcd_datetime
from citycard.core.crypto import same
from citycard.core.dialogue.load import LoadOpened
from citycard.core.dialogue.migrate import AlreadyLoaded, Case, Offer, ProveFirst, Standing, frozen_mark
from citycard.core.ledger import Stage
from citycard.core.problem import Problem, declare
from citycard.core.refusal import Refusal
from citycard.keys.storage import StorageSam
from citycard.office import clock, custody, ledger
from citycard.office.cards import actions, money
from citycard.office.cards.actions import Done, Intent
from citycard.office.cards.models import Card, HotlistEntry, Status
from citycard.office.intake import alarms, loads
from citycard.office.intake.business import business_date
from citycard.office.intake.models import Load
from citycard.office.ledger.models import LedgerTransfer
from citycard.office.participants.models import Terminal
from citycard.office.staff.roles import Actor

M1_PROFILE: Final = "m1"
TO_PROVE_BY_LOG: Final = bytes(4)  # the TAC of a load that only the card's log still tells of

MIGRATION_REFUSED = declare(
    "MIGRATION_REFUSED",
    "The money of card {old} cannot go to card {new}: {why}. Nothing was changed.",
    "卡片 {old} 的余额不能转入卡片 {new}：{why}。未作任何改动。",
)


@transaction.atomic
def take_over(migration: str, old_pan: str, new_pan: str, amount_fen: int, by: Actor) -> None:
    """Owe the balance of an M1 card to a CPU card from now on; once more is harmless. MIGRATION_REFUSED.

    The caller vouches that the M1 card pays for nothing any more (it is frozen, or was taken in).
    """
    cards = actions.locked([old_pan, new_pan])
    name = f"migrate:{migration}"
    steps: list[money.Step] = [(money.card(old_pan), money.due(new_pan), amount_fen, "migrate")]
    if LedgerTransfer.objects.filter(id=f"{name}:migrate").exists():
        earlier = LedgerTransfer.objects.get(id=f"{name}:migrate")
        if (earlier.debit_id, earlier.credit_id, earlier.amount_fen) != steps[0][:3]:
            raise _refused(old_pan, new_pan, "this migration has moved another sum")
        return
    why = _unfit(cards.get(old_pan), cards.get(new_pan), by)
    if why:
        raise _refused(old_pan, new_pan, why)
    money.open_due(new_pan)
    verdict = money.post_chains([money.chain(name, steps, business_date(clock.now()))])[0]
    if not verdict.done:
        raise _refused(old_pan, new_pan, verdict.title())
    old, new = cards[old_pan], cards[new_pan]
    first = not Card.objects.filter(replaced_by=new).exists()
    intent = Intent(
        "replace",
        old,
        changes={"replaced_by": new} if first else {},
        detail={"new": new_pan, "due_fen": amount_fen, "migration": migration},
        listing="migrated",
    )
    answer = actions.apply([intent], by)[0]
    assert isinstance(answer, Done), "what may be refused was asked before"


def by_office(old_pan: str, new_pan: str, amount_fen: int, by: Actor) -> int:
    """Owe an M1 card's balance to a CPU card without a tap of both; what is due to the new card, in fen.

    Load that sum onto the new card, then fund the load (`payout.funded`). MIGRATION_REFUSED.
    """
    take_over(f"office-{old_pan}", old_pan, new_pan, amount_fen, by)
    return ledger.balance(money.due(new_pan))


@dataclass(frozen=True, slots=True)
class MigrationDesk:
    """Implements `core.dialogue.migrate.MigrationHost` for one terminal and whoever works at it."""

    terminal: Terminal
    by: Actor

    def agree(self, case: Case) -> Refusal | None:
        """See `MigrationHost`."""
        cards = Card.objects.in_bulk([case.old_pan, case.new_pan])
        listed = HotlistEntry.objects.filter(card_id__in=cards, delisted_version=None).exists()
        why = _unfit(cards.get(case.old_pan), cards.get(case.new_pan), self.by)
        return Refusal.OFFICE_REFUSED if why or listed else None

    def take_over(self, case: Case, proof: bytes) -> Refusal | None:
        """See `MigrationHost`. A token alone moves no money: the mark's MAC must be the scheme's."""
        known = LedgerTransfer.objects.filter(id=f"migrate:{case.id.hex()}:migrate").exists()
        try:
            if not known and not self._frozen(case, proof):
                return Refusal.OFFICE_REFUSED
            take_over(case.id.hex(), case.old_pan, case.new_pan, case.amount_fen, self.by)
        except Problem as problem:
            return _told(problem)
        return None

    def standing(self, case: Case) -> Standing:
        """See `MigrationHost`."""
        mine = list(Load.objects.filter(request_id__startswith=_requests(case), card_id=case.new_pan))
        for load in mine:
            if load.status == Load.Status.POSTED:
                self._fund(load)
                return AlreadyLoaded()
        for load in mine:
            if load.status == Load.Status.PENDING:
                terminal = bytes.fromhex(load.terminal_id)
                return ProveFirst(load.id, load.counter, terminal, bcd_datetime(load.at))
        return None

    def begin(self, case: Case, opened: LoadOpened, terminal: bytes) -> Offer | Refusal:
        """See `MigrationHost`."""
        if self.standing(case) is not None or ledger.balance(money.due(case.new_pan)) < case.amount_fen:
            return Refusal.OFFICE_REFUSED
        request = f"{_requests(case)}{opened.counter:04x}{opened.rand.hex()}"
        ask = loads.Ask(case.new_pan, case.issuer.hex(), request, opened.raw, case.amount_fen)
        try:
            load = loads.authorise(self.terminal, ask, within_limits=False)
        except Problem as problem:
            return _told(problem)
        return Offer(load.id, bcd_datetime(load.at) + bytes.fromhex(load.mac2))

    def credited(self, case: Case, load_id: str, tac: bytes) -> Refusal | None:
        """See `MigrationHost`. A load that only the card's log tells of is posted and alarmed."""
        load = self._load(case, load_id)
        if load is None:
            return Refusal.OFFICE_REFUSED
        after_fen = load.balance_before_fen + load.amount_fen
        try:
            with transaction.atomic():
                if tac == TO_PROVE_BY_LOG:
                    self._prove_by_log(load)
                else:
                    loads.confirm(load.terminal, load.id, tac, after_fen)
                self._fund(load)
        except Problem as problem:
            return _told(problem)
        return None

    def absent(self, case: Case, load_id: str, counter: int) -> Refusal | None:
        """See `MigrationHost`."""
        load = self._load(case, load_id)
        if load is None:
            return Refusal.OFFICE_REFUSED
        try:
            loads.reverse(load.terminal, load.id, loads.PROVEN_ABSENT, counter)
        except Problem as problem:
            return _told(problem)
        return None

    def _frozen(self, case: Case, proof: bytes) -> bool:
        """Whether a security module of the scheme has written the mark this case stands for."""
        card = Card.objects.filter(pk=case.old_pan).first()
        if card is None:
            return False
        sam = StorageSam(custody.open_vault(), bytes.fromhex(card.issuer_id), card.key_version)
        return same(sam.record_mac(case.old_uid, frozen_mark(case)), proof)

    def _load(self, case: Case, load_id: str) -> Load | None:
        mine = Load.objects.filter(request_id__startswith=_requests(case), card_id=case.new_pan)
        return mine.select_related("terminal").filter(pk=load_id).first()

    def _prove_by_log(self, load: Load) -> None:
        locked = Load.objects.select_for_update().get(pk=load.pk)
        if locked.status == Load.Status.PENDING:
            alarms.raise_alarm(alarms.LOAD_BY_LOG, load.card_id, load.id, load=load.id)
            loads.prove([locked], "", "log")

    def _fund(self, load: Load) -> None:
        """Pay the posted load out of what is due, under the name that `payout.funded` gives it."""
        name = f"load:{load.id}"
        posted = (Stage.BOOKED.value, Stage.POSTED.value)
        if not LedgerTransfer.objects.filter(id=name, stage__in=posted).exists():
            name = f"load:{load.id}:late"  # it had been given up
        known = LedgerTransfer.objects.filter(id=f"due:{name}:due_load").exists()
        amount_fen = min(load.amount_fen, ledger.balance(money.due(load.card_id)))
        if not known and amount_fen:
            steps = money.funded_steps(load.card_id, load.issuer, amount_fen)
            money.post_chains([money.chain(f"due:{name}", steps, business_date(clock.now()))])


def _requests(case: Case) -> str:
    """How the request ids of a migration's loads begin."""
    return f"migrate:{case.id.hex()}:"


def _unfit(old: Card | None, new: Card | None, by: Actor) -> str | None:
    """Why the money of one card may not go to the other, in words."""
    if old is None or new is None:
        return "one of the cards is not known"
    if not by.may("replace") or by.participant not in ("", old.issuer_id):
        return "your role may not do this"
    if old.profile != M1_PROFILE or new.profile == M1_PROFILE:
        return "it goes from an M1 card to a CPU card only"
    if old.issuer_id != new.issuer_id:
        return "the cards have different issuers"
    if old.status != Status.ACTIVE or new.status != Status.ACTIVE:
        return "both cards must be active"
    return None


def _refused(old_pan: str, new_pan: str, why: str) -> Problem:
    return MIGRATION_REFUSED(old=old_pan, new=new_pan, why=why)


def _told(problem: Problem) -> Refusal:
    return Refusal.NOT_PROVEN if problem.code == "LOAD_TAC" else Refusal.OFFICE_REFUSED
