# SPDX-License-Identifier: Apache-2.0
"""A person's place in the lab: their card kept between two clicks, and the last presentations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, Final

from django.db import transaction

from citycard.core.card import Card
from citycard.core.dialogue import Refused
from citycard.core.trace import Presented, Traced, Tracer, parse
from citycard.keys import MemoryCounter
from citycard.office import clock
from citycard.office.taplab import stage
from citycard.office.taplab.facts import read_facts
from citycard.office.taplab.models import LabCard, LabTap
from citycard.office.taplab.posts import TOP_UP, posts
from citycard.office.taplab.stage import Open, Stage, Tear

if TYPE_CHECKING:
    from citycard.office.staff.models import User

KEPT_MAX: Final = 12  # presentations shown and exported
SEED_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class Choice:
    """What kind of card a person wants."""

    profile: str
    card_class: int
    algorithm: int
    balance_fen: int


@dataclass(frozen=True, slots=True)
class Shown:
    """One presentation with its conversation explained."""

    row: LabTap
    steps: list[Traced | Presented]


def card_of(user: User) -> LabCard | None:
    """The person's card, if they have one."""
    return LabCard.objects.filter(user=user).first()


@transaction.atomic
def new_card(user: User, choice: Choice) -> LabCard | Refused:
    """Another card in the person's hand, personalised with keys of its own and topped up."""
    seed, now = token_bytes(SEED_SIZE), clock.now().replace(microsecond=0)
    vault = stage.make_vault(seed, choice.algorithm)
    made = stage.make_card(
        vault, seed, choice.profile, choice.card_class, now, algorithm=choice.algorithm, random=token_bytes
    )
    if isinstance(made, Refused):
        return made
    scene = Stage(vault, made, now)
    if choice.balance_fen:
        scene.tap(posts()[TOP_UP], choice.balance_fen)
    LabCard.objects.filter(user=user).delete()
    return LabCard.objects.create(
        user=user, seed=seed, image=made.image(), profile=choice.profile, algorithm=choice.algorithm,
        sam_next=scene.counter.next, at=now,
    )  # fmt: skip


@transaction.atomic
def tap(user: User, post: str, amount_fen: int, later: timedelta, tear: Tear | None) -> LabTap | None:
    """Present the person's card once; None when they have none."""
    row = LabCard.objects.select_for_update().filter(user=user).first()
    if row is None:
        return None
    card = Card.from_image(bytes(row.image), token_bytes)
    before = read_facts(card)
    at = row.at + later
    kept = None if row.open is None else _open_of(row.open)
    vault = stage.make_vault(bytes(row.seed), row.algorithm)
    scene = Stage(vault, card, at, MemoryCounter(row.sam_next), kept)
    told = scene.tap(posts()[post], amount_fen, tear)
    row.image, row.sam_next, row.at = card.image(), scene.counter.next, at
    row.open = None if told.open is None else _plain_open(told.open)
    row.save()
    made = LabTap.objects.create(
        card=row, post=post, at=at, ended=_plain_ended(told.ended), talk=told.talk, before=before,
        after=read_facts(Card.from_image(bytes(row.image), token_bytes)),
    )  # fmt: skip
    kept_ids = list(row.taps.order_by("-id").values_list("id", flat=True)[:KEPT_MAX])
    row.taps.exclude(id__in=kept_ids).delete()
    return made


def shown(card: LabCard) -> list[Shown]:
    """The kept presentations, oldest first, each explained in the light of those before."""
    tracer, found = Tracer(), []
    for row in card.taps.all():
        steps: list[Traced | Presented] = []
        for said in parse(row.talk):
            if isinstance(said, Presented):
                tracer.reset()
                steps.append(said)
            else:
                steps.append(tracer(said.party, bytes.fromhex(said.command), said.response))
        found.append(Shown(row, steps))
    return found


def _plain_ended(ended: stage.Ended) -> dict[str, Any]:
    return {
        "outcome": ended.outcome,
        "refusal": ended.refusal.name if ended.refusal else "",
        "amount_fen": ended.amount_fen,
        "recovered": ended.recovered,
        "asked": ended.asked.name if ended.asked else "",
    }


def _plain_open(kept: Open) -> dict[str, Any]:
    return {
        "post": kept.post,
        "txn": int(kept.txn),
        "counter": kept.counter,
        "terminal": kept.terminal.hex(),
        "at": kept.at.isoformat(),
        "amount_fen": kept.amount_fen,
    }


def _open_of(plain: dict[str, Any]) -> Open:
    return Open(
        plain["post"], plain["txn"], plain["counter"], bytes.fromhex(plain["terminal"]),
        datetime.fromisoformat(plain["at"]), plain["amount_fen"],
    )  # fmt: skip
