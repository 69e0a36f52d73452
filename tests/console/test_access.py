# SPDX-License-Identifier: Apache-2.0
"""Each role sees only what is its own: doors and menus against one table written by hand."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from citycard.office.staff.roles import Role
from tests.console import city as small
from tests.console.conftest import SignedIn
from tests.console.visits import addresses

# page             clerk   custodian  clearing  auditor  administrator
DOORS = """
dashboard          yes     yes        yes       yes      yes
search             yes     yes        yes       yes      yes
cards              yes     no         yes       yes      yes
card               yes     no         yes       yes      yes
verb               yes     no         no        no       yes
holders            yes     no         no        yes      yes
holder             yes     no         no        yes      yes
register           yes     no         no        no       no
hotlist            yes     no         yes       yes      yes
approvals          yes     no         yes       yes      yes
runs               no      no         yes       yes      yes
run                no      no         yes       yes      yes
participant        no      no         yes       yes      yes
statement          no      no         yes       yes      yes
bank               no      no         yes       yes      yes
bank_entry         no      no         yes       yes      yes
bank_order         no      no         yes       yes      yes
standing           no      no         yes       yes      yes
terms              no      no         yes       yes      yes
behind             no      no         yes       yes      yes
month              no      no         yes       yes      yes
month_participant  no      no         yes       yes      yes
month_figure       no      no         yes       yes      yes
reports            no      no         yes       yes      yes
report             no      no         yes       yes      yes
bank_file          no      no         yes       no       yes
taps               no      no         yes       yes      yes
tap                no      no         yes       yes      yes
ledger             no      no         yes       yes      yes
account            no      no         yes       yes      yes
exchange           no      no         yes       yes      yes
exchange_hold      no      no         yes       yes      yes
exchanged          no      no         yes       yes      yes
exchanged_tap      no      no         yes       yes      yes
disputes           no      no         yes       yes      yes
dispute            no      no         yes       yes      yes
terminals          no      no         yes       yes      yes
terminal           no      no         yes       yes      yes
alarms             no      no         yes       yes      yes
participants       yes     no         yes       yes      yes
tariffs            yes     no         yes       yes      yes
contracts          no      no         yes       yes      yes
keys               no      yes        no        no       no
audit              no      no         no        yes      yes
staff              no      no         no        yes      yes
taplab             no      yes        no        yes      yes
"""
ROLES = (Role.CLERK, Role.KEY_CUSTODIAN, Role.CLEARING_OFFICER, Role.AUDITOR, Role.ADMINISTRATOR)
TABLE = {
    line.split()[0]: dict(zip(ROLES, line.split()[1:], strict=True)) for line in DOORS.split("\n") if line
}
MENU = ["dashboard", "cards", "holders", "hotlist", "approvals", "runs", "bank", "standing", "terms", "reports", "taps", "ledger", "exchange", "exchanged", "disputes", "terminals", "alarms", "participants", "tariffs", "contracts", "keys", "audit", "staff", "taplab"]  # fmt: skip


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.value)
def test_doors_open_for_whom_the_table_says(city: small.Small, signed_in: SignedIn, role: Role) -> None:
    browser = signed_in(role)
    pages = addresses(city)
    assert set(pages) == set(TABLE)
    opened = {page: browser.get(address).status_code for page, address in pages.items()}
    assert opened == {page: 200 if row[role] == "yes" else 403 for page, row in TABLE.items()}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.value)
def test_the_menu_shows_the_doors_that_open(city: small.Small, signed_in: SignedIn, role: Role) -> None:
    page = signed_in(role).get(reverse("console:dashboard")).content.decode()
    menu = page.split('id="nav-sidebar-apps"')[1].split("</ol>\n    </div>")[0].split('id="main"')[0]
    shown = set(re.findall(r'<a href="(/console/[^"]*)"', menu))
    assert shown == {reverse(f"console:{name}") for name in MENU if TABLE[name][role] == "yes"}


def test_whoever_is_not_signed_in_is_asked_to(city: small.Small) -> None:
    for address in addresses(city).values():
        answer = Client().get(address)
        assert answer.status_code == 302
        assert answer["location"].startswith(reverse("admin:login"))


def test_the_front_door_leads_to_the_console(city: small.Small, signed_in: SignedIn) -> None:
    assert signed_in(Role.CLERK).get("/", follow=True).redirect_chain[-1][0] == reverse("console:dashboard")


def test_forms_are_the_administrators(signed_in: SignedIn) -> None:
    address = reverse("admin:participants_contract_add")
    for role in ROLES:
        wanted = 200 if role is Role.ADMINISTRATOR else 403
        assert signed_in(role).get(address).status_code == wanted


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.value)
def test_a_verb_posted_past_its_button_is_refused(city: small.Small, signed_in: SignedIn, role: Role) -> None:
    from citycard.office.cards.models import Card

    answer = signed_in(role).post(reverse("console:verb", args=[city.pans[2], "block"]), {"reason": "risk"})
    permitted = role in (Role.CLERK, Role.CLEARING_OFFICER, Role.ADMINISTRATOR)
    assert answer.status_code == (302 if permitted else 403)
    assert Card.objects.get(pan=city.pans[2]).status == ("blocked" if permitted else "active")


def test_staff_of_one_issuer_do_not_see_the_cards_of_another(city: small.Small, signed_in: SignedIn) -> None:
    browser = signed_in(Role.CLERK, participant="02009901ffffffff")
    assert city.pans[0] not in browser.get(reverse("console:cards")).content.decode()
    answer = browser.get(reverse("console:card", args=[city.pans[0]]))
    assert answer.status_code == 403
    assert "The card belongs to another issuer" in answer.content.decode()
    assert browser.get(reverse("console:verb", args=[city.pans[0], "block"])).status_code == 403
