# SPDX-License-Identifier: Apache-2.0
"""The tap record and the batch: all that travels from the edge to the office.

A record is 128 bytes, a batch is a 112-byte header and its records. Both carry a version. A record is
known by (terminal, sequence); a batch by (terminal, batch sequence) and by its digest. The layout follows
what terminal records of the field contain (card facts section 8.3); the arrangement is citycard's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, IntFlag
from typing import Any, Final

from citycard.core.calendar import bcd_datetime
from citycard.core.layout import Field, Layout, LayoutError

RECORD_VERSION: Final = 1
BATCH_VERSION: Final = 1
BATCH_MAGIC: Final = b"CCB1"
BATCH_RECORDS_MAX: Final = 4096  # half a megabyte: one upload over a slow line stays under a minute
BATCH_MAC_SIZE: Final = 8


class Kind(IntEnum):
    """What a record proves."""

    PURCHASE = 1  # the purse was debited (a metro entry debits nothing and proves presence)
    LOAD = 2  # the purse was credited


class Flag(IntFlag):
    """What was particular about a tap."""

    TRANSFER = 1  # a transfer discount was given
    OVERTIME = 2  # stayed longer than the journey time limit
    SAME_STATION = 4  # left where entered
    MISSING_ENTRY = 8  # exit without entry
    MISSING_EXIT = 16  # the journey before this one was never closed
    RECOVERED = 32  # the answer was lost and the debit proven by GET TRANSACTION PROVE
    OFFLINE = 64  # the terminal had no parameters younger than a day
    TEST = 128  # a test card or a test terminal: never settled


RECORD: Final = Layout(
    "tap record",
    "citycard record version 1",
    (
        Field("version", 1, default=RECORD_VERSION),
        Field("kind", 1),
        Field("service", 1, note="code of the service, see citycard.services"),
        Field("txn", 1, note="transaction type byte, PBOC (facts 1.2)"),
        Field("algorithm", 1, note="algorithm id of the card's answer: 00 3DES, 01 SM4"),
        Field("key_version", 1, note="version of the card's key"),
        Field("card_class", 1, note="EF17 byte 10: 01 ordinary, 02 student, 03 senior ..."),
        Field("tariff_version", 1),
        Field("flags", 2),
        Field("counter", 2, note="the card's ATC as INIT returned it"),
        Field("issuer", 8, "raw", note="EF15 bytes 1-8"),
        Field("pan", 10, "bcd", note="EF15 bytes 11-20: a leading 0 and 19 digits"),
        Field("acquirer", 8, "raw"),
        Field("terminal", 6, "raw"),
        Field("sequence", 4, note="the terminal's own record counter, without gaps"),
        Field("terminal_txn", 4, note="the PSAM's transaction number; 0 for a load"),
        Field("tapped_at", 7, "moment"),
        Field("balance_before_fen", 4),
        Field("amount_fen", 4, note="what the card was debited or credited"),
        Field("list_fen", 4, note="price before any discount"),
        Field("concession_fen", 4, note="taken off for the card's class"),
        Field("transfer_fen", 4, note="taken off for a transfer"),
        Field("surcharge_fen", 4, note="added: over-time, missing exit"),
        Field("line", 2),
        Field("station", 2),
        Field("entry_line", 2),
        Field("entry_station", 2),
        Field("entry_at", 7, "moment"),
        Field("entry_terminal", 6, "raw"),
        Field("hotlist_version", 4, note="the list the terminal held"),
        Field("mac2", 4, "raw"),
        Field("tac", 4, "raw"),
        Field("reserved", 12, "raw"),
    ),
)
RECORD_SIZE: Final = RECORD.size

HEADER: Final = Layout(
    "batch header",
    "citycard batch version 1",
    (
        Field("magic", 4, "raw", default=BATCH_MAGIC),
        Field("version", 1, default=BATCH_VERSION),
        Field("reserved1", 1),
        Field("record_size", 2, default=RECORD_SIZE),
        Field("terminal", 6, "raw"),
        Field("acquirer", 8, "raw"),
        Field("batch", 4, note="batch sequence of this terminal, from 1, without gaps"),
        Field("count", 4),
        Field("total_fen", 8, note="sum of amount_fen"),
        Field("closed_at", 7, "moment"),
        Field("hotlist_version", 4),
        Field("parameter_version", 4),
        Field("reserved2", 19, "raw"),
        Field("digest", 32, "raw", note="SHA-256 over the records"),
        Field("mac", BATCH_MAC_SIZE, "raw", note="MAC over all header bytes before it"),
    ),
)
HEADER_SIZE: Final = HEADER.size


@dataclass(frozen=True, slots=True, kw_only=True)
class TapRecord:
    """One tap as the terminal journals it and clearing settles it; field meanings stand in `RECORD`."""

    kind: int
    service: int
    txn: int
    counter: int
    issuer: bytes
    pan: str
    acquirer: bytes
    terminal: bytes
    sequence: int
    tapped_at: datetime
    balance_before_fen: int
    amount_fen: int
    tac: bytes
    algorithm: int = 0
    key_version: int = 1
    card_class: int = 1
    tariff_version: int = 1
    flags: int = 0
    terminal_txn: int = 0
    list_fen: int = 0
    concession_fen: int = 0
    transfer_fen: int = 0
    surcharge_fen: int = 0
    line: int = 0
    station: int = 0
    entry_line: int = 0
    entry_station: int = 0
    entry_at: datetime | None = None
    entry_terminal: bytes = bytes(6)
    hotlist_version: int = 0
    mac2: bytes = bytes(4)

    @property
    def id(self) -> str:
        """The name of this record for ever: terminal in hex, a dash, the sequence."""
        return record_id(self.terminal, self.sequence)

    @property
    def moment(self) -> bytes:
        """Date and time as MAC1 and TAC cover them: seven BCD bytes."""
        return bcd_datetime(self.tapped_at)

    def encode(self) -> bytes:
        """128 bytes; `LayoutError` when a value does not fit."""
        return RECORD.encode(**{name: getattr(self, name) for name in RECORD_NAMES})

    @classmethod
    def decode(cls, raw: bytes) -> TapRecord:
        """The record in 128 bytes; `LayoutError` on another version or an invalid field."""
        if len(raw) == RECORD_SIZE and raw[0] != RECORD_VERSION:
            raise LayoutError(f"tap record version {raw[0]} is unknown, {RECORD_VERSION} is understood")
        values = RECORD.decode(raw)
        if values["tapped_at"] is None:
            raise LayoutError("tap record: tapped_at is empty")
        return cls(**{name: values[name] for name in RECORD_NAMES})


RECORD_NAMES: Final[tuple[str, ...]] = tuple(
    f.name for f in RECORD.fields if f.name not in ("version", "reserved")
)


def record_id(terminal: bytes, sequence: int) -> str:
    """`310001050306-00000042`: terminal in hex, sequence in ten digits."""
    return f"{terminal.hex()}-{sequence:010d}"


class BatchError(ValueError):
    """A batch cannot be taken as it is; `code` is stable, the text tells what and where."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Batch:
    """A header and its records, as bytes and as values."""

    header: dict[str, Any]
    body: bytes
    raw: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the whole batch in hex: its address in the lake."""
        return hashlib.sha256(self.raw).hexdigest()

    def raw_records(self) -> list[bytes]:
        """The records as bytes."""
        return [self.body[at : at + RECORD_SIZE] for at in range(0, len(self.body), RECORD_SIZE)]

    def records(self) -> list[TapRecord]:
        """The records as values; `LayoutError` on the first malformed one."""
        return [TapRecord.decode(raw) for raw in self.raw_records()]


def build_header(
    records: Sequence[bytes],
    *,
    terminal: bytes,
    acquirer: bytes,
    batch: int,
    closed_at: datetime,
    **more: int,
) -> bytes:
    """The header without its MAC (104 bytes): what the PSAM is asked to MAC."""
    if not 0 < len(records) <= BATCH_RECORDS_MAX:
        raise BatchError("BATCH_SIZE", f"a batch holds 1 to {BATCH_RECORDS_MAX} records, not {len(records)}")
    span = RECORD.span("amount_fen")
    header = HEADER.encode(
        terminal=terminal,
        acquirer=acquirer,
        batch=batch,
        count=len(records),
        total_fen=sum(int.from_bytes(raw[span], "big") for raw in records),
        closed_at=closed_at,
        digest=hashlib.sha256(b"".join(records)).digest(),
        **more,
    )
    return header[:-BATCH_MAC_SIZE]


def open_batch(raw: bytes) -> Batch:
    """Check everything but the MAC: sizes, digest, count, total. `BatchError` says what is wrong and where.

    Codes: BATCH_TRUNCATED, BATCH_FORMAT, BATCH_VERSION, BATCH_DIGEST, BATCH_TOTAL.
    """
    if len(raw) < HEADER_SIZE:
        raise BatchError("BATCH_TRUNCATED", f"{len(raw)} bytes: shorter than a header of {HEADER_SIZE}")
    if raw[:4] != BATCH_MAGIC:
        raise BatchError("BATCH_FORMAT", "the first four bytes are not CCB1: this is no batch")
    if raw[4] != BATCH_VERSION:
        raise BatchError("BATCH_VERSION", f"batch version {raw[4]} is unknown, {BATCH_VERSION} is understood")
    try:
        header = HEADER.decode(raw[:HEADER_SIZE])
    except LayoutError as problem:
        raise BatchError("BATCH_FORMAT", str(problem)) from None
    body = raw[HEADER_SIZE:]
    if header["record_size"] != RECORD_SIZE or not 0 < header["count"] <= BATCH_RECORDS_MAX:
        raise BatchError(
            "BATCH_FORMAT", f"{header['count']} records of {header['record_size']} bytes: not ours"
        )
    if len(body) != header["count"] * RECORD_SIZE:
        raise BatchError(
            "BATCH_TRUNCATED",
            f"the header says {header['count']} records, {len(body)} bytes of records follow",
        )
    if hashlib.sha256(body).digest() != header["digest"]:
        raise BatchError("BATCH_DIGEST", "the records do not hash to the digest in the header")
    batch = Batch(header, body, raw)
    span = RECORD.span("amount_fen")
    total = sum(int.from_bytes(record[span], "big") for record in batch.raw_records())
    if total != header["total_fen"]:
        raise BatchError(
            "BATCH_TOTAL", f"amounts add up to {total} fen, the header says {header['total_fen']}"
        )
    return batch
