# SPDX-License-Identifier: Apache-2.0
"""Unload (圈提) and change of the overdraft limit (修改透支限额): as a load, the host allows, the card does.

INIT on the card (gives MAC1), the host checks it and gives date, time and MAC2, then the command that
completes. An unload ends with MAC3 under the same session key, a new limit with a TAC. `remember` is called
right before the completing command. Bytes: card facts 1.3. By default the purse is the EP (P2 = 02), which
T-Union cards allow; PBOC cards do both on the deposit, the ED (P2 = 01).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.dialogue.exchange import (
    CARD,
    HOST,
    Answer,
    Dialogue,
    DialogueError,
    Exchange,
    Refused,
    ask,
    sized,
)
from citycard.core.dialogue.load import INIT_SIZE, OFFER_SIZE, LoadOpened
from citycard.core.dialogue.purchase import NOT_DEBITED, Unproven
from citycard.core.dialogue.read import blocked_or
from citycard.core.refusal import Refusal

ED, EP = 1, 2
LIMIT_INIT_SIZE: Final = 19
REFUSALS: Final[dict[int, Refusal]] = {
    SW.INSUFFICIENT_BALANCE: Refusal.INSUFFICIENT_BALANCE,
    SW.MAC_ERROR: Refusal.OFFICE_REFUSED,
    SW.WRONG_DATA: Refusal.PURSE_CAP,
}


@dataclass(frozen=True, slots=True)
class Unloaded:
    """The card gave money back: its MAC3, and the host's moment (7 BCD bytes) which it covers."""

    opened: LoadOpened
    mac3: bytes
    moment: bytes


@dataclass(frozen=True, slots=True)
class LimitOpened:
    """The card's answer to INIT of a limit change; the balance includes the old limit; `raw` is all of it."""

    balance_fen: int
    counter: int
    limit_fen: int
    key_version: int
    algorithm: int
    rand: bytes
    mac1: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class LimitChanged:
    """The card has its new limit: its TAC, and the host's moment which it covers."""

    opened: LimitOpened
    limit_fen: int
    tac: bytes
    moment: bytes


def open_unload(
    amount_fen: int, terminal: bytes, purse: int = EP, key_index: int = 1
) -> Dialogue[LoadOpened | Refused]:
    """INIT UNLOAD. Refused: INSUFFICIENT_BALANCE, CARD_BLOCKED, CARD_FAULT."""
    data = bytes((key_index,)) + amount_fen.to_bytes(4, "big") + terminal
    command = Command(0x80, 0x50, 0x05, purse, data, INIT_SIZE).encode()
    response = yield from ask(CARD, "INIT UNLOAD", command)
    if not response.ok:
        return _refused(response.sw, "INIT UNLOAD")
    raw = sized(response, INIT_SIZE, CARD, "INIT UNLOAD")
    return LoadOpened(
        int.from_bytes(raw[0:4], "big"), raw[4] << 8 | raw[5], raw[6], raw[7], raw[8:12], raw[12:16], raw
    )


def close_unload(opened: LoadOpened, offer: bytes) -> Dialogue[Unloaded | Refused | Unproven]:
    """DEBIT FOR UNLOAD with the host's offer (date 4, time 3, MAC2 4 bytes); `Unproven`: it may be done."""
    done = yield from _complete("DEBIT FOR UNLOAD", Command(0x80, 0x54, 0x03, 0x00, offer, 4))
    return Unloaded(opened, done, offer[:7]) if isinstance(done, bytes) else done


def unload(
    amount_fen: int,
    terminal: bytes,
    purse: int = EP,
    remember: Callable[[LoadOpened, bytes], None] = lambda opened, offer: None,
) -> Dialogue[Unloaded | Refused | Unproven]:
    """The whole unload; the party `host` is sent the card's 16 bytes, answers its 11 or none to refuse."""
    opened = yield from open_unload(amount_fen, terminal, purse)
    if isinstance(opened, Refused):
        return opened
    offer = yield from _offer("UNLOAD", opened.raw)
    if isinstance(offer, Refused):
        return offer
    remember(opened, offer)
    return (yield from close_unload(opened, offer))


def open_limit(terminal: bytes, purse: int = EP, key_index: int = 1) -> Dialogue[LimitOpened | Refused]:
    """INIT of a change of the overdraft limit. Refused: CARD_BLOCKED, CARD_FAULT."""
    command = Command(0x80, 0x50, 0x04, purse, bytes((key_index,)) + terminal, LIMIT_INIT_SIZE).encode()
    response = yield from ask(CARD, "INIT LIMIT", command)
    if not response.ok:
        return _refused(response.sw, "INIT LIMIT")
    raw = sized(response, LIMIT_INIT_SIZE, CARD, "INIT LIMIT")
    balance_fen, limit_fen = int.from_bytes(raw[0:4], "big"), int.from_bytes(raw[6:9], "big")
    counter = raw[4] << 8 | raw[5]
    return LimitOpened(balance_fen, counter, limit_fen, raw[9], raw[10], raw[11:15], raw[15:19], raw)


def change_limit(
    limit_fen: int,
    terminal: bytes,
    purse: int = EP,
    remember: Callable[[LimitOpened, bytes], None] = lambda opened, offer: None,
) -> Dialogue[LimitChanged | Refused | Unproven]:
    """A new overdraft limit; `host` is sent the card's 19 bytes and the limit (3), answers 11 or none.

    Refused: INSUFFICIENT_BALANCE (more is owed than the new limit allows), PURSE_CAP, OFFICE_REFUSED,
    CARD_BLOCKED, CARD_FAULT. `Unproven`: it may be set.
    """
    opened = yield from open_limit(terminal, purse)
    if isinstance(opened, Refused):
        return opened
    limit = limit_fen.to_bytes(3, "big")
    offer = yield from _offer("LIMIT", opened.raw + limit)
    if isinstance(offer, Refused):
        return offer
    remember(opened, offer)
    done = yield from _complete("UPDATE OVERDRAW LIMIT", Command(0x80, 0x58, 0x00, 0x00, limit + offer, 4))
    return LimitChanged(opened, limit_fen, done, offer[:7]) if isinstance(done, bytes) else done


def _offer(name: str, asked: bytes) -> Dialogue[bytes | Refused]:
    offer = yield Exchange(HOST, asked)
    if not offer:
        return Refused(Refusal.OFFICE_REFUSED, HOST, name)
    if len(offer) != OFFER_SIZE:
        raise DialogueError(HOST, name, offer, f"an offer of {OFFER_SIZE} bytes")
    return offer


def _complete(name: str, command: Command) -> Dialogue[bytes | Refused | Unproven]:
    """The completing command: the card's 4 bytes, a refusal (nothing was done), or neither known."""
    response = yield from ask(CARD, name, command.encode())
    if response.sw in NOT_DEBITED:
        return _refused(response.sw, name)
    if not response.ok:
        return Unproven(Refused(Refusal.CARD_FAULT, CARD, name, response.sw))
    return sized(response, 4, CARD, name)


def _refused(sw: int, name: str) -> Refused:
    return blocked_or(REFUSALS.get(sw, Refusal.CARD_FAULT), Answer(b"", sw), name)
