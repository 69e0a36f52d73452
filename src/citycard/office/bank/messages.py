# SPDX-License-Identifier: Apache-2.0
"""Takes whatever message a bank sends, by its namespace: statement, notification or status report."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from citycard.office import audit, clock
from citycard.office.bank import camt, entries, problems, reading, reports, schema, statements, status
from citycard.office.bank.models import BankMessage, Purpose
from citycard.office.intake import alarms


@dataclass(frozen=True, slots=True)
class Taken:
    """What a file brought; `left` are notified movements without a reference: their statement brings them."""

    message: str  # such as camt.054.001.08
    names: list[str]
    repeated: bool
    validated: bool
    entries: int = 0
    matched: int = 0
    noticed: int = 0  # told of before, by a statement or a notification
    left: int = 0
    closing_fen: int | None = None  # of a statement
    accepted: int = 0  # of a report: payments on their way, rejected, and contradicting what the bank did
    rejected: int = 0
    contradicted: int = 0

    @property
    def unmatched(self) -> int:
        """New movements left to a person."""
        return self.entries - self.matched

    def as_json(self) -> dict[str, Any]:
        """What is to be told of such a message, as plain values."""
        about: dict[str, Any] = {"message": self.message, "names": self.names}
        if self.message in schema.REPORTS:
            told: tuple[str, ...] = ("accepted", "rejected", "contradicted")
        elif self.message == schema.NOTICE:
            told = ("entries", "matched", "unmatched", "noticed", "left")
        else:
            told = ("entries", "matched", "unmatched", "noticed", "closing_fen")
            about["statements"] = self.names
        both = ("repeated", "validated")
        return about | {name: getattr(self, name) for name in (*told, *both)}


def take(content: bytes, name: str, by: str) -> Taken:
    """Import a file of the bank whole and once; BANK_MESSAGE_*, BANK_FILE_*, BANK_STATEMENT_*, REPORT_*."""
    message = recognise(content, name)
    if message == schema.CAMT:
        done = statements.take(content, name, by)
        return Taken(
            message, done.statements, done.repeated, done.validated, done.entries, done.matched, done.noticed,
            closing_fen=done.closing_fen,
        )  # fmt: skip
    validated = schema.available(message)
    if validated and (why := schema.fault(message, content)):
        raise problems.BANK_MESSAGE_INVALID(file=name, message=message, why=why)
    try:
        if message == schema.NOTICE:
            told: list[camt.Notification] | status.Report = camt.notifications(content)
        else:
            told = status.read(content, message)
    except ValueError as fault:
        raise problems.BANK_MESSAGE_INVALID(file=name, message=message, why=fault) from None
    if isinstance(told, status.Report):
        return _take_report(told, message, by, validated)
    return _take_notices(told, message, by, validated)


def recognise(content: bytes, name: str) -> str:
    """The message a file is; BANK_MESSAGE_UNKNOWN, or BANK_MESSAGE_VERSION when only its version is."""
    kinds = ", ".join(schema.READ)
    try:
        found = reading.kind_of(reading.root_of(content))
    except ValueError as fault:
        raise problems.BANK_MESSAGE_UNKNOWN(file=name, kinds=kinds, why=fault) from None
    if found in schema.READ:
        return found
    alike = [one for one in schema.READ if one[:8] == found[:8]]
    if alike:
        raise problems.BANK_MESSAGE_VERSION(file=name, found=found, kinds=", ".join(alike))
    why = f"it is {found}"
    if found.startswith("pain.001"):
        why += ", a payment file: that goes to the bank"
    raise problems.BANK_MESSAGE_UNKNOWN(file=name, kinds=kinds, why=why)


def _take_notices(found: list[camt.Notification], message: str, by: str, validated: bool) -> Taken:
    for one in found:
        _refuse_altered(BankMessage.Kind.NOTICE, one.id, _digest(one))
    booked = []
    with transaction.atomic():
        own = statements.own_account()
        for one in found:
            if _known(BankMessage.Kind.NOTICE, one.id):
                continue
            statements.must_be(own, one.account, one.id)
            row = BankMessage.objects.create(
                kind=BankMessage.Kind.NOTICE, name=one.id, digest=_digest(one), lines=len(one.movements),
                imported_at=clock.now(), imported_by=by, validated=validated,
            )  # fmt: skip
            booked.append(entries.book(row, one.movements))
            audit.record(by, "import_bank_notification", one.id, entries=len(one.movements))
    brought = [entry for one in booked for entry in one.new]
    return Taken(
        message, [one.id for one in found], not booked, validated, len(brought),
        sum(entry.purpose != Purpose.OPEN for entry in brought), sum(one.known for one in booked),
        sum(one.left for one in booked),
    )  # fmt: skip


def _take_report(told: status.Report, message: str, by: str, validated: bool) -> Taken:
    _refuse_altered(BankMessage.Kind.REPORT, told.id, _digest(told))
    with transaction.atomic():
        statements.own_account()
        if _known(BankMessage.Kind.REPORT, told.id):
            return Taken(message, [told.id], True, validated)
        done = reports.apply(told)
        BankMessage.objects.create(
            kind=BankMessage.Kind.REPORT, name=told.id, digest=_digest(told), file=done.file,
            told=told.whole.status[:4], lines=done.lines, imported_at=clock.now(), imported_by=by,
            validated=validated,
        )  # fmt: skip
        audit.record(
            by, "import_payment_report", told.id, file=done.file.id, status=told.whole.status,
            accepted=done.accepted, rejected=done.rejected, contradicted=done.contradicted,
        )  # fmt: skip
    return Taken(
        message, [told.id], False, validated, accepted=done.accepted, rejected=done.rejected,
        contradicted=done.contradicted,
    )  # fmt: skip


def _known(kind: str, name: str) -> bool:
    """Whether a message was imported before; asked while the settlement account is locked."""
    return BankMessage.objects.filter(kind=kind, name=name).exists()


def _refuse_altered(kind: str, name: str, digest: str) -> None:
    """A message known with other content is an alarm, kept although nothing else is."""
    known = BankMessage.objects.filter(kind=kind, name=name).first()
    if known is not None and known.digest != digest:
        alarms.raise_alarm(alarms.STATEMENT_OTHERWISE, name, digest)
        raise problems.BANK_MESSAGE_OTHERWISE(message=name)


def _digest(told: camt.Notification | status.Report) -> str:
    """Of what a message says, not of how its file is written."""
    return hashlib.sha256(repr(told).encode()).hexdigest()
