# SPDX-License-Identifier: Apache-2.0
"""The policy table, Django's groups and signed-in people say the same about who may what."""

from __future__ import annotations

import pytest

from citycard.office.cards.models import VERBS
from citycard.office.setup import create_staff
from citycard.office.staff import people
from citycard.office.staff.models import User
from citycard.office.staff.roles import POLICY, SYSTEM, Actor, Role, Second, actor_of

pytestmark = pytest.mark.django_db


def test_every_verb_has_a_rule() -> None:
    assert set(POLICY) == set(VERBS)
    assert all(SYSTEM.may(verb) for verb in VERBS)
    for rule in POLICY.values():
        assert rule.second is Second.NEVER or rule.seconds


@pytest.mark.parametrize("role", Role)
def test_groups_and_policy_agree(role: Role) -> None:
    user = people.create(f"a {role.value}", "Kunming-2026", role)
    actor = actor_of(user)
    assert actor.roles == {role}
    for verb in VERBS:
        assert user.has_perm(f"cards.{verb}_card") == actor.may(verb), verb


def test_nobody_edits_money_cards_or_the_log_in_a_form() -> None:
    for role in Role:
        user = people.create(f"a {role.value}", "Kunming-2026", role)
        for what in ("cards.card", "cards.hotlistentry", "cards.cardevent", "audit.auditentry",
                     "ledger.ledgeraccount", "ledger.ledgertransfer"):  # fmt: skip
            app, model = what.split(".")
            for act in ("add", "change", "delete"):
                assert not user.has_perm(f"{app}.{act}_{model}"), (role, what, act)


def test_an_actor_is_who_signed_in() -> None:
    user = people.create("lin", "Kunming-2026", Role.CLERK, Role.AUDITOR)
    assert actor_of(user) == Actor("lin", frozenset({Role.CLERK, Role.AUDITOR}))
    user.is_active = False
    assert not actor_of(user).may("query")
    assert actor_of(User(username="root", is_superuser=True)).may("order")


def test_the_second_person_is_another_one() -> None:
    boss = Actor("boss", frozenset(Role))
    assert not boss.may_second("refund", boss)
    assert Actor("other", frozenset(Role)).may_second("refund", boss)
    assert not Actor("other", frozenset({Role.CLERK})).may_second("refund", boss)


def test_first_accounts() -> None:
    made = create_staff()
    assert list(made) == ["admin"]
    assert User.objects.get(username="admin").check_password(made["admin"])
    assert create_staff() == {}
    demo = create_staff(demo=True)
    assert sorted(demo) == ["admin", "auditor", "clearing", "clerk", "custodian"]
    assert made["admin"] not in demo.values()
