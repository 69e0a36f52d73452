# SPDX-License-Identifier: Apache-2.0
"""The counter's stories: what each verb does, what it costs, and each reason to say no."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from citycard.office import ledger
from citycard.office.audit.models import AuditEntry
from citycard.office.cards import hotlist, money, terms, verbs, view
from citycard.office.cards.models import Card, CardEvent, Status
from citycard.office.cards.refusals import Why
from citycard.office.participants.models import Participant, SchemeSetting
from citycard.office.staff.roles import Actor, Role
from tests.office.conftest import (
    AUDITOR,
    CLERK,
    CUSTODIAN,
    ISSUER,
    OFFICER,
    StillClock,
    load,
    new_stock,
    open_issuer,
    person,
    ride,
)

Stock = Callable[..., list[str]]


def done(answer: verbs.Done | verbs.VerbRefusal) -> verbs.Done:
    assert isinstance(answer, verbs.Done), answer
    return answer


def no(answer: verbs.Done | verbs.VerbRefusal) -> Why:
    assert isinstance(answer, verbs.VerbRefusal), answer
    return answer.why


def set_terms(**values: int) -> None:
    SchemeSetting.objects.update_or_create(key=terms.SETTING, defaults={"value": values})


@pytest.fixture
def held(stock: Stock) -> str:
    """A card in its holder's hands, with 50.00 on it."""
    (pan,) = stock()
    done(verbs.issue(pan, CLERK, person("Li")))
    load(pan, 5000, "load:1")
    return pan


def test_a_card_is_issued_for_its_deposit(stock: Stock) -> None:
    (pan,) = stock()
    holder = person()
    answer = done(verbs.issue(pan, CLERK, holder))
    assert (answer.before, answer.after, answer.paid_fen) == ("in_stock", "active", 2000)
    assert ledger.balance(f"deposit:{ISSUER}") == 2000
    assert ledger.balance(f"counter:{ISSUER}") == -2000
    card = Card.objects.get(pan=pan)
    assert (card.holder, card.deposit_fen, card.status) == (holder, 2000, Status.ACTIVE)
    verbs_done = list(CardEvent.objects.filter(card=pan).values_list("verb", "after", "actor"))
    assert verbs_done[-1] == ("issue", "active", "lin")
    assert [verb for verb, _, _ in verbs_done] == ["initialise", "register", "stock_in", "issue"]
    assert AuditEntry.objects.first().verb == "issue"  # type: ignore[union-attr]


def test_a_lost_card_waits_before_its_money_moves(held: str, stock: Stock, still: StillClock) -> None:
    (new,) = stock()
    done(verbs.report_loss(held, CLERK))
    assert hotlist.at_version(hotlist.version()) == {held}
    assert no(verbs.replace(held, new, CLERK)) is Why.WAITING
    ride(held, 300, "late:1")  # a tap made before the list reached the gate comes in
    still.forward(days=7)
    answer = done(verbs.replace(held, new, CLERK))
    assert (answer.paid_fen, answer.detail["due_fen"]) == (1000, 4700)
    old, young = Card.objects.get(pan=held), Card.objects.get(pan=new)
    assert (old.status, old.replaced_by_id, old.deposit_fen) == ("replaced", new, 0)
    assert (young.status, young.holder, young.deposit_fen) == ("active", old.holder, 2000)
    assert money.owed(held) == (0, 0)
    assert money.owed(new) == (0, 4700)
    assert hotlist.at_version(hotlist.version()) == {held}


def test_what_was_due_is_loaded_onto_the_new_chip_once(held: str, stock: Stock) -> None:
    (new,) = stock()
    done(verbs.replace(held, new, CLERK, in_hand_fen=5000))
    load(new, 3000, "load:some")
    assert verbs.funded(new, "load:nobody", CLERK) == 5000
    assert verbs.funded(new, "load:some", CLERK) == 2000
    assert verbs.funded(new, "load:some", CLERK) == 2000
    load(new, 2000, "load:rest")
    assert verbs.funded(new, "load:rest", CLERK) == 0
    assert money.owed(new) == (5000, 0)
    assert ledger.balance(f"float:{ISSUER}") == -5000


