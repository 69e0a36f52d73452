# SPDX-License-Identifier: Apache-2.0
"""No key is ever printed: drive everything, gather all that prints, look for every secret in it."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console
from rich.traceback import Traceback

from citycard.core.crypto import SUITES, xor
from citycard.keys import CHEAP, KeyName, LoadSam, MemoryCounter, Psam, SoftVault, tac_checker
from citycard.keys.envelope import Lock
from citycard.keys.secret import KeyBytes
from tests.keys.cast import FACTORS, ISSUER, SERIAL, TERMINAL, Purse, card_key, known_key

PHRASE = "the-secret-passphrase"


def secrets_in_play() -> Iterator[bytes]:
    yield PHRASE.encode()
    for name in KeyName:
        for suite in SUITES:
            for factors in ((), FACTORS[:1], FACTORS):
                key = card_key(name, suite, factors)
                yield key
                yield xor(key[:8], key[8:])
                yield SUITES[suite].session_key(key, bytes(8))


def assert_silent(printed: str) -> None:
    folded = printed.replace(" ", "").replace("\\", "").lower()
    for secret in secrets_in_play():
        for half in (secret[: len(secret) // 2], secret[len(secret) // 2 :]):
            escaped = repr(half)[2:-1].replace("\\", "").lower()
            numbers = ",".join(str(byte) for byte in half)
            for form in (half.hex(), escaped, half.decode("latin-1").lower(), numbers):
                assert form not in folded, f"a secret was printed: {secret.hex()}"


@pytest.fixture
def vault(tmp_path: Path) -> SoftVault:
    vault = SoftVault.create(tmp_path / "v", PHRASE, cost=CHEAP)
    for name in KeyName:
        for suite in SUITES:
            vault.import_key(name, suite, 1, known_key(name, suite))
    return SoftVault.open(tmp_path / "v", PHRASE)


def holders(vault: SoftVault) -> list[object]:
    """Everything that has a key somewhere inside."""
    sam = Psam(vault, TERMINAL, MemoryCounter())
    sam.process(Purse().init_sam())
    sam.process(bytes.fromhex("801A450110") + SERIAL + ISSUER)
    session = vault.session("load", 1, FACTORS, bytes(8))
    session.mac(b"message")
    vault.tac("tac", 1, FACTORS, b"message")
    inside = [*vault._held.values(), vault._derive, vault._lock, session._chain]  # type: ignore[attr-defined]
    return [vault, vault.only("tac"), sam, LoadSam(vault), session, tac_checker(vault), *inside]


def test_nothing_prints_a_key(vault: SoftVault, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    printed = io.StringIO()
    for holder in holders(vault):
        logging.getLogger("test").error("%s %r", holder, holder)
        for thing in (holder, getattr(holder, "__dict__", {}), [holder], {"it": holder}):
            print(thing, repr(thing), f"{thing}", pprint.pformat(thing), file=printed)
            Console(file=printed, width=200).print(thing)
    for info in vault.keys():  # noqa: SIM118
        print(info, asdict(info), file=printed)
    assert_silent(printed.getvalue() + caplog.text)


def test_the_search_finds_what_it_looks_for() -> None:
    key = known_key("tac")
    for form in (key.hex(), key.hex(" ").upper(), repr(key), repr({"key": bytearray(key)}), str(list(key))):
        with pytest.raises(AssertionError, match="printed"):
            assert_silent(f"before {form} after")


def fails(vault: SoftVault) -> list[Callable[[], object]]:
    path = vault.path
    damaged = path.with_name("damaged")
    damaged.write_bytes(path.read_bytes()[:-1] + b"x")
    return [
        lambda: SoftVault.open(damaged, PHRASE),
        lambda: SoftVault.create(path, PHRASE, cost=CHEAP),
        lambda: vault.generate("tac", 0, 1),
        lambda: vault.tac("purchase", 1, FACTORS, b""),
        lambda: vault.tac("tac", 1, [b"short"], b""),
        lambda: vault.session("load", 1, FACTORS, b"short"),
        lambda: vault.message_mac("control", 1, FACTORS, b"", bytes(99)),
        lambda: vault.wrap_card_key("load", 1, FACTORS, ("control", 1, ()), b"", b"", bytes(4)),
        lambda: vault.import_key("tac", 0, 1, KeyBytes(known_key("tac"))),
        lambda: vault.tac("tac", 1, FACTORS, None),  # type: ignore[arg-type]
        lambda: vault.session("load", 1, FACTORS, bytes(8)).mac(None),  # type: ignore[arg-type]
        lambda: vault.message_mac("batch", 1, FACTORS, None, bytes(8)),  # type: ignore[arg-type]
        lambda: tac_checker(vault)([None]),  # type: ignore[list-item]
    ]


def test_no_traceback_prints_a_key(vault: SoftVault) -> None:
    printed = io.StringIO()
    acts = fails(vault)
    for act in acts:
        try:
            act()
        except Exception as error:
            shown = traceback.TracebackException.from_exception(error, capture_locals=True)
            print(*shown.format(), file=printed)
            view = Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True)
            Console(file=printed, width=300).print(view)
        else:
            pytest.fail("that was to fail")
    assert printed.getvalue().count("<key>") > len(acts)
    # The caller's own line holds what the caller wrote; only frames of citycard are judged.
    assert_silent(printed.getvalue().replace(PHRASE, ""))


def test_no_frame_of_ours_shows_the_passphrase(vault: SoftVault) -> None:
    try:
        SoftVault.open(vault.path, "".join(("not-", "the-phrase")))
    except Exception as error:
        frames = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert "not-the-phrase" not in "".join(frames.format())


def test_what_holds_a_key_is_neither_pickled_nor_copied(vault: SoftVault) -> None:
    for holder in holders(vault):
        for act in (pickle.dumps, copy.deepcopy, json.dumps):
            if act is copy.deepcopy and callable(holder):
                continue  # a function is copied by reference
            with pytest.raises((TypeError, AttributeError, pickle.PicklingError)) as refused:
                act(holder)
            assert_silent(str(refused.value))


def test_key_bytes() -> None:
    key = KeyBytes(known_key("tac"))
    assert key == known_key("tac")
    assert isinstance(key[:8], KeyBytes)
    assert [str(key), f"{key:>9}", repr(key[8:]), f"{key} {key!r}"] == [*["<key>"] * 3, "<key> <key>"]
    with pytest.raises(TypeError):
        key.hex()
    assert repr(Lock.make(key, CHEAP, bytes(16))) == "<vault lock>"
