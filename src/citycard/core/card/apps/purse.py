# SPDX-License-Identifier: Apache-2.0
"""Electronic deposit (ED) and purse (EP): INITIALIZE, then the command that completes it.

INITIALIZE opens a transaction in volatile memory; CREDIT, DEBIT or UPDATE OVERDRAW LIMIT, coming next,
commits balance, counter, log, staged records and proof in one journalled change. Whatever else comes in
between ends it.

Sources: card facts 1.3, 1.4. Amounts are fen. `Body.balance_fen` is what the holder owns, less than nothing
when overdrawn; commands tell the available balance, which is that and the overdraft limit. It stays within
0 and cap plus limit.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from citycard.core.apdu import SW, Command
from citycard.core.card.access import NEVER, allowed, current_algorithm
from citycard.core.card.apps.filing import put_record, record_misfit, record_named
from citycard.core.card.atomic import Change, Memory
from citycard.core.card.files import File, Kind, append_record
from citycard.core.card.keyfile import TWIN, Key, KeyType, tac_key
from citycard.core.card.state import Answer, Chip, Entry, Pending, Staged, Table, Traits
from citycard.core.crypto import MAC_SIZE, SM4_SUITE, same
from citycard.core.purse import (
    ATC_MAX,
    BALANCE_MAX,
    Txn,
    load_mac1,
    load_mac2,
    load_tac,
    load_variable,
    overdraft_mac1,
    overdraft_mac2,
    overdraft_tac,
    purchase_mac1,
    purchase_mac2,
    purchase_tac,
    purchase_variable,
    u24,
    u32,
)

STAGED_MAX: Final = 4  # T-Union stages two; the journal has room for four of any size
BODY: Final = struct.Struct(">iHHIIBxH4s4s4x")
STARTED: Final = struct.Struct(">BI6s")  # key index, amount, terminal
NO_LOAD_LOG: Final = 0xFF  # in a purse's SM byte, which holds the SFI of its load log
NO_MAC: Final = bytes(MAC_SIZE)
ED, EP, SECOND = 1, 2, 3  # SFIs of the purses
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
CREDITS: Final = frozenset({Txn.ED_LOAD, Txn.EP_LOAD})
DEBITS: Final = frozenset({Txn.ED_PURCHASE, Txn.EP_PURCHASE, Txn.CASH, Txn.COMPOSITE})


class Body(NamedTuple):
    """The purse as it lies in its file: money, counters, and the proof of the last transaction."""

    balance_fen: int  # owned; negative when overdrawn
    online: int  # counter of loads and their like (联机交易序号): the serial the next one will have
    offline: int  # counter of purchases (脱机交易序号)
    cap_fen: int
    overdraft_fen: int  # overdraft limit; 0 until overdraft is granted
    proof_txn: int  # type of the last transaction, 0 before the first
    proof_serial: int  # its counter plus one, as GET TRANSACTION PROVE asks for it
    proof_mac: bytes
    proof_tac: bytes

    @property
    def available_fen(self) -> int:
        """What can be spent: the balance that commands tell."""
        return self.balance_fen + self.overdraft_fen


def new_body(cap_fen: int) -> Body:
    """An empty purse with this cap."""
    return Body(0, 0, 0, cap_fen, 0, 0, 0, NO_MAC, NO_MAC)


def read_body(memory: Memory, purse: File) -> Body:
    """The purse's body from the cells."""
    return Body._make(memory.unpack(BODY, purse.body))


def purse_meant(chip: Chip, sfi: int) -> File | SW:
    """The purse with this SFI; 6985 where there is none at all, 6A86 where there is another."""
    purses = chip.session.directory.purses
    purse = purses.get(sfi)
    if purse is None:
        return SW.WRONG_P1P2 if purses else SW.CONDITIONS_OF_USE
    return purse


# INITIALIZE


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
    if file.write == NEVER:
        return SW.SECURITY_STATUS
    misfit = record_misfit(chip, file, number, command.data)
    if misfit is not None:
        return misfit
    if len(pending.staged) >= STAGED_MAX:
        return SW.NO_SPACE
    pending.staged.append(Staged(file, number, command.data))
    return b""


