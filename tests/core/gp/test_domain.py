# SPDX-License-Identifier: Apache-2.0
"""The security domain as a card manager meets it: channels, registry, keys, life, and cuts of power."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.core.apdu import Command, Response
from citycard.core.card.atomic import Memory, PowerLost
from citycard.core.dialogue.exchange import Dialogue, DialogueError, Refused, converse
from citycard.core.gp import client
from citycard.core.gp.client import GpSession, Subset
from citycard.core.gp.domain import AREA_SIZE, SecurityDomain
from citycard.core.gp.keys import AES, Diversification, KeySet, diversified
from citycard.core.gp.state import (
    ISD_AID,
    SSD_LOAD_FILE,
    SSD_MODULE,
    TRIES,
    CardLife,
    Kind,
    Life,
    Row,
    State,
    new_state,
)
from citycard.core.gp.store import Store

# Test keys, all of them.
DES_KEYS = KeySet.single(bytes.fromhex("404142434445464748494A4B4C4D4E4F"))
AES_KEYS = {size: KeySet.single(bytes(range(0x40, 0x40 + size)), AES) for size in (16, 24, 32)}
NEW_KEYS = KeySet(b"a-new-enc-key-16", b"a-new-mac-key-16", b"a-new-dek-key-16", AES)
HOST = bytes.fromhex("0102030405060708")
APP = bytes.fromhex("D1560001010101")
SSD = bytes.fromhex("D15600010102")
CITY_FILE, CITY_MODULE = bytes.fromhex("D15600010100"), bytes.fromhex("D1560001010001")
SECRETS = {key for keys in (DES_KEYS, *AES_KEYS.values(), NEW_KEYS) for key in keys.keys}


class Purse:
    """An application that remembers what STORE DATA brought it, deciphered."""

    def __init__(self) -> None:
        self.stored: list[tuple[int, bytes]] = []

    def personalise(self, aid: bytes, command: Command, decrypt: object) -> int:
        self.stored.append((command.p1, command.data))
        return 0x9000


class Field:
    """A domain in the field."""

    def __init__(self, state: State, memory: Memory | None = None) -> None:
        self.memory = memory or Memory(bytes(AREA_SIZE))
        if memory is None:
            Store(self.memory).save(state.encode())
        self.purse = Purse()
        self.again()

    def again(self) -> None:
        """Power off and on."""
        self.domain = SecurityDomain(Store(self.memory), Random(7).randbytes, self.purse)
        self.domain.power_on()

    def card(self, raw: bytes) -> bytes:
        return self.domain.process(Command.decode(raw)).encode()

    def say(self, command: str) -> Response:
        return Response.decode(self.card(bytes.fromhex(command)))

    def run(self, dialogue: Dialogue):
        return converse(dialogue, {"card": self.card})

    def open(self, keys: KeySet, level: int = 0x01, version: int = 0) -> GpSession:
        session = self.run(
            client.open_channel(client.with_keys(keys), host=HOST, level=level, version=version)
        )
        assert isinstance(session, GpSession), session
        return session


def city_state(**options: object) -> State:
    rows = (Row(Kind.LOAD_FILE, CITY_FILE, Life.LOADED, modules=(CITY_MODULE,), fixed=True),)
    sets = {0x30: AES_KEYS[16], 0x20: DES_KEYS, 0x31: AES_KEYS[24], 0x32: AES_KEYS[32]}
    return new_state(sets, rows=rows, told=bytes(range(10)), **options)


@pytest.fixture
def field() -> Field:
    return Field(city_state())


CHANNELS = [
    (options, version, keys, level)
    for options, version, keys, levels in (
        ({"scp02_i": 0x15}, 0x20, DES_KEYS, (0x00, 0x01, 0x03)),
        ({"scp02_i": 0x55}, 0x20, DES_KEYS, (0x00, 0x01, 0x03)),
        ({"scp03_i": 0x00}, 0x30, AES_KEYS[16], (0x00, 0x01, 0x03)),
        ({"scp03_i": 0x70}, 0x30, AES_KEYS[16], (0x00, 0x01, 0x03, 0x11, 0x13, 0x33)),
        ({"scp03_i": 0x70}, 0x31, AES_KEYS[24], (0x33,)),
        ({"scp03_i": 0x60}, 0x32, AES_KEYS[32], (0x33,)),
    )
    for level in levels
]


@pytest.mark.parametrize(("options", "version", "keys", "level"), CHANNELS)
def test_every_variant_at_every_level_manages_the_card(
    options: dict[str, int], version: int, keys: KeySet, level: int
) -> None:
    field = Field(city_state(**options))
    assert field.run(client.select_domain()) == ISD_AID
    session = field.open(keys, level, version)
    assert field.run(client.install(session, CITY_FILE, CITY_MODULE, APP)) is None
    rows = field.run(client.get_status(session, Subset.APPLICATIONS))
    assert [(row.aid, row.life, row.load_file, row.domain) for row in rows] == [
        (APP, Life.SELECTABLE, CITY_FILE, ISD_AID)
    ]
    assert field.run(client.personalise_application(session, APP, bytes(range(200)) * 2)) is None
    assert [p1 for p1, _ in field.purse.stored] == [0x08, 0x88]
    assert b"".join(data for _, data in field.purse.stored) == bytes(range(200)) * 2
    assert field.run(client.put_keys(session, NEW_KEYS, 0x41)) is None
    assert field.run(client.delete_application(session, APP)) is None
    assert field.run(client.get_status(session, Subset.APPLICATIONS)) == []
    field.again()
    field.open(NEW_KEYS, 0x03, 0x41)


def test_levels_a_variant_does_not_have_are_refused() -> None:
    field = Field(city_state(scp03_i=0x00))
    for version, keys, level in ((0x30, AES_KEYS[16], 0x11), (0x20, DES_KEYS, 0x11), (0x20, DES_KEYS, 0x02)):
        make = client.with_keys(keys)
        refused = field.run(client.open_channel(make, host=HOST, level=level, version=version))
        assert isinstance(refused, Refused)
        assert refused.sw == 0x6A86


def test_habits_of_other_tools(field: Field) -> None:
    """SELECT with nothing, GET DATA first, both forms of GET STATUS, all subsets; and what is not there."""
    for select in (
        "00A4040000",
        "00A40400",
        "00A4040008A00000015100000000",
        "00A4040005A000000151",
        "00A4040008A000000003000000",
    ):
        selected = field.say(select)
        assert selected.ok
        assert (
            selected.data.hex().upper().startswith("6F")
            and "8408A000000151000000" in selected.data.hex().upper()
        )
    assert "640B06092A864886FC6B040370" in selected.data.hex().upper()
    assert "640B06092A864886FC6B040255" in selected.data.hex().upper()
    assert field.say("00A4040007A0000000031010").sw == 0x6A82
    assert field.say("00A4040200").sw == 0x6A82  # there is no next one
    assert field.say("80CA006600").data[:1] == b"\x66"
    keys = field.say("80CA00E000").data.hex().upper()
    assert keys.startswith("E048" + "C00401308810" + "C00402308810" + "C00403308810" + "C00401208010")
    cplc = field.say("80CA9F7F00").data
    assert (cplc[:3], len(cplc)) == (bytes.fromhex("9F7F2A"), 45)
    assert field.say("00CA9F7F2D").ok and field.say("00CA9F7F10").sw == 0x6C2D
    assert field.say("80CA00CF00").data == bytes.fromhex("CF0A") + bytes(range(10))
    assert field.say("80CA00C100").data == bytes.fromhex("C103000000")
    assert {field.say(f"80CA{tag}00").sw for tag in ("0042", "0045", "2F00", "1234")} == {0x6A88}
    for command in ("80F28000024F0000", "80E40000084F06D15600010101", "80D8008101" + "01"):
        assert field.say(command).sw == 0x6982
    assert field.say("84F28000024F0000").sw == 0x6985
    assert {field.say(raw).sw for raw in ("81CA006600", "C0CA006600")} == {0x6881}
    assert [field.say(raw).sw for raw in ("88CA006600", "90CA006600", "80AA0000", "00F28000024F0000")] == [
        0x6882, 0x6E00, 0x6D00, 0x6E00,
    ]  # fmt: skip
    assert field.say("8050FF0008010203040506070800").sw == 0x6A88
    assert field.say("80500000070102030405060700").sw == 0x6700
    session = field.open(AES_KEYS[16], 0x00)
    assert session.told.sequence == b"\x00\x00\x01"
    assert field.say("80F28000024F0000").data == bytes.fromhex("08A000000151000000") + b"\x01\x9e"
    issuer = bytes.fromhex("E313" + "4F08A000000151000000" + "9F700101" + "C5039EFE80")
    assert field.say("80F28002024F0000").data == issuer
    assert field.say("80F22000024F0000").data.hex().upper() == "07A0000001515350010006D15600010100" + "0100"
    assert field.say("80F21000024F0000").data.hex().upper() == (
        "07A000000151535001000108A000000151535041" + "06D15600010100" + "010001" + "07D1560001010001"
    )
    assert (
        field.say("80F220020D4F06D156000101005C034F9F7000").data.hex().upper()
        == "E30C4F06D156000101009F700101"
    )
    assert field.say("80F24000024F0000").sw == 0x6A88
    assert [field.say(raw).sw for raw in ("80F2C000024F0000", "80F2400000", "80F24000025C0000", "80F24001024F0000")] == [
        0x6A86, 0x6A80, 0x6A80, 0x6985,
    ]  # fmt: skip


def test_a_wrong_host_is_told_6300_and_counted_until_the_key_set_is_blocked(field: Field) -> None:
    other = KeySet.single(b"not-the-card-key", AES)

    def try_with(keys: KeySet) -> int:
        told = field.say("8050300008010203040506070800")
        if not told.ok:
            return told.sw
        channel = client.with_keys(keys)(client.scp03.parse(told.data), HOST)
        assert channel is not None
        return field.say(client.authentication(channel, 0x01).encode().hex()).sw

    refused = field.run(client.open_channel(client.with_keys(other), host=HOST))
    assert isinstance(refused, Refused) and refused.refusal.name == "NOT_PROVEN"
    refused = field.run(client.open_channel(client.with_keys(DES_KEYS), host=HOST))  # it speaks SCP03 there
    assert isinstance(refused, Refused) and refused.refusal.name == "NOT_PROVEN"
    for _ in range(TRIES - 1):
        assert try_with(other) == 0x6300
        field.again()
    assert try_with(AES_KEYS[16]) == 0x9000  # the tries are whole again
    assert [try_with(other) for _ in range(TRIES)] == [0x6300] * TRIES
    assert try_with(AES_KEYS[16]) == 0x6983
    field.open(DES_KEYS, 0x01, 0x20)  # the other versions are not touched


def test_a_mac_that_is_wrong_ends_the_session(field: Field) -> None:
    for level in (0x01, 0x33):
        session = field.open(AES_KEYS[16], level)
        good = session.channel.wrap(Command(0x80, 0xF2, 0x80, 0x02, b"\x4f\x00", 256))
        bad = replace(good, data=good.data[:-1] + bytes((good.data[-1] ^ 1,)))
        assert field.say(bad.encode().hex()).sw == 0x6982
        assert field.say(good.encode().hex()).sw == 0x6985
    session = field.open(AES_KEYS[16])
    assert field.say("80F28002024F0000").sw == 0x6982  # not secured
    assert isinstance(field.run(client.get_status(session, Subset.ISSUER)), Refused)
    session = field.open(AES_KEYS[16], 0x11)
    answer = field.card(session.channel.wrap(Command(0x80, 0xF2, 0x80, 0x02, b"\x4f\x00", 256)).encode())
    assert session.channel.open_answer(b"\x00" + answer[1:-2], 0x9000) is None
    with pytest.raises(DialogueError):
        converse(client.get_status(field.open(AES_KEYS[16], 0x11), Subset.ISSUER), {"card": lambda _: answer})


def test_keys_are_added_replaced_and_deleted(field: Field) -> None:
    session = field.open(DES_KEYS, 0x01, 0x20)
    other = KeySet(b"des-enc-16-bytes", b"des-mac-16-bytes", b"des-dek-16-bytes")
    assert field.run(client.put_keys(session, other, 0x21, replaces=0x20)) is None
    again = field.run(client.put_keys(session, other, 0x21))
    assert isinstance(again, Refused) and again.sw == 0x6A80
    missing = field.run(client.put_keys(session, other, 0x22, replaces=0x20))
    assert isinstance(missing, Refused) and missing.sw == 0x6A88
    sw = {}
    cipher = session.channel.encrypt_key(b"des-enc-16-bytes")
    for name, body in {
        "check value": b"\x22\x80\x10" + cipher + b"\x03\x00\x00\x00",
        "kind": b"\x22\xa1\x10" + cipher + b"\x00",
        "version": b"\x80\x80\x10" + cipher + b"\x00",
        "cut": b"\x22\x80\x10" + cipher[:-1],
        "no check value": b"\x22\x80\x10" + cipher + b"\x00",
    }.items():
        answer = field.run(client.send(session, "PUT KEY", Command(0x80, 0xD8, 0x00, 0x01, body, 256)))
        sw[name] = answer.sw
    assert sw == {
        "check value": 0x9485,
        "kind": 0x9484,
        "version": 0x6A80,
        "cut": 0x6A80,
        "no check value": 0x9000,
    }
    field.again()
    assert field.say("8050200008010203040506070800").sw == 0x6A88
    session = field.open(other, 0x03, 0x21)
    assert session.told.sequence == b"\x00\x00"
    for version in (0x30, 0x31, 0x32):
        assert field.run(client.delete_keys(session, version)) is None
    last = field.run(client.delete_keys(session, 0x21))
    assert isinstance(last, Refused) and last.sw == 0x6985
    assert field.open(other, 0x01, 0x00).told.sequence == b"\x00\x01"


def test_the_first_keys_replace_those_of_the_factory() -> None:
    field = Field(new_state({0xFF: DES_KEYS}))
    assert field.run(client.put_keys(field.open(DES_KEYS), NEW_KEYS, 0x01)) is None
    field.again()
    assert field.say("80CA00E000").data.hex().upper() == "E012C00401018810C00402018810C00403018810"
    field.open(NEW_KEYS, 0x33)


def test_a_supplementary_domain_has_applications_and_keys_of_its_own(field: Field) -> None:
    session = field.open(AES_KEYS[16], 0x33)
    assert field.run(client.install(session, SSD_LOAD_FILE, SSD_MODULE, SSD, b"\x80")) is None
    assert field.run(client.install(session, CITY_FILE, CITY_MODULE, APP)) is None
    assert field.run(client.extradite(session, APP, SSD)) is None
    refused = field.run(client.delete_application(session, SSD))
    assert isinstance(refused, Refused) and refused.sw == 0x6985
    assert field.run(client.select_domain(SSD)) == SSD
    session = field.open(AES_KEYS[16], 0x03)  # the issuer's keys serve until it has its own
    assert field.run(client.put_keys(session, NEW_KEYS, 0x01)) is None
    field.again()
    assert field.run(client.select_domain(SSD)) == SSD
    session = field.open(NEW_KEYS, 0x13)
    rows = field.run(client.get_status(session, Subset.APPLICATIONS))
    assert [(row.aid, row.life) for row in rows] == [(SSD, Life.PERSONALIZED), (APP, Life.SELECTABLE)]
    assert field.run(client.get_status(session, Subset.ISSUER)) == []
    refused = field.run(client.install(session, CITY_FILE, CITY_MODULE, APP + b"\x01"))
    assert isinstance(refused, Refused) and refused.sw == 0x6985
    assert field.run(client.set_status(session, 0x40, 0x80, APP)) is None
    assert field.domain.locks(APP)
    assert field.run(client.set_status(session, 0x40, 0x00, APP)) is None
    assert not field.domain.locks(APP)
    assert field.run(client.select_domain()) == ISD_AID
    session = field.open(AES_KEYS[16])
    assert field.run(client.set_status(session, 0x60, 0x80, SSD)) is None
    assert field.domain.locks(APP) and field.say("00A4040006D15600010102").sw == 0x6A82
    assert field.run(client.delete_application(session, SSD, related=True)) is None
    assert {row.aid for row in field.domain.state.rows} == {ISD_AID, SSD_LOAD_FILE, CITY_FILE}
    assert {key.domain for key in field.domain.state.keys} == {ISD_AID}


def test_install_says_why_not(field: Field) -> None:
    session = field.open(AES_KEYS[16])

    def install(p1: int, *parts: str) -> int:
        data = b"".join(bytes((len(part) // 2,)) + bytes.fromhex(part) for part in parts)
        return field.run(client.send(session, "INSTALL", Command(0x80, 0xE6, p1, 0x00, data, 256))).sw

    file, module, app, none = CITY_FILE.hex(), CITY_MODULE.hex(), APP.hex(), ""
    assert install(0x02, file, none, none, none, none) == 0x6A81
    assert field.run(client.send(session, "LOAD", Command(0x80, 0xE8, 0x80, 0x00, b"\xc4\x00"))).sw == 0x6985
    assert install(0x04, file, "D156000199", app, "00", "C900", none) == 0x6A88
    assert install(0x04, file, module, app, "00", "C9", none) == 0x6A80
    assert install(0x04, file, module, app, "80", "C900", none) == 0x6A80
    assert install(0x04, file, module, app, "10", "C900", none) == 0x6985
    assert install(0x04, file, module, app, "00") == 0x6A80
    assert (
        install(0x04, file, module, app, "000000", "C900") == 0x9000
    )  # without a token's length, as some do
    assert install(0x20, none, none, app, none, none, none) == 0x6985
    assert install(0x04, file, module, app, "00", "C900", none) == 0x6985
    assert install(0x08, none, none, app, "00", none, none) == 0x9000
    assert install(0x08, none, none, app, "00", none, none) == 0x6985
    assert install(0x10, app, none, app, none, none, none) == 0x6985
    for aid in (CITY_FILE, ISD_AID, SSD_LOAD_FILE):
        refused = field.run(client.delete_application(session, aid, related=True))
        assert isinstance(refused, Refused) and refused.sw == 0x6985


def test_the_life_of_the_card(field: Field) -> None:
    def move(life: int) -> int:
        session = field.open(AES_KEYS[16])
        refused = field.run(client.set_status(session, 0x80, life))
        return refused.sw if refused else 0x9000

    assert [move(life) for life in (0x07, 0x01, 0x0F, 0x07, 0x33, 0x7F)] == [
        0x9000, 0x6985, 0x9000, 0x6985, 0x6A86, 0x9000,
    ]  # fmt: skip
    field.again()
    assert field.say("00A4040000").sw == 0x6283
    session = field.open(AES_KEYS[16])
    refused = field.run(client.install(session, CITY_FILE, CITY_MODULE, APP))
    assert isinstance(refused, Refused) and refused.sw == 0x6985
    assert field.domain.locks(APP)
    assert move(0x0F) == 0x9000 and field.say("00A4040000").sw == 0x9000
    assert move(0xFF) == 0x9000
    assert field.say("8050000008010203040506070800").sw == 0x6985
    assert field.say("80CA9F7F00").ok
    assert field.domain.state.life == CardLife.TERMINATED


def test_data_of_the_card_is_stored_all_or_none(field: Field) -> None:
    session = field.open(AES_KEYS[16], 0x03)
    store = client.store_data
    url = b"https://issuer.example/" + b"x" * 100
    data = bytes.fromhex("4204156000FF") + bytes.fromhex("5F50") + bytes((len(url),)) + url
    assert field.run(store(session, data)) is None
    refused = field.run(store(session, bytes.fromhex("420401020304") + bytes.fromhex("990101")))
    assert isinstance(refused, Refused) and refused.sw == 0x6A88
    assert field.say("80CA004200").sw == 0x6982  # a session is open
    session = field.open(AES_KEYS[16], 0x00)
    assert field.say("80CA004200").data.hex() == "4204156000ff"
    assert field.say("80E20800050042040102").ok
    assert field.say("80E288020103").sw == 0x6A86
    assert field.say("80E2880000").sw == 0x6A80
    assert field.say("80E20800050042040102").ok
    assert field.say("80E28801020304").ok
    assert field.say("80E290000A9F660700112233445566").sw == 0x6A80
    assert field.say("80E290000B9F66080011223344556677").ok
    assert field.say("80CA9F7F00").data[3 + 34 :].hex() == "0011223344556677"
    assert field.say("80E29000094F07D1560001C1D100").ok
    field.again()
    assert field.run(client.select_domain()).hex().upper() == "D1560001C1D100"
    assert field.say("80CA004200").data.hex() == "420401020304"
    field.open(DES_KEYS, 0x03, 0x20)


def test_a_long_registry_comes_in_pieces(field: Field) -> None:
    session = field.open(AES_KEYS[16], 0x33)
    aids = [APP + bytes((number,)) * 8 for number in range(20)]
    for aid in aids:
        assert field.run(client.install(session, CITY_FILE, CITY_MODULE, aid)) is None
    assert [row.aid for row in field.run(client.get_status(session, Subset.APPLICATIONS))] == aids
    full = [
        field.run(client.install(session, CITY_FILE, CITY_MODULE, APP + bytes((99, n)))) for n in range(20)
    ]
    assert full[0] is None and isinstance(full[-1], Refused) and full[-1].sw == 0x6A84


def test_diversified_keys_open_the_card() -> None:
    master = KeySet(b"master-enc-key-1", b"master-mac-key-2", b"master-dek-key-3")
    for scheme in Diversification:
        field = Field(new_state({1: diversified(master, bytes(range(10)), scheme)}, told=bytes(range(10))))
        session = field.run(client.open_channel(client.with_keys(master, scheme), host=HOST))
        assert isinstance(session, GpSession)


# Cuts of power


def changes() -> Iterator[tuple[str, object]]:
    yield "install", lambda s: client.install(s, CITY_FILE, CITY_MODULE, APP)
    yield "keys", lambda s: client.put_keys(s, NEW_KEYS, 0x33, replaces=0x31)
    yield "store", lambda s: client.store_data(s, bytes.fromhex("4204156000FF4501015F500168"))
    yield "lock", lambda s: client.set_status(s, 0x80, 0x7F)


@pytest.mark.parametrize("name", [name for name, _ in changes()])
@pytest.mark.parametrize("left", ["old", "half", "garbage", "new"])
def test_a_cut_at_any_write_leaves_a_whole_state(name: str, left: str) -> None:
    change, kept = dict(changes())[name], []
    field = Field(city_state())
    session = field.open(AES_KEYS[16], 0x03)
    before, image = field.domain.state, field.memory.read(0, AREA_SIZE)
    writes: list[int] = []
    field.memory.fuse = lambda address, old, new: writes.append(address)
    assert field.run(change(session)) is None
    after = field.domain.state
    for cut in range(len(writes)):
        torn = Field(before, Memory(image))
        countdown = [cut]

        def fuse(address: int, old: bytes, new: bytes, countdown: list[int] = countdown) -> bytes | None:
            countdown[0] -= 1
            torn_cell = {"old": old, "half": new[:4] + old[4:], "garbage": b"\xa5" * 8, "new": new}[left]
            return torn_cell if countdown[0] < 0 else None

        session = torn.open(AES_KEYS[16], 0x03)
        start, torn.memory.fuse = torn.domain.state, fuse
        with pytest.raises(PowerLost):
            torn.run(change(session))
        torn.memory.fuse = None
        torn.again()
        found = torn.domain.state
        assert found in (start, replace(after, uses=found.uses))
        kept.append(found != start)
        torn.open(AES_KEYS[16])
    assert kept == sorted(kept)
    assert kept[0] is False
    assert kept[-1] is (left == "new")


def test_a_wrong_cryptogram_is_counted_even_when_power_is_cut(field: Field) -> None:
    """Tearing the card away does not give more tries: the count is written before the cryptogram is judged."""
    told = field.say("8050300008010203040506070800")
    assert told.ok
    writes: list[int] = []
    field.memory.fuse = lambda address, old, new: writes.append(address)
    assert field.say("8482010010" + "00" * 16).sw == 0x6300
    assert writes
    field.memory.fuse = None
    field.again()
    assert field.domain.state.use(ISD_AID, 0x30).failures == 1


# Any bytes


COMMANDS = st.one_of(
    st.binary(min_size=4, max_size=60),
    st.tuples(
        st.sampled_from([0x00, 0x80, 0x84]),
        st.sampled_from([0xA4, 0x50, 0x82, 0xCA, 0xF2, 0xF0, 0xE6, 0xE8, 0xE4, 0xD8, 0xE2]),
        st.sampled_from([0x00, 0x02, 0x04, 0x08, 0x0C, 0x10, 0x20, 0x30, 0x40, 0x60, 0x80, 0x88, 0x90]),
        st.sampled_from([0x00, 0x01, 0x02, 0x03, 0x0F, 0x66, 0x7F, 0x80, 0x81, 0xE0]),
        st.binary(max_size=40)
        | st.sampled_from([b"\x4f\x00", b"\xd2\x01\x30", b"\x4f\x06" + CITY_FILE, HOST]),
    ).map(lambda t: Command(*t[:4], t[4], 256).encode()),
)


@settings(max_examples=150, deadline=None)
@given(commands=st.lists(COMMANDS, max_size=25), opened=st.booleans())
def test_any_bytes_get_a_status_word_and_no_key(commands: list[bytes], opened: bool) -> None:
    field = Field(city_state())
    if opened:
        field.open(AES_KEYS[16], 0x00)
    for raw in commands:
        try:
            command = Command.decode(raw)
        except ValueError:
            continue
        answer = field.domain.process(command).encode()
        assert len(answer) >= 2
        assert not any(key in answer for key in SECRETS)
    field.again()
    assert field.domain.state.versions(field.domain.state.issuer.aid)
