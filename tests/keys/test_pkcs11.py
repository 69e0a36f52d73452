# SPDX-License-Identifier: Apache-2.0
"""What only a token has: keys that cannot be read, a PIN, and the ways it goes missing."""

from __future__ import annotations

import pickle
import sys
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from citycard.core.crypto import SM4_SUITE, TRIPLE_DES, Suite
from citycard.core.problem import Problem
from citycard.keys import KeyName, Pkcs11Vault, scheme_ceremony
from citycard.keys import pkcs11_token as tokens
from citycard.keys import pkcs11_vault as module
from citycard.keys.chain import Chain, tac_chain
from tests.keys.cast import FACTORS, NOON, known_key, known_vault
from tests.keys.test_contract import rows
from tests.support.softhsm import PIN, SoftHsm


@pytest.fixture
def label(hsm: SoftHsm) -> str:
    return hsm.new_token()


def opened(hsm: SoftHsm, label: str, mode: module.TacMode = "bulk") -> Pkcs11Vault:
    return Pkcs11Vault.open(hsm.module, label, PIN, clock=lambda: NOON, tac_mode=mode)


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(Problem) as told:
        act()
    assert PIN not in str(told.value)
    return told.value.code


def test_no_key_can_be_read(hsm: SoftHsm, label: str) -> None:
    """Whoever has the PIN and asks the token itself: no value comes out, by attribute or by wrapping."""
    import PyKCS11 as p

    vault = opened(hsm, label)
    scheme_ceremony(vault, (TRIPLE_DES, SM4_SUITE))
    vault.import_key("transport", 0, 1, known_key("transport"))
    vault.protect(b"data", b"context")
    vault.session("purchase", 1, FACTORS, bytes(8))
    vault.tac("tac", 1, FACTORS, b"message")
    session = vault._token._session
    found = session.findObjects([(p.CKA_CLASS, p.CKO_SECRET_KEY)])
    assert len(found) > 10
    for key in found:
        assert session.getAttributeValue(key, [p.CKA_VALUE]) == [None]
        assert session.getAttributeValue(key, [p.CKA_SENSITIVE, p.CKA_EXTRACTABLE]) == [True, False]
        with pytest.raises(p.PyKCS11Error):
            session.setAttributeValue(key, [(p.CKA_EXTRACTABLE, True)])
        with pytest.raises(p.PyKCS11Error):
            session.setAttributeValue(key, [(p.CKA_SENSITIVE, False)])
        with pytest.raises(p.PyKCS11Error):
            session.wrapKey(found[0], key, p.Mechanism(p.CKM_AES_KEY_WRAP))
    stored = [bytes(vault._token.read(one)) for one in vault._token.objects() if not one.is_key]
    assert len(stored) == 6
    sm4 = [held.key for key_id, held in vault._held.items() if key_id[2] == SM4_SUITE.id]
    assert not any(bytes(key) in blob for key in sm4 for blob in stored)


def test_keys_made_inside_never_were_outside(hsm: SoftHsm, label: str) -> None:
    vault = opened(hsm, label)
    scheme_ceremony(vault)
    vault.import_key("load", 0, 2, known_key("load"))
    inside, outside = (vault._token.attributes(vault._roots["load", version, 0].key) for version in (1, 2))
    assert inside == {"sensitive": True, "extractable": False, "never_extractable": True, "local": True}
    assert outside == {"sensitive": True, "extractable": False, "never_extractable": False, "local": False}
    # A key made inside works through the keys below it, and says so when asked for more.
    assert code_of(lambda: vault.tac("tac", 1, (), b"")) == "TOKEN_ROOT"
    assert code_of(lambda: vault.message_mac("batch", 1, (), bytes(9), bytes(8))) == "TOKEN_ROOT"
    assert len(vault.message_mac("batch", 1, FACTORS[:1], bytes(99), bytes(8), size=8)) == 8


def test_what_is_done_outside_is_said(hsm: SoftHsm, label: str) -> None:
    vault = opened(hsm, label)
    scheme_ceremony(vault)
    assert [notice.code for notice in vault.notices()] == ["TOKEN_CARD_KEYS"]
    vault.generate("tac", SM4_SUITE, 1)
    said = opened(hsm, label).notices()
    assert [notice.code for notice in said] == ["TOKEN_CARD_KEYS", "TOKEN_SM4"]
    assert label in said[1].text("en") and label in said[1].text("zh")


