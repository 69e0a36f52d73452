# SPDX-License-Identifier: Apache-2.0
"""Bytes that work but cannot be shown: keys, and passphrases on their way to become one.

A `KeyBytes` is bytes to a cipher and `<key>` to everything that prints: `repr`, `str`, format, logs and
tracebacks that show local variables. Pickling and copying are refused, `hex` too. Python cannot wipe
memory, so this guards against telling, not against somebody who reads the process.
"""

from __future__ import annotations

from typing import Any, NoReturn, SupportsIndex


class KeyBytes(bytes):
    """Key material; slices of it are key material too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<key>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "<key>"

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        taken = super().__getitem__(index)
        return KeyBytes(taken) if isinstance(taken, bytes) else taken

    def hex(self, *_: Any) -> NoReturn:
        """Refused."""
        raise TypeError("a key is not printed")

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        refuse_pickle(self)


def refuse_pickle(thing: object) -> NoReturn:
    """Raise the `TypeError` of everything that holds a key."""
    raise TypeError(f"{type(thing).__name__} holds secrets and is neither pickled nor copied")
