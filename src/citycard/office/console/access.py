# SPDX-License-Identifier: Apache-2.0
"""Which page is whose: one table for the menu and for the doors.

A page that is not in the table cannot be served, and the menu shows exactly the pages whose doors open, so
the two cannot drift apart. What a role may do to a card stands in `staff.roles.POLICY`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from citycard.office.staff.roles import ALL, Actor, Role, actor_of

Rest = ParamSpec("Rest")
Text = str | Promise

CLERK, CUSTODIAN, CLEARING, AUDITOR, ADMIN = (
    Role.CLERK, Role.KEY_CUSTODIAN, Role.CLEARING_OFFICER, Role.AUDITOR, Role.ADMINISTRATOR,
)  # fmt: skip
CARD_DESK: Final = ALL - {CUSTODIAN}
BACK_OFFICE: Final = frozenset({CLEARING, AUDITOR, ADMIN})
MONEY_MOVERS: Final = frozenset({CLEARING, ADMIN})  # may make the payments of a closed date


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its title and icon, the group of the menu it stands in (none: not in the menu), and whose."""

    title: Text
    roles: frozenset[Role]
    group: Text | None = None
    icon: str = ""


DESK, MONEY, SCHEME, GUARD = _("Cards and holders"), _("Settlement"), _("Scheme"), _("Security")
LABORATORY = _("Laboratory")

PAGES: Final[dict[str, Page]] = {
    "dashboard": Page(_("Overview"), ALL, "", "dashboard"),
    "search": Page(_("Search"), ALL),
    "cards": Page(_("Cards"), CARD_DESK, DESK, "credit_card"),
    "card": Page(_("Card"), CARD_DESK),
    "verb": Page(_("Card service"), CARD_DESK),
    "holders": Page(_("Holders"), frozenset({CLERK, AUDITOR, ADMIN}), DESK, "badge"),
    "holder": Page(_("Holder"), frozenset({CLERK, AUDITOR, ADMIN})),
    "register": Page(_("Register a holder"), frozenset({CLERK})),
    "hotlist": Page(_("Hotlist"), CARD_DESK, DESK, "block"),
    "approvals": Page(_("Approvals"), CARD_DESK, DESK, "how_to_reg"),
    "runs": Page(_("Settlement runs"), BACK_OFFICE, MONEY, "balance"),
    "run": Page(_("Settlement run"), BACK_OFFICE),
    "behind": Page(_("Taps behind a figure"), BACK_OFFICE),
    "month": Page(_("Month"), BACK_OFFICE),
    "month_participant": Page(_("Month"), BACK_OFFICE),
    "month_figure": Page(_("Dates behind a figure"), BACK_OFFICE),
    "adjustment": Page(_("Fee by the month's volume"), BACK_OFFICE),
    "bank": Page(_("Settlement bank"), BACK_OFFICE, MONEY, "assured_workload"),
    "bank_entry": Page(_("Movement at the bank"), BACK_OFFICE),
    "bank_file": Page(_("Payment file"), MONEY_MOVERS),
    "payment": Page(_("Payment"), BACK_OFFICE),
    "bank_order": Page(_("Payment order"), BACK_OFFICE),
    "standing": Page(_("Reconciliation"), BACK_OFFICE, MONEY, "rule"),
    "terms": Page(_("Settlement terms"), BACK_OFFICE, MONEY, "event_repeat"),
    "reports": Page(_("Monthly reports"), BACK_OFFICE, MONEY, "summarize"),
    "taps": Page(_("Taps"), BACK_OFFICE, MONEY, "contactless"),
    "tap": Page(_("Tap"), BACK_OFFICE),
    "ledger": Page(_("Ledger"), BACK_OFFICE, MONEY, "account_balance"),
    "account": Page(_("Account"), BACK_OFFICE),
    "exchange": Page(_("Between cities"), BACK_OFFICE, MONEY, "sync_alt"),
    "exchange_hold": Page(_("Held payment between cities"), BACK_OFFICE),
    "exchanged": Page(_("Taps between cities"), BACK_OFFICE, MONEY, "travel"),
    "exchanged_tap": Page(_("Tap between cities"), BACK_OFFICE),
    "disputes": Page(_("Disputes"), BACK_OFFICE, MONEY, "gavel"),
    "dispute": Page(_("Dispute"), BACK_OFFICE),
    "terminals": Page(_("Terminals"), BACK_OFFICE, SCHEME, "point_of_sale"),
    "terminal": Page(_("Terminal"), BACK_OFFICE),
    "alarms": Page(_("Alarms"), BACK_OFFICE, SCHEME, "notifications"),
    "participants": Page(_("Participants"), CARD_DESK, SCHEME, "groups"),
    "tariffs": Page(_("Tariffs"), CARD_DESK, SCHEME, "sell"),
    "contracts": Page(_("Contracts"), BACK_OFFICE, SCHEME, "handshake"),
    "keys": Page(_("Keys"), frozenset({CUSTODIAN}), GUARD, "key"),
    "audit": Page(_("Audit log"), frozenset({AUDITOR, ADMIN}), GUARD, "fact_check"),
    "staff": Page(_("Staff"), frozenset({AUDITOR, ADMIN}), GUARD, "manage_accounts"),
    "taplab": Page(_("Tap lab"), frozenset({CUSTODIAN, AUDITOR, ADMIN}), LABORATORY, "science"),
}
FULL_HOLDER_DATA: Final = frozenset({CLERK})  # all others see holders masked
ALARM_CLOSERS: Final = frozenset({CLEARING, ADMIN})


