# SPDX-License-Identifier: Apache-2.0
"""The reader's side of a purse on an M1 card: issue, read, mend, debit, load, log.

There is no proof by the card, only keys that open sectors; the order of the writes (`core.storage.m1`) makes
a card torn away at any of them readable again: what was before, or what was going to be. `debit` and `load`
call `remember` right before the first write that changes money.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple

from citycard.core.apdu import Command
from citycard.core.calendar import bcd_datetime
from citycard.core.dialogue.exchange import CARD, Dialogue, Refused, ask
from citycard.core.dialogue.purchase import Unproven
from citycard.core.purse import Txn
from citycard.core.refusal import Refusal
from citycard.core.storage import access, m1
from citycard.core.storage.classic import (
    DECREMENT,
    INCREMENT,
    KEY_A,
    KEY_B,
    RESTORE,
    TRANSPORT_KEY,
    read_value,
    sector_of,
    trailer_of,
    value_block,
)
from citycard.core.storage.m1 import M1Keys, State

EPOCH: Final = datetime(2000, 1, 1)
SLOT: Final = 0  # the reader's place for the key in use


@dataclass(slots=True)
class Sectors:
    """A conversation with one card's sectors: opens each with the key asked for, once."""

    keys: M1Keys
    uid: bytes
    which: str = access.A
    party: str = CARD
    _open: int | None = field(default=None, repr=False)

    def read(self, block: int) -> Dialogue[bytes | Refused]:
        """One block."""
        refused = yield from self._enter(block)
        if refused:
            return refused
        response = yield from ask(self.party, f"READ {block}", bytes((0xFF, 0xB0, 0x00, block, 0x10)))
        if not response.ok or len(response.data) != 16:
            self._open = None
            return Refused(Refusal.UNREADABLE, self.party, f"READ {block}", response.sw)
        return response.data

    def write(self, block: int, data: bytes) -> Dialogue[Refused | None]:
        """One whole block."""
        return (yield from self._do(block, f"WRITE {block}", Command(0xFF, 0xD6, 0x00, block, data)))

    def value(self, block: int, operation: int, operand: int) -> Dialogue[Refused | None]:
        """Increment or decrement a value block, or restore (copy) it to the block `operand`."""
        data = (
            bytes((operation, operand))
            if operation == RESTORE
            else bytes((operation,)) + operand.to_bytes(4, "big")
        )
        return (yield from self._do(block, f"VALUE {block}", Command(0xFF, 0xD7, 0x00, block, data)))

    def _do(self, block: int, name: str, command: Command) -> Dialogue[Refused | None]:
        refused = yield from self._enter(block)
        if refused:
            return refused
        response = yield from ask(self.party, name, command.encode())
        if response.ok:
            return None
        self._open = None
        return Refused(Refusal.CARD_FAULT, self.party, name, response.sw)

    def _enter(self, block: int) -> Dialogue[Refused | None]:
        sector = sector_of(block)
        if self._open == sector:
            return None
        key = self.keys.sector_key(self.uid, sector, self.which)
        refused = yield from authenticate(self.party, block, key, self.which)
        self._open = None if refused else sector
        return refused


def authenticate(party: str, block: int, key: bytes, which: str) -> Dialogue[Refused | None]:
    """Give the reader a key and open a block's sector with it. Refused UNKNOWN_CARD: not its key."""
    response = yield from ask(party, "LOAD KEY", Command(0xFF, 0x82, 0x00, SLOT, key).encode())
    if response.ok:
        data = bytes((0x01, 0x00, block, KEY_A if which == access.A else KEY_B, SLOT))
        response = yield from ask(party, "AUTHENTICATE", Command(0xFF, 0x86, 0x00, 0x00, data).encode())
    return None if response.ok else Refused(Refusal.UNKNOWN_CARD, party, "AUTHENTICATE", response.sw)


def read_uid(party: str = CARD) -> Dialogue[bytes | Refused]:
    """The card's number, from any storage card. Refused UNKNOWN_CARD: it tells none."""
    response = yield from ask(party, "GET UID", Command(0xFF, 0xCA, 0x00, 0x00, le=256).encode())
    if not response.ok or len(response.data) not in (4, 7, 10):
        return Refused(Refusal.UNKNOWN_CARD, party, "GET UID", response.sw)
    return response.data


