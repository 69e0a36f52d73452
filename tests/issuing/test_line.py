# SPDX-License-Identifier: Apache-2.0
"""The personalisation line: killed anywhere and run again, it makes each card once and loses none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from citycard.core import tunion
from citycard.core.card import T_UNION
from citycard.core.card.factory import blank_card
from citycard.core.dialogue import CARD, CardGone, CardView, converse, read_card
from citycard.core.problem import Problem
from citycard.keys import CHEAP, MemoryCounter, MemoryVault, Pkcs11Vault, Psam, perso_file, scheme_ceremony
from citycard.keys.sam_file import open_psam
from citycard.office.cards import verbs
from citycard.office.cards.models import Card, Status
from citycard.office.issuing import data as perso_data
from citycard.office.issuing import sams
from citycard.office.issuing.line import Line
from citycard.office.issuing.orders import Order, place, read_order
from citycard.office.issuing.report import Report
from citycard.office.issuing.tray import EmulatedChip, EmulatedTray, open_chip
from citycard.office.staff.roles import Actor, Role
from tests.issuing.conftest import new_vault
from tests.keys.cast import MOMENT, known_key, seeded
from tests.office.conftest import CLERK, ISSUER, START
from tests.support.softhsm import PIN, SoftHsm

BY = Actor("station", frozenset({Role.ADMINISTRATOR}))
COUNT = 4


class Killed(BaseException):
    """The power of the machine went off."""


class Box:
    """A box of chips and the machine's one place; both survive the computer."""

    def __init__(self, random: Callable[[int], bytes], algorithm: int = 0) -> None:
        self.random, self.algorithm = random, algorithm
        self.made: list[Torn] = []
        self.machine: Torn | None = None
        self.special: dict[int, Callable[[Torn], None]] = {}  # the n-th chip has something wrong
        self.stock = 100

    def left(self) -> Torn | None:
        return self.machine

    def take(self) -> Torn | None:
        if self.machine is None and self.stock:
            self.stock -= 1
            chip = Torn(
                blank_card(T_UNION, known_key("transport", self.algorithm), self.random, self.algorithm)
            )
            self.made.append(chip)
            self.special.get(len(self.made), lambda _: None)(chip)
            self.machine = chip
        return self.machine

    def put(self, chip: object, good: bool) -> None:
        assert chip is self.machine
        self.machine = None
        chip.good = good  # type: ignore[attr-defined]


class Torn(EmulatedChip):
    """A chip that may be torn away, or be killed with the computer, at an exchange."""

    good: bool | None = None

    def __init__(self, card: object) -> None:
        super().__init__(card)  # type: ignore[arg-type]
        self.exchanges = 0
        self.tears: set[int] = set()
        self.kill: Callable[[], None] = lambda: None
        self.spoil: Callable[[bytes], bytes] = lambda command: command

    def __call__(self, command: bytes) -> bytes:
        self.exchanges += 1
        if self.exchanges in self.tears:
            self.card.power_off()
            raise CardGone("torn")
        answer = super().__call__(self.spoil(command))
        self.kill()
        return answer


def ordered(name: str = "2026-001", count: int = COUNT, algorithm: str = "3DES") -> Order:
    lines = [{"count": count - 1}, {"count": 1, "card_class": 2, "valid_until": "2031-12-31"}]
    return Order.model_validate(
        {"order": name, "issuer": ISSUER, "lines": lines, "algorithm": algorithm, "city": "9901"}
    )


def opened(vault: MemoryVault, order: Order) -> tuple[perso_file.PersoFile, Path]:
    path = perso_data.make_data(place(order, BY), vault, seeded(5))
    return perso_file.read(vault, path.read_bytes(), path), path.parent


def run(
    vault: MemoryVault, box: Box, order: Order, checkpoint: Callable[[str], None] = lambda step: None
) -> Report:
    data, folder = opened(vault, order)
    return Line(vault, box, BY, checkpoint=checkpoint).run(data, folder)  # type: ignore[arg-type]


def pan_on(chip: Torn) -> str:
    """The number on a chip; empty for a blank or spoiled one."""
    chip.tears, chip.kill, chip.spoil = set(), lambda: None, lambda command: command
    chip.connect()
    try:
        view = converse(read_card(), {CARD: chip})
    except Problem:
        return ""
    return view.pan if isinstance(view, CardView) else ""


def assert_all_is_well(box: Box, order: Order, report: Report) -> None:
    cards = {card.pan: card for card in Card.objects.filter(ordered__order=order.order)}
    good = {pan: card for pan, card in cards.items() if card.status == Status.IN_STOCK}
    assert len(cards) == report.ordered == report.good + report.rejected + report.left
    assert (len(good), report.rejected) == (
        report.good,
        sum(c.status == Status.DESTROYED for c in cards.values()),
    )
    finished = [chip for chip in box.made if chip.good]
    assert {card.uid for card in good.values()} == {chip.uid for chip in finished}  # stock equals good chips
    for chip in finished:
        assert good[pan_on(chip)].uid == chip.uid
    pans = [pan for chip in box.made if (pan := pan_on(chip)) and pan != "0" * 20]
    assert len(pans) == len(set(pans))  # no number on two chips


