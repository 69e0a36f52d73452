# SPDX-License-Identifier: Apache-2.0
"""The verdict on every tap: accepted, suspended or rejected, with its reason, its name and its rates."""

from __future__ import annotations

from typing import Final

import ibis

from citycard.clearing import sources as s
from citycard.clearing.chain import CHAINED
from citycard.clearing.engine import Expression, Step
from citycard.clearing.rules import LOAD_SERVICE
from citycard.clearing.verify import STANDING
from citycard.core import tables
from citycard.core.record import Kind
from citycard.core.refusal import Reason

ACCEPTED: Final = "accepted"
SUSPENDED: Final = "suspended"
REJECTED: Final = "rejected"
SEQUENCE_DIGITS: Final = 10  # as `core.record.record_id` writes them
DIGEST_DIGITS: Final = 16  # of a batch digest, enough to tell deliveries of one record apart
RATE_KEY: Final = ("rate_service", "acquirer", "issuer", "business_date")
RATE_COLUMNS: Final = tuple(n for n in s.RATES.arrow.names if n not in (*RATE_KEY, "fees"))


def _rated_by(t: Expression) -> Expression:
    return (t.kind == int(Kind.LOAD)).ifelse(LOAD_SERVICE, t.service.cast("int64"))


def _combinations(standing: Expression) -> Expression:
    """The distinct combinations a contract may be needed for."""
    t = standing.filter(standing.reason_no == Reason.OK.number)
    return t.mutate(rate_service=_rated_by(t).cast("int64")).select(*RATE_KEY).distinct()


def _judged(
    standing: Expression, chained: Expression, rates: Expression, reasons: Expression, settings: Expression
) -> Expression:
    """Every tap of the run with verdict, reason and rates.

    A record whose name was taken (or cannot be read) is called by its name, its batch and its place there,
    so that each delivery has a verdict of its own and the original keeps the plain name.
    """
    # only an original answers to its name
    t = standing.mutate(
        named=standing.original.ifelse(standing.sequence, ibis.literal(-1, "int64")),
        rate_service=_rated_by(standing).cast("int64"),
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
    digits = ibis.literal("0" * SEQUENCE_DIGITS) + t.sequence.cast("string")
    name = t.terminal + "-" + digits.right(SEQUENCE_DIGITS)
    delivery = name + "~" + t.batch.left(DIGEST_DIGITS) + "." + t.position.cast("string")
    t = t.mutate(verdict=verdict, tap=t.original.ifelse(name, delivery), settled_on=t.settle_on)
    t = t.inner_join(reasons, "reason_no")
    rest = [name for name in standing.columns if name not in tables.VERDICTS.names]
    return t.select(*tables.VERDICTS.names, *rest, *RATE_COLUMNS)


def _kept(judged: Expression) -> Expression:
    """What the lake keeps of every tap: its verdict and all that a later run needs of it."""
    return judged.drop("original", "reason_no", "evidence", "pooled", *RATE_COLUMNS)


def _verdicts(judged: Expression) -> Expression:
    """The declared table, its dates and moments written as text."""
    text = {
        "tapped_at": judged.tapped_at.strftime("%Y-%m-%dT%H:%M:%S"),
        "entry_at": judged.entry_at.strftime("%Y-%m-%dT%H:%M:%S"),
        "business_date": judged.business_date.strftime("%Y-%m-%d"),
        "settled_on": judged.settled_on.strftime("%Y-%m-%d"),
    }
    return judged.mutate(**text).select(*tables.VERDICTS.names)


def _tally(judged: Expression) -> Expression:
    """Counts and money by verdict, reason and kind, and the partitions of the lake."""
    return judged.group_by("verdict", "reason", "kind", "business_date").aggregate(
        taps=judged.count(), amount_fen=judged.amount_fen.sum().cast("int64")
    )


COMBINATIONS: Final = Step("combinations", _combinations, STANDING)
JUDGED: Final = Step("judged", _judged, STANDING, CHAINED, s.RATES, s.REASONS, s.SETTINGS)
KEPT: Final = Step("kept", _kept, JUDGED)
VERDICTS: Final = Step("verdicts", _verdicts, JUDGED)
TALLY: Final = Step("tally", _tally, JUDGED)
