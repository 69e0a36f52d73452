# SPDX-License-Identifier: Apache-2.0
"""The tap lab: every tear of every journey settles once, and a person sees it in a real browser."""

from __future__ import annotations

import random
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from citycard.core.card import Card
from citycard.core.trace import Said, Tracer, parse
from citycard.office.staff.roles import Role
from citycard.office.taplab import stage
from citycard.office.taplab.facts import read_facts
from citycard.office.taplab.posts import BUS, ENTRY, EXIT, RETAIL, TOP_UP, posts
from citycard.office.taplab.stage import ACCEPTED, REFUSED, TORN, Stage, Tear
from citycard.terminal import ReplayLink
from tests.console.conftest import PASSWORD, SignedIn
from tests.console.test_browser import page as page  # the fixture

SEED = bytes(range(32))  # of keys that exist in this test only
START = datetime(2026, 3, 2, 8, 0)


def new_stage(algorithm: int = 0, balance_fen: int = 5000) -> Stage:
    vault = stage.make_vault(SEED, algorithm)
    draw = random.Random(3).randbytes
    card = stage.make_card(vault, SEED, "t-union", 1, START, algorithm=algorithm, random=draw)
    assert isinstance(card, Card)
    scene = Stage(vault, card, START)
    if balance_fen:
        assert scene.tap(posts()[TOP_UP], balance_fen).ended.outcome == ACCEPTED
    return scene


def later(scene: Stage, minutes: int = 10) -> Stage:
    scene.at += timedelta(minutes=minutes)
    return scene


# The stage


@pytest.mark.parametrize("algorithm", [0, 1], ids=["3DES", "SM4"])
def test_a_day_in_the_lab(algorithm: int) -> None:
    scene = new_stage(algorithm)
    for post, amount_fen in ((BUS, 0), (ENTRY, 0), (EXIT, 0), (RETAIL, 1200)):
        told = later(scene).tap(posts()[post], amount_fen)
        assert told.ended.outcome == ACCEPTED, (post, told)
    facts = read_facts(scene.card)
    assert facts["journey"] is None
    assert [line[0] for line in facts["log"]] == [6, 9, 9]
    assert facts["balance_fen"] == told.ended.balance_fen < 5000 - 1200
    assert later(scene, 0).tap(posts()[EXIT], 0).ended.outcome == REFUSED
    assert later(scene).tap(posts()[RETAIL], 99_999).ended.refusal is not None


@pytest.mark.parametrize("heard", [True, False], ids=["answer lost", "command lost"])
@pytest.mark.parametrize(("post", "steps"), [(EXIT, 8), (RETAIL, 4), (TOP_UP, 3), (BUS, 7)])
def test_torn_anywhere_it_is_booked_once(post: str, steps: int, heard: bool) -> None:
    """At each exchange in turn: torn, presented again at the same place, and the money moved exactly once."""
    whole = later(entered(), 10).tap(posts()[post], 1200)
    for step in range(steps):
        scene = later(entered(), 10)
        torn = scene.tap(posts()[post], 1200, Tear(step, heard))
        assert torn.ended.outcome == TORN
        assert torn.talk.endswith("< gone\n")
        scene.at += timedelta(minutes=1)
        again = scene.tap(posts()[post], 1200)
        assert again.ended.outcome == ACCEPTED, (step, again)
        assert again.ended.recovered is (heard and step == steps - 1)
        assert read_facts(scene.card)["balance_fen"] == whole.ended.balance_fen
        assert scene.open is None


def entered() -> Stage:
    scene = later(new_stage())
    assert scene.tap(posts()[ENTRY], 0).ended.outcome == ACCEPTED
    return scene


def test_the_talk_replays_and_explains_itself() -> None:
    told = entered().tap(posts()[RETAIL], 700)
    link, tracer, covered = ReplayLink(told.talk), Tracer(), []
    link.connect()
    for said in parse(told.talk):
        if isinstance(said, Said):
            command = bytes.fromhex(said.command)
            covered += [cover.name for cover in tracer(said.party, command, said.response).covers]
            if said.party == "card":
                assert link(command) == said.response
    assert link.finished
    assert covered == ["MAC1", "MAC1", "TAC", "MAC2", "MAC2"]


