# SPDX-License-Identifier: Apache-2.0
"""Staff accounts: making them, and a demo set of one person per role."""

from __future__ import annotations

import secrets
from typing import Final

from django.contrib.auth import authenticate
from django.contrib.auth.models import Group
from django.db import transaction

from citycard.core.problem import declare
from citycard.office import audit
from citycard.office.staff.models import User
from citycard.office.staff.roles import Actor, Role, actor_of

DEMO_NAMES: Final = {
    Role.ADMINISTRATOR: "admin",
    Role.CLERK: "clerk",
    Role.KEY_CUSTODIAN: "custodian",
    Role.CLEARING_OFFICER: "clearing",
    Role.AUDITOR: "auditor",
}
NOT_SIGNED_IN = declare(
    "NOT_SIGNED_IN",
    "{name} could not be signed in: no such staff account, or another password. Nothing was done.",
    "{name} 登录失败：无此员工账户或密码不符。未作任何操作。",
)


@transaction.atomic
def create(name: str, password: str, *roles: Role, participant: str = "", by: str = "setup") -> User:
    """Make (or renew) an account with exactly these roles; who has one may sign in to the console."""
    user, _ = User.objects.get_or_create(username=name)
    user.set_password(password)
    user.is_staff, user.is_active, user.participant_id = True, True, participant or None
    user.save()
    user.groups.set(Group.objects.filter(name__in=[role.value for role in roles]))
    audit.record(by, "create_staff", name, roles=sorted(role.value for role in roles))
    return user


def create_demo() -> dict[str, str]:
    """One account per role, all with one new random password; returns name -> password to be shown once."""
    password = new_password()
    return {create(name, password, role).username: password for role, name in DEMO_NAMES.items()}


def signed_in(name: str, password: str) -> Actor:
    """Who a name and password are, where no console asks for them; NOT_SIGNED_IN, which leaves a trace."""
    user = authenticate(username=name, password=password)
    if user is None:
        audit.record("system", "refuse_sign_in", name[:64])
        raise NOT_SIGNED_IN(name=name)
    return actor_of(user)


def new_password() -> str:
    """A random password a person can type: twelve letters, digits, dashes and underscores."""
    return secrets.token_urlsafe(9)
