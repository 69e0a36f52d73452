# SPDX-License-Identifier: Apache-2.0
"""How values look on a page: money, card numbers, badges, sizes, links with a changed query."""

from __future__ import annotations

from typing import Any

from django import template
from django.http import QueryDict
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from citycard.core import money

register = template.Library()
TONES = {
    "active": "ok", "accepted": "ok", "posted": "ok", "approved": "ok", "booked": "ok",
    "executed": "ok", "sent": "info", "made": "info", "awaited": "info", "held": "warn", "to_order": "warn",
    "in_stock": "info", "personalised": "info", "pending": "info", "waiting": "warn", "suspended": "warn",
    "verified": "ok", "upheld": "ok", "taken": "ok", "forwarded": "info", "cleared": "info",
    "refused": "bad", "disputed": "warn", "returned": "bad", "adjusted": "mute", "raised": "warn",
    "contested": "warn", "represented": "warn", "arbitration": "warn", "granted": "info", "dismissed": "mute",
    "partly": "warn", "paid": "ok",
    "lost": "bad", "blocked": "bad", "rejected": "bad", "declined": "bad", "voided": "mute",
}  # fmt: skip


@register.filter
def yuan(amount_fen: int | None) -> str:
    """An amount of fen in yuan; nothing for none."""
    return "" if amount_fen is None else money.yuan(amount_fen)


@register.filter
def yuan_or_blank(amount_fen: int | None) -> str:
    """The same, and nothing for zero: a column of mostly zeros is hard to read."""
    return money.yuan(amount_fen) if amount_fen else ""


@register.filter
def signed(amount_fen: int) -> SafeString:
    """An amount that shows which way it goes."""
    tone = "cc-plus" if amount_fen > 0 else "cc-minus" if amount_fen < 0 else "cc-zero"
    plus = "+" if amount_fen > 0 else ""
    return format_html('<span class="{}">{}{}</span>', tone, plus, money.yuan(amount_fen))


@register.filter
def pan(number: str) -> SafeString:
    """A card number in groups of four that is still copied without gaps."""
    text = str(number)
    if not text.isdigit():
        return format_html("{}", text)
    groups = ((text[at : at + 4],) for at in range(0, len(text), 4))
    return format_html('<span class="cc-pan">{}</span>', format_html_join("", "<span>{}</span>", groups))


@register.filter
def count(number: int | None) -> str:
    """A count with groups of thousands."""
    return "" if number is None else f"{number:,}"


@register.filter
def rate(basis_points: int) -> str:
    """Basis points as a percentage."""
    return f"{basis_points / 100:.2f} %"


@register.filter
def size(octets: int) -> str:
    """A file's size."""
    return f"{octets / 1024:,.1f} KB"


@register.filter
def moment(at: Any) -> str:
    """A moment, always written the same way so that columns align."""
    return at.strftime("%Y-%m-%d %H:%M:%S") if at else ""


@register.filter
def day(on: Any) -> str:
    """A date, written the same way."""
    return on.isoformat() if on else ""


@register.filter
def tone(state: str) -> str:
    """The colour of a state's badge."""
    return TONES.get(str(state), "mute")


@register.filter
def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


@register.filter
def at(values: dict[str, str], name: str) -> str:
    """A value by its name."""
    return values.get(name, "")


@register.simple_tag(takes_context=True)
def query(context: Any, **changes: Any) -> str:
    """The page's query string with some values changed; an empty value takes one away."""
    values: QueryDict = context["request"].GET.copy()
    for name, value in changes.items():
        values.pop(name, None)
        if value not in (None, ""):
            values[name] = str(value)
    return "?" + values.urlencode()
