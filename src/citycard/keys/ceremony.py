# SPDX-License-Identifier: Apache-2.0
"""The key ceremony (密钥仪式): makes every root key of a scheme and tells their check values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from citycard.core.crypto import TRIPLE_DES
from citycard.keys.vault import KeyInfo, KeyName, SuiteChoice, Vault, algorithm

APART: Final = (
    KeyName.TRANSPORT,
    KeyName.STORAGE,
)  # the card maker's; only for schemes with M1 cards or tickets
ROOTS: Final = tuple(name for name in KeyName if name not in APART)


def scheme_ceremony(
    vault: Vault, suites: Iterable[SuiteChoice] = (TRIPLE_DES,), version: int = 1
) -> list[KeyInfo]:
    """Generate each root key of the scheme in each suite; what exists is kept, so a ceremony that was
    interrupted is done again. Returns all keys of that version."""
    chosen = [algorithm(suite) for suite in suites]
    before = vault.keys()
    there = {(info.name, info.suite) for info in before if info.version == version}
    for name in ROOTS:
        for suite in chosen:
            if (name.value, suite) not in there:
                vault.generate(name, suite, version)
    after = vault.keys()
    return [info for info in after if info.version == version and info.suite in chosen]
