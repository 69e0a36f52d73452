# SPDX-License-Identifier: Apache-2.0
"""One story in a real browser: a clerk finds a card, reports it lost, and sees it on the hotlist."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from citycard.office.staff.roles import Role
from tests.console import city as small
from tests.console.conftest import PASSWORD

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture
def page(chromium: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A page of a browser that is new."""
    from playwright.sync_api import sync_playwright

    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # playwright keeps a loop in this thread
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser.new_page(locale="en-GB")
        browser.close()


@pytest.mark.browser
def test_a_clerk_reports_a_loss(
    transactional_db: None, still: None, home: Path, vault: Any, live_server: Any, page: Any
) -> None:
    from playwright.sync_api import expect

    from citycard.office.staff import people

    city = small.build(home)
    people.create("lin", PASSWORD, Role.CLERK)
    asked, trouble = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)

    page.goto(live_server.url)
    page.get_by_label("Username").fill("lin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_placeholder("Card, holder, terminal…").fill(city.pans[0])
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Report loss").click()
    page.get_by_role("button", name="Report loss").click()
    expect(page.get_by_text("The card is now lost.")).to_be_visible()
    page.get_by_role("link", name="Hotlist").first.click()
    expect(page.get_by_role("row").filter(has=page.locator(f'a[href*="{city.pans[0]}"]'))).to_have_count(1)
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="黑名单")).to_be_visible()
    assert "dark" not in (page.locator("html").get_attribute("class") or "")

    assert trouble == []
    assert [url for url in asked if not url.startswith((live_server.url, "data:"))] == []
