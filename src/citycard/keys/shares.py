# SPDX-License-Identifier: Apache-2.0
"""Components of the root secret (密钥分量): what each custodian holds, and putting them together again.

Two methods. `xor`: all N components are needed, each as random as the secret, and each may come from its
custodian. `shamir`: any M of N (A. Shamir, How to share a secret, 1979), byte by byte over GF(256) with the
polynomial 11B of AES; fewer than M tell nothing. Of the N points of a polynomial of degree M-1, custodian i
has the one at x = i, and the secret is its value at 0.

A component is written as 18 groups of four letters and digits (base 32): form, method, M, N, number, mark of
the set, 32 bytes, checksum. The mark is public; it keeps components of two ceremonies from being mixed.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from citycard.core.problem import declare
from citycard.keys.secret import KeyBytes

SECRET_SIZE: Final = 32
MARK_SIZE: Final = 3
CHECKSUM_SIZE: Final = 4
FORM: Final = 1
METHODS: Final = ("xor", "shamir")
PEOPLE_MAX: Final = 16  # round one table; GF(256) would allow 255
GROUP: Final = 4
TEXT_SIZE: Final = -(-8 * (5 + MARK_SIZE + SECRET_SIZE + CHECKSUM_SIZE) // 5)

SHARE_TEXT = declare(
    "SHARE_TEXT",
    "This is no component of a root secret: {why}. Type it again as it is written.",
    "这不是有效的密钥分量：{why}；请按原文重新输入。",
)
SHARE_SET = declare(
    "SHARE_SET",
    "The components do not belong together: {why}.",
    "这些密钥分量不属于同一组：{why}。",
)
SHARE_COUNT = declare(
    "SHARE_COUNT",
    "{have} components were given, {need} are needed.",
    "已给出 {have} 个密钥分量，需要 {need} 个。",
)
SHARE_PEOPLE = declare(
    "SHARE_PEOPLE",
    "A root secret is shared among 2 to {most} custodians and needs 2 to all of them ({have} were named, "
    "{need} are to be needed).",
    "根密钥应由 2 至 {most} 名保管员分持，恢复需要其中 2 名至全部（现有 {have} 名，要求 {need} 名）。",
)


@dataclass(frozen=True, slots=True)
class Component:
    """What one custodian holds. `number` counts from 1; `mark` is the check value of the secret."""

    method: str
    need: int
    count: int
    number: int
    mark: bytes
    data: KeyBytes

    @property
    def check_value(self) -> str:
        """Six hex digits that tell this component from others and nothing of it."""
        return hashlib.sha256(b"citycard component" + self.data).digest()[:3].hex().upper()

    def text(self) -> str:
        """As it is written down: a secret."""
        body = bytes((FORM, METHODS.index(self.method), self.need, self.count, self.number))
        body += self.mark + self.data
        letters = base64.b32encode(body + _checksum(body)).decode().rstrip("=")
        return " ".join(letters[at : at + GROUP] for at in range(0, len(letters), GROUP))


def split(
    secret: KeyBytes, method: str, need: int, count: int, random: Callable[[int], bytes]
) -> list[Component]:
    """Components for `count` custodians, of which `need` give the secret. SHARE_PEOPLE."""
    check_people(method, need, count)
    assert len(secret) == SECRET_SIZE
    if method == "xor":
        parts = [KeyBytes(random(SECRET_SIZE)) for _ in range(count - 1)]
        parts.append(_xor([secret, *parts]))
    else:
        coefficients = [random(SECRET_SIZE) for _ in range(need - 1)]
        parts = [_at(secret, coefficients, number) for number in range(1, count + 1)]
    mark = secret_mark(secret)
    return [Component(method, need, count, number, mark, part) for number, part in enumerate(parts, 1)]


def join_own(parts: Sequence[KeyBytes]) -> KeyBytes:
    """The secret that custodians' own components make (method xor)."""
    return _xor(parts)


