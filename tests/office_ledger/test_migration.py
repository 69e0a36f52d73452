# SPDX-License-Identifier: Apache-2.0
"""An M1 card's money goes to a CPU card: real cards, real office, killed in between, and the books agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from random import Random
from types import SimpleNamespace

import httpx
import pytest

from citycard.core.card import Card as Chip
from citycard.core.dialogue import Order, Receipt, Refused, converse, identify, purchase, read_card
from citycard.core.dialogue import m1 as m1_dialogue
from citycard.core.dialogue.migrate import Case, Migrated, MigrationHost, migrate
from citycard.core.problem import Problem
from citycard.core.refusal import Refusal
from citycard.core.storage import ClassicCard
from citycard.keys import MemoryCounter, Psam
from citycard.keys.storage import StorageSam
from citycard.lab.issuing import personalise_chip
from citycard.office import ledger
from citycard.office.cards import migration, money, payout
from citycard.office.cards.migration import MigrationDesk
from citycard.office.cards.models import Card, HotlistEntry, Status
from citycard.office.intake.models import Alarm, Load
from citycard.office.participants.models import Terminal
from citycard.office.staff.roles import Actor, Role
from citycard.terminal.migration import OfficeMigrations
from tests.office_ledger.conftest import ANN, BOB, EVE, ISSUER, NOON, TILL, City

SUM_FEN = 37  # less than the smallest load: it moves all the same
TRANSPORT = b"a-transport-key!"
CLERK = Actor("lin", frozenset({Role.CLERK}))


class Killed(Exception):
    pass


@dataclass
class Counter:
    """Ann's M1 card and Bob's CPU card on one counter."""

    city: City
    old: ClassicCard
    new: Chip
    sam: StorageSam
    host: MigrationHost | None = None  # None: the office's desk itself

    def tap(
        self, kill_at: int | None = None, by: Actor = CLERK, kill_on: str = "never"
    ) -> Migrated | Refused | None:
        desk = self.host or MigrationDesk(Terminal.objects.get(pk=TILL), by)
        count = [0]

        def party(process: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
            def exchange(command: bytes) -> bytes:
                answer = process(command)
                count[0] += 1
                if count[0] == kill_at or command.hex().startswith(kill_on):
                    raise Killed
                return answer

            return exchange

        self.old.power_on()
        self.new.power_on()
        parties = {"old": party(self.old.process), "card": party(self.new.process)}
        try:
            return converse(migrate(self.sam, desk, bytes.fromhex(TILL), NOON), parties)
        except Killed:
            return None

    def spend(self, amount_fen: int) -> object:
        """A purchase with the new card, at a gate whose PSAM is the vault's own."""
        terminal, issuer = bytes.fromhex(TILL), bytes.fromhex(ISSUER)
        psam = Psam(self.city.vault, terminal, MemoryCounter())
        ordered = Order(amount_fen, terminal, NOON, issuer, BOB, composite=False)
        self.new.power_on()
        parties = {"card": self.new.process, "sam": psam.process}
        assert not isinstance(converse(identify(), parties), Refused)
        return converse(purchase(ordered), parties)

    def balances(self) -> tuple[int, int]:
        self.old.power_on()
        self.new.power_on()
        old = converse(m1_dialogue.read_purse(self.sam), {"card": self.old.process})
        new = converse(read_card(), {"card": self.new.process})
        return old.balance_fen, new.balance_fen

    def books(self) -> tuple[int, int, int]:
        """Accounts of the old card, the new card, and what is due to it."""
        assert ledger.trial_balance().balanced
        return money.balance(ANN), money.balance(BOB), ledger.balance(money.due(BOB))


@pytest.fixture
def counter(city: City) -> Counter:
    vault = city.vault
    vault.import_key("transport", 0, 1, TRANSPORT)
    vault.generate("storage", 0)
    sam = StorageSam(vault, bytes.fromhex(ISSUER))
    old = ClassicCard.blank(bytes.fromhex("DEADBEEF"))
    old.power_on()
    values = {
        "pan": ANN,
        "issuer": bytes.fromhex(ISSUER),
        "valid_until": date(2030, 1, 1),
        "balance_fen": SUM_FEN,
    }
    assert not isinstance(converse(m1_dialogue.issue(sam, **values), {"card": old.process}), Refused)
    dates = {"valid_from": date(2026, 1, 1), "valid_until": date(2030, 1, 1)}
    order = SimpleNamespace(pan=BOB, issuer_id=ISSUER, card_class=1, **dates)
    chip = personalise_chip(vault, TRANSPORT, order, "5840", Random(1).randbytes)
    Card.objects.filter(pan=ANN).update(profile=migration.M1_PROFILE)
    ledger.post_or_fail(money.chain("preload", money.preload_steps(ANN, ISSUER, SUM_FEN), NOON.date()))
    return Counter(city, old, chip, sam)


def test_the_money_and_its_account_move_once(counter: Counter) -> None:
    assert isinstance(counter.tap(), Migrated)
    assert (counter.balances(), counter.books()) == ((0, SUM_FEN), (0, SUM_FEN, 0))
    card = Card.objects.get(pan=ANN)
    assert (card.status, card.replaced_by_id) == (Status.REPLACED, BOB)
    assert HotlistEntry.objects.filter(card=card, delisted_version=None, reason="migrated").exists()
    load = Load.objects.get(card_id=BOB)
    assert payout.funded(BOB, f"load:{load.id}", CLERK) == 0  # the counter may ask too: nothing moves twice
    assert isinstance(counter.tap(), Refused)
    assert counter.books() == (0, SUM_FEN, 0)


