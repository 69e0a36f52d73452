# SPDX-License-Identifier: Apache-2.0
"""Deposit beside purse, unload, cash, overdraft, proofs, the second ticket: all that money can do on a card."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from citycard.core import mohurd, tunion
from citycard.core.apdu import Command
from citycard.core.card import CONTACT, FMCOS, MOHURD, Traits, made_card, raw_card
from citycard.core.card.spec import DirectorySpec, Profile, PurseSpec
from citycard.core.purse import Txn
from tests.core.card.counter import Counter
from tests.core.card.issuer import (
    CASH,
    COMPOSITE,
    LOAD,
    OVERDRAFT,
    PIN,
    PURCHASE,
    UNLOAD,
    Issuer,
    issued,
    issuer,
    key_of,
)

DK2 = "92A761B6F12817C6831979C4D5B887DE"
CARD_KEY = "00112233445566778899AABBCCDDEEFF"


def classic(traits: int = 0) -> Issuer:
    """The contact card's deposit and purse over T=CL, PIN verified."""
    counter = issued(replace(CONTACT, traits=Traits.SM4), traits=traits)
    counter.ok(Command(0x00, 0x20, 0, 0, PIN))
    return counter


def log(counter: Counter, sfi: int = 0x18) -> list[tuple[int, int, int, int]]:
    """The log, newest first: serial, overdraft limit, amount, type."""
    rows = [tunion.LOG.decode(record) for record in counter.records(sfi)]
    return [(row["counter"], row["overdraft_fen"], row["amount_fen"], row["txn"]) for row in rows]


# Published cards and numbers


def fmcos(key: str, *randoms: str, tac: str = CARD_KEY) -> Counter:
    """A card as the vendor's, with one key for everything, which draws these numbers."""
    drawn = iter([bytes(7), *(bytes.fromhex(r) for r in randoms)])
    card = raw_card(FMCOS, lambda size: next(drawn))
    card.power_on()
    counter = Counter(card)
    for command in (
        "80E03F001038FFFFF0F001FFFF" + "FF" * 8,
        "80E00000073F018F01F0FFFF",
        *(f"80D4010115{type_}F0020000{key}" for type_ in ("3E", "3F", "3D", "3C")),
        f"80D401001534F0020000{tac}",
        "80E00018072E0A17F1EFFFFF",
        "80E00001072F0208F000FF18",
        "80E00002072F0208F000FF18",
    ):
        counter.ok(command)
    return counter


def test_a_real_cards_load_and_purchase() -> None:
    """Vector C of card facts 2.7: what an FM1208 answered, byte for byte."""
    counter = fmcos(CARD_KEY, "E0B84748", "C903814D", "584633C9")
    init = "805000020B01" + "00002000" + "001122334455" + "10"
    assert counter.ok(init).hex().upper() == "00000000" + "0000" + "0000" + "E0B84748" + "EA411F90"
    assert counter.ok(init)[12:].hex().upper() == "03976C22"
    assert counter.ok("805200000B20161216105800" + "8AFA5718" + "04").hex().upper() == "FA00066D"
    purchase = "805001020B01" + "00000001" + "001122334455" + "0F"
    assert counter.ok(purchase).hex().upper() == "00002000" + "0000" + "000000" + "0000" + "584633C9"
    debit = "805401000F" + "00000000" + "20161216134600" + "D45737C5" + "08"
    assert counter.ok(debit).hex().upper() == "8AF270DC" + "66B54A6B"


def test_the_regression_values_of_unload_and_overdraft() -> None:
    """Vector S of card facts 2.7, made with the same rules by other hands: MAC1, MAC2, MAC3."""
    counter = fmcos(DK2, "00000000", "01020304", "0A0B0C0D")
    chip = counter.card._chip
    assert chip is not None
    terminal, moment = "310001050306", "20240115083000"
    body = chip.directories[0].purses[1].body
    chip.memory.write(body, (0x2710).to_bytes(4, "big") + (5).to_bytes(2, "big") + bytes(2))
    chip.random(4)
    opened = counter.ok(f"805005010B01000003E8{terminal}10").hex().upper()
    assert opened == "00002710" + "0005" + "0000" + "01020304" + "B1BD8BEB"
    assert counter.ok(f"805403000B{moment}AC7DA19F04").hex().upper() == "90B6EB96"
    opened = counter.ok(f"805004010701{terminal}13").hex().upper()
    assert opened == "00002328" + "0006" + "000000" + "0000" + "0A0B0C0D" + "48FEDD93"
    assert len(counter.ok(f"805800000E0003E8{moment}2E2E368704")) == 4
    assert counter.ok("805C000104").hex() == f"{0x2328 + 1000:08x}"


# A month of a deposit


