# SPDX-License-Identifier: Apache-2.0
"""Messages as the kernels read them: padded words of 64 bits, most significant byte first."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from citycard.keys.tac.jit import U64Array, compiled

B1: Final = np.uint64(8)
B2: Final = np.uint64(16)
B4: Final = np.uint64(32)
ODD_BYTES: Final = np.uint64(0x00FF_00FF_00FF_00FF)
ODD_PAIRS: Final = np.uint64(0x0000_FFFF_0000_FFFF)
ONES: Final = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
ZERO: Final = np.uint64(0)


@compiled
def swapped(word: np.uint64) -> np.uint64:
    """The eight bytes in the other order."""
    word = ((word >> B1) & ODD_BYTES) | ((word & ODD_BYTES) << B1)
    word = ((word >> B2) & ODD_PAIRS) | ((word & ODD_PAIRS) << B2)
    return (word >> B4) | (word << B4)


@compiled
def word(messages: U64Array, row: int, rules: U64Array, at: int) -> np.uint64:
    """Word `at` of a padded message."""
    padded: np.uint64 = (swapped(messages[row, at]) & rules[at, 0]) | rules[at, 1]
    return padded


def padding(length: int, block: int) -> U64Array:
    """How a message of a length is padded 80 00...: (words, 2), what of a word is kept and what is set."""
    rules = np.zeros(((length // block + 1) * block // 8, 2), np.uint64)
    whole, rest = divmod(length, 8)
    rules[:whole, 0] = ONES
    rules[whole, 0] = ~(int(ONES) >> 8 * rest) & int(ONES)
    rules[whole, 1] = 0x80 << 56 >> 8 * rest
    return rules


def as_raw_words(messages: NDArray[np.uint8], size: int) -> U64Array:
    """Rows of bytes as rows of 64-bit numbers in the order of memory, at least `size` bytes wide.

    Copied unless they are so already: a kernel is compiled for one kind of array only.
    """
    width = messages.shape[1]
    if width < size or width % 8 or not messages.flags.carray:
        wide = np.zeros((len(messages), -(-max(width, size) // 8) * 8), np.uint8)
        wide[:, :width] = messages
        messages = wide
    return messages.view("<u8")