@pytest.mark.parametrize("algorithm", ["3DES", "SM4"])
def test_an_order_becomes_cards_in_stock(issuer: str, home: Path, algorithm: str) -> None:
    vault, box, order = new_vault(), Box(seeded(2), int(algorithm == "SM4")), ordered(algorithm=algorithm)
    report = run(vault, box, order)
    assert (report.good, report.rejected, report.left, report.complete) == (COUNT, 0, 0, True)
    assert_all_is_well(box, order, report)
    student = Card.objects.get(ordered__order=order.order, card_class=2)
    assert str(student.valid_until) == "2031-12-31"
    assert (student.algorithm, student.key_version) == (box.algorithm, 1)
    chip = next(chip for chip in box.made if chip.uid == student.uid)
    view = converse(read_card(), {CARD: chip})
    assert isinstance(view, CardView)
    assert (view.card_class, view.balance_fen, view.kind["city"]) == (2, 0, "9901")
    assert isinstance(verbs.issue(next(c.pan for c in Card.objects.filter(card_class=1)), CLERK), verbs.Done)
    again = run(vault, box, order)
    assert (again.good, len(box.made), again.runs) == (COUNT, COUNT, 2)


def steps_of_a_run(vault: MemoryVault, order: Order) -> int:
    """How many places there are to be killed at: exchanges and checkpoints."""
    box, count = Box(seeded(2)), [0]

    def step(_: str = "") -> None:
        count[0] += 1

    box.special = {n: lambda chip: setattr(chip, "kill", step) for n in range(1, COUNT + 1)}
    run(vault, box, order, step)
    return count[0]


