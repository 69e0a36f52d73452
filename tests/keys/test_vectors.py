# SPDX-License-Identifier: Apache-2.0
"""Published vectors (card facts 2.7), through the vault wherever a key stands in one."""

from __future__ import annotations

import pytest

from citycard.core.crypto import SUITES, TRIPLE_DES
from citycard.keys import KeyRef, MemoryVault
from citycard.keys.chain import session_chain, tac_chain
from citycard.keys.wrapping import wrap_key

MIRROR = bytes.fromhex("11223344556677888877665544332211")
COUNTING = bytes.fromhex("00112233445566778899AABBCCDDEEFF")


def vault_with(key: bytes) -> MemoryVault:
    vault = MemoryVault()
    for name in ("purchase", "load", "tac", "maintenance", "control", "transport"):
        vault.import_key(name, TRIPLE_DES, 1, key)
    return vault


@pytest.mark.parametrize(
    ("source", "key", "name", "variable", "message", "mac"),
    [
        ("A MAC1", MIRROR, "load", "1122334400008000", "000000000000100001001122334455", "2988AE5A"),
        ("A MAC2", MIRROR, "load", "1122334400008000", "000010000100112233445520111221214822", "3A845BF0"),
        (
            "B MAC1",
            MIRROR,
            "purchase",
            "1122334400000001",
            "000010000600112233445520120229135100",
            "F15CAB75",
        ),
        ("B MAC2", MIRROR, "purchase", "1122334400000001", "00001000", "56988A13"),
        ("C MAC1", COUNTING, "load", "C903814D00008000", "000000000000200002001122334455", "03976C22"),
        ("C MAC2", COUNTING, "load", "C903814D00008000", "000020000200112233445520161216105800", "8AFA5718"),
        (
            "C MAC1",
            COUNTING,
            "purchase",
            "584633C900000000",
            "000000010600112233445520161216134600",
            "D45737C5",
        ),
        ("C MAC2", COUNTING, "purchase", "584633C900000000", "00000001", "66B54A6B"),
    ],
)
def test_session_macs(source: str, key: bytes, name: str, variable: str, message: str, mac: str) -> None:
    session = vault_with(key).session(name, 1, (), bytes.fromhex(variable))
    session.mac(b"another message first: the chain starts anew")
    assert session.mac(bytes.fromhex(message)).hex().upper() == mac, source


def test_tac_of_a_real_card() -> None:
    message = bytes.fromhex("00002000000000002000" + "02" + "001122334455" + "20161216105800")
    assert vault_with(COUNTING).tac("tac", 1, (), message) == bytes.fromhex("FA00066D")


def test_the_example_card_of_section_s() -> None:
    vault = vault_with(COUNTING)
    factors = (bytes.fromhex("01011000FFFFFFFF"), bytes.fromhex("5170070104791381"))
    session = vault.session("purchase", 1, factors, bytes.fromhex("A1B2C3D400070042"))
    assert session.mac(bytes.fromhex("000000C8093100010503062024011508" + "3000")).hex().upper() == "E5A3A43D"
    assert session.mac(bytes.fromhex("000000C8")).hex().upper() == "D5A372EC"
    block = vault.message_mac(
        "maintenance", 1, factors, bytes.fromhex("841E000004"), bytes.fromhex("5A6B7C8D")
    )
    assert block.hex().upper() == "6D20E23B"


@pytest.mark.parametrize(
    ("source", "wrapping", "head", "key", "header", "challenge", "cipher", "mac"),
    [
        ("F", COUNTING, "220000", COUNTING, "84D40000", "5D72B3FD",
         "DCC0BB5793ABFCA2CA8C1624822F6E01A86A0B5CBED191DD", "8A9D4ADB"),
        ("H", b"\xff" * 16, "F9F0F0AAFF", bytes.fromhex("1122334455667788"), "84D4010214", "4C45BAB9",
         "7C87BC23140021B3AFEA67E6359DDCFE", "D7C943F6"),
        ("H", b"\xff" * 16, "39F0F0AAFF", bytes.fromhex("1122334455667788"), "84D4F902", "C0B3549C",
         "7E65DE142F66CA41AFEA67E6359DDCFE", "012EF5F5"),
    ],
)  # fmt: skip
def test_write_key(
    source: str, wrapping: bytes, head: str, key: bytes, header: str, challenge: str, cipher: str, mac: str
) -> None:
    wrapped = wrap_key(
        TRIPLE_DES, wrapping, bytes.fromhex(head), key, bytes.fromhex(header), bytes.fromhex(challenge)
    )
    assert [part.hex().upper() for part in wrapped] == [cipher, mac], source


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_a_card_unwraps_what_the_vault_wrapped(suite: object) -> None:
    from tests.keys.cast import FACTORS, card_key, known_key, known_vault

    cipher = SUITES[suite.id]  # type: ignore[attr-defined]
    under = KeyRef("transport", 1, (), cipher.id)
    head, header, challenge = bytes.fromhex("3EF0020001"), bytes.fromhex("84D4013E"), bytes(range(8))
    sent, mac = known_vault().wrap_card_key(
        "purchase", 1, FACTORS, under, head, header, challenge, suite=cipher.id
    )
    plain = cipher.decrypt(known_key("transport", cipher.id), sent)
    assert plain[: 1 + plain[0]] == bytes((21,)) + head + card_key("purchase", cipher.id)
    lc = bytes((len(sent) + 4,))
    assert mac == cipher.message_mac(known_key("transport", cipher.id), header + lc + sent, challenge)


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_a_chain_is_the_suite(suite: object) -> None:
    cipher = SUITES[suite.id]  # type: ignore[attr-defined]
    session = COUNTING[: cipher.block]
    mac, tac = session_chain(cipher, session), tac_chain(cipher, COUNTING)
    for length in (*range(40), 0, 23, 24):
        message = bytes(range(200, 200 + length))
        assert mac.mac(message) == cipher.session_mac(session, message)
        assert tac.mac(message) == cipher.tac(COUNTING, message)


def test_external_authentication() -> None:
    answer = vault_with(COUNTING).external_authentication("control", 1, (), bytes.fromhex("BB83BFF3"))
    assert answer == TRIPLE_DES.encrypt(COUNTING, bytes.fromhex("BB83BFF300000000"))
