# SPDX-License-Identifier: Apache-2.0
"""Who may do what: the roles of the office, the verbs each may use, and which need a second person.

The table `POLICY` is the whole policy. Django groups carry the same names and get matching permissions
after each migration (`staff.groups`), so the console and the verbs agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from citycard.office.staff.models import User


class Role(Enum):
    """A role in the office; the value is the group's name."""

    CLERK = "clerk"
    KEY_CUSTODIAN = "key custodian"
    CLEARING_OFFICER = "clearing officer"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"

    def title(self, language: str = "en") -> str:
        """For people, in English or Chinese."""
        return TITLES_ZH[self] if language.startswith("zh") else self.value


TITLES_ZH: Final = {
    Role.CLERK: "柜员",
    Role.KEY_CUSTODIAN: "密钥管理员",
    Role.CLEARING_OFFICER: "清算员",
    Role.AUDITOR: "审计员",
    Role.ADMINISTRATOR: "系统管理员",
}
ALL: Final = frozenset(Role)
COUNTER: Final = frozenset({Role.CLERK, Role.ADMINISTRATOR})
SECONDS: Final = frozenset({Role.CLEARING_OFFICER, Role.ADMINISTRATOR})


class Second(Enum):
    """When a second person must agree."""

    NEVER = "never"
    ABOVE_LIMIT = "above the limit"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may use a verb, when a second person is needed, and who may be that person."""

    first: frozenset[Role]
    second: Second = Second.NEVER
    seconds: frozenset[Role] = field(default=SECONDS)


POLICY: Final[dict[str, Rule]] = {
    "order": Rule(frozenset({Role.KEY_CUSTODIAN, Role.ADMINISTRATOR})),
    "register": Rule(frozenset({Role.KEY_CUSTODIAN, Role.ADMINISTRATOR})),
    "stock_in": Rule(COUNTER),
    "issue": Rule(COUNTER),
    "bind": Rule(COUNTER),
    "unbind": Rule(COUNTER),
    "query": Rule(ALL - {Role.KEY_CUSTODIAN}),
    "report_loss": Rule(COUNTER),
    "cancel_loss": Rule(COUNTER),
    "block": Rule(COUNTER | {Role.CLEARING_OFFICER}),
    "unblock": Rule(frozenset({Role.CLEARING_OFFICER, Role.ADMINISTRATOR})),
    "expire": Rule(frozenset({Role.CLEARING_OFFICER, Role.ADMINISTRATOR})),
    "replace": Rule(COUNTER),
    "refund": Rule(COUNTER, Second.ABOVE_LIMIT),
    "destroy": Rule(COUNTER, Second.ALWAYS, seconds=SECONDS | {Role.AUDITOR}),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone who acts: a name for the record, roles, and whose cards they may touch (empty: all)."""

    name: str
    roles: frozenset[Role]
    participant: str = ""

    def may(self, verb: str) -> bool:
        """Whether the policy lets this actor begin the verb."""
        return bool(self.roles & POLICY[verb].first)

    def may_second(self, verb: str, first: Actor) -> bool:
        """Whether the policy lets this actor agree to what another began."""
        return self.name != first.name and bool(self.roles & POLICY[verb].seconds)


SYSTEM: Final = Actor("system", ALL)


def actor_of(user: User) -> Actor:
    """The actor a signed-in staff member is; an inactive one has no role."""
    if not user.is_active:
        return Actor(user.get_username(), frozenset())
    if user.is_superuser:
        return Actor(user.get_username(), frozenset({Role.ADMINISTRATOR}), user.participant_id or "")
    names = set(user.groups.values_list("name", flat=True))
    return Actor(user.get_username(), roles_named(names), user.participant_id or "")


def roles_named(names: Iterable[str]) -> frozenset[Role]:
    """The roles with these group names; other groups are no roles."""
    known = {role.value: role for role in Role}
    return frozenset(known[name] for name in names if name in known)
