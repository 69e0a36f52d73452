# SPDX-License-Identifier: Apache-2.0
"""One chip, two worlds: the T-Union purse and the security domain on the same emulated card."""

from __future__ import annotations

from random import Random

import pytest

from citycard.core import tunion
from citycard.core.card import T_UNION, PowerLost
from citycard.core.dialogue.exchange import Refused, converse
from citycard.core.gp import client
from citycard.core.gp.card import CITY_LOAD_FILE, GpCard, gp_card
from citycard.core.gp.client import Subset
from citycard.core.gp.keys import AES, KeySet
from citycard.core.gp.state import ISD_AID, SSD_LOAD_FILE, SSD_MODULE
from citycard.core.gp.store import Store
from citycard.core.problem import Problem
from citycard.core.purse import Txn
from tests.core.card.counter import KEYS, PUBLIC, TRANSPORT, Counter

KEY_SETS = {0x30: KeySet.single(b"an-aes-test-key!", AES), 0x20: KeySet.single(b"a-3des-test-key!")}
HOST = b"12345678"
SSD = bytes.fromhex("D15600010102")


@pytest.fixture
def counter() -> Counter:
    card = gp_card(T_UNION, TRANSPORT, KEY_SETS, Random(1).randbytes)
    card.power_on()
    return Counter(card)


def open_session(counter: Counter, level: int = 0x33) -> client.GpSession:
    make = client.with_keys(KEY_SETS[0x30])
    session = converse(client.open_channel(make, host=HOST, level=level), {"card": counter.card.process})
    assert isinstance(session, client.GpSession)
    return session


def run(counter: Counter, dialogue):
    return converse(dialogue, {"card": counter.card.process})


def test_the_domain_is_selected_when_power_comes_and_the_purse_by_its_name(counter: Counter) -> None:
    assert counter.send("80CA9F7F00").ok
    session = open_session(counter)
    rows = run(counter, client.get_status(session, Subset.APPLICATIONS))
    assert [(row.aid, row.load_file) for row in rows] == [(tunion.AID_PURSE, CITY_LOAD_FILE)]
    refused = run(counter, client.delete_application(session, tunion.AID_PURSE))
    assert isinstance(refused, Refused) and refused.sw == 0x6985
    counter.select()
    assert counter.sw("80CA9F7F00") == "6D00"
    assert counter.sw("805C030204") == "9000"
    assert run(counter, client.select_domain()) == ISD_AID
    assert counter.sw("80F28002024F0000") == "6982"
    assert counter.sw("00A40000023F00") == "9000"
    assert counter.sw("80CA9F7F00") == "6D00"


def test_the_domain_locks_the_purse_and_the_card(counter: Counter) -> None:
    session = open_session(counter)
    assert run(counter, client.set_status(session, 0x40, 0x80, tunion.AID_PURSE)) is None
    assert counter.sw("00A4040008A000000632010105") == "6A82"
    assert counter.sw("00A40000023F01") == "6A82"
    assert run(counter, client.set_status(session, 0x40, 0x00, tunion.AID_PURSE)) is None
    counter.select()
    run(counter, client.select_domain())
    assert run(counter, client.set_status(open_session(counter), 0x80, 0x7F)) is None
    counter.card.power_on()
    assert counter.sw("00A4040008A000000632010105") == "6A82"
    assert counter.sw("00A40000023F00") == "6A82"
    assert counter.sw("00A4040000") == "6283"


def test_a_purse_is_personalised_through_the_domain_all_or_nothing(counter: Counter) -> None:
    session = open_session(counter)
    public = bytes.fromhex("01011000FFFFFFFF020103105170070104791381201907182040123100") + b"\x00"
    kind = bytes.fromhex("0000015658005840000101")
    data = b"\x00\x15" + bytes((len(public),)) + public + b"\x00\x17" + bytes((len(kind),)) + kind
    refused = run(counter, client.personalise_application(session, tunion.AID_PURSE, data + b"\x00\x99\x01A"))
    assert isinstance(refused, Refused) and refused.sw == 0x6A88
    counter.select()
    assert counter.ok("00B0970000") == bytes(11)
    run(counter, client.select_domain())
    session = open_session(counter, 0x03)
    assert run(counter, client.personalise_application(session, tunion.AID_PURSE, data)) is None
    counter.select()
    assert counter.ok("00B0950000") == public
    assert counter.ok("00B0970000") == kind


