# SPDX-License-Identifier: Apache-2.0
"""Work at the counter: verbs by button, refusals in words, two people, holders in full and masked."""

from __future__ import annotations

from django.urls import reverse

from citycard.office.staff.roles import Role
from tests.console import city as small
from tests.console.conftest import SignedIn


def card(pan: str) -> str:
    return reverse("console:card", args=[pan])


def verb(pan: str, name: str) -> str:
    return reverse("console:verb", args=[pan, name])


def test_a_loss_is_reported_and_the_card_stands_on_the_hotlist(
    city: small.Small, signed_in: SignedIn
) -> None:
    browser = signed_in(Role.CLERK)
    done = browser.post(verb(city.pans[0], "report_loss"), follow=True)
    assert "Done: report loss. The card is now lost." in done.content.decode()
    listed = browser.get(reverse("console:hotlist")).content.decode()
    assert reverse("console:card", args=[city.pans[0]]) in listed
    assert "reported lost" in listed


def test_a_refusal_is_told_in_words_and_changes_nothing(city: small.Small, signed_in: SignedIn) -> None:
    refused = signed_in(Role.CLERK).post(verb(city.pans[2], "report_loss"))
    assert refused.status_code == 409
    assert "The card has no holder, so nobody can ask for this" in refused.content.decode()
    chinese = signed_in(Role.CLERK, "zh-hans").post(verb(city.pans[2], "report_loss"))
    assert "卡片未绑定持卡人，无法办理" in chinese.content.decode()
    assert city.pans[2] not in signed_in(Role.CLERK).get(reverse("console:hotlist")).content.decode()


def test_a_card_is_bound_by_the_document_on_the_counter(city: small.Small, signed_in: SignedIn) -> None:
    from citycard.office.cards.models import Card

    browser = signed_in(Role.CLERK)
    wrong = {"document_type": "passport", "document_number": "990100198504010017"}
    assert "No holder is registered" in browser.post(verb(city.pans[2], "bind"), wrong).content.decode()
    right = {"document_type": "identity_card", "document_number": "990100198504010017"}
    assert browser.post(verb(city.pans[2], "bind"), right).status_code == 302
    assert Card.objects.get(pan=city.pans[2]).holder == city.adult


def test_replace_moves_the_balance_and_tells_what_to_load(city: small.Small, signed_in: SignedIn) -> None:
    asked = {"new": city.pans[4], "in_hand": "46.40"}
    done = signed_in(Role.CLERK).post(verb(city.pans[0], "replace"), asked, follow=True)
    text = done.content.decode()
    assert "To be paid: 10.00 yuan. Load 46.40 yuan onto the new card." in text
    new = signed_in(Role.CLERK).get(card(city.pans[4]))
    assert new.context["money"].due_fen == 4640
    assert new.context["replaces"] == city.pans[0]


def test_to_destroy_a_card_takes_two_people(city: small.Small, signed_in: SignedIn) -> None:
    from citycard.office.cards.models import Card
    from citycard.office.staff.models import Approval

    clerk, page = signed_in(Role.CLERK), reverse("console:approvals")
    told = clerk.post(verb(city.pans[4], "destroy"), follow=True)
    assert "A second person must agree" in told.content.decode()
    wanted = Approval.objects.get(subject=city.pans[4])
    clerk.post(page, {"id": str(wanted.pk), "agree": "1"})  # nobody agrees to their own request
    assert Card.objects.get(pan=city.pans[4]).status == "in_stock"
    signed_in(Role.AUDITOR).post(page, {"id": str(wanted.pk), "agree": "1"})
    assert Card.objects.get(pan=city.pans[4]).status == "destroyed"
    wanted.refresh_from_db()
    assert (wanted.state, wanted.decided_by) == ("approved", "auditor")


def test_nobody_is_their_own_second_person(city: small.Small, signed_in: SignedIn) -> None:
    from citycard.office.cards.models import Card
    from citycard.office.staff.models import Approval

    first, page = signed_in(Role.ADMINISTRATOR, name="admin"), reverse("console:approvals")
    first.post(verb(city.pans[4], "destroy"))
    wanted = Approval.objects.get(subject=city.pans[4])
    assert str(wanted.pk) not in first.get(page).content.decode()
    told = first.post(page, {"id": str(wanted.pk), "agree": "1"}, follow=True).content.decode()
    assert "The second person must be somebody else with the right to agree" in told
    first.post(page, {"id": str(wanted.pk), "decline": "1"})
    wanted.refresh_from_db()
    assert (wanted.state, Card.objects.get(pan=city.pans[4]).status) == ("waiting", "in_stock")
    assert str(wanted.pk) in signed_in(Role.ADMINISTRATOR, name="other").get(page).content.decode()


