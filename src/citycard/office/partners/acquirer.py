# SPDX-License-Identifier: Apache-2.0
"""Our city as acquirer: foreign taps at our terminals, taken by our own checks, forwarded, paid when cleared.

Our clearing has judged them already: it knows no issuer for their cards and says UNKNOWN_ISSUER, which comes
after repeats, terminals and their owners. Here follow the checks that need no key of the issuer; the TAC is
for the issuer to verify.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from citycard.core.interop import codes, evidence
from citycard.core.interop.files import FileName
from citycard.core.interop.states import Event, State
from citycard.core.problem import declare
from citycard.core.record import TapRecord, open_batch
from citycard.core.refusal import Reason
from citycard.office.cards import counters
from citycard.office.intake import alarms, lake
from citycard.office.intake.business import calendar
from citycard.office.partners import books, desk, outbox, taps
from citycard.office.partners.models import (
    ExchangedTap,
    ExchangeFile,
    Member,
    PartnerHotlistEntry,
    PartnerIssuer,
)
from citycard.office.settlement.models import Tap

SERIAL: Final = "exchange acquirer serial"
CONFLICT: Final = "EXCHANGE_CONFLICT"
TAP_NOT_OURS = declare(
    "TAP_NOT_OURS",
    "The hub tells of presentment {ref}, which this office never forwarded or which differs from ours.",
    "清算中心反馈的交易 {ref} 非本机构上送或内容不符。",
)
NOT_CORRECTABLE = declare(
    "NOT_CORRECTABLE",
    "Presentment {ref} cannot be presented again: {why}.",
    "交易 {ref} 不能重新提交：{why}。",
)


@dataclass(slots=True)
class Collected:
    """What the foreign taps of a run came to: taken, known before, and left by reason."""

    taken: int = 0
    known: int = 0
    left: Counter[str] = field(default_factory=Counter)


@transaction.atomic
def collect(run: date) -> Collected:
    """Take the foreign taps of a posted run that pass our own checks; once more changes nothing."""
    done = Collected()
    issuers = {one.issuer: one for one in PartnerIssuer.objects.filter(accepted=True)}
    strange = Tap.objects.filter(run=run, reason=Reason.UNKNOWN_ISSUER.code, issuer__in=list(issuers))
    raw: dict[str, list[bytes]] = {}
    for found in strange.order_by("batch", "position"):
        if found.batch not in raw:
            raw[found.batch] = _records(found.batch)
        record = TapRecord.decode(raw[found.batch][found.position])
        reason = _own_reason(record, run)
        if reason is not Reason.OK:
            done.left[reason.code] += 1
        elif _take(record, issuers[found.issuer], run, found):
            done.taken += 1
        else:
            done.known += 1
    return done


def _records(digest: str) -> list[bytes]:
    """The records of a batch in our lake."""
    home = Path(settings.CITYCARD_HOME)
    path = lake.find(home, digest)
    assert path is not None, f"batch {digest} is not in the lake"
    return open_batch((home / path).read_bytes()).raw_records()


def _own_reason(record: TapRecord, run: date) -> Reason:
    reason = evidence.own_checks(record, run, calendar())
    listed = PartnerHotlistEntry.objects.filter(
        card_id=record.pan, version__lte=record.hotlist_version, listed_at__lte=record.tapped_at
    ).exclude(delisted_at__lte=record.tapped_at)
    return Reason.HOTLISTED if reason is Reason.OK and listed.exists() else reason


def _take(record: TapRecord, issuer: PartnerIssuer, run: date, found: Tap) -> bool:
    """Make it a presentment; False when it is one already. Another content under its name alarms."""
    before = ExchangedTap.objects.filter(side=desk.ACQUIRER, tap=record.id, corrects="").first()
    if before is not None:
        if before.batch != found.batch and before.counter != record.counter:
            alarms.raise_alarm(CONFLICT, record.id[:64], found.batch, taken=before.batch, came=found.batch)
        return False
    _present(record, issuer, run, (found.batch, found.position))
    return True


def _present(
    record: TapRecord, issuer: PartnerIssuer, on: date, lies_at: tuple[str, int], corrects: str = ""
) -> ExchangedTap:
    """A new presentment of a record that lies in our lake at (batch, position)."""
    us = desk.own()
    (serial,) = counters.take(SERIAL)
    orgs = {"acquirer_org": us.org, "issuer_org": issuer.issuer_org, "receiver_org": us.hub}
    row = evidence.to_row(record, serial, on, orgs | {"sender_org": us.org})
    tap = taps.from_row(row, desk.ACQUIRER, State.TAKEN, record.id)
    tap.issuer, tap.acquirer = issuer.issuer, record.acquirer.hex()
    (tap.batch, tap.position), tap.corrects = lies_at, corrects
    tap.save(force_insert=True)
    return tap


@transaction.atomic
def present_again(ref: str, on: date) -> ExchangedTap:
    """Present a tap that was adjusted as a whole once more, from our terminal's record; NOT_CORRECTABLE."""
    old = ExchangedTap.objects.select_for_update().filter(pk=ref, side=desk.ACQUIRER).first()
    if old is None or old.state != State.ADJUSTED:
        raise NOT_CORRECTABLE(ref=ref, why="it is not an adjusted tap of ours")
    if old.error == codes.GOOD or not old.disputes.filter(back_fen=old.amount_fen).exists():
        raise NOT_CORRECTABLE(ref=ref, why="its issuer had verified it, or only a part was given back")
    if ExchangedTap.objects.filter(corrects=ref).exists():
        raise NOT_CORRECTABLE(ref=ref, why="it was presented again before")
    record = TapRecord.decode(_records(old.batch)[old.position])
    issuer = PartnerIssuer.objects.get(pk=old.issuer)
    return _present(record, issuer, on, (old.batch, old.position), corrects=ref)


