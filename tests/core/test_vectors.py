# SPDX-License-Identifier: Apache-2.0
"""Published vectors of the purse's cryptography, each under the name of its source (card facts 2.7, 6.1).

All calls go through `citycard.core.crypto` and `citycard.core.purse`, so that a vector proves the code the
card, the security modules and clearing run.
"""

from __future__ import annotations

import gmalg
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.hashes import SM3, Hash
from hypothesis import given
from hypothesis import strategies as st

from citycard.core import purse
from citycard.core.crypto import (
    SM4_SUITE,
    SUITES,
    TRIPLE_DES,
    Suite,
    diversify,
    pad80,
    pad80_if_ragged,
    suite_named,
    xor,
)
from citycard.core.purse import Txn

A_KEY = "11223344556677888877665544332211"
C_KEY = "00112233445566778899AABBCCDDEEFF"
DK2 = "92A761B6F12817C6831979C4D5B887DE"
TERMINAL = bytes.fromhex("001122334455")
DES = TRIPLE_DES


def x(text: str) -> bytes:
    """Bytes of hex with blanks."""
    return bytes.fromhex(text)


# Session keys

LOADS = [
    ("A, load: CNB-load and mirrors", A_KEY, "11223344", 0, "9B1D924E05595603"),
    ("C, a real FM1208 card: CSDN-deng", C_KEY, "E0B84748", 0, "7C45FBFB5B3A68F5"),
    ("C, the same card again", C_KEY, "C903814D", 0, "11FDF264E8AEEFA3"),
    ("C, its negative case", C_KEY, "3948BC11", 0, "3FF239BBDB26018A"),
    ("S, unload: own regression value", DK2, "01020304", 5, "419C847596008D01"),
    ("S, overdraft: own regression value", DK2, "0A0B0C0D", 6, "722F882F1027520B"),
]
PURCHASES = [
    ("B, purchase: CNB-pur and mirrors", A_KEY, "11223344", 0, 1, "003238ABC57659DD"),
    ("C, a real FM1208 card: CSDN-deng", C_KEY, "584633C9", 0, 0, "C08346DF9F1D457A"),
    ("S, composite purchase: own regression value", DK2, "A1B2C3D4", 7, 0x42, "227B4A115613D6B4"),
]


@pytest.mark.parametrize(("source", "key", "rand", "atc", "expected"), LOADS, ids=[row[0] for row in LOADS])
def test_load_session_keys(source: str, key: str, rand: str, atc: int, expected: str) -> None:
    assert DES.session_key(x(key), purse.load_variable(x(rand), atc)) == x(expected)


@pytest.mark.parametrize(
    ("source", "key", "rand", "atc", "number", "expected"), PURCHASES, ids=[row[0] for row in PURCHASES]
)
def test_purchase_session_keys(
    source: str, key: str, rand: str, atc: int, number: int, expected: str
) -> None:
    assert DES.session_key(x(key), purse.purchase_variable(x(rand), atc, number)) == x(expected)


def test_only_the_low_half_of_the_terminal_number_enters_the_session_key() -> None:
    assert purse.purchase_variable(x("A1B2C3D4"), 7, 0xABCD0042) == x("A1B2C3D4 0007 0042")


# MAC1, MAC2, MAC3 and TAC

