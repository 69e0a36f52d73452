# SPDX-License-Identifier: Apache-2.0
"""The terminal's memory: an append-only file that survives being killed at any instruction.

Before the card is told to debit or credit, an intent is made durable; after its answer, the record. What
was durable is never lost, nothing is there twice, and after a kill `Journal.open` cuts off the frame that
was being written and goes on. Records are numbered without gaps when they are journalled, gathered into
batches, and dropped by `compact` once the office has acknowledged them.

An intent without a record or a void is open: the card must be asked what happened (core.dialogue.recover).
A load leaves a duty as well: the host must be told that it was credited, or that it was not.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from citycard.core.layout import LayoutError
from citycard.core.problem import declare
from citycard.core.record import BATCH_RECORDS_MAX, HEADER_SIZE, RECORD, RECORD_SIZE, Kind, TapRecord
from citycard.core.record import HEADER as BATCH_HEADER
from citycard.terminal.frames import HEAD, Entry, Frame, frame, frames, sound_after
from citycard.terminal.store import Store

MAGIC: Final = b"CCJRNL\x00"
VERSION: Final = 1
HEADER: Final = len(MAGIC) + 1
NAME: Final = "journal.ccj"
STATE: Final = struct.Struct(">6sIIII")  # terminal; next sequence, batch and intent; last sequence in a batch
NUMBERS: Final = struct.Struct(">QI")  # first PSAM number that is free, wrong MAC2s in a row
NUMBERS_AHEAD: Final = 64  # reserved with one write; so many are lost at a restart at most
NUMBER_MAX: Final = 0xFFFF_FFFF
INTENT: Final = struct.Struct(">IB")  # number, length of the event's name; then event, record, JSON
RECORDED: Final = struct.Struct(">I")  # number of the intent, then the record
VOIDED: Final = struct.Struct(">IBH")  # number of the intent, how (`End`), the card's online counter
BATCH: Final = struct.Struct(">II")  # batch, sequence of its first record; then the batch header with its MAC
ACKNOWLEDGED: Final = struct.Struct(">I")  # batch
RECORDS_MAX: Final = 500_000  # unacknowledged: 64 MB, a year of a busy gate without an office
COMPACT_AFTER: Final = 2_000  # dropped entries that make compaction worth a rewrite
LOAD_FIELDS: Final = ("load_id", "request_id", "card_answer")
SEQUENCE: Final = RECORD.span("sequence")
TAC: Final = RECORD.span("tac")
MAC2: Final = RECORD.span("mac2")
FLAGS: Final = RECORD.span("flags")
PAN: Final = RECORD.span("pan")
KIND: Final = RECORD.offsets["kind"]
BATCH_COUNT: Final = BATCH_HEADER.span("count")
ALL_ENTRIES: Final = frozenset(Entry)
NO_ENTRIES: Final[frozenset[Entry]] = frozenset()

JOURNAL_VERSION = declare(
    "JOURNAL_VERSION",
    "The journal {name} has format version {found}; this program writes version {known}. Upload it with the "
    "program that wrote it, then start anew.",
    "日志 {name} 的格式版本为 {found}，本程序使用版本 {known}。请用原程序上传后再启用新日志。",
)
JOURNAL_ALIEN = declare(
    "JOURNAL_ALIEN",
    "The file {name} is no terminal journal. Move it away; nothing was changed.",
    "文件 {name} 不是终端日志，请移走该文件，未作任何改动。",
)
JOURNAL_DAMAGED = declare(
    "JOURNAL_DAMAGED",
    "The journal {name} is damaged at byte {at}, and sound entries follow. Keep the file and have it "
    "repaired: records in it are not yet delivered.",
    "日志 {name} 在第 {at} 字节处损坏，其后仍有有效记录。请保留该文件并修复，其中有尚未上传的记录。",
)
JOURNAL_TERMINAL = declare(
    "JOURNAL_TERMINAL",
    "The journal {name} belongs to terminal {found}, this is terminal {terminal}. Give each terminal a "
    "folder of its own.",
    "日志 {name} 属于终端 {found}，本终端为 {terminal}。每个终端须使用独立目录。",
)
JOURNAL_FULL = declare(
    "JOURNAL_FULL",
    "The journal holds {count} records that the office has not acknowledged: that is the limit. Connect the "
    "terminal and upload.",
    "日志中有 {count} 条记录未被后台确认，已达上限。请联网上传。",
)
JOURNAL_NUMBERS = declare(
    "JOURNAL_NUMBERS",
    "Terminal {terminal} has used up its transaction numbers. Give it a new terminal number and module.",
    "终端 {terminal} 的交易序号已用尽，请更换终端号和安全模块。",
)
JOURNAL_BROKEN = declare(
    "JOURNAL_BROKEN",
    "A write to the journal {name} failed earlier; start the terminal again, so that it can be checked.",
    "日志 {name} 此前写入失败，请重新启动终端以便检查。",
)


@dataclass(frozen=True, slots=True)
class Intent:
    """A transaction about to be sent: the record it will be, as bytes (sequence, TAC, MAC2 still empty).

    `event` is what the holder did (`enter`, `exit`, `board`, `pay`, `load`). For a load: the host's name of
    it, empty while the host has not answered, our name of the request, and the card's INIT answer.
    """

    number: int
    event: str
    raw: bytes
    load_id: str = ""
    request_id: str = ""
    card_answer: str = ""

    @property
    def record(self) -> TapRecord:
        """The record it will be."""
        return TapRecord.decode(self.raw)


class End(IntEnum):
    """How an intent ends that became no record; the numbers are on disk."""

    VOID = 0  # it did not happen
    UNDECIDED = 1  # nobody can tell: for people to settle
    REVERSE = 2  # a load that the card proves not to have: the host must be told


@dataclass(frozen=True, slots=True)
class Duty:
    """The host must be told of load `number`: `confirm` (credited: its TAC) or `reverse` (not credited).

    `online_counter` is the card's, read after it had answered that it knows no such load.
    """

    number: int
    verb: str
    intent: Intent
    tac: bytes = bytes(4)
    online_counter: int = 0


@dataclass(frozen=True, slots=True)
class PendingBatch:
    """A closed batch the office has not acknowledged: its number, its records, its bytes."""

    batch: int
    first: int
    count: int
    raw: bytes


class Journal:
    """An open journal; make it with `Journal.open`. One process, one thread at a time."""

    def __init__(self, store: Store, terminal: bytes, name: str, durable: frozenset[Entry]) -> None:
        self._store = store
        self._name = name
        self._durable = durable
        self._size = 0
        self._broken = False
        self._dropped = 0
        self._last: tuple[str, bytes] | None = None  # event and record, when that is the newest transaction
        self._batched = 0  # sequence of the last record that is in a batch
        self.terminal = terminal
        self.note = ""  # what open() had to repair, empty if nothing
        self.untold: tuple[str, bytes] | None = None  # event and record written last before a restart
        self.next_sequence = 1
        self.next_batch = 1
        self.next_intent = 1
        self.numbers = Numbers(self)
        self.intents: dict[int, Intent] = {}
        self.undecided: dict[int, Intent] = {}
        self.duties: dict[int, Duty] = {}
        self._records: dict[int, bytes] = {}
        self._batches: dict[int, tuple[int, bytes]] = {}

    @classmethod
    def open(
        cls, store: Store, terminal: bytes, *, name: str = NAME, durable: frozenset[Entry] = ALL_ENTRIES
    ) -> Journal:
        """The journal in a store, made if there is none, repaired if its last write was cut.

        `durable` are the entries that are synced to the medium as they are written: all of them in life,
        none in a quick simulation. Problems: JOURNAL_VERSION, JOURNAL_ALIEN, JOURNAL_DAMAGED,
        JOURNAL_TERMINAL, STORE_IN_USE, STORE_FAILED.
        """
        store.claim()
        journal = cls(store, terminal, name, durable)
        raw = store.read(name)
        if raw is None or len(raw) == 0:
            journal._rewrite()
            return journal
        journal._replay(raw)
        return journal

    # What is there

    @property
    def pending_records(self) -> int:
        """Records the office has not acknowledged."""
        return len(self._records)

    def records(self) -> list[TapRecord]:
        """Those records, in order."""
        return [TapRecord.decode(raw) for _, raw in sorted(self._records.items())]

    def intents_of(self, pan: str) -> list[Intent]:
        """The open intents of a card, oldest first."""
        if not self.intents:
            return []
        digits = bytes.fromhex(pan)
        return [intent for intent in self.intents.values() if intent.raw[PAN] == digits]

    # A transaction

    def intend(self, intent: Intent) -> Intent:
        """Make an intent durable; with number 0 it gets one, else it replaces the open one of its number."""
        self.check_room()
        if intent.number == 0:
            intent = replace(intent, number=self.next_intent)
        self._write(Entry.INTENT, _intent_bytes(intent))
        self._apply_intent(intent)
        return intent

    def check_room(self) -> None:
        """JOURNAL_FULL when no further record may be taken on."""
        if len(self._records) >= RECORDS_MAX:
            raise JOURNAL_FULL(count=len(self._records))

    def record(self, intent: Intent, tac: bytes, mac2: bytes = bytes(4), flags: int = 0) -> bytes:
        """It happened: number and journal the record, close its intent; a load leaves a duty to confirm.

        Returns the record's 128 bytes.
        """
        raw = _finished(intent.raw, self.next_sequence, tac, mac2, flags)
        self._write(Entry.RECORD, RECORDED.pack(intent.number) + raw)
        self._apply_record(intent.number, raw)
        return raw

    def void(self, intent: Intent, end: End = End.VOID, online_counter: int = 0) -> None:
        """It did not happen, or nobody can tell; `REVERSE` leaves the duty to tell the host."""
        self._write(Entry.VOID, VOIDED.pack(intent.number, end, online_counter))
        self._apply_void(intent.number, end, online_counter)

    def write_numbers(self, free: int, wrong: int) -> None:
        """Keep the PSAM's counters; for `Numbers`."""
        self._write(Entry.NUMBERS, NUMBERS.pack(free, wrong))
        self._dropped += 1

    def done(self, duty: Duty) -> None:
        """The host was told."""
        self._write(Entry.DONE, RECORDED.pack(duty.number))
        self._apply_done(duty.number)

    # Batches

    def unbatched(self) -> list[bytes]:
        """The oldest records that are in no batch yet, at most one batch of them."""
        ready = range(self._batched + 1, min(self.next_sequence, self._batched + 1 + BATCH_RECORDS_MAX))
        return [self._records[sequence] for sequence in ready]

    def close_batch(self, header: bytes) -> PendingBatch:
        """Bind the `unbatched` records to a header with its MAC (112 bytes): they are one batch for ever."""
        assert len(header) == HEADER_SIZE
        first = self._batched + 1
        payload = BATCH.pack(self.next_batch, first) + header
        self._write(Entry.BATCH, payload)
        return self._pending(self._apply_batch(payload))

    def pending_batches(self) -> list[PendingBatch]:
        """Closed batches the office has not acknowledged, in order."""
        return [self._pending(batch) for batch in sorted(self._batches)]

    def acknowledge(self, batch: int) -> None:
        """The office has this batch: its records are no longer ours to keep."""
        if batch in self._batches:
            self._write(Entry.ACKNOWLEDGED, ACKNOWLEDGED.pack(batch))
            self._apply_acknowledged(batch)

    def keep(self, batch: PendingBatch, label: str) -> str:
        """Lay a batch aside in a file of its own, for people to look at; returns the file's name."""
        name = f"{label}-{batch.batch:010d}.ccb"
        self._store.replace(name, batch.raw)
        return name

    def compact(self, at_least: int = COMPACT_AFTER) -> bool:
        """Rewrite the file without what is settled, if that drops enough entries; all or nothing."""
        if self._dropped < at_least:
            return False
        self._rewrite()
        return True

    # On disk

    def _write(self, entry: Entry, payload: bytes) -> None:
        if self._broken:
            raise JOURNAL_BROKEN(name=self._name)
        data = frame(entry, payload)
        self._broken = True  # until both calls have come back
        self._store.append(self._name, data)
        if entry in self._durable:
            self._store.sync(self._name)
        self._broken = False
        self._size += len(data)

    def _rewrite(self) -> None:
        counters = (self.next_sequence, self.next_batch, self.next_intent, self._batched)
        parts = [MAGIC + bytes((VERSION,)), frame(Entry.STATE, STATE.pack(self.terminal, *counters))]
        parts.append(frame(Entry.NUMBERS, NUMBERS.pack(self.numbers.limit, self.numbers.wrong)))
        for _, record in sorted(self._records.items()):
            parts.append(frame(Entry.RECORD, RECORDED.pack(0) + record))
        for batch in sorted(self._batches):
            first, header = self._batches[batch]
            parts.append(frame(Entry.BATCH, BATCH.pack(batch, first) + header))
        for intent in (*self.intents.values(), *self.undecided.values()):
            parts.append(frame(Entry.INTENT, _intent_bytes(intent)))
        parts += [frame(Entry.VOID, VOIDED.pack(number, End.UNDECIDED, 0)) for number in self.undecided]
        parts += [frame(Entry.DUTY, _duty_bytes(duty)) for duty in self.duties.values()]
        data = b"".join(parts)
        self._store.replace(self._name, data)
        self._size = len(data)
        self._dropped = 0

    def _replay(self, raw: bytes) -> None:
        if len(raw) < HEADER or raw[: len(MAGIC)] != MAGIC:
            raise JOURNAL_ALIEN(name=self._name)
        if raw[len(MAGIC) : HEADER] != bytes((VERSION,)):
            raise JOURNAL_VERSION(name=self._name, found=raw[HEADER - 1], known=VERSION)
        end = HEADER
        for found in frames(raw, HEADER):
            try:
                self._apply(found)
            except (LookupError, ValueError, TypeError, struct.error):
                raise JOURNAL_DAMAGED(name=self._name, at=found.at) from None
            end = found.at + HEAD.size + len(found.payload)
        if end == HEADER:
            raise JOURNAL_DAMAGED(name=self._name, at=HEADER)
        if end < len(raw):
            if sound_after(raw, end) is not None:
                raise JOURNAL_DAMAGED(name=self._name, at=end)
            self._store.truncate(self._name, end)
            self.note = f"the last write was cut off: {len(raw) - end} bytes of a torn entry removed"
        self._size = end
        self.untold = self._last

    def _apply(self, found: Frame) -> None:
        payload, entry = found.payload, Entry(found.entry)
        if entry is Entry.STATE:
            self._apply_state(payload)
        elif entry is Entry.INTENT:
            self._apply_intent(_read_intent(payload))
        elif entry is Entry.RECORD:
            self._apply_record(RECORDED.unpack_from(payload)[0], payload[RECORDED.size :])
        elif entry is Entry.VOID:
            self._apply_void(*VOIDED.unpack(payload))
        elif entry is Entry.NUMBERS:
            self.numbers.restore(*NUMBERS.unpack(payload))
        elif entry is Entry.BATCH:
            self._apply_batch(payload)
        elif entry is Entry.ACKNOWLEDGED:
            self._apply_acknowledged(*ACKNOWLEDGED.unpack(payload))
        elif entry is Entry.DONE:
            self._apply_done(*RECORDED.unpack(payload))
        else:
            duty = _read_duty(payload)
            self.duties[duty.number] = duty

    # What an entry means: the same when it is written and when it is read again

    def _apply_state(self, payload: bytes) -> None:
        terminal, sequence, batch, intent, self._batched = STATE.unpack(payload)
        if terminal != self.terminal:
            raise JOURNAL_TERMINAL(name=self._name, found=terminal.hex(), terminal=self.terminal.hex())
        self.next_sequence, self.next_batch, self.next_intent = sequence, batch, intent

    def _apply_intent(self, intent: Intent) -> None:
        self._last = None
        self._dropped += intent.number in self.intents
        self.intents[intent.number] = intent
        self.next_intent = max(self.next_intent, intent.number + 1)

    def _apply_record(self, number: int, raw: bytes) -> None:
        if len(raw) != RECORD_SIZE:
            raise LayoutError(f"a record has {RECORD_SIZE} bytes, this has {len(raw)}")
        sequence = int.from_bytes(raw[SEQUENCE], "big")
        self._records[sequence] = raw
        self.next_sequence = max(self.next_sequence, sequence + 1)
        intent = self.intents.pop(number, None)
        if intent is None:
            return
        self._dropped += 1
        self._last = intent.event, raw
        if raw[KIND] == Kind.LOAD:
            self.duties[number] = Duty(number, "confirm", intent, raw[TAC])

    def _apply_void(self, number: int, end: int, online_counter: int) -> None:
        intent = self.intents.pop(number)
        self._dropped += 2
        if end == End.UNDECIDED:
            self.undecided[number] = intent
        elif end == End.REVERSE:
            self.duties[number] = Duty(number, "reverse", intent, online_counter=online_counter)

    def _apply_batch(self, payload: bytes) -> int:
        batch, first = BATCH.unpack_from(payload)
        header = payload[BATCH.size :]
        count = _batch_count(header)
        self._batches[batch] = (first, header)
        self._batched = max(self._batched, first + count - 1)
        self.next_batch = max(self.next_batch, batch + 1)
        return int(batch)

    def _apply_acknowledged(self, batch: int) -> None:
        first, header = self._batches.pop(batch)
        count = _batch_count(header)
        for sequence in range(first, first + count):
            self._records.pop(sequence, None)
        self._dropped += count + 2

    def _apply_done(self, number: int) -> None:
        self._dropped += self.duties.pop(number, None) is not None

    def _pending(self, batch: int) -> PendingBatch:
        first, header = self._batches[batch]
        count = _batch_count(header)
        body = b"".join(self._records[sequence] for sequence in range(first, first + count))
        return PendingBatch(batch, first, count, header + body)