def _pending(chip: Chip, txns: frozenset[Txn], second: bool) -> Pending | None:
    """The transaction that a command completes, if it is one of these and of the ticket it means."""
    pending = chip.session.pending
    if pending is None or pending.txn not in txns or (pending.purse.sfi == SECOND) is not second:
        return None
    return pending


def credit(chip: Chip, command: Command) -> Answer:
    """CREDIT FOR LOAD: checks MAC2 (9302), adds the amount, answers the TAC."""
    pending = _pending(chip, CREDITS, command.p2 != 0)
    if pending is None:
        return SW.CONDITIONS_OF_USE
    moment, mac2 = command.data[:7], command.data[7:]
    expected = load_mac2(pending.amount_fen, pending.txn, pending.terminal, moment)
    if not same(pending.key.suite.session_mac(pending.session_key, expected), mac2):
        return SW.MAC_ERROR
    body = read_body(chip.memory, pending.purse)
    after = _counted(body, pending, online=True, balance_fen=body.balance_fen + pending.amount_fen)
    covered = load_tac(
        after.available_fen, body.online, pending.amount_fen, pending.txn, pending.terminal, moment
    )
    tac = pending.tac.suite.tac(pending.tac.value, covered)
    _commit(chip, pending, body, after._replace(proof_tac=tac), moment)
    return tac


def unload(chip: Chip, command: Command) -> Answer:
    """DEBIT FOR UNLOAD: checks MAC2 (9302), takes the amount, answers MAC3 under the same session key."""
    pending = _pending(chip, UNLOADS, command.p1 & TICKET != 0)
    if pending is None:
        return SW.CONDITIONS_OF_USE
    moment, mac2 = command.data[:7], command.data[7:]
    suite = pending.key.suite
    expected = load_mac2(pending.amount_fen, pending.txn, pending.terminal, moment)
    if not same(suite.session_mac(pending.session_key, expected), mac2):
        return SW.MAC_ERROR
    body = read_body(chip.memory, pending.purse)
    after = _counted(body, pending, online=True, balance_fen=body.balance_fen - pending.amount_fen)
    covered = load_tac(
        after.available_fen, body.online, pending.amount_fen, pending.txn, pending.terminal, moment
    )
    mac3 = suite.session_mac(pending.session_key, covered)
    _commit(chip, pending, body, after._replace(proof_mac=mac3), moment)
    return mac3


def update_overdraft(chip: Chip, command: Command) -> Answer:
    """UPDATE OVERDRAW LIMIT: checks MAC2 (9302), sets the limit, answers the TAC.

    9401 when the holder owes more than the new limit, 6A80 when cap and limit would exceed FFFFFF.
    """
    pending = _pending(chip, OVERDRAFTS, command.p2 != 0)
    if pending is None:
        return SW.CONDITIONS_OF_USE
    limit_fen = int.from_bytes(command.data[:3], "big")
    moment, mac2 = command.data[3:10], command.data[10:]
    expected = overdraft_mac2(limit_fen, pending.terminal, moment)
    if not same(pending.key.suite.session_mac(pending.session_key, expected), mac2):
        return SW.MAC_ERROR
    body = read_body(chip.memory, pending.purse)
    if body.balance_fen + limit_fen < 0:
        return SW.INSUFFICIENT_BALANCE
    if body.cap_fen + limit_fen > BALANCE_MAX:
        return SW.WRONG_DATA
    after = _counted(body, pending, online=True, overdraft_fen=limit_fen)
    covered = overdraft_tac(after.available_fen, body.online, limit_fen, pending.terminal, moment)
    tac = overdraft_tac_of(chip, pending.tac, covered)
    _commit(chip, pending, body, after._replace(proof_tac=tac), moment)
    return tac


def overdraft_tac_of(chip: Chip, key: Key, covered: bytes) -> bytes:
    """TAC of an overdraft change: as every other TAC, or under the whole key (facts 1.3 and 10.2)."""
    if chip.traits & Traits.WHOLE_OVERDRAFT_TAC:
        return key.suite.message_mac(key.value, covered, bytes(8))
    return key.suite.tac(key.value, covered)


