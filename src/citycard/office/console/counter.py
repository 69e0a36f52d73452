# SPDX-License-Identifier: Apache-2.0
"""The verbs a person may do in the console: which form each asks, and how it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from citycard.office.cards import verbs
from citycard.office.cards.actions import Result
from citycard.office.console import forms
from citycard.office.console.access import Text
from citycard.office.staff.roles import Actor

Do = Callable[[str, Actor, Any], Result]


@dataclass(frozen=True, slots=True)
class Service:
    """A verb at the counter: its form, its doing, and what the person is told before they agree."""

    form: type[forms.Form]
    do: Do
    note: Text


SERVICES: Final[dict[str, Service]] = {
    "stock_in": Service(
        forms.Confirm,
        lambda pan, by, form: verbs.stock_in(pan, by),
        _("The card is taken into stock and may be issued from there."),
    ),
    "issue": Service(
        forms.OptionalHolder,
        lambda pan, by, form: verbs.issue(pan, by, form.cleaned_data["person"]),
        _("The card is handed out for its deposit. An ordinary card needs no holder."),
    ),
    "bind": Service(
        forms.HolderChoice,
        lambda pan, by, form: verbs.bind(pan, form.cleaned_data["person"], by),
        _("The card gets a holder, who may then report it lost and have it replaced."),
    ),
    "unbind": Service(
        forms.Confirm,
        lambda pan, by, form: verbs.unbind(pan, by),
        _("The card becomes anonymous. Check first that its holder asks for it."),
    ),
    "report_loss": Service(
        forms.Confirm,
        lambda pan, by, form: verbs.report_loss(pan, by),
        _("The card goes on the hotlist. Terminals refuse it as soon as they hold the new list."),
    ),
    "cancel_loss": Service(
        forms.Confirm,
        lambda pan, by, form: verbs.cancel_loss(pan, by),
        _("The card was found: it comes off the hotlist and works again."),
    ),
    "block": Service(
        forms.Block,
        lambda pan, by, form: verbs.block(pan, by, form.cleaned_data["reason"]),
        _("The card is withdrawn from use and goes on the hotlist."),
    ),
    "unblock": Service(
        forms.Confirm,
        lambda pan, by, form: verbs.unblock(pan, by),
        _("The card is given back to use and comes off the hotlist."),
    ),
    "expire": Service(
        forms.Confirm,
        lambda pan, by, form: verbs.expire(pan, by),
        _("Notes that the card's validity has ended."),
    ),
    "replace": Service(
        forms.Replace,
        lambda pan, by, form: verbs.replace(pan, form.cleaned_data["new"], by, in_hand_fen=form.in_hand_fen),
        _("The holder gets a new card from stock. Balance and deposit go over to it."),
    ),
    "refund": Service(
        forms.InHand,
        lambda pan, by, form: verbs.refund(pan, by, in_hand_fen=form.in_hand_fen),
        _("The card is taken back for good. Balance and deposit are paid out."),
    ),
    "destroy": Service(
        forms.Confirm,
        lambda pan, by, form: verbs.destroy(pan, by),
        _("The card is destroyed before a witness. Its number stays taken for ever."),
    ),
}
