# SPDX-License-Identifier: Apache-2.0
"""SM2 signatures on the recommended curve: keys, signing, verification, and the bytes they travel in.

Why here: the crypto library has SM3 and SM4 but no SM2, whatever OpenSSL it is built on. Only the elliptic
curve is ours, the hash is the library's. Numbers are Python's: correct, but not of constant time, so whoever
can time many signatures to the microsecond or watch the cache may learn of the key (docs/threat-model.md).
The nonce comes from the key, the message and fresh randomness together: neither a weak source of randomness
nor a repeated message repeats it.

Sources: GB/T 32918.1, .2 and .5 (GM/T 0003), signature and key as bytes by GM/T 0009; checked against the
standard's example and a second implementation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from cryptography.hazmat.primitives.hashes import SM3, Hash
from cryptography.hazmat.primitives.hmac import HMAC

from citycard.core.problem import declare

SIZE: Final = 32  # bytes of a number of the curve
SECRET_SIZE: Final = SIZE
PUBLIC_SIZE: Final = 1 + 2 * SIZE  # 04, x, y
USER_ID: Final = b"1234567812345678"  # who signs, where nobody said otherwise (GM/T 0009, 10)
USER_ID_MAX: Final = 0x1FFF  # its length in bits has two bytes
TRIES_MAX: Final = 8  # a nonce that gives no signature has odds of 1 in 2^255

P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A: Final = P - 3
B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G: Final = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)

Point = tuple[int, int]
Jacobian = tuple[int, int, int]  # x/z^2, y/z^3; z = 0 is the point at infinity
Random = Callable[[int], bytes]
INFINITY: Final[Jacobian] = (1, 1, 0)

SM2_POINT = declare(
    "SM2_POINT",
    "This is no SM2 public key: {why}. It is 04 and a point of the curve, 65 bytes; ask its owner again.",
    "SM2 公钥无效：{why}。应为 65 字节（04 与曲线上的点），请向对方重新索取。",
)


# Keys and signatures


def is_secret(secret: bytes) -> bool:
    """Whether 32 bytes are a private key: a number from 1 to n - 2."""
    return len(secret) == SECRET_SIZE and 0 < int.from_bytes(secret, "big") < N - 1


def secret_of(seed: bytes) -> bytes:
    """The private key of 48 random bytes; so many that no key is likelier than another."""
    if len(seed) != SIZE + 16:
        raise ValueError(f"48 random bytes make a key, {len(seed)} were given")
    return (int.from_bytes(seed, "big") % (N - 2) + 1).to_bytes(SECRET_SIZE, "big")


def public_of(secret: bytes) -> bytes:
    """The public key: 04, x, y. `ValueError` when the private one is out of range."""
    if not is_secret(secret):
        raise ValueError("no SM2 private key: out of range")
    return encode_point(_affine(_times_g(int.from_bytes(secret, "big"))))


def encode_point(point: Point) -> bytes:
    """A point as 65 bytes, uncompressed."""
    return b"\x04" + b"".join(number.to_bytes(SIZE, "big") for number in point)


def decode_point(raw: bytes) -> Point:
    """The point in 65 bytes (04) or 33 (02, 03); SM2_POINT unless it lies on the curve."""
    if len(raw) == PUBLIC_SIZE and raw[0] == 4:
        x, y = int.from_bytes(raw[1:33], "big"), int.from_bytes(raw[33:], "big")
    elif len(raw) == 1 + SIZE and raw[0] in (2, 3):
        x = int.from_bytes(raw[1:], "big")
        y = pow(_right(x), (P + 1) // 4, P)
        y = y if y & 1 == raw[0] & 1 else P - y
    else:
        raise SM2_POINT(why=f"{len(raw)} bytes, the first is {raw[:1].hex() or 'missing'}")
    if x >= P or y >= P:
        raise SM2_POINT(why="a coordinate is out of range")
    if y * y % P != _right(x):
        raise SM2_POINT(why="the point is not on the curve")
    return x, y  # the cofactor is 1: any such point has order n


def sign(secret: bytes, message: bytes, random: Random, user_id: bytes = USER_ID) -> bytes:
    """The signature of a message in DER; `random` gives as many fresh random bytes as it is asked for.

    `ValueError` when the private key is out of range.
    """
    e = digest(public_of(secret), message, user_id)
    fresh = random(SIZE)
    for attempt in range(TRIES_MAX):
        made = sign_digest(secret, e, _nonce(secret, e, fresh, attempt))
        if made is not None:
            return encode_signature(*made)
    raise AssertionError("no nonce of eight gave a signature: the randomness or the arithmetic is broken")


def verify(public: bytes, message: bytes, signature: bytes, user_id: bytes = USER_ID) -> bool:
    """Whether a signature in DER is the key's over the message; SM2_POINT when the key is none."""
    point = decode_point(public)
    numbers = decode_signature(signature)
    if numbers is None:
        return False
    return verify_digest(point, digest(encode_point(point), message, user_id), *numbers)


