# SPDX-License-Identifier: Apache-2.0
"""Storage cards as a PC/SC reader shows them: the ATR, the pseudo-APDUs of part 3, and what all kinds share.

A storage card speaks no APDUs itself. The reader gives it an ATR and translates class FF: the emulated card
is card and reader in one. Keys that were loaded (FF 82) are the reader's: they outlast the card's power and
are not in its image. Source: PC/SC part 3 (2.01.09) 3.1.3.2.3 and 3.2.2.1, with its supplement for the
transparent exchange; the value block commands are those of common readers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from functools import reduce
from operator import xor
from typing import ClassVar, Final, NoReturn, SupportsIndex

from citycard.core.apdu import SW, ApduError, Command
from citycard.core.card.atomic import CELL, Memory, PowerLost
from citycard.core.problem import declare
from citycard.core.tlv import TlvError, parse, tlv

RID: Final = bytes.fromhex("A000000306")  # PC/SC Workgroup
STANDARD_14443A_3: Final = 0x03
CLASS: Final = 0xFF
GET_DATA: Final = 0xCA
SHORTER_THAN_ASKED: Final = 0x6282
IMAGE_MAGIC: Final = b"ccst"
IMAGE_VERSION: Final = 1
IMAGE_HEAD: Final = struct.Struct(">4sBBBx8s")  # magic, version, kind, size of the UID, UID
UID_SIZES: Final = (4, 7)

STORAGE_IMAGE = declare(
    "STORAGE_IMAGE",
    "This is not the image of a storage card of this version ({what}). Make the card anew.",
    "这不是本版本存储卡的映像（{what}），请重新制卡。",
)

Answer = bytes | int
"""Data with 9000, or a status word."""
Handler = Callable[[Command], Answer]


class Kind(IntEnum):
    """Kinds of card: the number kept in images; `CARD_NAMES` has the one the ATR tells."""

    CLASSIC_1K = 1
    CLASSIC_4K = 2
    ULTRALIGHT = 3
    TAG = 4


CARD_NAMES: Final = {  # part 3 supplement: registered card names
    Kind.CLASSIC_1K: 0x0001,
    Kind.CLASSIC_4K: 0x0002,
    Kind.ULTRALIGHT: 0x0003,
    Kind.TAG: 0x0000,  # no information given
}


def atr(kind: Kind) -> bytes:
    """3B 8F 80 01 80 4F 0C, RID, standard, card name, four zeros, TCK."""
    name = CARD_NAMES[kind].to_bytes(2, "big")
    body = bytes.fromhex("8F8001804F0C") + RID + bytes((STANDARD_14443A_3,)) + name + bytes(4)
    return b"\x3b" + body + bytes((reduce(xor, body),))


def kind_of(card_atr: bytes) -> Kind | None:
    """Which storage card an ATR belongs to, None when it is no storage card's."""
    return next((kind for kind in Kind if atr(kind) == card_atr), None)


def image_head(kind: Kind, uid: bytes) -> bytes:
    """The first two cells of an image."""
    if len(uid) not in UID_SIZES:
        raise ValueError(f"a UID has 4 or 7 bytes, this has {len(uid)}")
    return IMAGE_HEAD.pack(IMAGE_MAGIC, IMAGE_VERSION, kind, len(uid), uid.ljust(8, b"\x00"))


