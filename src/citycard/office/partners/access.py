# SPDX-License-Identifier: Apache-2.0
"""Tokens with which members reach our API: made once, kept only as their hash."""

from __future__ import annotations

import secrets

from citycard.office.intake.tokens import hash_of
from citycard.office.partners.models import Member


def mint(org: str) -> str:
    """A new token for a member; the one before it stops working. It is shown this once."""
    token = f"ccp_{secrets.token_urlsafe(32)}"
    Member.objects.filter(pk=org).update(token_hash=hash_of(token))
    return token


def member_of(token: str) -> Member | None:
    """The active member a token belongs to."""
    return Member.objects.filter(token_hash=hash_of(token), active=True).first()
