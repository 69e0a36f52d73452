# SPDX-License-Identifier: Apache-2.0
"""The vault file: it opens for its passphrase alone, and whatever else happens to it has one name."""

from __future__ import annotations

import hashlib
import stat
import struct
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citycard.core.crypto import SM4_SUITE, TRIPLE_DES
from citycard.core.problem import Problem
from citycard.keys import CHEAP, Cost, KeyName, MemoryVault, SoftVault, scheme_ceremony
from citycard.keys import soft_vault as module
from citycard.keys.envelope import HEADER
from tests.keys.cast import FACTORS, NOON, known_key, known_vault, seeded

CONTROL = ("control", 1, ())
PHRASE = "open 芝麻 sesame"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    vault = SoftVault.create(tmp_path / "home" / "vault.ccv", PHRASE, cost=CHEAP, clock=lambda: NOON)
    scheme_ceremony(vault, (TRIPLE_DES, SM4_SUITE))
    return vault.path


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(Problem) as told:
        act()
    text = told.value.text("en") + told.value.text("zh")
    assert "{" not in text
    assert PHRASE not in text
    return told.value.code


def test_keys_come_back_as_they_were(path: Path) -> None:
    before = SoftVault.open(path, PHRASE)
    before.import_key("transport", 0, 1, known_key("transport"))
    before.retire("tac", 1, datetime(2030, 1, 1), suite=1)
    after = SoftVault.open(path, PHRASE)
    assert after.keys() == before.keys()
    assert len(after.keys()) == 13
    assert after.tac("tac", 1, FACTORS, b"message") == before.tac("tac", 1, FACTORS, b"message")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {file.name for file in path.parent.iterdir()} == {"vault.ccv", "vault.ccv.lock"}


def test_a_wrong_passphrase(path: Path) -> None:
    assert code_of(lambda: SoftVault.open(path, PHRASE + " ")) == "VAULT_PASSPHRASE"
    assert code_of(lambda: SoftVault.open(path, "")) == "VAULT_PASSPHRASE_EMPTY"


def test_a_new_passphrase_replaces_the_old(path: Path) -> None:
    vault = SoftVault.open(path, PHRASE)
    vault.change_passphrase("another")
    vault.generate("tac", 0, 2)
    assert code_of(lambda: SoftVault.open(path, PHRASE)) == "VAULT_PASSPHRASE"
    assert SoftVault.open(path, "another").keys() == vault.keys()


def test_no_vault_or_one_already(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    assert code_of(lambda: SoftVault.create(path, PHRASE, cost=CHEAP)) == "VAULT_EXISTS"
    with monkeypatch.context() as race:  # another program makes one between the look and the write
        race.setattr(Path, "exists", lambda _: False)
        assert code_of(lambda: SoftVault.create(path, PHRASE, cost=CHEAP)) == "VAULT_EXISTS"
    assert path.read_bytes() == before
    assert code_of(lambda: SoftVault.open(path.with_name("other"), PHRASE)) == "VAULT_MISSING"
    assert code_of(lambda: SoftVault.open(path.parent, PHRASE)) == "VAULT_UNREADABLE"
    assert code_of(lambda: SoftVault.create(path / "below", PHRASE, cost=CHEAP)) == "VAULT_UNREADABLE"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_altered_bit_is_damage(path: Path, data: st.DataObject) -> None:
    whole = path.read_bytes()
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    altered = bytearray(whole)
    altered[bit // 8] ^= 1 << bit % 8
    copy = path.with_name("altered")
    copy.write_bytes(altered)
    assert code_of(lambda: SoftVault.open(copy, PHRASE)) == "VAULT_DAMAGED"


def resealed(altered: bytes) -> bytes:
    """What somebody writes who knows the format: the digest fits again."""
    return altered[:-32] + hashlib.sha256(altered[:-32]).digest()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_forged_digest_does_not_help(path: Path, data: st.DataObject) -> None:
    whole = path.read_bytes()
    altered = bytearray(whole)
    place = data.draw(st.integers(20, len(whole) - 33))
    altered[place] ^= data.draw(st.integers(1, 255))
    copy = path.with_name("altered")
    copy.write_bytes(resealed(bytes(altered)))
    expected = {"VAULT_PASSPHRASE"} if place < HEADER.size else {"VAULT_DAMAGED"}
    expected |= {"VAULT_DAMAGED"} if 36 <= place < 48 else set()  # the nonce
    assert code_of(lambda: SoftVault.open(copy, PHRASE)) in expected


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (8, struct.pack(">H", 3), "VAULT_VERSION"),
        (8, struct.pack(">H", 0), "VAULT_DAMAGED"),
        (10, b"\x02", "VAULT_DAMAGED"),
        (11, b"\xff", "VAULT_DAMAGED"),
        (12, struct.pack(">I", 1 << 31), "VAULT_DAMAGED"),
        (16, struct.pack(">I", 1 << 31), "VAULT_DAMAGED"),
    ],
)
def test_headers_of_others(path: Path, at: int, value: bytes, code: str) -> None:
    whole = path.read_bytes()
    path.write_bytes(resealed(whole[:at] + value + whole[at + len(value) :]))
    assert code_of(lambda: SoftVault.open(path, PHRASE)) == code