def test_a_refund_pays_balance_deposit_and_what_is_due(held: str, stock: Stock) -> None:
    (new,) = stock()
    done(verbs.replace(held, new, CLERK, in_hand_fen=5000))
    answer = done(verbs.refund(new, CLERK, in_hand_fen=0))
    assert answer.paid_fen == -7000
    assert ledger.balance(f"counter:{ISSUER}") == -2000 - 1000 + 2000  # deposit in, fee in, deposit out
    assert ledger.balance(f"deposit:{ISSUER}") == 0
    assert ledger.balance(f"float:{ISSUER}") == 0
    assert ledger.balance(f"fees:{ISSUER}") == 1000
    assert no(verbs.cancel_loss(new, CLERK)) is Why.WRONG_STATUS
    done(verbs.destroy(new, CLERK, second=AUDITOR))


def test_a_card_in_hand_must_agree_with_its_account(held: str) -> None:
    assert no(verbs.refund(held, CLERK)) is Why.BALANCE_NEEDED
    assert no(verbs.refund(held, CLERK, in_hand_fen=4800)) is Why.BALANCE_DIFFERS
    assert money.balance(held) == 5000
    done(verbs.refund(held, CLERK, in_hand_fen=5000))


def test_a_large_refund_takes_two_people(held: str) -> None:
    set_terms(second_above_fen=6000)
    ask: dict[str, Any] = {"in_hand_fen": 5000}
    other_clerk = Actor("hu", frozenset({Role.CLERK}))
    herself = Actor(CLERK.name, frozenset({Role.ADMINISTRATOR}))
    assert no(verbs.refund(held, CLERK, **ask)) is Why.SECOND_PERSON_NEEDED
    assert no(verbs.refund(held, CLERK, second=herself, **ask)) is Why.SECOND_PERSON_UNFIT
    assert no(verbs.refund(held, CLERK, second=other_clerk, **ask)) is Why.SECOND_PERSON_UNFIT
    answer = done(verbs.refund(held, CLERK, second=OFFICER, **ask))
    assert answer.detail["second"] == "wang"


def test_a_found_card_comes_off_the_hotlist(held: str) -> None:
    done(verbs.report_loss(held, CLERK))
    done(verbs.cancel_loss(held, CLERK))
    assert hotlist.at_version(hotlist.version()) == set()
    assert hotlist.delta(1).remove == [held]
    assert Card.objects.get(pan=held).status == Status.ACTIVE


def test_only_the_holder_or_the_guardian_may_ask(stock: Stock) -> None:
    (pan,) = stock()
    mother = person("Mother")
    child = person("Child", date(2018, 1, 1), level=1, guardian=mother)
    done(verbs.issue(pan, CLERK, child))
    stranger = person("Stranger")
    assert no(verbs.report_loss(pan, CLERK, str(stranger.pk))) is Why.NOT_THE_HOLDER
    done(verbs.report_loss(pan, CLERK, str(mother.pk)))
    done(verbs.cancel_loss(pan, CLERK, str(child.pk)))


def test_an_anonymous_card_is_its_bearers(stock: Stock) -> None:
    pan, other = stock(2)
    done(verbs.issue(pan, CLERK))
    assert no(verbs.report_loss(pan, CLERK)) is Why.NOT_BOUND
    assert no(verbs.unbind(pan, CLERK)) is Why.NOT_BOUND
    assert no(verbs.replace(pan, other, CLERK)) is Why.NOT_BOUND
    done(verbs.bind(pan, person(), CLERK))
    assert no(verbs.bind(pan, person("Second"), CLERK)) is Why.ALREADY_BOUND
    done(verbs.unbind(pan, CLERK))
    done(verbs.refund(pan, CLERK, in_hand_fen=0))


