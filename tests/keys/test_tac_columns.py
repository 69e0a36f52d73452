# SPDX-License-Identifier: Apache-2.0
"""Columns of tap records: their messages are `core.purse`'s, and keys are lent for a moment only."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.clearing.decode import WIRE
from citycard.core.crypto import SUITES, diversify
from citycard.core.purse import load_tac, purchase_tac
from citycard.core.record import RECORD, RECORD_SIZE, Kind, TapRecord
from citycard.keys import KeyName, MemoryVault, TacRow
from citycard.keys.tac import CardBatch, CardKeys, KeyPath, TacBatch, TacColumns, TacVerifier, diversify_each
from citycard.keys.tac import columns as room
from tests.keys.cast import FACTORS, ISSUER, PAN, TERMINAL, card_key, known_key, known_vault

VAULT = known_vault()
NOON = datetime(2024, 1, 15, 12)
TXN_OF = {Kind.PURCHASE: 9, Kind.LOAD: 2}


def message(record: TapRecord) -> bytes:
    """What the record's TAC covers, by `core.purse`."""
    if record.kind == Kind.LOAD:
        after = record.balance_before_fen + record.amount_fen
        return load_tac(after, record.counter, record.amount_fen, record.txn, record.terminal, record.moment)
    return purchase_tac(record.amount_fen, record.txn, record.terminal, record.terminal_txn, record.moment)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """A genuine record on the wire."""
    kind, suite = draw(st.sampled_from(Kind)), draw(st.sampled_from([*SUITES]))
    record = TapRecord(
        kind=kind, service=2, txn=TXN_OF[kind], counter=draw(st.integers(0, 0xFFFF)), algorithm=suite,
        issuer=draw(st.sampled_from([ISSUER, bytes(8)])), pan=f"{draw(st.integers(0, 10**19)):020d}",
        acquirer=bytes(8), terminal=TERMINAL, sequence=7, terminal_txn=draw(st.integers(0, 0xFFFF_FFFF)),
        tapped_at=NOON + timedelta(seconds=draw(st.integers(0, 10**6))),
        balance_before_fen=draw(st.integers(0, 10**6)), amount_fen=draw(st.integers(0, 10**6)), tac=bytes(4),
    )  # fmt: skip
    key = card_key("tac", suite, (record.issuer, bytes.fromhex(record.pan)[2:]))
    raw = bytearray(record.encode())
    raw[RECORD.span("tac")] = SUITES[suite].tac(key, message(record))
    return bytes(raw)


def wire(raws: list[bytes]) -> Any:
    return np.frombuffer(b"".join(raws), WIRE)


def row(raw: bytes) -> TacRow:
    """The record as a row of plain values; what is no record stays what it is."""
    field = {name: raw[RECORD.span(name)] for name in RECORD.offsets}
    number = {name: int.from_bytes(value, "big") for name, value in field.items()}
    after = number["balance_before_fen"] + number["amount_fen"]
    return TacRow(
        field["issuer"], field["pan"].hex(), number["key_version"], number["algorithm"], number["kind"],
        number["txn"], number["amount_fen"], field["terminal"], number["terminal_txn"], field["tapped_at"],
        number["counter"], after, field["tac"],
    )  # fmt: skip


COVERED = [
    at
    for name in RECORD.offsets
    if name in ("kind", "txn", "algorithm", "key_version", "issuer", "pan", "terminal", "terminal_txn",
                "tapped_at", "amount_fen", "balance_before_fen", "counter", "tac")
    for at in range(RECORD.span(name).start, RECORD.span(name).stop)
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(records(), max_size=20),
    st.lists(st.tuples(st.integers(0, 19), st.sampled_from(COVERED), st.integers(0, 255)), max_size=20),
)
def test_columns_and_rows_agree_on_every_spoilt_byte(
    raws: list[bytes], spoils: list[tuple[int, int, int]]
) -> None:
    check = VAULT.tac_checker()
    assert check.verify(TacColumns.of_wire(wire(raws))).all()
    for number, at, value in spoils:
        if number < len(raws):
            raws[number] = raws[number][:at] + bytes((value,)) + raws[number][at + 1 :]
    found = check.verify(TacColumns.of_wire(wire(raws))).tolist()
    assert found == check([row(raw) for raw in raws])
    assert found == TacVerifier(VAULT, sealed=True).verify(TacColumns.of_wire(wire(raws))).tolist()


@given(st.lists(records(), min_size=1, max_size=8))
def test_the_messages_are_those_of_the_purse(raws: list[bytes]) -> None:
    batch = TacColumns.of_wire(wire(raws)).batch()
    for at, raw in enumerate(raws):
        assert batch.messages[at, : batch.lengths[at]].tobytes() == message(TapRecord.decode(raw))


def columns(**more: Any) -> TacColumns:
    """One purchase as a table of wide numbers would hold it, some of them replaced."""
    raw = np.frombuffer(bytes(RECORD_SIZE), WIRE)
    values: dict[str, Any] = {
        name: np.asarray(getattr(TacColumns.of_wire(raw), name)) for name in TacColumns.__slots__
    }
    numbers = {
        "kind": 1,
        "txn": 9,
        "key_version": 1,
        "algorithm": 0,
        "amount_fen": 200,
        "terminal_txn": 7,
        "counter": 3,
        "balance_after_fen": 0,
    }
    values |= {name: np.array([value], np.int64) for name, value in (numbers | more).items()}
    return TacColumns(**values)


