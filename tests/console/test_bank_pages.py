# SPDX-License-Identifier: Apache-2.0
"""The settlement bank in the console: a match with its trace, doors, masked numbers, figures down to taps."""

from __future__ import annotations

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from citycard.office import ledger
from citycard.office.audit.models import AuditEntry
from citycard.office.bank.models import BankAccount, BankEntry, PaymentFile, PaymentOrder, TheirPosition
from citycard.office.participants.models import Contract
from citycard.office.settlement.models import RevenueRow
from citycard.office.staff.roles import Role
from tests.console import city as small
from tests.console.conftest import SignedIn
from tests.office_ledger.bank import Bank, Move, report


def test_a_movement_is_matched_as_a_deposit_and_leaves_a_trace(
    city: small.Small, signed_in: SignedIn
) -> None:
    browser = signed_in(Role.CLEARING_OFFICER)
    address = reverse("console:bank_entry", args=[city.entry])
    browser.post(address, {"as": "guarantee", "participant": small.METRO})
    assert ledger.balance(f"guarantee:{small.METRO}") == 1234
    assert AuditEntry.objects.get(verb="match_bank_entry").actor == "clearing-officer"
    answer = browser.post(address, {"as": "own"}, follow=True)  # again, by a second window
    assert "does not wait" in answer.content.decode()
    assert ledger.trial_balance().balanced


def test_an_auditor_looks_and_does_not_touch(city: small.Small, signed_in: SignedIn) -> None:
    browser = signed_in(Role.AUDITOR)
    assert browser.post(reverse("console:bank_entry", args=[city.entry]), {"as": "own"}).status_code == 403
    assert browser.post(reverse("console:bank"), {"do": "send", "name": city.file}).status_code == 403
    assert BankEntry.objects.get(pk=city.entry).purpose == "open"


def test_no_page_shows_a_whole_account_number(city: small.Small, signed_in: SignedIn) -> None:
    numbers = [*BankAccount.objects.values_list("number", flat=True), "6225880000001234"]
    browser = signed_in(Role.ADMINISTRATOR)
    pages = ("bank", "standing", "terms")
    addresses = [reverse(f"console:{name}") for name in pages]
    addresses += [
        reverse("console:bank_entry", args=[city.entry]),
        reverse("console:bank_order", args=[city.order]),
        reverse("admin:bank_bankaccount_changelist"),
    ]
    shown = "".join(browser.get(address).content.decode() for address in addresses)
    assert "****1234" in shown
    assert [number for number in numbers if number in shown] == []


def test_files_are_sent_held_payments_released_and_statements_imported(
    city: small.Small, signed_in: SignedIn
) -> None:
    browser = signed_in(Role.CLEARING_OFFICER)
    page = reverse("console:bank")
    browser.post(page, {"do": "send", "name": city.file})
    answer = browser.post(page, {"do": "send", "name": city.file}, follow=True)
    assert "cannot be moved on" in answer.content.decode()
    PaymentOrder.objects.filter(pk=city.order).update(state="held", file=None)
    browser.post(page, {"do": "release", "name": city.order})
    assert PaymentOrder.objects.get(pk=city.order).state == "made"
    held = -ledger.balance("cash:settlement")
    bank = Bank(held_fen=held, statements=7)
    content = bank.says(small.DAY, Move("1.00"))
    for told in ("1 movements, 0 of them matched", "imported before"):
        upload = SimpleUploadedFile("b.xml", content)
        assert told in browser.post(page, {"statement": upload}, follow=True).content.decode()
    assert (
        "no bank statement"
        in browser.post(
            page, {"statement": SimpleUploadedFile("b.xml", b"hello")}, follow=True
        ).content.decode()
    )


