# SPDX-License-Identifier: Apache-2.0
"""What an issuer, a bank desk and a door say to a card: each dialogue with an emulated card, good and bad."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from random import Random
from typing import TypeVar

import pytest

from citycard.core import mohurd, purse
from citycard.core.apdu import SW
from citycard.core.card import CONTACT, MOHURD, MULTI, Traits, made_card
from citycard.core.card.spec import DirectorySpec, KeySpec
from citycard.core.crypto import TRIPLE_DES, diversify, pad80_if_ragged
from citycard.core.dialogue import (
    CARD,
    HOST,
    SAM,
    Composite,
    Dialogue,
    DialogueError,
    LimitChanged,
    MohurdView,
    Order,
    Receipt,
    Refused,
    Unloaded,
    block_application,
    change_limit,
    change_pin,
    converse,
    external_authenticate,
    internal_authenticate,
    lock_card,
    mohurd_order,
    packed,
    read_file,
    read_mohurd,
    read_record_secured,
    reload_pin,
    tries_left,
    unblock_application,
    unblock_pin,
    unload,
    verify_pin,
    write_file,
    write_file_sealed,
    write_record,
)
from citycard.core.dialogue.purchase import purchase
from citycard.core.purse import Txn, pin_mac
from citycard.core.refusal import Refusal
from citycard.keys import MemoryCounter, Psam
from citycard.terminal.transport import exchange
from tests.core.card.counter import MOMENT, TERMINAL
from tests.core.card.issuer import OVERDRAFT, UNLOAD, Issuer, issued, key_of
from tests.keys.cast import known_key, known_vault

PIN, NEW_PIN, WRONG = packed("123456"), packed("654321"), packed("999999")


def bank() -> Issuer:
    """The contact card over T=CL: its deposit, PIN verified, 50 yuan on it."""
    counter = issued(replace(CONTACT, traits=Traits.SM4))
    assert told(counter, verify_pin(PIN)) is None
    counter.fill(5_000, 1, Txn.ED_LOAD)
    return counter


T = TypeVar("T")


def told(counter: Issuer, dialogue: Dialogue[T], host: object = None) -> T:
    """What a dialogue with the card comes to."""
    return converse(dialogue, {CARD: counter.card.process, HOST: host})  # type: ignore[dict-item]


def mac_of(counter: Issuer, key: str = "maintenance"):
    """MACs under one of the card's keys."""
    return lambda message, challenge: counter.suite.message_mac(counter.key(key), message, challenge)


def seal_of(counter: Issuer, key: str):
    """Cipher and MAC under one of the card's keys."""

    def seal(header: bytes, data: bytes, challenge: bytes) -> bytes:
        value, suite = counter.key(key), counter.suite
        cipher = suite.encrypt(value, pad80_if_ragged(bytes((len(data),)) + data, suite.block))
        message = header + bytes((len(cipher) + 4,)) + cipher
        return cipher + suite.message_mac(value, message, challenge)

    return seal


# Money


def host_of(counter: Issuer, kind: int, amount_fen: int, offer: bool = True):
    """A host that checks MAC1 and allows."""

    def host(asked: bytes) -> bytes:
        session = counter.online(kind, asked)
        if kind == UNLOAD:
            mac2 = purse.load_mac2(amount_fen, Txn.UNLOAD, TERMINAL, MOMENT)
        else:
            assert asked[-3:] == amount_fen.to_bytes(3, "big")
            mac2 = purse.overdraft_mac2(amount_fen, TERMINAL, MOMENT)
        return MOMENT + counter.suite.session_mac(session, mac2) if offer else b""

    return host


def test_unload() -> None:
    counter, asked = bank(), []
    done = told(
        counter, unload(700, TERMINAL, 1, lambda *what: asked.append(what)), host_of(counter, UNLOAD, 700)
    )
    assert isinstance(done, Unloaded)
    assert done.opened.balance_fen == 5_000
    assert len(asked) == 1
    covered = purse.load_tac(4_300, done.opened.counter, 700, Txn.UNLOAD, TERMINAL, MOMENT)
    assert done.mac3 == counter.suite.session_mac(counter.online(UNLOAD, done.opened.raw), covered)
    for amount_fen, host, refusal in (
        (4_301, host_of(counter, UNLOAD, 0), Refusal.INSUFFICIENT_BALANCE),
        (1, host_of(counter, UNLOAD, 1, offer=False), Refusal.OFFICE_REFUSED),
        (1, lambda asked: bytes(11), Refusal.OFFICE_REFUSED),
    ):
        refused = told(counter, unload(amount_fen, TERMINAL, 1), host)
        assert isinstance(refused, Refused)
        assert refused.refusal is refusal
    with pytest.raises(DialogueError):
        told(counter, unload(1, TERMINAL, 1), lambda asked: b"\x00")


