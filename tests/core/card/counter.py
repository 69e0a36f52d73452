# SPDX-License-Identifier: Apache-2.0
"""The other side of the counter: whoever holds the keys and speaks to a card, for the card's tests."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from citycard.core import purse, tunion
from citycard.core.apdu import Command, Response
from citycard.core.card import T_UNION, Card, blank_card
from citycard.core.crypto import SUITES, Suite, pad80_if_ragged
from citycard.core.purse import Txn

TRANSPORT: Final = bytes.fromhex("404142434445464748494A4B4C4D4E4F")
PURCHASE: Final = bytes.fromhex("92A761B6F12817C6831979C4D5B887DE")
LOAD: Final = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
TAC: Final = bytes.fromhex("77E22E0F493A112ED7EC5FC68FB205AC")
MAINTENANCE: Final = bytes.fromhex("3636363636363636363636363636363A")
CONTROL: Final = bytes.fromhex("39393939393939393939393939393931")
SECRETS: Final = (TRANSPORT, PURCHASE, LOAD, TAC, MAINTENANCE, CONTROL)
KEYS: Final = (  # type, id, head after the type byte, value; the control key comes last
    (0x34, 0, "F0020100", TAC),
    (0x3E, 1, "F0020100", PURCHASE),
    (0x3F, 1, "F0020100", LOAD),
    (0x36, 0, "F002FF33", MAINTENANCE),
    (0x39, 0, "F0020433", CONTROL),
)
TERMINAL: Final = bytes.fromhex("310001050306")
MOMENT: Final = bytes.fromhex("20240115083000")
SELECT: Final = "00A4040008A000000632010105"
PUBLIC: Final = bytes.fromhex("01011000FFFFFFFF020103105170070104791381201907182040123100" + "00")
AMOUNT_AT: Final = slice(6, 10)


def industry(number: int, filling: int) -> bytes:
    """An industry record as a gate would write it, filled with one byte."""
    return bytes((0x27, number)) + bytes((0, tunion.INDUSTRY_SIZE - 4)) + bytes((filling,)) * 124


def transit(filling: int) -> bytes:
    """A transit record filled with one byte."""
    return bytes((filling,)) * tunion.TRANSIT.size


@dataclass
class Counter:
    """A card in the field and the keys of its issuer; every method is a conversation that must succeed."""

    card: Card
    suite: Suite = SUITES[0]

    def send(self, command: str | bytes | Command) -> Response:
        """Whatever the card answers."""
        if isinstance(command, Command):
            command = command.encode()
        raw = bytes.fromhex(command) if isinstance(command, str) else command
        return Response.decode(self.card.process(raw))

    def ok(self, command: str | bytes | Command) -> bytes:
        """The data of an answer that must be 9000."""
        answer = self.send(command)
        assert answer.ok, f"{answer.sw:04X}"
        return answer.data

    def sw(self, command: str | bytes | Command) -> str:
        """The status word, in hex."""
        return f"{self.send(command).sw:04X}"

    def select(self) -> bytes:
        """SELECT the purse; its FCI."""
        return self.ok(SELECT)

    # Under the keys of personalisation

    def secured(self, head: str, data: bytes = b"", key: bytes = MAINTENANCE) -> bytes:
        """The command with a secure-messaging MAC over a challenge that is fetched here."""
        challenge = self.ok("0084000004")
        start = bytes.fromhex(head) + bytes((len(data) + 4,)) + data
        return start + self.suite.message_mac(key, start, challenge)

    def write_key(self, p1: int, id_: int, record: bytes, under: bytes) -> Response:
        """WRITE KEY of a record (head and key), enciphered and MACed."""
        plain = pad80_if_ragged(bytes((len(record),)) + record, self.suite.block)
        return self.send(self.secured(f"84D4{p1:02X}{id_:02X}", self.suite.encrypt(under, plain), under))

    def authenticate(self, key: bytes = CONTROL) -> Response:
        """EXTERNAL AUTHENTICATE with the control key."""
        challenge = self.ok("0084000008")
        proof = self.suite.encrypt(key, challenge.ljust(self.suite.block, b"\x00"))
        return self.send(Command(0x00, 0x82, 0, 0, proof))

    def personalise(self) -> None:
        """All keys, then the public file under the maintenance key."""
        self.select()
        for type_, id_, head, value in KEYS:
            record = bytes((type_,)) + bytes.fromhex(head) + value
            if type_ not in (0x36, 0x39):
                record = record[:4] + bytes((self.suite.id,)) + record[5:]
            p1 = 0x39 if type_ == 0x39 else 0x01
            assert self.write_key(p1, id_, record, TRANSPORT).ok
        self.ok(self.secured("04D69500", PUBLIC))

    # The purse

    def init_load(self, amount_fen: int) -> str:
        """INITIALIZE FOR LOAD."""
        return f"805000020B01{amount_fen:08X}{TERMINAL.hex()}10"

    def credit(self, amount_fen: int, opened: bytes) -> bytes:
        """CREDIT that answers an INITIALIZE FOR LOAD; checks MAC1."""
        atc, rand = int.from_bytes(opened[4:6], "big"), opened[8:12]
        session = self.suite.session_key(LOAD, purse.load_variable(rand, atc))
        balance_fen = int.from_bytes(opened[:4], "big")
        mac1 = purse.load_mac1(balance_fen, amount_fen, Txn.EP_LOAD, TERMINAL)
        assert opened[12:] == self.suite.session_mac(session, mac1)
        mac2 = purse.load_mac2(amount_fen, Txn.EP_LOAD, TERMINAL, MOMENT)
        return bytes.fromhex("805200000B") + MOMENT + self.suite.session_mac(session, mac2) + b"\x04"

    def load(self, amount_fen: int) -> bytes:
        """A whole load; its TAC, which is checked."""
        opened = self.ok(self.init_load(amount_fen))
        tac = self.ok(self.credit(amount_fen, opened))
        after = int.from_bytes(opened[:4], "big") + amount_fen
        atc = int.from_bytes(opened[4:6], "big")
        covered = purse.load_tac(after, atc, amount_fen, Txn.EP_LOAD, TERMINAL, MOMENT)
        assert tac == self.suite.tac(TAC, covered)
        return tac

    def init_purchase(self, amount_fen: int, txn: Txn = Txn.EP_PURCHASE) -> str:
        """INITIALIZE FOR PURCHASE, plain or composite."""
        p1 = "03" if txn == Txn.COMPOSITE else "01"
        return f"8050{p1}020B01{amount_fen:08X}{TERMINAL.hex()}0F"

    def debit(self, amount_fen: int, opened: bytes, txn: Txn = Txn.EP_PURCHASE, number: int = 66) -> bytes:
        """DEBIT that answers an INITIALIZE FOR PURCHASE."""
        mac1 = purse.purchase_mac1(amount_fen, txn, TERMINAL, MOMENT)
        mac = self.suite.session_mac(self.session(opened, number), mac1)
        return bytes.fromhex("805401000F") + number.to_bytes(4, "big") + MOMENT + mac + b"\x08"

    def session(self, opened: bytes, number: int = 66) -> bytes:
        """Session key of a purchase."""
        variable = purse.purchase_variable(opened[11:15], int.from_bytes(opened[4:6], "big"), number)
        return self.suite.session_key(PURCHASE, variable)

    def purchase(
        self, amount_fen: int, txn: Txn = Txn.EP_PURCHASE, staged: tuple[Command, ...] = ()
    ) -> bytes:
        """A whole purchase; TAC and MAC2, which are checked."""
        opened = self.ok(self.init_purchase(amount_fen, txn))
        for record in staged:
            self.ok(record)
        answer = self.ok(self.debit(amount_fen, opened, txn))
        covered = purse.purchase_tac(amount_fen, txn, TERMINAL, 66, MOMENT)
        assert answer[:4] == self.suite.tac(TAC, covered)
        mac2 = purse.purchase_mac2(amount_fen)
        assert answer[4:] == self.suite.session_mac(self.session(opened), mac2)
        return answer

    def balance(self, p1: int = 3) -> int:
        """GET BALANCE, without overdraft unless asked otherwise."""
        return int.from_bytes(self.ok(f"805C{p1:02X}0204"), "big")

    def records(self, sfi: int) -> list[bytes]:
        """All records of a file, from number 1."""
        found: list[bytes] = []
        while (answer := self.send(Command(0x00, 0xB2, len(found) + 1, sfi << 3 | 4, le=256))).ok:
            found.append(answer.data)
        assert answer.sw == 0x6A83
        return found


def stage_industry(number: int, filling: int) -> Command:
    """UPDATE CAPP DATA CACHE of an industry record."""
    return Command(0x80, 0xDC, number, tunion.SFI_INDUSTRY << 3 | 4, industry(number, filling))


def stage_transit(filling: int) -> Command:
    """UPDATE CAPP DATA CACHE that appends a transit record."""
    return Command(0x80, 0xDC, 0, tunion.SFI_TRANSIT << 3, transit(filling))


def personalised(algorithm: int = 0, seed: int = 7) -> Counter:
    """A fresh card with all keys and its public file, in the field, its purse selected."""
    card = blank_card(T_UNION, TRANSPORT, Random(seed).randbytes, algorithm)
    card.power_on()
    counter = Counter(card, SUITES[algorithm])
    counter.personalise()
    counter.select()
    return counter
