# SPDX-License-Identifier: Apache-2.0
"""Keys, challenges and blocking: who proves what to the card, and how it defends itself."""

from __future__ import annotations

from random import Random

import pytest

from citycard.core.apdu import Command
from citycard.core.card import T_UNION, Card, PowerLost, blank_card
from citycard.core.card.image import TABLE_AT
from citycard.core.crypto import SM4_SUITE, pad80
from citycard.core.purse import Txn
from tests.core.card.counter import CONTROL, MAINTENANCE, PURCHASE, SELECT, TRANSPORT, Counter, personalised

ALGORITHMS = pytest.mark.parametrize("algorithm", [0, 1], ids=["3DES", "SM4"])


@pytest.fixture
def counter() -> Counter:
    """A personalised card, its purse selected."""
    return personalised()


def blocked(permanently: bool = False) -> Counter:
    """A card that was blocked at a gate, with 50 yuan on it."""
    counter = personalised()
    counter.load(5_000)
    counter.ok(counter.secured("841E0001" if permanently else "841E0000"))
    return counter


# WRITE KEY


def test_the_published_write_key_sequence() -> None:
    """Vector H of card facts 2.7: three WRITE KEY under an all-FF master key, at the published challenges."""
    challenges = [bytes.fromhex(c) for c in ("4C45BAB9", "EF364818", "C0B3549C")]
    randoms = iter([bytes(7), *challenges, *challenges])
    card = blank_card(T_UNION, b"\xff" * 16, lambda size: next(randoms))
    card.power_on()
    counter = Counter(card)
    counter.select()
    add = "84D4010214" + "7C87BC23140021B3AFEA67E6359DDCFE" + "D7C943F6"
    update = "84D4390114" + "7C87BC23140021B3AFEA67E6359DDCFE" + "9095E4E1"
    plain_type = "84D4F90214" + "7E65DE142F66CA41AFEA67E6359DDCFE" + "012EF5F5"
    counter.ok("0084000004")
    assert counter.sw(add) == "9000"
    counter.ok("0084000004")
    assert counter.sw(update) == "6A88"  # the blog's card had a key 01, ours has none to replace
    counter.ok("0084000004")
    assert counter.sw(plain_type) == "9000"
    counter.ok("0084000004")
    assert counter.sw(add) == "6A86"  # it is there already


@pytest.mark.parametrize(
    ("p1", "id_", "record", "expected"),
    [
        (0x01, 2, "3EF0020100" + "11" * 16, "9000"),
        (0x3E, 1, "3EF0020900" + "11" * 16, "9000"),
        (0xFE, 1, "FEF0020900" + "11" * 16, "9000"),  # both top bits: to be updated under protection
        (0x01, 2, "3EF0020101" + "11" * 16, "9000"),  # another algorithm
        (0x01, 1, "3EF0020100" + "11" * 16, "6A86"),
        (0x3E, 5, "3EF0020100" + "11" * 16, "6A88"),
        (0x3F, 1, "3EF0020100" + "11" * 16, "6A80"),  # P1 says another type
        (0x01, 2, "3EF0020107" + "11" * 16, "6A80"),  # no such algorithm
        (0x01, 2, "3EF0020101" + "11" * 8, "6A80"),  # SM4 keys have 16 bytes
        (0x01, 2, "31F0020100" + "11" * 16, "9000"),
        (0x01, 2, "35F0020100" + "11" * 16, "6A80"),  # no such type here
        (0x01, 2, "39F0020440" + "11" * 16, "6A80"),  # no try from the start
        (0x01, 2, "39F0020434" + "11" * 16, "6A80"),  # more tries than there are
        (0x01, 2, "3EF002", "6A80"),
    ],
)
def test_write_key_takes_what_fits(counter: Counter, p1: int, id_: int, record: str, expected: str) -> None:
    assert f"{counter.write_key(p1, id_, bytes.fromhex(record), CONTROL).sw:04X}" == expected


def test_a_renewed_key_is_used_at_once(counter: Counter) -> None:
    record = bytes.fromhex("3EF0020700") + bytes(range(16))
    assert counter.write_key(0x3E, 1, record, CONTROL).ok
    opened = counter.ok(counter.init_purchase(0))
    assert opened[9] == 7
    assert counter.sw(counter.debit(0, opened)) == "9302"


