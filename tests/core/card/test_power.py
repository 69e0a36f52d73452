# SPDX-License-Identifier: Apache-2.0
"""Power is cut at every single cell write: a command has then done all of its work or none of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from zlib import crc32

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from citycard.core.card import CELL, Card, Memory, PowerLost
from citycard.core.card.atomic import BODY_AT, HEAD, JOURNAL_AT, SPAN, Change, Journal
from citycard.core.card.image import TABLE_AT
from citycard.core.purse import Txn
from tests.core.card.counter import (
    CONTROL,
    MAINTENANCE,
    PUBLIC,
    PURCHASE,
    Counter,
    industry,
    personalised,
    stage_industry,
    stage_transit,
    transit,
)

CAP_FEN = 100_000
Cut = tuple[int, bytes | str]  # which cell write, and what it leaves: "old", "new", or these bytes


@dataclass
class Cutter:
    """A fuse that blows at the n-th cell write."""

    cut: Cut
    writes: int = 0

    def __call__(self, address: int, old: bytes, new: bytes) -> bytes | None:
        self.writes += 1
        if self.writes - 1 != self.cut[0]:
            return None
        left = self.cut[1]
        if isinstance(left, bytes):
            return left
        return {"old": old, "new": new, "half": new[:4] + old[4:], "blank": b"\xff" * CELL}[left]


def with_power(card: Card, cuts: list[Cut]) -> None:
    """Power the card on, cutting it off again once for each cut that comes to pass, until it stays on."""
    for cut in cuts:
        card.memory.fuse = Cutter(cut)
        try:
            card.power_on()
            break
        except PowerLost:
            continue
    card.memory.fuse = None
    card.power_on()


# Every write, exhaustively


def metro_exit(image: bytes) -> tuple[Counter, bytes]:
    """A card with money, opened for an exit that stages both transit files, and the DEBIT to send."""
    counter = Counter(Card.from_image(image, Random(3).randbytes))
    counter.card.power_on()
    counter.select()
    opened = counter.ok(counter.init_purchase(500, Txn.COMPOSITE))
    counter.ok(stage_industry(1, 0xA1))
    counter.ok(stage_transit(0xE1))
    return counter, counter.debit(500, opened, Txn.COMPOSITE)


def contents(card: Card) -> bytes:
    """All that counts: the cells beyond head and journal."""
    return card.image()[TABLE_AT:]


@pytest.fixture(scope="module")
def exit_images() -> tuple[bytes, bytes, bytes, int]:
    """The card's image before a metro exit, its contents before and after, and how many cells are written."""
    counter = personalised()
    counter.load(10_000)
    image = counter.card.image()
    before = contents(counter.card)
    counter, debit = metro_exit(image)
    fuse = counter.card.memory.fuse = Cutter((-1, "old"))
    counter.ok(debit)
    return image, before, contents(counter.card), fuse.writes


@pytest.mark.parametrize("left", ["old", "new", "half", "blank", b"garbage!"])
def test_a_cut_at_any_write_leaves_all_or_nothing(
    exit_images: tuple[bytes, bytes, bytes, int], left: str | bytes
) -> None:
    image, before, after, writes = exit_images
    assert before != after
    outcomes = []
    for at in range(writes):
        counter, debit = metro_exit(image)
        counter.card.memory.fuse = Cutter((at, left))
        with pytest.raises(PowerLost):
            counter.card.process(debit)
        with pytest.raises(PowerLost):
            counter.card.process(debit)
        with_power(counter.card, [])
        found = contents(counter.card)
        assert found in (before, after)
        outcomes.append(found == after)
        counter.select()
        assert counter.sw("805A0009020001" + "08") == ("9000" if found == after else "9406")
    assert outcomes == sorted(outcomes), "a later cut undid what an earlier one kept"
    assert True in outcomes
    assert False in outcomes