@pytest.mark.parametrize("version", [0x30, 0x20])
def test_the_purse_s_keys_come_through_the_domain_and_the_purse_then_works(
    counter: Counter, version: int
) -> None:
    """What an over-the-air manager does: the whole application, under the domain's keys alone."""
    make = client.with_keys(KEY_SETS[version])
    dialogue = client.open_channel(make, host=HOST, level=0x03, version=version)
    session = converse(dialogue, {"card": counter.card.process})
    assert isinstance(session, client.GpSession)
    data = b"\x00\x15\x1e" + PUBLIC
    for type_, id_, head, value in KEYS:
        record = bytes((id_, type_)) + bytes.fromhex(head) + session.channel.encrypt_key(value)
        data += bytes((0x80, type_, len(record))) + record
    unfit = data[:-1] + b"x" + bytes((0x80, 0x3E, 1)) + b"!"
    refused = run(counter, client.personalise_application(session, tunion.AID_PURSE, unfit))
    assert isinstance(refused, Refused) and refused.sw == 0x6A80
    assert run(counter, client.personalise_application(session, tunion.AID_PURSE, data)) is None
    counter.select()
    counter.load(5_000)
    opened = counter.ok(counter.init_purchase(1_200))
    counter.ok(counter.debit(1_200, opened, Txn.EP_PURCHASE))
    assert counter.balance() == 3_800
    counter.ok(counter.secured("04D69500", PUBLIC))


def test_supplementary_domains_are_found_beside_directories(counter: Counter) -> None:
    session = open_session(counter)
    assert run(counter, client.install(session, SSD_LOAD_FILE, SSD_MODULE, SSD, b"\x80")) is None
    counter.select()
    assert run(counter, client.select_domain(SSD)) == SSD
    refused = run(counter, client.set_status(open_session(counter), 0x80, 0x07))
    assert isinstance(refused, Refused) and refused.sw == 0x6985
    counter.card.power_on()
    assert counter.sw("00A4040206D15600010102") == "9000"  # the next one after the issuer's
    image = counter.card.image()
    card = GpCard.from_image(image, Random(2).randbytes)
    card.power_on()
    assert Counter(card).sw("00A4040006D15600010102") == "9000"


def test_power_cut_in_the_domain_leaves_the_card_whole(counter: Counter) -> None:
    image = counter.card.image()
    seen = set()
    for cut in range(40):
        card = GpCard.from_image(image, Random(3).randbytes)
        card.power_on()
        session, countdown = open_session(Counter(card)), [cut]

        def fuse(address: int, old: bytes, new: bytes, countdown: list[int] = countdown) -> bytes | None:
            countdown[0] -= 1
            return b"\x00garbage"[:8] if countdown[0] < 0 else None

        card.memory.fuse = fuse
        with pytest.raises(PowerLost):
            run(Counter(card), client.install(session, SSD_LOAD_FILE, SSD_MODULE, SSD, b"\x80"))
        card.memory.fuse = None
        card.power_on()
        seen.add(Counter(card).sw("00A4040006D15600010102"))
        assert Counter(card).sw("00A4040008A000000632010105") == "9000"
    assert seen == {"6A82"}


def test_a_card_whose_domain_is_damaged_says_so_when_it_gets_power(counter: Counter) -> None:
    area = counter.card._chip.areas[ISD_AID]
    image = bytearray(counter.card.image())
    image[area.body : area.body + area.length] = bytes(area.length)
    card = GpCard.from_image(bytes(image), Random(1).randbytes)
    with pytest.raises(Problem, match="security domain"):
        card.power_on()
    with pytest.raises(PowerLost):
        card.process(bytes.fromhex("00A4040000"))
    Store(card.memory, area.body, area.length).save(b"\x09")
    with pytest.raises(Problem, match="version 09"):
        card.power_on()
