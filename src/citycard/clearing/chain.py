# SPDX-License-Identifier: Apache-2.0
"""A card's records held against each other: counters without gaps or repeats, balances that follow.

A record whose TAC verifies is evidence of what the card did, even where it is not paid for. Records of a
kind are in the order of the card's counter. The one whose counter was used before is rejected; the one
whose predecessor is missing waits, and it alone: those after it have theirs. A purchase's balance before
must be the balance after the purchase before it, or follow from it by loads; loads are matched by their
balances like dominoes, because clocks of different terminals do not agree.

What waits is looked at again in every run, and accepted when its window ends (the record that was missing
could no longer be accepted): the TAC proves the debit, so the issuer, not the acquirer, has to explain it.
`Rules.accept_unexplained` chooses otherwise for balances.
"""

from __future__ import annotations

from typing import Final

import ibis

from citycard.clearing import sources as s
from citycard.clearing.engine import Expression, Step
from citycard.clearing.verify import STANDING, TAP_KEY
from citycard.core.record import Kind
from citycard.core.refusal import Reason

CARD: Final = ("card", "kind")


def _contested(standing: Expression) -> Expression:
    """Evidence whose counter another record claims as well in this run: all but the one that holds it."""
    t = standing.filter(standing.evidence)
    t = t.mutate(kind=t.kind.cast("int64"), counter=t.counter.cast("int64"))
    counters = (*CARD, "counter")
    many = t.group_by(*counters).aggregate(claims=t.count())
    t = t.semi_join(many.filter(many.claims > 1), counters)
    same = ibis.window(
        group_by=[t.card, t.kind, t.counter],
        order_by=[t.pooled.desc(), (t.reason_no != 0), t.tapped_at, t.terminal_id, t.sequence],
    )
    t = t.mutate(place=ibis.row_number().over(same))
    return t.filter(t.place > 0).select(*TAP_KEY).mutate(beaten=ibis.literal(True))


def _claims(standing: Expression, contested: Expression, state: Expression) -> Expression:
    """Evidence with `reused`: whether another record holds its counter, in this run or before it."""
    t = standing.filter(standing.evidence)
    load = t.kind == int(Kind.LOAD)
    after = load.ifelse(t.balance_before_fen + t.amount_fen, t.balance_before_fen - t.amount_fen)
    t = t.mutate(kind=t.kind.cast("int64"), counter=t.counter.cast("int64"), after_fen=after)
    used = t.filter(~t.pooled).inner_join(state, CARD)
    used = used.filter(used.counter.between(used.lo, used.hi)).select(*TAP_KEY).distinct()
    used = used.mutate(used=ibis.literal(True))
    t = t.left_join(used, TAP_KEY).select(t, "used")
    t = t.left_join(contested, TAP_KEY).select(t, "beaten")
    return t.select(
        *TAP_KEY, *CARD, "counter", "balance_before_fen", "amount_fen", "after_fen", "tapped_at",
        "business_date", "reason_no", "pooled", reused=t.beaten.notnull() | t.used.notnull(),
    )  # fmt: skip


def _before(claims: Expression, state: Expression, cards: Expression) -> Expression:
    """Where each card in question stood: its carried state, or its balance when personalised."""
    touched = claims.select(*CARD).distinct()
    carried = state.semi_join(touched, CARD).select(*s.STATE.arrow.names)
    fresh = touched.anti_join(state, CARD).inner_join(cards.select("card", "pan", "personalised_fen"), "card")
    fresh = fresh.select(
        "card",
        "pan",
        "kind",
        lo=ibis.literal(-1, "int64"),
        hi=ibis.literal(-1, "int64"),
        balance_fen=fresh.personalised_fen,
        last_at=ibis.null("timestamp(6)"),
        opened_on=ibis.null("date"),
    )
    return carried.union(fresh)


