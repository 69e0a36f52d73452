# SPDX-License-Identifier: Apache-2.0
"""DES on bit slices: 4,096 blocks at a time, each with a key of its own.

The permutations IP and FP cancel between the stages of EDE and between the blocks of CBC, and are done at
the ends alone; all others are wiring.

Source of the tables: FIPS 46-3. The S-boxes: `sboxes`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from citycard.keys.tac.jit import IndexArray, U32Array, U64Array, compiled
from citycard.keys.tac.sboxes import WORDS, box1, box2, box3, box4, box5, box6, box7, box8
from citycard.keys.tac.slices import BLOCKS, HALF, HALF_BLOCKS, ONES, ZERO, W, turn
from citycard.keys.tac.words import word

SUBKEY: Final = np.uint64(48)
TWO_SUBKEYS: Final = np.uint64(2 * 48)
LAST: Final = np.uint64(16 * 48)

PC1: Final = (
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44,
    36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20,
    12, 4,
)  # fmt: skip
PC2: Final = (
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
)  # fmt: skip
SHIFTS: Final = (1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1)


def _initial() -> U64Array:
    """IP: row i of the state is row IP[i] of the block."""
    return np.array(
        [start - 8 * step for start in (57, 59, 61, 63, 56, 58, 60, 62) for step in range(8)], "u8"
    )


def _schedule() -> U64Array:
    """Where the key's row behind each of the 48 bits of a round key begins, for the 16 rounds."""
    left, right = list(PC1[:28]), list(PC1[28:])
    rounds = []
    for shift in SHIFTS:
        left, right = left[shift:] + left[:shift], right[shift:] + right[:shift]
        both = left + right
        rounds.append([(both[bit - 1] - 1) * WORDS for bit in PC2])
    return np.array(rounds, np.uint64)


INITIAL: Final = _initial()
ENCIPHER: Final = _schedule().reshape(-1)
DECIPHER: Final = _schedule()[::-1].reshape(-1)


@compiled
def enter(block: U64Array, left: U64Array, right: U64Array, flip: np.uint64) -> None:
    """XOR a block, or with `flip` its complement, into the two halves of the state."""
    for row in range(HALF):
        to, up, down = row * W, INITIAL[row] * W, INITIAL[row + HALF] * W
        for at in range(W):
            left[to + at] ^= block[up + at] ^ flip
            right[to + at] ^= block[down + at] ^ flip


@compiled
def leave(left: U64Array, right: U64Array, block: U64Array) -> None:
    """The block that the two halves of the state are, and the state back to zero."""
    for row in range(HALF):
        to, up, down = row * W, INITIAL[row] * W, INITIAL[row + HALF] * W
        for at in range(W):
            block[up + at] = left[to + at]
            block[down + at] = right[to + at]
            left[to + at] = ZERO
            right[to + at] = ZERO


@compiled
def one_round(left: U64Array, right: U64Array, key: U64Array, wiring: U64Array, first: np.uint64) -> None:
    """One round; the halves are not exchanged, the caller names them the other way round."""
    box1(left, right, key, wiring, first)
    box2(left, right, key, wiring, first)
    box3(left, right, key, wiring, first)
    box4(left, right, key, wiring, first)
    box5(left, right, key, wiring, first)
    box6(left, right, key, wiring, first)
    box7(left, right, key, wiring, first)
    box8(left, right, key, wiring, first)


@compiled
def rounds(left: U64Array, right: U64Array, key: U64Array, wiring: U64Array) -> None:
    """The sixteen rounds of DES; the result has its halves exchanged: it is (right, left)."""
    first = ZERO
    while first < LAST:
        one_round(left, right, key, wiring, first)
        one_round(right, left, key, wiring, first + SUBKEY)
        first += TWO_SUBKEYS


@compiled
def derive(keys: U64Array, which: IndexArray, factors: U64Array) -> U64Array:
    """Two-key triple DES of each factor and of its complement under `keys[which[i]]` (facts 2.2).

    Keys are (n, 2), first half and second.
    """
    derived = np.empty((len(which), 2), np.uint64)
    first, second = np.empty(BLOCKS, np.uint64), np.empty(BLOCKS, np.uint64)
    factor, block = np.empty(BLOCKS, np.uint64), np.empty(BLOCKS, np.uint64)
    left, right = np.zeros(HALF_BLOCKS, np.uint64), np.zeros(HALF_BLOCKS, np.uint64)
    for start in range(0, len(which), BLOCKS):
        count = min(len(which) - start, BLOCKS)
        for i in range(count):
            first[i], second[i] = keys[which[start + i], 0], keys[which[start + i], 1]
            factor[i] = factors[start + i]
        turn(first)
        turn(second)
        turn(factor)
        for part in range(2):
            enter(factor, left, right, ONES if part else ZERO)
            rounds(left, right, first, ENCIPHER)
            rounds(right, left, second, DECIPHER)
            rounds(left, right, first, ENCIPHER)
            leave(right, left, block)
            turn(block)
            for i in range(count):
                derived[start + i, part] = block[i]
    for used in (first, second, block):
        used[:] = ZERO
    return derived


@compiled
def macs(
    keys: U64Array, which: IndexArray, messages: U64Array, rows: IndexArray, rules: U64Array
) -> U32Array:
    """The DES-CBC-MAC of chosen messages under folded keys (facts 2.4).

    MAC i is of `messages[rows[i]]`, raw words padded by `rules` (`words.padding`), under the two halves,
    one XORed into the other, of `keys[which[i]]`.
    """
    found = np.empty(len(rows), np.uint32)
    key, block = np.empty(BLOCKS, np.uint64), np.empty(BLOCKS, np.uint64)
    left, right = np.zeros(HALF_BLOCKS, np.uint64), np.zeros(HALF_BLOCKS, np.uint64)
    for start in range(0, len(rows), BLOCKS):
        count = min(len(rows) - start, BLOCKS)
        for i in range(count):
            card = which[start + i]
            key[i] = keys[card, 0] ^ keys[card, 1]
        turn(key)
        for number in range(len(rules)):
            for i in range(count):
                block[i] = word(messages, rows[start + i], rules, number)
            turn(block)
            enter(block, left, right, ZERO)
            rounds(left, right, key, ENCIPHER)
            left, right = right, left
        leave(left, right, block)
        turn(block)
        for i in range(count):
            found[start + i] = block[i] >> HALF
    key[:] = ZERO
    return found
