# SPDX-License-Identifier: Apache-2.0
"""Loads (圈存): money reserved when MAC2 is given, posted when a TAC proves it, voided only on proof.

    MAC1 verified -> pending (float -> card) -> posted   TAC, from the terminal at once or in a tap batch
                                             -> voided   the card proves that it was not credited

A card that asks again with the same online counter proves that the load before never reached it: that one is
voided. A pending load that nobody ends stays pending and is listed; nothing is ever voided by a clock.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from citycard.core.calendar import bcd_datetime
from citycard.core.crypto import MAC_SIZE
from citycard.core.ledger import PLAIN, Flag, Transfer
from citycard.core.problem import Problem
from citycard.keys import LoadAsked
from citycard.office import clock, custody, ledger
from citycard.office.cards.models import Card, HotlistEntry, Status
from citycard.office.intake import alarms, business
from citycard.office.intake import load_problems as problems
from citycard.office.intake.models import Load
from citycard.office.ledger import chart
from citycard.office.participants.models import Terminal

PROVEN_ABSENT = "9406"  # GET TRANSACTION PROVE: the card knows no such transaction


@dataclass(frozen=True, slots=True)
class Ask:
    """A terminal's request for MAC2; `request_id` makes it repeatable."""

    pan: str
    issuer: str
    request_id: str
    card_answer: bytes
    amount_fen: int


def authorise(terminal: Terminal, ask: Ask, *, within_limits: bool = True) -> Load:
    """Verify MAC1, reserve the money, give MAC2. The same request again gets the same answer. LOAD_*.

    Without `within_limits` the smallest and largest load do not count: a sum that moves from another card
    moves whole.
    """
    if not terminal.active:
        raise problems.LOAD_TERMINAL_INACTIVE(terminal=terminal.pk)
    asked = _asked(terminal, ask)
    with transaction.atomic():
        card = Card.objects.select_for_update().filter(pk=ask.pan).first()
        known = Load.objects.filter(terminal_id=terminal.pk, request_id=ask.request_id).first()
        if known is not None:
            return _same(known, ask)
        card = _loadable(card, ask, asked, within_limits)
        at = clock.now()
        mac2 = custody.load_sam().approve(asked, bcd_datetime(at))
        if mac2 is None:
            raise problems.LOAD_MAC1(pan=ask.pan)
        for stale in Load.objects.filter(card=card, counter=asked.counter, status=Load.Status.PENDING):
            _void(stale, "next_load")
        return _reserve(terminal, card, ask, at, mac2)


def confirm(terminal: Terminal, load_id: str, tac: bytes, balance_after_fen: int) -> Load:
    """Post a load whose TAC verifies; once more is harmless. LOAD_UNKNOWN, LOAD_TERMINAL, LOAD_TAC."""
    with transaction.atomic():
        load = _locked(terminal, load_id)
        asked = _asked_before(load)
        proven = len(tac) == MAC_SIZE and custody.load_sam().receipt(asked, bcd_datetime(load.at), tac)
        if balance_after_fen != asked.balance_after_fen or not proven:
            raise problems.LOAD_TAC(load=load_id)
        prove([load], tac.hex(), "confirm")
        return load


def reverse(terminal: Terminal, load_id: str, status_word: str, online_counter: int) -> Load:
    """Give up a load the card proves not to have; once more is harmless. LOAD_POSTED, LOAD_NOT_PROVEN."""
    with transaction.atomic():
        load = _locked(terminal, load_id)
        if load.status == Load.Status.POSTED:
            raise problems.LOAD_POSTED(load=load_id)
        if status_word != PROVEN_ABSENT or online_counter != load.counter:
            raise problems.LOAD_NOT_PROVEN(load=load_id, counter=load.counter)
        if load.status == Load.Status.PENDING:
            _void(load, "reverse")
        return load


def prove(loads: list[Load], tac: str, how: str) -> None:
    """Post loads that are proven to be on their cards; call it in a transaction that holds their rows.

    One that was given up before is booked afresh and alarmed: the card has the money, whatever was said.
    """
    now = clock.now()
    transfers = []
    for load in loads:
        if load.status == Load.Status.POSTED:
            continue
        if load.status == Load.Status.VOIDED:
            alarms.raise_alarm(
                alarms.LOAD_CONFLICT, load.card_id, load.id, load=load.id, ended=load.ended_how
            )
            transfers.append(_transfer(load, f"load:{load.id}:late"))
        else:
            transfers.append(
                Transfer(
                    f"load:{load.id}:post", "", "", 0, "load", Flag.POST_PENDING, pending_id=f"load:{load.id}"
                )
            )
        load.status, load.tac, load.ended_at, load.ended_how = Load.Status.POSTED, tac, now, how
    ledger.post_or_fail(transfers)
    Load.objects.bulk_update(loads, ["status", "tac", "ended_at", "ended_how"])


