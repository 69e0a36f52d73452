# SPDX-License-Identifier: Apache-2.0
"""The journal is killed at every write: nothing durable is lost, nothing is there twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.core.problem import Problem
from citycard.core.record import Kind, TapRecord, build_header, open_batch
from citycard.services.contract import Event
from citycard.terminal import EmulatedLink, FolderStore, Journal, MemoryStore, Terminal
from citycard.terminal.frames import Entry, frame
from citycard.terminal.journal import NAME, End, Intent
from tests.terminal.world import (
    ACQUIRER,
    GATE_A,
    ISSUER,
    KIOSK,
    NOON,
    PAN,
    RETAIL,
    SHOP,
    Clock,
    Host,
    balance,
    new_card,
    tac_holds,
    terminal,
)


class Killed(BaseException):
    """The process dies here."""


class Death:
    """Raises `Killed` at the step of a number, counted from when it is armed."""

    def __init__(self) -> None:
        self.left: int | None = None

    def __call__(self, what: str, name: str) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left = None
            raise Killed


def record(counter: int = 0, kind: int = Kind.PURCHASE) -> TapRecord:
    return TapRecord(
        kind=kind, service=3, txn=6, counter=counter, issuer=ISSUER, pan=PAN, acquirer=ACQUIRER,
        terminal=SHOP, sequence=0, tapped_at=NOON, balance_before_fen=5000, amount_fen=100 + counter, tac=bytes(4),
    )  # fmt: skip


def tap(journal: Journal, counter: int) -> None:
    intent = journal.intend(Intent(0, "pay", record(counter).encode()))
    journal.record(intent, counter.to_bytes(4, "big"))


def close(journal: Journal) -> None:
    header = build_header(
        journal.unbatched(), terminal=SHOP, acquirer=ACQUIRER, batch=journal.next_batch, closed_at=NOON
    )
    journal.close_batch(header + b"MMMMMMMM")


def counters(journal: Journal) -> list[int]:
    return [one.counter for one in journal.records()]


def test_what_was_written_is_there_after_opening_again() -> None:
    store = MemoryStore()
    journal = Journal.open(store, SHOP)
    for counter in range(5):
        tap(journal, counter)
    close(journal)
    tap(journal, 5)
    lost = journal.intend(Intent(0, "pay", record(6).encode()))
    number = journal.numbers.reserve()

    again = Journal.open(store, SHOP)
    assert counters(again) == list(range(6))
    assert [one.sequence for one in again.records()] == list(range(1, 7))
    assert again.intents_of(PAN) == [lost]
    assert again.numbers.reserve() > number
    batch = again.pending_batches()[0]
    assert open_batch(batch.raw).records() == again.records()[:5]
    assert batch.raw == journal.pending_batches()[0].raw
    again.acknowledge(batch.batch)
    assert counters(again) == [5]
    assert again.compact(at_least=1)
    last = Journal.open(store, SHOP)
    assert counters(last) == [5]
    assert (last.next_sequence, last.next_batch, last.intents) == (7, 2, again.intents)
    assert last.numbers.reserve() > number


@given(seed=st.integers(0, 10**6), kills=st.integers(1, 12), power=st.booleans())
@settings(max_examples=60)
def test_killed_anywhere_and_opened_again(seed: int, kills: int, power: bool) -> None:
    """Against a model of two sets: what was told as durable is there, nothing else but the last act may be."""
    random, death = Random(seed), Death()
    store = MemoryStore(death)
    journal = Journal.open(store, SHOP)
    durable: list[int] = []
    delivered: set[int] = set()
    counter = 0
    for _ in range(kills):
        death.left = random.randrange(12)
        doubtful = None
        try:
            for _ in range(20):
                act = random.random()
                if act < 0.6:
                    doubtful = counter
                    counter += 1
                    tap(journal, doubtful)
                    durable.append(doubtful)
                elif act < 0.75 and journal.unbatched():
                    close(journal)
                elif act < 0.9 and journal.pending_batches():
                    batch = journal.pending_batches()[0]
                    doubtful = None
                    delivered.update(one.counter for one in open_batch(batch.raw).records())
                    journal.acknowledge(batch.batch)
                else:
                    journal.compact(at_least=1)
        except Killed:
            if power:
                store.cut_power(random)
        death.left = None
        journal = Journal.open(store, SHOP)
        kept = counters(journal)
        if doubtful in kept and doubtful not in durable:
            durable.append(doubtful)  # it was written; only the word of it was lost
        assert set(durable) - delivered <= set(kept) <= set(durable)
        sequences = [one.sequence for one in journal.records()]
        assert sequences == sorted(set(sequences))
        assert journal.next_sequence == len(durable) + 1
        waiting = [
            one.counter for batch in journal.pending_batches() for one in open_batch(batch.raw).records()
        ]
        assert len(waiting) == len(set(waiting))
    assert journal.note == "" or "torn" in journal.note


def test_a_terminal_killed_at_every_write_of_a_purchase_and_a_load() -> None:
    """Whatever the terminal forgets, the card pays once and is credited once, and both are on record."""
    for steps in range(40):
        clock, death, host = Clock(), Death(), Host()
        store, card = MemoryStore(death), new_card(balance_fen=1000)
        link = EmulatedLink(card)
        place = terminal(KIOSK, RETAIL, clock, store)
        death.left = steps
        done = 0
        try:
            assert place.tap(link, Event.PAY, 300).outcome == "accepted"
            done += 1
            assert place.load(link, 500, host).outcome == "accepted"
            done += 1
        except Killed:
            pass
        if death.left is not None:
            break
        clock.forward(5)
        place = terminal(KIOSK, RETAIL, clock, store)
        if done < 1:
            assert place.tap(link, Event.PAY, 300).outcome == "accepted"
        assert place.load(link, 500, host).outcome == "accepted"
        records = place.journal.records()
        assert tac_holds(*records)
        assert balance(card) == 1000 + sum(
            one.amount_fen if one.kind == Kind.LOAD else -one.amount_fen for one in records
        )
        assert [one.kind for one in records] == [Kind.PURCHASE, Kind.LOAD]
        assert not host.pending
        assert len(host.posted) == 1
        assert not place.journal.duties
    assert steps > 10


CHILD = """
import sys
from pathlib import Path
from citycard.core.record import build_header
from citycard.terminal import FolderStore, Journal
from tests.terminal.test_journal import close, tap
from tests.terminal.world import SHOP
journal = Journal.open(FolderStore(Path(sys.argv[1])), SHOP)
counter = journal.next_sequence - 1
while True:
    tap(journal, counter)
    print(counter, flush=True)
    counter += 1
    if counter % 7 == 0:
        close(journal)
    if counter % 31 == 0:
        journal.compact(at_least=1)
