# SPDX-License-Identifier: Apache-2.0
"""The reader's side of tickets on Ultralight-class chips (issue, check, ride, end) and of UID-only tags."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from citycard.core.apdu import Command
from citycard.core.dialogue.exchange import CARD, Dialogue, DialogueError, Refused, ask
from citycard.core.dialogue.m1 import EPOCH, read_uid
from citycard.core.refusal import Refusal
from citycard.core.storage import ticket
from citycard.core.storage.part3 import received, transceive
from citycard.core.storage.ticket import RecordKeys, TicketView
from citycard.core.storage.ultralight import LOCK_PAGE, OTP_PAGE, PAGE
from citycard.core.tlv import TlvError

AGAIN_S: Final = 60  # how long a terminal takes the same ticket for the same ride


class Ride(NamedTuple):
    """A ride that is counted: its number, what is left, and whether it was this terminal's before."""

    number: int
    left: int
    again: bool = False


def identify_tag(party: str = CARD) -> Dialogue[bytes | Refused]:
    """The number of a UID-only tag. It proves nothing: use it where a copied tag does no harm."""
    return (yield from read_uid(party))


def issue(
    keys: RecordKeys,
    *,
    product: int,
    rides: int,
    serial: int,
    valid: tuple[date, date],
    issuer: bytes,
    card_class: int = 1,
) -> Dialogue[TicketView | Refused]:
    """Write a ticket on a blank chip and lock it. Refused CARD_FAULT: it was a ticket before."""
    uid = yield from read_uid()
    if isinstance(uid, Refused):
        return uid
    taken = yield from _counter()
    if isinstance(taken, Refused):
        return taken
    if taken:
        return Refused(Refusal.CARD_FAULT, CARD, "READ COUNTER")
    values = {"product": product, "rides": rides, "serial": serial, "card_class": card_class}
    raw = ticket.sealed(
        keys, uid, ticket.TICKET, valid_from=valid[0], valid_until=valid[1], issuer=issuer[:4], **values
    )
    refused = yield from _write(ticket.TICKET_PAGE, raw)
    if refused:
        return refused
    locks = sum(1 << page for page in ticket.LOCKED_PAGES).to_bytes(2, "little")
    refused = yield from _write(LOCK_PAGE, bytes(2) + locks)
    return refused or (yield from read(keys))


def read(keys: RecordKeys) -> Dialogue[TicketView | Refused]:
    """The ticket as it stands. Refused UNKNOWN_CARD: no ticket of this scheme."""
    uid = yield from read_uid()
    if isinstance(uid, Refused):
        return uid
    raw = b""
    for page in (0, 4, 8, 12):
        response = yield from ask(CARD, f"READ {page}", bytes((0xFF, 0xB0, 0x00, page, 0x10)))
        if not response.ok or len(response.data) != 16:
            return Refused(Refusal.UNREADABLE, CARD, f"READ {page}", response.sw)
        raw += response.data

    def at(page: int, size: int) -> bytes:
        return raw[page * PAGE : page * PAGE + size]

    fields = ticket.opened(keys, uid, ticket.TICKET, at(ticket.TICKET_PAGE, ticket.TICKET.size))
    if fields is None:
        return Refused(Refusal.UNKNOWN_CARD, CARD, "READ 4")
    taken = yield from _counter()
    if isinstance(taken, Refused):
        return taken
    stamps = (
        ticket.opened(keys, uid, ticket.STAMP, at(page, ticket.STAMP.size)) for page in ticket.STAMP_PAGES
    )
    by_ride = {stamp["ride"]: stamp for stamp in stamps if stamp}
    ended = bool(at(OTP_PAGE, PAGE)[-1] & ticket.ENDED)
    return TicketView(uid, fields, taken, ended, by_ride)


