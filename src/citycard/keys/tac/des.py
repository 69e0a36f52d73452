# SPDX-License-Identifier: Apache-2.0
"""DES on bit slices: 4,096 blocks at a time, each with a key of its own.

Blocks are turned by 90 degrees, so that row r holds bit r of all of them; a gate of an S-box is then one
instruction for as many blocks as a register has bits, and every permutation is only a choice of rows. The
permutations IP and FP cancel between the stages of EDE and of CBC and are done at the ends alone.

Source of the tables: FIPS 46-3. The S-boxes: `sboxes`.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from citycard.keys.tac.jit import U64Array, compiled
from citycard.keys.tac.sboxes import WORDS, box1, box2, box3, box4, box5, box6, box7, box8

BLOCKS: Final = 64 * WORDS
W: Final = np.uint64(WORDS)
ZERO: Final = np.uint64(0)
ONE: Final = np.uint64(1)
TWO: Final = np.uint64(2)
HALF: Final = np.uint64(32)
WHOLE: Final = np.uint64(64)
SUBKEY: Final = np.uint64(48)
ROUNDS: Final = np.uint64(16)
LOW_HALF: Final = np.uint64(0xFFFF_FFFF)
ONES: Final = np.uint64(0xFFFF_FFFF_FFFF_FFFF)

PC1: Final = (
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
    63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
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
    """The key's row behind each of the 48 bits of the 16 round keys, round after round."""
    left, right = list(PC1[:28]), list(PC1[28:])
    rounds = []
    for shift in SHIFTS:
        left, right = left[shift:] + left[:shift], right[shift:] + right[:shift]
        both = left + right
        rounds.append([both[bit - 1] - 1 for bit in PC2])
    return np.array(rounds, "u8")


INITIAL: Final = _initial()
ENCIPHER: Final = _schedule().reshape(-1)
DECIPHER: Final = _schedule()[::-1].reshape(-1)


@compiled
def turn(rows: U64Array) -> None:
    """Transpose in place: bit j of row i becomes bit i of row j, for every word of the rows."""
    step, mask = HALF, LOW_HALF
    while step != ZERO:
        row = ZERO
        while row < WHOLE:
            upper, lower = row * W, (row + step) * W
            for at in range(W):
                swap = (rows[upper + at] ^ (rows[lower + at] >> step)) & mask
                rows[upper + at] ^= swap
                rows[lower + at] ^= swap << step
            row = ((row | step) + ONE) & ~step
        step >>= ONE
        mask ^= mask << step


@compiled
def take(numbers: U64Array, start: int, rows: U64Array) -> None:
    """The next blocks of a column, turned; zeros after its end."""
    count = min(len(numbers) - start, BLOCKS)
    rows[:count] = numbers[start : start + count]
    rows[count:] = ZERO
    turn(rows)


@compiled
def give(rows: U64Array, numbers: U64Array, start: int) -> None:
    """The inverse of `take`."""
    turn(rows)
    count = min(len(numbers) - start, BLOCKS)
    numbers[start : start + count] = rows[:count]


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
def one_round(left: U64Array, right: U64Array, key: U64Array, wiring: U64Array, subkey: U64Array) -> None:
    """One round; the halves are not exchanged, the caller names them the other way round."""
    for bit in range(SUBKEY):
        to, source = bit * W, wiring[bit] * W
        for at in range(W):
            subkey[to + at] = key[source + at]
    box1(left, right, subkey)
    box2(left, right, subkey)
    box3(left, right, subkey)
    box4(left, right, subkey)
    box5(left, right, subkey)
    box6(left, right, subkey)
    box7(left, right, subkey)
    box8(left, right, subkey)


@compiled
def rounds(left: U64Array, right: U64Array, key: U64Array, wiring: U64Array, subkey: U64Array) -> None:
    """The sixteen rounds of DES; the result has its halves exchanged: it is (right, left)."""
    number = ZERO
    while number < ROUNDS:
        one_round(left, right, key, wiring[number * SUBKEY :], subkey)
        number += ONE
        one_round(right, left, key, wiring[number * SUBKEY :], subkey)
        number += ONE


@compiled
def derive(left_keys: U64Array, right_keys: U64Array, factors: U64Array, derived: U64Array) -> None:
    """Two-key triple DES of each factor and of its complement: `derived` is (2, n) (facts 2.2)."""
    first, second, factor = (
        np.empty(BLOCKS, np.uint64),
        np.empty(BLOCKS, np.uint64),
        np.empty(BLOCKS, np.uint64),
    )
    block, subkey = np.empty(BLOCKS, np.uint64), np.empty(48 * WORDS, np.uint64)
    left, right = np.zeros(32 * WORDS, np.uint64), np.zeros(32 * WORDS, np.uint64)
    for start in range(0, len(factors), BLOCKS):
        take(left_keys, start, first)
        take(right_keys, start, second)
        take(factors, start, factor)
        for part in range(2):
            enter(factor, left, right, ONES if part else ZERO)
            rounds(left, right, first, ENCIPHER, subkey)
            rounds(right, left, second, DECIPHER, subkey)
            rounds(left, right, first, ENCIPHER, subkey)
            leave(right, left, block)
            give(block, derived[part], start)
    for used in (first, second, factor, block, subkey):
        used[:] = ZERO


@compiled
def mac(keys: U64Array, blocks: U64Array, macs: U64Array) -> None:
    """The last block of the CBC chain over `blocks`, (blocks, n), under each record's single-DES key."""
    key, block, subkey = (
        np.empty(BLOCKS, np.uint64),
        np.empty(BLOCKS, np.uint64),
        np.empty(48 * WORDS, np.uint64),
    )
    left, right = np.zeros(32 * WORDS, np.uint64), np.zeros(32 * WORDS, np.uint64)
    for start in range(0, len(macs), BLOCKS):
        take(keys, start, key)
        for number in range(len(blocks)):
            take(blocks[number], start, block)
            enter(block, left, right, ZERO)
            rounds(left, right, key, ENCIPHER, subkey)
            left, right = right, left
        leave(left, right, block)
        give(block, macs, start)
    for used in (key, block, subkey):
        used[:] = ZERO
