# SPDX-License-Identifier: Apache-2.0
"""The verdict on every tap: accepted, suspended or rejected, with its reason, its name and its rates."""

from __future__ import annotations

from typing import Final

import ibis

from citycard.clearing import sources as s
from citycard.clearing.chain import CHAINED
from citycard.clearing.engine import Expression, Step, moment_text
from citycard.clearing.rules import LOAD_SERVICE
from citycard.clearing.verify import STANDING
from citycard.core import tables
from citycard.core.record import Kind
from citycard.core.refusal import Reason

ACCEPTED: Final = "accepted"
SUSPENDED: Final = "suspended"
REJECTED: Final = "rejected"
OTHER: Final = "other"  # the lake's folder for taps of issuers nobody knows
SEQUENCE_DIGITS: Final = 10  # as `core.record.record_id` writes them
DIGEST_DIGITS: Final = 16  # of a batch digest, enough to tell deliveries of one record apart
RATE_KEY: Final = ("rate_service", "acquirer", "issuer", "business_date")
RATE_COLUMNS: Final = tuple(n for n in s.RATES.arrow.names if n not in (*RATE_KEY, "fees"))
NOT_KEPT: Final = ("batch_no", "original", "reason_no", "evidence", "pooled", *RATE_COLUMNS)


def rated_by(t: Expression) -> Expression:
    """The service contracts know a tap by: loads have one of their own."""
    return (t.kind == int(Kind.LOAD)).ifelse(LOAD_SERVICE, t.service.cast("int64"))


def _combinations(standing: Expression) -> Expression:
    """The distinct combinations a contract may be needed for."""
    t = standing.filter(standing.reason_no == Reason.OK.number)
    return t.mutate(rate_service=rated_by(t).cast("int64")).select(*RATE_KEY).distinct()


def _judged(
    standing: Expression, chained: Expression, rates: Expression, reasons: Expression, settings: Expression
) -> Expression:
    """Every tap of the run with verdict, reason and rates."""
    # only an original answers to its name
    t = standing.mutate(
        named=standing.original.ifelse(standing.sequence, ibis.literal(-1, "int64")),
        rate_service=rated_by(standing).cast("int64"),
    )
    t = t.left_join(chained, [t.terminal_id == chained.terminal_id, t.named == chained.sequence])
    t = t.select(*standing.columns, "rate_service", "chain_no")
    t = t.left_join(rates, RATE_KEY).select(t, *RATE_COLUMNS).cross_join(settings)
    reason = ibis.cases(
        (t.reason_no != Reason.OK.number, t.reason_no),
        (t.chain_no.fill_null(0) != Reason.OK.number, t.chain_no),
        (t.contract.isnull(), Reason.NO_CONTRACT.number),
        else_=Reason.OK.number,
    )
    t = t.mutate(reason_no=reason.cast("int64"), over=t.business_date < t.oldest)
    waits = ibis.or_(
        (t.reason_no == Reason.FROM_THE_FUTURE.number) & (t.business_date <= t.farthest),
        (t.reason_no == Reason.BALANCE_MISMATCH.number) & ~t.over,
        t.reason_no == Reason.COUNTER_GAP.number,
        t.reason_no == Reason.NO_CONTRACT.number,
    )
    verdict = ibis.cases((t.reason_no == Reason.OK.number, ACCEPTED), (waits, SUSPENDED), else_=REJECTED)
    t = t.mutate(verdict=verdict, settled_on=t.settle_on)
    t = t.inner_join(reasons, "reason_no")
    return t.select(*standing.columns, "verdict", "reason", "settled_on", *RATE_COLUMNS)


def plain_name(t: Expression) -> Expression:
    """The record's name, as `core.record.record_id` writes it."""
    digits = ibis.literal("0" * SEQUENCE_DIGITS) + t.sequence.cast("string")
    return t.terminal + "-" + digits.right(SEQUENCE_DIGITS)


def _kept(judged: Expression, batches: Expression, issuers: Expression) -> Expression:
    """What the lake keeps of every tap: its name, its verdict and all that a later run needs of it.

    A record whose name was taken (or cannot be read) is called by its name, its batch and its place there,
    so that each delivery has a verdict of its own and the original keeps the plain name. `part` is the
    issuer as the lake's folders know it: a forged record may carry any.
    """
    held = batches.select("batch_no", digest=batches.batch)
    known = issuers.select("issuer", part=issuers.issuer)
    t = judged.left_join(held, "batch_no").select(judged, "digest")
    t = t.left_join(known, "issuer").select(t, "part")
    t = t.mutate(part=t.part.fill_null(OTHER))
    t = t.mutate(batch=ibis.coalesce(t.batch, t.digest))
    name = plain_name(t)
    delivery = name + "~" + t.batch.left(DIGEST_DIGITS) + "." + t.position.cast("string")
    t = t.mutate(tap=t.original.ifelse(name, delivery))
    rest = [n for n in judged.columns if n not in tables.VERDICTS.names and n not in NOT_KEPT]
    return t.select(*tables.VERDICTS.names, *rest, "part")


def _few(judged: Expression) -> Expression:
    """The taps that are not both new and accepted."""
    return judged.filter(judged.pooled | (judged.verdict != ACCEPTED))


def _refused(few: Expression) -> Expression:
    """Where the new taps came from that are not accepted."""
    return few.filter(~few.pooled & (few.verdict != ACCEPTED)).select("batch_no", "position")


def _verdicts(kept: Expression) -> Expression:
    """The declared table, its dates and moments written as text."""
    text = {
        "tapped_at": moment_text(kept.tapped_at),
        "entry_at": moment_text(kept.entry_at),
        "business_date": kept.business_date.strftime("%Y-%m-%d"),
        "settled_on": kept.settled_on.strftime("%Y-%m-%d"),
    }
    return kept.mutate(**text).select(*tables.VERDICTS.names)


def _exceptions(kept: Expression) -> Expression:
    """Verdicts a person may have to look at: all but accepted taps and mere repeats of records."""
    return _verdicts(kept.filter((kept.verdict != ACCEPTED) & (kept.reason != Reason.DUPLICATE.code)))


def _loads(kept: Expression) -> Expression:
    """Accepted loads: what proves to the office that a card took what it was given."""
    t = kept.filter((kept.verdict == ACCEPTED) & (kept.kind == int(Kind.LOAD)))
    return t.mutate(tapped_at=moment_text(t.tapped_at)).select(*tables.LOADS.names)


COMBINATIONS: Final = Step("combinations", _combinations, STANDING)
JUDGED: Final = Step("judged", _judged, STANDING, CHAINED, s.RATES, s.REASONS, s.SETTINGS, view=True)
KEPT: Final = Step("kept", _kept, JUDGED, s.BATCHES, s.ISSUERS, view=True)
FEW: Final = Step("few", _few, JUDGED)
KEPT_FEW: Final = Step("kept_few", _kept, FEW, s.BATCHES, s.ISSUERS)
REFUSED: Final = Step("refused", _refused, FEW)
VERDICTS: Final = Step("verdicts", _verdicts, KEPT)
EXCEPTIONS: Final = Step("exceptions", _exceptions, KEPT_FEW)
LOADS: Final = Step("cleared_loads", _loads, KEPT)