def test_a_purse_key_asks_for_the_tac_key_of_its_algorithm(counter: Counter) -> None:
    assert counter.write_key(0x01, 2, bytes.fromhex("3EF0020101") + PURCHASE, CONTROL).ok
    assert counter.sw("805001020B0200000000310001050306") == "6A88"
    assert counter.write_key(0x01, 1, bytes.fromhex("34F0020101") + PURCHASE, CONTROL).ok
    assert counter.ok("805001020B0200000000310001050306")[9:11] == b"\x01\x01"


def test_a_key_with_a_use_right_needs_that_state(counter: Counter) -> None:
    assert counter.write_key(0x3E, 1, bytes.fromhex("3EF4020100") + PURCHASE, CONTROL).ok
    assert counter.sw(counter.init_purchase(0)) == "6982"
    assert counter.authenticate().ok
    counter.purchase(0)


def test_a_full_key_file_says_so(counter: Counter) -> None:
    words = [
        f"{counter.write_key(0x01, id_, bytes.fromhex('3FF0020100') + bytes(16), CONTROL).sw:04X}"
        for id_ in range(2, 20)
    ]
    assert words == ["9000"] * 11 + ["6A84"] * 7


def test_write_key_asks_for_challenge_mac_and_whole_blocks(counter: Counter) -> None:
    assert counter.sw("84D401021C" + "00" * 28) == "6984"
    counter.ok("0084000004")
    assert counter.sw("84D4010203" + "00" * 3) == "6987"
    assert counter.sw(counter.secured("84D40102", bytes(23), CONTROL)) == "6700"
    assert counter.sw(counter.secured("84D40102", bytes(24), MAINTENANCE)) == "6988"
    plain = pad80(b"\x15" + bytes.fromhex("3EF0020100") + bytes(16))[:-1] + b"\x01"
    cipher = counter.suite.encrypt(CONTROL, plain)
    assert counter.sw(counter.secured("84D40102", cipher, CONTROL)) == "6A80"  # padded with something else


def test_the_transport_key_is_gone_after_personalisation(counter: Counter) -> None:
    record = bytes.fromhex("3EF0020100") + PURCHASE
    assert f"{counter.write_key(0x01, 2, record, TRANSPORT).sw:04X}" == "6988"
    assert counter.card.image()[TABLE_AT:].count(TRANSPORT) == 1  # the MF's, which stays


# Challenges and tries


@ALGORITHMS
def test_external_authentication(algorithm: int) -> None:
    counter = personalised(algorithm)
    assert counter.sw("00D697000101") == "6982"
    assert f"{counter.authenticate(MAINTENANCE).sw:04X}" == "63C2"
    assert counter.authenticate().ok
    assert counter.sw("00D697000101") == "9000"
    for left in (2, 1, 0):
        assert f"{counter.authenticate(MAINTENANCE).sw:04X}" == f"63C{left}"
    assert f"{counter.authenticate().sw:04X}" == "6983"
    assert counter.sw("00D697000102") == "9000"  # what was granted stays until the next SELECT


def test_a_challenge_serves_the_next_command_only(counter: Counter) -> None:
    challenge = counter.ok("0084000004")
    proof = counter.suite.encrypt(CONTROL, challenge.ljust(8, b"\x00"))
    command = Command(0x00, 0x82, 0, 0, proof)
    assert counter.sw("805C030204") == "9000"
    assert counter.sw(command) == "6984"
    assert len(counter.ok("0084000008")) == 8
    assert counter.sw("0084000005") == "6700"
    assert counter.sw(Command(0x00, 0x82, 0, 7, proof)) == "6A88"
    assert counter.sw(Command(0x00, 0x82, 1, 0, proof)) == "6A86"
    assert counter.sw(Command(0x00, 0x82, 0, 0, proof[:4])) == "6700"


def test_wrong_macs_block_the_maintenance_key(counter: Counter) -> None:
    words = [counter.sw(counter.secured("04D69600", b"\x01", CONTROL)) for _ in range(4)]
    assert words == ["6988", "6988", "6988", "6983"]
    assert counter.sw(counter.secured("04D69600", b"\x01")) == "6983"


