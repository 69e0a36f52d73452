# SPDX-License-Identifier: Apache-2.0
"""Electronic deposit (ED) and purse (EP): what completes a transaction, and what asks about it.

`initialise` opens a transaction; CREDIT, DEBIT or UPDATE OVERDRAW LIMIT, coming next, commits balance,
counter, log, staged records and proof in one journalled change. Whatever else comes in between ends it.
Source: card facts 1.3, 1.4, 1.6.
"""

from __future__ import annotations

from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.card.access import NEVER, allowed
from citycard.core.card.apps import initialise
from citycard.core.card.apps.filing import put_record, record_misfit, record_named
from citycard.core.card.apps.initialise import TICKET, purse_meant
from citycard.core.card.atomic import Change
from citycard.core.card.body import BODY, ED, EP, NO_CAP, NO_LOAD_LOG, SECOND, Body, read_body
from citycard.core.card.files import Kind, append_record
from citycard.core.card.keyfile import Key
from citycard.core.card.state import Answer, Chip, Entry, Pending, Table, Traits
from citycard.core.crypto import same
from citycard.core.purse import (
    BALANCE_MAX,
    Txn,
    load_mac2,
    load_tac,
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
SECOND_BALANCE: Final = 6  # P1 of GET BALANCE from which on the second ticket is meant
CREDITS: Final = frozenset({Txn.ED_LOAD, Txn.EP_LOAD})
DEBITS: Final = frozenset({Txn.ED_PURCHASE, Txn.EP_PURCHASE, Txn.CASH, Txn.COMPOSITE})
UNLOADS: Final = frozenset({Txn.UNLOAD})
OVERDRAFTS: Final = frozenset({Txn.OVERDRAFT})


def update_capp_cache(chip: Chip, command: Command) -> Answer:
    """UPDATE CAPP DATA CACHE: hold a record until DEBIT writes it together with the balance."""
    pending = chip.session.pending
    if pending is None or pending.txn != Txn.COMPOSITE:
        return SW.CONDITIONS_OF_USE
    found = record_named(chip, command.p1, command.p2, appending=True)
    if isinstance(found, SW):
        return found
    if found.file.write == NEVER:
        return SW.SECURITY_STATUS
    misfit = record_misfit(chip, found, command.data)
    if misfit is not None:
        return misfit
    if len(pending.staged) >= STAGED_MAX:
        return SW.NO_SPACE
    pending.staged.append((found, command.data))
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
    balance_fen = body.balance_fen + pending.amount_fen
    covered = _receipt(body, balance_fen, pending, moment)
    tac = pending.tac.suite.tac(pending.tac.value, covered)
    _commit(chip, pending, body.after_online(pending.txn, balance_fen, body.overdraft_fen, tac=tac), moment)
    return tac


def _receipt(body: Body, balance_fen: int, pending: Pending, moment: bytes) -> bytes:
    """What TAC or MAC3 covers: the available balance after it, and the counter before it."""
    available_fen = balance_fen + body.overdraft_fen
    return load_tac(available_fen, body.online, pending.amount_fen, pending.txn, pending.terminal, moment)


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
    balance_fen = body.balance_fen - pending.amount_fen
    mac3 = suite.session_mac(pending.session_key, _receipt(body, balance_fen, pending, moment))
    _commit(chip, pending, body.after_online(pending.txn, balance_fen, body.overdraft_fen, mac=mac3), moment)
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
    if body.cap_fen != NO_CAP and body.cap_fen + limit_fen > BALANCE_MAX:
        return SW.WRONG_DATA
    available_fen = body.balance_fen + limit_fen
    covered = overdraft_tac(available_fen, body.online, limit_fen, pending.terminal, moment)
    tac = overdraft_tac_of(chip, pending.tac, covered)
    _commit(chip, pending, body.after_online(pending.txn, body.balance_fen, limit_fen, tac=tac), moment)
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
    balance_fen = body.balance_fen - amount_fen
    _commit(chip, pending, body.after_offline(pending.txn, balance_fen, mac2, tac), moment)
    return tac + mac2


def log_record(chip: Chip, pending: Pending, after: Body, moment: bytes) -> bytes:
    """The 23 bytes of the transaction log (facts 1.6).

    Its serial is the counter before the increment, as the manual says; a real card was seen to log one more
    (facts 10.3): a trait. A change of the overdraft limit is logged with the new limit and no amount.
    """
    serial = after.proof_serial - (0 if chip.traits & Traits.LOG_SERIAL_AFTER else 1)
    head = serial.to_bytes(2, "big") + u24(after.overdraft_fen) + u32(pending.amount_fen)
    return head + bytes((pending.txn,)) + pending.terminal + moment


def _log_sfi(pending: Pending) -> int:
    """The file that logs a transaction: loads may have one of their own (MOHURD's 1A, facts 4.1)."""
    purse = pending.purse
    return purse.log_sfi if purse.sm == NO_LOAD_LOG or pending.txn not in CREDITS else purse.sm


def _commit(chip: Chip, pending: Pending, after: Body, moment: bytes) -> None:
    """All of a transaction in one change; the transaction is over."""
    assert -after.overdraft_fen <= after.balance_fen <= after.cap_fen
    chip.session.pending = None
    change = Change(chip.memory)
    for found, data in pending.staged:
        put_record(change, found, data)
    log = chip.session.directory.files.get(_log_sfi(pending))
    if log is not None and log.kind == Kind.CYCLIC:
        entry = log_record(chip, pending, after, moment)
        fitted = entry if len(entry) == log.length else entry.ljust(log.length, b"\x00")[: log.length]
        append_record(change, log, fitted)
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


_BALANCE = Entry(get_balance, lc=0, le=4, blocked=True)
_CREDIT, _DEBIT = Entry(credit, lc=11, le=4, continues=True), Entry(debit, lc=15, le=8, continues=True)
_UNLOAD = Entry(unload, lc=11, le=4, continues=True)
_OVERDRAFT = Entry(update_overdraft, lc=14, le=4, continues=True)

COMMANDS: Final[Table] = {
    0x8050: {**initialise.COMMANDS},
    0x8052: {0x0000: _CREDIT, 0x0002: _CREDIT},
    0x8054: {0x0100: _DEBIT, 0x1100: _DEBIT, 0x0300: _UNLOAD, 0x1300: _UNLOAD},
    0x8058: {0x0000: _OVERDRAFT, 0x0002: _OVERDRAFT},
    0x80DC: Entry(update_capp_cache, continues=True),
    0x805C: {p1 << 8 | purse: _BALANCE for p1 in range(5) for purse in (ED, EP)}
    | {p1 << 8 | EP: _BALANCE for p1 in range(SECOND_BALANCE, SECOND_BALANCE + 5)},
    0x805A: Entry(get_transaction_prove, lc=2, le=8, blocked=True),
}
# Which of them only some cards know (facts 1.3, 1.4).
REQUIRES: Final[dict[int, dict[int, int]]] = {
    0x8050: initialise.REQUIRES,
    0x8052: {0x0002: Traits.TWO_TICKETS},
    0x8054: {0x1100: Traits.TWO_TICKETS, 0x1300: Traits.TWO_TICKETS},
    0x8058: {0x0002: Traits.TWO_TICKETS},
    0x805C: {p1 << 8 | purse: Traits.BALANCES for p1 in range(1, 5) for purse in (ED, EP)}
    | {p1 << 8 | EP: Traits.TWO_TICKETS for p1 in range(SECOND_BALANCE, SECOND_BALANCE + 5)},
}