def sm4_only(suite: Suite, key: bytes) -> Chain:
    """The chain in memory, for the suite that has no other."""
    assert suite.id == SM4_SUITE.id, "a 3DES TAC was made outside the token"
    return tac_chain(suite, key)


def test_sealed_tacs(hsm: SoftHsm, label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = opened(hsm, label, "sealed")
    for suite in (0, 1):
        vault.import_key("tac", suite, 1, known_key("tac", suite))
    monkeypatch.setattr(module, "tac_chain", sm4_only)
    good = rows(known_vault())
    assert vault.tac_checker()([*good, good[2]._replace(amount_fen=9)]) == [True] * len(good) + [False]


def test_derived_keys_do_not_pile_up(hsm: SoftHsm, label: str) -> None:
    import PyKCS11 as p

    vault = opened(hsm, label)
    scheme_ceremony(vault)

    def there() -> int:
        return len(vault._token._session.findObjects([(p.CKA_CLASS, p.CKO_SECRET_KEY)]))

    before = there()
    for at in range(50):
        vault.session("load", 1, FACTORS, at.to_bytes(8, "big")).mac(b"message")
        vault.tac("tac", 1, FACTORS, b"message")
    assert there() - before <= 4  # issuer and card of two names
    vault.generate("load", 0, 2)
    vault.destroy("load", 1)
    assert there() == before


def test_ways_to_fail(hsm: SoftHsm, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import PyKCS11

    assert code_of(lambda: Pkcs11Vault.open(str(tmp_path / "none.so"), label, PIN)) == "TOKEN_MODULE"
    not_one = tmp_path / "text.so"
    not_one.write_text("no module")
    assert code_of(lambda: Pkcs11Vault.open(str(not_one), label, PIN)) == "TOKEN_MODULE"
    assert code_of(lambda: Pkcs11Vault.open(hsm.module, "another", PIN)) == "TOKEN_MISSING"
    assert code_of(lambda: Pkcs11Vault.open(hsm.module, label, "9999")) == "TOKEN_PIN"
    assert code_of(lambda: Pkcs11Vault.open(hsm.module, label, "")) == "TOKEN_PIN"
    with monkeypatch.context() as patch:
        patch.setattr(tokens, "NEEDED", (*tokens.NEEDED, "CKM_SM4_ECB"))
        with pytest.raises(Problem, match="CKM_SM4_ECB"):
            opened(hsm, label)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "PyKCS11", None)
        assert code_of(lambda: opened(hsm, label)) == "TOKEN_LIBRARY"
    numbers = {name: number for number, name in PyKCS11.CKR.items()}
    for name, code in (("CKR_PIN_LOCKED", "TOKEN_PIN_LOCKED"), ("CKR_HOST_MEMORY", "TOKEN_FAULT")):
        with monkeypatch.context() as patch:
            patch.setattr(tokens, "_login", lambda *_, name=name: numbers[name])
            assert code_of(lambda: opened(hsm, label)) == code


def test_the_token_is_pulled(hsm: SoftHsm, label: str) -> None:
    vault = opened(hsm, label)
    scheme_ceremony(vault)
    session = vault.session("purchase", 1, FACTORS, bytes(8))
    hsm.pull(label)
    for act in (
        lambda: session.mac(b"message"),
        lambda: vault.tac("tac", 1, FACTORS, b""),
        lambda: vault.protect(b"", b""),
        lambda: vault.unprotect(bytes(40), b""),
        lambda: vault.generate("tac", 0, 2),
    ):
        assert code_of(act) == "TOKEN_REMOVED"
    vault.close()
    assert len(opened(hsm, label).keys()) == 6


def test_an_altered_object_is_noticed(hsm: SoftHsm, label: str) -> None:
    vault = opened(hsm, label)
    scheme_ceremony(vault, (TRIPLE_DES, SM4_SUITE))
    key = vault._roots["load", 1, 0].key
    meta = next(one.meta for one in vault._token.objects() if one.label == "citycard:load:1:3DES")
    vault._token.set_meta(key, meta[:-3] + b"abc")
    assert code_of(lambda: opened(hsm, label)) == "TOKEN_ALTERED"
    vault._token.set_meta(key, b"none")
    assert code_of(lambda: opened(hsm, label)) == "TOKEN_ALTERED"
    vault._token.set_meta(key, meta[:-3] + bytes(3))  # a generation that was cut off before its last step
    assert opened(hsm, label).keys() == vault.keys()
    sm4 = next(one for one in vault._token.objects() if one.label == "citycard:load:1:SM4")
    blob = bytearray(vault._token.read(sm4))
    blob[20] ^= 1
    vault._token.remove(sm4.label)
    vault._token.store(sm4.label, sm4.meta, bytes(blob))
    assert code_of(lambda: opened(hsm, label)) == "TOKEN_ALTERED"


def test_two_programs(hsm: SoftHsm, label: str) -> None:
    one, two = opened(hsm, label), opened(hsm, label)
    for suite in (TRIPLE_DES, SM4_SUITE):
        one.generate("tac", suite, 1)
        assert code_of(lambda: two.generate("tac", suite, 1)) == "KEY_EXISTS"  # noqa: B023
    one.retire("tac", 1, datetime(2030, 1, 1), suite=1)
    assert opened(hsm, label).keys() == one.keys()


def test_nothing_of_a_token_prints_or_pickles(hsm: SoftHsm, label: str) -> None:
    vault = opened(hsm, label)
    assert {info.name for info in scheme_ceremony(vault)} == set(KeyName) - {"transport", "storage"}
    for thing in (vault, vault._token, vault._roots["tac", 1, 0].key):
        assert PIN not in repr(thing)
        with pytest.raises(TypeError):
            pickle.dumps(thing)
    vault.close()
    try:
        Pkcs11Vault.open(hsm.module, label, "".join(("pss", "st")))
    except Problem as problem:
        shown = traceback.TracebackException.from_exception(problem, capture_locals=True)
        assert "pssst" not in "".join(shown.format())
    else:
        pytest.fail("that was no PIN")


def test_a_home_on_a_token(hsm: SoftHsm, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`keys init --pkcs11`, and every later command finds the token by what the home says."""
    import json

    from typer.testing import CliRunner

    from citycard.cli.keys import app
    from citycard.keys import place_of
    from citycard.keys.place import CUSTODY_FILE

    monkeypatch.setenv("CITYCARD_HOME", str(tmp_path))
    monkeypatch.setenv("CITYCARD_PIN", PIN)

    def keys(*words: str) -> str:
        ran = CliRunner().invoke(app, list(words))
        if isinstance(ran.exception, Problem):
            return ran.exception.code
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    made = json.loads(keys("init", "--pkcs11", hsm.module, "--token", label, "--json"))["keys"]
    assert [row["name"] for row in made] == sorted(set(KeyName) - {"transport", "storage"})
    assert keys("init") == "VAULT_EXISTS"
    assert not (tmp_path / "vault.ccv").exists()
    assert PIN not in (tmp_path / CUSTODY_FILE).read_text()
    assert place_of(tmp_path).token == label
    assert keys("generate", "tac", "--version", "2", "--json")
    assert "7 keys" in keys("check")
    assert keys("passphrase") == "KEYS_PASSPHRASE_TOKEN"
    assert "TOKEN_CARD_KEYS" in CliRunner().invoke(app, ["list"]).stderr
    monkeypatch.delenv("CITYCARD_PIN")
    assert keys("list") == "PIN_MISSING"
    said = json.loads((tmp_path / CUSTODY_FILE).read_text())
    for change in ({"format": 2}, {"vault": "cloud"}, {"tac": "no"}, {"token": 7}, {"more": 1}):
        (tmp_path / CUSTODY_FILE).write_text(json.dumps(said | change))
        assert keys("list") == "CUSTODY_INVALID", change
    (tmp_path / CUSTODY_FILE).write_text("{")
    assert keys("list") == "CUSTODY_INVALID"
