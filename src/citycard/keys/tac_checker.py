# SPDX-License-Identifier: Apache-2.0
"""Checks the TACs of many records quickly, for clearing.

The cost of a TAC is setting up ciphers, so as few as possible are: the cards of one issuer that are new
are diversified in one call (ECB over all their factors, facts 2.2), and each card keeps one CBC chain for
all its records. What a TAC covers is built by `core.purse` alone.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from citycard.core.crypto import FACTOR_SIZE, KEY_SIZE, SUITES, same
from citycard.core.purse import load_tac, purchase_tac
from citycard.core.record import Kind
from citycard.keys.chain import Chain, tac_chain
from citycard.keys.secret import KeyBytes

if TYPE_CHECKING:
    from citycard.keys.vault import TacChecker, TacRow, TacTuple, Vault

CARDS_MAX: Final = 16_384  # chains kept, about a kilobyte each
BATCH_ROWS: Final = 8_192  # rows prepared together; bounds the memory of one call
PAN_DIGITS: Final = 20
CARD_KEYS: Final = struct.Struct(f"{KEY_SIZE}s")
MOMENT_SIZE: Final = 7
TERMINAL_SIZE: Final = 6

TacKeys = Callable[[int, int, bytes], KeyBytes | None]
"""The TAC key of an issuer by key version, algorithm id and issuer factor, or None."""

IssuerId = tuple[int, int, bytes]  # key version, algorithm id, issuer factor
CardId = tuple[int, int, bytes, str]  # the same and the PAN


def tac_checker(vault: Vault) -> TacChecker:
    """A function from rows to verdicts in order; one per thread. See `Vault.tac_checker`."""
    return vault.tac_checker()


def make_checker(issuer_key: TacKeys) -> TacChecker:
    """The checker over a source of issuer keys."""
    chains: dict[CardId, Chain] = {}

    def check(rows: Iterable[TacRow | TacTuple]) -> list[bool]:
        verdicts: list[bool] = []
        batch: list[TacRow | TacTuple] = []
        for row in rows:
            batch.append(row)
            if len(batch) == BATCH_ROWS:
                verdicts += _check_batch(batch, chains, issuer_key)
                batch = []
        return verdicts + _check_batch(batch, chains, issuer_key)

    return check


def _check_batch(
    rows: list[TacRow | TacTuple], chains: dict[CardId, Chain], issuer_key: TacKeys
) -> list[bool]:
    if len(chains) > CARDS_MAX:
        chains.clear()
    cards = [(row[2], row[3], row[0], row[1]) for row in rows]
    missing = set(cards) - chains.keys()
    if missing:
        _add_chains(missing, chains, issuer_key)
    return [_check_row(row, chains.get(card)) for row, card in zip(rows, cards, strict=True)]


def _check_row(row: TacRow | TacTuple, chain: Chain | None) -> bool:
    _, _, _, _, kind, txn, amount, terminal, serial, moment, counter, balance, tac = row
    if chain is None or len(terminal) != TERMINAL_SIZE or len(moment) != MOMENT_SIZE:
        return False
    try:
        if kind == Kind.PURCHASE:
            message = purchase_tac(amount, txn, terminal, serial, moment)
        elif kind == Kind.LOAD:
            message = load_tac(balance, counter, amount, txn, terminal, moment)
        else:
            return False
    except (OverflowError, ValueError):  # a number that no card could have covered
        return False
    return same(chain.mac(message), tac)


def _add_chains(cards: set[CardId], chains: dict[CardId, Chain], issuer_key: TacKeys) -> None:
    """Diversify the keys of new cards, one cipher call per issuer, and open a chain for each."""
    by_issuer: defaultdict[IssuerId, list[str]] = defaultdict(list)
    for version, suite, issuer, pan in cards:
        if len(pan) == PAN_DIGITS and pan.isascii() and pan.isdigit() and len(issuer) == FACTOR_SIZE:
            by_issuer[version, suite, issuer].append(pan)
    for (version, number, factor), pans in by_issuer.items():
        key = issuer_key(version, number, factor)
        if key is None:
            continue
        cipher = SUITES[number]
        derived = KeyBytes(cipher.encrypt(key, _blocks(pans)))
        card_keys = (KeyBytes(part) for (part,) in CARD_KEYS.iter_unpack(derived))
        for pan, card_key in zip(pans, card_keys, strict=True):
            chains[version, number, factor, pan] = tac_chain(cipher, card_key)


def _blocks(pans: list[str]) -> bytes:
    """Factor and complement of every card: what diversification enciphers, card after card."""
    factors = [int(pan[4:], 16) for pan in pans]
    ones = (1 << 64) - 1
    return b"".join((factor << 64 | factor ^ ones).to_bytes(KEY_SIZE, "big") for factor in factors)
