# SPDX-License-Identifier: Apache-2.0
"""An address of every page of the console."""

from __future__ import annotations

from django.urls import reverse

from tests.console import city as small

BARE = (
    "dashboard", "search", "cards", "holders", "register", "hotlist", "approvals", "runs", "taps", "ledger",
    "exchange", "exchanged", "disputes", "bank", "standing", "terms", "reports",
    "terminals", "alarms", "participants", "tariffs", "contracts", "keys", "audit", "staff", "taplab",
)  # fmt: skip


def addresses(city: small.Small) -> dict[str, str]:
    """Page to address, with something to see on each."""
    day = small.DAY.isoformat()
    named = {
        "card": [city.pans[0]],
        "verb": [city.pans[2], "issue"],
        "holder": [city.adult.pk],
        "run": [day],
        "participant": [day, small.BUS],
        "statement": [day, f"{small.BUS}.csv"],
        "bank_entry": [city.entry],
        "bank_file": [city.file],
        "bank_order": [city.order],
        "tap": [city.tap],
        "report": [f"{small.DAY:%Y-%m}", f"{small.BUS}.pdf"],
        "month": [f"{small.DAY:%Y-%m}"],
        "month_participant": [f"{small.DAY:%Y-%m}", small.BUS],
        "account": [f"position:{small.BUS}"],
        "terminal": [city.bus_terminal],
        "exchange_hold": [day],
        "exchanged_tap": [city.exchanged],
        "dispute": [city.dispute],
    }
    found = {name: reverse(f"console:{name}") for name in BARE}
    asked = {"behind": day, "month_figure": f"{small.DAY:%Y-%m}"}
    for name, args in asked.items():
        found[name] = reverse(f"console:{name}", args=[args]) + f"?participant={small.BUS}"
    return found | {name: reverse(f"console:{name}", args=args) for name, args in named.items()}
