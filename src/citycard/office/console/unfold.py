# SPDX-License-Identifier: Apache-2.0
"""How the console looks: title, colours and menu, as the settings of django-unfold."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

# A calm blue-green; unfold's own primary is a violet.
PRIMARY: Final = {
    "50": "oklch(97.6% .012 230)",
    "100": "oklch(94.5% .026 230)",
    "200": "oklch(89.5% .05 230)",
    "300": "oklch(82% .085 230)",
    "400": "oklch(71.5% .118 232)",
    "500": "oklch(61.5% .126 235)",
    "600": "oklch(52% .118 238)",
    "700": "oklch(45% .1 240)",
    "800": "oklch(38.5% .082 242)",
    "900": "oklch(33.5% .066 244)",
    "950": "oklch(25% .048 246)",
}


def menu(request: HttpRequest) -> list[dict[str, Any]]:
    """The pages of whoever asks, in groups."""
    from citycard.office.console.access import PAGES, may

    here = request.resolver_match.view_name if request.resolver_match else ""
    inside = MENU_OF.get(here, here.removeprefix("console:"))
    groups: dict[str, dict[str, Any]] = {}
    for name, page in PAGES.items():
        if page.group is None or not may(request, name):
            continue
        group = groups.setdefault(str(page.group), {"title": page.group, "separator": False, "items": []})
        link = reverse(f"console:{name}")
        group["items"].append(
            {"title": page.title, "icon": page.icon, "link": link, "active": inside == name}
        )
    return list(groups.values())


# Pages that are reached from another one light its line in the menu.
MENU_OF: Final = {
    "console:card": "cards",
    "console:verb": "cards",
    "console:holder": "holders",
    "console:register": "holders",
    "console:run": "runs",
    "console:participant": "runs",
    "console:behind": "runs",
    "console:month": "reports",
    "console:month_figure": "reports",
    "console:month_participant": "reports",
    "console:adjustment": "reports",
    "console:payment": "bank",
    "console:account": "ledger",
    "console:bank_entry": "bank",
    "console:bank_order": "bank",
    "console:tap": "taps",
    "console:terminal": "terminals",
    "console:exchange_hold": "exchange",
    "console:exchanged_tap": "exchanged",
    "console:dispute": "disputes",
}

UNFOLD: Final[dict[str, Any]] = {
    "SITE_TITLE": _("City card console"),
    "SITE_HEADER": _("City card console"),
    "SITE_SUBHEADER": None,
    "SITE_SYMBOL": "credit_card",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("console/favicon.svg"),
        }
    ],
    "SHOW_LANGUAGES": True,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "COLORS": {"primary": PRIMARY},
    "STYLES": [lambda request: static("console/console.css")],
    "SCRIPTS": [lambda request: static("console/console.js")],
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": menu},
}