def waiting() -> QuerySet[Load]:
    """Pending loads that should have ended by now, oldest first."""
    limit = clock.now() - timedelta(minutes=business.limits().load_wait_minutes)
    return Load.objects.filter(status=Load.Status.PENDING, at__lt=limit).order_by("at")


def _asked(terminal: Terminal, ask: Ask) -> LoadAsked:
    """The request as the load SAM understands it."""
    if not 0 < ask.amount_fen < 2**32:
        raise _amount(business.limits())
    try:
        issuer, number = bytes.fromhex(ask.issuer), bytes.fromhex(terminal.pk)
        return LoadAsked(issuer, ask.pan, number, ask.amount_fen, ask.card_answer)
    except ValueError as error:
        raise problems.LOAD_FORMAT(what=error) from None


def _asked_before(load: Load) -> LoadAsked:
    """The request of a load on record."""
    issuer, number = bytes.fromhex(load.issuer), bytes.fromhex(load.terminal_id)
    return LoadAsked(issuer, load.card_id, number, load.amount_fen, bytes.fromhex(load.card_answer))


def _same(known: Load, ask: Ask) -> Load:
    """The load asked for before under this request id, if it is the same one."""
    asked = (ask.pan, ask.card_answer.hex(), ask.amount_fen)
    if (known.card_id, known.card_answer, known.amount_fen) != asked:
        raise problems.LOAD_CONFLICT(request=ask.request_id)
    if known.status == Load.Status.VOIDED:
        raise problems.LOAD_VOIDED(load=known.id)
    return known


def _loadable(card: Card | None, ask: Ask, asked: LoadAsked, within_limits: bool) -> Card:
    """The card, if it may be loaded with this amount."""
    if card is None or card.issuer_id != ask.issuer:
        raise problems.LOAD_CARD_UNKNOWN(pan=ask.pan)
    listed = HotlistEntry.objects.filter(card=card, delisted_version=None).exists()
    if card.status != Status.ACTIVE or listed:
        raise problems.LOAD_CARD_STATUS(pan=ask.pan, status=card.status)
    limits = business.limits()
    within = not within_limits or limits.load_min_fen <= ask.amount_fen <= limits.load_max_fen
    if not within or asked.balance_after_fen > limits.balance_max_fen:
        raise _amount(limits)
    return card


def _amount(limits: business.Limits) -> Problem:
    return problems.LOAD_AMOUNT(
        least_fen=limits.load_min_fen, most_fen=limits.load_max_fen, cap_fen=limits.balance_max_fen
    )


def _reserve(terminal: Terminal, card: Card, ask: Ask, at: datetime, mac2: bytes) -> Load:
    """The pending transfer and the load's row."""
    asked = _asked(terminal, ask)
    load = Load(
        id=hashlib.sha256(f"{terminal.pk}/{ask.request_id}".encode()).hexdigest()[:24],
        terminal=terminal,
        request_id=ask.request_id,
        card=card,
        issuer=card.issuer_id,
        counter=asked.counter,
        key_version=asked.key_version,
        algorithm=asked.algorithm,
        card_answer=ask.card_answer.hex(),
        balance_before_fen=asked.balance_before_fen,
        amount_fen=ask.amount_fen,
        at=at,
        mac2=mac2.hex(),
    )
    ledger.open_accounts([chart.card(card.pk), chart.float_of(card.issuer_id)])
    ledger.post_or_fail([_transfer(load, f"load:{load.id}", Flag.PENDING)])
    load.save(force_insert=True)
    return load


def _transfer(load: Load, name: str, flags: Flag = PLAIN) -> Transfer:
    return Transfer(
        name,
        chart.float_of(load.issuer),
        chart.card(load.card_id),
        load.amount_fen,
        "load",
        flags,
        business_date=business.business_date(load.at),
        ref=f"load:{load.id}",
    )


def _void(load: Load, how: str) -> None:
    ledger.post_or_fail(
        [Transfer(f"load:{load.id}:void", "", "", 0, "load", Flag.VOID_PENDING, pending_id=f"load:{load.id}")]
    )
    load.status, load.ended_at, load.ended_how = Load.Status.VOIDED, clock.now(), how
    load.save(update_fields=["status", "ended_at", "ended_how"])


def _locked(terminal: Terminal, load_id: str) -> Load:
    load = Load.objects.select_for_update().filter(pk=load_id).first()
    if load is None:
        raise problems.LOAD_UNKNOWN(load=load_id)
    if load.terminal_id != terminal.pk:
        raise problems.LOAD_TERMINAL(found=load.terminal_id, terminal=terminal.pk)
    return load
