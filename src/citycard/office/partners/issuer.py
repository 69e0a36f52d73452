# SPDX-License-Identifier: Apache-2.0
"""Our city as issuer: cleared taps of our cards elsewhere are booked at once and verified afterwards.

Each becomes a tap record again and goes into our own lake, so that the next clearing run verifies its TAC
with our key, its counter and its balance among all other taps of the card, and debits the card's account.
What the run says is our feedback.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from citycard.core.interop import codes, evidence
from citycard.core.interop.files import FileName, digest_of
from citycard.core.interop.states import Event, State
from citycard.core.problem import Problem
from citycard.core.record import BATCH_RECORDS_MAX, TapRecord, build_header
from citycard.core.refusal import Reason
from citycard.keys import batch_mac
from citycard.office import clock, custody
from citycard.office.intake import alarms, lake
from citycard.office.participants.models import Terminal
from citycard.office.partners import books, desk, hub, outbox, taps
from citycard.office.partners.models import ExchangedTap, ForeignTerminal, Member
from citycard.office.settlement.answer import ACCEPTED, REJECTED
from citycard.office.settlement.models import Tap

CONFLICT: Final = "EXCHANGE_CONFLICT"


def take_cleared(sender: Member, name: FileName, records: list[dict[str, Any]]) -> None:
    """CL: book what the hub has cleared against us and put its records into our lake.

    A row that cannot be a tap of one of our cards is booked all the same (settle first) and refused at once.
    """
    issuers = desk.own_issuers()
    known = ExchangedTap.objects.in_bulk([taps.ref_of(row) for row in records])
    new: list[ExchangedTap] = []
    bring: dict[tuple[str, str], list[tuple[ExchangedTap, TapRecord]]] = defaultdict(list)
    for row in records:
        if taps.ref_of(row) in known:
            alarms.raise_alarm(CONFLICT, taps.ref_of(row), str(name), serial=row["serial"])
            continue
        tap, record = _taken(row, issuers)
        tap.settled_on = name.business_date
        known[tap.ref] = tap
        new.append(tap)
        if record is not None:
            bring[record.terminal.hex(), tap.issuer].append((tap, record))
    for (terminal, _), pairs in sorted(bring.items()):
        _bring(terminal, pairs)
    ExchangedTap.objects.bulk_create(new, batch_size=taps.ROWS_PER_INSERT)
    books.post_cleared(new, name.business_date)


def _taken(row: dict[str, Any], issuers: dict[str, str]) -> tuple[ExchangedTap, TapRecord | None]:
    """The row as a tap of ours, and its record, or None when it cannot be one.

    The hub has cleared against a company code, so that one's issuer pays, whatever the record says.
    """
    try:
        record: TapRecord | None = evidence.to_record(row)
    except Problem:
        record = None
    tap = taps.from_row(row, desk.ISSUER, State.CLEARED, record.id if record else taps.ref_of(row))
    tap.serial = row["serial"]
    for column in taps.MONEY:
        setattr(tap, column, row[column])
    if record is None:
        tap.error = codes.error_of(Reason.MALFORMED.code)
    elif issuers.get(record.issuer.hex()) != row["issuer_org"]:
        tap.error, record = codes.error_of(Reason.UNKNOWN_ISSUER.code), None
    elif Terminal.objects.filter(pk=record.terminal.hex()).exists():
        tap.error, record = codes.error_of(Reason.UNKNOWN_TERMINAL.code), None  # ours, and not elsewhere
    payers = sorted(issuer for issuer, company in issuers.items() if company == row["issuer_org"])
    tap.issuer = record.issuer.hex() if record else (payers or sorted(issuers))[0]
    return tap, record


def _bring(terminal: str, pairs: list[tuple[ExchangedTap, TapRecord]], again: int = 0) -> None:
    """Records of one terminal elsewhere with cards of one issuer, as batches in our lake, sealed by us.

    A batch that lies there already was judged: `again` makes another one of the same records.
    """
    ForeignTerminal.objects.update_or_create(
        id=terminal,
        defaults={"seen_at": clock.now()},
        create_defaults={"issuer": pairs[0][1].issuer.hex(), "seen_at": clock.now()},
    )
    for at in range(0, len(pairs), BATCH_RECORDS_MAX):
        chunk = pairs[at : at + BATCH_RECORDS_MAX]
        raw = [record.encode() for _, record in chunk]
        serial = chunk[0][0].serial
        assert serial is not None
        header = build_header(
            raw,
            terminal=bytes.fromhex(terminal),
            acquirer=chunk[0][1].issuer,
            batch=serial % 2**32,
            closed_at=max(record.tapped_at for _, record in chunk),
            parameter_version=again,
        )
        sealed = header + batch_mac(custody.open_vault(), bytes.fromhex(terminal), header) + b"".join(raw)
        digest = digest_of(sealed)
        lake.store(Path(settings.CITYCARD_HOME), clock.now().date(), digest, sealed)
        for position, (tap, _) in enumerate(chunk):
            tap.batch, tap.position = digest, position


@transaction.atomic
def answer(run: date) -> dict[str, int]:
    """After a posted run: what it says of cleared taps becomes their state and our FB file to the hub.

    A suspended tap waits for its run. An FB file goes for every date, an empty one when there is nothing.
    """
    us = desk.own()
    open_taps = ExchangedTap.objects.select_for_update().filter(side=desk.ISSUER, told=False)
    rows, answered, count = [], [], {"verified": 0, "refused": 0}
    for tap in open_taps.order_by("serial"):
        error = tap.error or _verdict(tap, run)
        if error is None or _too_early(tap, error, run):
            continue
        good = error == codes.GOOD
        tap.error, tap.told = error, True
        taps.move(tap, Event.VERIFY if good else Event.REFUSE)
        answered.append(tap)
        count["verified" if good else "refused"] += 1
        rows.append(hub.result_row(tap, us.org) | {"clearing_org": us.hub})
    taps.save_many(answered, "state", "error", "told")
    outbox.send("FB", desk.member(us.hub), rows, run)
    return count


def _too_early(tap: ExchangedTap, error: str, run: date) -> bool:
    """Whether the run was told of terminals before this file brought a new one: then it looks again."""
    if tap.error or error != codes.error_of(Reason.UNKNOWN_TERMINAL.code):
        return False
    record = evidence.to_record(taps.to_row(tap, "", ""))
    _bring(record.terminal.hex(), [(tap, record)], again=run.toordinal())
    tap.save(update_fields=["batch", "position"])
    return True


def _verdict(tap: ExchangedTap, run: date) -> str | None:
    """The error code of the newest verdict on exactly this delivery, or None while there is none."""
    found = (
        Tap.objects.filter(batch=tap.batch, position=tap.position, run__lte=run).order_by("-run_id").first()
    )
    if found is None or found.verdict not in (ACCEPTED, REJECTED):
        return None
    return codes.error_of(found.reason)