def test_concession_cards_are_for_verified_holders(stock: Stock) -> None:
    pan, other = stock(2, card_class=2)
    assert no(verbs.issue(pan, CLERK)) is Why.HOLDER_NEEDED
    assert no(verbs.issue(pan, CLERK, person("A", level=1))) is Why.NOT_VERIFIED
    done(verbs.issue(pan, CLERK, person("B", level=2)))
    assert no(verbs.unbind(pan, CLERK)) is Why.HOLDER_NEEDED
    (ordinary,) = new_stock()
    assert no(verbs.replace(pan, ordinary, CLERK, in_hand_fen=0)) is Why.NEW_CARD_UNFIT
    assert no(verbs.replace(pan, pan, CLERK, in_hand_fen=0)) is Why.NEW_CARD_UNFIT
    assert no(verbs.replace(pan, "0" * 20, CLERK, in_hand_fen=0)) is Why.NEW_CARD_UNKNOWN
    done(verbs.replace(pan, other, CLERK, in_hand_fen=0))


def test_minors_need_a_fit_guardian_also_later(stock: Stock, still: StillClock) -> None:
    mother = person("Mother")
    child = person("Child", date(2018, 1, 1), level=1, guardian=mother)
    pan, other, third = stock(3)
    done(verbs.issue(pan, CLERK, child))
    mother.verification_level = 1
    mother.save()
    child.refresh_from_db()
    assert no(verbs.issue(other, CLERK, child)) is Why.GUARDIAN_UNFIT
    child.guardian = None
    child.save()
    assert no(verbs.issue(other, CLERK, child)) is Why.GUARDIAN_NEEDED
    still.forward(days=365 * 9)  # now over sixteen: no guardian is needed, and the card is still valid
    done(verbs.issue(third, CLERK, child))


def test_a_holder_has_no_more_cards_than_allowed(stock: Stock) -> None:
    set_terms(cards_per_holder=2)
    holder, pans = person(), stock(3)
    answers = verbs.issue_many([(pan, holder) for pan in pans], CLERK)
    assert [type(answer).__name__ for answer in answers] == ["Done", "Done", "VerbRefusal"]
    assert no(answers[2]) is Why.TOO_MANY_CARDS
    assert ledger.balance(f"deposit:{ISSUER}") == 4000


def test_validity_ends(stock: Stock, still: StillClock) -> None:
    pan, other = stock(2)
    done(verbs.issue(pan, CLERK, person()))
    assert no(verbs.expire(pan, OFFICER)) is Why.NOT_EXPIRED
    still.forward(days=3700)
    assert [answer.card.pan for answer in map(done, verbs.expire_due(OFFICER))] == [pan]
    assert no(verbs.issue(other, CLERK)) is Why.CARD_EXPIRED
    assert no(verbs.refund(pan, CLERK)) is Why.WAITING
    still.forward(days=7)
    assert done(verbs.refund(pan, CLERK)).paid_fen == -2000


def test_fees_are_the_schemes(stock: Stock) -> None:
    set_terms(deposit_fen=1800, issue_fee_fen=200, loss_fee_fen=50, refund_fee_fen=9999)
    (pan,) = stock()
    assert done(verbs.issue(pan, CLERK, person())).paid_fen == 2000
    assert done(verbs.report_loss(pan, CLERK)).paid_fen == 50
    done(verbs.cancel_loss(pan, CLERK))
    assert done(verbs.refund(pan, CLERK, in_hand_fen=0)).paid_fen == 0  # the fee takes no more than there is
    assert ledger.balance(f"fees:{ISSUER}") == 200 + 50 + 1800
    with pytest.raises(Exception, match="card_terms"):
        terms.of({"depositfen": 1})
    with pytest.raises(Exception, match="card_terms"):
        terms.of({"deposit_fen": 12.5})


