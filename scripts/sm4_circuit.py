# SPDX-License-Identifier: Apache-2.0
"""Derives a circuit of the S-box of SM4: inversion in GF(2^8), between two affine maps.

The S-box is S(x) = A inv(A x + c) + c in the field of polynomial 1F5 (GB/T 32907, with A circulant).
Inversion is cheap in a tower of fields, GF(((2^2)^2)^2), where it comes down to products in GF(4). Each
tower and each way into it gives other linear maps at both ends; the pair with the fewest gates is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final

POLYNOMIAL: Final = 0x1F5
CONSTANT: Final = 0xD3
CIRCULANT: Final = 0xD3  # first row of A, most significant bit first; each row is the one before turned right
NOT, AND, XOR = 1, 2, 4

Matrix = tuple[int, ...]  # a byte for each column: where the bit of that value, 1, 2, 4... goes
Pair = tuple[int, int]  # nodes of an element of GF(4): of w and of 1


def field_multiply(a: int, b: int) -> int:
    """In the field of SM4."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (POLYNOMIAL if a & 0x80 else 0)
        b >>= 1
    return product


class Tower:
    """GF(4) by w^2 = w + 1, GF(16) by y^2 = y + n, GF(256) by z^2 = z + m; high half first."""

    def __init__(self, n: int, m: int) -> None:
        self.n, self.m = n, m

    def multiply4(self, a: int, b: int) -> int:
        a1, a0, b1, b0 = a >> 1, a & 1, b >> 1, b & 1
        high = a1 & b1 ^ a1 & b0 ^ a0 & b1
        return high << 1 | a1 & b1 ^ a0 & b0

    def multiply16(self, a: int, b: int) -> int:
        a1, a0, b1, b0 = a >> 2, a & 3, b >> 2, b & 3
        top, times = self.multiply4(a1, b1), self.multiply4
        high = top ^ times(a1, b0) ^ times(a0, b1)
        return high << 2 | times(top, self.n) ^ times(a0, b0)

    def multiply(self, a: int, b: int) -> int:
        a1, a0, b1, b0 = a >> 4, a & 15, b >> 4, b & 15
        top, times = self.multiply16(a1, b1), self.multiply16
        high = top ^ times(a1, b0) ^ times(a0, b1)
        return high << 4 | times(top, self.m) ^ times(a0, b0)

    def ways_in(self) -> Iterator[Matrix]:
        """The maps of SM4's field onto this tower: x to each root of its polynomial."""
        for root in range(2, 256):
            powers = [1]
            for _ in range(8):
                powers.append(self.multiply(powers[-1], root))
            if not _sum(powers[bit] for bit in range(9) if POLYNOMIAL >> bit & 1):
                yield tuple(powers[:8])


def towers() -> Iterator[Tower]:
    """All whose polynomials have no root, and so make fields."""
    for n in range(1, 4):
        if all(Tower(n, 0).multiply4(y, y) ^ y ^ n for y in range(4)):
            for m in range(1, 16):
                if all(Tower(n, m).multiply16(z, z) ^ z ^ m for z in range(16)):
                    yield Tower(n, m)


