# SPDX-License-Identifier: Apache-2.0
"""The checks a record must pass by itself: delivered once, known parties, TAC, amounts, date, hotlist.

Reasons are those of `core.refusal.Reason` and follow its order: the first that applies is told. What
depends on a card's other records (counters, balances) is in `chain`.
"""

from __future__ import annotations

from typing import Final

import ibis

from citycard.clearing import sources as s
from citycard.clearing.engine import Expression, Step
from citycard.core.record import Flag, Kind
from citycard.core.refusal import Reason
from citycard.services.contract import CardClass

TAP_KEY: Final = ("terminal_id", "sequence")
# With these reasons a record whose TAC verifies still tells what its card did. Those rejected for others
# may come again, corrected, and must not find their counter taken.
FINAL: Final = tuple(
    reason.number for reason in (Reason.OK, Reason.TEST_RECORD, Reason.TOO_LATE, Reason.HOTLISTED)
)


def _late(taps: Expression, last: Expression) -> Expression:
    """Records that may have been delivered in an earlier run: not newer than the newest known."""
    found = taps.filter(taps.decoded).inner_join(last, "terminal_id")
    return found.filter(found.sequence <= found.last_sequence).select(*TAP_KEY).distinct()


def _known(late: Expression, history: Expression, pool: Expression) -> Expression:
    """What earlier runs accepted or still hold under those names."""
    earlier = history.union(pool.select("terminal_id", "sequence", "fingerprint"))
    return earlier.semi_join(late, TAP_KEY).select(*TAP_KEY, known=earlier.fingerprint)


def _delivered(taps: Expression, known: Expression, batches: Expression) -> Expression:
    """Each record with `repeat` (OK, DUPLICATE or CONTENT_CONFLICT); one of a name is `original`.

    Among records of one name in this run the one whose TAC verifies is taken, then the order of content
    and digest decides, never the order of arrival.
    """
    found = taps.left_join(known, TAP_KEY).select(taps, known.known).inner_join(batches, "batch_no")
    name = ibis.window(
        group_by=[found.terminal_id, found.sequence, found.decoded],
        order_by=[found.tac_ok.desc(), found.fingerprint, found.batch, found.position],
    )
    found = found.mutate(place=ibis.row_number().over(name), first=found.fingerprint.first().over(name))
    repeat = ibis.cases(
        (~found.decoded, Reason.OK.number),
        (found.known.notnull() & (found.known == found.fingerprint), Reason.DUPLICATE.number),
        (found.known.notnull(), Reason.CONTENT_CONFLICT.number),
        (found.place == 0, Reason.OK.number),
        (found.fingerprint == found["first"], Reason.DUPLICATE.number),
        else_=Reason.CONTENT_CONFLICT.number,
    )
    found = found.mutate(repeat=repeat)
    original = found.decoded & (found.repeat == Reason.OK.number)
    return found.mutate(original=original).drop("batch_no", "known", "place", "first")


def _hot(delivered: Expression, hotlist: Expression) -> Expression:
    """Purchases with a listed card at a terminal whose list held it.

    Where the terminal had not got the list yet, the holder's loss is the issuer's: the tap stands.
    """
    listed = hotlist.select(hot_pan=hotlist.pan, version=hotlist.version, listed_at=hotlist.listed_at,
                            delisted_at=hotlist.delisted_at)  # fmt: skip
    taps = delivered.filter(delivered.original & (delivered.kind == int(Kind.PURCHASE)))
    found = taps.inner_join(listed, taps.pan == listed.hot_pan)
    found = found.filter(
        (found.version <= found.hotlist_version)
        & (found.tapped_at >= found.listed_at)
        & (found.delisted_at.isnull() | (found.tapped_at < found.delisted_at))
    )
    return found.select(*TAP_KEY).distinct().mutate(hot=ibis.literal(True))


def _joined(
    delivered: Expression,
    settings: Expression,
    terminals: Expression,
    issuers: Expression,
    cards: Expression,
    limits: Expression,
    hot: Expression,
) -> Expression:
    """Each record beside what is known of its terminal, issuer, card, limits and listing."""
    owners = terminals.select("terminal", owner=terminals.acquirer)
    issuers = issuers.mutate(issuer_known=ibis.literal(True))
    issued = cards.select("pan", card_issuer=cards.issuer)
    found = delivered.left_join(owners, "terminal").select(delivered, "owner")
    found = found.left_join(issuers, "issuer").select(found, "issuer_known")
    found = found.left_join(issued, "pan").select(found, "card_issuer")
    found = found.left_join(limits, "service").select(found, "most_fen")
    found = found.left_join(hot, TAP_KEY).select(found, "hot")
    return found.cross_join(settings)


