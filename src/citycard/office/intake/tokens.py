# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens of terminals: made once, kept only as their hash.

A token has 256 bits of randomness, so a plain SHA-256 of it cannot be guessed back.
"""

from __future__ import annotations

import hashlib
import secrets

from citycard.office.participants.models import Terminal


def mint(terminal_id: str) -> str:
    """A new token for a terminal; the one before it stops working. It is shown this once."""
    token = f"cct_{secrets.token_urlsafe(32)}"
    Terminal.objects.filter(pk=terminal_id).update(token_hash=hash_of(token))
    return token


def hash_of(token: str) -> str:
    """What the office keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def terminal_of(token: str) -> Terminal | None:
    """The terminal a token belongs to."""
    return Terminal.objects.filter(token_hash=hash_of(token)).first()
