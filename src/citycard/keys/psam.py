# SPDX-License-Identifier: Apache-2.0
"""The PSAM (消费安全存取模块): the terminal's side of a purchase, as commands and status words.

A card is a function, and so is a SAM: `process(command) -> response`, any byte string answered with a
status word. It holds the purchase key (MAC1, MAC2), the maintenance key (to block hotlisted cards, nothing
else) and the batch key (for its own terminal, nobody else's). Bytes: card facts 6.2.

Commands: SELECT 00A4 (MF, application by FID or name), READ BINARY 00B0 95/96/97, INIT SAM FOR PURCHASE
8070, CREDIT SAM FOR PURCHASE 8072, DELIVERY KEY 801A, CIPHER 80FA. Inferred (facts 10.12): the bits of
80FA P1, and how wrong MAC2s are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn, SupportsIndex

from citycard.core.apdu import SW, ApduError, Command
from citycard.core.crypto import FACTOR_SIZE, SUITES, same
from citycard.core.problem import Problem
from citycard.core.purse import PURCHASES, purchase_mac1, purchase_mac2, purchase_variable
from citycard.keys.counters import CounterExhausted, CounterStore
from citycard.keys.hierarchy import LEVELS_MAX, TERMINAL_SIZE, terminal_factor
from citycard.keys.secret import refuse_pickle
from citycard.keys.vault import KEY_MISSING, KeyName, Session, Vault

ATR: Final = bytes.fromhex("3B800181")  # T=1, no historical bytes
NAME: Final = b"CITYCARD.PSAM"
MASTER_FILE: Final = 0x3F00
APPLICATIONS: Final = frozenset({0x8011, 0x1001, 0xDF01})  # T-Union and MOHURD names of the same place
INIT_SIZE: Final = 0x14
TRIES_MAX: Final = 15  # wrong MAC2s in a row until the purchase key locks; torn cards send none
TEXT_MAX: Final = 4096  # bytes taken by chained CIPHER commands
MAC_KIND: Final = 0x04  # low five bits of DELIVERY KEY's P1: MAC/TAC key
MAINTENANCE_KIND: Final = 0x05  # ... maintenance key
DELIVERED: Final = {MAC_KIND: KeyName.BATCH, MAINTENANCE_KIND: KeyName.MAINTENANCE}
ANSWER_SIZES: Final = {KeyName.BATCH: 8, KeyName.MAINTENANCE: 4}
BLOCK: Final = bytes.fromhex("841E")  # APPLICATION BLOCK: all the maintenance key is lent for
CIPHER_MAC, CIPHER_MORE, CIPHER_IV = 0x01, 0x02, 0x04


class Refuse(Exception):
    """Leave a command with a status word."""

    def __init__(self, sw: int) -> None:
        super().__init__(f"{sw:04X}")
        self.sw = sw


@dataclass(slots=True)
class Purchase:
    """A purchase between 8070 and 8072."""

    session: Session
    amount_fen: int


@dataclass(slots=True)
class Delivery:
    """A derived key that 801A named, and the text 80FA has gathered for it."""

    name: KeyName
    version: int
    factors: tuple[bytes, ...]
    text: bytes = b""
    iv: bytes = b""


class Psam:
    """A purchase SAM for one terminal (6-byte number); the counter store outlives it, the rest does not."""

    def __init__(
        self,
        vault: Vault,
        terminal: bytes,
        counter: CounterStore,
        key_version: int = 1,
        tries_max: int = TRIES_MAX,
        *,
        serial: bytes | None = None,
    ) -> None:
        if len(terminal) != TERMINAL_SIZE:
            raise ValueError(f"a terminal number has {TERMINAL_SIZE} bytes, this has {len(terminal)}")
        self.terminal = terminal
        self._vault = vault.only(KeyName.PURCHASE, KeyName.MAINTENANCE, KeyName.BATCH)
        infos = self._vault.keys()
        self._there = {(info.name, info.version, info.suite) for info in infos}
        self._counter = counter
        self._tries_max = tries_max
        self._wrong: int | None = None  # read from the store when first needed
        self._purchase: Purchase | None = None
        self._delivery: Delivery | None = None
        serial = serial or bytes(4) + terminal
        self._files = {
            0x15: serial + bytes((key_version, 0x01)) + bytes(2),  # serial10 version1 type1 FCI2
            0x16: terminal,
            0x17: b"\x01",  # key index for INIT
        }

    def __repr__(self) -> str:
        return f"<PSAM of terminal {self.terminal.hex()}>"

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        refuse_pickle(self)

    def power_on(self) -> bytes:
        """Forget the session and answer with the ATR; the application is selected."""
        self._purchase = None
        self._delivery = None
        return ATR

    def process(self, command: bytes) -> bytes:
        """Answer one command; never raises."""
        try:
            data = self._handle(Command.decode(command))
        except Refuse as refusal:
            return refusal.sw.to_bytes(2, "big")
        except ApduError:
            return SW.WRONG_LENGTH.to_bytes(2, "big")
        except CounterExhausted:
            return SW.COUNTER_AT_MAX.to_bytes(2, "big")
        except Problem as problem:
            known = problem.declared is KEY_MISSING
            return (SW.KEY_INDEX_NOT_FOUND if known else SW.UNKNOWN_ERROR).to_bytes(2, "big")
        except OSError:
            return SW.MEMORY_FAILURE.to_bytes(2, "big")
        return data + b"\x90\x00"

    def _handle(self, command: Command) -> bytes:
        handler = HANDLERS.get((command.cla, command.ins))
        if handler is None:
            known = any(cla == command.cla for cla, _ in HANDLERS)
            raise Refuse(SW.WRONG_INS if known else SW.WRONG_CLA)
        return handler(self, command)

    def _select(self, command: Command) -> bytes:
        if (command.p1, command.p2) == (0, 0):
            if len(command.data) not in (0, 2):
                raise Refuse(SW.WRONG_LENGTH)
            wanted = int.from_bytes(command.data, "big") or MASTER_FILE
            if wanted != MASTER_FILE and wanted not in APPLICATIONS:
                raise Refuse(SW.FILE_NOT_FOUND)
        elif (command.p1, command.p2) == (4, 0):
            if command.data != NAME:
                raise Refuse(SW.FILE_NOT_FOUND)
        else:
            raise Refuse(SW.WRONG_P1P2)
        self._delivery = None
        name = b"\x84" + bytes((len(NAME),)) + NAME
        return b"\x6f" + bytes((len(name),)) + name

    def _read_binary(self, command: Command) -> bytes:
        if command.data:
            raise Refuse(SW.WRONG_LENGTH)
        if not command.p1 & 0x80:
            raise Refuse(SW.NO_CURRENT_FILE)
        content = self._files.get(command.p1 & 0x1F)
        if content is None or command.p1 & 0x60:
            raise Refuse(SW.FILE_NOT_FOUND)
        if command.p2 >= len(content):
            raise Refuse(SW.WRONG_OFFSET)
        rest = content[command.p2 :]
        if command.le is None or command.le >= 256:
            return rest
        if command.le > len(rest):
            raise Refuse(0x6C00 | len(rest))
        return rest[: command.le]

    def _init_purchase(self, command: Command) -> bytes:
        """8070: diversify, derive the session key with a new transaction number, give MAC1."""
        data = command.data
        levels, ragged = divmod(len(data) - INIT_SIZE, FACTOR_SIZE)
        if ragged or not 1 <= levels <= LEVELS_MAX:
            raise Refuse(SW.WRONG_LENGTH)
        if command.p1 or command.p2:
            raise Refuse(SW.WRONG_P1P2)
        if command.le is not None and command.le < 8:
            raise Refuse(0x6C08)
        if self._failures() >= self._tries_max:
            raise Refuse(SW.KEY_BLOCKED)
        if data[10] not in PURCHASES:
            raise Refuse(SW.WRONG_DATA)
        version, suite = data[18], data[19]
        self._purchase = None
        factors = _root_first(data[INIT_SIZE:])
        if not self._has(KeyName.PURCHASE, version, suite):
            raise Refuse(SW.KEY_INDEX_NOT_FOUND)
        amount = int.from_bytes(data[6:10], "big")
        number = self._counter.reserve()  # nothing can fail from here on
        variable = purchase_variable(data[0:4], int.from_bytes(data[4:6], "big"), number)
        session = self._vault.session(KeyName.PURCHASE, version, factors, variable, suite=suite)
        self._purchase = Purchase(session, amount)
        mac1 = session.mac(purchase_mac1(amount, data[10], self.terminal, data[11:18]))
        return number.to_bytes(4, "big") + mac1

    def _credit_purchase(self, command: Command) -> bytes:
        """8072: check the card's MAC2. A wrong one is counted, durably, before it is told."""
        if command.p1 or command.p2:
            raise Refuse(SW.WRONG_P1P2)
        if len(command.data) != 4:
            raise Refuse(SW.WRONG_LENGTH)
        wrong = self._failures()
        if wrong >= self._tries_max:
            raise Refuse(SW.KEY_BLOCKED)
        if self._purchase is None:
            raise Refuse(SW.CONDITIONS_OF_USE)
        if not same(self._purchase.session.mac(purchase_mac2(self._purchase.amount_fen)), command.data):
            self._record_failures(wrong + 1)
            raise Refuse(SW.MAC_ERROR if wrong + 1 < self._tries_max else SW.KEY_BLOCKED)
        if wrong:
            self._record_failures(0)
        self._purchase = None
        return b""

    def _failures(self) -> int:
        if self._wrong is None:
            self._wrong = self._counter.failures()
        return self._wrong

    def _record_failures(self, count: int) -> None:
        self._wrong = count  # counted even if the store fails
        self._counter.record_failures(count)

    def _has(self, name: KeyName, version: int, suite: int | None = None) -> bool:
        return any((name, version, one) in self._there for one in (SUITES if suite is None else (suite,)))

    def _deliver_key(self, command: Command) -> bytes:
        """801A: name the derived key that CIPHER is to use; factors card first."""
        self._delivery = None
        levels, kind = command.p1 >> 5, command.p1 & 0x1F
        if kind not in DELIVERED:
            raise Refuse(SW.WRONG_P1P2)
        if not levels or len(command.data) != levels * FACTOR_SIZE:
            raise Refuse(SW.WRONG_LENGTH)
        name, factors = DELIVERED[kind], _root_first(command.data)
        if not self._has(name, command.p2):
            raise Refuse(SW.KEY_INDEX_NOT_FOUND)
        if name is KeyName.BATCH and factors != (terminal_factor(self.terminal),):
            raise Refuse(SW.SECURITY_STATUS)
        self._delivery = Delivery(name, command.p2, factors)
        return b""

    def _cipher(self, command: Command) -> bytes:
        """80FA: MAC over text the caller padded; P1 bit 0 MAC, bit 1 more follows, bit 2 IV first."""
        delivery = self._delivery
        if delivery is None:
            raise Refuse(SW.CONDITIONS_OF_USE)
        if command.p2 or command.p1 & ~(CIPHER_MAC | CIPHER_MORE | CIPHER_IV):
            raise Refuse(SW.WRONG_P1P2)
        if not command.p1 & CIPHER_MAC:
            raise Refuse(SW.SECURITY_STATUS)  # these keys MAC, they do not encipher
        data = command.data
        if not data or len(data) % FACTOR_SIZE or len(delivery.text) + len(data) > TEXT_MAX:
            self._delivery = None
            raise Refuse(SW.WRONG_LENGTH)
        if command.p1 & CIPHER_IV:
            if delivery.text or delivery.iv:
                raise Refuse(SW.WRONG_P1P2)
            delivery.iv, data = data[:8], data[8:]
        delivery.text += data
        return b"" if command.p1 & CIPHER_MORE else self._finish_cipher(delivery, command.le)

    def _finish_cipher(self, delivery: Delivery, le: int | None) -> bytes:
        text, iv = delivery.text, delivery.iv or bytes(8)
        delivery.text, delivery.iv = b"", b""
        message = _unpadded(text)
        if delivery.name is KeyName.MAINTENANCE and not message.startswith(BLOCK):
            raise Refuse(SW.SECURITY_STATUS)
        size = ANSWER_SIZES[delivery.name]
        mac = self._vault.message_mac(
            delivery.name, delivery.version, delivery.factors, message, iv, size=size
        )
        return mac[:le] if le else mac


def _root_first(data: bytes) -> tuple[bytes, ...]:
    """The factors as the vault wants them: the wire has the card first, the root's neighbour last."""
    count = len(data) // FACTOR_SIZE
    return tuple(data[at * FACTOR_SIZE : (at + 1) * FACTOR_SIZE] for at in reversed(range(count)))


def _unpadded(text: bytes) -> bytes:
    """The message under the caller's 80 00... padding, which the vault puts on again."""
    bare = text.rstrip(b"\x00")
    if not bare.endswith(b"\x80"):
        raise Refuse(SW.WRONG_DATA)
    return bare[:-1]


Handler = Callable[[Psam, Command], bytes]
HANDLERS: Final[dict[tuple[int, int], Handler]] = {
    (0x00, 0xA4): Psam._select,
    (0x00, 0xB0): Psam._read_binary,
    (0x80, 0x70): Psam._init_purchase,
    (0x80, 0x72): Psam._credit_purchase,
    (0x80, 0x1A): Psam._deliver_key,
    (0x80, 0xFA): Psam._cipher,
}