class Circuit:
    """Gates over eight inputs, most significant first; what was computed once is not computed again."""

    def __init__(self) -> None:
        self.ops: list[list[int]] = []
        self._known: dict[tuple[int, int, int], int] = {}

    def gate(self, op: int, a: int, b: int) -> int:
        key = (op, *sorted((a, b)))
        if key not in self._known:
            self.ops.append([op, a, b])
            self._known[key] = 7 + len(self.ops)
        return self._known[key]

    def add(self, a: Pair, b: Pair) -> Pair:
        return self.gate(XOR, a[0], b[0]), self.gate(XOR, a[1], b[1])

    def multiply4(self, a: Pair, b: Pair) -> Pair:
        """Three products instead of four."""
        low = self.gate(AND, a[1], b[1])
        both = self.gate(AND, self.gate(XOR, *a), self.gate(XOR, *b))
        return self.gate(XOR, both, low), self.gate(XOR, self.gate(AND, a[0], b[0]), low)

    def scale4(self, a: Pair, by: int) -> Pair:
        """Times a constant."""
        total = self.gate(XOR, *a) if by != 1 else -1
        return {1: a, 2: (total, a[0]), 3: (a[1], total)}[by]

    def square4(self, a: Pair) -> Pair:
        return a[0], self.gate(XOR, *a)

    def multiply16(self, a: list[int], b: list[int], n: int) -> list[int]:
        a1, a0, b1, b0 = (a[0], a[1]), (a[2], a[3]), (b[0], b[1]), (b[2], b[3])
        top, low = self.multiply4(a1, b1), self.multiply4(a0, b0)
        both = self.multiply4(self.add(a1, a0), self.add(b1, b0))
        return [*self.add(both, low), *self.add(self.scale4(top, n), low)]

    def invert16(self, a: list[int], n: int) -> list[int]:
        a1, a0 = (a[0], a[1]), (a[2], a[3])
        total = self.add(a1, a0)
        norm = self.add(self.scale4(self.square4(a1), n), self.multiply4(total, a0))
        inverse = self.square4(norm)
        return [*self.multiply4(a1, inverse), *self.multiply4(total, inverse)]

    def linear(self, inputs: list[int], rows: list[int]) -> list[int]:
        """Output i is the sum of the inputs that row i names; the commonest pair of terms is added first."""
        nodes = list(inputs)
        terms = [{at for at in range(len(inputs)) if row >> (len(inputs) - 1 - at) & 1} for row in rows]
        while any(len(row) > 1 for row in terms):
            pairs = [pair for row in terms for pair in combinations(sorted(row), 2)]
            best = max(sorted(set(pairs)), key=pairs.count)
            nodes.append(self.gate(XOR, nodes[best[0]], nodes[best[1]]))
            for row in terms:
                if row.issuperset(best):
                    row.difference_update(best)
                    row.add(len(nodes) - 1)
        return [nodes[min(row)] for row in terms]


def circuit() -> tuple[list[list[int]], list[int]]:
    """(operations, output nodes) of the smallest circuit found."""
    found = [_through(tower, way) for tower in towers() for way in tower.ways_in()]
    return min(found, key=lambda made: len(made[0]))


def _through(tower: Tower, way: Matrix) -> tuple[list[list[int]], list[int]]:
    affine = [_turned(CIRCULANT, turn) for turn in range(8)]
    inward = _rows([_apply(way, _times(affine, 1 << bit)) for bit in range(8)])
    back = _inverse(way)
    outward = _rows([_times(affine, _apply(back, 1 << bit)) for bit in range(8)])
    made = Circuit()
    entered = _flip(made, made.linear(list(range(8)), inward), _apply(way, CONSTANT))
    inverted = _inverted(made, entered, tower)
    return made.ops, _flip(made, made.linear(inverted, outward), CONSTANT)


def _inverted(made: Circuit, a: list[int], tower: Tower) -> list[int]:
    high, low = a[:4], a[4:]
    total = [made.gate(XOR, x, y) for x, y in zip(high, low, strict=True)]
    squares = _rows([tower.multiply16(tower.multiply16(1 << bit, 1 << bit), tower.m) for bit in range(4)], 4)
    norm = [
        made.gate(XOR, x, y)
        for x, y in zip(made.linear(high, squares), made.multiply16(total, low, tower.n), strict=True)
    ]
    inverse = made.invert16(norm, tower.n)
    return made.multiply16(high, inverse, tower.n) + made.multiply16(total, inverse, tower.n)


def _flip(made: Circuit, nodes: list[int], constant: int) -> list[int]:
    return [made.gate(NOT, node, node) if constant >> (7 - at) & 1 else node for at, node in enumerate(nodes)]


def _rows(columns: list[int], size: int = 8) -> list[int]:
    """Rows, first output first, of a map given by what it makes of 1, 2, 4..."""
    return [sum((columns[bit] >> (size - 1 - at) & 1) << bit for bit in range(size)) for at in range(size)]


def _apply(columns: Matrix, value: int) -> int:
    return _sum(column for bit, column in enumerate(columns) if value >> bit & 1)


def _times(rows: list[int], value: int) -> int:
    return sum(((row & value).bit_count() & 1) << (7 - at) for at, row in enumerate(rows))


def _inverse(columns: Matrix) -> Matrix:
    images = {_apply(columns, value): value for value in range(256)}
    return tuple(images[1 << bit] for bit in range(8))


def _turned(row: int, by: int) -> int:
    return (row >> by | row << 8 - by) & 0xFF


def _sum(values: Iterator[int]) -> int:
    total = 0
    for value in values:
        total ^= value
    return total
