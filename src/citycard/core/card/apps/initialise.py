# SPDX-License-Identifier: Apache-2.0
"""INITIALIZE of every kind of purse transaction: it opens one in volatile memory (card facts 1.3, 1.4).

The card draws a number, tells balance and counter, and for what a host must allow proves itself by MAC1.
"""

from __future__ import annotations

import struct
from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.card.access import allowed, current_algorithm
from citycard.core.card.body import ED, EP, SECOND, Body, read_body
from citycard.core.card.files import File
from citycard.core.card.keyfile import TWIN, Key, KeyType, tac_key
from citycard.core.card.state import Answer, Chip, Entry, Pending, Traits
from citycard.core.crypto import SM4_SUITE
from citycard.core.purse import ATC_MAX, Txn, load_mac1, load_variable, overdraft_mac1, u24, u32

STARTED: Final = struct.Struct(">BI6s")  # key index, amount, terminal
TICKET: Final = 0x10  # bit of P1 that means the second ticket
LOAD, PURCHASE, CASH, COMPOSITE, OVERDRAFT, UNLOAD = range(6)  # P1 of INITIALIZE
KEYS: Final = {
    LOAD: KeyType.LOAD,
    PURCHASE: KeyType.PURCHASE,
    CASH: KeyType.PURCHASE,
    COMPOSITE: KeyType.PURCHASE,
    OVERDRAFT: KeyType.OVERDRAFT,
    UNLOAD: KeyType.UNLOAD,
}
TXNS: Final = {
    (LOAD, ED): Txn.ED_LOAD,
    (PURCHASE, ED): Txn.ED_PURCHASE,
    (CASH, ED): Txn.CASH,
    (COMPOSITE, EP): Txn.COMPOSITE,
    (OVERDRAFT, ED): Txn.OVERDRAFT,
    (UNLOAD, ED): Txn.UNLOAD,
    (LOAD, EP): Txn.EP_LOAD,
    (PURCHASE, EP): Txn.EP_PURCHASE,
    (OVERDRAFT, EP): Txn.OVERDRAFT,
    (UNLOAD, EP): Txn.UNLOAD,
}


def purse_meant(chip: Chip, sfi: int) -> File | SW:
    """The purse with this SFI; 6985 where there is none at all, 6A86 where there is another."""
    purses = chip.session.directory.purses
    purse = purses.get(sfi)
    if purse is None:
        return SW.WRONG_P1P2 if purses else SW.CONDITIONS_OF_USE
    return purse


def initialise_load(chip: Chip, command: Command) -> Answer:
    """INITIALIZE FOR LOAD: bal4, online ATC2, key version1, algorithm1, rand4, MAC1.

    9403 no such key, 6982 use not allowed, 9402 counter at its end, 6A80 the load would exceed the cap.
    """
    opened = _open(chip, command)
    if isinstance(opened, SW):
        return opened
    pending, body = opened
    if body.online >= ATC_MAX:
        return SW.COUNTER_AT_MAX
    if body.balance_fen + pending.amount_fen > body.cap_fen:
        return SW.WRONG_DATA
    return _begun_online(chip, pending, body)


def initialise_unload(chip: Chip, command: Command) -> Answer:
    """INITIALIZE FOR UNLOAD (圈提), answered as for load; 9401 when more than the holder owns is asked."""
    opened = _open(chip, command)
    if isinstance(opened, SW):
        return opened
    pending, body = opened
    if body.online >= ATC_MAX:
        return SW.COUNTER_AT_MAX
    if pending.amount_fen > body.balance_fen:
        return SW.INSUFFICIENT_BALANCE
    return _begun_online(chip, pending, body)


def _begun_online(chip: Chip, pending: Pending, body: Body) -> bytes:
    mac1 = load_mac1(body.available_fen, pending.amount_fen, pending.txn, pending.terminal)
    key = pending.key
    pending.session_key = key.suite.session_key(key.value, load_variable(pending.rand, body.online))
    chip.session.pending = pending
    head = u32(body.available_fen) + body.online.to_bytes(2, "big") + bytes((key.third, key.fourth))
    return head + pending.rand + key.suite.session_mac(pending.session_key, mac1)


