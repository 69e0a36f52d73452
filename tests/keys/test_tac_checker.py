# SPDX-License-Identifier: Apache-2.0
"""The fast TAC path agrees with the plain one, and refuses rows without failing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.core.crypto import SUITES
from citycard.core.purse import load_tac, purchase_tac
from citycard.core.record import Kind
from citycard.keys import TacRow, card_factors, tac_checker
from tests.keys.cast import ISSUER, MOMENT, PAN, TERMINAL, card_key, known_vault

VAULT = known_vault()
U32 = st.integers(0, 0xFFFF_FFFF)


@st.composite
def rows(draw: st.DrawFn) -> TacRow:
    """A row with its right TAC, over few cards so that they repeat."""
    issuer = draw(st.sampled_from([ISSUER, bytes.fromhex("02009900FFFFFFFF")]))
    pan = f"{draw(st.integers(0, 5)) * 37:020d}"
    kind, suite = draw(st.sampled_from(Kind)), draw(st.sampled_from([*SUITES]))
    txn = 2 if kind == Kind.LOAD else draw(st.sampled_from([5, 6, 9]))
    amount, balance, serial = draw(U32), draw(U32), draw(U32)
    counter = draw(st.integers(0, 0xFFFF))
    if kind == Kind.LOAD:
        message = load_tac(balance, counter, amount, txn, TERMINAL, MOMENT)
    else:
        message = purchase_tac(amount, txn, TERMINAL, serial, MOMENT)
    tac = SUITES[suite].tac(card_key("tac", suite, card_factors(issuer, pan)), message)
    return TacRow(issuer, pan, 1, suite, kind, txn, amount, TERMINAL, serial, MOMENT, counter, balance, tac)


@settings(max_examples=60)
@given(st.lists(st.tuples(rows(), st.booleans()), max_size=30))
def test_right_tacs_and_no_others(chosen: list[tuple[TacRow, bool]]) -> None:
    sent = [
        row if right else row._replace(tac=bytes((row.tac[0] ^ 1,)) + row.tac[1:]) for row, right in chosen
    ]
    check = tac_checker(VAULT)
    expected = [right for _, right in chosen]
    assert check(sent) == expected
    assert check([tuple(row) for row in reversed(sent)]) == expected[::-1]


@given(rows(), st.data())
def test_each_covered_value_counts(row: TacRow, data: st.DataObject) -> None:
    covered = ["amount_fen", "txn", "terminal", "moment", "pan", "issuer", "key_version", "algorithm", "kind"]
    covered += ["counter", "balance_after_fen"] if row.kind == Kind.LOAD else ["terminal_txn"]
    name = data.draw(st.sampled_from(covered))
    value = getattr(row, name)
    other = value ^ 1 if isinstance(value, int) else "9" * 20 if name == "pan" else bytes(len(value))
    assert tac_checker(VAULT)([row, row._replace(**{name: other}), row]) == [True, False, True]


def test_rows_that_no_card_made() -> None:
    good = TacRow(ISSUER, PAN, 1, 0, 1, 9, 200, TERMINAL, 7, MOMENT, 3, 0, bytes(4))
    bad = [
        {"pan": "x" * 20}, {"pan": ""}, {"pan": "٣" * 20}, {"issuer": b""}, {"key_version": 0},
        {"algorithm": 77}, {"amount_fen": -1}, {"amount_fen": 1 << 32}, {"txn": 256},
        {"terminal": b""}, {"moment": b""},
        {"terminal_txn": -5}, {"kind": 3}, {"tac": b""}, {"kind": 2, "counter": 1 << 16},
    ]  # fmt: skip
    assert tac_checker(VAULT)([good._replace(**change) for change in bad]) == [False] * len(bad)
    assert tac_checker(VAULT)([]) == []
