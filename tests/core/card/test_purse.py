# SPDX-License-Identifier: Apache-2.0
"""The purse as a terminal meets it: what it adds and takes, what it remembers, and how it says no."""

from __future__ import annotations

from datetime import datetime

import pytest

from citycard.core import tunion
from citycard.core.apdu import Command
from citycard.core.card import PowerLost
from citycard.core.card.atomic import Change
from citycard.core.card.body import BODY
from citycard.core.purse import ATC_MAX, Txn
from tests.core.card.counter import (
    SELECT,
    TERMINAL,
    Counter,
    industry,
    personalised,
    stage_industry,
    stage_transit,
    transit,
)

CAP_FEN = 100_000
ALGORITHMS = pytest.mark.parametrize("algorithm", [0, 1], ids=["3DES", "SM4"])


@pytest.fixture
def counter() -> Counter:
    """A card with 100 yuan, selected."""
    counter = personalised()
    counter.load(10_000)
    return counter


# What a card does


@ALGORITHMS
def test_a_day_with_the_card(algorithm: int) -> None:
    counter = personalised(algorithm)
    counter.load(10_000)
    counter.purchase(250)
    counter.purchase(0, Txn.COMPOSITE, (stage_industry(1, 0x11), stage_transit(0x03)))
    counter.purchase(600, Txn.COMPOSITE, (stage_industry(1, 0x22), stage_transit(0x04)))

    assert [counter.balance(p1) for p1 in range(5)] == [9_150, 0, 0, 9_150, CAP_FEN]
    assert counter.records(tunion.SFI_TRANSIT) == [transit(0x04), transit(0x03)]
    assert counter.records(tunion.SFI_INDUSTRY)[0] == industry(1, 0x22)
    log = [tunion.LOG.decode(record) for record in counter.records(tunion.SFI_LOG)]
    assert [(row["counter"], row["amount_fen"], row["txn"]) for row in log] == [
        (2, 600, Txn.COMPOSITE),
        (1, 0, Txn.COMPOSITE),
        (0, 250, Txn.EP_PURCHASE),
        (0, 10_000, Txn.EP_LOAD),
    ]
    assert all((row["terminal"], row["at"]) == (TERMINAL, datetime(2024, 1, 15, 8, 30)) for row in log)


def test_initialise_tells_balance_counter_version_and_algorithm(counter: Counter) -> None:
    counter.purchase(1)
    opened = counter.ok(counter.init_purchase(300))
    assert opened[:11].hex() == "0000270f" + "0001" + "000000" + "01" + "00"
    opened = counter.ok(counter.init_load(300))
    assert opened[:8].hex() == "0000270f" + "0001" + "01" + "00"


def test_the_log_keeps_the_ten_newest(counter: Counter) -> None:
    for amount_fen in range(1, 15):
        counter.purchase(amount_fen)
    amounts = [tunion.LOG.decode(r)["amount_fen"] for r in counter.records(tunion.SFI_LOG)]
    assert amounts == list(range(14, 4, -1))


def test_the_last_transaction_can_be_proven_until_the_next(counter: Counter) -> None:
    tac_mac2 = counter.purchase(100)
    assert counter.ok("805A000602000108") == tac_mac2[4:] + tac_mac2[:4]
    assert counter.sw("805A000902000108") == "9406"
    assert counter.sw("805A000602000208") == "9406"
    tac = counter.load(5)
    assert counter.sw("805A000602000108") == "9406"
    assert counter.ok("805A000202000208") == bytes(4) + tac
    assert personalised().sw("805A000002000008") == "9406"


def test_several_records_of_one_file_are_staged_in_order(counter: Counter) -> None:
    staged = (stage_transit(1), stage_transit(2), stage_industry(18, 3), stage_industry(18, 4))
    counter.purchase(1, Txn.COMPOSITE, staged)
    assert counter.records(tunion.SFI_TRANSIT) == [transit(2), transit(1)]
    assert counter.records(tunion.SFI_INDUSTRY)[17] == industry(18, 4)
    counter.ok(counter.init_purchase(1, Txn.COMPOSITE))
    for record in staged:
        counter.ok(record)
    assert counter.sw(stage_transit(5)) == "6A84"


