# SPDX-License-Identifier: Apache-2.0
"""What a run leaves for the next: where each card and each terminal stands."""

from __future__ import annotations

from typing import Final

import ibis

from citycard.clearing import sources as s
from citycard.clearing.chain import BEFORE, CARD, CLAIMS, LOADS
from citycard.clearing.engine import Expression, Step
from citycard.clearing.judge import JUDGED, REJECTED, SUSPENDED
from citycard.clearing.verify import TAP_KEY
from citycard.core.record import Kind

STATE_COLUMNS: Final = tuple(s.STATE.arrow.names)
INTERVAL: Final = tuple(name for name in STATE_COLUMNS if name != "pan")


def _settled(claims: Expression, judged: Expression) -> Expression:
    """Holders of a counter that no longer wait: from now on they are the card's past."""
    waiting = judged.filter(judged.original & (judged.verdict == SUSPENDED)).select(*TAP_KEY)
    return claims.filter(~claims.reused).anti_join(waiting, TAP_KEY)


def _intervals(settled: Expression, before: Expression) -> Expression:
    """All known counters of the cards in question, one interval each."""
    points = settled.select(
        *CARD,
        lo=settled.counter,
        hi=settled.counter,
        balance_fen=settled.after_fen,
        last_at=settled.tapped_at,
        opened_on=settled.business_date,
        old=ibis.literal(0, "int64"),
    )
    return points.union(before.select(*INTERVAL, old=ibis.literal(1, "int64")))


def _spans(intervals: Expression) -> Expression:
    """Each card's counters as if none were missing; `whole`: none is, which is nearly always so.

    That can be told without sorting where all new counters lie above one old interval.
    """
    t = intervals.mutate(
        held=intervals.hi - intervals.lo + 1,
        above=(intervals.old == 0).ifelse(intervals.lo, ibis.null("int64")),
        below=(intervals.old == 1).ifelse(intervals.hi, ibis.null("int64")),
    )
    t = t.group_by(*CARD).aggregate(
        olds=t.old.sum().cast("int64"),
        above=t.above.min(),
        below=t.below.max(),
        bottom=t.lo.min(),
        top=t.hi.max(),
        held=t.held.sum().cast("int64"),
        balance_fen=t.balance_fen.argmax(t.hi),
        last_at=t.last_at.max(),
        opened_on=t.opened_on.min(),
    )
    apart = (t.olds <= 1) & (t.above > t.below).fill_null(True)
    t = t.mutate(lo=t.bottom, hi=t.top, whole=apart & (t.held == t.top - t.bottom + 1))
    return t.select(*INTERVAL, "whole")


def _touched(intervals: Expression, spans: Expression, settings: Expression) -> Expression:
    """The intervals of known counters of the cards in question, joined where they meet.

    A gap is closed as well once the window of the record above it has ended. A card first seen at counter 1
    is no gap (some chips count from 1), but its counter 0 stays free: its record may only be late.
    """
    whole = spans.filter(spans.whole).select(*INTERVAL)
    t = intervals.semi_join(spans.filter(~spans.whole), CARD).cross_join(settings.select("oldest"))
    order = {"group_by": [t.card, t.kind], "order_by": [t.lo, t.hi]}
    t = t.mutate(reached=t.hi.max().over(ibis.window(preceding=(None, 1), **order)))
    ended = t.opened_on.fill_null(t.oldest) < t.oldest
    apart = t.reached.notnull() & (t.lo > t.reached + 1) & ~ended
    t = t.mutate(apart=apart.fill_null(False).cast("int64"))
    island = t.apart.sum().over(ibis.cumulative_window(group_by=[t.card, t.kind], order_by=[t.lo, t.hi]))
    t = t.mutate(island=island)
    broken = (
        t.group_by(*CARD, "island")
        .aggregate(
            bottom=t.lo.min(),
            top=t.hi.max(),
            balance_fen=t.balance_fen.argmax(t.hi),
            last_at=t.last_at.max(),
            opened_on=t.opened_on.min(),
        )
        .mutate(lo=ibis._.bottom, hi=ibis._.top)
        .select(*INTERVAL)
    )
    return whole.union(broken)


def _cards(state: Expression, touched: Expression, cards: Expression) -> Expression:
    """Every card's state: the carried one where nothing happened, the new one where something did."""
    named = touched.inner_join(cards.select("card", "pan"), "card").select(*STATE_COLUMNS)
    return state.anti_join(touched, CARD).select(*STATE_COLUMNS).union(named)


def _open_loads(
    loads: Expression,
    open_loads: Expression,
    judged: Expression,
    state: Expression,
    settings: Expression,
    cards: Expression,
) -> Expression:
    """Loads a purchase still to come may follow: all but those a window or more before the last purchase.

    A load that waits itself is looked at in the next run anyway, so it is left out here.
    """
    columns = [name for name in open_loads.columns if name != "pan"]
    waiting = judged.filter(
        judged.original & (judged.verdict == SUSPENDED) & (judged.kind == int(Kind.LOAD))
    ).select("card", counter=judged.counter.cast("int64"))
    known = loads.select(*columns).anti_join(waiting, ["card", "counter"])
    rest = open_loads.anti_join(loads.select("card").distinct(), "card").select(*columns)
    t = known.union(rest)
    bought = (
        state.filter(state.kind == int(Kind.PURCHASE))
        .group_by("card")
        .aggregate(bought_at=state.last_at.max())
    )
    t = t.left_join(bought, "card").select(t, "bought_at").cross_join(settings.select("late_days"))
    after = (t.bought_at.epoch_seconds() - t.loaded_at.epoch_seconds()).fill_null(0)
    t = t.filter(after <= t.late_days * 86400).select(*columns)
    return t.inner_join(cards.select("card", "pan"), "card").select(*open_loads.columns)


def _sequences(judged: Expression) -> Expression:
    """The newest record known of each terminal, rejected ones aside: they may be sent again, corrected."""
    held = judged.filter(judged.original & (judged.verdict != REJECTED))
    t = held.group_by("terminal_id").aggregate(last_sequence=held.sequence.max())
    return t


def _sequences_total(parts: Expression, last: Expression) -> Expression:
    """The newest record known of each terminal over all parts of the run and what was known before."""
    t = parts.union(last)
    return t.group_by("terminal_id").aggregate(last_sequence=t.last_sequence.max())


SETTLED: Final = Step("settled", _settled, CLAIMS, JUDGED, view=True)
INTERVALS: Final = Step("intervals", _intervals, SETTLED, BEFORE)
SPANS: Final = Step("spans", _spans, INTERVALS)
TOUCHED: Final = Step("touched", _touched, INTERVALS, SPANS, s.SETTINGS)
NEXT_CARDS: Final = Step("next_cards", _cards, s.STATE, TOUCHED, s.CARDS)
NEXT_LOADS: Final = Step(
    "next_loads", _open_loads, LOADS, s.OPEN_LOADS, JUDGED, NEXT_CARDS, s.SETTINGS, s.CARDS
)
SEQUENCES: Final = Step("sequences", _sequences, JUDGED)
NEXT_SEQUENCES: Final = Step("next_sequences", _sequences_total, s.SEQUENCE_PARTS, s.LAST_SEQUENCES)
STEPS: Final = (SETTLED, INTERVALS, SPANS, TOUCHED, NEXT_CARDS)