def debit(chip: Chip, command: Command) -> Answer:
    """DEBIT, for purchase, cash and composite purchase: checks MAC1 (9302), gives TAC and MAC2."""
    pending = _pending(chip, DEBITS, command.p1 & TICKET != 0)
    if pending is None:
        return SW.CONDITIONS_OF_USE
    terminal_txn = int.from_bytes(command.data[:4], "big")
    moment, mac1 = command.data[4:11], command.data[11:]
    suite, amount_fen, terminal = pending.key.suite, pending.amount_fen, pending.terminal
    body = read_body(chip.memory, pending.purse)
    variable = purchase_variable(pending.rand, body.offline, terminal_txn)
    session_key = suite.session_key(pending.key.value, variable)
    expected = purchase_mac1(amount_fen, pending.txn, terminal, moment)
    if not same(suite.session_mac(session_key, expected), mac1):
        return SW.MAC_ERROR
    mac2 = suite.session_mac(session_key, purchase_mac2(amount_fen))
    covered = purchase_tac(amount_fen, pending.txn, terminal, terminal_txn, moment)
    tac = pending.tac.suite.tac(pending.tac.value, covered)
    after = _counted(body, pending, online=False, balance_fen=body.balance_fen - amount_fen)
    _commit(chip, pending, body, after._replace(proof_mac=mac2, proof_tac=tac), moment)
    return tac + mac2


UNLOADS: Final = frozenset({Txn.UNLOAD})
OVERDRAFTS: Final = frozenset({Txn.OVERDRAFT})


def _counted(body: Body, pending: Pending, online: bool, **changes: int) -> Body:
    """The purse after a transaction: its counter moved on, its proof begun."""
    counter = body.online if online else body.offline
    moved = {"online": counter + 1} if online else {"offline": counter + 1}
    return body._replace(
        **changes,
        **moved,
        proof_txn=pending.txn,
        proof_serial=counter + 1,
        proof_mac=NO_MAC,
        proof_tac=NO_MAC,
    )


def log_record(chip: Chip, pending: Pending, after: Body, moment: bytes) -> bytes:
    """The 23 bytes of the transaction log (facts 1.6).

    Its serial is the counter before the increment, as the manual says; a real card was seen to log one more
    (facts 10.3): a trait. A change of the overdraft limit is logged with the new limit and no amount.
    """
    serial = after.proof_serial - (0 if chip.traits & Traits.LOG_SERIAL_AFTER else 1)
    return (
        serial.to_bytes(2, "big") + u24(after.overdraft_fen) + u32(pending.amount_fen)
        + bytes((pending.txn,)) + pending.terminal + moment
    )  # fmt: skip


def _log_sfi(pending: Pending) -> int:
    """The file that logs a transaction: loads may have one of their own (MOHURD's 1A, facts 4.1)."""
    purse = pending.purse
    return purse.log_sfi if purse.sm == NO_LOAD_LOG or pending.txn not in CREDITS else purse.sm


def _commit(chip: Chip, pending: Pending, before: Body, after: Body, moment: bytes) -> None:
    """All of a transaction in one change; the transaction is over."""
    assert after.available_fen >= 0
    assert after.balance_fen <= max(before.balance_fen, after.cap_fen)
    chip.session.pending = None
    change = Change(chip.memory)
    for staged in pending.staged:
        put_record(change, staged.file, staged.number, staged.data)
    log = chip.session.directory.files.get(_log_sfi(pending))
    if log is not None and log.kind == Kind.CYCLIC:
        entry = log_record(chip, pending, after, moment)
        append_record(change, log, entry.ljust(log.length, b"\x00")[: log.length])
    change.write(pending.purse.body, BODY.pack(*after))
    chip.journal.commit(change)


# Asking


