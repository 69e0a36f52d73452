# SPDX-License-Identifier: Apache-2.0
"""Accepted taps to shares, shares to positions: whole fen only, and every tap's shares add up to zero.

For a purchase of A with the whole fee f (`core.fees`), issuer part i and acquirer part a (facts 8.4): the
issuer pays A - i, the acquirer's side receives A - f + a, the scheme keeps f - i - a. The acquirer hands
A - f on to the operators by weight. A discount somebody else than the acquirer bears is paid by them to the
operators by the same weights. For a load of A the retailer owes A to the issuer; a fee comes out of the
issuer's side. Every division is by largest remainder.

Taps that are alike in all of that are divided once and counted: a city day of millions has some thousand
different fares. Every row here stands for `taps` taps and carries the amounts of one.
"""

from __future__ import annotations

from typing import Final

import ibis

from citycard.clearing import sources as s
from citycard.clearing.engine import Expression, Step, moment_text
from citycard.clearing.fees import charged
from citycard.clearing.judge import ACCEPTED, FEW, JUDGED, RATE_COLUMNS, RATE_KEY, plain_name, rated_by
from citycard.clearing.periods import TABLES as PERIOD_TABLES
from citycard.clearing.periods import timed, within
from citycard.core import tables
from citycard.core.record import Kind
from citycard.core.refusal import Reason

PLACE_KEY: Final = tuple(n for n in s.PLACES.arrow.names if n != "place_no")
POTS: Final = ("pot_fen", "concession_due_fen", "transfer_due_fen")
TALLY_KEY: Final = ("verdict", "reason", "kind", "business_date", "issuer", "acquirer", "service")
WHOLE_DAY: Final = ibis.literal("")
REVENUE_KEY: Final = ("participant", "service", "counterparty", "cause")
VOLUME_KEY: Final = ("contract", "service", "acquirer", "issuer", "scheme", "business_date")
VOLUME_SUMS: Final = ("taps", "amount_fen", "issuer_fen", "acquirer_fen", "scheme_fen")
CAUSES: Final = ("operator_share", "concession", "transfer")
LIKE: Final = (
    "kind", *RATE_KEY, *(name for name in PLACE_KEY if name not in (*RATE_COLUMNS, *RATE_KEY)),
    "amount_fen", "concession_fen", "transfer_fen",
)  # fmt: skip
PRICED_COLUMNS: Final = (
    "tap", "taps", "load", "amount_fen", "fee_fen", "issuer_part", "acquirer_part", "scheme_part", "scheme",
    *POTS, *PLACE_KEY, "issuer",
)  # fmt: skip
OF_CARD: Final = ("card", "pan", "kind", "counter", "tapped_at", "balance_before_fen")
SHARE: Final = ("tap", "taps", "participant", "cause", "amount_fen", "service", "acquirer", "issuer")


def whole(dividend: Expression, divisor: Expression | int) -> Expression:
    """How often the divisor goes into the dividend, both below 2**53 and not negative.

    Engines divide integers as floats. The remainder is taken off first, so that the quotient is a whole
    number, which a float holds exactly.
    """
    return ((dividend - dividend % divisor) / divisor).cast("int64")


def _named(judged: Expression) -> Expression:
    """Accepted taps, each for itself."""
    t = judged.filter(judged.verdict == ACCEPTED)
    return t.mutate(tap=plain_name(t), taps=ibis.literal(1, "int64"))


def _like(judged: Expression) -> Expression:
    """Accepted taps that are alike in all that is owed for them, counted."""
    t = judged.filter(judged.verdict == ACCEPTED)
    t = t.mutate(rate_service=rated_by(t).cast("int64"))
    t = t.group_by(*(name for name in LIKE if name != "period")).aggregate(taps=t.count())
    return t.mutate(period=WHOLE_DAY).select(*LIKE, "taps")


def _like_timed(
    judged: Expression, periods: Expression, special: Expression, platforms: Expression
) -> Expression:
    """The same where shares depend on the time of day: whose journey has a period is asked of few rows."""
    t = judged.filter(judged.verdict == ACCEPTED)
    t = timed(t.mutate(rate_service=rated_by(t).cast("int64")), periods, special)
    t = within(t.group_by(*LIKE).aggregate(taps=t.count()), platforms)
    return t.group_by(*LIKE).aggregate(taps=t.taps.sum().cast("int64"))


