# SPDX-License-Identifier: Apache-2.0
"""This office as the hub: details taken from acquirers, cleared once a date, told to everyone.

Clearing a date is one transaction: serials, money, positions, and the files that tell of them. It needs no
key of anybody: what is wrong with a TAC its issuer says afterwards. Serials have twelve digits and are given
once; they name the tap from then on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from django.db import transaction

from citycard.core.interop import codes, money
from citycard.core.interop.columns import TAIL
from citycard.core.interop.files import FileName
from citycard.core.interop.states import Event, State
from citycard.core.problem import declare
from citycard.office import audit, clock
from citycard.office.cards import counters
from citycard.office.intake import alarms
from citycard.office.partners import books, desk, outbox, taps
from citycard.office.partners.models import (
    ExchangeDay,
    ExchangedTap,
    ExchangePosition,
    Member,
    PartnerIssuer,
)

SERIAL: Final = "exchange serial"
CONFLICT: Final = "EXCHANGE_CONFLICT"
LIMIT_FEN: Final = 100_000  # of one tap; above it somebody's amount is not an amount

NOT_THE_HUB = declare(
    "NOT_THE_HUB",
    "This office is {org}, and the hub is {hub}: only the hub clears.",
    "本机构为 {org}，清算中心为 {hub}：只有清算中心可以清分。",
)
NOT_THEIR_TAPS = declare(
    "NOT_THEIR_TAPS",
    "Line {line} of {name} is of acquirer {found}, the file is of {sender}.",
    "{name} 第 {line} 行的受理方为 {found}，而文件发送方为 {sender}。",
)


@dataclass(slots=True)
class Cleared:
    """What clearing a date did; `repeated` when it had been done before."""

    settled_on: date
    taps: int = 0
    returned: int = 0
    amount_fen: int = 0
    repeated: bool = False
    nets: dict[str, int] = field(default_factory=dict)


def take_details(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """CD: keep an acquirer's presentments until the date is cleared; a repeat is left out, another alarms."""
    known = ExchangedTap.objects.in_bulk([taps.ref_of(row) for row in records])
    new = []
    for line, row in enumerate(records, start=3):
        if row["acquirer_org"] != sender.org:
            raise NOT_THEIR_TAPS(line=line, name=name, found=row["acquirer_org"], sender=sender.org)
        before = known.get(taps.ref_of(row))
        if before is None:
            tap = taps.from_row(row, desk.HUB, State.FORWARDED, taps.ref_of(row))
            known[tap.ref] = tap
            new.append(tap)
        elif not taps.same(before, row):
            alarms.raise_alarm(CONFLICT, before.ref, str(name), line=line)
    ExchangedTap.objects.bulk_create(new, batch_size=taps.ROWS_PER_INSERT)


def clear(on: date) -> Cleared:
    """Clear a date: give serials, book, net, pay, tell everyone; once more changes nothing. NOT_THE_HUB."""
    us = desk.own()
    if not us.is_hub:
        raise NOT_THE_HUB(org=us.org, hub=us.hub)
    with transaction.atomic():
        done = ExchangeDay.objects.filter(pk=on).first()
        if done is not None:
            return Cleared(on, done.taps, done.returned, done.amount_fen, True, _told(on))
        return _clear(on)


def _clear(on: date) -> Cleared:
    from citycard.office.disputes import exchange as disputes

    found = list(
        ExchangedTap.objects.select_for_update().filter(state=State.FORWARDED, side=desk.HUB).order_by("ref")
    )
    _decide(found, on)
    cleared = [tap for tap in found if tap.state == State.CLEARED]
    taps.save_many(found, "state", "serial", "settled_on", "error", "issuer", *taps.MONEY)
    books.post_cleared(cleared, on)
    disputes.lapse(on)
    adjusted = disputes.adjust(on)
    nets = _positions(cleared, adjusted, on)
    _tell(found, adjusted, nets, on)
    books.pay(on)
    result = Cleared(on, len(cleared), len(found) - len(cleared), sum(tap.amount_fen for tap in cleared))
    result.nets = _told(on)
    ExchangeDay.objects.create(
        settled_on=on,
        cleared_at=clock.now(),
        taps=result.taps,
        returned=result.returned,
        amount_fen=result.amount_fen,
    )
    audit.record("system", "clear_exchange", str(on), taps=result.taps, returned=result.returned)
    return result