def get_balance(chip: Chip, command: Command) -> Answer:
    """GET BALANCE. P1 00: available with overdraft, 01: overdraft limit, 02: overdrawn, 03: owned, 04: cap.

    T-Union's numbering, 06 to 0A for the second ticket; PBOC cards know 00 alone. The index of the cap is
    from one source, as is the second ticket (facts 10.7).
    """
    what = command.p1
    purse = purse_meant(chip, command.p2 if what < SECOND_BALANCE else SECOND)
    if isinstance(purse, SW):
        return purse
    if not allowed(purse.read, chip.session):
        return SW.SECURITY_STATUS
    body = read_body(chip.memory, purse)
    owned, limit = body.balance_fen, body.overdraft_fen
    amounts = (body.available_fen, limit, max(0, -owned), max(0, owned), body.cap_fen)
    return u32(amounts[what % SECOND_BALANCE])


SECOND_BALANCE: Final = 6


def get_transaction_prove(chip: Chip, command: Command) -> Answer:
    """GET TRANSACTION PROVE: MAC and TAC of the last transaction when type P2 and serial fit, else 9406.

    The serial is the counter INITIALIZE returned, plus one. What a transaction does not have is 00: loads
    and overdraft changes a MAC of the card (purchases have MAC2, unloads MAC3), unloads a TAC.
    """
    purses = chip.session.directory.purses
    if command.p1:
        return SW.WRONG_P1P2
    if not purses:
        return SW.CONDITIONS_OF_USE
    asked = command.p2, int.from_bytes(command.data, "big")
    for purse in purses.values():
        body = read_body(chip.memory, purse)
        if body.proof_txn and asked == (body.proof_txn, body.proof_serial):
            return body.proof_mac + body.proof_tac
    return SW.MAC_NOT_AVAILABLE


_INITIALISE: Final = {
    LOAD: Entry(initialise_load, lc=11, le=16),
    PURCHASE: Entry(initialise_purchase, lc=11, le=15),
    CASH: Entry(initialise_purchase, lc=11, le=15),
    COMPOSITE: Entry(initialise_purchase, lc=11, le=15),
    OVERDRAFT: Entry(initialise_overdraft, lc=7, le=19),
    UNLOAD: Entry(initialise_unload, lc=11, le=16),
}
_BALANCE = Entry(get_balance, lc=0, le=4, blocked=True)
_CREDIT, _DEBIT = Entry(credit, lc=11, le=4, continues=True), Entry(debit, lc=15, le=8, continues=True)
_UNLOAD = Entry(unload, lc=11, le=4, continues=True)
_OVERDRAFT = Entry(update_overdraft, lc=14, le=4, continues=True)

COMMANDS: Final[Table] = {
    0x8050: {kind << 8 | purse: _INITIALISE[kind] for kind, purse in TXNS}
    | {(TICKET | kind) << 8 | EP: _INITIALISE[kind] for kind, purse in TXNS if purse == EP},
    0x8052: {0x0000: _CREDIT, 0x0002: _CREDIT},
    0x8054: {0x0100: _DEBIT, 0x1100: _DEBIT, 0x0300: _UNLOAD, 0x1300: _UNLOAD},
    0x8058: {0x0000: _OVERDRAFT, 0x0002: _OVERDRAFT},
    0x80DC: Entry(update_capp_cache, continues=True),
    0x805C: {p1 << 8 | purse: _BALANCE for p1 in (*range(5), *range(6, 11)) for purse in (ED, EP)},
    0x805A: Entry(get_transaction_prove, lc=2, le=8, blocked=True),
}
# Which of them only some cards know (facts 1.3, 1.4).
REQUIRES: Final[dict[int, dict[int, Traits]]] = {
    0x8050: {OVERDRAFT << 8 | EP: Traits.EP_CREDIT, UNLOAD << 8 | EP: Traits.EP_CREDIT}
    | {(TICKET | kind) << 8 | EP: Traits.TWO_TICKETS for kind in KEYS},
    0x8052: {0x0002: Traits.TWO_TICKETS},
    0x8054: {0x1100: Traits.TWO_TICKETS, 0x1300: Traits.TWO_TICKETS},
    0x8058: {0x0002: Traits.TWO_TICKETS},
    0x805C: {p1 << 8 | purse: Traits.BALANCES for p1 in range(1, 5) for purse in (ED, EP)}
    | {p1 << 8 | purse: Traits.TWO_TICKETS for p1 in range(6, 11) for purse in (ED, EP)},
}
