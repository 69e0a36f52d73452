# SPDX-License-Identifier: Apache-2.0
"""The electronic purse: load, purchase, composite purchase, balance and proof (card facts 1.3, 1.4).

INITIALIZE opens a transaction in volatile memory; DEBIT or CREDIT, coming next, commits balance, counter,
log, staged records and proof in one journalled change. Whatever else comes in between ends it.
Amounts are fen; the balance stays within 0 and the cap.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from citycard.core.apdu import SW, Command
from citycard.core.card.access import allowed
from citycard.core.card.apps.filing import put_record, record_misfit, record_named
from citycard.core.card.atomic import Change, Memory
from citycard.core.card.files import STAGEABLE, File, append_record
from citycard.core.card.keyfile import Key, KeyType, load_key, tac_key
from citycard.core.card.state import Answer, Chip, Entry, Pending, Staged, Table
from citycard.core.crypto import MAC_SIZE, same
from citycard.core.purse import (
    ATC_MAX,
    LOADS,
    PURCHASES,
    Txn,
    load_mac1,
    load_mac2,
    load_tac,
    load_variable,
    purchase_mac1,
    purchase_mac2,
    purchase_tac,
    purchase_variable,
    u32,
)

STAGED_MAX: Final = 4  # T-Union stages two; the journal has room for four of any size
BODY: Final = struct.Struct(">IHHIIBxH4s4s4x")
STARTED: Final = struct.Struct(">BI6s")  # key index, amount, terminal
NO_MAC: Final = bytes(MAC_SIZE)


class Body(NamedTuple):
    """The purse as it lies in its file: money, counters, and the proof of the last transaction."""

    balance_fen: int
    online: int  # counter of loads (联机交易序号): the serial the next one will have
    offline: int  # counter of purchases (脱机交易序号)
    cap_fen: int
    overdraft_fen: int  # overdraft limit; 0 until overdraft is granted
    proof_txn: int  # type of the last transaction, 0 before the first
    proof_serial: int  # its counter plus one, as GET TRANSACTION PROVE asks for it
    proof_mac: bytes
    proof_tac: bytes


def read_body(memory: Memory, purse: File) -> Body:
    """The purse's body from the cells."""
    return Body._make(memory.unpack(BODY, purse.body))


# INITIALIZE


def initialise_load(chip: Chip, command: Command) -> Answer:
    """INITIALIZE FOR LOAD: bal4, online ATC2, key version1, algorithm1, rand4, MAC1.

    9403 no such key, 6982 use not allowed, 9402 counter at its end, 6A80 the load would exceed the cap.
    """
    opened = _open(chip, command, KeyType.LOAD, Txn.EP_LOAD)
    if isinstance(opened, SW):
        return opened
    pending, body = opened
    if body.online >= ATC_MAX:
        return SW.COUNTER_AT_MAX
    if body.balance_fen + pending.amount_fen > body.cap_fen:
        return SW.WRONG_DATA
    key = pending.key
    pending.session_key = key.suite.session_key(key.value, load_variable(pending.rand, body.online))
    message = load_mac1(body.balance_fen, pending.amount_fen, pending.txn, pending.terminal)
    mac1 = key.suite.session_mac(pending.session_key, message)
    chip.session.pending = pending
    head = u32(body.balance_fen) + body.online.to_bytes(2, "big")
    return head + bytes((key.third, key.fourth)) + pending.rand + mac1


def initialise_purchase(chip: Chip, command: Command) -> Answer:
    """INITIALIZE FOR PURCHASE: bal4, offline ATC2, overdraft3, key version1, algorithm1, rand4.

    9403 no such key, 6982 use not allowed, 9402 counter at its end, 9401 too little money.
    """
    return _initialise_debit(chip, command, Txn.EP_PURCHASE)


def initialise_composite(chip: Chip, command: Command) -> Answer:
    """INITIALIZE FOR CAPP PURCHASE (复合消费): as purchase, and opens the CAPP cache."""
    return _initialise_debit(chip, command, Txn.COMPOSITE)