def test_a_declined_request_is_not_carried_out(city: small.Small, signed_in: SignedIn) -> None:
    from citycard.office.cards.models import Card
    from citycard.office.staff.models import Approval

    wanted, page = Approval.objects.get(subject=city.pans[5]), reverse("console:approvals")
    officer = signed_in(Role.CLEARING_OFFICER)
    officer.post(page, {"id": str(wanted.pk), "decline": "1"})
    officer.post(page, {"id": str(wanted.pk), "agree": "1"})  # too late
    wanted.refresh_from_db()
    assert (wanted.state, Card.objects.get(pan=city.pans[5]).status) == ("declined", "in_stock")


def test_only_clerks_see_holders_in_full_and_each_look_leaves_a_trace(
    city: small.Small, signed_in: SignedIn
) -> None:
    from citycard.office.audit.models import AuditEntry

    pages = [card(city.pans[0]), reverse("console:holder", args=[city.adult.pk])]
    for role in (Role.AUDITOR, Role.ADMINISTRATOR):
        for page in pages:
            text = signed_in(role).get(page).content.decode()
            assert small.ADULT not in text
            assert "1985-04-01" not in text
            assert "陈**" in text
    assert not AuditEntry.objects.filter(verb="view_holder").exists()
    for page in pages:
        assert small.ADULT in signed_in(Role.CLERK).get(page).content.decode()
    trace = AuditEntry.objects.filter(verb="view_holder", actor="clerk", subject=str(city.adult.pk))
    assert trace.count() == 2


def test_the_list_of_holders_is_masked_for_everyone_and_searched_by_clerks_only(
    city: small.Small, signed_in: SignedIn
) -> None:
    found = signed_in(Role.CLERK).get(reverse("console:holders"), {"q": "小满"})
    assert [one.name for one in found.context["holders"]] == ["陈**"]
    assert len(signed_in(Role.AUDITOR).get(reverse("console:holders"), {"q": "小满"}).context["holders"]) == 2
    search = {"q": small.ADULT}
    hidden = signed_in(Role.AUDITOR).get(reverse("console:search"), search).content.decode()
    assert str(city.adult.pk) not in hidden


def test_search_goes_straight_to_the_only_hit(city: small.Small, signed_in: SignedIn) -> None:
    browser = signed_in(Role.CLERK)
    grouped = " ".join(city.pans[3][at : at + 4] for at in range(0, 20, 4))
    assert browser.get(reverse("console:search"), {"q": grouped})["location"] == card(city.pans[3])
    by_document = browser.get(reverse("console:search"), {"q": "990100198504010017"})
    assert by_document["location"] == reverse("console:holder", args=[city.adult.pk])


def test_a_minor_needs_a_guardian_and_is_told_so(city: small.Small, signed_in: SignedIn) -> None:
    browser, page = signed_in(Role.CLERK), reverse("console:register")
    child = {"name": "陈小雨", "birth_on": "2018-01-01", "kind": "resident", "level": "0"}
    assert "needs a guardian" in browser.post(page, child).content.decode()
    done = browser.post(page, {**child, "guardian": str(city.adult.pk)}, follow=True)
    assert "The holder is registered." in done.content.decode()


def test_an_alarm_is_closed_by_those_who_may(city: small.Small, signed_in: SignedIn) -> None:
    from citycard.office.intake.models import Alarm

    alarm, page = Alarm.objects.get(), reverse("console:alarms")
    assert signed_in(Role.AUDITOR).post(page, {"id": alarm.pk}).status_code == 403
    signed_in(Role.CLEARING_OFFICER).post(page, {"id": alarm.pk})
    alarm.refresh_from_db()
    assert alarm.closed_by == "clearing-officer"


def test_payments_are_made_once_by_those_who_may(city: small.Small, signed_in: SignedIn) -> None:
    from citycard.office.settlement.models import Payment

    page = reverse("console:run", args=["2026-03-02"])
    assert signed_in(Role.AUDITOR).post(page).status_code == 403
    for _ in range(2):
        told = signed_in(Role.CLEARING_OFFICER).post(page, follow=True).content.decode()
        assert "Payments made: 14.16 yuan." in told
    assert Payment.objects.count() == 3
