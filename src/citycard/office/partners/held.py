# SPDX-License-Identifier: Apache-2.0
"""A date whose positions differ between the hub and us: seen with its taps, and paid by two people.

Either what both sides agree on is paid and the rest is carried as a disputed item on the positions, or ours
is paid whole: when adjustments booked since make up the difference, or the other side has accepted our
figures in writing. Every payment is what is still missing of the wanted sum, under one id per step, so that
nothing is paid twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from django.db import transaction

from citycard.core.interop import money
from citycard.core.money import split_fen, yuan
from citycard.core.problem import declare
from citycard.office import audit, clock
from citycard.office.disputes.models import Dispute
from citycard.office.ledger import chart
from citycard.office.ledger.models import LedgerTransfer
from citycard.office.partners import books, desk, taps
from citycard.office.partners.models import (
    ExchangedTap,
    ExchangeHold,
    ExchangePosition,
    PartnerIssuer,
)
from citycard.office.staff.roles import SECONDS, Actor, Rule, Second

AGREED, OURS = "pay_agreed", "pay_ours"
RULES: Final = {
    AGREED: Rule(SECONDS, Second.ALWAYS, SECONDS),
    OURS: Rule(SECONDS, Second.ALWAYS, SECONDS),
}
COMPARED: Final = ("taps", "amount_fen", "net_fen")
TAPS_SHOWN: Final = 500
WORDS_MAX: Final = 200
CHUNK: Final = 400  # references in one query

HOLD_UNKNOWN = declare(
    "HOLD_UNKNOWN",
    "No payment between cities is held for {date}. `citycard partners held` lists them.",
    "{date} 没有被暂缓的城际付款。可用 `citycard partners held` 查看。",
)
HOLD_STATE = declare(
    "HOLD_STATE",
    "The payment of {date} is {state}: {why}. Nothing was paid.",
    "{date} 的付款状态为 {state}：{why}。未付款。",
)
HOLD_PEOPLE = declare(
    "HOLD_PEOPLE",
    "{first} and {second} may not pay this together: it takes two people, each a clearing officer or an"
    " administrator. Nothing was paid.",
    "{first} 与 {second} 不能共同执行付款：须由两名不同的清算员或系统管理员办理。未付款。",
)
HOLD_WORDS = declare(
    "HOLD_WORDS",
    "Say in a few words why this is paid (at most 200 characters). Nothing was paid.",
    "请简要说明付款理由（不超过 200 字）。未付款。",
)
HOLD_UNADJUSTED = declare(
    "HOLD_UNADJUSTED",
    "Adjustments booked so far make up {explained} yuan of the difference of {difference} yuan on {date}."
    " Raise disputes about its taps, or say that the other side has accepted our figures. Nothing was paid.",
    "{date} 差额 {difference} 元，已入账的差错调整为 {explained} 元。"
    "请就相关交易提出争议，或注明对方已书面认可我方数据。未付款。",
)


@dataclass(frozen=True, slots=True)
class Line:
    """A counterparty's part of the date, as told and as ours; each `(taps, amount_fen, net_fen)`."""

    org: str
    told: tuple[int, int, int]
    ours: tuple[int, int, int]

    @property
    def agrees(self) -> bool:
        """Whether both say the same of it."""
        return self.told == self.ours


@dataclass(frozen=True, slots=True)
class Difference:
    """A held date in full; `taps` are those we have with the counterparties that differ."""

    hold: ExchangeHold
    lines: list[Line]
    taps: list[ExchangedTap]
    taps_in_all: int
    explained_fen: int  # by adjustments of its taps, booked on later dates

    @property
    def difference_fen(self) -> int:
        """What the hub says beyond what we say."""
        return self.hold.told_fen - self.hold.ours_fen

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        hold = self.hold
        names = ("told_fen", "ours_fen", "agreed_fen", "paid_fen", "disputed_fen", "state", "words")
        lines = [
            {"counterparty": one.org, "agrees": one.agrees}
            | {f"{side}_{name}": value for side, values in (("told", one.told), ("ours", one.ours))
               for name, value in zip(COMPARED, values, strict=True)}
            for one in self.lines
        ]  # fmt: skip
        found = [
            {"ref": tap.ref, "serial": tap.serial, "pan": tap.pan, "amount_fen": tap.amount_fen,
             "state": tap.state, "error": tap.error, "acquirer": tap.acquirer_org, "issuer": tap.issuer_org}
            for tap in self.taps
        ]  # fmt: skip
        told = {"date": hold.settled_on.isoformat()} | {name: getattr(hold, name) for name in names}
        return told | {
            "difference_fen": self.difference_fen, "explained_fen": self.explained_fen, "lines": lines,
            "taps_in_all": self.taps_in_all, "taps": found,
        }  # fmt: skip