def test_overdraft() -> None:
    counter = bank()
    done = told(counter, change_limit(900, TERMINAL, 1), host_of(counter, OVERDRAFT, 900))
    assert isinstance(done, LimitChanged)
    covered = purse.overdraft_tac(5_900, done.opened.counter, 900, TERMINAL, MOMENT)
    assert done.tac == counter.suite.tac(counter.key("tac"), covered)
    counter.pay(5_800, 1, 1, Txn.ED_PURCHASE)
    refused = told(counter, change_limit(799, TERMINAL, 1), host_of(counter, OVERDRAFT, 799))
    assert isinstance(refused, Refused)
    assert refused.refusal is Refusal.INSUFFICIENT_BALANCE


# PINs


def test_pins() -> None:
    counter = bank()
    assert told(counter, change_pin(PIN, NEW_PIN)) is None
    lefts = [tries_left(told(counter, verify_pin(PIN))) for _ in range(4)]  # type: ignore[arg-type]
    assert lefts == [2, 1, 0, 0]
    assert told(counter, unblock_pin(PIN, seal_of(counter, "pin_unblock"))) is None
    assert told(counter, verify_pin(PIN)) is None
    reload_key = counter.key("pin_reload")
    assert told(counter, reload_pin(NEW_PIN, lambda pin: pin_mac(TRIPLE_DES, reload_key, pin))) is None
    assert told(counter, verify_pin(NEW_PIN)) is None
    refused = told(counter, reload_pin(PIN, lambda pin: bytes(4)))
    assert refused is not None
    assert (refused.sw, tries_left(refused)) == (SW.MAC_ERROR, None)
    assert packed("12345").hex() == "12345f"
    for bad in ("123", "1234567890123", "12a4", "１２３４"):
        with pytest.raises(ValueError, match="digits"):
            packed(bad)


# Secure messaging, blocking, authentication


def test_files_under_secure_messaging() -> None:
    counter = issued(MULTI, 3)
    assert told(counter, write_file(0x15, 4, b"gate", mac_of(counter))) is None
    assert told(counter, read_file(0x15, 4, mac_of(counter), 4)) == b"gate"
    assert told(counter, write_record(0x1E, 0, b"door 17 at 08:00", mac_of(counter))) is None
    assert told(counter, read_record_secured(0x1E, 1, mac_of(counter))) == b"door 17 at 08:00"
    assert told(counter, write_file_sealed(0x16, 0, b"zone 7", seal_of(counter, "maintenance"))) is None
    refused = told(counter, write_file(0x15, 0, b"x", lambda message, challenge: bytes(4)))
    assert refused is not None
    assert refused.sw == SW.SM_INCORRECT
    control = counter.key("control")
    assert told(counter, external_authenticate(lambda rand: TRIPLE_DES.encrypt(control, rand))) is None
    answer = told(counter, read_file(0x16, 0, mac_of(counter)))
    assert isinstance(answer, bytes)
    assert TRIPLE_DES.decrypt(counter.key("maintenance"), answer)[1:7] == b"zone 7"
    right = TRIPLE_DES.message_mac(counter.key("access"), b"challenge", bytes(8))
    assert told(counter, internal_authenticate(b"challenge", 1)) == right
    assert isinstance(told(counter, internal_authenticate(b"challenge", 2)), Refused)

    def liar(command: bytes) -> bytes:
        answer = counter.card.process(command)
        return answer if command[1] == 0x84 else bytes((answer[0] ^ 1,)) + answer[1:]

    with pytest.raises(DialogueError, match="right MAC"):
        converse(read_file(0x15, 4, mac_of(counter), 4), {CARD: liar})


