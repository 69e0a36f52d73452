# SPDX-License-Identifier: Apache-2.0
"""The vectorised decoder says of every record what `TapRecord.decode` says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citycard.clearing.decode import RECORD, WIRE, Columns, decode, fingerprint, moment64
from citycard.core.calendar import Calendar
from citycard.core.crypto import SUITES, TRIPLE_DES, diversify
from citycard.core.layout import LayoutError
from citycard.core.purse import load_tac, purchase_tac
from citycard.core.record import RECORD_NAMES, RECORD_SIZE, Kind, TapRecord
from citycard.core.tunion import factors
from tests.clearing.world import DAY, World, fake_checker, signed

ROOT = bytes(range(16))  # a TAC root key nobody uses
CLOSED = datetime.combine(DAY, time(23))


def columns(raw: bytes, calendar: Calendar | None = None) -> Columns:
    """Decoded as one batch."""
    count = len(raw) // RECORD_SIZE
    numbers = np.arange(count, dtype="i8")
    closed = np.repeat(moment64(CLOSED), count)
    return decode(raw, np.zeros(count, "i8"), numbers, closed, calendar or Calendar())


def scalar(raw: bytes) -> TapRecord | None:
    """What one record at a time comes to; None: malformed."""
    try:
        record = TapRecord.decode(raw)
    except LayoutError:
        return None
    return record if record.kind in list(Kind) else None


def spoilt(record: bytes, at: int, value: int) -> bytes:
    """The record with one byte replaced."""
    return record[:at] + bytes((value,)) + record[at + 1 :]


def test_the_wire_layout_is_the_declared_one() -> None:
    assert WIRE.itemsize == RECORD_SIZE
    assert {name: WIRE.fields[name][1] for name in WIRE.names} == RECORD.offsets


@given(st.lists(st.tuples(st.integers(0, RECORD_SIZE - 1), st.integers(0, 255)), min_size=1, max_size=60))
def test_every_byte_spoilt_is_judged_as_the_core_judges_it(changes: list[tuple[int, int]]) -> None:
    good = GOOD.encode()
    records = [spoilt(good, at, value) for at, value in changes]
    found = columns(b"".join(records))
    table = found.table(fake_checker).to_pylist()
    for raw, row in zip(records, table, strict=True):
        record = scalar(raw)
        assert row["decoded"] == (record is not None)
        if record is None:
            continue
        for name in RECORD_NAMES:
            value = getattr(record, name)
            if name in row:
                assert row[name] == (value.hex() if isinstance(value, bytes) else value), name
        assert row["business_date"] == Calendar().business_date(record.tapped_at)
        assert row["terminal_id"] == int.from_bytes(record.terminal, "big")


@given(st.binary(min_size=RECORD_SIZE, max_size=RECORD_SIZE))
def test_noise_is_no_error(raw: bytes) -> None:
    assert columns(raw).table(fake_checker).to_pylist()[0]["decoded"] == (scalar(raw) is not None)


@pytest.mark.parametrize(
    ("bcd", "valid"),
    [
        ("20240229235959", True),
        ("20230229000000", False),
        ("21000229000000", False),
        ("20261231240000", False),
        ("20260431000000", False),
        ("00000101000000", False),
        ("2026030A000000", False),
        ("99991231235959", True),
    ],
)
def test_dates_that_are_none(bcd: str, valid: bool) -> None:
    raw = GOOD.encode()
    span = RECORD.span("tapped_at")
    raw = raw[: span.start] + bytes.fromhex(bcd) + raw[span.stop :]
    assert (scalar(raw) is not None) == valid
    assert bool(columns(raw).decoded[0]) == valid


def test_a_malformed_record_takes_the_moment_its_batch_was_closed() -> None:
    row = columns(bytes(RECORD_SIZE)).table(fake_checker).to_pylist()[0]
    assert (row["decoded"], row["tapped_at"], row["business_date"]) == (False, CLOSED, DAY)


@given(
    st.binary(min_size=RECORD_SIZE, max_size=RECORD_SIZE),
    st.integers(0, RECORD_SIZE - 1),
    st.integers(1, 255),
)
def test_a_changed_byte_changes_the_fingerprint(raw: bytes, at: int, by: int) -> None:
    other = spoilt(raw, at, raw[at] ^ by)
    one, two = fingerprint(np.frombuffer(raw + other, WIRE))
    assert one != two


@pytest.mark.parametrize("algorithm", sorted(SUITES))
def test_the_checker_is_given_what_a_real_tac_covers(algorithm: int) -> None:
    """A checker with the core's own cipher accepts TACs made with it, purchases and loads alike."""

    def real(rows: list) -> list[bool]:  # type: ignore[type-arg]
        verdicts = []
        for (
            issuer,
            pan,
            _,
            suite_id,
            kind,
            txn,
            amount,
            terminal,
            terminal_txn,
            moment,
            counter,
            after,
            tac,
        ) in rows:
            suite = SUITES[suite_id]
            message = (
                load_tac(after, counter, amount, txn, terminal, moment)
                if kind == Kind.LOAD
                else purchase_tac(amount, txn, terminal, terminal_txn, moment)
            )
            verdicts.append(suite.tac(diversify(suite, ROOT, factors(issuer, pan)), message) == tac)
        return verdicts

    assert TRIPLE_DES.id in SUITES
    key = diversify(SUITES[algorithm], ROOT, factors(GOOD.issuer, GOOD.pan))
    bought = replace(GOOD, algorithm=algorithm, terminal_txn=77)
    cover = purchase_tac(bought.amount_fen, bought.txn, bought.terminal, 77, bought.moment)
    loaded = replace(GOOD, kind=Kind.LOAD, algorithm=algorithm, amount_fen=5000)
    after = loaded.balance_before_fen + 5000
    cover_load = load_tac(after, loaded.counter, 5000, loaded.txn, loaded.terminal, loaded.moment)
    tac = SUITES[algorithm].tac
    records = [
        replace(bought, tac=tac(key, cover)),
        replace(loaded, tac=tac(key, cover_load)),
        replace(bought, amount_fen=bought.amount_fen + 1, tac=tac(key, cover)),
    ]
    table = columns(b"".join(record.encode() for record in records)).table(real)
    assert table["tac_ok"].to_pylist() == [True, True, False]


def _good() -> TapRecord:
    from pathlib import Path

    return signed(replace(World(Path()).tap("A", 250), entry_at=datetime(2026, 3, 2, 7, 40), flags=3))


GOOD = _good()
