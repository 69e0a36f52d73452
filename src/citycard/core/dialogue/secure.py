# SPDX-License-Identifier: Apache-2.0
"""Secure messaging from the reader's side: writing and reading under a MAC, blocking, authentication.

Whoever holds the key gives a `Mac`: from the message (CLA INS P1 P2 Lc data) and the card's challenge to 4
bytes, such as `lambda message, challenge: vault.message_mac("maintenance", 1, factors, message, challenge)`;
or a `Seal`, which enciphers as well. Each command fetches its own challenge. Bytes: card facts 1.4, 1.7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.crypto import MAC_SIZE, same
from citycard.core.dialogue.exchange import CARD, Answer, Dialogue, DialogueError, Refused, ask, sized
from citycard.core.dialogue.read import blocked_or
from citycard.core.refusal import Refusal

Mac = Callable[[bytes, bytes], bytes]  # (message, challenge): 4 bytes
Seal = Callable[[bytes, bytes, bytes], bytes]  # (CLA INS P1 P2, data, challenge): cipher and MAC
CHALLENGE4: Final = bytes.fromhex("0084000004")
CHALLENGE8: Final = bytes.fromhex("0084000008")
ENCIPHER, DECIPHER, MAC_OF = 0, 1, 2  # how INTERNAL AUTHENTICATE uses its key


def challenge(command: bytes = CHALLENGE4) -> Dialogue[bytes]:
    """GET CHALLENGE; `DialogueError` when the card gives none."""
    response = yield from ask(CARD, "GET CHALLENGE", command)
    if not response.ok:
        raise DialogueError(CARD, "GET CHALLENGE", response.encode(), f"{command[-1]} random bytes")
    return sized(response, command[-1], CARD, "GET CHALLENGE")


def secured(name: str, header: bytes, data: bytes, mac: Mac, le: int | None = None) -> Dialogue[Answer]:
    """Send a command (CLA INS P1 P2, CLA with bit 04) with a MAC over a fresh challenge."""
    rand = yield from challenge()
    message = header + bytes((len(data) + MAC_SIZE,)) + data
    tail = b"" if le is None else bytes((le & 0xFF,))
    return (yield from ask(CARD, name, message + mac(message, rand) + tail))


def sealed(name: str, header: bytes, data: bytes, seal: Seal) -> Dialogue[Answer]:
    """Send a command whose data are enciphered, with a MAC over a fresh challenge."""
    rand = yield from challenge()
    body = seal(header, data, rand)
    return (yield from ask(CARD, name, header + bytes((len(body),)) + body))


def _told(response: Answer, name: str) -> Refused | None:
    return None if response.ok else blocked_or(Refusal.CARD_FAULT, response, name)


# Files


def write_file(sfi: int, offset: int, data: bytes, mac: Mac) -> Dialogue[Refused | None]:
    """UPDATE BINARY under a MAC. Refused: CARD_FAULT, CARD_BLOCKED."""
    name = f"UPDATE BINARY {sfi:02X}"
    response = yield from secured(name, bytes((0x04, 0xD6, 0x80 | sfi, offset)), data, mac)
    return _told(response, name)


def write_file_sealed(sfi: int, offset: int, data: bytes, seal: Seal) -> Dialogue[Refused | None]:
    """UPDATE BINARY enciphered and under a MAC, for files of type E8."""
    name = f"UPDATE BINARY {sfi:02X}"
    return _told((yield from sealed(name, bytes((0x04, 0xD6, 0x80 | sfi, offset)), data, seal)), name)


def write_record(sfi: int, number: int, data: bytes, mac: Mac) -> Dialogue[Refused | None]:
    """UPDATE RECORD by number under a MAC; number 0 appends."""
    name = f"UPDATE RECORD {sfi:02X}/{number}"
    header = bytes((0x04, 0xDC, number, sfi << 3 | 4)) if number else bytes((0x04, 0xE2, 0, sfi << 3))
    return _told((yield from secured(name, header, data, mac)), name)


def read_file(sfi: int, offset: int, mac: Mac, size: int = 0) -> Dialogue[bytes | Refused]:
    """READ BINARY under a MAC both ways; size 0 reads to the end. `DialogueError` when the card's is wrong.

    An enciphered file's data come as the card sent them: length, data and padding, to be deciphered.
    """
    return (yield from _read(f"READ BINARY {sfi:02X}", bytes((0x04, 0xB0, 0x80 | sfi, offset)), mac, size))


def read_record_secured(sfi: int, number: int, mac: Mac) -> Dialogue[bytes | Refused]:
    """READ RECORD by number under a MAC both ways."""
    header = bytes((0x04, 0xB2, number, sfi << 3 | 4))
    return (yield from _read(f"READ RECORD {sfi:02X}/{number}", header, mac, 0))


def _read(name: str, header: bytes, mac: Mac, size: int) -> Dialogue[bytes | Refused]:
    rand = yield from challenge()
    message = header + bytes((MAC_SIZE,))
    response = yield from ask(CARD, name, message + mac(message, rand) + bytes((size & 0xFF,)))
    if not response.ok:
        return blocked_or(Refusal.CARD_FAULT, response, name)
    data, shown = response.data[:-MAC_SIZE], response.data[-MAC_SIZE:]
    if not same(mac(data, rand), shown):
        raise DialogueError(CARD, name, response.encode(), "data under a right MAC")
    return data


# Blocking


def block_application(mac: Mac, for_ever: bool = False) -> Dialogue[Refused | None]:
    """APPLICATION BLOCK of the selected application, until unblocked or for ever."""
    response = yield from secured("APPLICATION BLOCK", bytes((0x84, 0x1E, 0, int(for_ever))), b"", mac)
    return _told(response, "APPLICATION BLOCK")


def unblock_application(mac: Mac) -> Dialogue[Refused | None]:
    """APPLICATION UNBLOCK. Refused: CARD_BLOCKED when the last try was spent (9303), CARD_FAULT."""
    response = yield from secured("APPLICATION UNBLOCK", bytes((0x84, 0x18, 0, 0)), b"", mac)
    return _told(response, "APPLICATION UNBLOCK")


def lock_card(mac: Mac) -> Dialogue[Refused | None]:
    """CARD BLOCK under the MF's maintenance key: the card answers nothing any more, for ever."""
    response = yield from secured("CARD BLOCK", bytes((0x84, 0x16, 0, 0)), b"", mac)
    return _told(response, "CARD BLOCK")