@dataclass(frozen=True, slots=True)
class M1Order:
    """What is to be moved, by whom, when; `txn` says which way."""

    txn: Txn
    amount_fen: int
    terminal: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class M1Receipt:
    """A change that is on the card: its counter, both balances, and the MAC of its state record."""

    counter: int
    before_fen: int
    after_fen: int
    mac: bytes


class MarkFields(NamedTuple):
    """The migration mark: a `Mark`, the counter when it was frozen, the migration's id, what is promised.

    `mac` is what stands on the card, the proof that a security module of the scheme has written it.
    """

    mark: int
    counter: int
    migration: bytes
    amount_fen: int
    mac: bytes = bytes(m1.MAC_SIZE)


@dataclass(frozen=True, slots=True)
class M1View:
    """What an M1 card says. `balance_fen` is the truth even when a write was torn; then `torn` is set."""

    uid: bytes
    info: dict[str, Any]
    balance_fen: int
    main_fen: int | None  # None: the block is torn
    backup_fen: int | None
    states: tuple[State, ...]  # newest first
    marked: MarkFields | None = None  # on its way to another card, or there already

    @property
    def pan(self) -> str:
        """The card's number, 20 digits."""
        return self.info["pan"]  # type: ignore[no-any-return]

    @property
    def torn(self) -> bool:
        """Whether balance and backup do not agree."""
        return self.main_fen != self.backup_fen

    @property
    def counter(self) -> int:
        """Of the newest transaction, begun or done."""
        return self.states[0].counter if self.states else 0

    def fate(self, receipt: M1Receipt) -> bool | None:
        """Whether a transaction was done, None when the card no longer knows."""
        by_counter = {state.counter: state for state in self.states}
        own, newer = by_counter.get(receipt.counter), by_counter.get(receipt.counter + 1)
        reached = newer.before_fen if newer else self.balance_fen
        if own and (newer or own == self.states[0]):
            return own.mac == receipt.mac and reached == receipt.after_fen
        if receipt.counter > self.counter:
            return False  # its state never came about, and no money moves before that
        return False if newer and newer.before_fen != receipt.after_fen else None


def issue(
    keys: M1Keys, *, pan: str, issuer: bytes, valid_until: date, card_class: int = 1, balance_fen: int = 0
) -> Dialogue[M1View | Refused]:
    """Make a blank card (transport keys) an M1 purse: data first, keys and access bits of each sector last.

    A run that was cut off may be repeated: sectors that have their keys already are written with those.
    """
    uid = yield from read_uid()
    if isinstance(uid, Refused):
        return uid
    values = {"pan": pan, "issuer": issuer, "valid_until": valid_until, "card_class": card_class}
    info = m1.sealed(keys, uid, m1.INFO, **values)
    content = {
        m1.INFO_BLOCKS[0]: info[:16],
        m1.INFO_BLOCKS[1]: info[16:],
        m1.BALANCE_BLOCK: value_block(balance_fen, m1.BALANCE_BLOCK),
        m1.BACKUP_BLOCK: value_block(balance_fen, m1.BACKUP_BLOCK),
        m1.MARK_BLOCK: bytes(16),
        m1.STATE_BLOCKS[0]: m1.sealed(
            keys, uid, m1.STATE, counter=0, txn=Txn.EP_LOAD, amount_fen=balance_fen, before_fen=0
        ),
        m1.STATE_BLOCKS[1]: bytes(16),
        **dict.fromkeys(m1.LOG_BLOCKS, bytes(16)),
    }
    for sector, conditions in m1.SECTORS.items():
        trailer = (
            keys.sector_key(uid, sector, access.A)
            + access.encode(conditions)
            + b"\x69"
            + keys.sector_key(uid, sector, access.B)
        )
        blocks = {block: raw for block, raw in content.items() if sector_of(block) == sector}
        refused = yield from _format(keys, uid, {**blocks, trailer_of(sector): trailer})
        if refused:
            return refused
    return (yield from read_purse(keys))


