# SPDX-License-Identifier: Apache-2.0
"""Cards of any profile with test keys, and who holds those keys, for the card's tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from citycard.core import purse
from citycard.core.apdu import Command
from citycard.core.card import Card, Profile, made_card
from citycard.core.card.spec import DirectorySpec, KeySpec
from citycard.core.crypto import SUITES, pad80_if_ragged
from citycard.core.purse import Txn
from tests.core.card.counter import MOMENT, TERMINAL, Counter

PIN: Final = bytes.fromhex("123456")
LOAD, PURCHASE, CASH, COMPOSITE, OVERDRAFT, UNLOAD = range(6)


def key_of(spec: DirectorySpec, key: KeySpec) -> bytes:
    """A test key of its own for each key of a profile; PINs are 123456."""
    if key.name == "pin":
        return PIN.ljust(8, b"\xff")
    return Random(f"{spec.fid} {key.name}").randbytes(16)


@dataclass
class Issuer(Counter):
    """A card in the field, one of its applications, and that application's keys."""

    spec: DirectorySpec | None = None

    def key(self, name: str) -> bytes:
        """The value of a key of the application."""
        assert self.spec is not None
        return next(key_of(self.spec, key) for key in self.spec.keys if key.name == name)

    def enter(self) -> bytes:
        """SELECT the application."""
        assert self.spec is not None
        return self.ok(Command(0x00, 0xA4, 0x04, 0x00, self.spec.name))

    def enciphered(self, head: str, data: bytes, key: bytes) -> bytes:
        """A command whose data are enciphered and MACed."""
        plain = pad80_if_ragged(bytes((len(data),)) + data, self.suite.block)
        return self.secured(head, self.suite.encrypt(key, plain), key)

    # The purse, whichever

    def start(self, kind: int, amount_fen: int, p2: int = 2, index: int = 1) -> str:
        """INITIALIZE of a kind; an overdraft change has no amount."""
        amount = b"" if kind & 0x0F == OVERDRAFT else u32(amount_fen)
        data = bytes((index,)) + amount + TERMINAL
        return (bytes((0x80, 0x50, kind, p2, len(data))) + data).hex()

    def session(self, opened: bytes, number: int = 66, at: int = 11, key: str = "purchase") -> bytes:
        """Session key of a debit."""
        variable = purse.purchase_variable(opened[at : at + 4], int.from_bytes(opened[4:6], "big"), number)
        return self.suite.session_key(self.key(key), variable)

    def pay(self, amount_fen: int, kind: int = PURCHASE, p2: int = 2, txn: int = Txn.EP_PURCHASE) -> bytes:
        """A debit of any kind, its TAC and MAC2 checked."""
        opened = self.ok(self.start(kind, amount_fen, p2))
        session = self.session(opened)
        mac1 = self.suite.session_mac(session, purse.purchase_mac1(amount_fen, txn, TERMINAL, MOMENT))
        p1 = 0x11 if kind & 0x10 else 0x01
        answer = self.ok(bytes((0x80, 0x54, p1, 0, 15)) + u32(66) + MOMENT + mac1)
        assert answer[4:] == self.suite.session_mac(session, purse.purchase_mac2(amount_fen))
        covered = purse.purchase_tac(amount_fen, txn, TERMINAL, 66, MOMENT)
        assert answer[:4] == self.suite.tac(self.key("tac"), covered)
        return answer

    def online(self, kind: int, opened: bytes) -> bytes:
        """Session key of a load, unload or overdraft change."""
        name = {LOAD: "load", UNLOAD: "unload", OVERDRAFT: "overdraft"}[kind & 0x0F]
        at = 11 if kind & 0x0F == OVERDRAFT else 8
        variable = purse.load_variable(opened[at : at + 4], int.from_bytes(opened[4:6], "big"))
        return self.suite.session_key(self.key(name), variable)

    def fill(self, amount_fen: int, p2: int = 2, txn: int = Txn.EP_LOAD, ticket: int = 0) -> bytes:
        """A load of either purse; MAC1 and TAC checked."""
        opened = self.ok(self.start(LOAD | ticket, amount_fen, p2))
        session, balance_fen = self.online(LOAD, opened), int.from_bytes(opened[:4], "big")
        mac1 = purse.load_mac1(balance_fen, amount_fen, txn, TERMINAL)
        assert opened[12:] == self.suite.session_mac(session, mac1)
        mac2 = self.suite.session_mac(session, purse.load_mac2(amount_fen, txn, TERMINAL, MOMENT))
        tac = self.ok(bytes((0x80, 0x52, 0, 2 if ticket else 0, 11)) + MOMENT + mac2)
        atc = int.from_bytes(opened[4:6], "big")
        covered = purse.load_tac(balance_fen + amount_fen, atc, amount_fen, txn, TERMINAL, MOMENT)
        assert tac == self.suite.tac(self.key("tac"), covered)
        return tac

    def take_back(self, amount_fen: int, p2: int = 2, ticket: int = 0) -> bytes:
        """An unload; MAC1 and MAC3 checked."""
        opened = self.ok(self.start(UNLOAD | ticket, amount_fen, p2))
        session, balance_fen = self.online(UNLOAD, opened), int.from_bytes(opened[:4], "big")
        mac1 = purse.load_mac1(balance_fen, amount_fen, Txn.UNLOAD, TERMINAL)
        assert opened[12:] == self.suite.session_mac(session, mac1)
        mac2 = self.suite.session_mac(session, purse.load_mac2(amount_fen, Txn.UNLOAD, TERMINAL, MOMENT))
        mac3 = self.ok(bytes((0x80, 0x54, 0x13 if ticket else 0x03, 0, 11)) + MOMENT + mac2)
        atc = int.from_bytes(opened[4:6], "big")
        covered = purse.load_tac(balance_fen - amount_fen, atc, amount_fen, Txn.UNLOAD, TERMINAL, MOMENT)
        assert mac3 == self.suite.session_mac(session, covered)
        return mac3

    def limit(self, limit_fen: int, p2: int = 2, ticket: int = 0) -> str:
        """A change of the overdraft limit; MAC1 checked; the status word, and the TAC checked when good."""
        opened = self.ok(self.start(OVERDRAFT | ticket, 0, p2))
        session = self.online(OVERDRAFT, opened)
        balance_fen, old = int.from_bytes(opened[:4], "big"), int.from_bytes(opened[6:9], "big")
        mac1 = purse.overdraft_mac1(balance_fen, old, TERMINAL)
        assert opened[15:] == self.suite.session_mac(session, mac1)
        mac2 = self.suite.session_mac(session, purse.overdraft_mac2(limit_fen, TERMINAL, MOMENT))
        head = bytes((0x80, 0x58, 0, 2 if ticket else 0, 14))
        answer = self.send(head + limit_fen.to_bytes(3, "big") + MOMENT + mac2)
        if answer.ok:
            after = balance_fen - old + limit_fen
            atc = int.from_bytes(opened[4:6], "big")
            covered = purse.overdraft_tac(after, atc, limit_fen, TERMINAL, MOMENT)
            assert answer.data == self.suite.tac(self.key("tac"), covered)
        return f"{answer.sw:04X}"

    def amounts(self, p2: int = 2, first: int = 0) -> list[int]:
        """GET BALANCE in all of T-Union's ways."""
        found = [self.ok(f"805C{first + p1:02X}{p2:02X}04") for p1 in range(5)]
        return [int.from_bytes(answer, "big") for answer in found]


def u32(value: int) -> bytes:
    """Four bytes."""
    return value.to_bytes(4, "big")


def issued(
    profile: Profile, application: int = 1, traits: int = 0, seed: int = 4, algorithm: int = 0
) -> Issuer:
    """A card of a profile with test keys, in the field, one of its applications selected."""
    changed = replace(profile, traits=profile.traits | traits)
    card = made_card(changed, key_of, {}, Random(seed).randbytes, algorithm=algorithm)
    return issuer(card, changed.directories[application], algorithm)


def issuer(card: Card, spec: DirectorySpec, algorithm: int = 0) -> Issuer:
    """The issuer of a card, its application selected."""
    card.power_on()
    made = Issuer(card, SUITES[algorithm], spec)
    made.enter() if not card.traits & 256 else made.send(Command(0x00, 0xA4, 0x04, 0x00, spec.name))
    return made