MACS = [
    ("A: MAC1 of a load", "9B1D924E05595603", purse.load_mac1(0, 0x1000, Txn.ED_LOAD, TERMINAL), "2988AE5A"),
    (
        "A: MAC2 of a load",
        "9B1D924E05595603",
        purse.load_mac2(0x1000, Txn.ED_LOAD, TERMINAL, x("20111221 214822")),
        "3A845BF0",
    ),
    (
        "B: MAC1 of a purchase",
        "003238ABC57659DD",
        purse.purchase_mac1(0x1000, Txn.EP_PURCHASE, TERMINAL, x("20120229 135100")),
        "F15CAB75",
    ),
    (
        "B: with the pasted date of the article, its MAC1 does not come out",
        "003238ABC57659DD",
        purse.purchase_mac1(0x1000, Txn.EP_PURCHASE, TERMINAL, x("20111221 214822")),
        "389656CB",
    ),
    ("B: MAC2 of a purchase", "003238ABC57659DD", purse.purchase_mac2(0x1000), "56988A13"),
    (
        "C: MAC1 by the card",
        "7C45FBFB5B3A68F5",
        purse.load_mac1(0, 0x2000, Txn.EP_LOAD, TERMINAL),
        "EA411F90",
    ),
    ("C: MAC1 again", "11FDF264E8AEEFA3", purse.load_mac1(0, 0x2000, Txn.EP_LOAD, TERMINAL), "03976C22"),
    (
        "C: MAC2 of its load",
        "11FDF264E8AEEFA3",
        purse.load_mac2(0x2000, Txn.EP_LOAD, TERMINAL, x("20161216 105800")),
        "8AFA5718",
    ),
    (
        "C: MAC1 of its purchase",
        "C08346DF9F1D457A",
        purse.purchase_mac1(1, Txn.EP_PURCHASE, TERMINAL, x("20161216 134600")),
        "D45737C5",
    ),
    ("C: MAC2 by the card", "C08346DF9F1D457A", purse.purchase_mac2(1), "66B54A6B"),
    (
        "C: MAC1 of the negative case",
        "3FF239BBDB26018A",
        purse.load_mac1(0, 0x2000, Txn.EP_LOAD, TERMINAL),
        "C47312E9",
    ),
    (
        "S: MAC1 of a composite purchase, own value",
        "227B4A115613D6B4",
        purse.purchase_mac1(200, Txn.COMPOSITE, x("310001050306"), x("20240115 083000")),
        "E5A3A43D",
    ),
    ("S: MAC2 of a composite purchase, own value", "227B4A115613D6B4", purse.purchase_mac2(200), "D5A372EC"),
]


@pytest.mark.parametrize(("source", "session", "message", "mac"), MACS, ids=[row[0] for row in MACS])
def test_session_macs(source: str, session: str, message: bytes, mac: str) -> None:
    assert DES.session_mac(x(session), message) == x(mac)


UNLOAD = "03" + "310001050306" + "20240115083000"


@pytest.mark.parametrize(
    ("message", "mac"),
    [
        ("00002710 000003E8 03 310001050306", "B1BD8BEB"),
        ("000003E8" + UNLOAD, "AC7DA19F"),
        ("00002328 0005 000003E8" + UNLOAD, "90B6EB96"),
    ],
)
def test_unload_macs(message: str, mac: str) -> None:
    """Vector S: MAC1, MAC2 and MAC3 of an unload, own regression values."""
    assert DES.session_mac(x("419C847596008D01"), x(message)) == x(mac)


@pytest.mark.parametrize(
    ("message", "mac"),
    [
        ("00002328 000000 07 310001050306", "48FEDD93"),
        ("0003E8 07 310001050306 20240115083000", "2E2E3687"),
    ],
)
def test_overdraft_macs(message: str, mac: str) -> None:
    """Vector S: MAC1 and MAC2 of an overdraft change, own regression values."""
    assert DES.session_mac(x("722F882F1027520B"), x(message)) == x(mac)


def test_tacs_of_a_real_card() -> None:
    """Vector C: the TAC key is the exclusive or of the halves; TACs of a load and a purchase by the card."""
    assert xor(x(C_KEY)[:8], x(C_KEY)[8:]) == x("8888888888888888")
    load = purse.load_tac(0x2000, 0, 0x2000, Txn.EP_LOAD, TERMINAL, x("20161216 105800"))
    assert DES.tac(x(C_KEY), load) == x("FA00066D")
    bought = purse.purchase_tac(1, Txn.EP_PURCHASE, TERMINAL, 0, x("20161216 134600"))
    assert DES.tac(x(C_KEY), bought) == x("8AF270DC")


def test_the_tac_of_a_composite_purchase() -> None:
    """Vector S: diversified TAC key, its halves, and the TAC; own regression values."""
    key = diversify(
        DES, x("FFEEDDCCBBAA99887766554433221100"), (x("01011000FFFFFFFF"), x("5170070104791381"))
    )
    assert key == x("77E22E0F493A112ED7EC5FC68FB205AC")
    assert xor(key[:8], key[8:]) == x("A00E71C9C6881482")
    covered = purse.purchase_tac(200, Txn.COMPOSITE, x("310001050306"), 0x42, x("20240115 083000"))
    assert DES.tac(key, covered) == x("A1650008")


