# SPDX-License-Identifier: Apache-2.0
"""A MIFARE-Classic-like logic-encrypted card of 1K or 4K: sectors, two keys each, access bits, value blocks.

The cipher over the air (Crypto1) is not emulated: it is broken, and a reader hides it. What is emulated is
all that the card decides: which key opens which block for what, and that every refusal ends the
authentication. A block is written as two cells; there is no journal on such a chip, so a torn write leaves
garbage and the purse on it must keep a backup (`storage.m1`). Source: NXP MF1S50yyX, MF1S70yyX data sheets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Final

from citycard.core.apdu import SW, Command
from citycard.core.card.atomic import Fuse, Memory
from citycard.core.crypto import same
from citycard.core.storage import access
from citycard.core.storage.access import ACCESS_AT, Need
from citycard.core.storage.part3 import (
    IMAGE_HEAD,
    Answer,
    Kind,
    StorageCard,
    exactly,
    image_head,
)

BLOCK: Final = 16
KEY_SIZE: Final = 6
TRANSPORT_KEY: Final = b"\xff" * KEY_SIZE
BLOCKS: Final = {Kind.CLASSIC_1K: 64, Kind.CLASSIC_4K: 256}
SMALL_SECTORS: Final = 32  # of four blocks each; those beyond have sixteen
KEY_A, KEY_B = 0x60, 0x61
VALUE: Final = struct.Struct("<iiiBBBB")
INT32: Final = range(-(2**31), 2**31)
KEY_SLOTS: Final = 32
PLAIN_VOLATILE, PLAIN_KEPT = 0x00, 0x20  # P1 of FF 82
STORE, INCREMENT, DECREMENT, RESTORE = 0x00, 0x01, 0x02, 0x03
KEY_LENGTH_WRONG, KEY_NUMBER_WRONG, KEY_UNUSABLE = 0x6989, 0x6988, 0x6984
AUTHENTICATE_OLD: Final = 0x88


def sector_of(block: int) -> int:
    """The sector a block lies in."""
    small = SMALL_SECTORS * 4
    return block // 4 if block < small else SMALL_SECTORS + (block - small) // 16


def trailer_of(sector: int) -> int:
    """The block of a sector's trailer."""
    if sector < SMALL_SECTORS:
        return sector * 4 + 3
    return SMALL_SECTORS * 4 + (sector - SMALL_SECTORS) * 16 + 15


def group_of(block: int) -> int:
    """Which of the four groups of access bits governs a block; 3 is the trailer's."""
    if block < SMALL_SECTORS * 4:
        return block % 4
    return (block % 16) // 5


def value_block(value: int, address: int = 0) -> bytes:
    """A value block: the value thrice (once inverted), the address byte four times (twice inverted)."""
    back = address ^ 0xFF
    return VALUE.pack(value, ~value, value, address, back, address, back)