def combine(components: Sequence[Component]) -> KeyBytes:
    """The secret. SHARE_COUNT, SHARE_SET (other ceremonies, one twice, or a wrong one)."""
    if not components:
        raise SHARE_COUNT(have=0, need=2)
    first = components[0]
    kinds = {(one.method, one.need, one.count, one.mark) for one in components}
    if len(kinds) > 1:
        raise SHARE_SET(why="they come from different ceremonies")
    if len({one.number for one in components}) < len(components):
        raise SHARE_SET(why="one was given twice")
    if len(components) < first.need:
        raise SHARE_COUNT(have=len(components), need=first.need)
    chosen = components[: first.need]
    data = [one.data for one in chosen]
    secret = _xor(data) if first.method == "xor" else _at_zero([one.number for one in chosen], data)
    if secret_mark(secret) != first.mark:
        raise SHARE_SET(why="put together they do not give the secret they are marked with")
    return secret


def parse(text: str) -> Component:
    """A component as typed: case, spaces and dashes do not matter. SHARE_TEXT."""
    letters = "".join(text.upper().replace("-", " ").split())
    if len(letters) != TEXT_SIZE:
        raise SHARE_TEXT(why=f"it has {len(letters)} letters and digits, not {TEXT_SIZE}")
    try:
        raw = KeyBytes(base64.b32decode(letters + "=" * (-len(letters) % 8)))
    except ValueError:
        raise SHARE_TEXT(why="letters are A to Z, digits 2 to 7") from None
    body, checksum = raw[:-CHECKSUM_SIZE], raw[-CHECKSUM_SIZE:]
    form, method, need, count, number = body[:5]
    if _checksum(body) != bytes(checksum):
        raise SHARE_TEXT(why="its checksum does not fit, so something is mistyped")
    if form != FORM or method >= len(METHODS) or not (2 <= need <= count and 1 <= number <= count):
        raise SHARE_TEXT(why="it is of another version")
    mark, data = bytes(body[5 : 5 + MARK_SIZE]), KeyBytes(body[5 + MARK_SIZE :])
    return Component(METHODS[method], need, count, number, mark, data)


def secret_mark(secret: bytes) -> bytes:
    """Three bytes that tell one secret from another and nothing of it: its check value."""
    return hashlib.sha256(b"citycard root secret" + secret).digest()[:MARK_SIZE]


def check_people(method: str, need: int, count: int) -> None:
    """SHARE_PEOPLE unless so many custodians can share a secret."""
    all_needed = method == "xor" and need != count
    if not 2 <= count <= PEOPLE_MAX or not 2 <= need <= count or all_needed:
        raise SHARE_PEOPLE(most=PEOPLE_MAX, have=count, need=need)


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(b"citycard component text" + body).digest()[:CHECKSUM_SIZE]


def _xor(parts: Sequence[bytes]) -> KeyBytes:
    whole = 0
    for part in parts:
        whole ^= int.from_bytes(part, "big")
    return KeyBytes(whole.to_bytes(SECRET_SIZE, "big"))


def _tables() -> tuple[list[int], list[int]]:
    """Powers of the generator 3 in GF(256), twice over, and their logarithms."""
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value ^= value << 1  # times 3
        if value & 0x100:
            value ^= 0x11B
    logs = [0] * 256
    for exponent, power in enumerate(powers):
        logs[power] = exponent
    return powers + powers, logs


POWERS, LOGS = _tables()


def _times(a: int, b: int) -> int:
    return POWERS[LOGS[a] + LOGS[b]] if a and b else 0


def _over(a: int, b: int) -> int:
    return POWERS[LOGS[a] + 255 - LOGS[b]] if a else 0


def _at(secret: bytes, coefficients: Sequence[bytes], x: int) -> KeyBytes:
    """The polynomials secret + c1 x + c2 x^2 ... at x, by Horner."""
    values = []
    for column in zip(secret, *coefficients, strict=True):
        value = 0
        for coefficient in reversed(column):
            value = _times(value, x) ^ coefficient
        values.append(value)
    return KeyBytes(values)


def _at_zero(xs: Sequence[int], shares: Sequence[bytes]) -> KeyBytes:
    """The value at 0 of the polynomials through these points, by Lagrange."""
    weights = []
    for x in xs:
        weight = 1
        for other in xs:
            if other != x:
                weight = _times(weight, _over(other, other ^ x))
        weights.append(weight)
    secret = [0] * SECRET_SIZE
    for (weight, share), place in itertools.product(zip(weights, shares, strict=True), range(SECRET_SIZE)):
        secret[place] ^= _times(weight, share[place])
    return KeyBytes(secret)
