# SPDX-License-Identifier: Apache-2.0
"""SM4 in bulk: tables that merge S-box and diffusion, three records at a time.

Three, because one record's rounds wait for each other and a processor can do the rounds of three meanwhile;
more want more registers than there are. Words of 32 bits are kept in 64: numba computes in 64 anyway, and
no operation of the table form carries beyond 32.

Source: GB/T 32907-2016.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from citycard.keys.tac.jit import IndexArray, U32Array, U64Array, compiled
from citycard.keys.tac.words import word

LANES: Final = 3
ROUNDS: Final = 32
BYTE: Final = np.uint64(0xFF)
WORD: Final = np.uint64(0xFFFF_FFFF)
B1: Final = np.uint64(8)
B2: Final = np.uint64(16)
B3: Final = np.uint64(24)
UPPER: Final = np.uint64(32)
ZERO: Final = np.uint64(0)

SBOX: Final = np.frombuffer(
    bytes.fromhex(
        "d690e9fecce13db716b614c228fb2c052b679a762abe04c3aa44132649860699"
        "9c4250f491ef987a33540b43edcfac62e4b31ca9c908e89580df94fa758f3fa6"
        "4707a7fcf37317ba83593c19e6854fa8686b81b27164da8bf8eb0f4b70569d35"
        "1e240e5e6358d1a225227c3b01217887d40046579fd327524c3602e7a0c4c89e"
        "eabf8ad240c738b5a3f7f2cef96115a1e0ae5da49b341a55ad933230f58cb1e3"
        "1df6e22e8266ca60c02923ab0d534e6fd5db3745defd8e2f03ff6a726d6c5b51"
        "8d1baf92bbddbc7f11d95c411f105ad80ac13188a5cd7bbd2d74d012b8e5b4b0"
        "8969974a0c96777e65b9f109c56ec68418f07dec3adc4d2079ee5f3ed7cb3948"
    ),
    np.uint8,
)
FK: Final = np.array([0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC], np.uint64)
CK: Final = np.array([[(4 * i + j) * 7 & 0xFF for j in range(4)] for i in range(ROUNDS)], "u1")
CONSTANTS: Final = CK.view(">u4").reshape(-1).astype(np.uint64)


def _tables(turns: tuple[int, ...]) -> tuple[U64Array, U64Array, U64Array, U64Array]:
    """S-box and diffusion (the XOR of rotations by `turns`) of each of the four bytes of a word."""
    words = SBOX.astype(np.uint64)

    def rotated(by: int) -> U64Array:
        return (words << np.uint64(by % 32) | words >> np.uint64(-by % 32)) & WORD if by % 32 else words

    low, second, third, high = (
        np.bitwise_xor.reduce([rotated(turn + 8 * byte) for turn in turns]) for byte in range(4)
    )
    return high, third, second, low


T3, T2, T1, T0 = _tables((0, 2, 10, 18, 24))
K3, K2, K1, K0 = _tables((0, 13, 23))


@compiled
def mix(x: np.uint64) -> np.uint64:
    """T of the rounds."""
    mixed: np.uint64 = T3[x >> B3] ^ T2[(x >> B2) & BYTE] ^ T1[(x >> B1) & BYTE] ^ T0[x & BYTE]
    return mixed


@compiled
def key_mix(x: np.uint64) -> np.uint64:
    """T' of the key schedule."""
    mixed: np.uint64 = K3[x >> B3] ^ K2[(x >> B2) & BYTE] ^ K1[(x >> B1) & BYTE] ^ K0[x & BYTE]
    return mixed