@pytest.mark.parametrize("chips_come_back", [True, False], ids=["same chip", "chip gone"])
def test_killed_anywhere(issuer: str, home: Path, chips_come_back: bool) -> None:
    """Killed every few steps all along an order, the line ends with the same accounts as if it had not been."""
    vault = new_vault()
    total = steps_of_a_run(vault, ordered("dry"))
    assert total > 100
    for stride in (3, 7, 11, 29, total // 2):
        order, box = ordered(f"killed-{stride}"), Box(seeded(stride))
        report = killed_often(
            vault, box, order, stride if chips_come_back else max(stride, 29), chips_come_back
        )
        assert report.complete
        assert_all_is_well(box, order, report)
        if chips_come_back:
            assert (report.good, len(box.made)) == (COUNT, COUNT)


def killed_often(vault: MemoryVault, box: Box, order: Order, stride: int, chips_come_back: bool) -> Report:
    """Run and kill again and again; every run gets a little further than the one before."""
    for attempt in range(200):
        left = [stride + attempt]

        def step(_: str = "", left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        for chip in box.made:
            chip.kill = step
        box.special = {n: lambda chip, step=step: setattr(chip, "kill", step) for n in range(1, 50)}  # type: ignore[misc]
        try:
            return run(vault, box, order, step)
        except Killed:
            if box.machine is not None and not chips_come_back:
                box.machine.good = box.machine.good or stocked(box.machine)
                box.machine = None
    raise AssertionError("it never ended")


def stocked(chip: Torn) -> bool:
    return Card.objects.filter(uid=chip.uid, status=Status.IN_STOCK).exists()


@pytest.mark.parametrize("chips_come_back", [True, False], ids=["same chip", "chip gone"])
def test_killed_once_at_every_single_step(issuer: str, home: Path, chips_come_back: bool) -> None:
    vault = new_vault()
    for at in range(1, 200):
        order, box, left = ordered(f"once-{at}", count=1 + 1), Box(seeded(at)), [at]

        def step(_: str = "", left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        box.special = {1: lambda chip, step=step: setattr(chip, "kill", step)}  # type: ignore[misc]
        try:
            run(vault, box, order, step)
            break  # it was over before the step came
        except Killed:
            if not chips_come_back and box.machine is not None:
                box.machine.good = stocked(box.machine)
                box.machine = None
            for chip in box.made:
                chip.kill = lambda: None
        report = run(vault, box, order)
        assert report.complete
        assert_all_is_well(box, order, report)
        assert report.good == 2 or not chips_come_back
    assert at > 35


def test_a_card_torn_away_is_presented_again_and_a_bad_one_rejected(issuer: str, home: Path) -> None:
    vault, box, order = new_vault(), Box(seeded(3)), ordered()
    box.special = {
        1: lambda chip: chip.tears.update({9, 30}),
        2: lambda chip: setattr(
            chip, "spoil", lambda c: c[:-1] + bytes((c[-1] ^ 1,)) if c[:2] == b"\x00\xd6" else c
        ),
        3: lambda chip: chip.tears.update(range(5, 99)),
    }
    report = run(vault, box, order)
    assert (report.good, report.rejected, report.left) == (2, 2, 0)
    assert [why for _, _, why in report.rejects] == ["file 15 is not what was written", "it was torn away"]
    assert_all_is_well(box, order, report)
    report.save(home)
    assert json.loads((home / "report.json").read_text())["good"] == 2
    assert "torn away" in (home / "report.txt").read_text()


def test_chips_that_are_not_blank_are_put_aside(issuer: str, home: Path) -> None:
    vault, order, earlier = new_vault(), ordered(), Box(seeded(4))
    run(vault, earlier, ordered("earlier"))
    box = Box(seeded(5))
    box.made.append(earlier.made[0])
    box.machine = earlier.made[0]
    report = run(vault, box, order)
    assert (report.good, report.chips_refused) == (COUNT, 1)
    assert report.refusals[0][1].startswith("it is card 0310")
    assert earlier.made[0].good is False
    # A box under another transport key: nothing is written, and no number is lost.
    wrong = Box(seeded(6), algorithm=1)
    with pytest.raises(Problem) as told:
        run(vault, wrong, ordered("wrong"))
    assert told.value.code == "PERSO_CHIPS"
    assert "transport key" in told.value.text()
    assert Card.objects.filter(ordered__order="wrong", status=Status.MANUFACTURED).count() == COUNT
    assert run(vault, Box(seeded(7)), ordered("wrong")).good == COUNT


def test_a_tray_that_is_empty_ends_the_run_for_now(issuer: str, home: Path) -> None:
    vault, box, order = new_vault(), Box(seeded(3)), ordered()
    box.stock = 1
    report = run(vault, box, order)
    assert (report.good, report.left, report.complete) == (1, 3, False)
    box.stock = 50
    assert run(vault, box, order).complete


def test_emulated_chips_stay(issuer: str, home: Path) -> None:
    vault = new_vault()
    data, folder = opened(vault, ordered())
    tray = EmulatedTray(vault, folder, T_UNION, 0, seeded(7))

    def die(step: str) -> None:
        if step == "made" and len(list(folder.glob("chips/*.done.chip"))) == 1:
            raise Killed

    with pytest.raises(Killed):
        Line(vault, tray, BY, transport_version=200, checkpoint=die).run(data, folder)
    tray = EmulatedTray(vault, folder, T_UNION, 0, seeded(8))
    report = Line(vault, tray, BY, transport_version=200).run(data, folder)
    assert (report.good, report.rejected) == (COUNT, 0)
    files = sorted(folder.glob("chips/*.chip"))
    assert [path.suffixes[0] for path in files] == [".done"] * COUNT
    chip = EmulatedChip(open_chip(vault, files[0]))
    chip.connect()
    view = converse(read_card(), {CARD: chip})
    assert isinstance(view, CardView)
    assert Card.objects.get(pan=view.pan).uid == chip.uid
    with pytest.raises(Problem, match="this vault"):
        open_chip(new_vault(9), files[0])


def test_keys_in_a_token(issuer: str, home: Path, hsm: SoftHsm) -> None:
    """The whole line over a token: data sealed in it, cards keyed from it, modules lent from it."""
    label = hsm.new_token()
    vault = Pkcs11Vault.open(hsm.module, label, PIN, clock=lambda: START)
    scheme_ceremony(vault)
    vault.import_key("transport", 0, 1, known_key("transport"))
    box, order = Box(seeded(6)), ordered(count=2)
    report = run(vault, box, order)
    assert (report.good, report.complete) == (2, True)
    assert_all_is_well(box, order, report)
    again = Pkcs11Vault.open(hsm.module, label, PIN, clock=lambda: START)
    assert run(again, box, order).runs == 2  # the data opens with the token, not with the process
    _, path = sams.issue(vault, "psam", "990000000005", BY, "module", cost=CHEAP)
    psam, pan = open_psam(path, "module", MemoryCounter()), pan_on(box.made[0])
    purchase = purchase_init(pan)
    assert psam.process(purchase)[-2:] == b"\x90\x00"
    direct = Psam(vault, bytes.fromhex("990000000005"), MemoryCounter())
    assert psam.power_on() == direct.power_on()
    assert direct.process(purchase) == open_psam(path, "module", MemoryCounter()).process(purchase)


def purchase_init(pan: str) -> bytes:
    """INIT SAM FOR PURCHASE for a card of the issuer: 1 fen."""
    data = bytes(6) + (1).to_bytes(4, "big") + b"\x06" + MOMENT + b"\x01\x00"
    data += bytes.fromhex(pan)[2:] + bytes.fromhex(ISSUER)
    return bytes.fromhex("80700000") + bytes((len(data),)) + data + b"\x08"


def test_perso_data_of_others(issuer: str, home: Path) -> None:
    """Any altered bit, another vault, a cut file: refused, and no card is made."""
    vault = new_vault()
    path = perso_data.make_data(place(ordered(), BY), vault, seeded(5))
    whole = path.read_bytes()
    assert ISSUER.encode() in whole  # the head may be read
    assert not any(card.pan.encode() in whole for card in Card.objects.all())

    def refused(raw: bytes, reader: MemoryVault = vault) -> str:
        with pytest.raises(Problem) as told:
            perso_file.read(reader, raw, path)
        assert "{" not in told.value.text("zh")
        return told.value.code

    for bit in range(0, len(whole) * 8, 61):
        altered = bytearray(whole)
        altered[bit // 8] ^= 1 << bit % 8
        assert refused(bytes(altered)) in {"PERSO_DAMAGED", "PERSO_VERSION", "VAULT_FOREIGN"}
    for size in (0, 7, 20, 200, len(whole) // 2, len(whole) - 1):
        assert refused(whole[:size]) in {"PERSO_DAMAGED", "VAULT_FOREIGN"}
    assert refused(whole, new_vault(2)) == "VAULT_FOREIGN"
    assert refused(whole[:9] + b"\x09" + whole[10:]) == "PERSO_VERSION"


def test_a_journal_of_other_data_or_damaged(issuer: str, home: Path) -> None:
    vault, box = new_vault(), Box(seeded(3))
    run(vault, box, ordered())
    data, folder = opened(vault, ordered())
    journal = folder / "journal.log"
    kept = journal.read_bytes()

    def code() -> str:
        with pytest.raises(Problem) as told:
            run(vault, box, ordered())
        return told.value.code

    journal.write_bytes(kept[:40] + b"x" + kept[41:])
    assert code() == "PERSO_JOURNAL"
    journal.write_bytes(kept + b"0123 {torn")  # a line that a power failure cut off
    assert run(vault, box, ordered()).complete
    journal.write_bytes(kept.replace(data.digest.encode(), b"0" * 64))
    assert code() == "PERSO_JOURNAL"
    with journal.open("ab") as held:
        import fcntl

        fcntl.flock(held, fcntl.LOCK_EX)
        assert code() == "PERSO_RUNNING"


def test_order_files(issuer: str, home: Path) -> None:
    said = {"order": "a-1", "issuer": ISSUER, "lines": [{"count": 2}, {"count": 1, "card_class": 3}]}
    as_json, as_csv = home / "a.json", home / "a.csv"
    as_json.write_text(json.dumps(said))
    as_csv.write_text(f"order,issuer,count,card_class\na-1,{ISSUER},2,\na-1,{ISSUER},1,3\n")
    order = read_order(as_json)
    assert read_order(as_csv) == order
    assert [place(order, BY).count, place(order, BY).count, Card.objects.count()] == [3, 3, 3]

    def refused(text: str, suffix: str = ".json") -> str:
        path = home / f"bad{suffix}"
        path.write_text(text)
        with pytest.raises(Problem) as told:
            place(read_order(path), BY)
        return f"{told.value.code} {told.value.fields.get('where', '')}".strip()

    assert refused("{") == "ORDER_FILE the top level"
    assert refused(json.dumps(said | {"lines": []})) == "ORDER_FILE lines"
    assert refused(json.dumps(said | {"lines": [{"count": 0}]})) == "ORDER_FILE lines.0.count"
    assert refused(json.dumps(said | {"order": "../up"})) == "ORDER_FILE order"
    assert refused(json.dumps(said | {"profile": "gold"})) == "ORDER_FILE profile"
    assert refused(json.dumps(said | {"colour": "red"})) == "ORDER_FILE colour"
    assert refused(json.dumps(said | {"lines": [{"count": 3}]})) == "ORDER_CHANGED"
    assert refused("order,issuer,size\n", ".csv") == "ORDER_FILE line 1"
    assert refused(f"order,issuer,count\na,{ISSUER},1\nb,{ISSUER},1\n", ".csv") == "ORDER_FILE line 3"
    with pytest.raises(Problem) as told:
        read_order(home / "none.json")
    assert told.value.code == "ORDER_FILE"


def test_keys_that_were_not_all_rolled_over(issuer: str, home: Path) -> None:
    vault = new_vault()
    vault.generate("load", 0, 2)
    with pytest.raises(Problem) as told:
        perso_data.make_data(place(ordered(), BY), vault)
    assert told.value.code == "PERSO_VERSIONS"
    assert tunion.SFI_PUBLIC == 0x15
