# SPDX-License-Identifier: Apache-2.0
"""SM4 on bit slices: 4,096 blocks at a time, each with a key of its own.

The four words of the state are 32 rows each; rotating a word is reading its rows from another one on. Round
keys are half a megabyte and stay in the second cache.

Source: GB/T 32907-2016. The S-box: `sboxes`. What SM4 does in a purse is an unverified profile (facts 2.6).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from citycard.keys.tac.jit import IndexArray, U32Array, U64Array, compiled
from citycard.keys.tac.sboxes import R0, R8, R16, R24, sm4_box
from citycard.keys.tac.slices import BLOCKS, HALF, HALF_BLOCKS, ONE, ONES, ZERO, W, turn
from citycard.keys.tac.words import word

ROUNDS: Final = 32
SIZE: Final = HALF_BLOCKS  # of a word of the state, and of a round key
LAST_BIT: Final = np.uint64(31)
# By how many bits the diffusion of a round, and that of the key schedule, turns a word to the left.
L2, L10, L18, L24 = np.uint64(2), np.uint64(10), np.uint64(18), np.uint64(24)
K13, K23 = np.uint64(13), np.uint64(23)
FK_HIGH: Final = np.uint64(0xA3B1BAC6_56AA3350)
FK_LOW: Final = np.uint64(0x677D9197_B27022DC)
CK: Final = np.array(
    [int.from_bytes(bytes((4 * i + j) * 7 & 0xFF for j in range(4)), "big") for i in range(ROUNDS)], np.uint64
)


@compiled
def spread(number: np.uint64, rows: U64Array) -> None:
    """One word for all blocks."""
    for bit in range(HALF):
        rows[bit * W : (bit + ONE) * W] = ZERO - ((number >> (LAST_BIT - bit)) & ONE)


@compiled
def substitute(x: U64Array, y: U64Array, z: U64Array, key: U64Array, out: U64Array) -> None:
    """The S-boxes of the four bytes."""
    sm4_box(x, y, z, key, R0, out)
    sm4_box(x, y, z, key, R8, out)
    sm4_box(x, y, z, key, R16, out)
    sm4_box(x, y, z, key, R24, out)


@compiled
def diffuse(s: U64Array, x: U64Array) -> None:
    """XOR the diffusion of a round into a word."""
    for bit in range(HALF):
        a, b, c = bit * W, ((bit + L2) & LAST_BIT) * W, ((bit + L10) & LAST_BIT) * W
        d, e = ((bit + L18) & LAST_BIT) * W, ((bit + L24) & LAST_BIT) * W
        for at in range(W):
            x[a + at] ^= s[a + at] ^ s[b + at] ^ s[c + at] ^ s[d + at] ^ s[e + at]


@compiled
def diffuse_key(s: U64Array, x: U64Array, round_key: U64Array) -> None:
    """XOR the diffusion of the key schedule into a word, which is the round key."""
    for bit in range(HALF):
        a, b, c = bit * W, ((bit + K13) & LAST_BIT) * W, ((bit + K23) & LAST_BIT) * W
        for at in range(W):
            x[a + at] ^= s[a + at] ^ s[b + at] ^ s[c + at]
            round_key[a + at] = x[a + at]


@compiled
def schedule(keys: U64Array, which: IndexArray, start: int, round_keys: U64Array) -> None:
    """The round keys of the blocks from `start` on, under `keys[which[i]]`, (n, 2)."""
    high, low, box, constant = (
        np.zeros(BLOCKS, np.uint64),
        np.zeros(BLOCKS, np.uint64),
        np.empty(SIZE, np.uint64),
        np.empty(SIZE, np.uint64),
    )
    for i in range(min(len(which) - start, BLOCKS)):
        high[i], low[i] = keys[which[start + i], 0] ^ FK_HIGH, keys[which[start + i], 1] ^ FK_LOW
    turn(high)
    turn(low)
    x0, x1, x2, x3 = high[:SIZE], high[SIZE:], low[:SIZE], low[SIZE:]
    for number in range(ROUNDS):
        spread(CK[number], constant)
        substitute(x1, x2, x3, constant, box)
        diffuse_key(box, x0, round_keys[number * SIZE : (number + 1) * SIZE])
        x0, x1, x2, x3 = x1, x2, x3, x0
    for used in (high, low, box):
        used[:] = ZERO


@compiled
def encipher(high: U64Array, low: U64Array, round_keys: U64Array, box: U64Array) -> None:
    """The 32 rounds and the exchange of words after them, in place."""
    x0, x1, x2, x3 = high[:SIZE], high[SIZE:], low[:SIZE], low[SIZE:]
    for number in range(ROUNDS):
        substitute(x1, x2, x3, round_keys[number * SIZE : (number + 1) * SIZE], box)
        diffuse(box, x0)
        x0, x1, x2, x3 = x1, x2, x3, x0
    for at in range(SIZE):
        x0[at], x1[at], x2[at], x3[at] = x3[at], x2[at], x1[at], x0[at]


@compiled
def derive(keys: U64Array, which: IndexArray, factors: U64Array) -> U64Array:
    """One block of each factor and its complement under `keys[which[i]]` (facts 2.6): (n, 2)."""
    derived = np.empty((len(which), 2), np.uint64)
    round_keys, box = np.empty(ROUNDS * SIZE, np.uint64), np.empty(SIZE, np.uint64)
    high, low = np.zeros(BLOCKS, np.uint64), np.zeros(BLOCKS, np.uint64)
    for start in range(0, len(which), BLOCKS):
        count = min(len(which) - start, BLOCKS)
        schedule(keys, which, start, round_keys)
        for i in range(count):
            high[i], low[i] = factors[start + i], factors[start + i] ^ ONES
        turn(high)
        turn(low)
        encipher(high, low, round_keys, box)
        turn(high)
        turn(low)
        for i in range(count):
            derived[start + i, 0], derived[start + i, 1] = high[i], low[i]
    for used in (round_keys, box, high, low):
        used[:] = ZERO
    return derived


@compiled
def macs(
    keys: U64Array, which: IndexArray, messages: U64Array, rows: IndexArray, rules: U64Array
) -> U32Array:
    """The SM4-CBC-MAC of chosen messages (facts 2.6).

    MAC i is of `messages[rows[i]]`, raw words padded by `rules` (`words.padding`), under `keys[which[i]]`.
    """
    found = np.empty(len(rows), np.uint32)
    round_keys, box = np.empty(ROUNDS * SIZE, np.uint64), np.empty(SIZE, np.uint64)
    high, low, block = np.zeros(BLOCKS, np.uint64), np.zeros(BLOCKS, np.uint64), np.zeros(BLOCKS, np.uint64)
    for start in range(0, len(rows), BLOCKS):
        count = min(len(rows) - start, BLOCKS)
        schedule(keys, which, start, round_keys)
        high[:], low[:] = ZERO, ZERO
        for number in range(0, len(rules), 2):
            for part, half in ((0, high), (1, low)):
                for i in range(count):
                    block[i] = word(messages, rows[start + i], rules, number + part)
                turn(block)
                half ^= block
            encipher(high, low, round_keys, box)
        turn(high)
        for i in range(count):
            found[start + i] = high[i] >> HALF
    for used in (round_keys, box):
        used[:] = ZERO
    return found