class StorageCard:
    """A storage card behind a reader: `process(command) -> response`, with power like `core.card.Card`.

    Writes go to the cells as they are: a card torn away in mid-write may keep garbage in that cell.
    """

    KINDS: ClassVar[tuple[Kind, ...]] = ()

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self._powered = False
        self.commands: dict[int, Handler] = {GET_DATA: self._get_data}
        magic, version, kind, size, uid = _head(memory)
        if (magic, version) != (IMAGE_MAGIC, IMAGE_VERSION) or kind not in self.KINDS or size > len(uid):
            raise STORAGE_IMAGE(what=f"{magic.hex()} version {version} kind {kind}")
        self.kind = Kind(kind)
        self.uid = bytes(uid[:size])
        if len(memory) != self.image_size():
            raise STORAGE_IMAGE(what=f"{len(memory)} bytes")

    def __repr__(self) -> str:
        return f"<{self.kind.name} {self.uid.hex().upper()}>"

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        raise TypeError("a card holds keys and is neither pickled nor copied")

    def image_size(self) -> int:
        """Bytes of an image of this kind."""
        return IMAGE_HEAD.size

    def image(self) -> bytes:
        """All cells as they stand, keys included: a secret."""
        return self.memory.read(0, len(self.memory))

    def power_on(self) -> bytes:
        """Clear what is volatile, answer the ATR the reader gives it."""
        self._powered = True
        self.reset()
        return atr(self.kind)

    def power_off(self) -> None:
        """The card leaves the field."""
        self._powered = False

    def reset(self) -> None:
        """Forget what lasts only as long as the power."""

    def process(self, command: bytes) -> bytes:
        """Answer one pseudo-APDU. Raises nothing but `PowerLost`."""
        if not self._powered:
            raise PowerLost("the card has no power: power_on comes first")
        try:
            answer = self._answer(command)
        except PowerLost:
            self._powered = False
            raise
        if isinstance(answer, bytes):
            return answer + SW.OK.to_bytes(2, "big")
        return answer.to_bytes(2, "big")

    def _answer(self, raw: bytes) -> Answer:
        try:
            command = self.decode(raw)
        except ApduError:
            return SW.WRONG_LENGTH
        if command.cla != CLASS:
            return SW.WRONG_CLA
        handler = self.commands.get(command.ins)
        return SW.WRONG_INS if handler is None else handler(command)

    def decode(self, raw: bytes) -> Command:
        """The command of an APDU's bytes."""
        return Command.decode(raw)

    def _get_data(self, command: Command) -> Answer:
        """FF CA 00 00: the UID. There is no ATS (P1 01): the card is not of ISO/IEC 14443-4."""
        if command.p2 or command.p1 > 1:
            return SW.WRONG_P1P2
        if command.p1 == 1:
            return SW.NOT_SUPPORTED
        return exactly(self.uid, command.le)


def exactly(data: bytes, le: int | None) -> Answer:
    """Data as part 3 gives it: all of it for Le 00, else 6Cxx when less and 6282 when more was asked."""
    if le is None or le == 256 or le == len(data):
        return data
    return 0x6C00 | len(data) if le < len(data) else SHORTER_THAN_ASKED


def _head(memory: Memory) -> tuple[bytes, int, int, int, bytes]:
    if len(memory) < IMAGE_HEAD.size or len(memory) % CELL:
        raise STORAGE_IMAGE(what=f"{len(memory)} bytes")
    magic, version, kind, size, uid = memory.unpack(IMAGE_HEAD, 0)
    return magic, version, kind, size, uid


# The transparent exchange: FF C2 00 01 with the bytes for the card in tag 95

TRANSPARENT: Final = 0xC2
MANAGE, TRANSCEIVE = 0x00, 0x01
TAG_SEND, TAG_RECEIVED, TAG_ERROR = 0x95, 0x97, 0xC0
TAG_START, TAG_END = 0x81, 0x82
EXCHANGE_FAILED: Final = bytes.fromhex("016401")  # first data object: the card did not answer


def transparent(command: Command, exchange: Callable[[bytes], bytes | None]) -> Answer:
    """FF C2: begin or end a transparent session (81, 82), or hand bytes to the card and give its answer.

    The answer is C0 03 with the error status and, when the card answered, 97 with what it said.
    """
    if command.p1 or command.p2 not in (MANAGE, TRANSCEIVE):
        return SW.WRONG_P1P2
    try:
        objects = dict(parse(command.data))
    except TlvError:
        return SW.WRONG_DATA
    good = tlv(TAG_ERROR, bytes.fromhex("009000"))
    if command.p2 == MANAGE:
        return good if objects.keys() and objects.keys() <= {TAG_START, TAG_END} else SW.WRONG_DATA
    if TAG_SEND not in objects:
        return SW.WRONG_DATA
    said = exchange(objects[TAG_SEND])
    return tlv(TAG_ERROR, EXCHANGE_FAILED) if said is None else good + tlv(TAG_RECEIVED, said)


def transceive(native: bytes) -> bytes:
    """The command that hands bytes to the card."""
    return Command(CLASS, TRANSPARENT, 0x00, TRANSCEIVE, tlv(TAG_SEND, native), 256).encode()


def received(data: bytes) -> bytes | None:
    """What the card said in answer to `transceive`, None when it said nothing; `TlvError` for other data."""
    objects = dict(parse(data))
    if objects.get(TAG_ERROR) != bytes.fromhex("009000"):
        return None
    return objects.get(TAG_RECEIVED)