def test_blocking() -> None:
    counter = issued(MULTI, 3)
    assert told(counter, block_application(mac_of(counter))) is None
    assert counter.sw("00D6950001FF") == "6A81"
    refused = told(counter, unblock_application(lambda message, challenge: bytes(4)))
    assert refused is not None
    assert told(counter, unblock_application(mac_of(counter))) is None
    assert told(counter, block_application(mac_of(counter), for_ever=True)) is None
    master = key_of(MULTI.directories[0], MULTI.directories[0].keys[0])
    card_mac = lambda message, challenge: counter.suite.message_mac(master, message, challenge)  # noqa: E731
    assert told(counter, lock_card(card_mac)) is None
    refused = told(counter, verify_pin(PIN))
    assert refused is not None
    assert refused.refusal is Refusal.CARD_BLOCKED


def test_a_contact_card_over_t0_is_read_as_any_other() -> None:
    counter = issued(CONTACT)
    whole = Issuer(counter.card, counter.suite, counter.spec)
    reader = staticmethod(lambda command: exchange(counter.card.process, command, t0=True))
    whole.card = type("Reader", (), {"process": reader})()  # type: ignore[assignment]
    whole.enter()
    assert converse(verify_pin(PIN), {CARD: whole.card.process}) is None
    whole.fill(700, 1, Txn.ED_LOAD)
    whole.pay(200, 1, 1, Txn.ED_PURCHASE)
    assert len(whole.ok("00B0950000")) == 30
    assert converse(read_file(0x15, 0, mac_of(counter)), {CARD: whole.card.process}) == bytes(30)


# The MOHURD card


PUBLIC = mohurd.PUBLIC.encode(
    issuer="3100", city="2000", enabled=1, version=1, serial=bytes.fromhex("2000010100000042"),
    valid_from=date(2026, 1, 1), valid_until=date(2036, 1, 1),
)  # fmt: skip


def mohurd_card() -> Issuer:
    """A MOHURD card of a scheme whose root keys the PSAM has, with 20 yuan."""

    def key(spec: DirectorySpec, key: KeySpec) -> bytes:
        return (
            diversify(TRIPLE_DES, known_key(key.name), mohurd.factors(PUBLIC))
            if key.name in ("purchase", "load", "tac")
            else bytes(16)
        )

    class Diversified(Issuer):
        def key(self, name: str) -> bytes:
            return key(MOHURD.directories[1], next(k for k in MOHURD.directories[1].keys if k.name == name))

    contents = {
        (0x1001, 0x15): PUBLIC,
        (0x3F00, 0x05): mohurd.CARD.encode(city="2000", issued_on=date(2026, 1, 1)),
    }
    card = made_card(MOHURD, key, contents, Random(3).randbytes)
    card.power_on()
    counter = Diversified(card, TRIPLE_DES, MOHURD.directories[1])
    counter.enter()
    counter.fill(2_000)
    return counter


def test_a_mohurd_card_is_read_and_pays() -> None:
    counter = mohurd_card()
    view = told(counter, read_mohurd(with_card=True))
    assert isinstance(view, MohurdView)
    assert view.card is not None
    assert (view.balance_fen, view.public["city"], view.card["city"]) == (2_000, "2000", "2000")
    assert view.serial.hex() == "2000010100000042"
    sam = Psam(known_vault(), TERMINAL, MemoryCounter())
    sam.process(bytes.fromhex("00A40000028011"))
    paid: Order = mohurd_order(view, 350, TERMINAL, datetime(2026, 9, 1, 8, 0))
    staged = Composite(0x09, bytes.fromhex("092E") + b"\x77" * 46)
    receipt = converse(
        purchase(paid, lambda opened: (staged, Composite(0x11, bytes.fromhex("110E") + b"\x66" * 14))),
        {CARD: counter.card.process, SAM: sam.process},
    )
    assert isinstance(receipt, Receipt)
    assert counter.ok("00B209B800") == staged.data
    assert counter.ok("00B211B800")[2:] == b"\x66" * 14
    view = told(counter, read_mohurd())
    assert isinstance(view, MohurdView)
    assert view.balance_fen == 1_650


def test_a_card_of_another_kind_is_said_to_be_unknown() -> None:
    refused = told(issued(MULTI), read_mohurd())
    assert isinstance(refused, Refused)
    assert refused.refusal is Refusal.UNKNOWN_CARD