@compiled
def schedule(keys: U64Array) -> U32Array:
    """The 32 round keys of every key (n, 2)."""
    round_keys = np.empty((len(keys), ROUNDS), np.uint32)
    for start in range(0, len(keys), LANES):
        i, j, k = start, min(start + 1, len(keys) - 1), min(start + 2, len(keys) - 1)
        a0, a1 = (keys[i, 0] >> UPPER) ^ FK[0], (keys[i, 0] & WORD) ^ FK[1]
        a2, a3 = (keys[i, 1] >> UPPER) ^ FK[2], (keys[i, 1] & WORD) ^ FK[3]
        b0, b1 = (keys[j, 0] >> UPPER) ^ FK[0], (keys[j, 0] & WORD) ^ FK[1]
        b2, b3 = (keys[j, 1] >> UPPER) ^ FK[2], (keys[j, 1] & WORD) ^ FK[3]
        c0, c1 = (keys[k, 0] >> UPPER) ^ FK[0], (keys[k, 0] & WORD) ^ FK[1]
        c2, c3 = (keys[k, 1] >> UPPER) ^ FK[2], (keys[k, 1] & WORD) ^ FK[3]
        for number in range(ROUNDS):
            constant = CONSTANTS[number]
            a0, a1, a2, a3 = a1, a2, a3, a0 ^ key_mix(a1 ^ a2 ^ a3 ^ constant)
            b0, b1, b2, b3 = b1, b2, b3, b0 ^ key_mix(b1 ^ b2 ^ b3 ^ constant)
            c0, c1, c2, c3 = c1, c2, c3, c0 ^ key_mix(c1 ^ c2 ^ c3 ^ constant)
            round_keys[i, number] = a3
            round_keys[j, number] = b3
            round_keys[k, number] = c3
    return round_keys


@compiled
def chain(
    round_keys: U32Array, which: IndexArray, messages: U64Array, rows: IndexArray, rules: U64Array
) -> U64Array:
    """The last block (n, 2) of the CBC chain over chosen messages.

    Block i is of `messages[rows[i]]`, raw words padded by `rules` (`words.padding`), under
    `round_keys[which[i]]`.
    """
    last = np.empty((len(rows), 2), np.uint64)
    for start in range(0, len(rows), LANES):
        i, j, k = start, min(start + 1, len(rows) - 1), min(start + 2, len(rows) - 1)
        p, q, r = round_keys[which[i]], round_keys[which[j]], round_keys[which[k]]
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = c0 = c1 = c2 = c3 = ZERO
        for at in range(0, len(rules), 2):
            high, low = word(messages, rows[i], rules, at), word(messages, rows[i], rules, at + 1)
            a0, a1, a2, a3 = a0 ^ (high >> UPPER), a1 ^ (high & WORD), a2 ^ (low >> UPPER), a3 ^ (low & WORD)
            high, low = word(messages, rows[j], rules, at), word(messages, rows[j], rules, at + 1)
            b0, b1, b2, b3 = b0 ^ (high >> UPPER), b1 ^ (high & WORD), b2 ^ (low >> UPPER), b3 ^ (low & WORD)
            high, low = word(messages, rows[k], rules, at), word(messages, rows[k], rules, at + 1)
            c0, c1, c2, c3 = c0 ^ (high >> UPPER), c1 ^ (high & WORD), c2 ^ (low >> UPPER), c3 ^ (low & WORD)
            for number in range(ROUNDS):
                a0, a1, a2, a3 = a1, a2, a3, a0 ^ mix(a1 ^ a2 ^ a3 ^ p[number])
                b0, b1, b2, b3 = b1, b2, b3, b0 ^ mix(b1 ^ b2 ^ b3 ^ q[number])
                c0, c1, c2, c3 = c1, c2, c3, c0 ^ mix(c1 ^ c2 ^ c3 ^ r[number])
            a0, a1, a2, a3 = a3, a2, a1, a0
            b0, b1, b2, b3 = b3, b2, b1, b0
            c0, c1, c2, c3 = c3, c2, c1, c0
        last[i, 0], last[i, 1] = (a0 << UPPER) | a1, (a2 << UPPER) | a3
        last[j, 0], last[j, 1] = (b0 << UPPER) | b1, (b2 << UPPER) | b3
        last[k, 0], last[k, 1] = (c0 << UPPER) | c1, (c2 << UPPER) | c3
    return last
