# SPDX-License-Identifier: Apache-2.0
"""The key tree: which factors lead from a root key to a card's, an issuer's or a terminal's key.

A root key never works by itself. It is diversified by one 8-byte factor per level, in order root, issuer,
card (facts 2.2); the PSAM's batch key has one level, the terminal. Any number of levels up to `LEVELS_MAX`
is served. Derived keys are kept for a while because the issuer's key is needed at every tap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from citycard.core import tunion
from citycard.core.crypto import FACTOR_SIZE, SUITES, Suite
from citycard.keys.secret import KeyBytes

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

LEVELS_MAX: Final = 8  # the longest chain seen in the field has four
DERIVED_MAX: Final = 1024  # derived keys remembered: all issuers, and the cards of the last minutes
TERMINAL_SIZE: Final = 6

KeyId = tuple[str, int, int]


def card_factors(issuer: bytes, pan: str) -> tuple[bytes, bytes]:
    """Issuer code (8 bytes) and low 8 bytes of the PAN (20 digits): the path to a T-Union card's keys."""
    if len(issuer) != FACTOR_SIZE or len(pan) != 20 or not (pan.isascii() and pan.isdigit()):
        raise ValueError("an issuer has 8 bytes and a PAN 20 digits")
    return tunion.factors(issuer, pan)


def terminal_factor(terminal: bytes) -> bytes:
    """A terminal's 6-byte number, two zero bytes before it: the path to its batch key."""
    if len(terminal) != TERMINAL_SIZE:
        raise ValueError(f"a terminal number has {TERMINAL_SIZE} bytes, this has {len(terminal)}")
    return bytes(2) + terminal


def checked(factors: Sequence[bytes]) -> tuple[bytes, ...]:
    """The factors as a tuple; `ValueError` when one is not 8 bytes or there are too many."""
    if len(factors) > LEVELS_MAX:
        raise ValueError(f"a key is at most {LEVELS_MAX} levels deep, {len(factors)} factors were given")
    for factor in factors:
        if len(factor) != FACTOR_SIZE:
            raise ValueError(f"a diversification factor has {FACTOR_SIZE} bytes, this has {len(factor)}")
    return tuple(factors)


def derivation(
    root: Callable[[KeyId], tuple[Suite, KeyBytes]],
    branches: Mapping[tuple[KeyId, tuple[bytes, ...]], KeyBytes] = MappingProxyType({}),
) -> _lru_cache_wrapper[KeyBytes]:
    """A function from key id and factors to the derived key, remembering the last `DERIVED_MAX`.

    `branches` are derived keys that are known already; a security module has these and no root.
    """

    @lru_cache(maxsize=DERIVED_MAX)
    def derive(key_id: KeyId, factors: tuple[bytes, ...]) -> KeyBytes:
        known = branches.get((key_id, factors))
        if known is not None:
            return known
        if not factors:
            return root(key_id)[1]
        suite = SUITES[key_id[2]]
        return KeyBytes(suite.diversify(derive(key_id, factors[:-1]), factors[-1]))

    return derive
