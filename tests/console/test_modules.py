# SPDX-License-Identifier: Apache-2.0
"""The custodian's page: security modules beside the keys, and keys that are for later."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse

from citycard.office import clock
from citycard.office.issuing.models import Sam
from citycard.office.staff.roles import Role
from tests.console import city as small
from tests.console.conftest import SignedIn


def module(number: int, **more: Any) -> Sam:
    at = datetime(2026, 3, 1)
    values = {"role": "psam", "terminal": f"99000000000{number}", "keys": [["purchase", 2, 0, "00"]]}
    times = {"issued_at": at, "issued_by": "zhao", "state_at": at}
    return Sam.objects.create(serial=f"{number:020d}", **(values | times | more))


def test_modules_are_listed(city: small.Small, vault: Any, signed_in: SignedIn) -> None:
    module(1)
    module(2, state=Sam.State.HOTLISTED, distrusted_at=datetime(2026, 3, 2, 8, 15))
    vault.generate("load", 0, 7, not_before=clock.now() + timedelta(days=30))
    text = signed_in(Role.KEY_CUSTODIAN).get(reverse("console:keys")).content.decode()
    for shown in (
        "Security modules",
        f"{1:020d}",
        "990000000002",
        "in use",
        "hotlisted",
        "for new cards from",
    ):
        assert shown in text


def test_in_chinese(city: small.Small, vault: Any, signed_in: SignedIn) -> None:
    module(1, state=Sam.State.RETURNED)
    browser = signed_in(Role.KEY_CUSTODIAN)
    browser.cookies["django_language"] = "zh-hans"
    text = browser.get(reverse("console:keys")).content.decode()
    assert "安全模块" in text
    assert "已收回" in text
