# SPDX-License-Identifier: Apache-2.0
"""Files we receive: signature, digest and number judged, kept durably, and taken in order.

A repeat is answered quietly, an alteration raises an alarm and changes nothing, a file ahead of its turn
waits until those before it have come. A file is taken in one transaction with all it does; one that cannot be
(its content is wrong, or it says what cannot be) is refused and set aside, and its sender is asked for it
again under the same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from django.db import IntegrityError, transaction

from citycard.core.interop import files, signing
from citycard.core.interop.channel import Arrival, Came, judge
from citycard.core.interop.files import FileName
from citycard.core.layout import LayoutError
from citycard.core.problem import Problem, declare
from citycard.office import clock
from citycard.office.intake import alarms
from citycard.office.partners import desk, keyring, shelf
from citycard.office.partners.models import ExchangeFile, Member

ALTERED: Final = "EXCHANGE_ALTERED"
SIGNATURE: Final = "EXCHANGE_SIGNATURE"
REFUSED: Final = "EXCHANGE_REFUSED"
# Who takes which file, as module and function(member, name, records); looked up when one comes.
TAKERS: Final = {
    "CD": "partners.hub:take_details",
    "CL": "partners.issuer:take_cleared",
    "CR": "partners.acquirer:take_results",
    "FB": "partners.feedback:take_feedback",
    "BP": "partners.books:take_positions",
    "LD": "partners.lists:take_processed",
    "BN": "partners.lists:take_issuers",
    "IN": "partners.lists:take_members",
    "ER": "partners.lists:take_errors",
    "UC": "partners.hotlists:take_upload",
    "DC": "partners.hotlists:take_download",
    "ED": "disputes.exchange:take_dispute",
    "CM": "disputes.exchange:take_answer",
    "AD": "disputes.exchange:take_adjustment",
}
FILE_NOT_OURS = declare(
    "FILE_NOT_OURS",
    "File {name} is for {receiver}, this office is {org}. It was not kept.",
    "文件 {name} 的接收方为 {receiver}，本机构为 {org}，未保存。",
)
FILE_ALTERED = declare(
    "FILE_ALTERED",
    "A file with the number of {name} was taken before with other content. That one stands, this one was set"
    " aside and an alarm is raised.",
    "与 {name} 同序号的文件此前已以不同内容接收；原文件有效，本文件已隔离并告警。",
)
FILE_AHEAD = declare(
    "FILE_AHEAD",
    "File {name} is more than a thousand numbers ahead of the last one taken. It was set aside.",
    "文件 {name} 的序号超前过多，已隔离。",
)
FILE_REFUSED = declare(
    "FILE_REFUSED",
    "File {name} was refused: {why}",
    "文件 {name} 被拒收：{why}",
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a file that came: taken, waiting, or known (it came before)."""

    name: str
    status: str
    taken: tuple[str, ...] = ()  # names of all files taken now, those that had waited included


def receive(name: str, raw: bytes, signature: bytes | None) -> Receipt:
    """Judge, keep and take a file.

    Problems: FILE_NAME, FILE_NOT_OURS, MEMBER_UNKNOWN, FILE_SIGNATURE, FILE_ALGORITHM, FILE_KEY_DATE,
    FILE_ALTERED, FILE_AHEAD; FILE_REFUSED when its content is wrong. Nothing but the refusal itself is kept.
    """
    parsed = FileName.parse(name)
    us = desk.own()
    if parsed.receiver != us.org:
        raise FILE_NOT_OURS(name=name, receiver=parsed.receiver, org=us.org)
    sender = desk.member(parsed.sender)
    digest = files.digest_of(raw)
    try:
        signing.check(name, raw, signature, keyring.keys_of(sender.org), desk.today())
    except Problem as problem:
        shelf.keep(shelf.QUARANTINE, parsed, raw, signature)
        alarms.raise_alarm(SIGNATURE, sender.org, f"{name}:{digest}", why=problem.text())
        raise
    path = shelf.keep(shelf.RECEIVED, parsed, raw, signature)
    with transaction.atomic():
        sender = Member.objects.select_for_update().get(pk=sender.pk)
        arrival = _judge(sender, parsed, digest)
        if arrival in (Arrival.NEXT, Arrival.EARLY):
            _row(parsed, digest, path)
    if arrival is Arrival.ALTERED:
        shelf.keep(shelf.QUARANTINE, parsed, raw, signature)
        alarms.raise_alarm(ALTERED, sender.org, f"{name}:{digest}", came=digest)
        raise FILE_ALTERED(name=name)
    if arrival is Arrival.FAR:
        raise FILE_AHEAD(name=name)
    taken = tuple(take_waiting(sender))  # a repeat as well: we may have died before it was taken
    if arrival is Arrival.REPEATED and name not in taken:
        return Receipt(name, "known", taken)
    if name not in taken:
        refused = _of(parsed).filter(digest=digest, status=ExchangeFile.Status.REFUSED).first()
        if refused is not None:
            raise FILE_REFUSED(name=name, why=refused.why)
    return Receipt(name, "taken" if name in taken else "waiting", taken)


