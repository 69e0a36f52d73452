# SPDX-License-Identifier: Apache-2.0
"""The guard between the kit and a card: no command that writes passes it unless that was allowed.

Every command is classified before it is sent, and what is not known to be harmless counts as writing. A
case that tries what was not allowed is stopped by a Problem, whatever it declared. Nothing else in the kit
holds the link, so the promise of `citycard conform card` rests on this module alone; its test sends every
command there is to a card and compares the cells.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final, Protocol, runtime_checkable

from citycard.core.apdu import SW
from citycard.core.problem import declare

CONFORM_GUARD = declare(
    "CONFORM_GUARD",
    "The guard stopped {command}, which {what}, because it was not allowed; nothing was sent. Allow it "
    "with {option} if the card may be changed.",
    "已拦截指令 {command}：该指令会改动或锁定卡片，未获允许，未发送。如可改动卡片，请使用 {option}。",
)

CONFORM_LAST_TRY = declare(
    "CONFORM_LAST_TRY",
    "The guard stopped {command}: others were refused, and this may use up the last try of a key; nothing "
    "was sent. Allow it with --allow-lock if the card is expendable.",
    "已拦截指令 {command}：此前已有失败，可能耗尽密钥的最后一次尝试，未发送。消耗样卡可用 --allow-lock。",
)


class Effect(IntEnum):
    """What a command may leave behind on a card."""

    NONE = 0  # nothing, or volatile state that goes with the power
    WRITE = 1  # changed cells
    LOCK = 2  # a locked application or card


HARMLESS: Final = frozenset(
    {
        0x00A4,  # SELECT
        0x00B0,  # READ BINARY; with CLA 04 it carries a MAC, and a wrong one costs a try
        0x00B2,  # READ RECORD, likewise
        0x0084,  # GET CHALLENGE
        0x0088,  # INTERNAL AUTHENTICATE
        0x00C0,  # GET RESPONSE
        0x00CA,
        0x80CA,  # GET DATA
        0x8050,  # INITIALIZE: opens a transaction in volatile memory
        0x805A,  # GET TRANSACTION PROVE
        0x805C,  # GET BALANCE
    }
)
LOCKING: Final = frozenset({0x841E, 0x8416, 0x8418, 0x8424})
VERIFY_PIN, REPLACE_PIN, OPEN_CHANNEL = 0x0020, 0x805E, 0x8482
AUTHENTICATION: Final = frozenset({0x0082, VERIFY_PIN, REPLACE_PIN})  # a wrong one costs a try
CRYPTOGRAM_WRONG: Final = 0x6300
INITIALIZE_UPDATE, SET_STATUS = 0x8050, 0xF0
INIT_COMPOSITE, CACHE = bytes.fromhex("805003"), bytes.fromhex("80DC")
CLASS_INVALID: Final = 0xFF  # reserved for protocol selection (ISO/IEC 7816-4, 5.4.1)
INSTRUCTIONS_INVALID: Final = (0x6, 0x9)  # high digits that no instruction may have (7816-4, 5.4.2)
SM_BIT: Final = 0x04
WRONG_MACS_MAX: Final = 2  # in a row: a third would lock a key of three tries


class Field(Protocol):
    """A card in the field of a reader; both raise `CardGone` when it is not."""

    def connect(self) -> bytes:
        """Power the card off and on; its answer to reset."""
        ...

    def __call__(self, command: bytes) -> bytes:
        """One exchange."""
        ...


@runtime_checkable
class CuttingField(Protocol):
    """A field that can go in the middle of a command."""

    def cut_after(self, writes: int | None) -> None:
        """Go at this write, counted from 0; None: stay."""
        ...


def effect_of(command: bytes, staging: bool = False) -> Effect:
    """What a command may leave behind; `staging` when a composite purchase has just been opened."""
    if len(command) < 2:
        return Effect.NONE
    cla, ins = command[0], command[1]
    if cla == CLASS_INVALID or ins >> 4 in INSTRUCTIONS_INVALID:
        return Effect.NONE
    code = cla << 8 | ins
    if code in HARMLESS or (staging and command.startswith(CACHE)):
        return Effect.NONE
    return Effect.LOCK if code in LOCKING else Effect.WRITE


EffectOf = Callable[[bytes, bool], Effect]


def domain_effect(command: bytes, staging: bool = False) -> Effect:
    """On a card with security domains: INITIALIZE UPDATE may count, SET STATUS may end the card."""
    if command[1:2] == bytes((SET_STATUS,)):
        return Effect.LOCK
    opens = int.from_bytes(command[:2], "big") == INITIALIZE_UPDATE
    return max(effect_of(command, staging), Effect.WRITE) if opens else effect_of(command, staging)


class Guard:
    """A field behind the guard, for as long as one card lies in it.

    Problems: CONFORM_GUARD when a command is not allowed, CONFORM_LAST_TRY when it could lock a key.
    """

    def __init__(
        self,
        field: Field,
        allow_write: bool = False,
        allow_lock: bool = False,
        effect: EffectOf = effect_of,
    ) -> None:
        self._field, self._effect = field, effect
        self._allowed = Effect.LOCK if allow_lock else Effect.WRITE if allow_write else Effect.NONE
        self._staging = False
        self._wrong_macs = 0
        self._last_tries: set[str] = set()  # what has one try left

    def connect(self) -> bytes:
        """Power the card off and on."""
        self._staging = False
        return self._field.connect()

    def __call__(self, command: bytes) -> bytes:
        """One exchange, if it is allowed."""
        self._check(command)
        answer = self._field(command)
        self._heed(command, int.from_bytes(answer[-2:], "big"))
        return answer

    def cut_after(self, writes: int | None) -> None:
        """Let the field go at this write of the card, counted from 0; None lets it stay.

        Only fields of the laboratory can: cases that need it say so (`Need.CUT`).
        """
        assert isinstance(self._field, CuttingField)
        self._field.cut_after(writes)

    def _check(self, command: bytes) -> None:
        effect = self._effect(command, self._staging)
        if effect > self._allowed:
            what = "locks the card" if effect is Effect.LOCK else "writes or may write"
            option = "--allow-lock" if effect is Effect.LOCK else "--allow-write"
            raise CONFORM_GUARD(command=command[:5].hex().upper(), what=what, option=option)
        if self._allowed is Effect.LOCK or len(command) < 2:
            return
        code = command[0] << 8 | command[1]
        if code in AUTHENTICATION and _tried(code) in self._last_tries:
            raise CONFORM_LAST_TRY(command=command[:4].hex().upper())
        proves = (command[0] & SM_BIT and effect is not Effect.NONE) or code == REPLACE_PIN
        if proves and self._wrong_macs >= WRONG_MACS_MAX:
            raise CONFORM_LAST_TRY(command=command[:4].hex().upper())

    def _heed(self, command: bytes, sw: int) -> None:
        """Follow what the answer says of tries and of the open transaction."""
        opened = sw == SW.OK and command.startswith(INIT_COMPOSITE)
        self._staging = opened or (self._staging and command.startswith(CACHE))
        if len(command) < 2:
            return
        code = command[0] << 8 | command[1]
        if code in AUTHENTICATION and (sw == SW.OK or sw & 0xFFF0 == 0x63C0):
            if sw != SW.OK and sw & 0xF <= 1:
                self._last_tries.add(_tried(code))
            else:
                self._last_tries.discard(_tried(code))
        if sw == SW.SM_INCORRECT or (code, sw) in WRONG_PROOFS:
            self._wrong_macs += 1
        elif sw == SW.OK and (command[0] & SM_BIT or code == REPLACE_PIN):
            self._wrong_macs = 0


WRONG_PROOFS: Final = frozenset(
    {
        (REPLACE_PIN, SW.MAC_ERROR),
        (OPEN_CHANNEL, CRYPTOGRAM_WRONG),
        (OPEN_CHANNEL, SW.SECURITY_STATUS),
    }
)


def _tried(code: int) -> str:
    """What an authentication spends a try of."""
    return "PIN" if code in (VERIFY_PIN, REPLACE_PIN) else "key"
