# SPDX-License-Identifier: Apache-2.0
"""The PSAM: purchases, counters that never repeat, locks, and any bytes at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.core.crypto import SUITES, pad80
from citycard.keys import FileCounter, MemoryCounter, Psam, batch_mac, check_batch
from tests.keys.cast import FACTORS, ISSUER, SERIAL, TERMINAL, Purse, card_key, known_key, known_vault

VAULT = known_vault()
DIALOGUE = """
    > 00A40000023F00
    < 6F0F840D43495459434152442E5053414D 9000
    > 00A40000028011
    < 6F0F840D43495459434152442E5053414D 9000
    > 00A40000021234
    < 6A82
    > 00A404000D43495459434152442E5053414D
    < 6F0F840D43495459434152442E5053414D 9000
    > 00B0960006
    < 310001050306 9000
    > 00B0970001
    < 01 9000
    > 00B095000E
    < 00000000310001050306 01 01 0000 9000
    > 00B0960007
    < 6C06
    > 00B0960600
    < 6B00
    > 00B0980001
    < 6A82
    > 807200000411223344
    < 6985
    > 80FA010008841E000004800000
    < 6985
    > 8070000000
    < 6700
    > 8099000000
    < 6D00
    > 9099000000
    < 6E00
    > 80
    < 6700