def _tally(like: Expression, few: Expression) -> Expression:
    """Counts and money by verdict, reason and parties: what a run says of itself.

    Who issued and acquired is told of accepted taps only; the others may carry any name.
    """
    accepted = like.mutate(
        verdict=ibis.literal(ACCEPTED),
        reason=ibis.literal(Reason.OK.code),
        total_fen=like.amount_fen * like.taps,
    )
    others = few.filter(few.verdict != ACCEPTED).mutate(
        issuer=ibis.literal(""),
        acquirer=ibis.literal(""),
        service=ibis.literal(0, "int64"),
        taps=ibis.literal(1, "int64"),
        total_fen=few.amount_fen,
    )
    columns = (*TALLY_KEY, "taps", "total_fen")
    numbers = ("kind", "service")
    t = ibis.union(
        *[one.mutate(**{name: one[name].cast("int64") for name in numbers}).select(*columns)
          for one in (accepted, others)]
    )  # fmt: skip
    return t.group_by(*TALLY_KEY).aggregate(
        taps=t.taps.sum().cast("int64"), amount_fen=t.total_fen.sum().cast("int64")
    )


def _alike(like: Expression, rates: Expression, settings: Expression) -> Expression:
    """What each kind of tap is worth, called by a number."""
    t = like.inner_join(rates, RATE_KEY).select(like, *RATE_COLUMNS)
    order = ibis.window(order_by=[t[name] for name in LIKE])
    t = charged(t.mutate(tap=ibis.row_number().over(order).cast("string")), rates)
    return _price(t, settings, "rate_service", "business_date", "contract")


def _priced(judged: Expression, rates: Expression, settings: Expression) -> Expression:
    """The same tap by tap, with the card."""
    t = _named(judged).mutate(period=WHOLE_DAY)
    return _price(charged(t, rates), settings, *OF_CARD)


def _priced_timed(
    judged: Expression, rates: Expression, settings: Expression,
    periods: Expression, special: Expression, platforms: Expression,
) -> Expression:  # fmt: skip
    """The same where shares depend on the time of day."""
    t = within(timed(_named(judged), periods, special), platforms)
    return _price(charged(t, rates), settings, *OF_CARD)


def _price(t: Expression, settings: Expression, *more: str) -> Expression:
    """Taps with their fee and its three parts, and what is to be divided among operators."""
    t = t.cross_join(settings)
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
    return t.select(*PRICED_COLUMNS, *more)


def _grounds(alike: Expression, places: Expression) -> Expression:
    """The distinct places money was earned at and not known yet, with who bears discounts there."""
    t = alike.filter(~alike.load & (ibis.or_(*[alike[pot] != 0 for pot in POTS])))
    numbers = ("service", "tariff_version", "line", "station", "entry_line", "entry_station")
    t = t.mutate(**{n: t[n].cast("int64") for n in numbers}).select(*PLACE_KEY).distinct()
    return t.anti_join(places, PLACE_KEY)


