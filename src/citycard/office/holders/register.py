# SPDX-License-Identifier: Apache-2.0
"""Registering holders: who may be one, and what of their papers is kept.

Of a document only a mask for people (first and last characters) and a keyed digest are stored. The digest
finds the same document again; without the office's secret key it cannot be computed or searched by trial,
although document numbers are few enough to try them all.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from datetime import date
from typing import Final

from django.conf import settings
from django.db import transaction

from citycard.core.problem import declare
from citycard.office import audit, clock
from citycard.office.holders.models import Holder, Kind, Level
from citycard.office.staff.roles import Actor

DIGEST_PURPOSE: Final = b"citycard holder document v1"
MINOR_BELOW: Final = 16
ADULT_FROM: Final = 18
GUARDIAN_LEVEL: Final = Level.DOCUMENT
SHOWN: Final = 4  # characters a mask leaves at the end; three at the start of a long number
AGE_MAX: Final = 130

HOLDER_BIRTH = declare(
    "HOLDER_BIRTH",
    "The date of birth {birth} is not that of a living person. Correct it.",
    "出生日期 {birth} 不合理，请更正。",
)
HOLDER_GUARDIAN = declare(
    "HOLDER_GUARDIAN",
    "A minor under {age} needs a guardian who is of age and whose document was seen. "
    "Register the guardian first.",
    "未满 {age} 周岁须有成年且已核验证件的监护人，请先登记监护人。",
)
HOLDER_DOCUMENT = declare(
    "HOLDER_DOCUMENT",
    "A verification level of {level} needs a document. Enter its type and number.",
    "实名等级 {level} 须登记证件，请填写证件类型和号码。",
)
HOLDER_KNOWN = declare(
    "HOLDER_KNOWN",
    "This document already belongs to holder {holder}. Use that holder.",
    "该证件已登记在持卡人 {holder} 名下，请使用该持卡人。",
)


def age(born: date, on: date) -> int:
    """Whole years lived on a day; who was born on 29 February is a year older on 1 March."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def is_minor(holder: Holder, on: date, below: int = MINOR_BELOW) -> bool:
    """Whether the holder needs a guardian on that day."""
    return age(holder.birth_on, on) < below


def fit_guardian(
    guardian: Holder, on: date, adult_from: int = ADULT_FROM, level: int = GUARDIAN_LEVEL
) -> bool:
    """Whether this person may stand for a minor: of age, and verified far enough."""
    return age(guardian.birth_on, on) >= adult_from and guardian.verification_level >= level


def masked(number: str) -> str:
    """A number for people to recognise, not to copy: `510***********2419`, short ones wholly hidden."""
    if len(number) <= SHOWN * 2:
        return "*" * len(number)
    head = 3 if len(number) > SHOWN * 2 + 3 else 0
    return number[:head] + "*" * (len(number) - head - SHOWN) + number[-SHOWN:]


def document_digest(document_type: str, number: str) -> str:
    """The keyed digest of a document: the same for the same document however it was typed."""
    text = unicodedata.normalize("NFKC", f"{document_type.lower()}:{number.upper()}").replace(" ", "")
    key = hmac.digest(str(settings.SECRET_KEY).encode(), DIGEST_PURPOSE, hashlib.sha256)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def find(document_type: str, number: str) -> Holder | None:
    """The holder with this document, if registered."""
    return Holder.objects.filter(document_digest=document_digest(document_type, number)).first()


@transaction.atomic
def register(
    name: str,
    birth_on: date,
    *,
    by: Actor,
    kind: str = Kind.RESIDENT,
    level: int = Level.NONE,
    guardian: Holder | None = None,
    document: tuple[str, str] | None = None,  # type and number
    phone: str = "",
) -> Holder:
    """Register a holder; raises a Problem when a minor has no fit guardian or the document is taken."""
    holder = prepared(
        name, birth_on, kind=kind, level=level, guardian=guardian, document=document, phone=phone
    )
    if holder.document_digest:
        other = Holder.objects.filter(document_digest=holder.document_digest).first()
        if other:
            raise HOLDER_KNOWN(holder=other.id)
    holder.save(force_insert=True)
    audit.record(by.name, "register_holder", str(holder.id), kind=str(holder.kind), level=int(level))
    return holder


def prepared(
    name: str,
    birth_on: date,
    *,
    kind: str = Kind.RESIDENT,
    level: int = Level.NONE,
    guardian: Holder | None = None,
    document: tuple[str, str] | None = None,
    phone: str = "",
) -> Holder:
    """A checked holder, not yet saved: bulk registration saves many at once with `save_all`."""
    today = clock.now().date()
    if not 0 <= age(birth_on, today) <= AGE_MAX:
        raise HOLDER_BIRTH(birth=birth_on)
    if level >= Level.DOCUMENT and not (document and document[1]):
        raise HOLDER_DOCUMENT(level=int(level))
    if age(birth_on, today) < MINOR_BELOW and not (guardian and fit_guardian(guardian, today)):
        raise HOLDER_GUARDIAN(age=MINOR_BELOW)
    return Holder(
        kind=kind,
        name=name,
        birth_on=birth_on,
        verification_level=level,
        guardian=guardian,
        document_type=document[0] if document else "",
        document_masked=masked(document[1]) if document else "",
        document_digest=document_digest(*document) if document else "",
        phone_masked=masked(phone),
        created_at=clock.now(),
    )


@transaction.atomic
def save_all(holders: list[Holder], by: Actor) -> None:
    """Save many prepared holders (guardians before their wards) with one audit entry."""
    Holder.objects.bulk_create(holders)
    audit.record(by.name, "register_holders", f"{len(holders)} holders", ids=[str(h.id) for h in holders])