"""


def psam(counter: MemoryCounter | FileCounter | None = None, **more: int) -> Psam:
    return Psam(VAULT, TERMINAL, counter or MemoryCounter(), **more)


def credit(mac2: bytes) -> bytes:
    return bytes.fromhex("8072000004") + mac2


def test_dialogue() -> None:
    sam = psam()
    lines = [line.strip() for line in DIALOGUE.strip().splitlines()]
    for command, reply in zip(lines[::2], lines[1::2], strict=True):
        assert sam.process(bytes.fromhex(command[2:])) == bytes.fromhex(reply[2:]), command


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("txn", [4, 5, 6, 9])
def test_a_purchase(suite: int, txn: int) -> None:
    sam, purse = psam(), Purse(suite=suite)
    mac2 = purse.answers(sam.process(purse.init_sam(txn)), txn)
    assert sam.process(credit(mac2)) == b"\x90\x00"
    assert sam.process(credit(mac2)) == b"\x69\x85", "a MAC2 counts once"


def test_an_interrupted_purchase_is_proven_after_reselection() -> None:
    sam, purse = psam(), Purse()
    mac2 = purse.answers(sam.process(purse.init_sam()))
    sam.process(bytes.fromhex("00A40000028011"))
    assert sam.process(credit(mac2)) == b"\x90\x00"


def test_the_counter_moves_only_with_a_mac1() -> None:
    counter = MemoryCounter(41)
    sam, good = psam(counter), Purse().init_sam()
    refused = {
        "load type": (good[:15] + b"\x02" + good[16:], "6A80"),
        "key version": (good[:23] + b"\x09" + good[24:], "9403"),
        "algorithm": (good[:24] + b"\x07" + good[25:], "9403"),
        "no card": (bytes.fromhex("8070000014") + good[5:25], "6700"),
        "half a factor": (bytes.fromhex("8070000020") + good[5:37], "6700"),
        "P1": (b"\x80\x70\x01" + good[3:], "6A86"),
    }
    for why, (command, sw) in refused.items():
        assert sam.process(command).hex().upper() == sw, why
    assert [sam.process(good)[:4] for _ in range(2)] == [b"\x00\x00\x00\x29", b"\x00\x00\x00\x2a"]


def test_the_last_number_is_the_last() -> None:
    sam, command = psam(MemoryCounter(0xFFFF_FFFF)), Purse().init_sam()
    assert sam.process(command)[:4] == b"\xff" * 4
    assert sam.process(command) == b"\x94\x02"


def test_a_number_is_never_used_again_wherever_the_power_fails(tmp_path: Path) -> None:
    path, seen = tmp_path / "sam" / "counter", set()
    for taps in (1, 0, 5, 3, 70):
        sam = psam(FileCounter(path, ahead=4))
        for _ in range(taps):
            number = sam.process(Purse().init_sam())[:4]
            assert number not in seen
            seen.add(number)
    assert min(seen) == b"\x00\x00\x00\x01"


def test_two_programs_on_one_counter_file_share_no_number(tmp_path: Path) -> None:
    both = [FileCounter(tmp_path / "counter", ahead=3) for _ in range(2)]
    numbers = [counter.reserve() for _ in range(20) for counter in both]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("damage", [b"", b"1", b"citycard-counter-1 1 0 00000000", b"\xff\xfe"])
def test_a_damaged_counter_gives_no_number(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "counter"
    counter = FileCounter(path)
    counter.reserve()
    path.write_bytes(damage)
    sam = psam(FileCounter(path))
    assert sam.process(Purse().init_sam()) == b"\x6f\x00"
    path.unlink()
    path.mkdir()
    assert psam(FileCounter(path)).process(Purse().init_sam()) == b"\x65\x81"


def test_wrong_mac2s_lock_the_key_and_a_restart_does_not_help(tmp_path: Path) -> None:
    path = tmp_path / "counter"
    for tries_left in (2, 1):
        sam = psam(FileCounter(path), tries_max=3)
        mac2 = Purse().answers(sam.process(Purse().init_sam()))
        assert sam.process(credit(bytes(4))) == b"\x93\x02", tries_left
    assert sam.process(credit(bytes(4))) == b"\x69\x83"
    assert sam.process(credit(mac2)) == b"\x69\x83"
    assert psam(FileCounter(path), tries_max=3).process(Purse().init_sam()) == b"\x69\x83"


def test_a_right_mac2_forgives_the_wrong_ones() -> None:
    counter = MemoryCounter()
    sam = psam(counter, tries_max=2)
    for _ in range(3):
        mac2 = Purse().answers(sam.process(Purse().init_sam()))
        assert sam.process(credit(bytes(4))) == b"\x93\x02"
        assert sam.process(credit(mac2)) == b"\x90\x00"
    assert counter.failures() == 0


def test_it_blocks_a_hotlisted_card_and_maintains_nothing_else() -> None:
    sam, rand = psam(), bytes.fromhex("5A6B7C8D")
    assert sam.process(bytes.fromhex("801A450110") + SERIAL + ISSUER) == b"\x90\x00"
    mac = sam.process(bytes.fromhex("80FA050010") + rand + bytes(4) + bytes.fromhex("841E000004800000"))
    expected = SUITES[0].message_mac(card_key("maintenance"), bytes.fromhex("841E000004"), rand)
    assert mac == expected + b"\x90\x00"
    update = pad80(bytes.fromhex("04D69500085555555500"))
    assert (
        sam.process(b"\x80\xfa\x05\x00" + bytes((8 + len(update),)) + rand + bytes(4) + update) == b"\x69\x82"
    )
    assert sam.process(bytes.fromhex("80FA000008841E000004800000")) == b"\x69\x82", "never enciphers"


@pytest.mark.parametrize("pieces", [1, 3])
def test_it_macs_the_batches_of_its_own_terminal(pieces: int) -> None:
    sam, header = psam(), bytearray(range(104))
    header[8:14] = TERMINAL
    text = pad80(bytes(header))
    assert sam.process(bytes.fromhex("801A240108") + bytes(2) + TERMINAL) == b"\x90\x00"
    step = len(text) // pieces // 8 * 8
    cuts = [text[at : at + step] for at in range(0, len(text), step)]
    for cut in cuts[:-1]:
        assert sam.process(bytes.fromhex("80FA0300") + bytes((len(cut),)) + cut) == b"\x90\x00"
    mac = sam.process(bytes.fromhex("80FA0100") + bytes((len(cuts[-1]),)) + cuts[-1])[:-2]
    assert mac == batch_mac(VAULT, TERMINAL, bytes(header))
    assert check_batch(VAULT, bytes(header) + mac)
    assert not check_batch(VAULT, bytes(header) + bytes(8))
    assert sam.process(bytes.fromhex("801A240108") + bytes(2) + b"\x99" * 6) == b"\x69\x82"


def test_it_holds_no_key_of_another_role() -> None:
    from citycard.core.problem import Problem
    from citycard.keys import LoadSam

    sam, load_sam = psam(), LoadSam(VAULT)
    for held, name in ((sam, "load"), (load_sam, "purchase")):
        with pytest.raises(Problem, match=f"no key {name}"):
            held._vault.session(name, 1, FACTORS, bytes(8))
    with pytest.raises(Problem) as refused:
        sam._vault.generate("load", 0, 2)
    assert refused.value.code == "VAULT_SEALED"


SERVED = st.sampled_from([bytes.fromhex(head) for head in ("00A4", "00B0", "8070", "8072", "801A", "80FA")])
COMMANDS = st.one_of(
    st.binary(max_size=80),
    st.builds(lambda head, rest: head + rest, SERVED, st.binary(max_size=300)),
    st.builds(
        lambda head, p1, data: head + bytes((p1, 0, len(data))) + data,
        SERVED,
        st.sampled_from([0, 1, 3, 5, 0x24, 0x45, 0x95]),
        st.binary(max_size=255),
    ),
    st.just(Purse().init_sam()),
    st.just(bytes.fromhex("801A450110") + SERIAL + ISSUER),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(COMMANDS, max_size=8))
def test_any_bytes_get_a_status_word(commands: list[bytes]) -> None:
    sam = psam(tries_max=3)
    for command in commands:
        response = sam.process(command)
        assert len(response) >= 2
        assert response[-2] in (0x90, 0x93, 0x94, 0x69, 0x65, 0x67, 0x6A, 0x6B, 0x6C, 0x6D, 0x6E)
        for name in ("purchase", "maintenance", "batch"):
            assert known_key(name) not in response
