# SPDX-License-Identifier: Apache-2.0
"""How a case is declared, and the names of the documents that clauses come from."""

from __future__ import annotations

from typing import Final

from citycard.conform.model import Case, Confidence, Need, Step, Text

PREFIX: Final = "TU"  # T-Union
ISO: Final = "ISO/IEC 7816-4"
PBOC: Final = "JR/T 0025 ED/EP"
JTT: Final = "JT/T 978"
VENDOR: Final = "FMCOS 2.0"
GPC: Final = "GlobalPlatform Card Specification 2.3"
SCP3: Final = "GlobalPlatform Amendment D"
SOURCES, ONE, COMPUTED, ASSUMED = Confidence.SOURCES, Confidence.ONE, Confidence.COMPUTED, Confidence.ASSUMED
WRITES: Final = frozenset({Need.WRITE, Need.KEYS})
UNKNOWN: Final = frozenset({Need.WRITE})  # to the guard it may write; no key is needed
LOCKS: Final = WRITES | {Need.LOCK}
CUTS: Final = WRITES | {Need.CUT}
PREPARED: Final = WRITES | {Need.PREPARED}
NOTHING: Final[frozenset[Need]] = frozenset()


def case(
    id_: str,
    title: tuple[str, str],
    clause: tuple[str, Confidence],
    *steps: Step,
    needs: frozenset[Need] = NOTHING,
    selects: bool = True,
    ruins: bool = False,
    prepared: tuple[int, int] | None = None,
    prefix: str = PREFIX,
) -> Case:
    """One case; `id_` such as `STR-001`, `clause` with how sure its source is."""
    return Case(f"{prefix}-{id_}", Text(*title), clause[0], clause[1], steps, needs, selects, ruins, prepared)