@transaction.atomic
def forward(on: date) -> ExchangeFile:
    """Send what was taken to the hub; a CD file goes for every date, an empty one when there is nothing."""
    us = desk.own()
    found = list(
        ExchangedTap.objects.select_for_update().filter(side=desk.ACQUIRER, state=State.TAKEN).order_by("ref")
    )
    rows = []
    for tap in found:
        tap.acquirer_date = on
        taps.move(tap, Event.FORWARD)
        rows.append(taps.to_row(tap, us.org, us.hub))
    taps.save_many(found, "state", "acquirer_date")
    return outbox.send("CD", desk.member(us.hub), rows, on)


def take_results(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """CR: what became of our presentments. Cleared ones are booked, returned ones wait for a person."""
    cleared, heard = [], []
    for tap, row in _ours(records):
        if row["error"] == codes.GOOD:
            taps.move(tap, Event.CLEAR)
            tap.serial, tap.settled_on = row["serial"], name.business_date
            for column in taps.MONEY:
                setattr(tap, column, row[column])
            cleared.append(tap)
        else:
            taps.move(tap, Event.RETURN)
        tap.error = row["error"]
        heard.append(tap)
    taps.save_many(heard, "state", "serial", "settled_on", "error", *taps.MONEY)
    books.post_cleared(cleared, name.business_date)


def _ours(records: list[dict[str, Any]]) -> Iterator[tuple[ExchangedTap, dict[str, Any]]]:
    """Each row with the presentment of ours it is about; TAP_NOT_OURS."""
    known = ExchangedTap.objects.select_for_update().filter(side=desk.ACQUIRER)
    found = known.in_bulk([taps.ref_of(row) for row in records])
    for row in records:
        tap = found.get(taps.ref_of(row))
        if tap is None or (tap.pan, tap.amount_fen) != (row["pan"], row["amount_fen"]):
            raise TAP_NOT_OURS(ref=taps.ref_of(row))
        yield tap, row
