# SPDX-License-Identifier: Apache-2.0
"""The two cities and the hub of the lab: their schemes, organisations and rates, all made up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from citycard.blueprints import Scheme, TerminalPlan, load_scheme
from citycard.services import service_named

VISITORS: Final = "visitor-issuer"  # in these cities strangers come through the exchange, not by contract
KEPT: Final = (("metro", 3, False), ("bus", 1, False), ("retail", 1, True))  # service, how many, top-ups


@dataclass(frozen=True, slots=True)
class Town:
    """An office of the lab."""

    key: str
    org: str
    en: str
    zh: str
    digits: str = ""  # the city's four digits; none: the hub


WEST: Final = Town("west", "99000000001", "Wangjiang", "望江", "9900")
EAST: Final = Town("east", "99010000001", "Langang", "岚港", "9901")
HUB: Final = Town("hub", "99990000001", "Exchange Hub", "互联互通清算中心")
CITIES: Final = (WEST, EAST)
HUB_PARTICIPANT: Final = "1999990000000001"
RATES: Final[tuple[dict[str, Any], ...]] = (
    {"name": "general", "charge_bp": 100, "acquirer_bp": 20, "issuer_bp": 50},
    {"name": "metro", "mcc": "4111", "charge_bp": 60, "acquirer_bp": 10, "issuer_bp": 35},
    {"name": "east-cards-in-west", "acquirer": WEST.org, "issuer": EAST.org, "mcc": "5499", "charge_bp": 80,
     "acquirer_bp": 0, "issuer_bp": 55},
)  # fmt: skip
LATE_DAYS: Final = 31  # a tap may be disputed, adjusted and presented again before its issuer sees it
SINCE: Final = date(2026, 1, 1)


def scheme_of(town: Town) -> Scheme:
    """The demo city without its foreign issuer, under this town's numbers and names."""
    plain = load_scheme("city").model_dump(mode="json")
    plain["participants"] = [one for one in plain["participants"] if one["key"] != VISITORS]
    plain["products"] = [one for one in plain["products"] if one["issuer"] != VISITORS]
    plain["contracts"] = [one for one in plain["contracts"] if one["issuer"] != VISITORS]
    plain["accounting"]["late_days"] = LATE_DAYS
    text = json.dumps(plain, ensure_ascii=False)
    for old, new in (("9900", town.digits), ("Wangjiang", town.en), ("望江", town.zh)):
        text = text.replace(old, new)
    return Scheme.model_validate_json(text)


def few_terminals(scheme: Scheme) -> tuple[TerminalPlan, ...]:
    """One terminal for each of a few places of every service."""
    kept: list[TerminalPlan] = []
    for service, count, loads in KEPT:
        code = service_named(service).code
        fit = [plan for plan in scheme.terminal_plans if plan.service == code and plan.loads == loads]
        kept += {(p.line, p.station): p for p in fit[:: max(1, len(fit) // count)]}.values()
    return tuple(kept)