@pytest.mark.parametrize(
    "head",
    ["80DC01D480", "80DC01D080", "80DC00F030", "80DC00F330"],
    ids=["by number", "by identifier", "append", "previous"],
)
def test_ways_to_name_a_staged_record(counter: Counter, head: str) -> None:
    data = industry(1, 9) if head.endswith("80") else transit(9)
    opened = counter.ok(counter.init_purchase(1, Txn.COMPOSITE))
    counter.ok(bytes.fromhex(head) + data)
    counter.ok(counter.debit(1, opened, Txn.COMPOSITE))
    assert counter.records(0x1A if head.endswith("80") else 0x1E)[0] == data


# How it says no


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("8050010209010000000131000105", "6700"),  # Lc
        ("805001020B0100000001310001050306" + "08", "6C0F"),  # Le
        ("805001010B0100000001310001050306" + "0F", "6A86"),  # the electronic deposit, which is not here
        ("805002020B0100000001310001050306" + "0F", "6A86"),  # cash
        ("805001020B0700000001310001050306" + "0F", "9403"),  # key index
        ("805001020B0100002711310001050306" + "0F", "9401"),  # a fen more than there is
        ("805003020B01FFFFFFFF310001050306" + "0F", "9401"),
        ("805000020B0100015F91310001050306" + "10", "6A80"),  # a fen over the cap
        ("805000020B01FFFFFFFF310001050306" + "10", "6A80"),
        ("805401000F" + "00" * 15 + "08", "6985"),  # no INITIALIZE before
        ("805200000B" + "00" * 11 + "04", "6985"),
        ("80DC00F030" + "00" * 48, "6985"),
        ("805C0502", "6A86"),
        ("805C0301", "6A86"),
        ("805C030205", "6C04"),
        ("805C03020100", "6700"),
        ("805A01060200010008", "6700"),
        ("805A010602000108", "6A86"),
    ],
)
def test_refusals(counter: Counter, command: str, expected: str) -> None:
    assert counter.sw(command) == expected
    assert counter.balance() == 10_000


def test_the_whole_balance_and_the_whole_cap_can_be_used(counter: Counter) -> None:
    counter.load(CAP_FEN - 10_000)
    assert counter.balance() == CAP_FEN
    counter.purchase(CAP_FEN)
    assert counter.balance() == 0


def test_a_wrong_mac_ends_the_transaction(counter: Counter) -> None:
    opened = counter.ok(counter.init_purchase(100))
    good = counter.debit(100, opened)
    bad = good[:-2] + bytes((good[-2] ^ 1,)) + good[-1:]
    assert counter.sw(bad) == "9302"
    assert counter.sw(good) == "6985"
    opened = counter.ok(counter.init_load(100))
    good = counter.credit(100, opened)
    assert counter.sw(good[:-2] + bytes((good[-2] ^ 1,)) + good[-1:]) == "9302"
    assert counter.sw(good) == "6985"
    assert (counter.balance(), len(counter.records(0x18))) == (10_000, 1)


@pytest.mark.parametrize(
    "between",
    [
        "805C030204",
        "0084000004",
        SELECT,
        "00B0950000",
        "805A000602000108",
        "8054010001FF",
        "00",
        "8099000000",
    ],
)
def test_whatever_comes_between_ends_the_transaction(counter: Counter, between: str) -> None:
    opened = counter.ok(counter.init_purchase(100, Txn.COMPOSITE))
    counter.ok(stage_transit(7))
    counter.send(between)
    assert counter.sw(counter.debit(100, opened, Txn.COMPOSITE)) == "6985"
    counter.purchase(100)
    assert counter.records(tunion.SFI_TRANSIT) == []


