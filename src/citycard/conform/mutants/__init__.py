# SPDX-License-Identifier: Apache-2.0
"""Mutant cards: for each case of a catalogue one card with exactly the defect that the case must catch."""

from __future__ import annotations

from typing import Final

from citycard.conform.mutants import gp, money, pboc, reading, safety
from citycard.conform.mutants.kit import Mutant

_BY_PREFIX: Final[dict[str, dict[str, Mutant]]] = {
    "TU": reading.MUTANTS | money.MUTANTS | safety.MUTANTS,
    "GP": gp.MUTANTS,
    "PB": pboc.MUTANTS,
}
MUTANTS: Final[dict[str, Mutant]] = {
    f"{prefix}-{id_}": mutant for prefix, mutants in _BY_PREFIX.items() for id_, mutant in mutants.items()
}