# Diversification, key loading, secure messages


def test_diversification() -> None:
    """Vectors F (CSDN-PSAM) and S (own values), one and two levels; SM4 by the rule of facts 2.6."""
    assert diversify(DES, x(C_KEY), [x("1122334455667788")]) == x("496BD7A351364453 3100B54E71196528")
    issuer = diversify(DES, x(C_KEY), [x("01011000FFFFFFFF")])
    assert issuer == x("9216CA4FDF90620E83223F0A8FDBAA15")
    assert diversify(DES, issuer, [x("5170070104791381")]) == x(DK2)
    assert diversify(SM4_SUITE, x(C_KEY), [x("01011000FFFFFFFF")]) == x("DA01A818064D64CA287DA5F92856C785")
    with pytest.raises(ValueError, match="8 bytes, this has 7"):
        diversify(DES, x(C_KEY), [bytes(7)])


def test_loading_a_key_into_a_psam() -> None:
    """Vector F (CSDN-PSAM): key block enciphered with 3DES-ECB, and its retail MAC."""
    plain = x("13 22 00 00") + x(C_KEY)
    assert pad80_if_ragged(plain, 8) == plain + x("80000000")
    cipher = DES.encrypt(x(C_KEY), pad80_if_ragged(plain, 8))
    assert cipher == x("DCC0BB5793ABFCA2 CA8C1624822F6E01 A86A0B5CBED191DD")
    assert DES.message_mac(x(C_KEY), x("84D400001C") + cipher, x("5D72B3FD00000000")) == x("8A9D4ADB")
    assert DES.decrypt(x(C_KEY), cipher) == pad80_if_ragged(plain, 8)


def test_authentication() -> None:
    """Vector G (FMCOS manual): external and internal authentication with an 8-byte key."""
    assert DES.encrypt(x("0102030405060708"), x("BB83BFF3 00000000")) == x("74B0047DD681D96C")
    key, data = x("1122334455667788"), x("0102030405060708")
    assert DES.encrypt(key, data) == x("178F59F8578E0D3F")
    assert DES.message_mac(key, data, bytes(8)) == x("A82A8CEB")


H_PLAIN = "0D F9F0F0AAFF 1122334455667788 8000"
H_CIPHER = "7C87BC23140021B3 AFEA67E6359DDCFE"


@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize(
    ("plain", "cipher", "head", "challenge", "mac"),
    [
        (H_PLAIN, H_CIPHER, "84D4010214", "4C45BAB9", "D7C943F6"),
        (H_PLAIN, H_CIPHER, "84D4390114", "EF364818", "9095E4E1"),
        (
            "0D 39F0F0AAFF 1122334455667788 8000",
            "7E65DE142F66CA41 AFEA67E6359DDCFE",
            "84D4F90214",
            "C0B3549C",
            "012EF5F5",
        ),
    ],
)
def test_write_key_under_protection(
    size: int, plain: str, cipher: str, head: str, challenge: str, mac: str
) -> None:
    """Vector H (blog): master key of 8 or 16 times FF gives the same."""
    key = b"\xff" * size
    assert DES.encrypt(key, x(plain)) == x(cipher)
    assert pad80_if_ragged(x(plain)[:14], 8) == x(plain)
    assert DES.message_mac(key, x(head) + x(cipher), x(challenge)) == x(mac)


