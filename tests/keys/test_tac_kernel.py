# SPDX-License-Identifier: Apache-2.0
"""The compiled kernels against the scalar core: random keys, cards, lengths and levels, and all vectors."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from citycard.core.crypto import SUITES, diversify
from citycard.keys import MemoryVault
from citycard.keys.tac import KeyPath, TacBatch, TacVerifier
from citycard.keys.tac import engine as engines
from citycard.keys.tac.custody import CardKeys, as_words
from citycard.keys.tac.engine import SCALAR, Chosen
from tests.support.parts import REPOSITORY

WIDTH = 40
BATCH = 4096  # what a kernel takes at a time: one less and one more are the interesting counts


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Any:
    """However few records there are, the kernels do them."""
    monkeypatch.setattr(engines, "COLD_RECORDS", 0)
    monkeypatch.setattr(engines, "WARM_RECORDS", 0)
    return engines.engine(1)


def random_batch(seed: int, count: int, levels: int) -> tuple[MemoryVault, TacBatch]:
    """Records of both suites, every length, cards that repeat next to each other, one path without a key."""
    source = np.random.default_rng(seed)
    vault = MemoryVault()
    for suite in SUITES:
        vault.import_key("tac", suite, 1, source.bytes(16))
    paths = [
        KeyPath(1, suite, tuple(source.bytes(8) for _ in range(depth)))
        for suite in SUITES
        for depth in (0, 1, 2)
    ]
    paths.append(KeyPath(9, 0, (bytes(8),)))
    card = np.sort(source.integers(0, max(1, count // 2), count))
    source.shuffle(card[: count // 3])
    which, factors = (
        source.integers(0, len(paths), count),
        source.integers(0, 2**64, (count, levels), np.uint64),
    )
    messages, lengths = (
        source.integers(0, 256, (count, WIDTH), np.uint8),
        source.integers(0, WIDTH + 1, count),
    )
    if source.random() < 0.5:  # as it mostly is: purchases of one suite
        which, lengths = which % 2, np.full(count, 22)
    return vault, TacBatch(
        tuple(paths), which[card], factors[card], messages, lengths, np.zeros(count, np.uint32)
    )


def by_core(vault: MemoryVault, batch: TacBatch, at: int) -> int | None:
    """One TAC by the vault, which is `core.crypto`."""
    path = batch.paths[batch.which[at]]
    if path.version != 1:
        return None
    factors = [*path.factors, *(int(factor).to_bytes(8, "big") for factor in batch.factors[at])]
    message = batch.messages[at, : batch.lengths[at]].tobytes()
    return int.from_bytes(vault.tac("tac", 1, factors, message, suite=path.suite), "big")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**32),
    st.sampled_from([0, 1, 2, 63, 64, 65, 1000, BATCH - 1, BATCH, BATCH + 1]),
    st.integers(1, 3),
)
def test_the_kernels_say_what_the_core_says(compiled: Any, seed: int, count: int, levels: int) -> None:
    vault, batch = random_batch(seed, count, levels)
    found, known = TacVerifier(vault).tacs(batch)
    sample = range(count) if count < 100 else [*range(0, count, count // 60), count - 1]
    for at in sample:
        expected = by_core(vault, batch, at)
        assert known[at] == (expected is not None)
        assert expected is None or found[at] == expected, (at, batch.which[at], batch.lengths[at])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(1, 300))
def test_both_engines_and_the_sealed_way_agree(
    monkeypatch: pytest.MonkeyPatch, seed: int, count: int
) -> None:
    vault, batch = random_batch(seed, count, 1)
    slow, known = TacVerifier(vault).tacs(batch)
    sealed, sealed_known = TacVerifier(vault, sealed=True).tacs(batch)
    monkeypatch.setattr(engines, "COLD_RECORDS", 0)
    fast, fast_known = TacVerifier(vault).tacs(batch)
    monkeypatch.undo()
    assert np.array_equal(known, sealed_known) and np.array_equal(known, fast_known)
    assert np.array_equal(slow[known], sealed[known]) and np.array_equal(slow[known], fast[known])


# Card key, message, TAC. The first two came out of a real FM1208 (facts 2.7 C); the third is of a known root.
ROOT, PATH = bytes.fromhex("FFEEDDCCBBAA99887766554433221100"), ("01011000FFFFFFFF", "5170070104791381")
KNOWN_KEY = diversify(SUITES[0], ROOT, [bytes.fromhex(factor) for factor in PATH])
CARD_VECTORS = [
    ("00112233445566778899AABBCCDDEEFF", "000020000000000020000200112233445520161216105800", "FA00066D"),
    ("00112233445566778899AABBCCDDEEFF", "00000001060011223344550000000020161216134600", "8AF270DC"),
    (KNOWN_KEY.hex(), "000000C8093100010503060000004220240115083000", "A1650008"),
]


@pytest.mark.parametrize("vector", CARD_VECTORS)
def test_vectors_of_cards(compiled: Any, vector: tuple[str, str, str]) -> None:
    key, message, tac = (bytes.fromhex(part) for part in vector)
    chosen = Chosen(np.frombuffer(message, np.uint8).reshape(1, -1), np.zeros(1, np.intp), len(message))
    for engine in (SCALAR, compiled):
        keys = CardKeys(as_words(key, 2), np.ones(1, bool))
        assert int(engine.tac(0, keys, np.zeros(1, np.intp), chosen)[0]).to_bytes(4, "big") == tac


def test_vectors_of_diversification_and_of_sm4(compiled: Any) -> None:
    from citycard.keys.tac import sm4
    from citycard.keys.tac.words import as_raw_words, padding

    none = np.zeros(1, np.intp)
    for suite, key, factor, derived in [
        (0, "00112233445566778899AABBCCDDEEFF", "1122334455667788", "496BD7A3513644533100B54E71196528"),
        (1, "00112233445566778899AABBCCDDEEFF", "01011000FFFFFFFF", "DA01A818064D64CA287DA5F92856C785"),
    ]:
        keys = CardKeys(as_words(bytes.fromhex(key), 2), np.ones(1, bool))
        found = compiled.derive(suite, keys, none, as_words(bytes.fromhex(factor), 1)[:, 0])
        assert np.array_equal(found.words, as_words(bytes.fromhex(derived), 2))
    block = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")  # GB/T 32907 example 1: key and plaintext
    raw = as_raw_words(np.frombuffer(block, np.uint8).reshape(1, -1), 16)
    whole = padding(16, 16)[:2]  # what the padding rules say of a full first block
    assert sm4.macs(as_words(block, 2), none, raw, none, whole)[0] == 0x681EDF34


def test_a_kernel_is_compiled_for_one_kind_of_array(compiled: Any) -> None:
    """Else its cache file could be written for one and indexed for the other by two processes at once."""
    from citycard.keys.tac import des, sm4

    for vault, batch in (random_batch(1, 50, 2), random_batch(2, 70, 1)):
        odd = np.asfortranarray(batch.messages[:, : WIDTH - 1])
        odd.flags.writeable = False
        lengths = np.minimum(batch.lengths, WIDTH - 1)
        TacVerifier(vault).tacs(batch)
        TacVerifier(vault).tacs(TacBatch(batch.paths, batch.which, batch.factors, odd, lengths, batch.tac))
    for kernel in (des.derive, des.macs, sm4.derive, sm4.macs):
        assert len(kernel.signatures) == 1  # type: ignore[attr-defined]


def test_few_records_load_nothing() -> None:
    story = """