def test_deposit_and_purse_keep_their_own_books() -> None:
    counter = classic()
    counter.fill(50_000, 1, Txn.ED_LOAD)
    counter.fill(700)
    counter.pay(1_200, PURCHASE, 1, Txn.ED_PURCHASE)
    counter.pay(20_000, CASH, 1, Txn.CASH)
    counter.pay(200)
    counter.pay(100, COMPOSITE, 2, Txn.COMPOSITE)
    mac3 = counter.take_back(10_000, 1)
    assert counter.ok("805C000104") == (18_800).to_bytes(4, "big")
    assert counter.ok("805C000204") == (400).to_bytes(4, "big")
    assert counter.sw("805C010204") == "6A86"  # T-Union's ways to ask are not PBOC's
    assert counter.ok("805A000302000208") == mac3 + bytes(4)
    assert log(counter) == [
        (1, 0, 10_000, Txn.UNLOAD),
        (1, 0, 100, Txn.COMPOSITE),
        (0, 0, 200, Txn.EP_PURCHASE),
        (1, 0, 20_000, Txn.CASH),
        (0, 0, 1_200, Txn.ED_PURCHASE),
        (0, 0, 700, Txn.EP_LOAD),
        (0, 0, 50_000, Txn.ED_LOAD),
    ]


def test_overdraft_is_lent_and_paid_back() -> None:
    counter = classic(Traits.BALANCES)
    counter.fill(1_000, 1, Txn.ED_LOAD)
    assert counter.limit(5_000, 1) == "9000"
    assert counter.amounts(1)[:4] == [6_000, 5_000, 0, 1_000]
    counter.pay(3_500, PURCHASE, 1, Txn.ED_PURCHASE)
    assert counter.amounts(1)[:4] == [2_500, 5_000, 2_500, 0]
    assert counter.sw(counter.start(PURCHASE, 2_501, 1)) == "9401"
    assert counter.sw(counter.start(UNLOAD, 1, 1)) == "9401"  # nothing of what is there is the holder's
    assert counter.limit(2_499, 1) == "9401"  # less than is owed
    assert counter.limit(2_500, 1) == "9000"
    assert counter.amounts(1)[:4] == [0, 2_500, 2_500, 0]
    counter.fill(4_000, 1, Txn.ED_LOAD)
    assert counter.amounts(1)[:4] == [4_000, 2_500, 0, 1_500]
    assert [row[1:] for row in log(counter)[:2]] == [(2_500, 4_000, Txn.ED_LOAD), (2_500, 0, Txn.OVERDRAFT)]
    opened = counter.ok(counter.start(PURCHASE, 0, 1))
    assert opened[6:9] == (2_500).to_bytes(3, "big")


def test_cap_and_limit_together_stay_within_three_bytes() -> None:
    """T-Union: cap A and overdraft limit C, A + C <= FFFFFF; 0 <= balance <= A (facts 1.4)."""
    counter = issued(tickets())
    assert counter.limit(0xFFFFFF - 100_000 + 1) == "6A80"
    assert counter.limit(0xFFFFFF - 100_000) == "9000"
    counter.fill(100_000)
    assert counter.sw(counter.start(LOAD, 1)) == "6A80"
    assert counter.amounts() == [0xFFFFFF, 0xFFFFFF - 100_000, 0, 100_000, 100_000]
    assert counter.limit(0) == "9000"


def tickets() -> Profile:
    """A T-Union like card with all keys, a second ticket, and everything its traits allow."""
    old = MOHURD.directories[1]
    purses = (PurseSpec(0x0002, 100_000, 0x18), PurseSpec(0x0003, 20_000, 0x18))
    application: DirectorySpec = replace(old, purses=purses)
    traits = Traits.BALANCES | Traits.EP_CREDIT | Traits.TWO_TICKETS | Traits.SM4
    return replace(MOHURD, directories=(MOHURD.directories[0], application), traits=traits)


def test_the_second_ticket_has_its_own_money() -> None:
    counter = issued(tickets())
    counter.fill(1_000)
    counter.fill(300, ticket=0x10)
    counter.pay(100, PURCHASE | 0x10)
    counter.pay(50, COMPOSITE | 0x10, txn=Txn.COMPOSITE)
    counter.take_back(25, ticket=0x10)
    assert counter.limit(500, ticket=0x10) == "9000"
    assert counter.amounts() == [1_000, 0, 0, 1_000, 100_000]
    assert counter.amounts(first=6) == [625, 500, 0, 125, 20_000]
    opened = counter.ok(counter.start(PURCHASE | 0x10, 5))
    assert counter.sw(counter.debit(5, opened)) == "6985"  # 805401 completes the first ticket only
    assert issued(MOHURD).sw(counter.start(PURCHASE | 0x10, 5)) == "6A86"


