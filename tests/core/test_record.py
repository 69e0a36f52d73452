# SPDX-License-Identifier: Apache-2.0
"""Records and batches: what goes in comes out, and no altered, cut or alien batch is taken for a good one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citycard.core.layout import LayoutError
from citycard.core.record import (
    BATCH_MAC_SIZE,
    BATCH_RECORDS_MAX,
    HEADER,
    HEADER_SIZE,
    RECORD_SIZE,
    Batch,
    BatchError,
    TapRecord,
    build_header,
    open_batch,
    record_id,
)

TERMINAL = bytes.fromhex("310001050306")
ACQUIRER = bytes.fromhex("12009900FFFFFFFF")
AT = datetime(2024, 1, 15, 8, 30)
TAP = TapRecord(
    kind=1,
    service=2,
    txn=9,
    counter=7,
    issuer=bytes.fromhex("02009900FFFFFFFF"),
    pan="03105170070104791381",
    acquirer=ACQUIRER,
    terminal=TERMINAL,
    sequence=42,
    tapped_at=AT,
    balance_before_fen=10_000,
    amount_fen=500,
    tac=bytes.fromhex("A1650008"),
)

taps = st.builds(
    replace,
    st.just(TAP),
    counter=st.integers(0, 0xFFFF),
    sequence=st.integers(0, 2**32 - 1),
    amount_fen=st.integers(0, 2**32 - 1),
    flags=st.integers(0, 255),
    entry_at=st.none() | st.datetimes().map(lambda at: at.replace(microsecond=0)),
    tac=st.binary(min_size=4, max_size=4),
)


def batch_of(records: list[TapRecord], **more: int) -> bytes:
    """A batch as a terminal builds it; its MAC is none of `open_batch`'s business."""
    raw = [record.encode() for record in records]
    header = build_header(raw, terminal=TERMINAL, acquirer=ACQUIRER, batch=3, closed_at=AT, **more)
    return header + b"\x5a" * BATCH_MAC_SIZE + b"".join(raw)


GOOD = batch_of([TAP, replace(TAP, sequence=43, amount_fen=250)])


@given(taps)
def test_records_go_there_and_back(record: TapRecord) -> None:
    raw = record.encode()
    assert len(raw) == RECORD_SIZE == 128
    assert TapRecord.decode(raw) == record
    assert record.id == record_id(TERMINAL, record.sequence)


def test_a_record_has_a_name_for_ever() -> None:
    assert TAP.id == "310001050306-0000000042"
    assert TAP.moment.hex() == "20240115083000"


@given(st.binary(max_size=140) | st.binary(min_size=127, max_size=127).map(lambda rest: b"\x01" + rest))
def test_any_bytes_are_a_record_or_refused(raw: bytes) -> None:
    try:
        record = TapRecord.decode(raw)
    except LayoutError:
        return
    assert TapRecord.decode(record.encode()) == record


def test_a_record_without_its_moment_or_of_another_version_is_refused() -> None:
    raw = TAP.encode()
    with pytest.raises(LayoutError, match="version 2 is unknown"):
        TapRecord.decode(b"\x02" + raw[1:])
    at = raw.index(TAP.moment)
    with pytest.raises(LayoutError, match="tapped_at is empty"):
        TapRecord.decode(raw[:at] + bytes(7) + raw[at + 7 :])


@given(st.lists(taps, min_size=1, max_size=5))
def test_batches_go_there_and_back(records: list[TapRecord]) -> None:
    raw = batch_of(records, hotlist_version=8, parameter_version=9)
    batch = open_batch(raw)
    assert batch.records() == records
    assert batch.header["total_fen"] == sum(record.amount_fen for record in records)
    assert (batch.header["hotlist_version"], batch.header["parameter_version"]) == (8, 9)
    assert batch.raw == raw


def altered(at: int) -> bytes:
    """The good batch with one byte changed."""
    return GOOD[:at] + bytes((GOOD[at] ^ 0x55,)) + GOOD[at + 1 :]


def is_taken(raw: bytes) -> bool:
    """Whether a batch is taken for good."""
    try:
        open_batch(raw)
    except BatchError:
        return False
    return True


def test_every_altered_byte_is_noticed() -> None:
    """Each of the bytes, altered: refused, or for what only the MAC protects, told apart by the digest."""
    unnoticed = {at for at in range(len(GOOD)) if is_taken(altered(at))}
    for at in unnoticed:
        assert open_batch(altered(at)).digest != open_batch(GOOD).digest
    refused = set(range(len(GOOD))) - unnoticed
    assert set(range(HEADER_SIZE, len(GOOD))) <= refused, "every byte of every record"
    for name in ("magic", "version", "record_size", "count", "total_fen", "digest"):
        span = HEADER.span(name)
        assert set(range(span.start, span.stop)) <= refused, name
    assert unnoticed <= set(range(HEADER_SIZE))


@pytest.mark.parametrize("size", sorted({0, 1, 4, 111, 112, 113, 112 + 128, len(GOOD) - 1}))
def test_a_cut_batch_is_refused(size: int) -> None:
    with pytest.raises(BatchError) as caught:
        open_batch(GOOD[:size])
    assert caught.value.code == "BATCH_TRUNCATED"


def altered_header(**values: object) -> bytes:
    """The good batch with other values in its header."""
    return HEADER.encode(**{**open_batch(GOOD).header, **values}) + GOOD[HEADER_SIZE:]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (GOOD + b"\x00", "BATCH_TRUNCATED"),
        (GOOD + GOOD[-128:], "BATCH_TRUNCATED"),
        (b"PK\x03\x04" + GOOD[4:], "BATCH_FORMAT"),
        (altered_header(version=2), "BATCH_VERSION"),
        (altered_header(record_size=64), "BATCH_FORMAT"),
        (altered_header(count=0), "BATCH_FORMAT"),
        (altered_header(count=BATCH_RECORDS_MAX + 1), "BATCH_FORMAT"),
        (altered_header(digest=bytes(32)), "BATCH_DIGEST"),
        (altered_header(total_fen=751), "BATCH_TOTAL"),
    ],
)
def test_a_wrong_batch_is_refused_by_name(raw: bytes, code: str) -> None:
    with pytest.raises(BatchError) as caught:
        open_batch(raw)
    assert caught.value.code == code


@given(st.binary(max_size=200) | st.binary(min_size=107, max_size=240).map(lambda rest: b"CCB1\x01" + rest))
def test_any_bytes_are_a_batch_or_refused(raw: bytes) -> None:
    try:
        assert isinstance(open_batch(raw), Batch)
    except BatchError:
        return


def test_a_batch_holds_one_record_at_least_and_not_too_many() -> None:
    for records in ([], [TAP.encode()] * (BATCH_RECORDS_MAX + 1)):
        with pytest.raises(BatchError, match="1 to 4096"):
            build_header(records, terminal=TERMINAL, acquirer=ACQUIRER, batch=1, closed_at=AT)
