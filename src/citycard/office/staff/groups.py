# SPDX-License-Identifier: Apache-2.0
"""Makes Django's groups and their permissions follow the policy, after every migration."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

from citycard.office.staff.roles import POLICY, Role

# What each role may look at in the console, by app; what it may do to cards is in POLICY.
VIEWS: Final[dict[Role, tuple[str, ...]]] = {
    Role.CLERK: ("cards", "holders", "participants"),
    Role.KEY_CUSTODIAN: ("cards", "participants"),
    Role.CLEARING_OFFICER: ("cards", "participants", "ledger", "intake", "settlement", "bank"),
    Role.AUDITOR: (
        "cards", "holders", "participants", "ledger", "intake", "settlement", "bank", "audit", "staff",
        "auth",
    ),
    Role.ADMINISTRATOR: (
        "cards", "holders", "participants", "ledger", "intake", "settlement", "bank", "audit", "staff",
        "auth",
    ),
}  # fmt: skip
# What each role may add and change in forms; cards, money, intake and the audit log only move through verbs.
FORMS: Final[dict[Role, tuple[str, ...]]] = {
    Role.CLERK: ("holders.holder",),
    Role.ADMINISTRATOR: (
        "participants.participant", "participants.line", "participants.station", "participants.terminal",
        "participants.contract", "participants.settlementterms", "bank.bankaccount",
        "participants.tariff", "participants.schemesetting", "staff.user",
    ),
}  # fmt: skip
SETTLING: Final = (Role.CLEARING_OFFICER, Role.ADMINISTRATOR)  # may use settlement's own permissions


def follow_policy(sender: Any = None, **kwargs: Any) -> None:
    """Create the groups and set exactly the permissions the tables give them."""
    for role in Role:
        group, _ = Group.objects.get_or_create(name=role.value)
        group.permissions.set(Permission.objects.filter(_granted(role)))


def _granted(role: Role) -> Q:
    granted = Q(codename__startswith="view_", content_type__app_label__in=VIEWS[role])
    verbs = [f"{verb}_card" for verb, rule in POLICY.items() if role in rule.first]
    granted |= Q(codename__in=verbs, content_type__app_label="cards")
    for form in FORMS.get(role, ()):
        app, model = form.split(".")
        names = [f"add_{model}", f"change_{model}"]
        granted |= Q(codename__in=names, content_type__app_label=app)
    if role in SETTLING:
        own = Q(content_type__app_label="settlement")
        for word in ("add_", "change_", "delete_", "view_"):
            own &= ~Q(codename__startswith=word)
        granted |= own
    return granted