# Authentication


def internal_authenticate(data: bytes, key_id: int, how: int = MAC_OF) -> Dialogue[bytes | Refused]:
    """The card proves a cipher key of its own: what it made of the data, for the caller to compare."""
    command = Command(0x00, 0x88, how, key_id, data).encode()
    response = yield from ask(CARD, "INTERNAL AUTHENTICATE", command)
    if not response.ok:
        return blocked_or(Refusal.CARD_FAULT, response, "INTERNAL AUTHENTICATE")
    return response.data


def external_authenticate(prove: Callable[[bytes], bytes], key_id: int = 0) -> Dialogue[Refused | None]:
    """The terminal proves a control key; `prove` enciphers the card's 8-byte challenge."""
    rand = yield from challenge(CHALLENGE8)
    command = Command(0x00, 0x82, 0x00, key_id, prove(rand)).encode()
    response = yield from ask(CARD, "EXTERNAL AUTHENTICATE", command)
    return _told(response, "EXTERNAL AUTHENTICATE")


def tries_left(refused: Refused) -> int | None:
    """How many tries a 63Cx tells, 0 for 6983, None when the refusal was about something else."""
    if refused.sw & 0xFFF0 == 0x63C0:
        return refused.sw & 0x0F
    return 0 if refused.sw == SW.KEY_BLOCKED else None
