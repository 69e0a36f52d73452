# SPDX-License-Identifier: Apache-2.0
"""Bit slices: 4,096 blocks of 64 bits turned by 90 degrees.

Row r of the turned blocks holds bit r of all of them. A gate of an S-box is then one instruction for as many
blocks as a register has bits, and a permutation is only a choice of rows. What a kernel works on are such
rows, one after the other, `WORDS` words each; half a block is 32 of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from citycard.keys.tac.jit import U64Array, compiled
from citycard.keys.tac.sboxes import WORDS

BLOCKS: Final = 64 * WORDS
HALF_BLOCKS: Final = 32 * WORDS
W: Final = np.uint64(WORDS)
ZERO: Final = np.uint64(0)
ONE: Final = np.uint64(1)
HALF: Final = np.uint64(32)
WHOLE: Final = np.uint64(64)
LOW_HALF: Final = np.uint64(0xFFFF_FFFF)
ONES: Final = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


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