class Numbers:
    """The PSAM's counters, kept in the journal: a `CounterStore` of citycard.keys.

    Transaction numbers are reserved in blocks before they are told, so none is ever told twice, and most
    taps cost no write for them.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._next = 1
        self.limit = 1  # first number that is not ours
        self.wrong = 0

    def restore(self, free: int, wrong: int) -> None:
        """What the journal holds: the rest of an earlier block is skipped."""
        self._next = self.limit = free
        self.wrong = wrong

    def reserve(self) -> int:
        """The next transaction number; JOURNAL_NUMBERS at the end of four bytes."""
        if self._next >= self.limit:
            limit = min(self._next + NUMBERS_AHEAD, NUMBER_MAX + 1)
            if self._next >= limit:
                raise JOURNAL_NUMBERS(terminal=self._journal.terminal.hex())
            self._journal.write_numbers(limit, self.wrong)
            self.limit = limit
        self._next += 1
        return self._next - 1

    def failures(self) -> int:
        """Wrong MAC2s in a row."""
        return self.wrong

    def record_failures(self, count: int) -> None:
        """Remember that many, durably."""
        self._journal.write_numbers(self.limit, count)
        self.wrong = count


def _batch_count(header: bytes) -> int:
    if len(header) != HEADER_SIZE:
        raise LayoutError(f"a batch header has {HEADER_SIZE} bytes, this has {len(header)}")
    return int.from_bytes(header[BATCH_COUNT], "big")


def _finished(template: bytes, sequence: int, tac: bytes, mac2: bytes, flags: int) -> bytes:
    """An intent's record with what is known only now."""
    assert len(mac2) == len(tac) == 4
    raw = bytearray(template)
    raw[SEQUENCE] = sequence.to_bytes(4, "big")
    raw[MAC2], raw[TAC] = mac2, tac
    if flags:
        raw[FLAGS] = (int.from_bytes(raw[FLAGS], "big") | flags).to_bytes(2, "big")
    return bytes(raw)


