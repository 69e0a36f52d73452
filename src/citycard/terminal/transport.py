# SPDX-License-Identifier: Apache-2.0
"""From command APDU to what a reader wants: T=0 cuts a command in two, and cards ask for the second half.

`exchange(transmit, command, t0)` gives the whole answer: what 61xx announces is fetched with GET RESPONSE,
and under T=0 a 6Cxx repeats the command with the Le the card names (ISO/IEC 7816-3, 10.3; facts 1.1, 1.5).
Under T=1 a 6Cxx is the card's own word to whoever asked, and passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.core.apdu import ApduError, Command
from citycard.terminal.link import Link

ROUNDS_MAX: Final = 260  # 65,536 bytes in answers of 256, and the odd 6Cxx
GET_RESPONSE: Final = bytes.fromhex("C00000")  # after a CLA
CHANNEL: Final = 0x03  # of CLA: an answer is fetched where the command was sent
READER_CLASS: Final = 0xFF


class WholeLink:
    """A link to a card that may speak T=0, as a reader makes it: whole answers to whole commands."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._t0 = False

    def connect(self) -> bytes:
        """Power the card."""
        atr = self._link.connect()
        self._t0 = only_t0(atr)
        return atr

    def __call__(self, command: bytes) -> bytes:
        """One exchange."""
        return exchange(self._link, command, self._t0)


def only_t0(atr: bytes) -> bool:
    """Whether a card speaks T=0 and nothing else: its ATR offers no protocol, or this one (7816-3, 8.2)."""
    offers = len(atr) > 1 and bool(atr[1] & 0x80)
    if not offers:
        return True
    at = 2 + (atr[1] >> 4 & 0x7).bit_count()  # TD1 comes after TA1, TB1 and TC1
    return len(atr) > at and atr[at] & 0x8F == 0x00


def exchange(transmit: Callable[[bytes], bytes], command: bytes, t0: bool) -> bytes:
    """One command and its whole answer; `t0` when the card speaks T=0 and the reader wants TPDUs."""
    answer = transmit(as_tpdu(command) if t0 else command)
    if t0 and len(answer) == 2 and answer[0] == 0x6C:
        answer = transmit(_with_le(command, answer[1]))
    data, get_response = b"", bytes((_channel(command),)) + GET_RESPONSE
    for _ in range(ROUNDS_MAX):
        if len(answer) < 2 or answer[-2] != 0x61:
            break
        data += answer[:-2]
        answer = transmit(get_response + answer[-1:])
        if len(answer) == 2 and answer[0] == 0x6C:
            answer = transmit(get_response + answer[1:])
    return data + answer


def _channel(command: bytes) -> int:
    """The logical channel of a command; those to the reader itself have none."""
    return 0 if not command or command[0] == READER_CLASS else command[0] & CHANNEL


def as_tpdu(command: bytes) -> bytes:
    """A short command as T=0 sends it: never without P3, never with both data and Le."""
    try:
        parsed = Command.decode(command)
    except ApduError:
        return command
    if len(command) == 4:
        return command + b"\x00"
    fits = len(parsed.data) <= 255 and (parsed.le is None or parsed.le <= 256)
    if not fits:
        return command
    if parsed.data:
        return Command(parsed.cla, parsed.ins, parsed.p1, parsed.p2, parsed.data).encode()
    return Command(parsed.cla, parsed.ins, parsed.p1, parsed.p2, le=parsed.le).encode()


def _with_le(command: bytes, le: int) -> bytes:
    """The same command with the Le that the card wants."""
    try:
        parsed = Command.decode(command)
    except ApduError:
        return command
    return Command(parsed.cla, parsed.ins, parsed.p1, parsed.p2, parsed.data, le or 256).encode()