@pytest.mark.parametrize(
    ("staged", "expected"),
    [
        (Command(0x80, 0xDC, 0x01, 0xD4, industry(2, 1)), "6A80"),  # another record's tag
        (Command(0x80, 0xDC, 0x01, 0xD4, industry(1, 1)[:-1]), "6700"),
        (Command(0x80, 0xDC, 0x13, 0xD4, industry(1, 1)), "6A83"),
        (Command(0x80, 0xDC, 0x00, 0xD4, industry(1, 1)), "6A83"),
        (Command(0x80, 0xDC, 0x00, 0xF0, transit(1) + b"\x00"), "6700"),
        (Command(0x80, 0xDC, 0x01, 0xF4, transit(1)), "6A83"),  # no transit record is there yet
        (Command(0x80, 0xDC, 0x00, 0xC0, bytes(23)), "6982"),  # nobody writes the log
        (Command(0x80, 0xDC, 0x00, 0xA8, bytes(30)), "6981"),
        (Command(0x80, 0xDC, 0x00, 0x68, bytes(30)), "6A82"),
        (Command(0x80, 0xDC, 0x01, 0xF5, transit(1)), "6A86"),
    ],
)
def test_a_record_that_cannot_be_staged_ends_the_transaction(
    counter: Counter, staged: Command, expected: str
) -> None:
    opened = counter.ok(counter.init_purchase(100, Txn.COMPOSITE))
    assert counter.sw(staged) == expected
    assert counter.sw(counter.debit(100, opened, Txn.COMPOSITE)) == "6985"


def test_only_a_composite_purchase_stages(counter: Counter) -> None:
    counter.ok(counter.init_purchase(100))
    assert counter.sw(stage_transit(1)) == "6985"
    counter.ok(counter.init_load(100))
    assert counter.sw(stage_transit(1)) == "6985"


def test_debit_and_credit_do_not_mix(counter: Counter) -> None:
    opened = counter.ok(counter.init_load(100))
    assert counter.sw(counter.debit(100, b"\x00\x00\x27\x10" + opened[4:6] + bytes(9))) == "6985"
    counter.ok(counter.init_purchase(100))
    assert counter.sw("805200000B" + "00" * 11) == "6985"


def test_a_counter_at_its_end_takes_no_more(counter: Counter) -> None:
    chip = counter.card._chip
    assert chip is not None
    purse = chip.directories[1].purse
    assert purse is not None
    balance_fen, _, _, *rest = chip.memory.unpack(BODY, purse.body)
    change = Change(chip.memory)
    change.write(purse.body, BODY.pack(balance_fen, ATC_MAX, ATC_MAX - 1, *rest))
    chip.journal.commit(change)
    assert counter.sw(counter.init_load(1)) == "9402"
    counter.purchase(1)
    assert counter.sw(counter.init_purchase(1)) == "9402"
    assert counter.sw(counter.init_purchase(99_999)) == "9402"  # before the balance is looked at
    assert counter.ok("805A000602FFFF08") != bytes(8)


def test_without_its_keys_the_purse_does_nothing() -> None:
    counter = personalised()
    assert counter.sw("805001020B0200000000310001050306") == "9403"
    counter.ok("00A40000023F00")
    assert counter.sw(counter.init_purchase(0)) == "6985"
    assert counter.sw("805C030204") == "6985"


def test_a_card_without_power_answers_nothing(counter: Counter) -> None:
    counter.card.power_off()
    with pytest.raises(PowerLost):
        counter.select()
    assert counter.card.power_on().hex() == "3b80800101"
    counter.select()
    assert counter.balance() == 10_000


def test_equal_seeds_make_equal_cards() -> None:
    one, other = personalised(seed=5), personalised(seed=5)
    for counter in (one, other):
        counter.load(500)
        counter.purchase(20, Txn.COMPOSITE, (stage_transit(1),))
    assert one.card.image() == other.card.image()
    assert one.card.image() != personalised(seed=6).card.image()