def read_value(block: bytes) -> tuple[int, int] | None:
    """Value and address byte, None when the block is no value block."""
    value, inverse, again, *addresses = VALUE.unpack(block)
    address = addresses[0]
    whole = block == value_block(value, address) and (inverse, again) == (~value, value)
    return (value, address) if whole else None


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The sector that is open, and with which key."""

    sector: int
    key: str


class ClassicCard(StorageCard):
    """The card and its reader. What the card refuses ends the authentication, as on the chip."""

    KINDS: ClassVar = (Kind.CLASSIC_1K, Kind.CLASSIC_4K)

    def __init__(self, memory: Memory) -> None:
        self._authenticated: Authenticated | None = None
        self._register: int | None = None  # the chip's transfer buffer
        self._slots: dict[int, bytes] = {}
        super().__init__(memory)
        self.commands |= {
            0x82: self._load_key,
            0x86: self._authenticate,
            AUTHENTICATE_OLD: self._authenticate_old,
            0xB0: self._read_binary,
            0xD6: self._update_binary,
            0xD7: self._value_operation,
            0xB1: self._read_value,
        }

    @classmethod
    def blank(cls, uid: bytes, kind: Kind = Kind.CLASSIC_1K) -> ClassicCard:
        """As it leaves the factory: zeros, all keys FF, transport access bits."""
        trailer = TRANSPORT_KEY + access.encode(access.TRANSPORT) + b"\x69" + TRANSPORT_KEY
        blocks = [bytes(BLOCK)] * BLOCKS[kind]
        blocks[0] = _manufacturer(uid, kind)
        for sector in range(sector_of(len(blocks) - 1) + 1):
            blocks[trailer_of(sector)] = trailer
        return cls(Memory(image_head(kind, uid) + b"".join(blocks)))

    @classmethod
    def from_image(cls, image: bytes, fuse: Fuse | None = None) -> ClassicCard:
        """A card with these cells; STORAGE_IMAGE when they are not such a card's."""
        return cls(Memory(image, fuse))

    def image_size(self) -> int:
        """See `StorageCard`."""
        return IMAGE_HEAD.size + BLOCKS[self.kind] * BLOCK

    def reset(self) -> None:
        """See `StorageCard`."""
        self._authenticated = self._register = None

    # The chip

    def cells(self, block: int) -> bytes:
        """A block as it stands, whatever the access bits say: for the lab and for tests."""
        return self.memory.read(IMAGE_HEAD.size + block * BLOCK, BLOCK)

    def _write_cells(self, block: int, data: bytes) -> None:
        self.memory.write(IMAGE_HEAD.size + block * BLOCK, data)

    def authenticate(self, block: int, key: str, value: bytes) -> bool:
        """Open a block's sector with key `A` or `B`; a wrong key or a damaged trailer leaves nothing open."""
        self.reset()
        trailer = self.cells(trailer_of(sector_of(block)))
        if access.decode(trailer[ACCESS_AT:]) is None:
            return False
        stored = trailer[:KEY_SIZE] if key == access.A else trailer[-KEY_SIZE:]
        if not same(stored, value):
            return False
        self._authenticated = Authenticated(sector_of(block), key)
        return True

    def _key_for(self, block: int) -> tuple[str, access.Conditions] | None:
        """The key that opened a block's sector and the sector's conditions, None when it is not open."""
        opened = self._authenticated
        if opened is None or opened.sector != sector_of(block):
            return None
        conditions = access.decode(self.cells(trailer_of(opened.sector))[ACCESS_AT:])
        if conditions is None or (opened.key == access.B and access.key_b_is_readable(conditions)):
            return None
        return opened.key, conditions

    def _may(self, block: int, need: Need) -> bool:
        found = self._key_for(block)
        return found is not None and found[0] in access.DATA[found[1][group_of(block)]][need]

    def read(self, block: int) -> bytes | None:
        """A block; of a trailer what may be seen of it, zeros for the rest. None: refused."""
        if block == trailer_of(sector_of(block)):
            return self._read_trailer(block)
        return self.cells(block) if self._may(block, Need.READ) else None

    def _read_trailer(self, block: int) -> bytes | None:
        found = self._key_for(block)
        if found is None:
            return None
        key, conditions = found
        rule, raw = access.TRAILER[conditions[3]], self.cells(block)
        if key not in rule.read_access:
            return None
        key_b = raw[-KEY_SIZE:] if key in rule.read_b else bytes(KEY_SIZE)
        return bytes(KEY_SIZE) + raw[ACCESS_AT : BLOCK - KEY_SIZE] + key_b

    def write(self, block: int, data: bytes) -> bool:
        """Write a block; of a trailer those parts that may be written. The manufacturer's block never."""
        if block == 0:
            return False
        if block == trailer_of(sector_of(block)):
            return self._write_trailer(block, data)
        if not self._may(block, Need.WRITE):
            return False
        self._write_cells(block, data)
        return True

    def _write_trailer(self, block: int, data: bytes) -> bool:
        found = self._key_for(block)
        if found is None:
            return False
        key, conditions = found
        rule, raw = access.TRAILER[conditions[3]], self.cells(block)
        spans = (
            (rule.write_a, slice(0, ACCESS_AT)),
            (rule.write_access, slice(ACCESS_AT, BLOCK - KEY_SIZE)),
            (rule.write_b, slice(BLOCK - KEY_SIZE, BLOCK)),
        )
        if not any(key in allowed for allowed, _ in spans):
            return False
        self._write_cells(block, b"".join((data if key in allowed else raw)[span] for allowed, span in spans))
        return True

    def change(self, block: int, operation: int, operand: int = 0) -> bool:
        """Increment, decrement or restore a value block into the chip's register."""
        need = Need.INCREMENT if operation == INCREMENT else Need.DECREMENT
        found = None if group_of(block) == 3 else read_value(self.cells(block))
        if found is None or not self._may(block, need):
            return False
        value = found[0] + {INCREMENT: operand, DECREMENT: -operand, RESTORE: 0}[operation]
        if value not in INT32 or operand < 0:
            return False
        self._register = value
        return True

    def transfer(self, block: int) -> bool:
        """Write the register to a block as a value block; a value block keeps its address byte."""
        if self._register is None or block == 0 or group_of(block) == 3:
            return False
        if not (self._may(block, Need.DECREMENT) or self._may(block, Need.INCREMENT)):
            return False
        known = read_value(self.cells(block))
        self._write_cells(block, value_block(self._register, known[1] if known else block & 0xFF))
        return True

    # The reader

    def decode(self, raw: bytes) -> Command:
        """Readers take FF 88 also in its old form of six bytes, with the key's type where Lc would be."""
        if len(raw) == 6 and raw[:2] == bytes((0xFF, AUTHENTICATE_OLD)):
            return Command(raw[0], raw[1], raw[2], raw[3], raw[4:6])
        return super().decode(raw)

    def _load_key(self, command: Command) -> Answer:
        if command.p1 not in (PLAIN_VOLATILE, PLAIN_KEPT):
            return SW.CONDITIONS_OF_USE if command.p1 & 0x40 else SW.WRONG_P1P2
        if command.p2 >= KEY_SLOTS:
            return KEY_NUMBER_WRONG
        if len(command.data) != KEY_SIZE:
            return KEY_LENGTH_WRONG
        self._slots[command.p2] = command.data
        return SW.OK

    def _authenticate(self, command: Command) -> Answer:
        if command.p1 or command.p2:
            return SW.WRONG_P1P2
        if len(command.data) != 5:
            return SW.WRONG_LENGTH
        version, high, low, kind, slot = command.data
        return self._open(high << 8 | low, kind, slot) if version == 1 else SW.WRONG_DATA

    def _authenticate_old(self, command: Command) -> Answer:
        if len(command.data) != 2:
            return SW.WRONG_LENGTH
        return self._open(command.p1 << 8 | command.p2, *command.data)

    def _open(self, block: int, kind: int, slot: int) -> Answer:
        if kind not in (KEY_A, KEY_B):
            return SW.NO_CURRENT_FILE  # 6986: key type not known
        if slot not in self._slots:
            return KEY_UNUSABLE if slot < KEY_SLOTS else KEY_NUMBER_WRONG
        if block >= BLOCKS[self.kind]:
            return SW.FILE_NOT_FOUND
        key = access.A if kind == KEY_A else access.B
        return SW.OK if self.authenticate(block, key, self._slots[slot]) else SW.SECURITY_STATUS

    def _refused(self, word: int = SW.SECURITY_STATUS) -> int:
        """The card said no: its authentication is lost."""
        self.reset()
        return word

    def _block(self, command: Command) -> int | None:
        block = command.p1 << 8 | command.p2
        return block if block < BLOCKS[self.kind] else None

    def _read_binary(self, command: Command) -> Answer:
        """FF B0: one block, or several one after another of one sector."""
        block = self._block(command)
        if block is None:
            return SW.FILE_NOT_FOUND
        le = BLOCK if command.le in (None, 256) else command.le
        assert le is not None
        if le < BLOCK:
            return 0x6C00 | BLOCK
        found = b""
        for number in range(block, block + -(-le // BLOCK)):
            one = self.read(number) if number < BLOCKS[self.kind] else None
            if one is None:
                return self._refused()
            found += one
        return exactly(found, le)

    def _update_binary(self, command: Command) -> Answer:
        """FF D6: one whole block."""
        block = self._block(command)
        if block is None:
            return SW.FILE_NOT_FOUND
        if len(command.data) != BLOCK:
            return SW.WRONG_LENGTH
        return SW.OK if self.write(block, command.data) else self._refused()

    def _value_operation(self, command: Command) -> Answer:
        """FF D7: 00 store, 01 increment, 02 decrement (4 bytes), 03 restore to another block (1 byte)."""
        block = self._block(command)
        if block is None:
            return SW.FILE_NOT_FOUND
        if len(command.data) == 2 and command.data[0] == RESTORE:
            target = command.data[1]
            if target >= BLOCKS[self.kind] or sector_of(target) != sector_of(block):
                return SW.WRONG_DATA
            return self._changed(block, RESTORE, 0, target)
        if len(command.data) != 5:
            return SW.WRONG_LENGTH
        operation, operand = command.data[0], int.from_bytes(command.data[1:], "big", signed=True)
        if operation == STORE:
            if group_of(block) == 3:
                return self._refused()
            done = self.write(block, value_block(operand, block & 0xFF))
            return SW.OK if done else self._refused()
        if operation not in (INCREMENT, DECREMENT):
            return SW.WRONG_DATA
        return self._changed(block, operation, operand, block)

    def _changed(self, block: int, operation: int, operand: int, target: int) -> Answer:
        done = self.change(block, operation, operand) and self.transfer(target)
        self._register = None
        return SW.OK if done else self._refused()

    def _read_value(self, command: Command) -> Answer:
        """FF B1: a value block's value, four bytes, most significant first."""
        block = self._block(command)
        if block is None:
            return SW.FILE_NOT_FOUND
        raw = self.read(block)
        if raw is None:
            return self._refused()
        found = read_value(raw)
        if found is None:
            return SW.WRONG_FILE_TYPE
        return exactly(found[0].to_bytes(4, "big", signed=True), command.le)


def _manufacturer(uid: bytes, kind: Kind) -> bytes:
    """Block 0: the UID (with its check byte when it has four), SAK, ATQA, the maker's data."""
    check = bytes((uid[0] ^ uid[1] ^ uid[2] ^ uid[3],)) if len(uid) == 4 else b""
    sak, atqa = (b"\x08", b"\x04\x00") if kind is Kind.CLASSIC_1K else (b"\x18", b"\x02\x00")
    return (uid + check + sak + atqa).ljust(BLOCK, b"\x00")