def _format(keys: M1Keys, uid: bytes, blocks: dict[int, bytes]) -> Dialogue[Refused | None]:
    """Write a sector's blocks, its trailer last, with the transport key or with its own key B."""
    first = next(iter(blocks))
    refused = yield from authenticate(CARD, first, TRANSPORT_KEY, access.A)
    if refused:
        own = keys.sector_key(uid, sector_of(first), access.B)
        refused = yield from authenticate(CARD, first, own, access.B)
    if refused:
        return refused
    for block, raw in blocks.items():
        response = yield from ask(CARD, f"WRITE {block}", Command(0xFF, 0xD6, 0x00, block, raw).encode())
        if not response.ok:
            return Refused(Refusal.CARD_FAULT, CARD, f"WRITE {block}", response.sw)
    return None


def read_purse(keys: M1Keys, party: str = CARD) -> Dialogue[M1View | Refused]:
    """All that is needed of an M1 purse; nothing is written.

    Refused: UNKNOWN_CARD (not of this scheme: its keys or its MAC), CARD_FAULT (balance and backup both
    torn), UNREADABLE.
    """
    uid = yield from read_uid(party)
    if isinstance(uid, Refused):
        return uid
    sectors = Sectors(keys, uid, party=party)
    raw: dict[int, bytes] = {}
    blocks = (*m1.INFO_BLOCKS, m1.BALANCE_BLOCK, m1.BACKUP_BLOCK, m1.MARK_BLOCK, *m1.STATE_BLOCKS)
    for block in blocks:
        answer = yield from sectors.read(block)
        if isinstance(answer, Refused):
            return answer
        raw[block] = answer
    info = m1.opened(keys, uid, m1.INFO, raw[m1.INFO_BLOCKS[0]] + raw[m1.INFO_BLOCKS[1]])
    if info is None:
        return Refused(Refusal.UNKNOWN_CARD, party, "READ 4")
    main, backup = read_value(raw[m1.BALANCE_BLOCK]), read_value(raw[m1.BACKUP_BLOCK])
    truth = main or backup
    if truth is None or not 0 <= truth[0] <= m1.BALANCE_MAX_FEN:
        return Refused(Refusal.CARD_FAULT, party, "READ 8")
    mark = m1.opened(keys, uid, m1.MARK, raw[m1.MARK_BLOCK])
    fields = [mark[name] for name in MarkFields._fields] if mark else None
    states = m1.newest(keys, uid, {block: raw[block] for block in m1.STATE_BLOCKS})
    return M1View(
        uid,
        info,
        truth[0],
        main[0] if main else None,
        backup[0] if backup else None,
        tuple(states),
        MarkFields(*fields) if fields else None,
    )


def mend(sectors: Sectors, view: M1View) -> Dialogue[Refused | None]:
    """Make balance and backup agree again, after what the balance says, or the backup when it is torn."""
    if not view.torn:
        return None
    source, target = m1.BALANCE_BLOCK, m1.BACKUP_BLOCK
    if view.main_fen is None:
        source, target = target, source
    return (yield from sectors.value(source, RESTORE, target))


def debit(
    keys: M1Keys, order: M1Order, remember: Callable[[M1Receipt], None] = lambda receipt: None
) -> Dialogue[M1Receipt | Refused | Unproven]:
    """Take money with key A. `Unproven`: ask `recover` when the card comes again.

    Refused, nothing was taken: INSUFFICIENT_BALANCE, CARD_BLOCKED (frozen), and what `read_purse` says.
    """
    assert order.txn not in m1.CREDITS
    view = yield from read_purse(keys)
    if isinstance(view, Refused):
        return view
    if view.marked:
        return Refused(Refusal.CARD_BLOCKED, CARD, "READ 10")
    return (yield from move(Sectors(keys, view.uid), view, order, remember))


def load(
    keys: M1Keys, order: M1Order, remember: Callable[[M1Receipt], None] = lambda receipt: None
) -> Dialogue[M1Receipt | Refused | Unproven]:
    """Give money with key B, like `debit`. Refused: PURSE_CAP, CARD_BLOCKED, and what `read_purse` says."""
    assert order.txn in m1.CREDITS
    view = yield from read_purse(keys)
    if isinstance(view, Refused):
        return view
    if view.marked:
        return Refused(Refusal.CARD_BLOCKED, CARD, "READ 10")
    return (yield from move(Sectors(keys, view.uid, access.B), view, order, remember))