def digest(public: bytes, message: bytes, user_id: bytes = USER_ID) -> int:
    """e: SM3 over the signer's hash ZA and the message; `public` is uncompressed."""
    if len(user_id) > USER_ID_MAX:
        raise ValueError("the user id is too long")
    curve = b"".join(number.to_bytes(SIZE, "big") for number in (A, B, *G))
    za = sm3((8 * len(user_id)).to_bytes(2, "big") + user_id + curve + public[1:])
    return int.from_bytes(sm3(za + message), "big")


def sign_digest(secret: bytes, e: int, k: int) -> tuple[int, int] | None:
    """(r, s) of a digest under a nonce from 1 to n - 1, or None where this nonce gives none.

    Part 2, 6.1. Never with a nonce that was used before: two signatures under one tell the key.
    """
    d = int.from_bytes(secret, "big")
    x, _ = _affine(_times_g(k))
    r = (e + x) % N
    s = pow(1 + d, -1, N) * (k - r * d) % N
    return None if r == 0 or r + k == N or s == 0 else (r, s)


def verify_digest(public: Point, e: int, r: int, s: int) -> bool:
    """Part 2, 7.1: ranges, then the point [s]G + [r + s]P."""
    t = (r + s) % N
    if not 0 < r < N or not 0 < s < N or t == 0:
        return False
    found = _add(_times_g(s), _times(t, public))
    return found[2] != 0 and (e + _affine(found)[0]) % N == r


def encode_signature(r: int, s: int) -> bytes:
    """SEQUENCE of two INTEGERs (GM/T 0009, 7.3)."""
    body = b"".join(
        b"\x02" + bytes((len(raw),)) + raw
        for raw in (number.to_bytes(number.bit_length() // 8 + 1, "big") for number in (r, s))
    )
    return b"\x30" + bytes((len(body),)) + body


def decode_signature(raw: bytes) -> tuple[int, int] | None:
    """(r, s), or None when these bytes are not the one DER encoding of two numbers."""
    if len(raw) < 4 or raw[0] != 0x30 or raw[1] != len(raw) - 2 or raw[2] != 2:
        return None
    middle = 4 + raw[3]
    r, s = int.from_bytes(raw[4:middle], "big"), int.from_bytes(raw[middle + 2 :], "big")
    small = r < 1 << 8 * SIZE and s < 1 << 8 * SIZE
    return (r, s) if small and encode_signature(r, s) == raw else None


def sm3(data: bytes) -> bytes:
    """The SM3 digest."""
    state = Hash(SM3())
    state.update(data)
    return state.finalize()


def _nonce(secret: bytes, e: int, fresh: bytes, attempt: int) -> int:
    """A number from 1 to n - 1 out of 512 bits, so that none is likelier than another."""
    blocks = b""
    for block in range(2):
        state = HMAC(secret, SM3())
        state.update(bytes((attempt, block)) + e.to_bytes(SIZE, "big") + fresh)
        blocks += state.finalize()
    return int.from_bytes(blocks, "big") % (N - 1) + 1


# The curve: y^2 = x^3 - 3x + b over the numbers modulo p


def _right(x: int) -> int:
    """The right side of the curve's equation."""
    return (x * x * x + A * x + B) % P


def _double(point: Jacobian) -> Jacobian:
    x, y, z = point
    delta, gamma = z * z % P, y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x3 = (alpha * alpha - 8 * beta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % P, 2 * y * z % P


def _add(one: Jacobian, two: Jacobian) -> Jacobian:
    if not one[2]:
        return two
    if not two[2]:
        return one
    (x1, y1, z1), (x2, y2, z2) = one, two
    square1, square2 = z1 * z1 % P, z2 * z2 % P
    u, s = x1 * square2 % P, y1 * z2 * square2 % P
    h, r = (x2 * square1 - u) % P, (y2 * z1 * square1 - s) % P
    if not h:
        return _double(one) if not r else INFINITY
    hh = h * h % P
    hhh, v = h * hh % P, u * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - s * hhh) % P, h * z1 * z2 % P


def _multiples(point: Jacobian) -> list[Jacobian]:
    """0 to 15 times a point."""
    table = [INFINITY, point]
    for _ in range(14):
        table.append(_add(table[-1], point))
    return table


def _times(number: int, point: Point) -> Jacobian:
    """[number]point, four bits at a time."""
    table = _multiples((*point, 1))
    found = INFINITY
    for shift in range(8 * SIZE - 4, -4, -4):
        found = _double(_double(_double(_double(found))))
        found = _add(found, table[number >> shift & 15])
    return found


@cache
def _multiples_of_g() -> list[list[Jacobian]]:
    """For each four bits of a number, the multiples of G they stand for: 64 additions are then all."""
    tables, point = [], (*G, 1)
    for _ in range(0, 8 * SIZE, 4):
        tables.append(_multiples(point))
        point = _add(tables[-1][15], point)
    return tables


def _times_g(number: int) -> Jacobian:
    """[number]G."""
    found = INFINITY
    for shift, table in zip(range(0, 8 * SIZE, 4), _multiples_of_g(), strict=True):
        found = _add(found, table[number >> shift & 15])
    return found


def _affine(point: Jacobian) -> Point:
    x, y, z = point
    assert z, "the point at infinity has no coordinates"
    inverse = pow(z, -1, P)
    square = inverse * inverse % P
    return x * square % P, y * square * inverse % P