def initialise_overdraft(chip: Chip, command: Command) -> Answer:
    """INITIALIZE FOR UPDATE of the limit: bal4, online ATC2, limit3, version1, algorithm1, rand4, MAC1."""
    opened = _open(chip, command)
    if isinstance(opened, SW):
        return opened
    pending, body = opened
    if body.online >= ATC_MAX:
        return SW.COUNTER_AT_MAX
    key = pending.key
    pending.session_key = key.suite.session_key(key.value, load_variable(pending.rand, body.online))
    chip.session.pending = pending
    message = overdraft_mac1(body.available_fen, body.overdraft_fen, pending.terminal)
    head = u32(body.available_fen) + body.online.to_bytes(2, "big") + u24(body.overdraft_fen)
    mac1 = key.suite.session_mac(pending.session_key, message)
    return head + bytes((key.third, key.fourth)) + pending.rand + mac1


def initialise_purchase(chip: Chip, command: Command) -> Answer:
    """INITIALIZE FOR PURCHASE: bal4, offline ATC2, overdraft3, key version1, algorithm1, rand4.

    For cash (取现) and composite purchase (复合消费) too; the latter opens the CAPP cache.
    9403 no such key, 6982 use not allowed, 9402 counter at its end, 9401 too little money.
    """
    opened = _open(chip, command)
    if isinstance(opened, SW):
        return opened
    pending, body = opened
    if body.offline >= ATC_MAX:
        return SW.COUNTER_AT_MAX
    if pending.amount_fen > body.available_fen:
        return SW.INSUFFICIENT_BALANCE
    chip.session.pending = pending
    head = u32(body.available_fen) + body.offline.to_bytes(2, "big") + u24(body.overdraft_fen)
    return head + bytes((pending.key.third, pending.key.fourth)) + pending.rand


def _open(chip: Chip, command: Command) -> tuple[Pending, Body] | SW:
    """What every INITIALIZE begins with: a purse, a key of the wanted type and index, its TAC key."""
    directory = chip.session.directory
    kind = command.p1 & 0x0F
    purse = purse_meant(chip, SECOND if command.p1 & TICKET else command.p2)
    if isinstance(purse, SW):
        return purse
    data = command.data
    if kind == OVERDRAFT:
        data = data[:1] + bytes(4) + data[1:]
    index, amount_fen, terminal = STARTED.unpack(data)
    key = _purse_key(chip, KEYS[kind], index)
    if key is None:
        return SW.KEY_INDEX_NOT_FOUND
    tac = key if kind == UNLOAD else tac_key(directory, key.fourth)  # unload has no TAC
    if tac is None:
        return SW.KEY_NOT_FOUND
    session = chip.session
    if not (allowed(purse.read, session) and allowed(key.use, session) and allowed(tac.use, session)):
        return SW.SECURITY_STATUS
    txn = TXNS[kind, command.p2]
    return Pending(txn, purse, amount_fen, terminal, chip.random(4), key, tac), read_body(chip.memory, purse)


def _purse_key(chip: Chip, type_: int, index: int) -> Key | None:
    """The key of a type and index; while SM4 is chosen on a dual-algorithm card, its twin if it has one."""
    keys = chip.session.directory.keys
    if chip.traits & Traits.DUAL_ALGORITHM and current_algorithm(chip) == SM4_SUITE.id:
        return keys.get((type_, index | TWIN)) or keys.get((type_, index))
    return keys.get((type_, index))


_OF_KIND: Final = {
    LOAD: Entry(initialise_load, lc=11, le=16),
    PURCHASE: Entry(initialise_purchase, lc=11, le=15),
    CASH: Entry(initialise_purchase, lc=11, le=15),
    COMPOSITE: Entry(initialise_purchase, lc=11, le=15),
    OVERDRAFT: Entry(initialise_overdraft, lc=7, le=19),
    UNLOAD: Entry(initialise_unload, lc=11, le=16),
}
_SECOND: Final = {(TICKET | kind) << 8 | EP: _OF_KIND[kind] for kind, purse in TXNS if purse == EP}
COMMANDS: Final[dict[int, Entry]] = {kind << 8 | purse: _OF_KIND[kind] for kind, purse in TXNS} | _SECOND
REQUIRES: Final[dict[int, int]] = {
    OVERDRAFT << 8 | EP: Traits.EP_CREDIT,
    UNLOAD << 8 | EP: Traits.EP_CREDIT,
    **dict.fromkeys(_SECOND, Traits.TWO_TICKETS),
}
"""By P1 and P2: the commands of 8050, and which of them only some cards know."""
