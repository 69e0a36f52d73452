# SPDX-License-Identifier: Apache-2.0
"""The checks a record must pass by itself: delivered once, known parties, TAC, amounts, date, hotlists.

A step over all taps only streams: whatever must be sorted or grouped (which records of a name are repeats) is
worked out over the few it may concern, and joined back as a small table.

Reasons are those of `core.refusal.Reason` and follow its order: the first that applies is told. What
depends on a card's other records (counters, balances) is in `chain`.
"""

from __future__ import annotations

from typing import Final

import ibis

from citycard.clearing import sources as s
from citycard.clearing.engine import Expression, Step
from citycard.core.interop.evidence import AWAY
from citycard.core.record import Flag, Kind
from citycard.core.refusal import Reason
from citycard.services.contract import CardClass

TAP_KEY: Final = ("terminal_id", "sequence")  # the record's name
ROW_KEY: Final = ("batch_no", "position")  # one delivery of it, in this run
# With these reasons a record whose TAC verifies still tells what its card did. Those rejected for others
# may come again, corrected, and must not find their counter taken.
FINAL: Final = tuple(
    reason.number
    for reason in (Reason.OK, Reason.TEST_RECORD, Reason.TOO_LATE, Reason.HOTLISTED, Reason.SAM_HOTLISTED)
)


def _late(suspects: Expression, last: Expression) -> Expression:
    """Records that may have been delivered in an earlier run: not newer than the newest known."""
    found = suspects.filter(suspects.decoded).inner_join(last, "terminal_id")
    return found.filter(found.sequence <= found.last_sequence).select(*TAP_KEY).distinct()


def _known(late: Expression, history: Expression, pool: Expression) -> Expression:
    """What earlier runs accepted or still hold under those names."""
    earlier = history.union(pool.select("terminal_id", "sequence", "fingerprint"))
    return earlier.semi_join(late, TAP_KEY).select(*TAP_KEY, known=earlier.fingerprint)


def _delivered(suspects: Expression, known: Expression, batches: Expression) -> Expression:
    """The suspects that repeat another record: DUPLICATE or CONTENT_CONFLICT; one of a name is the original.

    Among records of one name in this run the one whose TAC verifies is taken, then the order of content
    and digest decides, never the order of arrival.
    """
    found = suspects.left_join(known, TAP_KEY).select(suspects, known.known).inner_join(batches, "batch_no")
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
    found = found.select(*ROW_KEY, repeat=repeat.cast("int64"))
    return found.filter(found.repeat != Reason.OK.number)


def _hot(taps: Expression, hotlist: Expression) -> Expression:
    """Purchases with a listed card at a terminal whose list held it.

    Where the terminal had not got the list yet, the holder's loss is the issuer's: the tap stands. Loads
    stand as well: the retailer took the money.
    """
    listed = hotlist.select("card", "version", "listed_at", "delisted_at")
    purchases = taps.filter(taps.kind == int(Kind.PURCHASE))
    purchases = purchases.select(*ROW_KEY, "card", "hotlist_version", "tapped_at")
    found = purchases.inner_join(listed, "card")
    found = found.filter(
        (found.version <= found.hotlist_version)
        & (found.tapped_at >= found.listed_at)
        & (found.delisted_at.isnull() | (found.tapped_at < found.delisted_at))
    )
    return found.select(*ROW_KEY).distinct().mutate(hot=ibis.literal(True))


def _distrusted(taps: Expression, sams: Expression) -> Expression:
    """Records of terminals whose security module was stolen before: made by whoever has it now."""
    found = taps.select(*ROW_KEY, "terminal_id", "tapped_at").inner_join(sams, "terminal_id")
    found = found.filter(found.tapped_at >= found.distrusted_at)
    return found.select(*ROW_KEY).distinct().mutate(distrusted=ibis.literal(True))


