# SPDX-License-Identifier: Apache-2.0
"""The forms of the tap lab: which card, and how it is presented."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from citycard.core.crypto import SUITES
from citycard.office.console.forms import Form
from citycard.office.console.labels import CLASSES
from citycard.office.taplab.posts import ENTRY, posts
from citycard.office.taplab.stage import PROFILES_HERE, Tear
from citycard.office.taplab.stand import Choice

LATER: Final = (0, 1, 10, 45, 150, 1440)  # minutes: at once, a repeat, a ride, a transfer, over time, a day
STEPS_MAX: Final = 12
YUAN_MAX: Final = 1000
LOST: Final = (("answer", _("answer lost")), ("command", _("command lost")))


class NewCard(Form):
    """Which card to take in hand."""

    profile = forms.ChoiceField(label=_("Profile"))
    card_class = forms.TypedChoiceField(label=_("Class"), coerce=int)
    algorithm = forms.TypedChoiceField(label=_("Suite"), coerce=int)
    balance = forms.DecimalField(
        label=_("Balance (yuan)"), min_value=0, max_value=YUAN_MAX, decimal_places=2, initial=Decimal(50)
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["profile"].choices = [(name, name) for name in PROFILES_HERE]
        fields["card_class"].choices = list(CLASSES.items())
        fields["algorithm"].choices = [(suite.id, suite.name) for suite in SUITES.values()]

    @property
    def choice(self) -> Choice:
        """What was asked for."""
        data = self.cleaned_data
        return Choice(data["profile"], data["card_class"], data["algorithm"], int(data["balance"] * 100))


class TapForm(Form):
    """Where the card is presented, when, and at which exchange it is torn away."""

    post = forms.ChoiceField(label=_("Terminal"), initial=ENTRY)
    amount = forms.DecimalField(
        label=_("Amount (yuan)"),
        min_value=Decimal("0.01"),
        max_value=YUAN_MAX,
        decimal_places=2,
        initial=Decimal(12),
    )
    later = forms.TypedChoiceField(
        label=_("Minutes later"), coerce=int, choices=[(m, m) for m in LATER], initial=10
    )
    tear = forms.TypedChoiceField(label=_("Tear at exchange"), coerce=int, required=False, empty_value=None)
    lost = forms.ChoiceField(label=_("What is lost"), choices=LOST, required=False)

    def __init__(self, *args: Any, initial: dict[str, Any] | None = None, **kwargs: Any) -> None:
        wanted = {name: value for name, value in (initial or {}).items() if name in ("post", "tear", "lost")}
        super().__init__(*args, initial=wanted, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["post"].choices = [(key, key) for key in posts()]
        fields["tear"].choices = [("", "–"), *((n, n) for n in range(1, STEPS_MAX + 1))]

    @property
    def order(self) -> tuple[str, int, timedelta, Tear | None]:
        """Terminal, amount in fen, how much later, tear."""
        data = self.cleaned_data
        step = data["tear"]
        tear = Tear(step - 1, data["lost"] != "command") if step else None
        return data["post"], int(data["amount"] * 100), timedelta(minutes=data["later"]), tear