def _placed(priced: Expression, places: Expression) -> Expression:
    """Purchases with the number of their place."""
    t = priced.filter(~priced.load)
    return t.inner_join(places, PLACE_KEY).select(
        "tap", "taps", "service", "acquirer", "issuer", "place_no", *POTS
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


def _owed(shares: Expression) -> Expression:
    """What each participant is owed and owes."""
    total = shares.amount_fen * shares.taps
    return shares.group_by("participant").aggregate(
        receivable_fen=(shares.amount_fen > 0).ifelse(total, 0).sum().cast("int64"),
        payable_fen=(shares.amount_fen < 0).ifelse(-total, 0).sum().cast("int64"),
    )


def _positions(owed: Expression) -> Expression:
    """Multilateral net positions over all parts of the run; they add up to zero."""
    t = owed.group_by("participant").aggregate(
        receivable_fen=owed.receivable_fen.sum().cast("int64"),
        payable_fen=owed.payable_fen.sum().cast("int64"),
    )
    return t.mutate(net_fen=t.receivable_fen - t.payable_fen)


def _lines(shares: Expression) -> Expression:
    """Shares beside whom they are settled with: the issuer for who took the tap, the acquirer for others."""
    operators = (shares.cause == "operator_share") | (
        shares.cause.isin(["concession", "transfer"]) & (shares.amount_fen > 0)
    )
    with_issuer = (shares.participant != shares.issuer) & (
        (shares.participant == shares.acquirer) | operators
    )
    return shares.mutate(counterparty=with_issuer.ifelse(shares.issuer, shares.acquirer)).select(
        "tap", "taps", *REVENUE_KEY, "amount_fen"
    )


def _tap_lines(shares: Expression, priced: Expression) -> Expression:
    """The same tap by tap, with the period whose shares were applied."""
    t = _lines(shares)
    return t.inner_join(priced.select("tap", "period"), "tap").select(t, "period")


def _revenue(shares: Expression) -> Expression:
    """What each participant earned and owes, by service, counterparty and cause."""
    t = _lines(shares)
    t = t.mutate(total_fen=t.amount_fen * t.taps)
    return t.group_by(*REVENUE_KEY).aggregate(
        taps=t.taps.sum().cast("int64"), amount_fen=t.total_fen.sum().cast("int64")
    )


def _volumes(alike: Expression) -> Expression:
    """What each pair did under each contract, and the fee charged; top-ups may have no contract."""
    t = alike.filter((alike.contract != "") & (alike.amount_fen > 0)).rename(service_of="service")
    parts = {f"{part}_fen": t[f"{part}_part"] * t.taps for part in ("issuer", "acquirer", "scheme")}
    t = t.mutate(service=t.rate_service, total_fen=t.amount_fen * t.taps, **parts)
    return t.group_by(*VOLUME_KEY).aggregate(
        taps=t.taps.sum().cast("int64"),
        amount_fen=t.total_fen.sum().cast("int64"),
        **{name: t[name].sum().cast("int64") for name in parts},
    )


def _volumes_total(volumes: Expression) -> Expression:
    """Volumes over all parts of the run, as the office reads them."""
    sums = {name: volumes[name].sum().cast("int64") for name in VOLUME_SUMS}
    return volumes.group_by(*VOLUME_KEY).aggregate(**sums).select(*tables.VOLUMES.names)


def _revenue_total(revenue: Expression) -> Expression:
    """Revenue over all parts of the run."""
    return revenue.group_by(*REVENUE_KEY).aggregate(
        taps=revenue.taps.sum().cast("int64"), amount_fen=revenue.amount_fen.sum().cast("int64")
    )


def _movements(priced: Expression) -> Expression:
    """What accepted taps did to each card, by kind, and where its newest one left it."""
    t = priced.mutate(
        kind=priced.kind.cast("int64"),
        counter=priced.counter.cast("int64"),
        after_fen=priced.balance_before_fen + priced.load.ifelse(priced.amount_fen, -priced.amount_fen),
    )
    t = t.group_by("card", "kind").aggregate(
        pan=t.pan.arbitrary(),
        issuer=t.issuer.arbitrary(),
        taps=t.count(),
        amount_fen=t.amount_fen.sum().cast("int64"),
        last_counter=t.counter.max(),
        last_balance_fen=t.after_fen.argmax(t.counter),
        last_at=t.tapped_at.argmax(t.counter),
    )
    return t.mutate(last_at=moment_text(t.last_at)).select(*tables.MOVEMENTS.names)


PRICED: Final = Step("priced", _priced, JUDGED, s.RATES, s.SETTINGS, view=True)
LIKE_TAPS: Final = Step("like_taps", _like, JUDGED)
TALLY: Final = Step("tally", _tally, LIKE_TAPS, FEW)
ALIKE: Final = Step("alike", _alike, LIKE_TAPS, s.RATES, s.SETTINGS)
GROUNDS: Final = Step("grounds", _grounds, ALIKE, s.PLACES)
PLACED: Final = Step("placed", _placed, ALIKE, s.PLACES)
SPLIT: Final = Step("split", _split, PLACED, s.WEIGHTS)
SHARES: Final = Step("shares", _shares, ALIKE, PLACED, SPLIT)
UNBALANCED: Final = Step("unbalanced", _unbalanced, SHARES)
OWED: Final = Step("owed", _owed, SHARES)
REVENUE: Final = Step("revenue", _revenue, SHARES)
VOLUMES: Final = Step("volumes", _volumes, ALIKE)
MOVEMENTS: Final = Step("movements", _movements, PRICED)
STEPS: Final = (PLACED, SPLIT, SHARES)

# What stands in for the two above when the network in force has periods; without one no tap is asked when.
PRICED_TIMED: Final = Step(PRICED.name, _priced_timed, JUDGED, s.RATES, s.SETTINGS, *PERIOD_TABLES, view=True)
LIKE_TIMED: Final = Step(LIKE_TAPS.name, _like_timed, JUDGED, *PERIOD_TABLES)
RATED: Final = {False: (PRICED, LIKE_TAPS), True: (PRICED_TIMED, LIKE_TIMED)}  # by whether there are periods

# The same tap by tap: for the lake where it is wanted, and to show how one tap was divided.
TAP_PLACED: Final = Step("tap_placed", _placed, PRICED, s.PLACES, view=True)
TAP_SHARES: Final = Step("tap_shares", _shares, PRICED, TAP_PLACED, SPLIT, view=True)
TAP_LINES: Final = Step("tap_lines", _tap_lines, TAP_SHARES, PRICED)
SHARES_OUT: Final = Step("shares_out", _shares_out, TAP_SHARES)

POSITIONS: Final = Step("positions", _positions, s.OWED_PARTS)
REVENUE_TOTAL: Final = Step("revenue_total", _revenue_total, s.REVENUE_PARTS)
VOLUMES_TOTAL: Final = Step("volumes_total", _volumes_total, s.VOLUME_PARTS)
