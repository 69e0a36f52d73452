# SPDX-License-Identifier: Apache-2.0
"""Mutant cards: for each case of the catalogue one card with exactly the defect that the case must catch."""

from __future__ import annotations

from typing import Final

from citycard.conform.catalogue.declare import PREFIX
from citycard.conform.mutants import money, reading, safety
from citycard.conform.mutants.kit import Mutant

_ALL: Final = reading.MUTANTS | money.MUTANTS | safety.MUTANTS
MUTANTS: Final[dict[str, Mutant]] = {f"{PREFIX}-{id_}": mutant for id_, mutant in _ALL.items()}