def test_a_right_mac_gives_the_tries_back(counter: Counter) -> None:
    for _ in range(3):
        for _ in range(2):
            assert counter.sw(counter.secured("04D69600", b"\x01", CONTROL)) == "6988"
        counter.ok(counter.secured("04D69600", b"\x01"))


@pytest.mark.parametrize("key", [CONTROL, MAINTENANCE], ids=["wrong guess", "right guess"])
def test_tearing_the_card_away_wins_no_try(counter: Counter, key: bytes) -> None:
    """Whoever cuts the power after the card's first change has spent a try, whatever the guess was worth."""
    for _ in range(3):
        guess = counter.secured("04D69600", b"\x01", key)
        committed = 0

        def after_the_first_change(address: int, old: bytes, new: bytes) -> bytes | None:
            nonlocal committed
            committed += address == 64 and new == bytes(8)
            return new if committed else None

        counter.card.memory.fuse = after_the_first_change
        with pytest.raises(PowerLost):
            counter.card.process(guess)
        counter.card.memory.fuse = None
        counter.card.power_on()
        counter.select()
    assert counter.sw(counter.secured("04D69600", b"\x01")) == "6983"


def test_secure_messaging_says_what_is_missing(counter: Counter) -> None:
    assert counter.sw("04D696000101") == "6987"
    assert counter.sw("04D69600050100000000") == "6984"
    counter.ok("00A40000023F00")
    assert counter.sw("04D69600050100000000") == "6A82"  # the file comes before the key


# Blocking


def test_the_published_block_command() -> None:
    """Vector S of card facts 2.7 and the gate's form of 6.2: 841E000004 under challenge 5A6B7C8D."""
    counter = personalised()
    assert counter.write_key(0x36, 0, bytes.fromhex("36F002FF33") + PURCHASE, CONTROL).ok
    chip = counter.card._chip
    assert chip is not None
    chip.random = lambda size: bytes.fromhex("5A6B7C8D")
    counter.ok("0084000004")
    assert counter.sw("841E000004" + "6D20E23B") == "9000"
    assert counter.sw(SELECT) == "6283"


def test_a_blocked_card_can_be_read_and_not_used() -> None:
    counter = blocked()
    answer = counter.send(SELECT)
    assert (answer.sw, answer.data[:4].hex()) == (0x6283, "6f318408")
    assert counter.balance() == 5_000
    assert counter.ok("00B0950000")
    assert counter.ok("805A000202000108")
    for refused in (counter.init_purchase(0), counter.init_load(1), "00D697000101", "84D4010204" + "00" * 4):
        assert counter.sw(refused) == "6A81"
    counter.card.power_off()
    counter.card.power_on()
    assert counter.sw(SELECT) == "6283"


def test_unblocking_gives_it_back() -> None:
    counter = blocked()
    counter.ok(counter.secured("84180000"))
    counter.select()
    counter.purchase(5_000, Txn.COMPOSITE)
    assert counter.sw(counter.secured("84180000")) == "6985"


def test_three_wrong_macs_when_unblocking_end_the_card() -> None:
    counter = blocked()
    words = [counter.sw(counter.secured("84180000", key=CONTROL)) for _ in range(4)]
    assert words == ["6988", "6988", "9303", "6985"]
    assert counter.sw(SELECT) == "9303"


def test_a_permanent_block_is_for_ever() -> None:
    counter = blocked(permanently=True)
    assert counter.sw(SELECT) == "9303"
    assert counter.sw(counter.secured("84180000")) == "6985"
    copy = Counter(Card.from_image(counter.card.image(), Random(1).randbytes))
    copy.card.power_on()
    assert copy.sw(SELECT) == "9303"


def test_a_block_needs_its_mac(counter: Counter) -> None:
    counter.ok("0084000004")
    assert counter.sw("841E000004" + "00" * 4) == "6988"
    assert counter.sw("841E000004" + "00" * 4) == "6984"
    assert counter.sw("841E0000") == "6700"
    assert counter.sw("841E000204" + "00" * 4) == "6A86"
    counter.select()


def test_an_sm4_card_is_blocked_with_sm4() -> None:
    counter = personalised(SM4_SUITE.id)
    counter.ok(counter.secured("841E0000"))
    assert counter.sw(SELECT) == "6283"
