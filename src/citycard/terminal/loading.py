# SPDX-License-Identifier: Apache-2.0
"""One load at the terminal: intent, the card's request, the host's leave, CREDIT, TAC, record, report.

The intent is written before the host is asked and again with the host's answer before CREDIT is sent, so
that neither a torn card nor a killed terminal leaves the host waiting for ever: the card proves what
happened when it comes again, and the duty to tell the host is kept until the host has heard.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from citycard.core.apdu import SW
from citycard.core.dialogue import (
    CardView,
    Dialogue,
    LoadOpened,
    Refused,
    Unproven,
    close_load,
    identify,
    open_load,
    read_kind,
)
from citycard.core.purse import BALANCE_MAX, Txn
from citycard.core.record import Kind, TapRecord
from citycard.core.refusal import Refusal
from citycard.terminal.host import LoadHost, LoadOffer, LoadRequest
from citycard.terminal.journal import Duty, Intent, Journal
from citycard.terminal.recovery import Recovery
from citycard.terminal.result import Outcome, TapResult, of_record, refused

if TYPE_CHECKING:
    from citycard.terminal.loop import Terminal

EVENT = "load"


def loading(terminal: Terminal, recovery: Recovery, host: LoadHost, amount_fen: int) -> Dialogue[TapResult]:
    """The conversation of one load; what it leaves to tell the host is told by `tell_host`."""
    at = terminal.clock().replace(microsecond=0)
    view = yield from identify()
    if isinstance(view, Refused):
        return refused(view)
    told = recovery.untold(view.pan, EVENT, amount_fen, at)
    if told is not None:
        return of_record(told)
    settled = yield from recovery.settle(view)
    if isinstance(settled, Refused):
        return refused(settled, view.pan)
    since = at - timedelta(seconds=terminal.config.recovery_s)
    for intent, raw in settled:
        earlier = TapRecord.decode(raw)
        if intent.event == EVENT and earlier.amount_fen == amount_fen and earlier.tapped_at >= since:
            return of_record(raw)
    refusal = terminal.admit(view, at)
    if refusal is not None:
        return TapResult(Outcome.REFUSED, refusal, pan=view.pan)
    kind = yield from read_kind()
    if isinstance(kind, Refused):
        return refused(kind, view.pan)
    view = CardView(view.public, kind)
    opened = yield from open_load(amount_fen, terminal.config.terminal, terminal.config.key_index)
    if isinstance(opened, Refused):
        return refused(opened, view.pan)
    if opened.balance_fen + amount_fen > BALANCE_MAX:
        return TapResult(Outcome.REFUSED, Refusal.PURSE_CAP, pan=view.pan)
    record = _template(terminal, view, opened, amount_fen, at)
    return (yield from _credit(terminal, recovery, host, view, opened, record))


def _credit(
    terminal: Terminal,
    recovery: Recovery,
    host: LoadHost,
    view: CardView,
    opened: LoadOpened,
    record: TapRecord,
) -> Dialogue[TapResult]:
    """Ask the host and credit. When the host or the card says no, the card is asked for the proof at once."""
    journal = terminal.journal
    request_id = _request_id(record, opened)
    intent = Intent(0, EVENT, record.encode(), request_id=request_id, card_answer=opened.raw.hex())
    intent = journal.intend(intent)
    offer = host.begin(_request(intent))
    if isinstance(offer, Refusal):
        if offer is Refusal.OFFICE_UNREACHABLE:
            yield from recovery.settle(view)  # the host may have heard: it is told that nothing came of it
        else:
            journal.void(intent)
        return TapResult(Outcome.REFUSED, offer, pan=view.pan)
    raw = replace(record, tapped_at=offer.at).encode()
    intent = replace(intent, load_id=offer.load_id, raw=raw)
    journal.intend(intent)
    terminal.sent()
    loaded = yield from close_load(opened, offer.data)
    if isinstance(loaded, Unproven):
        return TapResult(Outcome.TORN, loaded.why.refusal, pan=view.pan, detail=str(loaded.why))
    if isinstance(loaded, Refused):
        yield from recovery.settle(view)
        return refused(loaded, view.pan)
    return of_record(journal.record(intent, loaded.tac))


def _template(
    terminal: Terminal, view: CardView, opened: LoadOpened, amount_fen: int, at: datetime
) -> TapRecord:
    """The record this load will be, but for its sequence, the host's moment and the TAC."""
    config = terminal.config
    return TapRecord(
        kind=Kind.LOAD,
        service=config.service,
        txn=Txn.EP_LOAD,
        counter=opened.counter,
        issuer=view.issuer,
        pan=view.pan,
        acquirer=config.acquirer,
        terminal=config.terminal,
        sequence=0,
        tapped_at=at,
        balance_before_fen=opened.balance_fen,
        amount_fen=amount_fen,
        tac=bytes(4),
        algorithm=opened.algorithm,
        key_version=opened.key_version,
        card_class=view.card_class,
        tariff_version=terminal.parameters.tariff_version(config.service),
        flags=terminal.flags(at),
        list_fen=amount_fen,
        line=config.line,
        station=config.station,
        hotlist_version=terminal.parameters.hotlist.version,
    )


def _request_id(record: TapRecord, opened: LoadOpened) -> str:
    """A name no other request has: the card's counter and random number see to that."""
    return f"{record.terminal.hex()}-{record.pan}-{opened.counter:05d}-{opened.rand.hex()}"


def _request(intent: Intent) -> LoadRequest:
    record = intent.record
    answer = bytes.fromhex(intent.card_answer)
    return LoadRequest(
        intent.request_id, record.terminal, record.pan, record.issuer, record.amount_fen, answer
    )


def tell_host(journal: Journal, host: LoadHost) -> list[str]:
    """Tell the host of every load it has not heard the end of; what remains, in words.

    A load whose request may have been lost is asked for again under its name, to learn the host's name of
    it, and reversed then.
    """
    remaining = []
    for duty in list(journal.duties.values()):
        refusal = _tell(duty, host)
        if refusal is None:
            journal.done(duty)
            continue
        record = duty.intent.record
        remaining.append(f"load {duty.intent.request_id} of card {record.pan}: {duty.verb}, {refusal.code}")
        if refusal is Refusal.OFFICE_UNREACHABLE:
            break
    return remaining


def _tell(duty: Duty, host: LoadHost) -> Refusal | None:
    intent, record = duty.intent, duty.intent.record
    if duty.verb == "confirm":
        return host.confirm(intent.load_id, duty.tac, record.balance_before_fen + record.amount_fen)
    load_id = intent.load_id
    if not load_id:
        offer = host.begin(_request(intent))
        if not isinstance(offer, LoadOffer):
            return None if offer is Refusal.OFFICE_REFUSED else offer  # refused: there is nothing to reverse
        load_id = offer.load_id
    return host.reverse(load_id, SW.MAC_NOT_AVAILABLE, duty.online_counter)
