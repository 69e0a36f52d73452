# SPDX-License-Identifier: Apache-2.0
"""SM2 held against the standard's example, a second implementation, and the `openssl` command."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from random import Random

import gmalg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.core import sm2
from citycard.core.problem import Problem
from tests.support.parts import need, program

x = bytes.fromhex
# GB/T 32918.5 / GM/T 0003.5, recommended curve: the standard's own key, nonce and signature (card facts 6.1).
SECRET = x("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8")
NONCE = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
PUBLIC = x(
    "04 09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
MESSAGE = b"message digest"
DIGEST = 0xF0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640
R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
# The published test root CA02 of transit codes signs itself: 80 bytes, then r and s (card facts 5.4, vector K).
ROOT = x(
    "2101010000 A000000632 02 1240 04 11 40"
    "DCB53B215317DD87EAC919EEA6524085CACF49E37CF055B0B6C0AA84D8157F49"
    "6F32BFD10BEF202CDD897FA8E6172F2F14E3CA810FED8089702CB61277690C6C"
    "4EF502D60834BB033AB536D4D652A200F08EE141CDD6695C44580F0A75AF9442"
    "49FC17B5652BAB5E4DF6B2C692FA351E04AC52850A6ADFFB2E12053F34B800D2"
)


def stuck(size: int) -> bytes:
    """A source of randomness that is broken: always the same."""
    return bytes(size)


def test_the_example_of_the_standard() -> None:
    assert sm2.public_of(SECRET) == PUBLIC
    assert sm2.digest(PUBLIC, MESSAGE) == DIGEST
    assert sm2.sign_digest(SECRET, DIGEST, NONCE) == (R, S)
    assert sm2.verify(PUBLIC, MESSAGE, sm2.encode_signature(R, S))


def test_a_published_root_signs_itself() -> None:
    assert sm2.verify(b"\x04" + ROOT[16:80], ROOT[:80], sm2.encode_signature(
        int.from_bytes(ROOT[80:112], "big"), int.from_bytes(ROOT[112:], "big")
    ))  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=100), st.binary(min_size=48, max_size=48), st.integers(0, 2**32))
def test_what_one_implementation_signs_the_other_verifies(message: bytes, seed: bytes, other: int) -> None:
    secret = sm2.secret_of(seed)
    public = sm2.public_of(secret)
    oracle = gmalg.SM2(secret, sm2.USER_ID, public)
    ours = sm2.sign(secret, message, Random(other).randbytes)
    numbers = sm2.decode_signature(ours)
    assert numbers is not None
    assert oracle.verify(message, *(number.to_bytes(32, "big") for number in numbers))
    r, s = (int.from_bytes(part, "big") for part in oracle.sign(message))
    assert sm2.verify(public, message, sm2.encode_signature(r, s))
    assert not sm2.verify(public, message + b"\0", ours)
    assert sm2.decode_point(bytes((2 + (public[64] & 1),)) + public[1:33]) == sm2.decode_point(public)


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_no_changed_bit_verifies(data: st.DataObject) -> None:
    good = sm2.encode_signature(R, S)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    spoilt = bytearray(good)
    spoilt[bit // 8] ^= 1 << bit % 8
    assert not sm2.verify(PUBLIC, MESSAGE, bytes(spoilt))
    assert not sm2.verify(PUBLIC, MESSAGE, good, b"ALICE123@YAHOO.COM")


# s and t = r + s, told apart from what is written as r and s: each fits a digest that is made for it
FORGED = {
    "r is nothing": (7, 7, 0, 7),
    "s is nothing": (0, 7, 7, 0),
    "r + s is nothing": (7, 0, sm2.N - 7, 7),
    "s is too large": (5, 12, 7, 5 + sm2.N),
    "r is too large": (5, 12, 7 + sm2.N, 5),
}


@pytest.mark.parametrize(("s", "t", "r_written", "s_written"), FORGED.values(), ids=FORGED)
def test_numbers_out_of_range_are_refused(s: int, t: int, r_written: int, s_written: int) -> None:
    """Whoever may choose the digest fits one to any s and t without the key; the ranges keep these out."""
    public = sm2.decode_point(PUBLIC)
    x_of = sm2._affine(sm2._add(sm2._times_g(s), sm2._times(t, public)))[0]
    e = ((t - s) - x_of) % sm2.N
    assert not sm2.verify_digest(public, e, r_written, s_written)
    assert sm2.verify_digest(public, (7 - x_of) % sm2.N, 7, 5) == ((s, t) == (5, 12))  # the plain one fits


def test_a_signature_has_one_encoding() -> None:
    good = sm2.encode_signature(R, S)
    assert sm2.decode_signature(good) == (R, S)
    longer = b"\x30" + bytes((len(good) - 1,)) + b"\x02\x22\x00" + good[3:]
    for raw in (b"", good[:-1], good + b"\0", longer, good.replace(b"\x30", b"\x31", 1), b"\x30\x02\x02\x00"):
        assert sm2.decode_signature(raw) is None, raw.hex()
        assert not sm2.verify(PUBLIC, MESSAGE, raw)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "0 bytes"),
        (PUBLIC[:-1], "64 bytes"),
        (PUBLIC[:-1] + b"\x14", "not on the curve"),
        (b"\x04" + bytes(64), "not on the curve"),
        (b"\x04" + sm2.P.to_bytes(32, "big") + PUBLIC[33:], "out of range"),
        (b"\x02" + (5).to_bytes(32, "big"), "not on the curve"),
        (b"\x05" + PUBLIC[1:], "first is 05"),
    ],
)
def test_a_point_that_is_none_is_refused_in_words(raw: bytes, said: str) -> None:
    with pytest.raises(Problem, match=said) as caught:
        sm2.verify(raw, MESSAGE, sm2.encode_signature(R, S))
    assert (caught.value.code, said in caught.value.text("zh")) == ("SM2_POINT", True)


def test_a_broken_source_of_randomness_repeats_no_nonce() -> None:
    """r tells the nonce: with the same one for two messages anybody computes the key."""
    first, second = (sm2.decode_signature(sm2.sign(SECRET, text, stuck)) for text in (b"one", b"two"))
    assert first is not None
    assert second is not None
    nonces = [(r - sm2.digest(PUBLIC, text)) % sm2.N for (r, _), text in ((first, b"one"), (second, b"two"))]
    assert nonces[0] != nonces[1]
    assert sm2.sign(SECRET, b"one", stuck) != sm2.sign(SECRET, b"one", Random(1).randbytes)


@pytest.mark.parametrize("number", [0, sm2.N - 1, sm2.N, 2**256 - 1])
def test_a_private_key_out_of_range_signs_nothing(number: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        sm2.sign(number.to_bytes(32, "big"), MESSAGE, stuck)


def openssl(*words: str) -> str:
    """What the command says; its exit code is in the words of pkeyutl."""
    ran = subprocess.run(["openssl", *words], capture_output=True, text=True, timeout=30, check=False)
    return ran.stdout + ran.stderr


def test_openssl_signs_and_verifies_the_same(tmp_path: Path) -> None:
    """The key is made by `openssl` for this test."""
    need(program("openssl"), "openssl", "the command of OpenSSL 3")
    knows = "SM2" in openssl("list", "-public-key-algorithms")
    need(knows or None, "SM2 in openssl", "an OpenSSL 3 that was built with it")
    key, text, made, ours = (str(tmp_path / name) for name in ("key.pem", "text", "made", "ours"))
    openssl("genpkey", "-algorithm", "SM2", "-out", key)
    private, public = (
        x("".join(part.split()).replace(":", ""))
        for part in re.findall(r"(?:priv|pub):\n((?: .*\n)+)", openssl("pkey", "-in", key, "-text", "-noout"))
    )
    private = private.rjust(32, b"\0")[-32:]
    assert sm2.public_of(private) == public
    Path(text).write_bytes(MESSAGE)
    about = (
        "-rawin",
        "-digest",
        "sm3",
        "-inkey",
        key,
        "-in",
        text,
        "-pkeyopt",
        f"distid:{sm2.USER_ID.decode()}",
    )
    openssl("pkeyutl", "-sign", *about, "-out", made)
    assert sm2.verify(public, MESSAGE, Path(made).read_bytes())
    for message, said in ((MESSAGE, "Verified Successfully"), (b"another", "Verification Failure")):
        Path(ours).write_bytes(sm2.sign(private, message, Random(7).randbytes))
        assert said in openssl("pkeyutl", "-verify", *about, "-sigfile", ours)
