# SPDX-License-Identifier: Apache-2.0
"""The work list of disputes in a browser: what is shown, who may act, what is refused."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from citycard.office.staff.roles import Role
from tests.console import city as small
from tests.console.conftest import SignedIn


def test_the_evidence_of_a_dispute_is_on_its_page(city: small.Small, signed_in: SignedIn) -> None:
    page = signed_in(Role.AUDITOR).get(reverse("console:dispute", args=[city.dispute]))
    text = page.content.decode()
    for told in ("Exception by agreement: charged twice", "重复扣款", "does not verify", "in dispute"):
        assert told in text
    neighbours = page.context["evidence"].neighbours
    assert [one.amount_fen for one in neighbours] == [
        180,
        180,
        180,
        180,
    ]  # two rides at home, one refused, this
    assert [one.this for one in neighbours].count(True) == 1
    assert page.context["acts"] == []  # an auditor looks


def test_a_clearing_officer_withdraws_and_raises_again(city: small.Small, signed_in: SignedIn) -> None:
    from citycard.office.disputes.models import Dispute
    from citycard.office.partners.models import ExchangeFile

    browser = signed_in(Role.CLEARING_OFFICER)
    address = reverse("console:dispute", args=[city.dispute])
    assert [act for act, _ in browser.get(address).context["acts"]] == ["withdraw"]
    refused = browser.post(address, {"act": "accept", "words": ""})
    assert refused.status_code == 409
    assert "not by this side" in refused.content.decode()
    assert browser.post(address, {"act": "nonsense"}).status_code == 409
    assert browser.post(address, {"act": "withdraw", "words": "已和解"}).status_code == 302
    tap = reverse("console:exchanged_tap", args=[city.exchanged])
    form = {"cause": "5005", "right": "1.80", "words": "又一次"}
    answer = browser.post(tap, form)
    assert answer.status_code == 409
    assert "below the amount cleared" in answer.content.decode()
    assert browser.post(tap, form | {"right": "0.50"}).status_code == 302
    newest = Dispute.objects.latest("id")
    assert (newest.right_fen, newest.stage, newest.tap.state) == (50, "raised", "disputed")
    assert ExchangeFile.objects.filter(file="ED").count() == 3  # raised, withdrawn, raised


def test_whoever_only_looks_cannot_act(city: small.Small, signed_in: SignedIn) -> None:
    from citycard.office.disputes.models import Dispute

    again = signed_in(Role.ADMINISTRATOR).post(
        reverse("console:exchanged_tap", args=[city.exchanged]), {"again": "1"}, follow=True
    )
    assert "cannot be presented again" in again.content.decode()
    auditor = signed_in(Role.AUDITOR)
    assert (
        auditor.post(reverse("console:exchanged_tap", args=[city.exchanged]), {"again": "1"}).status_code
        == 403
    )
    for address, form in (
        (reverse("console:dispute", args=[city.dispute]), {"act": "withdraw", "words": ""}),
        (
            reverse("console:exchanged_tap", args=[city.exchanged]),
            {"cause": "4005", "right": "0", "words": "x"},
        ),
    ):
        assert auditor.post(address, form).status_code == 403
    assert Dispute.objects.get().stage == "raised"


def test_files_positions_and_members_are_seen(city: small.Small, signed_in: SignedIn) -> None:
    page = signed_in(Role.CLEARING_OFFICER, "zh-hans").get(reverse("console:exchange"))
    text = page.content.decode()
    for told in ("清分结果明细", "TAP_NOT_OURS", "岚港", "中心"):
        assert told in text
    (line,) = page.context["positions"]
    assert (line.net_fen, line.books_fen, line.agrees) == (-180, 0, False)
    only = signed_in(Role.ADMINISTRATOR).get(reverse("console:exchange"), {"status": "refused", "file": "CR"})
    assert len(only.context["files"]) == 1


def test_a_held_payment_is_paid_when_a_second_person_agrees(city: small.Small, signed_in: SignedIn) -> None:
    from citycard.office import ledger
    from citycard.office.audit.models import AuditEntry
    from citycard.office.partners import books
    from citycard.office.partners.models import ExchangedTap, ExchangeHold
    from citycard.office.staff.models import Approval

    books.post_cleared(ExchangedTap.objects.all(), small.DAY)  # ours is 1.80, the hub says 1.00
    ExchangeHold.objects.update(told_fen=-100, ours_fen=-180)
    hub = "position:1999990000000001"
    page = reverse("console:exchange_hold", args=[small.DAY])
    first, second = signed_in(Role.CLEARING_OFFICER), signed_in(Role.ADMINISTRATOR)
    text = first.get(page).content.decode()
    assert city.exchanged in text
    assert page in first.get(reverse("console:exchange")).content.decode()
    assert signed_in(Role.AUDITOR).post(page, {"how": "pay_agreed", "words": "x"}).status_code == 403

    def decide(browser: Any) -> str:
        waiting = Approval.objects.get(state="waiting", verb__startswith="pay_")
        address = reverse("console:approvals")
        return str(browser.post(address, {"id": waiting.pk, "agree": "1"}, follow=True).content.decode())

    first.post(page, {"how": "pay_agreed", "words": ""})
    assert not Approval.objects.filter(verb="pay_agreed").exists()
    first.post(page, {"how": "pay_agreed", "words": "71 少计"})
    assert "71 少计" in second.get(page).content.decode()
    decide(first)
    assert ledger.balance(hub) == 180  # nobody agrees with himself
    assert "Paid: -1.00 yuan" in decide(second)
    assert ledger.balance(hub) == 80
    assert AuditEntry.objects.get(verb="pay_agreed").actor == "clearing-officer"
    first.post(page, {"how": "pay_ours", "words": "again"})
    assert "make up 0.00 yuan" in decide(second)  # no adjustment, nothing accepted: it goes on waiting
    second.post(
        reverse("console:approvals"), {"id": Approval.objects.get(state="waiting", verb="pay_ours").pk}
    )
    first.post(page, {"how": "pay_ours", "words": "letter", "accepted": "1"})
    assert "Paid: -1.80 yuan" in decide(second)
    assert (ledger.balance(hub), ExchangeHold.objects.get().state) == (0, "paid")
    assert ledger.trial_balance().balanced