def hold(on: date, told_fen: int, ours_fen: int) -> None:
    """Keep a date back; once is enough."""
    sums = {"told_fen": told_fen, "ours_fen": ours_fen, "raised_at": clock.now()}
    ExchangeHold.objects.get_or_create(settled_on=on, defaults=sums)


def is_held(on: date) -> bool:
    """Whether people decide about this date, or have."""
    return ExchangeHold.objects.filter(pk=on).exists()


def difference(on: date) -> Difference:
    """What differs on a held date, line by line, with its taps; HOLD_UNKNOWN."""
    found = ExchangeHold.objects.filter(pk=on).first()
    if found is None:
        raise HOLD_UNKNOWN(date=on)
    us = desk.own()
    found.ours_fen = _ours_now(on)
    told = _told(on, us.hub)
    cleared = list(ExchangedTap.objects.filter(settled_on=on).order_by("ref"))
    ours = _ours(cleared, on)
    nothing = (0, 0, 0)
    lines = [
        Line(org, told.get(org, nothing), ours.get(org, nothing)) for org in sorted(told.keys() | ours.keys())
    ]
    differing = {line.org for line in lines if not line.agrees}
    member_of = _members()
    of_them = [tap for tap in cleared if _other(tap, member_of) in differing]
    return Difference(found, lines, of_them[:TAPS_SHOWN], len(of_them), explained(on))


def explained(on: date) -> int:
    """What adjustments of the date's taps, booked on other dates, change of our net."""
    refs = [f"exchange:{serial:012d}" for serial in _serials(on)]
    hub = _hub()
    moved = 0
    for at in range(0, len(refs), CHUNK):
        rows = LedgerTransfer.objects.filter(code=money.ADJUSTED, ref__in=refs[at : at + CHUNK])
        for debit, credit, fen in rows.exclude(business_date=on).values_list(
            "debit_id", "credit_id", "amount_fen"
        ):
            moved += fen * ((debit == hub) - (credit == hub))
    return moved


def pay_agreed(on: date, first: Actor, second: Actor, words: str) -> ExchangeHold:
    """Pay what both sides say, carry the rest; HOLD_*."""
    with transaction.atomic():
        found = _decide(on, first, second, words)
        if found.state != ExchangeHold.State.HELD:
            raise HOLD_STATE(date=on, state=found.state, why="what both agree on is paid already")
        if not found.agreed_fen:
            raise HOLD_STATE(date=on, state=found.state, why="the two sides agree on nothing")
        return _pay(found, found.agreed_fen, AGREED, (first, second), words)


def pay_ours(on: date, first: Actor, second: Actor, words: str, *, accepted: bool = False) -> ExchangeHold:
    """Pay the whole of our net; `accepted`: the other side has agreed to it in writing. HOLD_*."""
    with transaction.atomic():
        found = _decide(on, first, second, words)
        if found.state == ExchangeHold.State.PAID:
            raise HOLD_STATE(date=on, state=found.state, why="ours is paid already")
        made_up, missing = explained(on), found.told_fen - found.ours_fen
        if made_up != missing and not accepted:
            raise HOLD_UNADJUSTED(date=on, explained=yuan(made_up), difference=yuan(missing))
        return _pay(found, found.ours_fen, OURS, (first, second), words)


def pay(
    how: str, on: date, first: Actor, second: Actor, words: str, *, accepted: bool = False
) -> ExchangeHold:
    """Pay in one of the two ways, by its name; HOLD_*."""
    if how == AGREED:
        return pay_agreed(on, first, second, words)
    assert how == OURS, how
    return pay_ours(on, first, second, words, accepted=accepted)


def _decide(on: date, first: Actor, second: Actor, words: str) -> ExchangeHold:
    """The hold, locked, when these two may decide about it; its figures as they are now."""
    may = first.roles & SECONDS and second.roles & SECONDS and first.name != second.name
    if not may:
        raise HOLD_PEOPLE(first=first.name, second=second.name)
    if not words.strip() or len(words) > WORDS_MAX:
        raise HOLD_WORDS()
    found = ExchangeHold.objects.select_for_update().filter(pk=on).first()
    if found is None:
        raise HOLD_UNKNOWN(date=on)
    found.ours_fen = _ours_now(on)
    return found


