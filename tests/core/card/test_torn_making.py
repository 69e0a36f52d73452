# SPDX-License-Identifier: Apache-2.0
"""Power is cut at every cell write of every command that changes a card: all of it is done, or nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from citycard.core import purse
from citycard.core.apdu import Command
from citycard.core.card import CONTACT, FMCOS, Card, PowerLost, Traits, raw_card
from citycard.core.card.image import TABLE_AT, extent
from citycard.core.card.keyfile import COUNTED, HEAD_SIZE
from citycard.core.crypto import TRIPLE_DES
from citycard.core.purse import Txn, pin_mac
from tests.core.card.counter import MOMENT, TERMINAL, Counter
from tests.core.card.issuer import LOAD, OVERDRAFT, PIN, UNLOAD, Issuer, issued, issuer
from tests.core.card.test_power import CUTS, Cut, Cutter, with_power

NEW_PIN = bytes.fromhex("654321")


def reachable(card: Card) -> list[tuple[bytes, bytes]]:
    """All that can be reached: every node's entry and body, error counters aside (a try is spent first)."""
    chip = card._chip
    assert chip is not None
    found = []
    for made in chip.tree.nodes.values():
        body = bytearray(card.memory.read(made.body, extent(made)))
        for directory in chip.directories:
            for key in directory.keys.values():
                if directory.key_file is made and key.type & 0x3F in COUNTED:
                    at = key.address - made.body
                    body[at + 5] &= 0xF0
                    assert body[at : at + HEAD_SIZE] != bytes(HEAD_SIZE)
        found.append((made.entry(), bytes(body)))
    return found


# Every write of every command


def contactless() -> Issuer:
    """The contact card over T=CL, PIN verified, money on its deposit."""
    counter = issued(replace(CONTACT, traits=Traits.SM4 | Traits.BALANCES), seed=11)
    counter.ok(Command(0x00, 0x20, 0, 0, PIN))
    counter.fill(5_000, 1, Txn.ED_LOAD)
    return counter


def opened(counter: Issuer, kind: int, amount_fen: int) -> bytes:
    """The command that completes a load, an unload or an overdraft change of the deposit."""
    started = counter.ok(counter.start(kind, amount_fen, 1))
    session = counter.online(kind, started)
    if kind == OVERDRAFT:
        mac2 = purse.overdraft_mac2(amount_fen, TERMINAL, MOMENT)
        head = bytes.fromhex("805800000E") + amount_fen.to_bytes(3, "big")
    else:
        txn = Txn.ED_LOAD if kind == LOAD else Txn.UNLOAD
        mac2 = purse.load_mac2(amount_fen, txn, TERMINAL, MOMENT)
        head = bytes.fromhex("805200000B" if kind == LOAD else "805403000B")
    return head + MOMENT + counter.suite.session_mac(session, mac2)


def blocked_pin(counter: Issuer) -> bytes:
    """PIN UNBLOCK of a PIN that has just been blocked."""
    for _ in range(3):
        counter.send(Command(0x00, 0x20, 0, 0, b"\x99" * 3))
    return counter.enciphered("84240000", NEW_PIN, counter.key("pin_unblock"))


ON_CONTACT: dict[str, Callable[[Issuer], bytes]] = {
    "load": lambda counter: opened(counter, LOAD, 700),
    "unload": lambda counter: opened(counter, UNLOAD, 700),
    "overdraft": lambda counter: opened(counter, OVERDRAFT, 700),
    "change PIN": lambda counter: Command(0x80, 0x5E, 1, 0, PIN + b"\xff" + NEW_PIN).encode(),
    "reload PIN": lambda counter: (
        bytes.fromhex("805E000007") + NEW_PIN + pin_mac(TRIPLE_DES, counter.key("pin_reload"), NEW_PIN)
    ),
    "unblock PIN": blocked_pin,
    "block": lambda counter: counter.secured("841E0000", key=counter.key("maintenance")),
    "write key": lambda counter: counter.enciphered(
        "84D43E01", bytes.fromhex("FEF0020900") + b"\x11" * 16, counter.key("control")
    ),
    "add key": lambda counter: counter.enciphered(
        "84D40109", bytes.fromhex("FEF0020900") + b"\x11" * 16, counter.key("control")
    ),
    "update": lambda counter: counter.secured("04D69500", b"\xab" * 30, counter.key("maintenance")),
}


