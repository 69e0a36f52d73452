# SPDX-License-Identifier: Apache-2.0
"""Rows of plain values to a batch for the verifier, one at a time, by `core.purse` itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from citycard.core.crypto import FACTOR_SIZE, MAC_SIZE
from citycard.core.purse import load_tac, purchase_tac
from citycard.core.record import Kind
from citycard.keys.tac.columns import MESSAGE_SIZE, TacBatch
from citycard.keys.tac.custody import Index, KeyPath, as_words

if TYPE_CHECKING:
    from citycard.keys.vault import TacRow, TacTuple

PAN_DIGITS: Final = 20
MOMENT_SIZE: Final = 7
TERMINAL_SIZE: Final = 6


def batch_of_rows(rows: Sequence[TacRow | TacTuple]) -> tuple[Index, TacBatch]:
    """(which rows a card could have made, the batch of those)."""
    kept: list[int] = []
    paths: dict[KeyPath, int] = {}
    which: list[int] = []
    factors, tacs, messages = bytearray(), bytearray(), bytearray()
    lengths: list[int] = []
    for at, row in enumerate(rows):
        message = _message(row)
        if message is None:
            continue
        issuer, pan, version, suite = row[:4]
        kept.append(at)
        which.append(paths.setdefault(KeyPath(version, suite, (issuer,)), len(paths)))
        factors += bytes.fromhex(pan[4:])
        messages += message.ljust(MESSAGE_SIZE, b"\x00")
        lengths.append(len(message))
        tacs += row[-1]
    batch = TacBatch(
        tuple(paths),
        np.array(which, np.intp),
        as_words(bytes(factors), 1),
        np.frombuffer(bytes(messages), np.uint8).reshape(-1, MESSAGE_SIZE),
        np.array(lengths, np.int64),
        np.frombuffer(bytes(tacs), ">u4").astype(np.uint32),
    )
    return np.array(kept, np.intp), batch


def _message(row: TacRow | TacTuple) -> bytes | None:
    """What the row's TAC covers; None where no card could have made such a row."""
    issuer, pan, _, _, kind, txn, amount, terminal, serial, moment, counter, balance, tac = row
    if len(issuer) != FACTOR_SIZE or len(tac) != MAC_SIZE:
        return None
    if len(pan) != PAN_DIGITS or not (pan.isascii() and pan.isdigit()):
        return None
    if len(terminal) != TERMINAL_SIZE or len(moment) != MOMENT_SIZE:
        return None
    try:
        if kind == Kind.PURCHASE:
            return purchase_tac(amount, txn, terminal, serial, moment)
        if kind == Kind.LOAD:
            return load_tac(balance, counter, amount, txn, terminal, moment)
    except (OverflowError, ValueError):  # a number that no card could have covered
        pass
    return None
