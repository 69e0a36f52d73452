# SPDX-License-Identifier: Apache-2.0
"""An exchange in words, for traces: the command's name and what the status word means.

The one place where the kit gets its words for commands and status words.
"""

from __future__ import annotations

from typing import Final

from citycard.conform.model import Text
from citycard.core.apdu import describe_sw

NAMES: Final[dict[int, str]] = {
    0x00A4: "SELECT",
    0x00B0: "READ BINARY",
    0x00B2: "READ RECORD",
    0x0084: "GET CHALLENGE",
    0x0082: "EXTERNAL AUTHENTICATE",
    0x0020: "VERIFY PIN",
    0x0088: "INTERNAL AUTHENTICATE",
    0x00C0: "GET RESPONSE",
    0x00D6: "UPDATE BINARY",
    0x00DC: "UPDATE RECORD",
    0x00E2: "APPEND RECORD",
    0x04D6: "UPDATE BINARY under MAC",
    0x04DC: "UPDATE RECORD under MAC",
    0x04E2: "APPEND RECORD under MAC",
    0x80DC: "UPDATE CAPP DATA CACHE",
    0x8052: "CREDIT FOR LOAD",
    0x8054: "DEBIT FOR PURCHASE",
    0x805A: "GET TRANSACTION PROVE",
    0x805C: "GET BALANCE",
    0x80D4: "WRITE KEY",
    0x84D4: "WRITE KEY under MAC",
    0x8416: "CARD BLOCK",
    0x8418: "APPLICATION UNBLOCK",
    0x841E: "APPLICATION BLOCK",
}
INITIALIZE: Final = {0: "LOAD", 1: "PURCHASE", 2: "CASH", 3: "CAPP PURCHASE", 4: "OVERDRAFT", 5: "UNLOAD"}


def command_name(command: bytes) -> str:
    """What a command is called, with its first four bytes: `SELECT (00A40400)`."""
    if command[:2] == b"\x80\x50" and len(command) > 2:
        name = f"INITIALIZE FOR {INITIALIZE.get(command[2] & 0x0F, '?')}"
    else:
        name = NAMES.get(int.from_bytes(command[:2], "big"), "command")
    return f"{name} ({command[:4].hex().upper()})"


def status(sw: int) -> Text:
    """A status word in words, in both languages."""
    told = describe_sw(sw)
    return Text(told, told)


def annotate(command: bytes, response: bytes | None) -> str:
    """One exchange in words; the response is None when the card had left."""
    name = command_name(command).rpartition(" (")[0] if len(command) >= 4 else "no APDU"
    if response is None:
        return f"{name}: the card left the field"
    if len(response) < 2:
        return f"{name}: no status word"
    size = len(response) - 2
    told = status(int.from_bytes(response[-2:], "big")).en
    return f"{name}: {told}" + (f", {size} bytes" if size else "")