def test_a_mohurd_card_logs_loads_apart_and_stages_composite_records() -> None:
    counter = issued(MOHURD)
    counter.fill(2_000)
    record = bytes.fromhex("022E") + b"\xab" * 46
    opened = counter.ok(counter.start(COMPOSITE, 150))
    counter.ok(Command(0x80, 0xDC, 0x02, 0x17 << 3, record))
    wrong = counter.debit(151, opened, Txn.COMPOSITE)
    assert counter.sw(wrong) == "9302"
    opened = counter.ok(counter.start(COMPOSITE, 150))
    counter.ok(Command(0x80, 0xDC, 0x02, 0x17 << 3, record))
    counter.ok(Command(0x80, 0xDC, 0x00, 0x10 << 3, bytes(range(23))))
    counter.ok(counter.debit(150, opened, Txn.COMPOSITE))
    assert counter.ok("00B202B800") == record
    assert counter.ok("00B211B800") == b"\x11\x0e" + bytes(14)
    assert counter.records(mohurd.SFI_AWAY) == [bytes(range(23))]
    assert [row[3] for row in log(counter, 0x18)] == [Txn.COMPOSITE]
    assert [row[3] for row in log(counter, 0x1A)] == [Txn.EP_LOAD]
    assert counter.sw("80DC02B830" + record.hex()) == "6985"


# Proofs, refusals, and the open points


def test_every_transaction_can_be_proven_once_it_is_done() -> None:
    counter = issued(tickets())
    counter.fill(9_000)
    for do, type_, serial in (
        (lambda: bytes(4) + counter.fill(9_000), Txn.EP_LOAD, 2),
        (lambda: counter.pay(10), Txn.EP_PURCHASE, 1),
        (lambda: counter.pay(10, COMPOSITE, 2, Txn.COMPOSITE), Txn.COMPOSITE, 2),
        (lambda: counter.take_back(10) + bytes(4), Txn.UNLOAD, 3),
    ):
        done = do()
        proof = counter.ok(f"805A00{type_:02X}02{serial:04X}08")
        assert proof in (done, done[4:] + done[:4])
        assert counter.sw(f"805A00{type_:02X}02{serial + 1:04X}08") == "9406"
    assert counter.limit(100) == "9000"
    assert counter.ok("805A0007020004" + "08")[:4] == bytes(4)
    assert counter.sw("805A0003020003" + "08") == "9406"


@pytest.mark.parametrize(
    ("kind", "p2", "expected"),
    [
        (LOAD, 1, "9000"), (PURCHASE, 1, "9000"), (CASH, 1, "9000"), (OVERDRAFT, 1, "9000"), (UNLOAD, 1, "9000"),
        (COMPOSITE, 1, "6A86"), (LOAD, 2, "9000"), (PURCHASE, 2, "9000"), (COMPOSITE, 2, "9000"),
        (CASH, 2, "6A86"), (OVERDRAFT, 2, "6A86"), (UNLOAD, 2, "6A86"), (6, 1, "6A86"), (LOAD, 3, "6A86"),
    ],
)  # fmt: skip
def test_what_each_purse_of_a_pboc_card_can(kind: int, p2: int, expected: str) -> None:
    assert classic().sw(classic().start(kind, 0, p2)) == expected


def test_wrong_macs_move_nothing() -> None:
    counter = classic()
    counter.fill(500, 1, Txn.ED_LOAD)
    for kind, command in (
        (UNLOAD, "805403000B" + "00" * 11),
        (OVERDRAFT, "805800000E" + "00" * 14),
        (CASH, "805401000F" + "00" * 15),
        (LOAD, "805200000B" + "00" * 11),
    ):
        counter.ok(counter.start(kind, 5, 1))
        assert counter.sw(command) == "9302"
        assert counter.sw(command) == "6985"
    assert counter.ok("805C000104") == (500).to_bytes(4, "big")
    assert len(log(counter)) == 1


def test_the_deposit_wants_the_pin() -> None:
    counter = issued(replace(CONTACT, traits=Traits.SM4))
    for command in (counter.start(LOAD, 1, 1), counter.start(PURCHASE, 0, 1), "805C000104"):
        assert counter.sw(command) == "6982"
    counter.ok(Command(0x00, 0x20, 0, 0, PIN))
    counter.fill(1, 1, Txn.ED_LOAD)
    counter.enter()
    assert counter.sw("805C000104") == "6982"
    assert counter.ok("805C000204") == bytes(4)


@pytest.mark.parametrize(("trait", "serial"), [(0, 0), (Traits.LOG_SERIAL_AFTER, 1)])
def test_open_point_log_serial(trait: int, serial: int) -> None:
    """Facts 10.3: before the increment by the manual, after it on a card that was read."""
    counter = classic(trait)
    counter.fill(1)
    assert log(counter)[0][0] == serial


def test_open_point_overdraft_tac() -> None:
    """Facts 10.2: the halves' xor as for every TAC, or the whole key."""
    counter = classic(Traits.WHOLE_OVERDRAFT_TAC)
    with pytest.raises(AssertionError):
        counter.limit(100, 1)
    assert counter.ok("805C000104") == (100).to_bytes(4, "big")


def test_a_card_of_a_profile_is_issued_ready() -> None:
    card = made_card(MOHURD, key_of, {(0x1001, 0x15): b"\x07\x31"}, Random(1).randbytes)
    counter = issuer(card, MOHURD.directories[1])
    assert counter.enter()[:4].hex() == "6f328409"
    counter.fill(100)