def _decide(found: list[ExchangedTap], on: date) -> None:
    """Each presentment's error, and for those that clear their serial, date and money."""
    rates = desk.rates()
    issuers = defaultdict(list)
    for one in PartnerIssuer.objects.filter(member__active=True):
        issuers[one.issuer_org].append(one.issuer)
    for tap in found:
        known = issuers.get(tap.issuer_org, [])
        tap.issuer = known[0] if len(known) == 1 else ""  # which of a company's, its records say to it alone
        rate = money.rate_for(rates, tap.mcc, tap.acquirer_org, tap.issuer_org, on)
        if not known:
            tap.error = codes.ISSUER_UNKNOWN
        elif tap.amount_fen > LIMIT_FEN:
            tap.error = codes.AMOUNT_TOO_LARGE
        elif rate is None:
            tap.error = codes.NO_RATE
        else:
            tap.error = codes.GOOD
            parts = money.parts_of(tap.amount_fen, rate)
            for column in taps.MONEY:
                setattr(tap, column, getattr(parts, column))
        taps.move(tap, Event.CLEAR if tap.error == codes.GOOD else Event.RETURN)
    clearing = [tap for tap in found if tap.state == State.CLEARED]
    for tap, serial in zip(clearing, counters.take(SERIAL, len(clearing)) if clearing else (), strict=True):
        tap.serial, tap.settled_on = serial, on


def _positions(
    cleared: Iterable[ExchangedTap], adjusted: Iterable[dict[str, Any]], on: date
) -> dict[str, list[dict[str, Any]]]:
    """BP rows by member, kept; the nets of the books and these agree, or nothing of this date stands."""
    us = desk.own()
    member_of = dict(PartnerIssuer.objects.values_list("issuer_org", "member_id"))
    rows = [
        {"sign": 1, "issuer_org": tap.issuer_org, "acquirer_org": tap.acquirer_org,
         **taps.parts(tap)._asdict()}
        for tap in cleared
    ]  # fmt: skip
    rows += [
        {"sign": -1, "issuer_org": row["issuer_org"], "acquirer_org": row["acquirer_org"],
         **row["back"]._asdict()}
        for row in adjusted
    ]  # fmt: skip
    told = money.positions(rows, us.hub, on, member_of)
    accounts = books.nets(on)
    for one in Member.objects.exclude(pk=us.org):
        net = sum(row["net_fen"] for row in told.get(one.org, []) if row["counterparty_org"] == us.hub)
        assert net == accounts.get(f"position:{one.participant}", 0), f"{one.org}: books and BP differ"
    for lines in told.values():
        books.keep_positions(lines)
    return told


def _tell(
    found: list[ExchangedTap],
    adjusted: list[dict[str, Any]],
    nets: dict[str, list[dict[str, Any]]],
    on: date,
) -> None:
    """CL to issuers, CR to acquirers, AD to both, BP to all, in this order to each member."""
    us = desk.own()
    member_of = dict(PartnerIssuer.objects.values_list("issuer_org", "member_id"))
    details, results = defaultdict(list), defaultdict(list)
    for tap in found:
        results[tap.acquirer_org].append(result_row(tap, us.org))
        if tap.state == State.CLEARED:
            details[member_of[tap.issuer_org]].append(_cleared_row(tap, us.org, member_of[tap.issuer_org]))
    changes = defaultdict(list)
    for row in adjusted:
        for org in {member_of[row["issuer_org"]], row["acquirer_org"]}:
            changes[org].append({name: value for name, value in row.items() if name != "back"})
    for to in desk.others():
        if desk.ISSUER in to.roles:
            outbox.send("CL", to, details[to.org], on)
        if desk.ACQUIRER in to.roles:
            outbox.send("CR", to, results[to.org], on)
        if changes[to.org]:
            outbox.send("AD", to, changes[to.org], on)
        outbox.send("BP", to, nets.get(to.org, []), on)


def _cleared_row(tap: ExchangedTap, sender: str, receiver: str) -> dict[str, Any]:
    money_of = {name: getattr(tap, name) for name in taps.MONEY}
    return taps.to_row(tap, sender, receiver) | money_of | {"error": tap.error, "error_text": ""}


def result_row(tap: ExchangedTap, sender: str) -> dict[str, Any]:
    """The CR or FB row of a tap."""
    row = taps.to_row(tap, sender, tap.acquirer_org)
    for name in ("receiver_org", "acquirer_code", "balance_type", "algorithm", TAIL):
        del row[name]
    text = codes.text_of(tap.error, "zh") if tap.error != codes.GOOD else ""
    words = {"clearing_org": sender, "error": tap.error, "error_text": text}
    return row | words | {name: getattr(tap, name) for name in taps.MONEY}


def _told(on: date) -> dict[str, int]:
    us = desk.own()
    rows = ExchangePosition.objects.filter(settled_on=on, counterparty_org=us.hub)
    return dict(rows.values_list("member_org", "net_fen"))
