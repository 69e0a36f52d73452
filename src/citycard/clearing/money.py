# SPDX-License-Identifier: Apache-2.0
"""Accepted taps to shares, shares to positions: whole fen only, and every tap's shares add up to zero.

For a purchase of A with the whole fee f (`core.fees`), issuer part i and acquirer part a (facts 8.4): the
issuer pays A - i, the acquirer's side receives A - f + a, the scheme keeps f - i - a. The acquirer hands
A - f on to the operators by weight. A discount somebody else than the acquirer bears is paid by them to the
operators by the same weights. For a load of A the retailer owes A to the issuer; a fee comes out of the
issuer's side. Every division is by largest remainder.
"""

from __future__ import annotations

from typing import Final

import ibis

from citycard.clearing import sources as s
from citycard.clearing.engine import Expression, Step
from citycard.clearing.fees import charged
from citycard.clearing.judge import ACCEPTED, JUDGED
from citycard.core.record import Kind

PLACE_KEY: Final = tuple(n for n in s.PLACES.arrow.names if n != "place_no")
POTS: Final = ("pot_fen", "concession_due_fen", "transfer_due_fen")
CAUSES: Final = ("operator_share", "concession", "transfer")
PRICED_COLUMNS: Final = (
    "tap", "pan", "counter", "kind", "load", "tapped_at", "balance_before_fen", "amount_fen", "fee_fen",
    "issuer_part", "acquirer_part", "scheme_part", "scheme", *POTS, *PLACE_KEY, "issuer",
)  # fmt: skip
SHARE: Final = ("tap", "participant", "cause", "amount_fen", "service", "acquirer", "issuer")


def whole(dividend: Expression, divisor: Expression | int) -> Expression:
    """How often the divisor goes into the dividend, both below 2**53 and not negative.

    Engines divide integers as floats. The remainder is taken off first, so that the quotient is a whole
    number, which a float holds exactly.
    """
    return ((dividend - dividend % divisor) / divisor).cast("int64")


def _priced(judged: Expression, rates: Expression, settings: Expression) -> Expression:
    """Accepted taps with their fee and its three parts, and what is to be divided among operators."""
    t = charged(judged.filter(judged.verdict == ACCEPTED), rates).cross_join(settings)
    load = t.kind == int(Kind.LOAD)
    borne = {
        "concession_due_fen": (~load & (t.concession_payer != t.acquirer)).ifelse(t.concession_fen, 0),
        "transfer_due_fen": (~load & (t.transfer_payer != t.acquirer)).ifelse(t.transfer_fen, 0),
    }
    t = t.mutate(load=load, scheme_bp=t.charge_bp - t.issuer_bp - t.acquirer_bp, **borne)
    t = t.mutate(pot_fen=t.load.ifelse(0, t.amount_fen - t.fee_fen))
    for part in ("issuer", "acquirer", "scheme"):
        share = t.fee_fen * t[f"{part}_bp"]
        t = t.mutate(**{f"{part}_part": whole(share, t.charge_bp), f"{part}_rest": share % t.charge_bp})
    left = t.fee_fen - t.issuer_part - t.acquirer_part - t.scheme_part
    i, a, c = t.issuer_rest, t.acquirer_rest, t.scheme_rest
    ahead = {
        "issuer": (a > i).cast("int64") + (c > i).cast("int64"),
        "acquirer": (i >= a).cast("int64") + (c > a).cast("int64"),
        "scheme": (i >= c).cast("int64") + (a >= c).cast("int64"),
    }
    t = t.mutate(**{f"{p}_part": t[f"{p}_part"] + (n < left).cast("int64") for p, n in ahead.items()})
    return t.select(*PRICED_COLUMNS)


def _grounds(priced: Expression) -> Expression:
    """The distinct places money was earned at, with who bears discounts there."""
    t = priced.filter(~priced.load & (ibis.or_(*[priced[pot] != 0 for pot in POTS])))
    numbers = ("service", "tariff_version", "line", "station", "entry_line", "entry_station")
    return t.mutate(**{n: t[n].cast("int64") for n in numbers}).select(*PLACE_KEY).distinct()


def _placed(priced: Expression, places: Expression) -> Expression:
    """Purchases with the number of their place."""
    t = priced.filter(~priced.load)
    return t.inner_join(places, PLACE_KEY).select(
        *SHARE[:1], "service", "acquirer", "issuer", "place_no", *POTS
    )


def _split(placed: Expression, weights: Expression) -> Expression:
    """Each distinct (place, sums) divided among its participants; the bearer gives up what is divided."""
    sums = placed.select("place_no", *POTS).distinct()
    t = sums.inner_join(weights, "place_no")
    group = ("place_no", *POTS)
    bears = ("bears_fare", "bears_concession", "bears_transfer")
    for pot, cause in zip(POTS, CAUSES, strict=True):
        t = t.mutate(**{cause: whole(t[pot] * t.weight, t.whole), "rest": (t[pot] * t.weight) % t.whole})
        sums_of = ibis.window(group_by=[t[name] for name in group])
        given = t[cause].sum().over(sums_of).cast("int64")
        place = ibis.row_number().over(sums_of.order_by([t.rest.desc(), t["rank"]]))
        t = t.mutate(left=t[pot] - given, place=place)
        t = t.mutate(**{cause: t[cause] + (t.place < t.left).cast("int64")})
    for pot, cause, bearer in zip(POTS, CAUSES, bears, strict=True):
        t = t.mutate(**{cause: t[cause] - t[pot] * t[bearer]})
    return t.select("place_no", *POTS, "participant", *CAUSES)


