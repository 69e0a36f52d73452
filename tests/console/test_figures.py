# SPDX-License-Identifier: Apache-2.0
"""Every figure of a cleared date leads to exactly its taps, whether the office has these taps or the lake."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from citycard.clearing.figures import taps_behind
from citycard.clearing.rules import ALL, EXCEPTIONS, Rules
from citycard.office.settlement import behind, post_run, settle
from citycard.office.settlement.closing import close_month
from citycard.office.settlement.models import (
    FeeAdjustment,
    Payment,
    PositionRow,
    RevenueRow,
    SettlementRun,
    Tap,
)
from citycard.office.staff.roles import Role
from tests.clearing.world import (
    BUS,
    CITY,
    EAST,
    ISSUER,
    METRO,
    METRO_TERMINAL,
    NAMES,
    OTHER_ISSUER,
    SCHEME,
    World,
    contract,
)
from tests.console.conftest import SignedIn
from tests.console.test_pages import english

FIRST, LAST = date(2026, 3, 30), date(2026, 3, 31)
MARCH = date(2026, 3, 1)
TIERS = "200..:40:0"


@dataclass
class Cleared:
    """Two dates at the end of March, really cleared, posted and settled; who looks at them."""

    world: World
    browser: Client

    def page(self, address: str) -> Any:
        answer = self.browser.get(unescape(address))
        assert answer.status_code == 200, address
        return answer

    def behind(self, address: str) -> tuple[int | None, int, int]:
        """Figure, total and number of taps of a page and all after it; the taps' parts are added up here."""
        seen: list[Any] = []
        number = 0
        while True:
            number += 1
            told = self.page(f"{address}&page={number}").context
            assert "problem" not in told, told["problem"]
            seen += told["parts"]
            if not told["rows"].has_next():
                break
        assert sum(one.part_fen for one in seen) == told["found"].total_fen
        assert len({one.row.tap for one in seen}) == len(seen) == told["found"].taps
        return told["told_fen"], told["found"].total_fen, len(seen)


def links(text: str, page: str = "/behind/") -> list[str]:
    return [unescape(one) for one in re.findall(r'href="(/console/[^"]*)"', text) if page in one]


def shared(service: int, *_: Any) -> tuple[tuple[str, int], ...]:
    """Rail fares are shared with another line's operator."""
    return ((METRO, 3), (EAST, 4)) if service == 2 else ((BUS, 1),)


@pytest.fixture
def lake() -> Iterator[None]:
    """The lake beside the office, as `citycard serve` puts it there."""
    behind.use(taps_behind)
    yield
    behind.use(None)


@pytest.fixture(params=[ALL, EXCEPTIONS])
def cleared(
    request: pytest.FixtureRequest, db: None, lake: None, home: Path, vault: Any, signed_in: SignedIn
) -> Cleared:
    from citycard.office.participants.models import Contract, Line, Participant

    for name, (en, zh, roles) in NAMES.items():
        Participant.objects.create(id=name, name_en=en, name_zh=zh, roles=roles.split())
    for number, operator in ((1, METRO), (2, EAST)):
        Line.objects.create(number=number, service=2, operator_id=operator, name_en="", name_zh="")
    world = World(home)
    world.rules = Rules(sheets=False, verdicts_to_office=request.param, sharing=shared)
    world.contracts = [contract("票款, “一”", concession_payer=CITY, fixed_fen=1)]
    commission = {"charge_bp": 300, "acquirer_bp": 300, "issuer_bp": 0}
    world.contracts.append(contract("充值佣金", service=0, **commission))
    Contract.objects.create(**world.contracts[0], volume_tiers=TIERS)
    Contract.objects.create(**world.contracts[1], volume_by="taps", volume_tiers="3..:200:0")
    world.card("Z", 90_000, OTHER_ISSUER)
    for on in (FIRST, LAST):
        world.clock = world.clock.replace(year=on.year, month=on.month, day=on.day, hour=8)
        rides = [
            world.tap(name, 150 + 7 * n, list_fen=200 + 7 * n, concession_fen=50)
            for n, name in enumerate("AABBCZZ")
        ]
        rails = [
            world.tap(
                "AZ"[n % 2], 3 + n % 5, METRO_TERMINAL, line=2, station=2, entry_line=1, entry_station=1
            )
            for n in range(60)  # more than a page, and fees of single fen
        ]
        for records in (rides, rails, [world.load("C", 5_000), world.load("B", 700)]):
            world.upload(*records, day=on)
        world.clear(on)
        post_run(on)
        settle(on)
    close_month(MARCH, "kim")
    return Cleared(world, signed_in(Role.AUDITOR))


def test_the_taps_behind_every_figure_of_a_statement_add_up_to_it(cleared: Cleared) -> None:
    run = SettlementRun.objects.get(pk=LAST)
    brief = cleared.world.rules.verdicts_to_office == EXCEPTIONS
    assert Tap.objects.filter(run=run, verdict="accepted").exists() is not brief
    seen: set[str] = set()
    for participant in (ISSUER, BUS, METRO, EAST, SCHEME, CITY):
        address = reverse("console:participant", args=[str(LAST), participant])
        found = dict.fromkeys(links(cleared.page(address).content.decode()))
        position = PositionRow.objects.get(run=run, closing=None, participant=participant)
        lines = RevenueRow.objects.filter(run=run, closing=None, participant=participant)
        wanted = sorted(
            [position.receivable_fen, position.payable_fen, position.net_fen]
            + [line.amount_fen for line in lines]
        )
        told = {link: cleared.behind(link) for link in found}
        assert sorted(figure for figure, _, _ in told.values()) == wanted
        assert all(figure == total for figure, total, _ in told.values())
        counts = sorted(taps for link, (_, _, taps) in told.items() if "cause=" in link)
        assert counts == sorted(line.taps for line in lines)
        seen |= {line.cause for line in lines}
    assert seen == {
        "fare",
        "operator_share",
        "issuer_fee",
        "acquirer_fee",
        "scheme_fee",
        "concession",
        "load",
    }