def _joined(
    taps: Expression,
    delivered: Expression,
    settings: Expression,
    terminals: Expression,
    issuers: Expression,
    cards: Expression,
    limits: Expression,
    hot: Expression,
    distrusted: Expression,
) -> Expression:
    """Each record beside what is known of its delivery, terminal, issuer, card, limits and listing."""
    owners = terminals.select("terminal_id", owner=terminals.acquirer, away=terminals.service == AWAY)
    issuers = issuers.mutate(issuer_known=ibis.literal(True))
    issued = cards.select("card", card_issuer=cards.issuer)
    found = taps.left_join(delivered, ROW_KEY).select(taps, "repeat")
    found = found.left_join(owners, "terminal_id").select(found, "owner", "away")
    found = found.left_join(issuers, "issuer").select(found, "issuer_known")
    found = found.left_join(issued, "card").select(found, "card_issuer")
    found = found.left_join(limits, "service").select(found, "most_fen")
    found = found.left_join(hot, ROW_KEY).select(found, "hot")
    found = found.left_join(distrusted, ROW_KEY).select(found, "distrusted")
    found = found.mutate(repeat=found.repeat.fill_null(Reason.OK.number))
    return found.cross_join(settings)


def _examined(
    taps: Expression, delivered: Expression, settings: Expression, *about: Expression
) -> Expression:
    """Each new record with the number of the first reason against it, 0 if none, and `evidence`."""
    t = _joined(taps, delivered, settings, *about)
    purchase = t.kind == int(Kind.PURCHASE)
    test = ((t.flags.cast("int64") & int(Flag.TEST)) != 0) | (t.card_class == CardClass.TEST)
    due = t.list_fen - t.concession_fen - t.transfer_fen + t.surcharge_fen
    priced = (t.amount_fen == due) & (t.concession_fen + t.transfer_fen <= t.list_fen)
    limit = purchase.ifelse(ibis.coalesce(t.most_fen, t.limit_fen), t.load_limit_fen)
    card_known = t.card_issuer.notnull() & (t.card_issuer == t.issuer)
    elsewhere = t.away & (t.acquirer == t.issuer)  # a terminal abroad is each issuer's own affair
    reason = ibis.cases(
        (~t.decoded, Reason.MALFORMED.number),
        (test, Reason.TEST_RECORD.number),
        (t.repeat != Reason.OK.number, t.repeat),
        (t.owner.isnull(), Reason.UNKNOWN_TERMINAL.number),
        ((t.owner != t.acquirer) & ~elsewhere, Reason.ACQUIRER_MISMATCH.number),
        (t.distrusted.notnull(), Reason.SAM_HOTLISTED.number),
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
    original = t.decoded & (t.repeat == Reason.OK.number)
    t = t.mutate(reason_no=reason.cast("int64"), original=original)
    genuine = t.original & card_known & t.tac_ok & (t.business_date <= t.settle_on)
    return t.mutate(
        batch=ibis.null("string"), evidence=genuine & t.reason_no.isin(FINAL), pooled=ibis.literal(False)
    )


def _standing(
    taps: Expression, delivered: Expression, settings: Expression, *about: Expression
) -> Expression:
    """All taps of the run: the new ones, and those earlier runs suspended, looked at again.

    A suspended tap has passed all but its date and what its card's other records say. `batch` is the digest
    of a suspended tap's batch; that of a new one is known by `batch_no`.
    """
    *others, pool = about
    columns = ("batch_no", *pool.columns, "original", "reason_no", "evidence", "pooled")
    new = _examined(taps, delivered, settings, *others).select(*columns)
    old = pool.cross_join(settings.select("settle_on"))
    early = old.business_date > old.settle_on
    old = old.mutate(
        batch_no=ibis.null("int64"),
        original=ibis.literal(True),
        reason_no=early.ifelse(Reason.FROM_THE_FUTURE.number, Reason.OK.number).cast("int64"),
        evidence=~early,
        pooled=ibis.literal(True),
    )
    return new.union(old.select(*columns))


LATE: Final = Step("late", _late, s.SUSPECTS, s.LAST_SEQUENCES)
KNOWN: Final = Step("known", _known, LATE, s.HISTORY, s.POOL)
DELIVERED: Final = Step("delivered", _delivered, s.SUSPECTS, KNOWN, s.BATCHES)
HOT: Final = Step("hot", _hot, s.TAPS, s.HOTLIST)
DISTRUSTED: Final = Step("distrusted", _distrusted, s.TAPS, s.SAMS)
STANDING: Final = Step(
    "standing", _standing, s.TAPS, s.REPEATS, s.SETTINGS, s.TERMINALS, s.ISSUERS, s.CARDS, s.LIMITS, HOT,
    DISTRUSTED, s.POOL,
)  # fmt: skip
STEPS: Final = (HOT, DISTRUSTED, STANDING)
