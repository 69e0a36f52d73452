# SPDX-License-Identifier: Apache-2.0
"""Components: any M of them give the secret, fewer give nothing, a slip of the pen is noticed."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.core.problem import Problem
from citycard.keys.secret import KeyBytes
from citycard.keys.shares import POWERS, Component, _at, _at_zero, _over, _times, combine, parse, split
from tests.keys.cast import seeded

SECRETS = st.binary(min_size=32, max_size=32).map(KeyBytes)


def code_of(act: object) -> str:
    with pytest.raises(Problem) as told:
        act()  # type: ignore[operator]
    return told.value.code


@given(secret=SECRETS, count=st.integers(2, 7), data=st.data())
def test_any_m_of_n_give_the_secret_and_fewer_do_not(
    secret: KeyBytes, count: int, data: st.DataObject
) -> None:
    need = data.draw(st.integers(2, count))
    components = split(secret, "shamir", need, count, seeded(data.draw(st.integers(0, 99))))
    chosen = data.draw(st.permutations(components))
    assert combine(chosen[:need]) == secret
    assert combine(chosen) == secret
    assert code_of(lambda: combine(chosen[: need - 1])) == "SHARE_COUNT"


def test_fewer_than_m_tell_nothing() -> None:
    """With M - 1 shares every secret is as likely: over all coefficients, each value comes once."""
    for x in (1, 2, 3):
        for byte in (0, 0x53, 0xFF):
            seen = Counter(_at(bytes((byte,)), [bytes((c,))], x)[0] for c in range(256))
            assert set(seen.values()) == {1}


@given(a=st.integers(1, 255), b=st.integers(1, 255), c=st.integers(0, 255))
def test_the_field(a: int, b: int, c: int) -> None:
    assert _over(_times(a, b), b) == a
    assert _times(a, b ^ c) == _times(a, b) ^ _times(a, c)
    assert _times(a, b) == _times(b, a)


def test_the_field_is_that_of_aes() -> None:
    assert _times(0x57, 0x83) == 0xC1  # FIPS 197, 4.2
    assert _times(0x57, 0x13) == 0xFE  # FIPS 197, 4.2.1
    assert len(set(POWERS[:255])) == 255
    assert _at_zero([1, 2], [bytes([0x2A ^ 0x11] * 32), bytes([0x2A ^ _times(0x11, 2)] * 32)]) == bytes(
        [0x2A] * 32
    )


@given(secret=SECRETS, count=st.integers(2, 6))
def test_xor_needs_all(secret: KeyBytes, count: int) -> None:
    components = split(secret, "xor", count, count, seeded(count))
    assert combine(components) == secret
    for left_out in components:
        rest = [one for one in components if one is not left_out]
        assert code_of(lambda: combine(rest)) == "SHARE_COUNT"  # noqa: B023


@settings(max_examples=200)
@given(data=st.data())
def test_a_mistyped_component_is_noticed(data: st.DataObject) -> None:
    one = split(KeyBytes(bytes(range(32))), "shamir", 2, 3, seeded(1))[1]
    text = one.text()
    assert parse(text.lower().replace(" ", "-")) == one
    places = [at for at, letter in enumerate(text) if letter != " "][:-1]
    at = data.draw(st.sampled_from(places))
    other = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
    if other != text[at]:
        assert code_of(lambda: parse(text[:at] + other + text[at + 1 :])) == "SHARE_TEXT"
    assert code_of(lambda: parse(text[:-1])) == "SHARE_TEXT"
    assert code_of(lambda: parse(text.replace(text[at], "1"))) == "SHARE_TEXT"


def test_components_that_do_not_belong_together() -> None:
    one = split(KeyBytes(bytes(32)), "shamir", 2, 3, seeded(1))
    two = split(KeyBytes(bytes(range(32))), "shamir", 2, 3, seeded(2))
    assert code_of(lambda: combine([one[0], two[1]])) == "SHARE_SET"
    assert code_of(lambda: combine([one[0], one[0]])) == "SHARE_SET"
    forged = Component("shamir", 2, 3, 2, one[0].mark, two[1].data)
    assert code_of(lambda: combine([one[0], forged])) == "SHARE_SET"
    assert code_of(lambda: combine([])) == "SHARE_COUNT"
    for method, need, count in (
        ("shamir", 1, 3),
        ("shamir", 4, 3),
        ("xor", 2, 3),
        ("shamir", 2, 17),
        ("xor", 1, 1),
    ):
        assert code_of(lambda: split(KeyBytes(bytes(32)), method, need, count, seeded(1))) == "SHARE_PEOPLE"  # noqa: B023
    assert len({c.check_value for c in itertools.chain(one, two)}) == 6
    assert "<key>" in repr(one[0])