def _initialise_debit(chip: Chip, command: Command, txn: int) -> Answer:
    opened = _open(chip, command, KeyType.PURCHASE, txn)
    if isinstance(opened, SW):
        return opened
    pending, body = opened
    if body.offline >= ATC_MAX:
        return SW.COUNTER_AT_MAX
    if pending.amount_fen > body.balance_fen:
        return SW.INSUFFICIENT_BALANCE
    chip.session.pending = pending
    head = u32(body.balance_fen) + body.offline.to_bytes(2, "big") + body.overdraft_fen.to_bytes(3, "big")
    return head + bytes((pending.key.third, pending.key.fourth)) + pending.rand


def _open(chip: Chip, command: Command, type_: int, txn: int) -> tuple[Pending, Body] | SW:
    """What every INITIALIZE begins with: a purse, a key of the wanted type and index, its TAC key."""
    directory = chip.session.directory
    if directory.purse is None:
        return SW.CONDITIONS_OF_USE
    index, amount_fen, terminal = STARTED.unpack(command.data)
    key = load_key(chip.memory, directory, type_, index)
    if key is None:
        return SW.KEY_INDEX_NOT_FOUND
    tac = tac_key(chip.memory, directory, key.fourth)
    if tac is None:
        return SW.KEY_NOT_FOUND
    if not _usable(chip, key, tac):
        return SW.SECURITY_STATUS
    pending = Pending(txn, amount_fen, terminal, chip.random(4), key, tac)
    return pending, read_body(chip.memory, directory.purse)


def _usable(chip: Chip, *keys: Key) -> bool:
    return all(allowed(key.use, chip.session) for key in keys)


# What follows INITIALIZE


def update_capp_cache(chip: Chip, command: Command) -> Answer:
    """UPDATE CAPP DATA CACHE: hold a record until DEBIT writes it together with the balance."""
    pending = chip.session.pending
    if pending is None or pending.txn != Txn.COMPOSITE:
        return SW.CONDITIONS_OF_USE
    found = record_named(chip, command.p1, command.p2, appending=True)
    if isinstance(found, SW):
        return found
    file, number = found
    if not file.options & STAGEABLE:
        return SW.SECURITY_STATUS
    misfit = record_misfit(chip, file, number, command.data)
    if misfit is not None:
        return misfit
    if len(pending.staged) >= STAGED_MAX:
        return SW.NO_SPACE
    pending.staged.append(Staged(file, number, command.data))
    return b""


def credit(chip: Chip, command: Command) -> Answer:
    """CREDIT FOR LOAD: checks MAC2 (9302), adds the amount, answers the TAC."""
    pending, purse = chip.session.pending, chip.session.directory.purse
    if pending is None or purse is None or pending.txn not in LOADS:
        return SW.CONDITIONS_OF_USE
    moment, mac2 = command.data[:7], command.data[7:]
    key, amount_fen, terminal = pending.key, pending.amount_fen, pending.terminal
    expected = load_mac2(amount_fen, pending.txn, terminal, moment)
    if not same(key.suite.session_mac(pending.session_key, expected), mac2):
        return SW.MAC_ERROR
    body = read_body(chip.memory, purse)
    balance_fen = body.balance_fen + amount_fen
    covered = load_tac(balance_fen, body.online, amount_fen, pending.txn, terminal, moment)
    tac = pending.tac.suite.tac(pending.tac.value, covered)
    after = body._replace(
        balance_fen=balance_fen,
        online=body.online + 1,
        proof_txn=pending.txn,
        proof_serial=body.online + 1,
        proof_mac=NO_MAC,
        proof_tac=tac,
    )
    _commit(chip, purse, pending, after, log_record(body.online, body, pending, moment))
    return tac


