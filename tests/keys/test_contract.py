# SPDX-License-Identifier: Apache-2.0
"""One contract, three vaults: in memory, in a file, in a token. Whatever one answers, the others answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citycard.core.crypto import SM4_SUITE, SUITES, TRIPLE_DES
from citycard.core.problem import Problem
from citycard.core.purse import purchase_tac
from citycard.core.record import Kind
from citycard.keys import (
    CHEAP,
    Branch,
    KeyName,
    KeyRef,
    LoadSam,
    MemoryCounter,
    MemoryVault,
    Pkcs11Vault,
    Psam,
    SoftVault,
    TacRow,
    Vault,
    scheme_ceremony,
    terminal_factor,
)  # fmt: skip
from tests.keys.cast import (
    FACTORS,
    ISSUER,
    MOMENT,
    NOON,
    PAN,
    SERIAL,
    TERMINAL,
    Purse,
    card_key,
    known_key,
    known_vault,
    seeded,
)  # fmt: skip
from tests.support.softhsm import PIN, SoftHsm

KINDS = ("memory", "soft", "pkcs11")
CONTROL = ("control", 1, ())
MIRROR = bytes.fromhex("11223344556677888877665544332211")
COUNTING = bytes.fromhex("00112233445566778899AABBCCDDEEFF")

Again = Callable[[], Vault]


@pytest.fixture(params=KINDS)
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Again:
    """Opens an empty vault of each kind, and the same one again later."""
    if request.param == "memory":
        kept = MemoryVault(clock=lambda: NOON, random=seeded(1))
        return lambda: kept
    if request.param == "soft":
        path = tmp_path / "v"
        SoftVault.create(path, "phrase", cost=CHEAP)
        return lambda: SoftVault.open(path, "phrase", clock=lambda: NOON)
    hsm: SoftHsm = request.getfixturevalue("hsm")
    label = hsm.new_token()
    return lambda: Pkcs11Vault.open(hsm.module, label, PIN, clock=lambda: NOON)


@pytest.fixture
def vault(again: Again) -> Vault:
    """A vault in which every key is the known one, opened again."""
    fresh = again()
    for name in KeyName:
        for suite in SUITES:
            fresh.import_key(name, suite, 1, known_key(name, suite))
    return again()


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(Problem) as told:
        act()
    assert "{" not in told.value.text("en") + told.value.text("zh")
    return told.value.code


def test_everything_is_as_in_memory(vault: Vault) -> None:
    model = known_vault()
    assert vault.keys() == model.keys()
    for suite in SUITES:
        for factors in ((), FACTORS[:1], FACTORS):
            for one, other in zip(
                answers(vault, suite, factors), answers(model, suite, factors), strict=True
            ):
                assert one == other, (suite, factors)


def answers(vault: Vault, suite: int, factors: tuple[bytes, ...]) -> list[object]:
    session = vault.session("purchase", 1, factors, bytes(range(8)), suite=suite)
    texts = [bytes(range(size)) for size in (0, 3, 7, 8, 9, 16, 40)]
    found: list[object] = [session.mac(text) for text in texts]
    found += [vault.tac("tac", 1, factors, text, suite=suite) for text in texts]
    for name in ("maintenance", "control", "batch", "transport"):
        found += [
            vault.message_mac(name, 1, factors, text, b"\x01\x02\x03\x04", size=8, suite=suite)
            for text in texts
        ]
    found.append(vault.external_authentication("control", 1, factors, bytes(range(4)), suite=suite))
    if factors:
        for under in SUITES:
            wrap = KeyRef("transport", 1, (), under)
            head, header = bytes.fromhex("3EF0020001"), bytes.fromhex("84D4013E")
            found.append(vault.wrap_card_key("load", 1, factors, wrap, head, header, bytes(4), suite=suite))
    return found


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    text=st.binary(max_size=60),
    challenge=st.binary(min_size=4, max_size=8),
    variable=st.binary(min_size=8, max_size=8),
)
def test_any_message(vault: Vault, text: bytes, challenge: bytes, variable: bytes) -> None:
    model = known_vault()
    for one in (vault, model):
        assert one.session("load", 1, FACTORS, variable).mac(text) == TRIPLE_DES.session_mac(
            TRIPLE_DES.session_key(card_key("load"), variable), text
        )
        assert one.message_mac("maintenance", 1, FACTORS, text, challenge) == TRIPLE_DES.message_mac(
            card_key("maintenance"), text, challenge
        )
        assert one.tac("tac", 1, FACTORS, text) == TRIPLE_DES.tac(card_key("tac"), text)


def test_published_vectors(again: Again) -> None:
    """Card facts 2.7 A, B, C and S."""
    vault = again()
    vault.import_key("load", 0, 1, MIRROR)
    vault.import_key("load", 0, 2, COUNTING)
    vault.import_key("purchase", 0, 1, COUNTING)
    vault.import_key("tac", 0, 1, COUNTING)
    vault.import_key("maintenance", 0, 1, COUNTING)
    load = vault.session("load", 1, (), bytes.fromhex("1122334400008000"))
    assert load.mac(bytes.fromhex("000000000000100001001122334455")).hex().upper() == "2988AE5A"
    assert load.mac(bytes.fromhex("000010000100112233445520111221214822")).hex().upper() == "3A845BF0"
    real = vault.session("load", 2, (), bytes.fromhex("C903814D00008000"))
    assert real.mac(bytes.fromhex("000000000000200002001122334455")).hex().upper() == "03976C22"
    covered = bytes.fromhex("0000200000000000200002" + "001122334455" + "20161216105800")
    assert vault.tac("tac", 1, (), covered).hex().upper() == "FA00066D"
    example = (bytes.fromhex("01011000FFFFFFFF"), bytes.fromhex("5170070104791381"))
    session = vault.session("purchase", 1, example, bytes.fromhex("A1B2C3D400070042"))
    assert session.mac(bytes.fromhex("000000C8")).hex().upper() == "D5A372EC"
    block = vault.message_mac(
        "maintenance", 1, example, bytes.fromhex("841E000004"), bytes.fromhex("5A6B7C8D")
    )
    assert block.hex().upper() == "6D20E23B"


def test_a_life_of_keys(again: Again) -> None:
    vault = again()
    scheme_ceremony(vault, (TRIPLE_DES, SM4_SUITE))
    later = datetime(2025, 1, 1)
    vault.generate("tac", 0, 2, not_before=later)
    vault.retire("tac", 1, later, suite=0)
    vault.retire("tac", 1, later, suite=1)
    vault.import_key("transport", 0, 1, known_key("transport"), not_after=later)
    before = vault.keys()
    mac = vault.tac("tac", 2, FACTORS, b"message")
    reopened = again()
    assert reopened.keys() == before
    assert len(before) == 14
    assert reopened.tac("tac", 2, FACTORS, b"message") == mac
    assert reopened.current("tac", NOON, suite=0).version == 1
    assert reopened.current("tac", later).version == 2
    assert code_of(lambda: reopened.generate("tac", 0, 2)) == "KEY_EXISTS"
    assert code_of(lambda: reopened.destroy("load", 1, suite=0)) == "KEY_DESTROYED"
    reopened.destroy("tac", 1, suite=0)
    reopened.destroy("transport", 1)
    assert code_of(lambda: reopened.destroy("tac", 2, suite=0)) == "KEY_DESTROYED"
    assert (
        again().keys()
        == reopened.keys()
        == [
            info
            for info in before
            if (info.name, info.version, info.suite) != ("tac", 1, 0) and info.name != "transport"
        ]
    )
    assert code_of(lambda: again().tac("tac", 1, FACTORS, b"", suite=0)) == "KEY_MISSING"


def test_what_is_protected_opens_here_only(again: Again) -> None:
    vault = again()
    blob = vault.protect(b"a file key", b"perso 7")
    assert again().unprotect(blob, b"perso 7") == b"a file key"
    assert vault.protect(b"a file key", b"perso 7") != blob
    for bit in range(0, len(blob) * 8, 7):
        altered = bytearray(blob)
        altered[bit // 8] ^= 1 << bit % 8
        assert code_of(lambda: vault.unprotect(bytes(altered), b"perso 7")) == "VAULT_FOREIGN"  # noqa: B023
    assert code_of(lambda: vault.unprotect(blob, b"perso 8")) == "VAULT_FOREIGN"
    assert code_of(lambda: vault.unprotect(b"short", b"perso 7")) == "VAULT_FOREIGN"
    assert code_of(lambda: MemoryVault().unprotect(blob, b"perso 7")) == "VAULT_FOREIGN"


def test_security_modules_work_over_each(vault: Vault) -> None:
    """A PSAM over the vault itself, and one that was lent the branches of its role and nothing else."""
    lent = vault.lend(
        Branch(name, 1, suite, factors)
        for suite in SUITES
        for name, factors in (
            ("purchase", (ISSUER,)),
            ("maintenance", (ISSUER,)),
            ("batch", (terminal_factor(TERMINAL),)),
        )
    )
    for keys in (vault, lent):
        for suite in SUITES:
            sam, purse = Psam(keys, TERMINAL, MemoryCounter()), Purse(suite)
            mac2 = purse.answers(sam.process(purse.init_sam()))
            assert sam.process(bytes.fromhex("8072000004") + mac2) == b"\x90\x00"
    other = bytes.fromhex("0202200000000000")
    stranger = Psam(lent, TERMINAL, MemoryCounter())
    command = Purse().init_sam()[:-9] + other + b"\x08"
    assert stranger.process(command)[-2:] == bytes.fromhex("9403")
    assert code_of(lambda: lent.session("purchase", 1, (), bytes(8))) == "KEY_MISSING"
    assert code_of(lambda: lent.session("load", 1, FACTORS, bytes(8))) == "KEY_MISSING"
    assert code_of(lambda: lent.generate("load", 0, 1)) == "VAULT_SEALED"
    assert code_of(lambda: vault.lend([Branch("purchase", 1, 0, ())])) == "KEY_USAGE"
    assert code_of(lambda: LoadSam(vault)._vault.generate("load", 0, 9)) == "VAULT_SEALED"


def rows(vault: Vault) -> list[TacRow]:
    made = []
    for at in range(40):
        serial = f"{at:016d}"
        suite, pan = at % 2, PAN[:4] + serial
        message = purchase_tac(at, 9, TERMINAL, at, MOMENT)
        tac = vault.tac("tac", 1, (ISSUER, bytes.fromhex(serial)), message, suite=suite)
        made.append(TacRow(ISSUER, pan, 1, suite, int(Kind.PURCHASE), 9, at, TERMINAL, at, MOMENT, 0, 0, tac))
    return made


def test_tacs_in_bulk(vault: Vault) -> None:
    good = rows(known_vault())
    bad = good[3]._replace(amount_fen=99)
    unknown = good[4]._replace(key_version=7)
    check = vault.tac_checker()
    assert check([*good, bad, unknown]) == [True] * len(good) + [False, False]
    assert code_of(lambda: vault.tac_checker("load")) == "KEY_USAGE"


REFUSED: list[tuple[Callable[[Vault], object], str]] = [
    (lambda v: v.generate("tac", 0), "KEY_EXISTS"),
    (lambda v: v.generate("tack", 0), "KEY_NAME"),
    (lambda v: v.generate("tac", 9, 2), "KEY_INVALID"),
    (lambda v: v.generate("tac", 0, 256), "KEY_INVALID"),
    (lambda v: v.generate("transport", 0, 2), "KEY_INVALID"),
    (lambda v: v.import_key("tac", 0, 2, b"samehalf" * 2), "KEY_INVALID"),
    (lambda v: v.tac("tac", 2, FACTORS, b""), "KEY_MISSING"),
    (lambda v: v.tac("purchase", 1, FACTORS, b""), "KEY_USAGE"),
    (lambda v: v.session("tac", 1, FACTORS, bytes(8)), "KEY_USAGE"),
    (lambda v: v.message_mac("load", 1, FACTORS, b"", bytes(4)), "KEY_USAGE"),
    (lambda v: v.external_authentication("batch", 1, FACTORS, bytes(4)), "KEY_USAGE"),
    (lambda v: v.wrap_card_key("load", 1, FACTORS, ("tac", 1, ()), b"", bytes(4), bytes(4)), "KEY_USAGE"),
    (lambda v: v.wrap_card_key("load", 1, (), CONTROL, b"", bytes(4), bytes(4)), "KEY_USAGE"),
    (lambda v: v.wrap_card_key("batch", 1, FACTORS, CONTROL, b"", bytes(4), bytes(4)), "KEY_USAGE"),
    (lambda v: v.only("tac").generate("tac", 0, 2), "VAULT_SEALED"),
    (lambda v: v.only("tac").protect(b"", b""), "VAULT_SEALED"),
    (lambda v: v.only("tac").session("load", 1, FACTORS, bytes(8)), "KEY_MISSING"),
    (lambda v: v.session("load", 1, FACTORS, bytes(7)), "ValueError"),
    (lambda v: v.tac("tac", 1, [b"short"], b""), "ValueError"),
    (lambda v: v.message_mac("control", 1, FACTORS, b"", bytes(9)), "ValueError"),
    (lambda v: v.message_mac("control", 1, FACTORS, b"", bytes(8), size=3), "ValueError"),
    (lambda v: v.wrap_card_key("load", 1, FACTORS, CONTROL, b"", b"\x84\xd4\x01\x00\x07", bytes(4)), "ValueError"),
]  # fmt: skip


def test_refusals(vault: Vault) -> None:
    for act, code in REFUSED:
        if code == "ValueError":
            with pytest.raises(ValueError, match=r"\d|Lc"):
                act(vault)
        else:
            assert code_of(lambda: act(vault)) == code  # noqa: B023


def test_a_card_of_a_later_year_gets_no_retired_key(vault: Vault) -> None:
    vault.retire("load", 1, NOON, suite=0)
    head, header = bytes.fromhex("3FF0020001"), bytes.fromhex("84D4013F")
    assert (
        code_of(lambda: vault.wrap_card_key("load", 1, FACTORS, CONTROL, head, header, bytes(4)))
        == "KEY_RETIRED"
    )
    assert vault.session("load", 1, FACTORS, bytes(8)).mac(b"an old card")
    assert SERIAL in FACTORS
