# SPDX-License-Identifier: Apache-2.0
"""The exchange's pure rules: evidence that travels, the acquirer's own checks, rates, shares, positions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citycard.core.calendar import Calendar, bcd_datetime
from citycard.core.interop import evidence, money
from citycard.core.interop.formats import CD
from citycard.core.interop.money import Books, Parts, Rate
from citycard.core.interop.states import NEXT, Event, State, step
from citycard.core.problem import Problem
from citycard.core.purse import purchase_tac
from citycard.core.record import Flag, TapRecord
from citycard.core.refusal import Reason
from citycard.keys import MemoryVault, scheme_ceremony
from citycard.keys.hierarchy import card_factors
from citycard.keys.vault import KeyName, TacRow

DAY = date(2026, 3, 2)
AT = datetime(2026, 3, 2, 8, 1, 30)
ISSUER, PAN = bytes.fromhex("02009901ffffffff"), "03109901010000000011"
TAP = TapRecord(
    kind=1, service=2, txn=9, counter=7, issuer=ISSUER, pan=PAN, acquirer=bytes.fromhex("1200990000000002"),
    terminal=bytes.fromhex("990000010101"), sequence=42, terminal_txn=77, tapped_at=AT, balance_before_fen=5000,
    amount_fen=180, list_fen=200, concession_fen=20, tac=b"\1\2\3\4", line=1, station=1, hotlist_version=5,
)  # fmt: skip
ORGS = {
    "acquirer_org": "99000000001",
    "issuer_org": "99010000001",
    "receiver_org": "99990000001",
    "sender_org": "99000000001",
}


def test_the_issuer_verifies_what_the_terminal_recorded_and_nobody_else_can() -> None:
    """TAC made by the card's own key; through the bytes of a CD line; checked with two cities' vaults."""
    vaults = []
    for seed in (1, 2):
        vault = MemoryVault(clock=lambda: AT, random=Random(seed).randbytes)
        scheme_ceremony(vault)
        vaults.append(vault)
    message = purchase_tac(180, 9, TAP.terminal, 77, bcd_datetime(AT))
    tac = vaults[0].tac(KeyName.TAC, 1, card_factors(ISSUER, PAN), message)
    row = evidence.to_row(replace(TAP, tac=tac), 17, DAY, ORGS)
    arrived = evidence.to_record(CD.decode(CD.encode(row)))
    verdicts = [vault.tac_checker()([_tac_row(arrived)]) for vault in vaults]
    assert verdicts == [[True], [False]]
    assert vaults[0].tac_checker()([_tac_row(replace(arrived, amount_fen=181))]) == [False]
    assert (arrived.id, arrived.counter, arrived.pan) == (TAP.id, 7, PAN)
    assert (arrived.service, arrived.acquirer, arrived.line) == (evidence.AWAY, ISSUER, 0)
    assert arrived.encode()  # it is a record its own clearing can read


def _tac_row(one: TapRecord) -> TacRow:
    return TacRow(
        one.issuer, one.pan, one.key_version, one.algorithm, one.kind, one.txn, one.amount_fen, one.terminal,
        one.terminal_txn, one.moment, one.counter, 0, one.tac,
    )  # fmt: skip


@pytest.mark.parametrize("tag", evidence.TAGS)
def test_evidence_that_lacks_anything_is_refused(tag: int) -> None:
    from citycard.core.tlv import parse, tlv

    row = evidence.to_row(TAP, 17, DAY, ORGS)
    for kept in (
        lambda t, v: b"" if t == tag else tlv(t, v),
        lambda t, v: tlv(t, v + b"\0" if t == tag else v),
    ):
        with pytest.raises(Problem) as caught:
            evidence.to_record(
                row | {"verification": b"".join(kept(t, v) for t, v in parse(row["verification"]))}
            )
        assert (caught.value.code, caught.value.fields["tag"]) == ("EVIDENCE_MISSING", f"{tag:X}")


# what is wrong                                         settled         the acquirer's word
CHECKS = [
    ({},                                                DAY,            Reason.OK),
    ({"amount_fen": 0, "list_fen": 0, "concession_fen": 0}, DAY,        Reason.OK),
    ({"flags": int(Flag.TEST)},                         DAY,            Reason.TEST_RECORD),
    ({"kind": 2},                                       DAY,            Reason.AMOUNT_INCONSISTENT),
    ({"amount_fen": 200},                               DAY,            Reason.AMOUNT_INCONSISTENT),
    ({"balance_before_fen": 179},                       DAY,            Reason.OVER_LIMIT),
    ({"amount_fen": 100_001, "list_fen": 100_021, "balance_before_fen": 200_000}, DAY, Reason.OVER_LIMIT),
    ({"tapped_at": AT + timedelta(days=1)},             DAY,            Reason.FROM_THE_FUTURE),
    ({},                                                DAY + timedelta(days=8), Reason.TOO_LATE),
    ({},                                                DAY + timedelta(days=7), Reason.OK),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "settle_on", "word"), CHECKS)
def test_the_acquirer_checks_all_but_the_tac(changes: Any, settle_on: date, word: Reason) -> None:
    assert evidence.own_checks(replace(TAP, **changes), settle_on, Calendar()) is word


WIDE = Rate("any", 100, 20, 50, DAY)
# rates beside the wide one                                            mcc     acquirer  issuer  which
RATES = [
    ([],                                                               "4111", "a",      "i",    "any"),
    ([Rate("metro", 60, 0, 0, DAY, mcc="4111")],                       "4111", "a",      "i",    "metro"),
    ([Rate("metro", 60, 0, 0, DAY, mcc="4111")],                       "4131", "a",      "i",    "any"),
    ([Rate("a", 1, 0, 0, DAY, acquirer="a"), Rate("ai", 1, 0, 0, DAY, acquirer="a", issuer="i")], "4111", "a", "i", "ai"),
    ([Rate("old", 1, 0, 0, date(2020, 1, 1), date(2026, 3, 1), mcc="4111")], "4111", "a", "i",   "any"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "mcc", "acquirer", "issuer", "which"), RATES)
def test_the_rate_that_says_most_counts(
    more: list[Rate], mcc: str, acquirer: str, issuer: str, which: str
) -> None:
    found = money.rate_for([WIDE, *more], mcc, acquirer, issuer, DAY)
    assert found is not None
    assert found.name == which


def test_a_gap_in_time_is_no_rate_and_two_equal_ones_are_told() -> None:
    assert money.rate_for([WIDE], "4111", "a", "i", DAY - timedelta(days=1)) is None
    two = [Rate("m", 1, 0, 0, DAY, mcc="4111"), Rate("n", 1, 0, 0, DAY, issuer="i")]
    with pytest.raises(Problem, match="m, n") as caught:
        money.rate_for(two, "4111", "a", "i", DAY)
    assert caught.value.code == "RATE_AMBIGUOUS"
    with pytest.raises(Problem, match="more than its fee"):
        Rate("bad", 10, 6, 5, DAY)


def test_shares_by_hand() -> None:
    """1.00 % of 3.65 yuan is 3.65 fen, rounded to 4; halves and fifths of it by largest remainder."""
    parts = money.parts_of(365, WIDE)
    assert parts == Parts(365, 4, 2, 1)
    assert (parts.issuer_net_fen, parts.acquirer_net_fen, parts.hub_net_fen) == (-363, 362, 1)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(0, 10**6), st.booleans()),
        max_size=12,
    )
)
def test_books_and_positions_add_up_to_zero_and_agree(rows: list[tuple[str, str, int, bool]]) -> None:
    flat, balance = [], dict.fromkeys("abch", 0)
    for number, (issuer, acquirer, amount, adjusted) in enumerate(rows):
        parts = money.parts_of(amount, WIDE)
        legs = money.clearing_legs(number, parts, Books(issuer, acquirer, "h"), DAY)
        if adjusted:
            legs += money.adjustment_legs(number, number, parts, Books(issuer, acquirer, "h"), DAY)
        for leg in legs:
            balance[leg.debit] -= leg.amount_fen
            balance[leg.credit] += leg.amount_fen
        told = {"issuer_org": issuer, "acquirer_org": acquirer, **parts._asdict()}
        flat += [told | {"sign": 1}] + ([told | {"sign": -1}] if adjusted else [])
    nets = {
        org: sum(row["net_fen"] for row in lines if row["counterparty_org"] == "h")
        for org, lines in money.positions(flat, "h", DAY).items()
    }
    assert sum(balance.values()) == 0
    assert {org: fen for org, fen in balance.items() if org != "h" and fen} == {
        o: n for o, n in nets.items() if n
    }


def test_a_tap_moves_only_as_the_table_says() -> None:
    for state in State:
        for event in Event:
            if (state, event) in NEXT:
                assert step("x", state, event) is NEXT[state, event]
            else:
                with pytest.raises(Problem, match="cannot be told"):
                    step("x", state, event)
    ends = {state for state in State if not any(before is state for before, _ in NEXT)}
    assert ends == {State.RETURNED, State.ADJUSTED}
