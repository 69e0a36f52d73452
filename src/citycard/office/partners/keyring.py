# SPDX-License-Identifier: Apache-2.0
"""Keys of the exchange: those we sign with, and those of others, each with the days on which it counts.

One key gives way to the next without a day on which files are refused: the new public key is told and added
everywhere with its first day, the old one keeps counting until its last. Keys are never deleted: what they
signed stays to be shown.
"""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path
from threading import Lock
from typing import Final

from django.conf import settings
from django.db import transaction

from citycard.core.interop.signing import ED25519, PublicKey, key_of
from citycard.core.problem import declare
from citycard.keys.partner import FILE_NAME, PartnerKey
from citycard.office import audit, clock, custody
from citycard.office.intake.business import business_date
from citycard.office.partners.models import Member, MemberKey, OwnKey

FOR_EVER: Final = date(2000, 1, 1)

MEMBER_KEY_UNKNOWN = declare(
    "MEMBER_KEY_UNKNOWN",
    "{org} has no key {fingerprint}. `citycard partners key list` shows the keys there are.",
    "{org} 没有密钥 {fingerprint}，可用 `citycard partners key list` 查看。",
)
MEMBER_KEY_DATES = declare(
    "MEMBER_KEY_DATES",
    "The key would count from {first} to {last}: its last day is before its first.",
    "密钥有效期从 {first} 到 {last}：终止日早于起始日。",
)

_lock = Lock()
_open: dict[tuple[str, str], PartnerKey] = {}  # by home and fingerprint; "" for the file, or what tests use


# Ours


def signing_key() -> PartnerKey:
    """The key we sign with today: the newest that has begun, else the one in the home folder's file.

    PARTNER_KEY_MISSING, PARTNER_KEY_LOCKED, VAULT_*.
    """
    home, row = str(settings.CITYCARD_HOME), _current()
    name = (home, row.fingerprint if row else "")
    with _lock:
        if name not in _open:
            _open[name] = _opened(row) if row else PartnerKey.open(Path(home), custody.passphrase())
        return _open[name]


def signed_with_another(envelope: bytes) -> bool:
    """Whether a signature of ours was made with a key before the one we sign with now; opens no key."""
    row = _current()
    return row is not None and key_of(envelope) != row.fingerprint


def _current() -> OwnKey | None:
    begun = OwnKey.objects.filter(valid_from__lte=business_date(clock.now()))
    return begun.order_by("-valid_from", "-made_at").first()


def _opened(row: OwnKey) -> PartnerKey:
    public = PublicKey.parse(row.public_key, row.algorithm)
    return PartnerKey.unprotect(custody.open_vault(), bytes.fromhex(row.kept), public)


def use_key(key: PartnerKey) -> None:
    """Sign with this key in this home while there is none of the vault's: for tests and the lab."""
    with _lock:
        _open[str(settings.CITYCARD_HOME), ""] = key


def first_key(home: Path, algorithm: str) -> PartnerKey:
    """The key we sign with, made now when there is none: an Ed25519 key in the home folder's file, else the
    vault's. PARTNER_ALGORITHM, VAULT_*.
    """
    if not OwnKey.objects.exists() and not (home / FILE_NAME).exists():
        if algorithm != ED25519:
            return make_key(algorithm)
        PartnerKey.generate().save(home, custody.passphrase())
    return signing_key()


@transaction.atomic
def make_key(algorithm: str, first: date = FOR_EVER, by: str = "setup") -> PartnerKey:
    """Make a key that signs from a day on, kept under the vault. PARTNER_ALGORITHM, VAULT_*."""
    key = PartnerKey.generate(algorithm, os.urandom)
    OwnKey.objects.create(
        fingerprint=key.id,
        algorithm=algorithm,
        public_key=key.public.hex(),
        valid_from=first,
        made_at=clock.now(),
        kept=key.protect(custody.open_vault()).hex(),
    )
    audit.record(by, "exchange_own_key", key.id, algorithm=algorithm, first=first.isoformat())
    return key


# Theirs


def keys_of(org: str) -> list[PublicKey]:
    """All keys of a member, newest first, whatever the day."""
    rows = MemberKey.objects.filter(member_id=org).order_by("-valid_from", "-id")
    return [PublicKey.parse(one.public_key, one.algorithm, one.valid_from, one.valid_until) for one in rows]


@transaction.atomic
def add_key(
    org: str,
    public_key: str,
    algorithm: str = "",
    *,
    first: date = FOR_EVER,
    last: date | None = None,
    by: str = "setup",
) -> PublicKey:
    """Add a key of a member, or change the days of one; others keep theirs. PUBLIC_KEY, MEMBER_KEY_DATES."""
    key = PublicKey.parse(public_key, algorithm, first, last)
    if last is not None and last < first:
        raise MEMBER_KEY_DATES(first=first, last=last)
    MemberKey.objects.update_or_create(
        member_id=org,
        fingerprint=key.id,
        defaults={
            "algorithm": key.algorithm,
            "public_key": key.raw.hex(),
            "valid_from": first,
            "valid_until": last,
        },
    )
    told = {"algorithm": key.algorithm, "first": first.isoformat(), "last": last.isoformat() if last else ""}
    audit.record(by, "exchange_member_key", org, key=key.id, **told)
    return key


@transaction.atomic
def end_key(org: str, fingerprint: str, last: date, by: str = "setup") -> None:
    """Say on which day a member's key counts for the last time: yesterday, when it was stolen.

    MEMBER_KEY_UNKNOWN.
    """
    if not MemberKey.objects.filter(member_id=org, fingerprint=fingerprint).update(valid_until=last):
        raise MEMBER_KEY_UNKNOWN(org=org, fingerprint=fingerprint)
    audit.record(by, "exchange_member_key", org, key=fingerprint, last=last.isoformat())


@transaction.atomic
def only_key(org: str, public_key: str, algorithm: str = "", by: str = "setup") -> None:
    """This is the member's key from now on, and no other: its first one, or the one it is set right to."""
    key = PublicKey.parse(public_key, algorithm)
    known = {one.id: one for one in keys_of(org)}
    today = business_date(clock.now())
    for other in known.values():
        if other.id != key.id and other.counts(today):
            end_key(org, other.id, today - timedelta(days=1), by)
    if key.id not in known or not known[key.id].counts(today):
        add_key(org, public_key, algorithm, by=by)


def in_force(member: Member, on: date) -> list[PublicKey]:
    """The keys of a member that count on a day."""
    return [key for key in keys_of(member.org) if key.counts(on)]