@pytest.mark.parametrize(
    ("key", "message", "challenge", "mac"),
    [
        ("FF" * 16, "04D6000014 112233445566778899 00AABBCCDDEEFF", "44A47DEB", "F2F62231"),
        ("FF" * 16, "11223344556677889900AABBCCDDEEFF", "D0FE4FB9", "8D318577"),
        ("FF" * 16, "04B0000004", "D0FE4FB9", "F09C8A19"),
        (
            "36" * 16,
            "04D6950022 000122000001FFFF0101000022000000000000062016010120501231 0000",
            "A3BBCFC8",
            "96E32EF1",
        ),
        (
            "FF" * 16,
            "04D6850034 000122000001FFFF220000000000000600012016102800000000000100010000000000000000"
            "00000000000020501231",
            "88BBE4E3",
            "AE8D8774",
        ),
        (DK2, "841E000004", "5A6B7C8D", "6D20E23B"),
    ],
    ids=["I: update", "I: response", "I: read", "I: public file", "I: card file", "S: application block"],
)
def test_secure_messaging_macs(key: str, message: str, challenge: str, mac: str) -> None:
    """Vectors I (FMP, examples/test_mac.py) and S (own value)."""
    assert DES.message_mac(x(key), x(message), x(challenge)) == x(mac)


# The Chinese algorithms


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"abc", "66C7F0F462EEEDD9D1F2D46BDC10E4E24167C4875CF2F7A2297DA02B8F4BA8E0"),
        (b"abcd" * 16, "DEBE9FF92275B8A138604889C18E5A4D6FDB70E5387E5765293DCBA39C0C5732"),
    ],
)
def test_sm3(message: bytes, digest: str) -> None:
    """GB/T 32905, as the library gives it (facts 6.1)."""
    sm3 = Hash(SM3())
    sm3.update(message)
    assert sm3.finalize() == x(digest)


def test_sm4() -> None:
    """GB/T 32907: one block there and back, and a million times over (facts 6.1)."""
    key = x("0123456789ABCDEFFEDCBA9876543210")
    assert SM4_SUITE.encrypt(key, key) == x("681EDF34D206965E86B3E94F536E4246")
    assert SM4_SUITE.decrypt(key, x("681EDF34D206965E86B3E94F536E4246")) == key
    step = Cipher(SM4(key), modes.ECB()).encryptor().update
    block = key
    for _ in range(1_000_000):
        block = step(block)
    assert block == x("595298C7C6FD271F0402F804C33D3F66")


@given(st.binary(max_size=70), st.sampled_from([8, 16]))
def test_padding_fills_blocks_and_can_be_taken_off(data: bytes, block: int) -> None:
    """ISO/IEC 9797-1 method 2 always pads; the enciphering pad only what is ragged."""
    padded = pad80(data, block)
    assert len(padded) % block == 0
    assert 1 <= len(padded) - len(data) <= block
    assert padded.rstrip(b"\x00")[:-1] == data
    assert pad80_if_ragged(data, block) == (padded if len(data) % block else data)


@given(st.sampled_from(list(SUITES.values())), st.binary(min_size=16, max_size=16), st.binary(max_size=64))
def test_suites_do_what_both_sides_need(suite: Suite, key: bytes, data: bytes) -> None:
    """Every suite: decipher what it enciphered, MACs of four bytes that depend on key and message."""
    chosen = suite_named(suite.name)
    assert chosen is suite
    whole = pad80(data, chosen.block)
    assert chosen.decrypt(key, chosen.encrypt(key, whole)) == whole
    session = chosen.session_key(key, bytes(8))
    for mac in (
        chosen.session_mac(session, data),
        chosen.tac(key, data),
        chosen.message_mac(key, data, bytes(4)),
    ):
        assert len(mac) == 4
    assert chosen.message_mac(key, data, bytes(4)) != chosen.message_mac(key, data + b"\x00", bytes(4))
    assert len(chosen.check_value(key)) == 3


def test_an_unknown_suite_is_named_with_the_choices() -> None:
    with pytest.raises(ValueError, match="choose 3DES or SM4"):
        suite_named("AES")


def test_sm2_signature_of_the_standard() -> None:
    """GB/T 32918.5, recommended curve (facts 6.1), through the oracle that our own SM2 will be held against."""
    key = x("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8")
    once = int("59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21", 16)
    point = x(
        "04 09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
        "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
    )
    r = x("F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3")
    s = x("B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA")
    sm2 = gmalg.SM2(key, b"1234567812345678", point, rnd_fn=lambda n: once)
    assert sm2.sign(b"message digest") == (r, s)
    assert sm2.verify(b"message digest", r, s)
    assert not sm2.verify(b"message digesT", r, s)