def _examined(
    delivered: Expression,
    settings: Expression,
    terminals: Expression,
    issuers: Expression,
    cards: Expression,
    limits: Expression,
    hot: Expression,
) -> Expression:
    """Each new record with the number of the first reason against it, 0 if none."""
    t = _joined(delivered, settings, terminals, issuers, cards, limits, hot)
    purchase = t.kind == int(Kind.PURCHASE)
    test = ((t.flags.cast("int64") & int(Flag.TEST)) != 0) | (t.card_class == CardClass.TEST)
    due = t.list_fen - t.concession_fen - t.transfer_fen + t.surcharge_fen
    priced = (t.amount_fen == due) & (t.concession_fen + t.transfer_fen <= t.list_fen)
    limit = purchase.ifelse(ibis.coalesce(t.most_fen, t.limit_fen), t.load_limit_fen)
    card_known = t.card_issuer.notnull() & (t.card_issuer == t.issuer)
    reason = ibis.cases(
        (~t.decoded, Reason.MALFORMED.number),
        (test, Reason.TEST_RECORD.number),
        (t.repeat != Reason.OK.number, t.repeat),
        (t.owner.isnull(), Reason.UNKNOWN_TERMINAL.number),
        (t.owner != t.acquirer, Reason.ACQUIRER_MISMATCH.number),
        (t.issuer_known.isnull(), Reason.UNKNOWN_ISSUER.number),
        (~card_known, Reason.UNKNOWN_CARD.number),
        (~t.tac_ok, Reason.TAC_MISMATCH.number),
        (purchase & ~priced, Reason.AMOUNT_INCONSISTENT.number),
        (t.amount_fen > limit, Reason.OVER_LIMIT.number),
        (t.business_date > t.settle_on, Reason.FROM_THE_FUTURE.number),
        (t.business_date < t.oldest, Reason.TOO_LATE.number),
        (t.hot.notnull(), Reason.HOTLISTED.number),
        else_=Reason.OK.number,
    )
    t = t.mutate(reason_no=reason.cast("int64"), pooled=ibis.literal(False))
    genuine = t.original & card_known & t.tac_ok & (t.business_date <= t.settle_on)
    t = t.mutate(evidence=genuine & t.reason_no.isin(FINAL))
    return t.select(*s.POOL.table.columns, "original", "reason_no", "evidence", "pooled")


def _waiting(pool: Expression, settings: Expression) -> Expression:
    """What earlier runs suspended, looked at again: passed but for its date and its card's other records."""
    t = pool.cross_join(settings)
    early = t.business_date > t.settle_on
    reason = early.ifelse(Reason.FROM_THE_FUTURE.number, Reason.OK.number)
    t = t.mutate(
        original=ibis.literal(True),
        reason_no=reason.cast("int64"),
        evidence=~early,
        pooled=ibis.literal(True),
    )
    return t.select(*pool.columns, "original", "reason_no", "evidence", "pooled")


def _standing(examined: Expression, waiting: Expression) -> Expression:
    return examined.union(waiting.select(*examined.columns))


LATE: Final = Step("late", _late, s.TAPS, s.LAST_SEQUENCES)
KNOWN: Final = Step("known", _known, LATE, s.HISTORY, s.POOL)
DELIVERED: Final = Step("delivered", _delivered, s.TAPS, KNOWN, s.BATCHES)
HOT: Final = Step("hot", _hot, DELIVERED, s.HOTLIST)
EXAMINED: Final = Step(
    "examined", _examined, DELIVERED, s.SETTINGS, s.TERMINALS, s.ISSUERS, s.CARDS, s.LIMITS, HOT
)
WAITING: Final = Step("waiting", _waiting, s.POOL, s.SETTINGS)
STANDING: Final = Step("standing", _standing, EXAMINED, WAITING)
STEPS: Final = (DELIVERED, HOT, EXAMINED, WAITING, STANDING)