"""


def test_a_real_process_killed_by_sigkill(tmp_path: Path) -> None:
    random, told = Random(11), -1
    for _ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        assert child.stdout is not None
        line = child.stdout.readline()
        assert int(line) == told + 1 or int(line) == told + 2  # one more may have been written than was told
        time.sleep(random.random() * 0.2)
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read().split("\\n")[0].split()
        child.wait()
        told = int(rest[-1]) if rest else int(line)
        store = FolderStore(tmp_path)
        journal = Journal.open(store, SHOP)
        kept = counters(journal)
        assert kept == list(range(len(kept)))
        assert told < len(kept) <= told + 2
        told = kept[-1]
        store.close()


def test_a_second_process_is_told_that_the_folder_is_in_use(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    Journal.open(store, SHOP)
    code = CHILD.split("counter =")[0].replace("close, tap", "tap")
    child = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert "in use by another terminal process" in child.stderr
    store.close()


def damaged(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes((raw[at] ^ 0x40,)) + raw[at + 1 :]


def test_a_torn_tail_is_cut_off_and_damage_is_not() -> None:
    store = MemoryStore()
    journal = Journal.open(store, SHOP)
    for counter in range(3):
        tap(journal, counter)
    whole = store.read(NAME)
    assert whole is not None
    for size in range(len(whole) - 130, len(whole)):
        torn = MemoryStore()
        torn.replace(NAME, whole[:size])
        opened = Journal.open(torn, SHOP)
        assert counters(opened) == [0, 1]
        assert "torn" in opened.note
        tap(opened, 2)
        assert counters(Journal.open(torn, SHOP)) == [0, 1, 2]
    for at in (20, 60, len(whole) // 2):
        broken = MemoryStore()
        broken.replace(NAME, damaged(whole, at))
        with pytest.raises(Problem) as told:
            Journal.open(broken, SHOP)
        assert told.value.code == "JOURNAL_DAMAGED"
        assert broken.read(NAME) == damaged(whole, at)


def with_file(raw: bytes) -> MemoryStore:
    store = MemoryStore()
    store.replace(NAME, raw)
    return store


def test_alien_files_are_named_and_left_alone() -> None:
    good = MemoryStore()
    Journal.open(good, SHOP)
    raw = good.read(NAME)
    assert raw is not None
    newer = raw[:7] + b"\x02" + raw[8:]
    unknown = raw + frame(Entry.DONE, b"no number")
    cases = {
        "JOURNAL_VERSION": with_file(newer),
        "JOURNAL_ALIEN": with_file(b"PK\x03\x04 something else"),
        "JOURNAL_DAMAGED": with_file(unknown),
    }
    for code, store in cases.items():
        with pytest.raises(Problem) as told:
            Journal.open(store, SHOP)
        assert told.value.code == code
        assert told.value.text("zh") != told.value.text("en")
    with pytest.raises(Problem) as told:
        Journal.open(good, GATE_A)
    assert told.value.code == "JOURNAL_TERMINAL"


@given(st.binary(max_size=300))
def test_no_bytes_open_as_a_journal_or_raise_anything_but_a_problem(noise: bytes) -> None:
    head = Journal.open(MemoryStore(), SHOP)._store.read(NAME)
    assert head is not None
    for raw in (noise, head + noise):
        told = ""
        try:
            Journal.open(with_file(raw), SHOP)
        except Problem as problem:
            told = problem.code
        assert told[:8] in ("", "JOURNAL_")


def test_a_failed_write_is_told_and_nothing_more_is_written(tmp_path: Path) -> None:
    class Full(MemoryStore):
        full = False

        def append(self, name: str, data: bytes) -> None:
            if self.full:
                super().append(name, data[:9])
                raise OSError(28, "No space left on device")
            super().append(name, data)

    store = Full()
    journal = Journal.open(store, SHOP)
    tap(journal, 0)
    store.full = True
    with pytest.raises(OSError, match="No space"):
        tap(journal, 1)
    store.full = False
    with pytest.raises(Problem) as told:
        tap(journal, 1)
    assert told.value.code == "JOURNAL_BROKEN"
    again = Journal.open(store, SHOP)
    assert counters(again) == [0]
    tap(again, 1)
    assert counters(again) == [0, 1]


def test_a_load_leaves_the_duty_to_tell_the_host_until_it_is_done() -> None:
    store = MemoryStore()
    journal = Journal.open(store, SHOP)
    load = record(kind=Kind.LOAD)
    made = journal.intend(Intent(0, "load", load.encode(), request_id="r1", card_answer="00"))
    made = journal.intend(replace(made, load_id="L1"))
    journal.record(made, b"TACT")
    torn = journal.intend(Intent(0, "load", replace(load, counter=1).encode(), "L2", "r2"))
    journal.void(torn, End.REVERSE, 1)
    lost = journal.intend(Intent(0, "load", replace(load, counter=2).encode(), "L3", "r3"))
    journal.void(lost, End.UNDECIDED)
    for _ in range(2):
        journal = Journal.open(store, SHOP)
        told = [(d.verb, d.intent.load_id, d.tac, d.online_counter) for d in journal.duties.values()]
        assert told == [("confirm", "L1", b"TACT", 0), ("reverse", "L2", bytes(4), 1)]
        assert [intent.load_id for intent in journal.undecided.values()] == ["L3"]
        journal.compact(at_least=0)
    for duty in list(journal.duties.values()):
        journal.done(duty)
    assert Journal.open(store, SHOP).duties == {}


def test_a_folder_store_keeps_what_a_memory_store_keeps(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "deep" / "er")
    place: Terminal = terminal(SHOP, RETAIL, store=store)
    card = new_card(balance_fen=1000)
    assert place.tap(EmulatedLink(card), Event.PAY, 250).outcome == "accepted"
    store.close()
    again = Journal.open(FolderStore(tmp_path / "deep" / "er"), SHOP)
    assert again.records() == place.journal.records()
    assert (tmp_path / "deep" / "er" / NAME).stat().st_mode & 0o077 == 0