def actor(request: HttpRequest) -> Actor:
    """Who is asking; looked up once per request."""
    known: Actor | None = getattr(request, "citycard_actor", None)
    if known is None:
        user = request.user
        known = Actor("", frozenset()) if isinstance(user, AnonymousUser) else actor_of(user)
        request.citycard_actor = known  # type: ignore[attr-defined]
    return known


def may(request: HttpRequest, page: str) -> bool:
    """Whether this page is theirs."""
    return bool(actor(request).roles & PAGES[page].roles)


def page(
    name: str,
) -> Callable[
    [Callable[Concatenate[HttpRequest, Actor, Rest], HttpResponse]],
    Callable[Concatenate[HttpRequest, Rest], HttpResponse],
]:
    """A view as the page `name`: signed-in staff of its roles get in, and the view is told who asks."""
    assert name in PAGES, f"page {name} is in no table"

    def door(
        view: Callable[Concatenate[HttpRequest, Actor, Rest], HttpResponse],
    ) -> Callable[Concatenate[HttpRequest, Rest], HttpResponse]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Rest.args, **kwargs: Rest.kwargs) -> HttpResponse:
            if not may(request, name):
                return refused(request)
            return view(request, actor(request), *args, **kwargs)

        return admin.site.admin_view(guarded)  # type: ignore[return-value]

    return door


def show(
    request: HttpRequest, name: str, context: Mapping[str, Any], *, title: Text = "", status: int = 200
) -> HttpResponse:
    """The template console/{name}.html in the console's frame."""
    frame = admin.site.each_context(request)
    heading = title or (PAGES[name].title if name in PAGES else "")
    return render(request, f"console/{name}.html", {**frame, "title": heading, **context}, status=status)


def refused(request: HttpRequest, text: Text = "") -> HttpResponse:
    """A page that says no, within the frame."""
    text = text or _("This page belongs to another role.")
    return show(request, "message", {"text": text, "icon": "lock"}, title=_("Not permitted"), status=403)


def missing(request: HttpRequest, text: Text) -> HttpResponse:
    """A page that says that there is no such thing, within the frame."""
    return show(request, "message", {"text": text, "icon": "search_off"}, title=_("Not found"), status=404)