def test_every_other_page_leads_down_too(cleared: Cleared) -> None:
    run = cleared.page(reverse("console:run", args=[str(LAST)])).content.decode()
    standing = cleared.page(reverse("console:standing") + f"?on={LAST}").content.decode()
    payments = [cleared.page(link).content.decode() for link in links(run + standing, "/payments/")]
    assert payments
    found = [*dict.fromkeys(links(run + standing + "".join(payments)))]
    assert len(found) > 20
    for link in found[::4]:
        figure, total, taps = cleared.behind(link)
        assert (figure, bool(taps)) == (total, bool(total)), link
    month = cleared.page(reverse("console:month", args=["2026-03"])).content.decode()
    sides = links(month, "/months/2026-03/behind/")
    own = links(month, "/months/2026-03/participants/")
    lines = [
        link for one in own for link in links(cleared.page(one).content.decode(), "/months/2026-03/behind/")
    ]
    below: dict[str, None] = {}
    for link in [*sides, *dict.fromkeys(lines)][::3]:
        told = cleared.page(link)
        assert told.context["total_fen"] == sum(day.amount_fen for day in told.context["days"])
        below |= dict.fromkeys(links(told.content.decode(), "/runs/"))
    first = [link for link in below if str(FIRST) in link]
    for link in first[::5]:
        figure, total, _ = cleared.behind(link)
        assert figure == total, link


def test_the_turnover_and_fee_of_an_adjustment_lead_to_their_taps(cleared: Cleared) -> None:
    made = FeeAdjustment.objects.exclude(difference_fen=0)
    assert made.count() >= 2
    assert {one.service for one in made} == {0, 1, 2}
    for one in made:
        page = cleared.page(reverse("console:adjustment", args=[one.pk]))
        sums = tuple(page.context[name] for name in ("taps", "turnover_fen", "fee_fen"))
        assert sums == (one.taps, one.amount_fen, one.charged_fen)
        totals = {"amount": 0, "fee": 0}
        for link in dict.fromkeys(links(page.content.decode())):
            figure, total, _ = cleared.behind(link)
            assert figure == total
            totals["fee" if "what=fee" in link else "amount"] += total
        assert totals == {"amount": one.amount_fen, "fee": one.charged_fen}


def test_a_page_says_what_is_in_the_lake_only_or_not_there(cleared: Cleared, signed_in: SignedIn) -> None:
    address = reverse("console:behind", args=[str(LAST)]) + f"?participant={SCHEME}"
    text = cleared.page(address).content.decode()
    brief = cleared.world.rules.verdicts_to_office == EXCEPTIONS
    assert ("are in the tap lake only" in text) is brief
    assert bool(links(text, "/taps/99")) is not brief
    assert "The taps add up to the figure." in text
    assert cleared.page(address + "&page=999").context["rows"].number == 1
    chinese = signed_in(Role.AUDITOR, "zh-hans", name="an")
    for name, args, query in (
        ("behind", [str(LAST)], f"?participant={SCHEME}&cause=scheme_fee"),
        ("run", [str(LAST)], ""),
        ("month", ["2026-03"], ""),
        ("month_participant", ["2026-03", BUS], ""),
        ("month_figure", ["2026-03"], f"?participant={BUS}&service=1&counterparty={ISSUER}&cause=volume_fee"),
        ("adjustment", [FeeAdjustment.objects.earliest("pk").pk], ""),
        ("payment", [Payment.objects.earliest("pk").pk], ""),
    ):
        told = chinese.get(reverse(f"console:{name}", args=args) + query)
        assert (told.status_code, english(told.content.decode())) == (200, []), name
    RevenueRow.objects.filter(run=LAST, participant=SCHEME).update(amount_fen=1)
    assert "The taps do not add up to the figure." in cleared.page(address).content.decode()
    for nonsense in (
        "what=weather",
        "service=x",
        "service=99999999999999999999",
        "kind=-1",
        "business_date=0",
        "side=left",
    ):
        assert cleared.browser.get(f"{address}&{nonsense}").status_code == 404
    behind.use(None)
    assert "citycard serve" in cleared.page(address).content.decode()
    behind.use(taps_behind)
    SettlementRun.objects.create(
        settle_on=LAST + timedelta(days=1), digest="", posted_at="2026-04-01T00:00:00", taps=0, accepted=0,
        suspended=0, rejected=0, charged_fen=0, loaded_fen=0, suspense_fen=0,
    )  # fmt: skip
    absent = cleared.page(reverse("console:behind", args=["2026-04-01"]) + f"?participant={SCHEME}")
    assert "is not closed in" in absent.content.decode()
    clerk = signed_in(Role.CLERK, name="li")
    assert clerk.get(address).status_code == 403