def _judge(sender: Member, name: FileName, digest: str) -> Arrival:
    rows = _of(name).exclude(status=ExchangeFile.Status.REFUSED)
    same = rows.filter(sequence=name.sequence).first()
    if same is not None:
        same.times += 1
        same.save(update_fields=["times"])
    kept = {same.sequence: Came(same.file, same.sequence, same.digest)} if same is not None else {}
    taken = name.sequence - 1 if name.control else sender.taken
    return judge(kept, taken, Came(name.file, name.sequence, digest))


def _of(name: FileName) -> Any:
    return ExchangeFile.objects.filter(sender=name.sender, receiver=name.receiver, control=name.control)


def _row(name: FileName, digest: str, path: str) -> ExchangeFile:
    return ExchangeFile.objects.create(
        file=name.file,
        sender=name.sender,
        receiver=name.receiver,
        business_date=name.business_date,
        sequence=name.sequence,
        control=name.control,
        form=name.form,
        digest=digest,
        status=ExchangeFile.Status.WAITING,
        at=clock.now(),
        path=path,
    )


def take_waiting(sender: Member) -> list[str]:
    """Take what waits from a member, as far as the order goes; the names taken. May be repeated."""
    names: list[str] = []
    while True:
        with transaction.atomic():
            found = _next(sender)
            if found is None:
                return names
            name = FileName(
                found.file, found.sender, found.receiver, found.business_date, found.sequence, found.form
            )
            try:
                with transaction.atomic():
                    _take(sender, found, name)
                names.append(str(name))
            except (Problem, LayoutError, IntegrityError) as problem:  # the last: two rows of one serial
                _refuse(found, name, problem)


def _next(sender: Member) -> ExchangeFile | None:
    """The file whose turn it is: an LD at once, else the number after the last one taken."""
    taken = Member.objects.select_for_update().get(pk=sender.pk).taken
    us = desk.own()
    rows = ExchangeFile.objects.filter(sender=sender.org, receiver=us.org)
    rows = rows.filter(status=ExchangeFile.Status.WAITING)
    return rows.filter(control=True).first() or rows.filter(control=False, sequence=taken + 1).first()


def _take(sender: Member, found: ExchangeFile, name: FileName) -> None:
    raw, _ = shelf.read(found.path)
    records = files.read(name, raw)
    module, _, function = TAKERS[name.file].partition(":")
    taker = getattr(import_module(f"citycard.office.{module}"), function)
    taker(sender, name, records)
    found.status, found.records = ExchangeFile.Status.TAKEN, len(records)
    found.save(update_fields=["status", "records"])
    if not name.control:
        Member.objects.filter(pk=sender.pk).update(taken=name.sequence)


def _refuse(found: ExchangeFile, name: FileName, problem: Exception) -> None:
    """Set a file aside; its sender sends it again, corrected, under the same number."""
    code = problem.code if isinstance(problem, Problem) else "CONTRADICTION"
    found.status, found.why = ExchangeFile.Status.REFUSED, f"{code}: {problem}"[:300]
    found.save(update_fields=["status", "why"])
    alarms.raise_alarm(REFUSED, name.sender, f"{name}:{found.digest}", problem=code, why=str(problem)[:300])