def _shares(priced: Expression, placed: Expression, split: Expression) -> Expression:
    """Every participant's part of every tap, with its cause; a tap's parts add up to zero."""
    t = priced.mutate(
        owed=priced.load.ifelse(priced.amount_fen, -priced.amount_fen),
        taken=priced.load.ifelse(-priced.amount_fen, priced.pot_fen),
        main=priced.load.ifelse("load", "fare"),
        issuer_fee=priced.issuer_part - priced.load.ifelse(priced.fee_fen, 0),
    )
    one = t.issuer == t.acquirer

    def rows(
        source: Expression, participant: Expression, cause: Expression, amount: Expression
    ) -> Expression:
        found = source.mutate(participant=participant, cause=cause, amount_fen=amount.cast("int64"))
        found = found.mutate(service=found.service.cast("int64"))
        return found.filter(found.amount_fen != 0).select(*SHARE)

    parted = placed.inner_join(split, ["place_no", *POTS])
    return ibis.union(
        rows(t, t.issuer, t.main, t.owed + one.ifelse(t.taken, 0)),
        rows(t, t.acquirer, t.main, one.ifelse(0, t.taken)),
        rows(t, t.issuer, ibis.literal("issuer_fee"), t.issuer_fee),
        rows(t, t.acquirer, ibis.literal("acquirer_fee"), t.acquirer_part),
        rows(t, t.scheme, ibis.literal("scheme_fee"), t.scheme_part),
        *[rows(parted, parted.participant, ibis.literal(cause), parted[cause]) for cause in CAUSES],
    )


def _unbalanced(shares: Expression) -> Expression:
    """Taps whose shares do not add up to zero: there are none."""
    t = shares.group_by("tap").aggregate(sum_fen=shares.amount_fen.sum())
    return t.filter(t.sum_fen != 0)


def _shares_out(shares: Expression) -> Expression:
    return shares.select("tap", "participant", "cause", "amount_fen")


def _positions(shares: Expression) -> Expression:
    """Multilateral net positions; they add up to zero."""
    t = shares.group_by("participant").aggregate(
        receivable_fen=(shares.amount_fen > 0).ifelse(shares.amount_fen, 0).sum().cast("int64"),
        payable_fen=(shares.amount_fen < 0).ifelse(-shares.amount_fen, 0).sum().cast("int64"),
    )
    return t.mutate(net_fen=t.receivable_fen - t.payable_fen)


def _revenue(shares: Expression) -> Expression:
    """What each participant earned and owes, by service, counterparty and cause."""
    operators = (shares.cause == "operator_share") | (
        shares.cause.isin(["concession", "transfer"]) & (shares.amount_fen > 0)
    )
    with_issuer = (shares.participant != shares.issuer) & (
        (shares.participant == shares.acquirer) | operators
    )
    t = shares.mutate(counterparty=with_issuer.ifelse(shares.issuer, shares.acquirer))
    return t.group_by("participant", "service", "counterparty", "cause").aggregate(
        taps=t.count(), amount_fen=t.amount_fen.sum().cast("int64")
    )


def _movements(priced: Expression) -> Expression:
    """What accepted taps did to each card, by kind, and where its newest one left it."""
    t = priced.mutate(
        kind=priced.kind.cast("int64"),
        counter=priced.counter.cast("int64"),
        after_fen=priced.balance_before_fen + priced.load.ifelse(priced.amount_fen, -priced.amount_fen),
    )
    t = t.group_by("pan", "issuer", "kind").aggregate(
        taps=t.count(),
        amount_fen=t.amount_fen.sum().cast("int64"),
        last_counter=t.counter.max(),
        last_balance_fen=t.after_fen.argmax(t.counter),
        last_at=t.tapped_at.argmax(t.counter),
    )
    return t.mutate(last_at=t.last_at.strftime("%Y-%m-%dT%H:%M:%S"))


PRICED: Final = Step("priced", _priced, JUDGED, s.RATES, s.SETTINGS)
GROUNDS: Final = Step("grounds", _grounds, PRICED)
PLACED: Final = Step("placed", _placed, PRICED, s.PLACES)
SPLIT: Final = Step("split", _split, PLACED, s.WEIGHTS)
SHARES: Final = Step("shares", _shares, PRICED, PLACED, SPLIT)
UNBALANCED: Final = Step("unbalanced", _unbalanced, SHARES)
SHARES_OUT: Final = Step("shares_out", _shares_out, SHARES)
POSITIONS: Final = Step("positions", _positions, SHARES)
REVENUE: Final = Step("revenue", _revenue, SHARES)
MOVEMENTS: Final = Step("movements", _movements, PRICED)