def move(
    sectors: Sectors, view: M1View, order: M1Order, remember: Callable[[M1Receipt], None]
) -> Dialogue[M1Receipt | Refused | Unproven]:
    """State, balance, backup, log; the card is mended first. Marked cards are the caller's business."""
    credit = order.txn in m1.CREDITS
    after_fen = view.balance_fen + (order.amount_fen if credit else -order.amount_fen)
    if order.amount_fen <= 0 or view.counter >= m1.COUNTER_MAX:
        return Refused(Refusal.AMOUNT_INVALID if order.amount_fen <= 0 else Refusal.CARD_FAULT)
    if after_fen < 0 or after_fen > m1.BALANCE_MAX_FEN:
        return Refused(Refusal.PURSE_CAP if credit else Refusal.INSUFFICIENT_BALANCE)
    refused = yield from mend(sectors, view)
    if refused:
        return refused
    counter = view.counter + 1
    values: dict[str, Any] = {"counter": counter, "txn": order.txn, "amount_fen": order.amount_fen}
    nonce = sha256(order.terminal + bcd_datetime(order.at)).digest()[:3]
    values |= {"before_fen": view.balance_fen, "nonce": nonce}
    state = m1.sealed(sectors.keys, sectors.uid, m1.STATE, **values)
    receipt = M1Receipt(counter, view.balance_fen, after_fen, state[-m1.MAC_SIZE :])
    remember(receipt)
    refused = yield from sectors.write(_older_state(view), state)
    if refused:
        return refused
    steps = (
        sectors.value(m1.BALANCE_BLOCK, INCREMENT if credit else DECREMENT, order.amount_fen),
        sectors.value(m1.BALANCE_BLOCK, RESTORE, m1.BACKUP_BLOCK),
        write_log(sectors, counter, order),
    )
    for step in steps:
        refused = yield from step
        if refused:
            return Unproven(refused)
    return receipt


def _older_state(view: M1View) -> int:
    first, second = m1.STATE_BLOCKS
    return second if view.states and view.states[0].block == first else first


def write_log(sectors: Sectors, counter: int, order: M1Order) -> Dialogue[Refused | None]:
    """The transaction's place in the ring follows from its counter, so writing it again is harmless."""
    at_s = (order.at - EPOCH) // timedelta(seconds=1)
    raw = m1.LOG.encode(
        counter=counter, txn=order.txn, amount_fen=order.amount_fen, terminal=order.terminal, at_s=at_s
    )
    return (yield from sectors.write(m1.LOG_BLOCKS[counter % len(m1.LOG_BLOCKS)], raw))


def recover(keys: M1Keys, order: M1Order, receipt: M1Receipt) -> Dialogue[bool | Refused | None]:
    """What became of a torn transaction: mends the card, completes the log; None when the card cannot say."""
    view = yield from read_purse(keys)
    if isinstance(view, Refused):
        return view
    sectors = Sectors(keys, view.uid, access.B if order.txn in m1.CREDITS else access.A)
    refused = yield from mend(sectors, view)
    if refused:
        return refused
    done = view.fate(receipt)
    if done and view.counter == receipt.counter:
        refused = yield from write_log(sectors, receipt.counter, order)
    return refused or done


def read_log(keys: M1Keys) -> Dialogue[list[dict[str, Any]] | Refused]:
    """The log, newest first: counter, txn, amount_fen, terminal, `at`."""
    uid = yield from read_uid()
    if isinstance(uid, Refused):
        return uid
    sectors, rows = Sectors(keys, uid), []
    for block in m1.LOG_BLOCKS:
        raw = yield from sectors.read(block)
        if isinstance(raw, Refused):
            return raw
        row = m1.LOG.decode(raw)
        if row["counter"]:
            rows.append({**row, "at": EPOCH + timedelta(seconds=row["at_s"])})
    return sorted(rows, key=lambda row: -row["counter"])


def set_mark(keys: M1Keys, uid: bytes, mark: MarkFields, party: str = CARD) -> Dialogue[Refused | None]:
    """Write the migration mark (key B)."""
    raw = m1.sealed(keys, uid, m1.MARK, **mark._asdict())
    return (yield from Sectors(keys, uid, access.B, party).write(m1.MARK_BLOCK, raw))