def vendor_like() -> Counter:
    """An FMCOS card with an MF, a directory with a key and some files, and stale bytes in free space."""
    card = raw_card(FMCOS, Random(2).randbytes)
    card.power_on()
    counter = Counter(card)
    for command in (
        "80E03F001038FFFFF0F001FFFF" + "FF" * 8,
        "80E002010D381000F0F000FFFFAABBCCDDEE",
        "80E00000073F005001F0FFFF",
        "80D401001539F0F0AA33" + "5A" * 16,
        "80E00015072C0040F0F0FFFF",
        "00E200A8050103AABBCC",
        "80E00016072E0308F0F0FFFF",
    ):
        counter.ok(command)
    chip = card._chip
    assert chip is not None
    end = max(node.body + extent(node) for node in chip.tree.nodes.values())
    card.memory.write(end, b"\xee" * 512)
    return counter


ON_FMCOS = {
    "create transparent": "80E0001707280050F0F0FFFF",
    "create cyclic": "80E00018072E0310F0F0FFFF",
    "create purse": "80E00002072F0208F000FF18",
    "create directory": "80E003010D380100F0F000FFFFAABBCCDDEF",
    "erase": "800E000000",
    "append variable": "00E200A8050203112233",
    "append cyclic": "00E200B0081122334455667788",
}


def cut_everywhere(prepare: Callable[[], tuple[Counter, bytes]], left: str | bytes) -> list[bool]:
    """Cut a command at each of its writes in turn; whether it was done each time."""
    counter, command = prepare()
    before = reachable(counter.card)
    fuse = counter.card.memory.fuse = Cutter((-1, "old"))
    counter.ok(command)
    after = reachable(counter.card)
    assert before != after
    done = []
    for at in range(fuse.writes):
        counter, command = prepare()
        counter.card.memory.fuse = Cutter((at, left))
        try:
            counter.ok(command)
        except PowerLost:
            with_power(counter.card, [(1, "half")])
        copy = Card.from_image(counter.card.image(), Random(1).randbytes)
        copy.power_on()
        found = reachable(copy)
        assert found in (before, after), f"cut at write {at}"
        done.append(found == after)
    return done


@pytest.mark.parametrize("name", ON_CONTACT)
def test_a_cut_card_has_done_all_or_nothing(name: str) -> None:
    image = contactless().card.image()

    def prepare() -> tuple[Counter, bytes]:
        card = Card.from_image(image, Random(5).randbytes)
        counter = issuer(card, CONTACT.directories[1])
        counter.ok(Command(0x00, 0x20, 0, 0, PIN))
        return counter, ON_CONTACT[name](counter)

    done = cut_everywhere(prepare, b"garbage!")
    assert done == sorted(done)
    assert {*done} == {True, False}


@pytest.mark.parametrize("left", ["half", b"garbage!"])
@pytest.mark.parametrize("name", ON_FMCOS)
def test_a_cut_card_has_made_all_or_nothing(name: str, left: str | bytes) -> None:
    image = vendor_like().card.image()

    def prepare() -> tuple[Counter, bytes]:
        card = Card.from_image(image, Random(5).randbytes)
        card.power_on()
        counter = Counter(card)
        counter.ok("00A4040005AABBCCDDEE")
        return counter, bytes.fromhex(ON_FMCOS[name])

    done = cut_everywhere(prepare, left)
    assert done == sorted(done)
    assert {*done} == {True, False}


def test_a_new_file_is_blank_whatever_lay_there_before() -> None:
    counter = vendor_like()
    counter.ok("80E0001707280050F0F0FFFF")
    assert counter.ok("00B0970000") == bytes(0x50)


# Any history of making and erasing, against a model


@dataclass(frozen=True)
class Folder:
    """A directory as a reader finds it: which transparent files it has, with what in them."""

    files: tuple[tuple[int, bytes], ...] = ()
    keys: int = 0

    def with_file(self, fid: int, content: bytes) -> Folder:
        """The folder with a file added or rewritten."""
        return replace(self, files=tuple(sorted({**dict(self.files), fid: content}.items())))