@pytest.mark.parametrize("size", [0, 1, 9, 10, 41, 42, 60, 100, 116])
def test_a_cut_file_is_damage(path: Path, size: int) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    assert code_of(lambda: SoftVault.open(path, PHRASE)) == "VAULT_DAMAGED"
    path.write_bytes(whole[:size] + hashlib.sha256(whole[:size]).digest())
    assert code_of(lambda: SoftVault.open(path, PHRASE)) == "VAULT_DAMAGED"


def test_a_write_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault, whole = SoftVault.open(path, PHRASE), path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "replace_file", full)
        assert code_of(lambda: vault.generate("tac", 0, 2)) == "VAULT_UNREADABLE"
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        assert code_of(lambda: vault.generate("tac", 0, 2)) == "VAULT_UNREADABLE"
    assert path.read_bytes() == whole
    assert {file.name for file in path.parent.iterdir()} == {"vault.ccv", "vault.ccv.lock"}
    assert vault.generate("tac", 0, 2) in SoftVault.open(path, PHRASE).keys()  # noqa: SIM118


def test_two_programs_do_not_overwrite_each_other(path: Path) -> None:
    one, two = SoftVault.open(path, PHRASE), SoftVault.open(path, PHRASE)
    one.generate("tac", 0, 2)
    assert code_of(lambda: two.generate("load", 0, 2)) == "VAULT_CHANGED"
    assert SoftVault.open(path, PHRASE).keys() == one.keys()


def test_a_ceremony_that_was_interrupted_is_finished(tmp_path: Path) -> None:
    vault = SoftVault.create(tmp_path / "v", PHRASE, cost=CHEAP)
    made = vault.generate("tac", 0)
    infos = scheme_ceremony(vault)
    assert {info.name for info in infos} == set(KeyName) - {"transport", "storage"}
    assert made in infos
    assert scheme_ceremony(vault) == infos


