# SPDX-License-Identifier: Apache-2.0
"""Access conditions of a MIFARE-Classic-like sector, as two tables, and their bits in the sector's trailer.

Three bits C1 C2 C3 for each of four groups of blocks, each bit stored once as it is and once inverted. Bits
that contradict their inverse make a sector that answers nothing any more. Source: NXP MF1S50yyX data sheet,
8.7 (tables 6 to 8).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

ACCESS_AT: Final = 6  # where the three access bytes lie in a trailer; the fourth is free for data
ACCESS_SIZE: Final = 3
NEVER, A, B, EITHER = "", "A", "B", "AB"


class Need(IntEnum):
    """What one may want of a data block, as columns of `DATA`."""

    READ = 0
    WRITE = 1
    INCREMENT = 2
    DECREMENT = 3  # transfer and restore too


class Trailer(NamedTuple):
    """Which key may do what to a trailer; key A is read by nobody."""

    write_a: str
    read_access: str
    write_access: str
    read_b: str
    write_b: str


DATA: Final[dict[int, tuple[str, str, str, str]]] = {  # C1 C2 C3 -> read, write, increment, decrement
    0b000: (EITHER, EITHER, EITHER, EITHER),
    0b010: (EITHER, NEVER, NEVER, NEVER),
    0b100: (EITHER, B, NEVER, NEVER),
    0b110: (EITHER, B, B, EITHER),
    0b001: (EITHER, NEVER, NEVER, EITHER),
    0b011: (B, B, NEVER, NEVER),
    0b101: (B, NEVER, NEVER, NEVER),
    0b111: (NEVER, NEVER, NEVER, NEVER),
}
TRAILER: Final[dict[int, Trailer]] = {
    0b000: Trailer(A, A, NEVER, A, A),
    0b010: Trailer(NEVER, A, NEVER, A, NEVER),
    0b100: Trailer(B, EITHER, NEVER, NEVER, B),
    0b110: Trailer(NEVER, EITHER, NEVER, NEVER, NEVER),
    0b001: Trailer(A, A, A, A, A),
    0b011: Trailer(B, EITHER, B, NEVER, B),
    0b101: Trailer(NEVER, EITHER, B, NEVER, NEVER),
    0b111: Trailer(NEVER, EITHER, NEVER, NEVER, NEVER),
}
TRANSPORT: Final = (0b000, 0b000, 0b000, 0b001)
Conditions = tuple[int, int, int, int]  # of data groups 0 to 2 and of the trailer


def encode(conditions: Conditions) -> bytes:
    """The three access bytes."""
    c1, c2, c3 = (
        sum((value >> shift & 1) << group for group, value in enumerate(conditions)) for shift in (2, 1, 0)
    )
    return bytes(((c2 ^ 0xF) << 4 | c1 ^ 0xF, c1 << 4 | c3 ^ 0xF, c3 << 4 | c2))


def decode(raw: bytes) -> Conditions | None:
    """The conditions of a trailer's access bytes, None when bits and their inverses disagree."""
    c2_inverse, c1_inverse, c1, c3_inverse, c3, c2 = (
        part for byte in raw[:ACCESS_SIZE] for part in (byte >> 4, byte & 0xF)
    )
    if (c1 ^ c1_inverse, c2 ^ c2_inverse, c3 ^ c3_inverse) != (0xF, 0xF, 0xF):
        return None
    groups = [(c1 >> g & 1) << 2 | (c2 >> g & 1) << 1 | c3 >> g & 1 for g in range(4)]
    return groups[0], groups[1], groups[2], groups[3]


def key_b_is_readable(conditions: Conditions) -> bool:
    """Then key B is data, and whoever authenticates with it may do nothing."""
    return bool(TRAILER[conditions[3]].read_b)