import sys
from citycard.keys import MemoryVault, TacRow
vault = MemoryVault()
vault.generate("tac", 0)
row = TacRow(bytes(8), "0" * 20, 1, 0, 1, 9, 1, bytes(6), 1, bytes(7), 0, 0, bytes(4))
assert vault.tac_checker()([row] * 2000) == [False] * 2000
assert "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", story], check=True, env=environment())


def test_many_small_calls_are_many_records(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr("citycard.keys.tac.verifier.engine", lambda now, seen: chosen.append(seen) or SCALAR)
    vault, batch = random_batch(3, 40, 1)
    verifier = TacVerifier(vault)
    for _ in range(3):
        verifier.verify_batch(batch)
    assert chosen == [40, 80, 120]


def script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script of the repository as a module."""
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_boxes_are_what_their_circuits_make(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = script("tac_sboxes", monkeypatch)
    assert generator.TARGET.read_text(encoding="utf-8") == generator.module()
    assert [circuit["gates"] for circuit in generator.circuits()] == [58, 55, 55, 41, 60, 56, 57, 53]


def test_where_nothing_can_be_kept_each_process_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    from citycard.keys.tac import jit

    def njit(*, cache: bool = False, nogil: bool) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available for file")
        return lambda function: function

    monkeypatch.setattr(jit.numba, "njit", njit)
    assert jit.compiled(by_core) is by_core


def environment(**more: str) -> dict[str, str]:
    """What a process of its own needs to import citycard."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)]), **more}


CHECKED = """
import tests.keys.test_tac_kernel as t
from citycard.keys.tac import engine
engine.COLD_RECORDS = engine.WARM_RECORDS = 0
vault, batch = t.random_batch(7, 200, 2)
found, known = t.TacVerifier(vault).tacs(batch)
assert all(not known[i] or found[i] == t.by_core(vault, batch, i) for i in range(200))
"""


@pytest.mark.slow
def test_processes_that_compile_at_once_and_a_cache_that_is_damaged(tmp_path: Path) -> None:
    """With numba's checks of bounds, so that this is also the story in which no index leaves its array."""
    more = environment(NUMBA_CACHE_DIR=str(tmp_path), NUMBA_BOUNDSCHECK="1")

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHECKED]
        return subprocess.Popen(command, env=more, cwd=REPOSITORY, text=True, stderr=subprocess.PIPE)

    together = [start(), start()]
    for process in together:
        assert process.wait() == 0, process.communicate()[1]
    compiled_files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}
    assert compiled_files
    for damaged in tmp_path.rglob("des.macs*.nbc"):
        damaged.write_bytes(damaged.read_bytes()[:5000])
    healed = start()
    assert healed.wait() == 0, healed.communicate()[1]
    assert start().wait() == 0
