# SPDX-License-Identifier: Apache-2.0
"""A holder as far as the reader may know them: clerks in full, all others masked.

Of papers and telephones the office keeps only masks, see `holders.register`; here the name and the date of
birth are masked too.
"""

from __future__ import annotations

from dataclasses import dataclass

from citycard.office.console.access import FULL_HOLDER_DATA
from citycard.office.holders.models import Holder
from citycard.office.staff.roles import Actor


@dataclass(frozen=True, slots=True)
class HolderView:
    """What the reader sees of a holder."""

    id: str
    name: str
    birth: str
    kind: str
    level: str
    document: str
    phone: str
    guardian: str
    guardian_id: str
    since: str
    full: bool


def full_for(by: Actor) -> bool:
    """Whether this reader sees holders in full."""
    return bool(by.roles & FULL_HOLDER_DATA)


def name(text: str) -> str:
    """`张三丰` becomes `张**`, `Alice Chen` becomes `A****`."""
    if not text:
        return ""
    latin = text[0].isascii()
    return text[0] + "*" * (4 if latin else max(1, len(text) - 1))


def view(holder: Holder, full: bool) -> HolderView:
    """The holder in full or masked; needs `guardian` loaded."""
    guardian = holder.guardian
    return HolderView(
        id=str(holder.pk),
        name=holder.name if full else name(holder.name),
        birth=holder.birth_on.isoformat() if full else f"{holder.birth_on.year}-**-**",
        kind=holder.get_kind_display(),
        level=holder.get_verification_level_display(),
        document=holder.document_masked if full else holder.document_masked[-4:].rjust(8, "*"),
        phone=holder.phone_masked if full else "*" * len(holder.phone_masked),
        guardian=(guardian.name if full else name(guardian.name)) if guardian else "",
        guardian_id=str(guardian.pk) if guardian else "",
        since=holder.created_at.date().isoformat(),
        full=full,
    )