def check(keys: RecordKeys, on: date) -> Dialogue[TicketView | Refused]:
    """A ticket that is good for a ride that day.

    Refused: UNKNOWN_CARD, CARD_BLOCKED (ended), NOT_YET_VALID, EXPIRED, INSUFFICIENT_BALANCE (no ride left).
    """
    view = yield from read(keys)
    if isinstance(view, Refused):
        return view
    refusal = _refusal(view, on)
    return Refused(refusal) if refusal else view


def _refusal(view: TicketView, on: date) -> Refusal | None:
    if view.ended:
        return Refusal.CARD_BLOCKED
    if view.fields["valid_from"] and on < view.fields["valid_from"]:
        return Refusal.NOT_YET_VALID
    if view.fields["valid_until"] and on > view.fields["valid_until"]:
        return Refusal.EXPIRED
    return None if view.left else Refusal.INSUFFICIENT_BALANCE


def ride(keys: RecordKeys, terminal: bytes, at: datetime, again_s: int = AGAIN_S) -> Dialogue[Ride | Refused]:
    """Take one ride: stamp first, then count. A ride this terminal has just counted is given again.

    So whoever tore the ticket away presents it again and pays once. Refused: as `check`.
    """
    view = yield from read(keys)
    if isinstance(view, Refused):
        return view
    last = view.stamps.get(view.taken)
    if view.taken and last and last["terminal"] == terminal and not view.ended:
        stamped = EPOCH + timedelta(seconds=last["at_s"])
        if timedelta(0) <= at - stamped <= timedelta(seconds=again_s):
            return Ride(view.taken, view.left, again=True)
    refusal = _refusal(view, at.date())
    if refusal:
        return Refused(refusal)
    number = view.taken + 1
    at_s = (at - EPOCH) // timedelta(seconds=1)
    stamp = ticket.sealed(keys, view.uid, ticket.STAMP, ride=number, terminal=terminal, at_s=at_s)
    refused = yield from _write(ticket.STAMP_PAGES[number % 2], stamp)
    if refused:
        return refused
    counted = yield from _native(f"COUNT {number}", bytes((0xA5, ticket.RIDES_COUNTER, 1, 0, 0, 0)))
    if isinstance(counted, Refused):
        return counted
    taken = yield from _counter()
    if isinstance(taken, Refused):
        return taken
    return (
        Ride(number, view.left - 1) if taken == number else Refused(Refusal.NOT_PROVEN, CARD, "READ COUNTER")
    )


def end(keys: RecordKeys) -> Dialogue[Refused | None]:
    """End a ticket for good, as for a refund: one one-time bit."""
    view = yield from read(keys)
    if isinstance(view, Refused):
        return view
    return (yield from _write(OTP_PAGE, bytes((0, 0, 0, ticket.ENDED))))


def _write(page: int, data: bytes) -> Dialogue[Refused | None]:
    for at in range(0, len(data), PAGE):
        number = page + at // PAGE
        command = Command(0xFF, 0xD6, 0x00, number, data[at : at + PAGE])
        response = yield from ask(CARD, f"WRITE {number}", command.encode())
        if not response.ok:
            return Refused(Refusal.CARD_FAULT, CARD, f"WRITE {number}", response.sw)
    return None


def _counter() -> Dialogue[int | Refused]:
    raw = yield from _native("READ COUNTER", bytes((0x39, ticket.RIDES_COUNTER)))
    return raw if isinstance(raw, Refused) else int.from_bytes(raw, "little")


def _native(name: str, command: bytes) -> Dialogue[bytes | Refused]:
    """A command of the chip itself through the reader's transparent exchange."""
    response = yield from ask(CARD, name, transceive(command))
    if not response.ok:
        return Refused(Refusal.CARD_FAULT, CARD, name, response.sw)
    try:
        said = received(response.data)
    except TlvError:
        raise DialogueError(CARD, name, response.encode(), "data objects of a transparent exchange") from None
    return Refused(Refusal.CARD_FAULT, CARD, name, response.sw) if said is None else said
