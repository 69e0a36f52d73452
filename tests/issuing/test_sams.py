# SPDX-License-Identifier: Apache-2.0
"""Security modules: only the keys of their role, and what follows when one is stolen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from citycard.core.problem import Problem
from citycard.core.record import RECORD, build_header
from citycard.keys import (
    CHEAP,
    KeyName,
    LoadAsked,
    MemoryCounter,
    MemoryVault,
    card_factors,
    check_batch,
    sam_file,
)
from citycard.office.audit import chain
from citycard.office.cards.models import Status
from citycard.office.intake import parameters
from citycard.office.issuing import sams
from citycard.office.issuing.models import Sam
from citycard.office.issuing.needed import cards_with, sams_with
from citycard.office.staff.roles import Actor, Role
from tests.issuing.conftest import new_vault
from tests.keys.cast import MOMENT, PAN
from tests.office.conftest import CLERK, CUSTODIAN, ISSUER, START, new_stock, open_issuer

TERMINAL = "990000000007"
PHRASE = "a module's passphrase"


def issued(vault: MemoryVault, role: str = "psam", terminal: str = TERMINAL) -> tuple[Sam, Path]:
    return sams.issue(vault, role, terminal, CUSTODIAN, PHRASE, cost=CHEAP)


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(Problem) as told:
        act()
    assert "{" not in told.value.text("en") + told.value.text("zh")
    return told.value.code


def test_a_psam_has_the_keys_of_its_role_and_no_others(issuer: str, home: Path) -> None:
    open_issuer("02009901ffffffff", "0310990101")
    vault = new_vault()
    vault.generate("purchase", 0, 2)
    sam, path = issued(vault)
    assert {row[0] for row in sam.keys} == {"purchase", "maintenance", "batch"}
    head, lent = sam_file.read(path, PHRASE)
    assert (head.role, head.serial.hex(), head.terminal.hex()) == ("psam", sam.serial, TERMINAL)
    assert len(sam.keys) == 2 * (3 + 2) + 2  # issuers x (purchase 3DES 1, 2, SM4 1; maintenance) and batch
    factors = card_factors(bytes.fromhex(ISSUER), PAN)
    for version, suite in ((1, 0), (2, 0), (1, 1)):
        ours, theirs = (
            keys.session("purchase", version, factors, bytes(8), suite=suite).mac(b"message")
            for keys in (vault, lent)
        )
        assert ours == theirs
    for name in ("load", "tac", "control", "transport"):
        assert not any(info.name == name for info in lent.keys())  # noqa: SIM118
    assert code_of(lambda: lent.session("purchase", 1, (), bytes(8))) == "KEY_MISSING"
    stranger = card_factors(bytes.fromhex("0202200000000000"), PAN)
    assert code_of(lambda: lent.session("purchase", 1, stranger, bytes(8))) == "KEY_MISSING"
    # It seals the batches of its own terminal, and no other's.
    psam = sam_file.open_psam(path, PHRASE, MemoryCounter())
    header = header_of(TERMINAL)
    padded = header + b"\x80" + bytes(-(len(header) + 1) % 8)
    assert psam.process(bytes.fromhex("801A240108") + bytes(2) + bytes.fromhex(TERMINAL))[-2:] == b"\x90\x00"
    mac = psam.process(bytes.fromhex("80FA0100") + bytes((len(padded),)) + padded + b"\x08")
    assert check_batch(vault, header + mac[:8])
    assert (
        psam.process(bytes.fromhex("801A240108") + bytes(2) + bytes.fromhex("990000000008"))[-2:]
        == b"\x69\x82"
    )
    assert psam.process(bytes.fromhex("00B0950000"))[:10].hex() == sam.serial
    assert b"purchase" not in path.read_bytes()


def header_of(terminal: str) -> bytes:
    return build_header(
        [bytes(RECORD.size)], terminal=bytes.fromhex(terminal), acquirer=bytes(8), batch=1, closed_at=START
    )


def test_a_load_sam(issuer: str, home: Path) -> None:
    vault = new_vault()
    sam, path = issued(vault, "load")
    assert {row[0] for row in sam.keys} == {"load", "tac"}
    asked = LoadAsked(bytes.fromhex(ISSUER), PAN, bytes(6), 100, bytes(6) + b"\x01\x00" + bytes(8))
    assert sam_file.open_load_sam(path, PHRASE).approve(asked, MOMENT) is None  # a forged MAC1
    assert code_of(lambda: sam_file.open_psam(path, PHRASE, MemoryCounter())) == "SAM_OTHER"
    psam = issued(vault)[1]
    assert code_of(lambda: sam_file.open_load_sam(psam, PHRASE)) == "SAM_OTHER"
    assert code_of(lambda: sam_file.read(path, "wrong")) == "VAULT_PASSPHRASE"
    assert code_of(lambda: sam_file.read(path.with_name("none"), PHRASE)) == "VAULT_MISSING"
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 101):
        altered = bytearray(whole)
        altered[bit // 8] ^= 1 << bit % 8
        path.write_bytes(altered)
        assert code_of(lambda: sam_file.read(path, PHRASE)) == "VAULT_DAMAGED"


def test_the_register(issuer: str, home: Path) -> None:
    vault = new_vault()
    sam, _ = issued(vault)
    assert code_of(lambda: issued(vault)) == "SAM_TERMINAL"  # one in use
    assert issued(vault, "load")[0].serial != sam.serial
    for role, terminal in (("csam", TERMINAL), ("psam", "99"), ("psam", "99000000000G")):
        assert code_of(lambda: issued(vault, role, terminal)) == "SAM_TERMINAL"  # noqa: B023
    wrong = {"issuers": ["00" * 8], "cost": CHEAP}
    assert (
        code_of(lambda: sams.issue(vault, "psam", "990000000009", CUSTODIAN, PHRASE, **wrong))
        == "SAM_TERMINAL"
    )  # type: ignore[arg-type]
    assert code_of(lambda: sams.issue(vault, "psam", TERMINAL, CLERK, PHRASE)) == "SAM_ROLE"
    assert code_of(lambda: sams.move(sam.serial, "hotlisted", CLERK)) == "SAM_ROLE"
    assert code_of(lambda: sams.move("0" * 20, "hotlisted", CUSTODIAN)) == "SAM_UNKNOWN"
    assert sams.move(sam.serial, "returned", CUSTODIAN).state == "returned"
    again, _ = issued(vault)
    assert sams.move(again.serial, "destroyed", CUSTODIAN, "broken").reason == "broken"
    assert code_of(lambda: sams.move(again.serial, "hotlisted", CUSTODIAN)) == "SAM_STATE"
    assert sams.move(again.serial, "destroyed", CUSTODIAN) == again
    assert chain.verify().ok


def test_a_stolen_module(issuer: str, home: Path) -> None:
    vault = new_vault()
    sam, _ = issued(vault)
    before = parameters.current()
    assert before["distrusted"] == []
    sams.move(sam.serial, "hotlisted", CUSTODIAN, "stolen", START - timedelta(hours=3))
    assert sams.distrusted() == {TERMINAL: START - timedelta(hours=3)}
    told = parameters.current()
    assert (told["distrusted"], told["version"]) == ([TERMINAL], before["version"] + 1)
    assert code_of(lambda: issued(vault)) == "SAM_TERMINAL"  # its number is never used again
    assert code_of(lambda: sams.move(sam.serial, "returned", CUSTODIAN)) == "SAM_STATE"


def test_who_needs_a_key(issuer: str, home: Path) -> None:
    vault = new_vault()
    pans = new_stock(3)
    issued(vault)
    assert cards_with("load", 1, 0) == 3
    assert [cards_with("load", 2, 0), cards_with("load", 1, 1), cards_with("batch", 1, 0)] == [0, 0, 0]
    assert [sams_with("batch", 1, 0), sams_with("load", 1, 0), sams_with("purchase", 2, 0)] == [1, 0, 0]
    from citycard.office.cards.models import Card

    Card.objects.filter(pan=pans[0]).update(status=Status.DESTROYED)
    assert cards_with("tac", 1, 0) == 2
    assert Actor("x", frozenset({Role.KEY_CUSTODIAN})).roles & sams.CUSTODY
    assert KeyName.BATCH == "batch"