def debit(chip: Chip, command: Command) -> Answer:
    """DEBIT FOR PURCHASE, plain or composite: checks MAC1 (9302), takes the amount, answers TAC and MAC2."""
    pending, purse = chip.session.pending, chip.session.directory.purse
    if pending is None or purse is None or pending.txn not in PURCHASES:
        return SW.CONDITIONS_OF_USE
    terminal_txn = int.from_bytes(command.data[:4], "big")
    moment, mac1 = command.data[4:11], command.data[11:]
    suite, amount_fen, terminal = pending.key.suite, pending.amount_fen, pending.terminal
    body = read_body(chip.memory, purse)
    variable = purchase_variable(pending.rand, body.offline, terminal_txn)
    session_key = suite.session_key(pending.key.value, variable)
    expected = purchase_mac1(amount_fen, pending.txn, terminal, moment)
    if not same(suite.session_mac(session_key, expected), mac1):
        return SW.MAC_ERROR
    mac2 = suite.session_mac(session_key, purchase_mac2(amount_fen))
    covered = purchase_tac(amount_fen, pending.txn, terminal, terminal_txn, moment)
    tac = pending.tac.suite.tac(pending.tac.value, covered)
    after = body._replace(
        balance_fen=body.balance_fen - amount_fen,
        offline=body.offline + 1,
        proof_txn=pending.txn,
        proof_serial=body.offline + 1,
        proof_mac=mac2,
        proof_tac=tac,
    )
    _commit(chip, purse, pending, after, log_record(body.offline, body, pending, moment))
    return tac + mac2


def log_record(counter: int, body: Body, pending: Pending, moment: bytes) -> bytes:
    """The 23 bytes of the transaction log (facts 1.6).

    Its serial is the counter before the increment, as the manual says; a real card was seen to log one more
    (facts 10.3), which would be decided here.
    """
    return (
        counter.to_bytes(2, "big") + body.overdraft_fen.to_bytes(3, "big") + u32(pending.amount_fen)
        + bytes((pending.txn,)) + pending.terminal + moment
    )  # fmt: skip


def _commit(chip: Chip, purse: File, pending: Pending, after: Body, log: bytes) -> None:
    """All of a transaction in one change; the transaction is over."""
    assert 0 <= after.balance_fen <= after.cap_fen
    chip.session.pending = None
    change = Change(chip.memory)
    for staged in pending.staged:
        put_record(change, staged.file, staged.number, staged.data)
    append_record(change, chip.session.directory.files[purse.log_sfi], log)
    change.write(purse.body, BODY.pack(*after))
    chip.journal.commit(change)


# Asking


def get_balance(chip: Chip, command: Command) -> Answer:
    """GET BALANCE. P1 00: available with overdraft, 01: overdraft limit, 02: overdrawn, 03: actual, 04: cap.

    T-Union's numbering; the index of the cap is from one source (facts 10.7).
    """
    purse = chip.session.directory.purse
    if purse is None:
        return SW.CONDITIONS_OF_USE
    body = read_body(chip.memory, purse)
    balance_fen, overdraft_fen = body.balance_fen, body.overdraft_fen
    return u32((balance_fen + overdraft_fen, overdraft_fen, 0, balance_fen, body.cap_fen)[command.p1])


def get_transaction_prove(chip: Chip, command: Command) -> Answer:
    """GET TRANSACTION PROVE: MAC2 and TAC of the last transaction when type P2 and serial fit, else 9406.

    The serial is the counter INITIALIZE returned, plus one. A load has no MAC2 of the card: four times 00.
    """
    purse = chip.session.directory.purse
    if command.p1:
        return SW.WRONG_P1P2
    if purse is None:
        return SW.CONDITIONS_OF_USE
    body = read_body(chip.memory, purse)
    asked = command.p2, int.from_bytes(command.data, "big")
    if body.proof_txn == 0 or asked != (body.proof_txn, body.proof_serial):
        return SW.MAC_NOT_AVAILABLE
    return body.proof_mac + body.proof_tac


_BALANCE = Entry(get_balance, lc=0, le=4, blocked=True)

COMMANDS: Final[Table] = {
    0x8050: {
        0x0002: Entry(initialise_load, lc=11, le=16),
        0x0102: Entry(initialise_purchase, lc=11, le=15),
        0x0302: Entry(initialise_composite, lc=11, le=15),
    },
    0x8052: {0x0000: Entry(credit, lc=11, le=4, continues=True)},
    0x8054: {0x0100: Entry(debit, lc=15, le=8, continues=True)},
    0x80DC: Entry(update_capp_cache, continues=True),
    0x805C: {p1 << 8 | 0x02: _BALANCE for p1 in range(5)},
    0x805A: Entry(get_transaction_prove, lc=2, le=8, blocked=True),
}