# The page


def test_the_page_keeps_each_persons_card(signed_in: SignedIn) -> None:
    from citycard.office.taplab.models import LabCard

    address = reverse("console:taplab")
    keeper, auditor = signed_in(Role.KEY_CUSTODIAN), signed_in(Role.AUDITOR, "zh-hans")
    card = {"make": "1", "profile": "t-union", "card_class": "1", "algorithm": "0", "balance": "50"}
    assert keeper.post(address, card).status_code == 302
    tap = {"tap": "1", "post": RETAIL, "amount": "12.5", "later": "10", "tear": "4", "lost": "answer"}
    keeper.post(address, tap)
    seen = keeper.get(address).content.decode()
    assert "37.50" in seen and "A transaction was torn" in seen and "tear=4" in seen
    keeper.post(address, {**tap, "tear": ""})
    seen = keeper.get(address).content.decode()
    assert "Recovered: the card proved that 12.50 yuan were booked" in seen
    assert "GET TRANSACTION PROVE" in seen and "cc-cover" in seen
    seed = bytes(LabCard.objects.get(user__username="key-custodian").seed)
    assert not {seed.hex(), stage.transport_key(seed).hex()} & set(re.findall(r"[0-9a-f]{32,}", seen.lower()))
    text = keeper.get(reverse("console:taplab_dialogue"))
    assert text.headers["Content-Disposition"].startswith("attachment")
    ReplayLink(text.content.decode()).connect()
    assert "请先取一张卡" in auditor.get(address).content.decode()
    assert auditor.post(address, tap).status_code == 302  # no card, nothing to tap
    refused = keeper.post(address, {**tap, "amount": "0", "tear": "99"})
    assert refused.status_code == 200 and refused.content.decode().count("cc-error") >= 2
    keeper.post(address, {**card, "profile": "no such", "balance": "1"})
    assert "37.50" in keeper.get(address).content.decode()


@pytest.mark.browser
def test_a_person_tears_a_card_away_and_sees_it_recover(
    transactional_db: None, still: None, home: Path, live_server: Any, page: Any
) -> None:
    from playwright.sync_api import expect

    from citycard.office.staff import people

    people.create("wei", PASSWORD, Role.KEY_CUSTODIAN)
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
    page.goto(f"{live_server.url}/console/taplab/")
    page.get_by_label("Username").fill("wei")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.goto(f"{live_server.url}/console/taplab/")
    page.get_by_role("button", name="Personalise").click()
    page.get_by_text("Metro gate, entry").click()
    page.get_by_role("button", name="Present the card").click()
    expect(page.get_by_role("status").first).to_have_text("Accepted: 0.00 yuan.")
    page.get_by_text("Metro gate, exit").click()
    page.get_by_role("button", name="Present the card").click()
    expect(page.get_by_role("status").first).to_contain_text("Accepted: 2.85 yuan.")
    page.get_by_text("Shop", exact=True).click()
    page.get_by_label("Tear at exchange").select_option("4")
    page.get_by_role("button", name="Present the card").click()
    expect(page.get_by_role("status").first).to_contain_text("The card was torn away.")
    expect(page.get_by_text("the card left before it answered")).to_be_visible()
    page.get_by_role("button", name="Present the card").click()
    expect(page.get_by_role("status").first).to_contain_text("12.00 yuan were booked before it was torn away")
    expect(page.locator(".cc-cover-name", has_text="TAC").first).to_be_visible()
    expect(page.locator(".cc-card b")).to_have_text("35.15")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_text("已恢复：卡片证明中断前已入账 12.00 元，未重复入账。")).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="文本对话").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert "# 取交易认证：类型：钱包消费 → 9000 成功" in text
    assert trouble == []