def test_who_may_what(held: str) -> None:
    assert no(verbs.report_loss(held, AUDITOR)) is Why.NOT_PERMITTED
    assert no(verbs.unblock(held, CLERK)) is Why.NOT_PERMITTED
    done(verbs.query(held, AUDITOR))
    assert no(verbs.query(held, CUSTODIAN)) is Why.NOT_PERMITTED
    elsewhere = Actor("gao", frozenset({Role.CLERK}), participant="02009901ffffffff")
    assert no(verbs.query(held, elsewhere)) is Why.OTHER_ISSUER


def test_an_issuer_that_left_issues_nothing(stock: Stock) -> None:
    (pan,) = stock()
    Participant.objects.filter(id=ISSUER).update(active=False)
    assert no(verbs.issue(pan, CLERK)) is Why.ISSUER_INACTIVE


def test_a_new_card_of_another_issuer_is_no_replacement(held: str) -> None:
    other = open_issuer("02009901ffffffff", "0310990101")
    (new,) = new_stock()
    Card.objects.filter(pan=new).update(issuer=other)
    assert no(verbs.replace(held, new, CLERK, in_hand_fen=5000)) is Why.NEW_CARD_UNFIT


def test_the_first_reason_by_precedence_is_told(held: str) -> None:
    Participant.objects.filter(id=ISSUER).update(active=False)
    assert no(verbs.issue("0" * 20, AUDITOR)) is Why.UNKNOWN_CARD
    assert no(verbs.issue(held, AUDITOR)) is Why.NOT_PERMITTED
    assert no(verbs.refund(held, CLERK, holder="nobody")) is Why.NOT_THE_HOLDER


def test_a_refusal_leaves_a_trace_and_nothing_else(held: str) -> None:
    before = Card.objects.values().get(pan=held)
    no(verbs.stock_in(held, CLERK))
    no(verbs.query("0" * 20, CLERK))
    assert Card.objects.values().get(pan=held) == before
    event = CardEvent.objects.filter(card=held).last()
    assert event is not None
    assert (event.verb, event.refusal, event.before, event.after) == (
        "stock_in", "WRONG_STATUS", "active", "active",
    )  # fmt: skip
    entry = AuditEntry.objects.first()
    assert entry is not None
    assert (entry.subject, "UNKNOWN_CARD" in entry.detail) == ("0" * 20, True)


def test_the_ledgers_no_is_the_verbs_no(stock: Stock) -> None:
    (pan,) = stock()
    done(verbs.issue(pan, CLERK))
    Card.objects.filter(pan=pan).update(deposit_fen=999_999)  # more than the issuer ever took
    answer = verbs.refund(pan, CLERK, second=OFFICER, in_hand_fen=0)
    assert no(answer) is Why.LEDGER
    assert isinstance(answer, verbs.VerbRefusal)
    assert answer.detail["ledger"] == "EXCEEDS_CREDITS"
    assert Card.objects.get(pan=pan).status == Status.ACTIVE


def test_many_at_once_answer_in_order_and_each_for_itself(stock: Stock) -> None:
    pans = stock(3)
    done(verbs.issue(pans[1], CLERK))
    answers = verbs.issue_many([(pan, None) for pan in [*pans, "0" * 20]], CLERK)
    codes = [answer.code if isinstance(answer, verbs.VerbRefusal) else "OK" for answer in answers]
    assert codes == ["OK", "WRONG_STATUS", "OK", "UNKNOWN_CARD"]


def test_the_view_of_a_card_shows_masks_only(held: str) -> None:
    seen = view.whole(held)
    assert seen["balance_fen"] == 5000
    assert seen["events"][0]["verb"] == "issue"
    assert seen["holder"]["document"].startswith("510***")
    assert "refund" in seen["verbs"]


def test_titles_are_told_in_two_languages() -> None:
    for why in Why:
        assert why.title("en").isascii()
        assert not why.title("zh-hans").isascii()