class Maker(RuleBasedStateMachine):
    """CREATE FILE, ERASE DF, WRITE KEY and UPDATE on a blank card, each of which may be cut at any write."""

    def __init__(self) -> None:
        super().__init__()
        self.folders: dict[int, Folder] = {}
        card = raw_card(FMCOS, Random(6).randbytes)
        card.power_on()
        self.counter = Counter(card)
        self.counter.ok("80E03F001038FFFFF0F001FFFF" + "FF" * 8)

    def stand_in(self, folder: int) -> None:
        self.counter.ok("00A40000023F00")
        if folder:
            self.counter.ok(f"00A4000002{folder:04X}")

    def observed(self) -> dict[int, Folder]:
        found = {}
        for folder in range(0x0201, 0x0205):
            self.counter.ok("00A40000023F00")
            if not self.counter.send(f"00A4000002{folder:04X}").ok:
                continue
            files = []
            for fid in range(1, 9):
                answer = self.counter.send(f"00B0{0x80 | fid:02X}0000")
                if answer.ok:
                    files.append((fid, answer.data))
            chip = self.counter.card._chip
            assert chip is not None
            found[folder] = Folder(tuple(files), len(chip.session.directory.keys))
        return found

    def attempt(self, folder: int, command: str | Command, cuts: list[Cut], **after: Folder | None) -> None:
        """Send a command that may succeed; `after` is the folder it then leaves (None: it is gone)."""
        self.stand_in(folder)
        before = dict(self.folders)
        card = self.counter.card
        card.memory.fuse = Cutter(cuts[0]) if cuts else None
        raw = command.encode() if isinstance(command, Command) else bytes.fromhex(command)
        try:
            answer = card.process(raw)
        except PowerLost:
            answer = None
            with_power(card, cuts[1:])
        card.memory.fuse = None
        done = dict(before)
        for name, found in after.items():
            done[int(name[1:], 16)] = found  # type: ignore[assignment]
            if found is None:
                del done[int(name[1:], 16)]
        self.folders = self.observed()
        if answer is None:
            assert self.folders in (before, done)
        elif answer[-2:] == b"\x90\x00":
            assert self.folders == done
        else:
            assert answer == b"\x6a\x84", answer.hex()
            assert self.folders == before

    @rule(number=st.integers(0x0201, 0x0204), cuts=CUTS)
    def create_directory(self, number: int, cuts: list[Cut]) -> None:
        if number in self.folders:
            return
        command = f"80E0{number:04X}0D381000F0F000FFFFAABBCC{number:04X}"
        self.attempt(0, command, cuts, **{f"f{number:04X}": Folder()})

    @rule(data=st.data(), fid=st.integers(1, 8), size=st.integers(1, 250), cuts=CUTS)
    def create_file(self, data: st.DataObject, fid: int, size: int, cuts: list[Cut]) -> None:
        folder = self.some(data)
        if folder and fid not in dict(self.folders[folder].files):
            made = self.folders[folder].with_file(fid, bytes(size))
            self.attempt(folder, f"80E0{fid:04X}0728{size:04X}F0F0FFFF", cuts, **{f"f{folder:04X}": made})

    @rule(data=st.data(), filling=st.integers(1, 255), cuts=CUTS)
    def write_file(self, data: st.DataObject, filling: int, cuts: list[Cut]) -> None:
        folder = self.some(data)
        if folder and self.folders[folder].files:
            fid, content = data.draw(st.sampled_from(self.folders[folder].files))
            new = bytes((filling,)) * len(content)
            command = Command(0x00, 0xD6, 0x80 | fid, 0, new)
            self.attempt(
                folder, command, cuts, **{f"f{folder:04X}": self.folders[folder].with_file(fid, new)}
            )

    @rule(data=st.data(), cuts=CUTS)
    def erase(self, data: st.DataObject, cuts: list[Cut]) -> None:
        folder = self.some(data)
        if folder:
            self.attempt(folder, "800E000000", cuts, **{f"f{folder:04X}": Folder()})

    @rule(cuts=CUTS)
    def erase_all(self, cuts: list[Cut]) -> None:
        if len(self.folders) > 2:
            self.attempt(0, "800E000000", cuts, **{f"f{folder:04X}": None for folder in self.folders})

    @rule(data=st.data(), key=st.binary(min_size=16, max_size=16), cuts=CUTS)
    def key_file(self, data: st.DataObject, key: bytes, cuts: list[Cut]) -> None:
        folder = self.some(data)
        if not folder:
            return
        here = self.folders[folder]
        if not here.files and not here.keys and self.counter.send("00A40000023F00").ok:
            self.stand_in(folder)
            self.counter.send("80E00000073F006001F0FFFF")
        chip = self.counter.card._chip
        assert chip is not None
        directory = next(d for d in chip.directories if d.fid == folder)
        if directory.key_file is not None and here.keys < 3:
            command = Command(0x80, 0xD4, 0x01, here.keys, bytes.fromhex("3EF0F00100") + key)
            self.attempt(folder, command, cuts, **{f"f{folder:04X}": replace(here, keys=here.keys + 1)})

    def some(self, data: st.DataObject) -> int:
        """One of the folders there are, 0 when there is none."""
        return data.draw(st.sampled_from(sorted(self.folders))) if self.folders else 0

    @invariant()
    def the_image_is_sound(self) -> None:
        image = self.counter.card.image()
        assert Card.from_image(image, Random(1).randbytes).power_on()
        chip = self.counter.card._chip
        assert chip is not None
        spans = sorted((node.body, node.body + extent(node)) for node in chip.tree.nodes.values())
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
        assert spans[0][0] >= TABLE_AT


TestMaker = Maker.TestCase
TestMaker.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