def test_a_cut_during_recovery_changes_nothing(exit_images: tuple[bytes, bytes, bytes, int]) -> None:
    image, before, after, writes = exit_images
    for at in range(writes):
        counter, debit = metro_exit(image)
        counter.card.memory.fuse = Cutter((at, b"garbage!"))
        with pytest.raises(PowerLost):
            counter.card.process(debit)
        torn = counter.card.image()
        counter.card.memory.fuse = None
        with_power(counter.card, [])
        whole = contents(counter.card)
        for again in range(writes):
            card = Card.from_image(torn, Random(1).randbytes)
            with_power(card, [(again, b"\x00\x00\x00\x28torn"), (again // 2, "half")])
            assert contents(card) == whole
    assert whole == after != before


# Any history, any cut, against a model


@dataclass(frozen=True)
class Model:
    """What a card is, to whoever only asks it."""

    balance_fen: int = 0
    online: int = 0
    offline: int = 0
    log: tuple[tuple[int, int], ...] = ()  # (counter, amount), newest first
    transit: tuple[bytes, ...] = ()
    industry: tuple[bytes, ...] = (bytes(124),) * 18
    public: bytes = PUBLIC
    key_version: int = 1


LEFT = st.sampled_from(["old", "new", "half", "blank"]) | st.binary(min_size=CELL, max_size=CELL)
CUTS = st.lists(st.tuples(st.integers(0, 75), LEFT), max_size=4)
FILLINGS = st.integers(1, 255)


class TornCard(RuleBasedStateMachine):
    """Loads, purchases, staged records, file and key writes, each of which may be cut at any write."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = personalised()
        self.model = Model()

    def observed(self) -> Model:
        """The card's state as its answers tell it."""
        counter = self.counter
        purchase, load = counter.ok(counter.init_purchase(0)), counter.ok(counter.init_load(0))
        log = [(int.from_bytes(r[:2], "big"), int.from_bytes(r[5:9], "big")) for r in counter.records(0x18)]
        return Model(
            counter.balance(),
            int.from_bytes(load[4:6], "big"),
            int.from_bytes(purchase[4:6], "big"),
            tuple(log),
            tuple(counter.records(0x1E)),
            tuple(record[4:] for record in counter.records(0x1A)),
            counter.ok("00B0950000"),
            purchase[9],
        )

    def attempt(self, command: bytes, after: Model, cuts: list[Cut], proof: str = "") -> None:
        """Send the command that commits, cutting as told; the card is then as before or as after."""
        before, card = self.model, self.counter.card
        card.memory.fuse = Cutter(cuts[0]) if cuts else None
        try:
            answer = card.process(command)
            cut = False
        except PowerLost:
            cut = True
            with_power(card, cuts[1:])
            self.counter.select()
        card.memory.fuse = None
        self.model = self.observed()
        assert self.model in (before, after)
        if not cut:
            assert answer[-2:] == b"\x90\x00"
            assert self.model == after
        if proof:
            assert self.counter.sw(proof) == ("9000" if self.model == after else "9406")

    @rule(amount_fen=st.integers(0, CAP_FEN), cuts=CUTS)
    def load(self, amount_fen: int, cuts: list[Cut]) -> None:
        model, counter = self.model, self.counter
        if model.balance_fen + amount_fen > CAP_FEN:
            assert counter.sw(counter.init_load(amount_fen)) == "6A80"
            return
        opened = counter.ok(counter.init_load(amount_fen))
        after = replace(
            model,
            balance_fen=model.balance_fen + amount_fen,
            online=model.online + 1,
            log=((model.online, amount_fen), *model.log)[:10],
        )
        proof = f"805A000202{model.online + 1:04X}08"
        self.attempt(counter.credit(amount_fen, opened), after, cuts, proof)

    @rule(
        part=st.integers(0, 120), staged=st.booleans(), number=st.integers(1, 18), filling=FILLINGS, cuts=CUTS
    )
    def composite(self, part: int, staged: bool, number: int, filling: int, cuts: list[Cut]) -> None:
        model, counter = self.model, self.counter
        amount_fen = model.balance_fen * part // 100
        if amount_fen > model.balance_fen:
            assert counter.sw(counter.init_purchase(amount_fen, Txn.COMPOSITE)) == "9401"
            return
        after = replace(
            model,
            balance_fen=model.balance_fen - amount_fen,
            offline=model.offline + 1,
            log=((model.offline, amount_fen), *model.log)[:10],
            transit=(transit(filling), *model.transit)[:30],
        )
        opened = counter.ok(counter.init_purchase(amount_fen, Txn.COMPOSITE))
        counter.ok(stage_transit(filling))
        if staged:
            counter.ok(stage_industry(number, filling))
            rows = list(model.industry)
            rows[number - 1] = industry(number, filling)[4:]
            after = replace(after, industry=tuple(rows))
        proof = f"805A000902{model.offline + 1:04X}08"
        self.attempt(counter.debit(amount_fen, opened, Txn.COMPOSITE), after, cuts, proof)

    @rule(at=st.integers(0, 29), filling=st.binary(min_size=1, max_size=30), cuts=CUTS)
    def rewrite_public(self, at: int, filling: bytes, cuts: list[Cut]) -> None:
        filling = filling[: 30 - at]
        public = self.model.public[:at] + filling + self.model.public[at + len(filling) :]
        command = self.counter.secured(f"04D695{at:02X}", filling)
        self.attempt(command, replace(self.model, public=public), cuts)
        self.counter.ok(self.counter.secured("04D69500", self.model.public, MAINTENANCE))

    @rule(version=st.integers(0, 255), cuts=CUTS)
    def renew_key(self, version: int, cuts: list[Cut]) -> None:
        counter = self.counter
        counter.select()
        record = bytes((0x3E, 0xF0, 0x02, version, 0x00)) + PURCHASE
        plain = bytes((len(record),)) + record + b"\x80\x00"
        command = counter.secured("84D43E01", counter.suite.encrypt(CONTROL, plain), CONTROL)
        self.attempt(command, replace(self.model, key_version=version), cuts)

    @rule(filling=FILLINGS)
    def torn_before_the_debit(self, filling: int) -> None:
        counter = self.counter
        opened = counter.ok(counter.init_purchase(0, Txn.COMPOSITE))
        counter.ok(stage_transit(filling))
        counter.card.power_off()
        counter.card.power_on()
        counter.select()
        assert counter.sw(counter.debit(0, opened, Txn.COMPOSITE)) == "6985"

    @invariant()
    def the_card_is_as_the_model_says(self) -> None:
        assert self.observed() == self.model
        assert 0 <= self.model.balance_fen <= CAP_FEN


TestTornCard = TornCard.TestCase
TestTornCard.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)


# The journal by itself


def test_a_change_over_shared_cells_keeps_their_neighbours() -> None:
    memory = Memory(bytes(range(256)) * 9)
    change = Change(memory)
    for address, data in ((2003, b"abc"), (2006, b"defghijkl"), (2003, b"X"), (2100, b"!")):
        change.write(address, data)
    expected = bytearray(memory.read(0, len(memory)))
    for address, data in change.writes:
        expected[address : address + len(data)] = data
    Journal(memory).commit(change)
    assert memory.read(TABLE_AT, 700) == expected[TABLE_AT : TABLE_AT + 700]
    assert memory.read(JOURNAL_AT, CELL) == bytes(CELL)


def test_nothing_writes_past_the_fuse() -> None:
    memory = Memory(bytes(4096), fuse=lambda address, old, new: None)
    seen: list[int] = []
    memory.fuse = lambda address, old, new: seen.append(address)
    memory.write(16, bytes(range(24)))
    assert seen == [16, 24, 32]
    assert memory.read(16, 24) == bytes(range(24))


@pytest.mark.parametrize("claim", ["shorter", "longer", "length twice", "one bit"])
def test_a_head_that_fits_no_body_is_not_obeyed(claim: str) -> None:
    memory = Memory(bytes(4096))
    body = SPAN.pack(2048, 8) + b"overwrit" + SPAN.pack(2080, 8) + b"also new"
    length, checksum = len(body), crc32(body, crc32(len(body).to_bytes(4, "big")))
    head = {
        "shorter": HEAD.pack(16, checksum),
        "longer": HEAD.pack(length + 8, checksum),
        "length twice": HEAD.pack(16, 16),
        "one bit": HEAD.pack(length, checksum ^ 1),
    }[claim]
    memory.write(BODY_AT, body)
    memory.write(JOURNAL_AT, head)
    assert not Journal(memory).recover()
    assert memory.read(2048, 100) == bytes(100)
    assert memory.read(JOURNAL_AT, CELL) == bytes(CELL)
    memory.write(JOURNAL_AT, HEAD.pack(length, checksum))
    assert Journal(memory).recover()
    assert memory.read(2048, 8) + memory.read(2080, 8) == b"overwritalso new"
