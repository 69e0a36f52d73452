# SPDX-License-Identifier: Apache-2.0
"""Files we send: made, numbered, signed and kept before a carrier takes them away.

The number is given in the transaction in which the records were gathered, so what rolls back leaves no gap.
A file is sent again, byte for byte, when its receiver asks for it or has not acknowledged it; its signature
is made anew when another key of ours has begun since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from citycard.core.interop import files
from citycard.core.interop.channel import wanted
from citycard.core.interop.files import FileName
from citycard.office import clock
from citycard.office.cards import counters
from citycard.office.partners import desk, keyring, shelf
from citycard.office.partners.models import ExchangeFile, Member


@transaction.atomic
def send(file: str, to: Member, records: Sequence[Mapping[str, Any]], on: date) -> ExchangeFile:
    """Make the next file for a member; FILE_COLUMN when a value does not fit."""
    us = desk.own()
    control = file == files.CONTROL
    (number,) = counters.take(f"exchange {'control ' if control else ''}{to.org}")
    name = FileName(file, us.org, to.org, on, number, to.form)
    raw = files.write(name, list(records))
    digest = files.digest_of(raw)
    path = shelf.keep(shelf.SENT, name, raw, keyring.signing_key().seal(str(name), raw))
    return ExchangeFile.objects.create(
        file=file,
        sender=us.org,
        receiver=to.org,
        business_date=on,
        sequence=number,
        control=control,
        form=to.form,
        digest=digest,
        records=len(records),
        status=ExchangeFile.Status.MADE,
        at=clock.now(),
        path=path,
    )


def name_of(file: ExchangeFile) -> FileName:
    """The name under which a file travels."""
    return FileName(file.file, file.sender, file.receiver, file.business_date, file.sequence, file.form)


def sealed(file: ExchangeFile) -> tuple[bytes, bytes]:
    """A file of ours and its signature, made with the key we sign with today."""
    raw, signature = shelf.read(file.path)
    if signature is None or keyring.signed_with_another(signature):
        signature = keyring.signing_key().seal(str(name_of(file)), raw)
        shelf.reseal(file.path, signature)
    return raw, signature


def waiting(to: Member) -> QuerySet[ExchangeFile]:
    """Files that no carrier has delivered yet, in order."""
    us = desk.own()
    found = ExchangeFile.objects.filter(sender=us.org, receiver=to.org, delivered_at=None)
    return found.filter(status=ExchangeFile.Status.MADE).order_by("control", "sequence")


def delivered(file: ExchangeFile) -> None:
    """A carrier has put the file where its receiver finds it."""
    ExchangeFile.objects.filter(pk=file.pk).update(delivered_at=clock.now())


def again(to: Member, sequences: Sequence[int]) -> int:
    """Send files of these numbers once more; returns how many there are."""
    us = desk.own()
    found = ExchangeFile.objects.filter(sender=us.org, receiver=to.org, control=False)
    return found.filter(sequence__in=list(sequences), status=ExchangeFile.Status.MADE).update(
        delivered_at=None
    )


def tell(to: Member, on: date) -> ExchangeFile:
    """Tell a member with an LD list what we have taken, refused and miss."""
    us = desk.own()
    received = ExchangeFile.objects.filter(sender=to.org, receiver=us.org, control=False)
    head = {"sender_org": to.org, "receiver_org": us.org}
    rows: list[dict[str, Any]] = []
    newest = received.filter(status=ExchangeFile.Status.TAKEN, sequence=to.taken).first()
    if newest is not None:
        rows.append(
            head | {"file": newest.file, "sequence": newest.sequence, "state": "taken",
                    "records": newest.records, "digest": newest.digest}
        )  # fmt: skip
    kept = received.exclude(status=ExchangeFile.Status.REFUSED)
    ahead = set(kept.filter(sequence__gt=to.taken).values_list("sequence", flat=True))
    refused = received.filter(status=ExchangeFile.Status.REFUSED, sequence__gt=to.taken)
    told = max(refused.values_list("sequence", flat=True), default=0)
    rows += [head | {"sequence": number, "state": "wanted"} for number in wanted(ahead, to.taken, told)]
    return send(files.CONTROL, to, rows, on)
