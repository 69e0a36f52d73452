# SPDX-License-Identifier: Apache-2.0
"""PINs, secure messaging in all its forms, authentication both ways, blocking, and firewalls."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from citycard.core.apdu import Command, Response
from citycard.core.card import (
    CONTACT,
    FMCOS,
    MULTI,
    T_UNION_DUAL,
    Card,
    PowerLost,
    Traits,
    made_card,
    raw_card,
)
from citycard.core.crypto import SM4_SUITE, TRIPLE_DES
from citycard.core.purse import Txn, pin_mac
from citycard.terminal.transport import exchange
from tests.core.card.counter import SELECT, Counter
from tests.core.card.issuer import LOAD, PIN, PURCHASE, Issuer, issued, issuer, key_of

NEW_PIN = bytes.fromhex("654321")
WRONG = bytes.fromhex("999999")


def contactless(traits: int = 0) -> Issuer:
    """The contact card over T=CL."""
    return issued(replace(CONTACT, traits=Traits.SM4), traits=traits)


def verify(pin: bytes) -> Command:
    return Command(0x00, 0x20, 0, 0, pin)


def change(old: bytes, new: bytes) -> Command:
    return Command(0x80, 0x5E, 1, 0, old + b"\xff" + new)


# PINs


def test_a_pin_is_verified_and_blocks_after_three_wrong_ones() -> None:
    counter = contactless()
    assert counter.sw(verify(WRONG)) == "63C2"
    assert counter.sw(verify(PIN)) == "9000"
    words = [counter.sw(verify(WRONG)) for _ in range(4)]
    assert words == ["63C2", "63C1", "63C0", "6983"]
    assert counter.sw(verify(PIN)) == "6983"
    assert counter.sw(change(PIN, NEW_PIN)) == "6983"
    copy = issuer(Card.from_image(counter.card.image(), Random(1).randbytes), CONTACT.directories[1])
    assert copy.sw(verify(PIN)) == "6983"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("002000000112", "6700"),
        ("00200000091234567890ABCDEF12", "6700"),
        ("0020010003123456", "6A86"),
        ("0020000103123456", "6A88"),
        ("0020000003123456", "9000"),
        ("0020000008123456FFFFFFFFFF", "9000"),  # as padded as it is stored
        ("0020000004123456FF", "9000"),
        ("805E010003123456", "6700"),
        ("805E010007123456FF654321", "9000"),
        ("805E010007999999FF654321", "63C2"),
        ("805E010107123456FF654321", "6A88"),
        ("805E020007123456FF654321", "6A86"),
        ("805E000007123456FFFFFFFF", "9302"),
        ("805E000003123456", "6700"),
        ("8424000100", "6A86"),
        ("8424010014" + "00" * 20, "6A88"),
        ("8424000014" + "00" * 20, "6985"),
    ],
)
def test_pin_status_words(command: str, expected: str) -> None:
    assert contactless().sw(command) == expected


def test_a_pin_is_changed_by_who_knows_it() -> None:
    counter = contactless()
    assert counter.sw(change(WRONG, NEW_PIN)) == "63C2"
    counter.ok(change(PIN, NEW_PIN))
    assert counter.sw(verify(PIN)) == "63C2"
    counter.ok(verify(NEW_PIN))
    counter.fill(5, 1, Txn.ED_LOAD)


def blocked_pin(traits: int = 0) -> Issuer:
    counter = contactless(traits)
    for _ in range(3):
        counter.send(verify(WRONG))
    assert counter.sw(verify(PIN)) == "6983"
    return counter


def test_a_blocked_pin_is_unblocked_with_its_key() -> None:
    counter = blocked_pin()
    key = counter.key("pin_unblock")
    assert counter.sw(counter.enciphered("84240000", NEW_PIN, b"\x11" * 16)) == "6988"
    assert counter.sw("8424000004" + "00" * 4) == "6987"
    assert counter.sw("842400000C" + "00" * 12) == "6984"
    assert counter.sw(counter.secured("84240000", bytes(8), key)) == "6A80"
    counter.ok(counter.enciphered("84240000", NEW_PIN, key))
    counter.ok(verify(NEW_PIN))
    assert [counter.sw(verify(WRONG)) for _ in range(3)] == ["63C2", "63C1", "63C0"]
    words = [counter.sw(counter.enciphered("84240000", PIN, b"\x11" * 16)) for _ in range(4)]
    assert words == ["6988", "6988", "6988", "6983"]
    assert counter.sw(counter.enciphered("84240000", PIN, key)) == "6983"


def test_open_point_whose_key_unblocks_a_pin() -> None:
    """One note of the manual says the line protection key does it (facts 1.4)."""
    counter = blocked_pin(Traits.PIN_UNBLOCK_BY_LINE)
    assert counter.sw(counter.enciphered("84240000", PIN, counter.key("pin_unblock"))) == "6988"
    counter.ok(counter.enciphered("84240000", PIN, counter.key("maintenance")))
    counter.ok(verify(PIN))


def test_a_forgotten_pin_is_reloaded_with_its_key() -> None:
    counter = blocked_pin()
    key = counter.key("pin_reload")
    good = bytes.fromhex("805E000007") + NEW_PIN + pin_mac(TRIPLE_DES, key, NEW_PIN)
    bad = good[:-1] + bytes((good[-1] ^ 1,))
    assert counter.sw(bad) == "9302"
    counter.ok(good)
    counter.ok(verify(NEW_PIN))
    assert [counter.sw(bad) for _ in range(4)] == ["9302", "9302", "9302", "6983"]
    assert counter.sw(good) == "6983"


def test_tearing_the_card_away_wins_no_guess_at_a_pin() -> None:
    counter = contactless()
    for left in ("63C2", "63C1", "63C0"):
        image = counter.card.image()
        for writes in range(3, 12):
            torn = issuer(Card.from_image(image, Random(1).randbytes), CONTACT.directories[1])
            count = iter(range(100))

            def fuse(at: int, old: bytes, new: bytes, n: int = writes, count=count) -> bytes | None:
                return new if next(count) == n else None

            torn.card.memory.fuse = fuse
            try:
                torn.card.process(verify(WRONG).encode())
            except PowerLost:
                torn.card.memory.fuse = None
                torn.card.power_on()
            torn.card.memory.fuse = None
            torn.enter()
            expected = {"63C2": "63C1", "63C1": "63C0", "63C0": "6983"}[left]
            assert torn.sw(verify(WRONG)) == expected
        assert counter.sw(verify(WRONG)) == left


# Secure messaging


def lined(
    type_: str, read: str = "F0", write: str = "F0", sm: str = "FF", key: bytes = b"\xff" * 16
) -> Counter:
    """An FMCOS card with one 64-byte file of a type, and a line protection key (36); guarded."""
    card = raw_card(FMCOS, Random(8).randbytes)
    card.power_on()
    counter = Counter(card)
    for command in (
        "80E03F001038FFFFF0F001FFFF" + "FF" * 8,
        "80E00000073F018F01F0FFFF",
        "80D401001536F0F0FF33" + key.hex(),
        "80D401011536F0F0FF33" + "A1" * 16,
        f"80E0000107{type_}0040{read}{write}FF{sm}",
        "80E00002072E0310F0F0FFFF",
        "00A40000023F00",
    ):
        counter.ok(command)
    return counter


def test_published_secure_messages() -> None:
    """Vector I of card facts 2.7: an update and a read, MAC for MAC, at the published challenges."""
    counter = lined("A8")
    chip = counter.card._chip
    assert chip is not None
    draws = [bytes.fromhex(text) for text in ("44A47DEB", "D0FE4FB9", "D0FE4FB9")]
    chip.random = lambda size: draws.pop(0)
    counter.ok("00A40000020001")
    counter.ok("0084000004")
    counter.ok("04D6000014" + "11223344556677889900AABBCCDDEEFF" + "F2F62231")
    chip.memory.write(chip.directories[0].files[1].body, bytes.fromhex("11223344556677889900AABBCCDDEEFF"))
    counter.ok("0084000004")
    answer = counter.send("04B0000004" + "F09C8A19" + "10")
    assert answer.sw == 0x9000
    assert answer.data.hex().upper() == "11223344556677889900AABBCCDDEEFF" + "8D318577"


@pytest.mark.parametrize(
    ("type_", "plain", "mac", "both", "cipher_alone"),
    [
        ("28", "9000", "9000", "9000", "9000"),
        ("A8", "6987", "9000", "9000", "6988"),
        ("E8", "6987", "6A80", "9000", "6988"),
        ("68", "6987", "6988", "6988", "9000"),
    ],
)
def test_how_a_file_may_be_written(type_: str, plain: str, mac: str, both: str, cipher_alone: str) -> None:
    """Bit 8 of its type asks for a MAC, bit 7 for enciphering (facts 3.1)."""
    counter = lined(type_)
    key, data = b"\xff" * 16, bytes.fromhex("1122334455667788")
    assert counter.sw(Command(0x00, 0xD6, 0x81, 0, data)) == plain
    assert counter.sw(counter.secured("04D68100", data, key)) == mac
    assert counter.sw(enciphered(counter, key, data)) == both
    cipher = TRIPLE_DES.encrypt(key, b"\x08" + data + b"\x80" + bytes(6))
    counter.ok("0084000004")
    got = counter.sw(Command(0x00 if type_ == "28" else 0x04, 0xD6, 0x81, 0, cipher))
    assert got == cipher_alone
    if "9000" in (both, cipher_alone) and type_ in ("68", "E8"):
        assert counter.ok("00B0810008") == data


def enciphered(counter: Counter, key: bytes, data: bytes) -> bytes:
    """UPDATE BINARY of file 01, enciphered and with a MAC."""
    plain = bytes((len(data),)) + data
    plain += b"\x80" + bytes(-(len(plain) + 1) % 8) if len(plain) % 8 else b""
    return counter.secured("04D68100", TRIPLE_DES.encrypt(key, plain), key)


def test_reading_under_a_mac() -> None:
    counter = lined("28", sm="7F")  # bit 8 clear: only so
    key = b"\xff" * 16
    counter.ok("00D6810004DEADBEEF")
    assert counter.sw("00B0810004") == "6987"
    challenge = counter.ok("0084000004")
    start = bytes.fromhex("04B0810004")
    data = counter.ok(start + TRIPLE_DES.message_mac(key, start, challenge) + b"\x04")
    assert data == bytes.fromhex("DEADBEEF") + TRIPLE_DES.message_mac(
        key, bytes.fromhex("DEADBEEF"), challenge
    )
    assert counter.sw(counter.secured("04B08100", b"", b"\x11" * 16)) == "6988"
    assert counter.sw(start + bytes(4)) == "6984"
    assert counter.sw("04B0810001FF") == "6987"
    assert counter.sw(counter.secured("04B08100", b"\x01", key)) == "6700"
    assert len(counter.ok(counter.secured("04B08100", b"", key))) == 64 + 4


def test_records_under_a_mac_and_another_key_number() -> None:
    """Bits 4-3 and 2-1 of the SM byte name the keys: 11 is 0, 10 is 1 (facts 3.2)."""
    counter = lined("28", sm="FA")
    assert counter.sw(counter.secured("04D68100", b"\x01", b"\xff" * 16)) == "6988"
    counter.ok(counter.secured("04D68100", b"\x01", b"\xa1" * 16))
    assert counter.ok(counter.secured("04B08100", b"", b"\xa1" * 16))[:1] == b"\x01"
    key = b"\xff" * 16
    counter.ok(counter.secured("04E20010", bytes(range(16)), key))
    challenge = counter.ok("0084000004")
    start = bytes.fromhex("04B2011404")
    data = counter.ok(start + TRIPLE_DES.message_mac(key, start, challenge) + b"\x00")
    assert data == bytes(range(16)) + TRIPLE_DES.message_mac(key, bytes(range(16)), challenge)


def test_an_enciphered_file_is_read_enciphered_under_a_mac() -> None:
    counter = lined("E8")
    key, data = b"\xff" * 16, bytes.fromhex("1122334455667788")
    counter.ok(enciphered(counter, key, data))
    answer = counter.ok(counter.secured("04B08100", b"", key))
    plain = TRIPLE_DES.decrypt(key, answer[:-4])
    assert plain[:9] == bytes((64,)) + data


# Authentication


def test_internal_authentication() -> None:
    """Vector G of card facts 2.7: enciphered and MACed under 1122334455667788."""
    card = raw_card(FMCOS, Random(8).randbytes)
    card.power_on()
    counter = Counter(card)
    for command in (
        "80E03F001038FFFFF0F001FFFF" + "FF" * 8,
        "80E00000073F018F01F0FFFF",
        *(f"80D401000D{type_}F0F00001" + "1122334455667788" for type_ in ("30", "31", "32", "34")),
        "80D401010D30F4F00001" + "1122334455667788",
        "00A40000023F00",
    ):
        counter.ok(command)
    assert counter.ok("00880000080102030405060708").hex().upper() == "178F59F8578E0D3F"
    assert counter.ok("0088010008178F59F8578E0D3F").hex() == "0102030405060708"
    assert counter.ok("00880200080102030405060708").hex().upper() == "A82A8CEB"
    assert counter.sw("008800000701020304050607") == "6700"
    assert counter.sw("00880001080102030405060708") == "6982"
    assert counter.sw("00880005080102030405060708") == "6A88"
    assert counter.sw("00880300080102030405060708") == "6A86"


def test_a_published_external_authentication() -> None:
    """Vector G: key 0102030405060708, challenge BB83BFF3 padded with 00."""
    counter = lined("28")
    counter.ok("80D401000D39F0F0AA33" + "0102030405060708")
    chip = counter.card._chip
    assert chip is not None
    chip.random = lambda size: bytes.fromhex("BB83BFF3")
    counter.ok("0084000004")
    counter.ok("0082000008" + "74B0047DD681D96C")
    assert chip.session.state == 0x0A
    assert chip.session.mf_state == 0x0A


# Blocking the card, dual algorithms, firewalls, T=0


def test_a_blocked_card_answers_6a81_to_everything() -> None:
    counter = issued(MULTI)
    mf = key_of(MULTI.directories[0], MULTI.directories[0].keys[0])
    assert counter.sw("8416000004" + "00" * 4) == "6984"
    assert counter.sw(counter.secured("84160000", key=counter.key("maintenance"))) == "6988"
    counter.ok(counter.secured("84160000", key=mf))
    for _ in range(2):
        for command in (SELECT, "00A40000023F00", "0084000004", "805C030204", "00FF000000"):
            assert counter.sw(command) == "6A81"
        assert counter.sw("00") == "6700"
        counter.card.power_on()


def test_fmcos_and_t_union_tell_a_blocked_application_in_their_own_ways() -> None:
    for traits, temporary, permanent in ((0, "6A81", "6A81"), (Traits.BLOCK_TOLD, "6283", "9303")):
        counter = contactless(traits)
        name = Command(0x00, 0xA4, 0x04, 0x00, CONTACT.directories[1].name)
        counter.ok(counter.secured("841E0000", key=counter.key("maintenance")))
        assert counter.sw(name) == temporary
        assert counter.sw(verify(PIN)) == "6A81"
        counter.ok(counter.secured("84180000", key=counter.key("maintenance")))
        assert counter.sw(name) == "9000"
        counter.ok(counter.secured("841E0001", key=counter.key("maintenance")))
        assert counter.sw(name) == permanent
    assert counter.sw("00A40000023F00") == "9000"
    assert counter.sw(counter.secured("841E0000", key=b"\x01" * 16)) == "6985"


def test_a_dual_algorithm_card_serves_both() -> None:
    counter = issued(T_UNION_DUAL)
    assert counter.ok("80CD000001") == b"\x00"
    counter.fill(1_000)
    opened = counter.ok(counter.start(PURCHASE, 0))
    assert opened[9:11] == b"\x01\x00"
    counter.ok("80CD0103")
    assert counter.ok("80CD000001") == b"\x03"
    opened = counter.ok(counter.start(LOAD, 500))
    assert opened[6:8] == b"\x01\x01"
    sm4 = issuer_of_twins(counter)
    sm4.fill(500)
    sm4.pay(300)
    sm4.ok(sm4.secured("04D69600", b"\x07", sm4.key("maintenance_sm4")))
    counter.card.power_on()
    counter.enter()
    assert counter.ok("80CD000001") == b"\x00"
    counter.pay(200)
    counter.ok("80CD0203")  # kept
    counter.card.power_on()
    counter.enter()
    assert counter.ok("80CD000001") == b"\x03"
    counter.ok(counter.secured("841E0000", key=counter.key("maintenance")))  # P1 00: 3DES all the same
    assert sm4.sw(sm4.secured("84180100", key=sm4.key("maintenance_sm4"))) == "9000"
    sm4.ok(sm4.secured("80CD0301", key=sm4.key("maintenance_sm4")))
    assert counter.sw("80CD0100") == "6985"
    assert counter.sw(sm4.secured("80CD0303", key=sm4.key("maintenance_sm4"))) == "6985"
    assert counter.sw("80CD0102") == "6A86"
    assert issued(MULTI).sw("80CD000001") == "6D00"


def issuer_of_twins(counter: Issuer) -> Issuer:
    """The same card, seen by who works with its SM4 keys."""

    class Twin(Issuer):
        def key(self, name: str) -> bytes:
            return super().key(name if name.endswith("_sm4") else f"{name}_sm4")

    return Twin(counter.card, SM4_SUITE, counter.spec)


def test_nothing_proven_in_one_application_counts_in_another() -> None:
    card = made_card(MULTI, key_of, {}, Random(4).randbytes)
    campus, entitlement = issuer(card, MULTI.directories[2]), issuer(card, MULTI.directories[4])
    entitlement.ok(verify(PIN))
    assert entitlement.ok("00B0960000") == bytes(240)
    campus.enter()
    assert campus.sw("00D6950001FF") == "6982"
    assert campus.authenticate(campus.key("control")).ok
    campus.ok("00D6950001FF")
    entitlement.enter()
    assert entitlement.sw("00B0960000") == "6982"
    assert entitlement.sw("00D6950001FF") == "6982"
    assert entitlement.sw(entitlement.secured("04D69500", b"\x01", campus.key("maintenance"))) == "6988"
    opened = campus.enter() and campus.ok(campus.start(PURCHASE, 0))
    entitlement.enter()
    campus.enter()
    assert campus.sw(campus.debit(0, opened)) == "6985"
    keys = {key_of(spec, key) for spec in MULTI.directories for key in spec.keys if key.name != "pin"}
    assert len(keys) == sum(key.name != "pin" for spec in MULTI.directories for key in spec.keys)


def test_a_door_reads_the_access_file_enciphered() -> None:
    counter = issued(MULTI, 3)
    key = counter.key("maintenance")
    counter.ok(counter.enciphered("04D69600", b"zone 7", key))
    assert counter.sw("00B0960000") == "6982"
    assert len(counter.ok(Command(0x00, 0x88, 0x02, 0x01, b"challenge of the door"))) == 4
    assert counter.authenticate(counter.key("control")).ok
    answer = counter.ok(counter.secured("04B09600", key=key))
    assert TRIPLE_DES.decrypt(key, answer[:-4])[1:7] == b"zone 7"


def over_t0(card: Card, command: bytes) -> Response:
    """What a T=0 reader makes of a command."""
    return Response.decode(exchange(card.process, command, t0=True))


def test_a_contact_card_makes_answers_wait() -> None:
    counter = issued(CONTACT)
    assert counter.card.power_on().hex() == "3b600000"
    select = Command(0x00, 0xA4, 0x04, 0x00, CONTACT.directories[1].name).encode()
    assert counter.sw(select) == "6130"
    assert counter.sw("00C0000031") == "6C30"
    assert counter.send("00C0000010").sw == 0x6120
    assert counter.send("00C0000010").sw == 0x6110
    assert len(counter.ok("00C0000000")) == 16
    assert counter.sw("00C0000000") == "6985"
    assert over_t0(counter.card, select).data[:1] == b"\x6f"
    assert counter.sw("00B0950000") == "6C1E"
    assert len(over_t0(counter.card, bytes.fromhex("00B0950000")).data) == 30
    init = bytes.fromhex(counter.start(PURCHASE, 0))
    assert counter.sw(init) == "610F"
    opened = counter.ok("00C000000F")
    debit = counter.debit(0, opened)[:-1]
    assert counter.sw(debit) == "6108"
    assert len(counter.ok("00C0000008")) == 8
    assert counter.sw("805C000204") == "9000"
    assert issued(MULTI).sw("00C0000000") == "6985"
