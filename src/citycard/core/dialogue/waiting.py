# SPDX-License-Identifier: Apache-2.0
"""The reader's side of T=0: a party whose answers wait for GET RESPONSE, made into one that answers whole."""

from __future__ import annotations

from typing import Final

from citycard.core.dialogue.exchange import Party

ROUNDS_MAX: Final = 256  # 64 KiB in pieces of 256; a card that announces more is broken


def over_t0(party: Party) -> Party:
    """The same party with 61xx fetched and 6Cxx repeated, as a T=0 reader does (ISO/IEC 7816-3, 10.3).

    A Le behind command data is not sent: T=0 has no place for it.
    """

    def whole(command: bytes) -> bytes:
        if len(command) > 5 and len(command) == 6 + command[4]:
            command = command[:-1]
        answer = party(command)
        if len(answer) == 2 and answer[0] == 0x6C:
            answer = party(command[:4] + answer[1:])
        data = answer[:-2]
        for _ in range(ROUNDS_MAX):
            if len(answer) < 2 or answer[-2] != 0x61:
                break
            answer = party(bytes((command[0] & 0x03, 0xC0, 0x00, 0x00, answer[-1])))
            data += answer[:-2]
        return data + answer[-2:]

    return whole