def test_numbers_that_no_card_could_have_covered() -> None:
    assert columns().sound().all()
    purchase = [
        ("amount_fen", 1 << 32),
        ("amount_fen", -1),
        ("txn", 256),
        ("terminal_txn", -1),
        ("kind", 3),
        ("key_version", 256),
        ("algorithm", -1),
    ]
    for name, value in purchase:
        assert not columns(**{name: value}).sound().any(), name
    for name, value in (("counter", 1 << 16), ("balance_after_fen", -1), ("balance_after_fen", 1 << 32)):
        assert columns(**{name: value}).sound().all() and not columns(**{name: value}, kind=2).sound().any()
    assert not VAULT.tac_checker().verify(columns(amount_fen=-1)).any()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=60), st.sampled_from([1, 2, 16]))
def test_distinct_pairs(pairs: list[tuple[int, int]], bits: int) -> None:
    a, b = (np.array([pair[at] for pair in pairs], np.uint64) for at in (0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "SLOT_BITS_MAX", bits)  # so few slots that pairs meet in one
        firsts, which = room.distinct(a, b)
    assert [pairs[first] for first in firsts[which].tolist()] == pairs
    assert len(firsts) == len(set(pairs))


class Spy(MemoryVault):
    """A vault that sees what it lends."""

    lent: list[tuple[CardBatch, CardKeys]]

    def card_tac_keys(self, name: str, cards: CardBatch) -> CardKeys:
        keys = super().card_tac_keys(name, cards)
        assert keys.words.any()
        self.lent.append((cards, keys))
        return keys


def spy() -> Spy:
    vault = Spy()
    vault.lent = []
    for suite in SUITES:
        vault.import_key(KeyName.TAC, suite, 1, known_key("tac", suite))
    return vault


def taps(cards: list[int]) -> TacBatch:
    """Purchases by cards of the known vault, some right and some not."""
    factors = np.array([[int.from_bytes(FACTORS[1], "big") + card] for card in cards], np.uint64)
    count = len(cards)
    return TacBatch(
        (KeyPath(1, 0, (ISSUER,)),), np.zeros(count, np.intp), factors,
        np.zeros((count, 32), np.uint8), np.full(count, 22), np.zeros(count, np.uint32),
    )  # fmt: skip


def test_each_run_of_a_card_is_diversified_once_and_its_key_wiped() -> None:
    vault = spy()
    vault.tac_checker().verify_batch(taps([3, 3, 3, 1, 1, 3]))
    ((cards, keys),) = vault.lent
    assert (cards.factors - cards.factors.min()).tolist() == [2, 0, 2]
    assert not keys.words.any()
    assert repr(keys) == "<card keys>"


def test_when_verification_fails_keys_are_wiped_and_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    vault, told = spy(), ""

    def fail(*_: object) -> None:
        raise OSError("as it comes")

    monkeypatch.setattr("citycard.keys.tac.verifier._macs", fail)
    try:
        vault.tac_checker().verify_batch(taps([1, 2]))
    except OSError as error:
        told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "as it comes" in told and "<card keys>" in told
    secrets = [int(word) for word in vault.card_tac_keys("tac", cards_of(taps([1, 2]))).words.reshape(-1)]
    assert not any(form in told for word in secrets for form in (str(word), f"{word:x}", f"{word:X}"))
    cards, keys = vault.lent[0]
    assert len(cards) == 2 and not keys.words.any()
    with pytest.raises(TypeError, match="holds secrets"):
        pickle.dumps(keys)


def cards_of(batch: TacBatch) -> CardBatch:
    return CardBatch(batch.paths, batch.which, batch.factors[:, 0])


class Module(MemoryVault):
    """What a security module can do: encipher many blocks under a key that stays inside."""

    def card_tac_keys(self, name: str, cards: CardBatch) -> CardKeys:
        def encrypt(path: KeyPath, blocks: bytes) -> bytes | None:
            if path.version != 1:
                return None
            cipher = SUITES[path.suite]
            return cipher.encrypt(diversify(cipher, known_key("tac", path.suite), path.factors), blocks)

        return diversify_each(cards, encrypt)


class Closed(MemoryVault):
    """One that lends nothing."""

    def card_tac_keys(self, name: str, cards: CardBatch) -> CardKeys:
        raise AssertionError("a key was asked for")


def vaults() -> Iterator[tuple[MemoryVault, bool]]:
    yield known_vault(), False
    yield Module(), False
    closed = Closed()
    for suite in SUITES:
        closed.import_key(KeyName.TAC, suite, 1, known_key("tac", suite))
    yield closed, True


def test_all_ways_of_custody_give_the_same_verdicts() -> None:
    batch = taps([1, 1, 2, 3, 4, 4])
    right, _ = TacVerifier(known_vault()).tacs(batch)
    paths = (*batch.paths, KeyPath(9, 0, (ISSUER,)), KeyPath(1, 77, (ISSUER,)))
    which = np.array([0, 0, 0, 0, 1, 2])
    tac = right ^ np.array([0, 1, 0, 0, 0, 0], np.uint32)
    mixed = TacBatch(paths, which, batch.factors, batch.messages, batch.lengths, tac)
    for vault, sealed in vaults():
        found = TacVerifier(vault, sealed=sealed).verify_batch(mixed)
        assert found.tolist() == [True, False, True, True, False, False], vault


def test_a_message_longer_than_its_column_is_refused() -> None:
    batch = taps([1])
    with pytest.raises(ValueError, match="longer than its column"):
        TacVerifier(VAULT).tacs(
            TacBatch(batch.paths, batch.which, batch.factors, batch.messages, batch.lengths + 99, batch.tac)
        )
    assert PAN.endswith(FACTORS[1].hex())