def test_killed_anywhere_and_continued(counter: Counter) -> None:
    """One pair of cards, killed one exchange later each time: every attempt goes on where the last one died."""
    for kill_at in range(1, 120):
        answer = counter.tap(kill_at)
        old_fen, new_fen = counter.balances()
        books = counter.books()
        assert sum(books) == SUM_FEN
        assert new_fen in (0, SUM_FEN) and old_fen in (0, SUM_FEN) and (old_fen or new_fen)
        if isinstance(answer, Migrated):
            break
    assert isinstance(answer, Migrated)
    assert (counter.balances(), counter.books()) == ((0, SUM_FEN), (0, SUM_FEN, 0))
    assert Load.objects.filter(status=Load.Status.POSTED).count() == 1


def test_killed_right_after_the_credit(counter: Counter) -> None:
    """The office has heard nothing of the load; the card's proof tells it when both come again."""
    assert counter.tap(kill_on="8052") is None
    assert counter.books() == (0, 0, SUM_FEN)
    assert Load.objects.get().status == Load.Status.PENDING
    assert counter.balances() == (SUM_FEN, SUM_FEN)  # the old one is frozen
    refused = converse(
        m1_dialogue.debit(counter.sam, m1_dialogue.M1Order(6, 1, bytes(6), NOON)),
        {"card": counter.old.process},
    )
    assert isinstance(refused, Refused) and refused.refusal is Refusal.CARD_BLOCKED
    assert isinstance(counter.tap(), Migrated)
    assert (counter.balances(), counter.books()) == ((0, SUM_FEN), (0, SUM_FEN, 0))
    assert not Alarm.objects.exists()


def test_what_the_office_refuses_leaves_the_card_as_it_was(counter: Counter) -> None:
    before = counter.old.image()

    def refused(by: Actor = CLERK) -> bool:
        answer = counter.tap(by=by)
        return isinstance(answer, Refused) and answer.refusal is Refusal.OFFICE_REFUSED

    assert refused(Actor("sun", frozenset({Role.AUDITOR})))
    Card.objects.filter(pan=BOB).update(status=Status.LOST)
    assert refused()
    Card.objects.filter(pan=BOB).update(status=Status.ACTIVE)
    Card.objects.filter(pan=ANN).update(profile="t-union")
    assert refused()
    assert counter.old.image() == before
    assert counter.books() == (SUM_FEN, 0, 0)


def test_by_the_office_alone(counter: Counter) -> None:
    assert migration.by_office(ANN, BOB, SUM_FEN, CLERK) == SUM_FEN
    assert migration.by_office(ANN, BOB, SUM_FEN, CLERK) == SUM_FEN
    assert counter.books() == (0, 0, SUM_FEN)
    for new, amount_fen in ((EVE, SUM_FEN), (BOB, SUM_FEN - 1)):
        with pytest.raises(Problem, match="another sum"):
            migration.by_office(ANN, new, amount_fen, CLERK)
    assert isinstance(counter.tap(), Refused)  # the card itself, presented after all
    assert counter.balances() == (SUM_FEN, 0)
    assert counter.books() == (0, 0, SUM_FEN)


def test_more_than_the_account_holds_is_refused_until_the_late_load_is_in(counter: Counter) -> None:
    with pytest.raises(Problem, match="not enough credit"):
        migration.by_office(ANN, BOB, SUM_FEN + 1, CLERK)
    assert Card.objects.get(pan=ANN).status == Status.ACTIVE
    assert counter.books() == (SUM_FEN, 0, 0)


def over_http() -> httpx.Client:
    from citycard.office.wsgi import application

    return httpx.Client(transport=httpx.WSGITransport(app=application), base_url="http://127.0.0.1")


def test_over_http_killed_anywhere_and_continued(counter: Counter) -> None:
    counter.host = OfficeMigrations(over_http(), counter.city.tokens[TILL])
    for kill_at in range(1, 120, 5):
        answer = counter.tap(kill_at)
        if isinstance(answer, Migrated):
            break
    assert isinstance(answer, Migrated)
    assert (counter.balances(), counter.books()) == ((0, SUM_FEN), (0, SUM_FEN, 0))


def test_a_token_alone_moves_no_money(counter: Counter) -> None:
    """Whoever has stolen a terminal's token, but no security module, cannot say that a card is frozen."""
    client = over_http()
    case = Case(counter.old.uid, ANN, 0, bytes.fromhex(ISSUER), BOB, SUM_FEN)
    thief = OfficeMigrations(client, counter.city.tokens[TILL])
    assert thief.agree(case) is None
    assert thief.take_over(case, b"mac?") is Refusal.OFFICE_REFUSED
    stranger = OfficeMigrations(client, "no token")
    assert stranger.agree(case) is Refusal.OFFICE_REFUSED
    assert stranger.standing(case) is Refusal.OFFICE_REFUSED
    assert counter.books() == (SUM_FEN, 0, 0)


def test_a_load_that_only_the_log_tells_of_is_posted_and_somebody_looks(counter: Counter) -> None:
    assert counter.tap(kill_on="8052") is None
    assert isinstance(counter.spend(10), Receipt)  # the card's proof is of this purchase now
    assert isinstance(counter.tap(), Migrated)
    assert counter.balances() == (0, SUM_FEN - 10)
    assert counter.books() == (0, SUM_FEN, 0)
    assert [alarm.code for alarm in Alarm.objects.all()] == ["LOAD_BY_LOG"]