def _intent_bytes(intent: Intent) -> bytes:
    event = intent.event.encode()
    more = {name: getattr(intent, name) for name in LOAD_FIELDS if getattr(intent, name)}
    tail = json.dumps(more).encode() if more else b""
    return INTENT.pack(intent.number, len(event)) + event + intent.raw + tail


def _read_intent(payload: bytes) -> Intent:
    number, length = INTENT.unpack_from(payload)
    at = INTENT.size + length
    event = payload[INTENT.size : at].decode()
    raw = payload[at : at + RECORD_SIZE]
    TapRecord.decode(raw)  # whoever reads it later may rely on it
    tail = payload[at + RECORD_SIZE :]
    return Intent(number, event, raw, **(json.loads(tail) if tail else {}))


def _duty_bytes(duty: Duty) -> bytes:
    known = {"verb": duty.verb, "tac": duty.tac.hex(), "online_counter": duty.online_counter}
    return json.dumps(known | {"intent": _intent_bytes(duty.intent).hex()}).encode()


def _read_duty(payload: bytes) -> Duty:
    known = json.loads(payload)
    intent = _read_intent(bytes.fromhex(known["intent"]))
    tac = bytes.fromhex(known["tac"])
    return Duty(intent.number, known["verb"], intent, tac, known["online_counter"])
