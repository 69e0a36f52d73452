# SPDX-License-Identifier: Apache-2.0
"""How a vault that has its keys in memory diversifies the TAC keys of many cards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from citycard.keys.secret import KeyBytes
from citycard.keys.tac.custody import CardBatch, CardKeys, KeyPath, as_words
from citycard.keys.tac.engine import derive_each, engine


def derive_cards(cards: CardBatch, issuer_key: Callable[[KeyPath], KeyBytes | None]) -> CardKeys:
    """The keys of the cards under the keys at the end of their paths; None: no such key."""
    suites = np.array([path.suite for path in cards.paths], np.intp)
    with CardKeys(np.zeros((len(suites), 2), np.uint64), np.zeros(len(suites), bool)) as issuers:
        for number, path in enumerate(cards.paths):
            key = issuer_key(path)
            if key is not None:
                issuers.words[number] = as_words(key, 2)[0]
                issuers.known[number] = True
        return derive_each(engine(len(cards)), suites, issuers, cards.which, cards.factors)
