# SPDX-License-Identifier: Apache-2.0
"""Before and after personalisation: does a blank open to the transport key, is a card what it was to be?

A blank is asked before anything is written, so that a wrong box costs no card numbers. After that every file
is read and compared, the purse must be empty, and the card proves with MAC1 of an INIT LOAD that
it has its load key; the load is not carried out, so nothing on the card changes. Bytes: card facts 1.1, 1.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from citycard.core.apdu import Command
from citycard.core.dialogue.exchange import CARD, Dialogue, Refused, ask
from citycard.core.dialogue.load import open_load
from citycard.core.dialogue.personalise import CHALLENGE8
from citycard.core.dialogue.read import SELECT, read_balance

PROBE_FEN: Final = 1  # of the load that is asked for and never made
PROBE_TERMINAL: Final = bytes(6)
CHALLENGE_SIZE: Final = 8
READ_MAX: Final = 255  # bytes of one READ BINARY

Prove = Callable[[int, bytes, bytes], bool]  # (amount, terminal, answer to INIT LOAD): whether MAC1 fits


def opens(authenticate: Callable[[bytes], bytes]) -> Dialogue[str]:
    """Empty when the selected application opens to the transport key, else what it says."""
    response = yield from ask(CARD, "GET CHALLENGE", CHALLENGE8)
    if not response.ok or len(response.data) != CHALLENGE_SIZE:
        return f"it gives no challenge ({response.sw:04X})"
    proof = Command(0x00, 0x82, 0x00, 0x00, authenticate(response.data)).encode()
    response = yield from ask(CARD, "EXTERNAL AUTHENTICATE", proof)
    return "" if response.ok else f"it does not open to the transport key ({response.sw:04X})"


def read_file(sfi: int, size: int) -> Dialogue[bytes]:
    """The first `size` bytes of a transparent file; what the card did not give is missing."""
    content = b""
    while len(content) < size:
        part = min(READ_MAX, size - len(content))
        at = len(content)
        p1, p2 = (0x80 | sfi, at) if at < 256 else (at >> 8, at & 0xFF)
        response = yield from ask(
            CARD, f"READ BINARY {sfi:02X}", Command(0x00, 0xB0, p1, p2, le=part).encode()
        )
        if not response.ok or not response.data:
            break
        content += response.data
    return content


def verify(files: Mapping[int, bytes], prove: Prove, balance_fen: int = 0) -> Dialogue[str]:
    """Empty when the card is right, else what is wrong with it in a few words."""
    response = yield from ask(CARD, "SELECT", SELECT)
    if not response.ok:
        return f"no purse application ({response.sw:04X})"
    for sfi, wanted in sorted(files.items()):
        found = yield from read_file(sfi, len(wanted))
        if found != wanted:
            return f"file {sfi:02X} is not what was written"
    balance = yield from read_balance()
    if isinstance(balance, Refused):
        return f"no balance ({balance})"
    if balance != balance_fen:
        return f"the purse holds {balance} fen, not {balance_fen}"
    opened = yield from open_load(PROBE_FEN, PROBE_TERMINAL)
    if isinstance(opened, Refused):
        return f"no load ({opened})"
    if not prove(PROBE_FEN, PROBE_TERMINAL, opened.raw):
        return "its load key is another"
    return ""