def test_the_same_seed_makes_the_same_keys() -> None:
    one, two = (MemoryVault(clock=lambda: NOON, random=seeded(5)) for _ in range(2))
    assert scheme_ceremony(one) == scheme_ceremony(two)
    assert scheme_ceremony(MemoryVault(clock=lambda: NOON)) != scheme_ceremony(two)


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda v: v.generate("tac", 0), "KEY_EXISTS"),
        (lambda v: v.generate("tack", 0), "KEY_NAME"),
        (lambda v: v.generate("tac", 9, 2), "KEY_INVALID"),
        (lambda v: v.generate("tac", 0, 256), "KEY_INVALID"),
        (lambda v: v.generate("transport", 0, 2), "KEY_INVALID"),
        (lambda v: v.import_key("tac", 0, 2, b"short"), "KEY_INVALID"),
        (lambda v: v.import_key("tac", 0, 2, b"samehalf" * 2), "KEY_INVALID"),
        (lambda v: v.tac("tac", 2, FACTORS, b""), "KEY_MISSING"),
        (lambda v: v.tac("tac", 1, FACTORS, b"", suite=3), "KEY_MISSING"),
        (lambda v: v.tac("purchase", 1, FACTORS, b""), "KEY_USAGE"),
        (lambda v: v.session("tac", 1, FACTORS, bytes(8)), "KEY_USAGE"),
        (lambda v: v.message_mac("load", 1, FACTORS, b"", bytes(4)), "KEY_USAGE"),
        (lambda v: v.external_authentication("batch", 1, FACTORS, bytes(4)), "KEY_USAGE"),
        (lambda v: v.tac_checker("load"), "KEY_USAGE"),
        (lambda v: v.wrap_card_key("load", 1, FACTORS, ("tac", 1, ()), b"", bytes(4), bytes(4)), "KEY_USAGE"),
        (lambda v: v.wrap_card_key("load", 1, (), CONTROL, b"", bytes(4), bytes(4)), "KEY_USAGE"),
        (lambda v: v.wrap_card_key("batch", 1, FACTORS, CONTROL, b"", bytes(4), bytes(4)), "KEY_USAGE"),
        (lambda v: v.current("tac", NOON, suite=5), "KEY_MISSING"),
        (lambda v: v.only("tac").generate("tac", 0, 2), "VAULT_SEALED"),
        (lambda v: v.only("tac").session("load", 1, FACTORS, bytes(8)), "KEY_MISSING"),
    ],
)  # fmt: skip
def test_refusals(act: Callable[[MemoryVault], object], code: str) -> None:
    vault = known_vault()
    assert code_of(lambda: act(vault)) == code


@pytest.mark.parametrize(
    "act",
    [
        lambda v: v.tac("tac", 1, [b"short"], b""),
        lambda v: v.tac("tac", 1, [bytes(8)] * 9, b""),
        lambda v: v.session("load", 1, FACTORS, bytes(7)),
        lambda v: v.message_mac("control", 1, FACTORS, b"", bytes(3)),
        lambda v: v.message_mac("control", 1, FACTORS, b"", bytes(9)),
        lambda v: v.message_mac("control", 1, FACTORS, b"", bytes(8), size=3),
        lambda v: v.wrap_card_key("load", 1, FACTORS, CONTROL, b"", b"\x84\xd4\x01\x00\x07", bytes(4)),
        lambda v: Cost(1, 4, 8),
    ],
)  # fmt: skip
def test_wrong_sizes(act: Callable[[MemoryVault], object]) -> None:
    with pytest.raises(ValueError, match=r"\d|Lc"):
        act(known_vault())


def test_roll_over_keeps_old_cards_working() -> None:
    now = [datetime(2024, 6, 1)]
    vault = MemoryVault(clock=lambda: now[0], random=seeded(3))
    scheme_ceremony(vault)
    vault.generate("load", 0, 2, not_before=datetime(2025, 1, 1))
    vault.retire("load", 1, datetime(2025, 1, 1))

    def wrap(version: int) -> object:
        return vault.wrap_card_key("load", version, FACTORS, CONTROL, b"", bytes(4), bytes(4))

    assert vault.current("load", now[0]).version == 1
    wrap(1)
    assert code_of(lambda: wrap(2)) == "KEY_RETIRED"
    now[0] = datetime(2025, 1, 1)
    assert vault.current("load", now[0]).version == 2
    wrap(2)
    assert code_of(lambda: wrap(1)) == "KEY_RETIRED"
    assert vault.session("load", 1, FACTORS, bytes(8)).mac(b"an old card")