def _linked(claims: Expression, before: Expression) -> Expression:
    """Holders of a counter after a `gap`, and purchases with `missing_fen`: what loads must explain."""
    held = claims.filter(~claims.reused)
    points = held.select(
        *TAP_KEY, *CARD, "balance_before_fen", lo=held.counter, hi=held.counter, balance_fen=held.after_fen
    )
    old = before.select(
        terminal_id=ibis.null("int64"),
        sequence=ibis.null("int64"),
        card=before.card,
        kind=before.kind,
        balance_before_fen=ibis.null("int64"),
        lo=before.lo,
        hi=before.hi,
        balance_fen=before.balance_fen,
    )
    t = points.union(old)
    order = {"group_by": [t.card, t.kind], "order_by": [t.lo, t.hi]}
    t = t.mutate(
        reached=t.hi.max().over(ibis.window(preceding=(None, 1), **order)),
        last=t.hi.lag().over(ibis.window(**order)),
        last_fen=t.balance_fen.lag().over(ibis.window(**order)),
    ).filter(ibis._.terminal_id.notnull())
    first = (t.reached == -1) & (t.lo <= 1)  # chips count from 0 or from 1
    gap = t.reached.notnull() & (t.lo > t.reached + 1) & ~first
    follows = (t["last"] == t.reached) & ((t.lo == t.reached + 1) | first)
    checked = follows.fill_null(False) & (t.kind == int(Kind.PURCHASE))
    missing = checked.ifelse(t.balance_before_fen - t.last_fen, 0)
    t = t.select(
        *TAP_KEY, "card", "balance_before_fen", "last_fen", gap=gap.fill_null(False), missing_fen=missing
    )
    return t.filter(t.gap | (t.missing_fen != 0))


def _loads(claims: Expression, open_loads: Expression) -> Expression:
    """All loads that may explain a balance, with their number and running total per card."""
    held = claims.filter(~claims.reused & (claims.kind == int(Kind.LOAD)))
    new = held.select(
        "card",
        "counter",
        before_fen=held.balance_before_fen,
        amount_fen=held.amount_fen,
        loaded_at=held.tapped_at,
    )
    old = open_loads.semi_join(claims.select("card").distinct(), "card")
    old = old.anti_join(new, ["card", "counter"]).select(*new.columns)
    t = new.union(old)
    order = ibis.window(group_by=t.card, order_by=t.counter)
    running = t.amount_fen.sum().over(ibis.cumulative_window(group_by=t.card, order_by=t.counter))
    return t.mutate(number=ibis.row_number().over(order), running_fen=running.cast("int64"))


def _explained(linked: Expression, loads: Expression) -> Expression:
    """Purchases whose missing money is exactly a run of loads, from balance before to balance after."""
    t = linked.filter(linked.missing_fen != 0)
    first = loads.select(
        "card", "number", "counter", "before_fen", start_fen=loads.running_fen - loads.amount_fen
    )
    last = loads.select(
        "card",
        last_number=loads.number,
        last_counter=loads.counter,
        end_fen=loads.running_fen,
        reaches_fen=loads.before_fen + loads.amount_fen,
    )
    t = t.inner_join(first, ["card", (t.last_fen == first.before_fen)])
    t = t.inner_join(last, ["card", (t.balance_before_fen == last.reaches_fen)])
    t = t.filter(
        (t.last_number >= t.number)
        & (t.last_number - t.number == t.last_counter - t.counter)
        & (t.end_fen - t.start_fen == t.missing_fen)
    )
    return t.select(*TAP_KEY).distinct().mutate(explained=ibis.literal(True))


def _chained(
    claims: Expression, linked: Expression, explained: Expression, settings: Expression
) -> Expression:
    """The evidence the card's other records speak against, with the reason."""
    t = claims.left_join(linked, TAP_KEY).select(claims, "gap", "missing_fen")
    t = t.left_join(explained, TAP_KEY).select(t, "explained").cross_join(settings)
    over = t.business_date < t.oldest
    unexplained = (t.missing_fen.fill_null(0) != 0) & t.explained.isnull()
    reason = ibis.cases(
        (t.reused, Reason.COUNTER_REUSED.number),
        (unexplained & ~(over & t.accept_unexplained), Reason.BALANCE_MISMATCH.number),
        (t.gap.fill_null(False) & ~over, Reason.COUNTER_GAP.number),
        else_=Reason.OK.number,
    )
    t = t.select(*TAP_KEY, chain_no=reason.cast("int64"))
    return t.filter(t.chain_no != Reason.OK.number)


CONTESTED: Final = Step("contested", _contested, STANDING)
CLAIMS: Final = Step("claims", _claims, STANDING, CONTESTED, s.STATE)
BEFORE: Final = Step("before", _before, CLAIMS, s.STATE, s.CARDS)
LINKED: Final = Step("linked", _linked, CLAIMS, BEFORE)
LOADS: Final = Step("loads", _loads, CLAIMS, s.OPEN_LOADS)
EXPLAINED: Final = Step("explained", _explained, LINKED, LOADS)
CHAINED: Final = Step("chained", _chained, CLAIMS, LINKED, EXPLAINED, s.SETTINGS)
STEPS: Final = (CONTESTED, CLAIMS, BEFORE, LINKED, LOADS, EXPLAINED, CHAINED)