def test_notifications_and_reports_are_imported_like_statements(
    city: small.Small, signed_in: SignedIn
) -> None:
    file = PaymentFile.objects.get(pk=city.file)
    open_order = file.orders.exclude(pk=city.order).order_by("pk").first()
    assert open_order is not None
    browser, page = signed_in(Role.CLEARING_OFFICER), reverse("console:bank")

    def told(content: bytes) -> str:
        upload = SimpleUploadedFile("b.xml", content)
        return browser.post(page, {"statement": upload}, follow=True).content.decode()

    word = report("R1", file.content, "PART", {open_order.pk: "RJCT AC04"})
    assert "rejected 1" in told(word)
    text = told(word)
    assert "imported before" in text
    assert "accepted in part" in text
    notice = Bank().notifies(small.DAY, "N1", Move("1.00", "X", ref="A"), Move("2.00"))
    text = told(notice)
    assert "1 movements, 0 of them matched. 1 have no reference" in text
    assert "notified since:" in text
    order = browser.get(reverse("console:bank_order", args=[open_order.pk])).content.decode()
    assert "rejected by the bank" in order
    assert "AC04" in order
    entry = BankEntry.objects.get(statement=None)
    assert "still to come" in browser.get(reverse("console:bank_entry", args=[entry.pk])).content.decode()


def test_ours_theirs_and_the_banks_stand_side_by_side(city: small.Small, signed_in: SignedIn) -> None:
    from citycard.office.bank import standing

    table = f"# their_positions v1\nsettle_on,participant,net_fen\n{small.DAY},{small.BUS},1\n"
    assert standing.take_theirs(table.encode(), "bus.csv", "kim") == (1, 1)
    assert standing.take_theirs(table.encode(), "bus.csv", "kim") == (1, 1)
    assert TheirPosition.objects.count() == 1
    text = signed_in(Role.AUDITOR).get(reverse("console:standing") + f"?on={small.DAY}").content.decode()
    row = text.split("Wangjiang Bus")[1].split("</tr>")[0]
    assert "positions differ" in row
    assert "+0.01" in row
    assert city.order in row
    assert text.count("positions differ") == 1


def test_every_figure_leads_down_to_its_taps(city: small.Small, signed_in: SignedIn) -> None:
    """From a line of a participant's statement to the taps behind it, as many as the line counts."""
    browser = signed_in(Role.AUDITOR)
    for participant in (small.BUS, small.ISSUER, small.SCHEME):
        page = browser.get(
            reverse("console:participant", args=[str(small.DAY), participant])
        ).content.decode()
        links = re.findall(r'href="(/console/taps/\?[^"]*)"', page)
        rows = RevenueRow.objects.filter(participant=participant).order_by("service", "cause", "counterparty")
        assert len(links) == len(rows) > 0
        for link, row in zip(links, rows, strict=True):
            listed = browser.get(link.replace("&amp;", "&"))
            assert listed.context["rows"].paginator.count == row.taps, (participant, row.cause)
            assert reverse("console:tap", args=[city.tap]) in listed.content.decode()


@pytest.mark.parametrize(
    ("steps", "good"), [("500:10:1 900:5:2", True), ("900:10:1 500:5:2", False), ("x", False)]
)
def test_a_contract_that_would_stop_clearing_is_refused_in_its_form(
    city: small.Small, signed_in: SignedIn, steps: str, good: bool
) -> None:
    browser = signed_in(Role.ADMINISTRATOR)
    contract = Contract.objects.get(pk="bus")
    fields = {
        "contract": "bus", "service": 1, "acquirer": "", "issuer": "", "valid_from": "2024-01-01", "valid_until": "",
        "charge_bp": 80, "acquirer_bp": 10, "issuer_bp": 50, "fixed_fen": 0, "min_fen": 0, "max_fen": "",
        "steps": steps, "fee_acquirer_bp": "", "fee_issuer_bp": "", "concession_payer": "acquirer",
        "transfer_payer": "acquirer",
    }  # fmt: skip
    browser.post(reverse("admin:participants_contract_change", args=["bus"]), fields)
    contract.refresh_from_db()
    assert (contract.steps == steps) is good
    if good:
        text = browser.get(reverse("console:contracts")).content.decode()
        assert "up to 5.00: 0.10 % plus 0.01" in text