def _pay(
    found: ExchangeHold, wanted_fen: int, step: str, people: tuple[Actor, Actor], words: str
) -> ExchangeHold:
    on = found.settled_on
    books.post_payment(on, _legs(found, wanted_fen), step)
    found.paid_fen, found.words = wanted_fen, words.strip()
    found.decided_at, found.decided_by = clock.now(), ", ".join(who.name for who in people)
    whole = step == OURS or found.told_fen == found.ours_fen
    found.state = ExchangeHold.State.PAID if whole else ExchangeHold.State.PARTLY
    found.save()
    audit.record(
        people[0].name, step, on.isoformat(), second=people[1].name, told_fen=found.told_fen,
        ours_fen=found.ours_fen, paid_fen=found.paid_fen, words=found.words,
    )  # fmt: skip
    return found


def _hub() -> str:
    """The hub's position in our books."""
    return chart.position(desk.member(desk.own().hub).participant)


def _ours_now(on: date) -> int:
    """Our net of a date with the hub, by the books as they are."""
    return -books.nets(on).get(_hub(), 0)


def _legs(found: ExchangeHold, wanted_fen: int) -> dict[str, int]:
    """What is still to be paid to each account so that our net with the hub becomes `wanted_fen`.

    What is not paid with the hub is not paid at home either, by those on whose side it is, in proportion.
    """
    on = found.settled_on
    hub = _hub()
    due, rest = books.nets(on), found.ours_fen - wanted_fen
    if rest:
        due[hub] += rest
        side = sorted(name for name, fen in due.items() if name != hub and fen * rest > 0)
        parts = split_fen(abs(rest), [abs(due[name]) for name in side])
        for name, part in zip(side, parts, strict=True):
            due[name] -= part if rest > 0 else -part
    before = books.paid(on)
    return {name: due.get(name, 0) - before.get(name, 0) for name in due.keys() | before.keys()}


def _told(on: date, hub: str) -> dict[str, tuple[int, int, int]]:
    """Taps, amount and net by counterparty as the hub has them, those of all our issuers together."""
    found: dict[str, Counter[str]] = {}
    for row in ExchangePosition.objects.filter(settled_on=on).exclude(counterparty_org=hub):
        line = found.setdefault(row.counterparty_org, Counter())
        line.update(taps=row.taps, amount_fen=row.amount_fen, net_fen=row.net_fen)
    return _compared(found)


def _compared(found: dict[str, Counter[str]]) -> dict[str, tuple[int, int, int]]:
    return {org: (line["taps"], line["amount_fen"], line["net_fen"]) for org, line in found.items()}


def _ours(cleared: Iterable[ExchangedTap], on: date) -> dict[str, tuple[int, int, int]]:
    """Taps, amount and net by counterparty as our books have them, adjustments of the date taken off."""
    found: dict[str, Counter[str]] = {}
    member_of = _members()
    for tap in cleared:
        parts = taps.parts(tap)
        net = parts.issuer_net_fen if tap.side == desk.ISSUER else parts.acquirer_net_fen
        found.setdefault(_other(tap, member_of), Counter()).update(
            taps=1, amount_fen=tap.amount_fen, net_fen=net
        )
    hub = _hub()
    for dispute in Dispute.objects.filter(adjusted_on=on).select_related("tap"):
        legs = LedgerTransfer.objects.filter(
            code=money.ADJUSTED, id__startswith=f"adjust:{dispute.adjust_serial:012d}:"
        )
        moved = sum(leg.amount_fen * ((leg.debit_id == hub) - (leg.credit_id == hub)) for leg in legs)
        line = found.setdefault(_other(dispute.tap, member_of), Counter())
        line.update(taps=-1, amount_fen=-dispute.back_fen, net_fen=moved)
    return _compared(found)


def _other(tap: ExchangedTap, member_of: dict[str, str]) -> str:
    """The counterparty of a tap: the acquirer's organisation, or the issuer's member."""
    return tap.acquirer_org if tap.side == desk.ISSUER else member_of.get(tap.issuer_org, tap.issuer_org)


def _members() -> dict[str, str]:
    return dict(PartnerIssuer.objects.values_list("issuer_org", "member_id"))


def _serials(on: date) -> list[int]:
    rows = ExchangedTap.objects.filter(settled_on=on).exclude(serial=None)
    return [serial for serial in rows.values_list("serial", flat=True) if serial is not None]
